"""What a browser is asked about a page of the course; nothing here knows which page it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

SIZES = {"desk": (1280, 800), "phone": (390, 844)}
_CHECKS = Path(__file__).with_name("page_checks.js").read_text(encoding="utf-8")


def check(frame, name: str):
    """Run one of the checks of `page_checks.js` in a page or in a frame of it."""
    return frame.evaluate(f"() => {{ {_CHECKS}\nreturn checks.{name}(); }}")


@dataclass
class Watch:
    """What went wrong while a page was open."""

    console: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


@contextmanager
def opened(browser, path: Path, *, size: str = "desk", scheme: str = "light") -> Iterator[tuple]:
    """Open a file; every request that would leave the machine is refused and written down."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
    )
    page, watch = context.new_page(), Watch()

    def gate(route) -> None:
        if route.request.url.startswith(("file:", "data:", "blob:", "about:")):
            route.continue_()
        else:
            watch.outside.append(route.request.url)
            route.abort()

    context.route("**/*", gate)
    page.on("console", lambda said: said.type == "error" and watch.console.append(said.text))
    page.on("pageerror", lambda error: watch.console.append(str(error)))
    page.on("requestfailed", lambda request: watch.console.append(f"failed: {request.url[:200]}"))
    try:
        page.goto(path.resolve().as_uri(), wait_until="load")
        yield page, watch
    finally:
        context.close()


def broken_links(page, path: Path) -> list[str]:
    """Links of an open page that lead to no file, or to no place on the page that they name."""
    found = page.eval_on_selector_all("a[href]", "all => all.map((a) => a.getAttribute('href'))")
    broken = []
    for link in sorted(set(found)):
        if re.match(r"(https?|mailto):", link):
            continue
        where = urlparse(link)
        target = path.parent / unquote(where.path) if where.path else path
        if not target.is_file():
            broken.append(link)
        elif where.fragment and target.suffix == ".html" and not where.fragment.startswith("/"):
            text = target.read_text(encoding="utf-8")
            if not re.search(rf'\b(?:id|name)="{re.escape(unquote(where.fragment))}"', text):
                broken.append(link)
    return broken
