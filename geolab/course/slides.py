"""Slides of an executed notebook: nbconvert's exporter, reveal.js from a copy in the kit.

    deck = slides_of(prepared(nb, ...), entry, repository)

The exporter is `nbconvert.SlidesExporter` with a template of ours, since its own loads reveal.js,
jQuery and three more from a network. Arrow keys or space turn pages, `o` shows all slides, `f`
fills the screen, `?` lists the keys. A slide that is too full is made smaller in the browser, to
55 % at most; then it scrolls.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

from bs4 import BeautifulSoup
from nbconvert import SlidesExporter

from geolab.course.exporting import MathMLMixin, Prepared, exporter_config, mended
from geolab.course.render import minutes, templates
from geolab.course.slide_plan import slide_plan
from geolab.course.state import Entry

_TEMPLATES = Path(__file__).parent / "templates"


class _Exporter(MathMLMixin, SlidesExporter):
    pass


@cache
def _exporter() -> SlidesExporter:
    return _Exporter(
        config=exporter_config(),
        template_name="slides",
        extra_template_basedirs=[str(_TEMPLATES)],
    )


def slides_name(stem: str) -> str:
    """Return the file name of a notebook's slides."""
    return f"{stem}.slides.html"


def slides_of(
    ready: Prepared, entry: Entry, repository: str, pages: Collection[str] | None = None
) -> str:
    """Render the slides of a prepared notebook as one HTML file.

    Parameters
    ----------
    ready
        See `geolab.course.exporting.prepared`.
    entry
        Title, size and time of the run, which the first slide tells.
    repository, pages
        As in `geolab.course.exporting.mended`.
    """
    note = f"{entry.size.capitalize()} size, {minutes(entry.seconds)}: figures are of that run."
    if entry.error:
        note += f" **It stopped with an error**: `{entry.error.message}`"
    body, _ = _exporter().from_notebook_node(slide_plan(ready.nb, note), resources=ready.resources)
    soup, _ = mended(body, repository, pages)
    _put_to_sleep(soup)
    parts = {
        name: (_TEMPLATES / f"deck.{name}").read_text(encoding="utf-8") for name in ("css", "js")
    }
    return (
        templates()
        .get_template("deck.html.j2")
        .render(entry=entry, slides=str(soup), deck_style=parts["css"], deck_script=parts["js"])
    )


def _put_to_sleep(soup: BeautifulSoup) -> None:
    """Keep maps from starting on a slide that is not shown; `deck.js` wakes them."""
    for frame in soup("iframe", srcdoc=True):
        frame["data-page"] = frame["srcdoc"]
        del frame["srcdoc"]
