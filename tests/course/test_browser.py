"""The course as a browser shows it: no error, no request, maps, formulas, links, widths, contrast.

A small course is built for it. `GEOLAB_COURSE_BUILT=build/course` asks the same of a course that
`geolab course` has built.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from geolab.course.build import Options, build_course
from geolab.course.notebook import find_notebooks

from . import browser as ask
from .conftest import BREAKS, write_notebook

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BUILT = os.environ.get("GEOLAB_COURSE_BUILT", "")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; on Debian: chromium")
views = pytest.mark.parametrize("scheme", ["light", "dark"])
PICTURES = "[...Reveal.getCurrentSlide().querySelectorAll('img')]"
sizes = pytest.mark.parametrize("size", list(ask.SIZES))

LECTURE = [
    ("md", "# Every kind of output\n\n**Goal.** See them all. **Time.** 1 min."),
    ("code", "import matplotlib.pyplot as plt\nimport pandas as pd\n\n"
             "from geolab import maps\nfrom geolab.posterior import Posterior"),
    ("knobs", "n_rows = 50", {"n_rows": 12}),
    ("md", "## 1. Formulas\n\nInline $d = 2R \\arcsin(c / 2)$, a block\n\n"
           "$$p_i = \\frac{\\exp(s_i / \\tau)}{\\sum_j \\exp(s_j / \\tau)}$$\n\n"
           "and [a link](01_breaks.ipynb)."),
    ("md", "## 2. A picture"),
    ("code", "plt.plot([1, 2, 3])\nplt.show()"),
    ("md", "## 3. A wide table\n\n| " + " | ".join("abcdefghij") + " |\n" + "|---" * 10 + "|\n| "
           + " | ".join(["something wide"] * 10) + " |"),
    ("code", "pd.DataFrame({f'column number {i}': range(n_rows) for i in range(14)})"),
    ("code", "print('a very long line of output that goes on and on, ' * 6)"),
    ("code", "x = '" + "long" * 60 + "'  # noqa: E501 a line that no window holds, with a comment"),
    ("md", "## 4. Maps"),
    ("code", "post = Posterior([[[48.9, 2.3], [51.5, -0.1], [40.4, -3.7]]], [[0.5, 0.3, 0.2]])\n"
             "m = maps.interactive(post, truth=[50.0, 1.0], title='Three places')\n"
             "maps.show_map(m)"),
    ("code", "import os\nfrom pathlib import Path\n\nout = Path(os.environ['GEOLAB_COURSE_OUT'])\n"
             "_ = maps.save_map(m, out / 'maps' / '00_places.html')"),
    ("md", "## Exercises\n\n" + "\n".join(
        f"{i}. " + "An exercise of which the text is rather long, so that a list of them fills "
        "more than a slide, and has to go on on the next one. " * 2 for i in range(1, 9))),
    ("md", "## References\n\n- Nobody, 2026."),
]  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """Build folder of a course of two notebooks, one of which breaks."""
    root = tmp_path_factory.mktemp("a course")
    folder, out = root / "notebooks", root / "build" / "course"
    said = {"summary": "One sentence.", "minutes": 1, "memory_gb": 0.5}
    write_notebook(folder / "00_every_kind.ipynb", LECTURE, **said)
    write_notebook(folder / "01_breaks.ipynb", BREAKS, summary="Another.", gpu="helps")
    lecture, broken = build_course(find_notebooks(folder), out, Options(jobs=2))
    assert lecture.ok, lecture.entry.error
    assert not broken.ok
    return out


@pytest.fixture(params=["small", "built"])
def course(request) -> Path:
    """Build folder that is asked."""
    if request.param == "small":
        return request.getfixturevalue("small")
    if not BUILT:
        pytest.skip("GEOLAB_COURSE_BUILT names no course")
    return Path(BUILT).resolve()


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window."""
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def pages(course: Path) -> list[Path]:
    """All pages of a course, slides and maps excepted."""
    found = [path for path in sorted(course.glob("*.html")) if ".slides." not in path.name]
    assert {"index.html", "results.html"} <= {path.name for path in found}
    return found


def decks(course: Path) -> list[Path]:
    """All slides of a course."""
    found = sorted(course.glob("*.slides.html"))
    assert len(found) == len(pages(course)) - 2
    return found


@sizes
@views
def test_pages_are_quiet_and_readable(course, browser, size, scheme):
    wrong = {}
    for path in pages(course):
        with ask.opened(browser, path, size=size, scheme=scheme) as (page, watch):
            found = ask.check(page, "tooWide") + ask.check(page, "contrast")
            found += ask.broken_links(page, path) + watch.console + watch.outside
        if found:
            wrong[path.name] = found
    assert wrong == {}


def test_formulas_are_typeset(course, browser):
    n = 0
    for path in pages(course):
        with ask.opened(browser, path) as (page, _):
            boxes = ask.check(page, "formulas")
            n += len(boxes)
            assert all(width > 4 and height > 6 for width, height in boxes), path.name
    assert n >= 2


def test_a_fraction_is_set_on_two_lines(small, browser):
    with ask.opened(browser, small / "00_every_kind.html") as (page, _):
        height = "(e) => e.getBoundingClientRect().height"
        fraction = page.eval_on_selector("math[display=block] mfrac", height)
        letter = page.eval_on_selector("math:not([display=block]) mi", height)
    assert fraction > 1.8 * letter


def test_maps_draw(course, browser):
    n = 0
    for path in [*pages(course), *sorted(course.glob("maps/*.html"))]:
        with ask.opened(browser, path) as (page, watch):
            alone = path.parent.name == "maps"
            frames = [page] if alone else [f for f in page.frames if f.parent_frame]
            for frame in frames:
                frame.wait_for_selector(".leaflet-container", timeout=5000)
                seen = ask.check(frame, "map")
                assert seen["width"] > 250, path.name
                assert seen["height"] > 150, path.name
                assert seen["drawn"] >= 1, path.name
                n += 1
            assert watch.console + watch.outside == [], path.name
    assert n >= (1 if course == Path(BUILT).resolve() else 2)


@sizes
def test_slides_turn_and_fit(course, browser, size):
    wrong = {}
    for path in decks(course):
        with ask.opened(browser, path, size=size) as (page, watch):
            page.wait_for_function("() => window.Reveal && Reveal.isReady()")
            total = page.evaluate("() => Reveal.getTotalSlides()")
            found = []
            for at in range(total):
                page.wait_for_function(f"() => {PICTURES}.every((e) => e.complete)")
                found += [f"slide {at + 1}: {fault}" for fault in slide_faults(page, size)]
                page.keyboard.press("Space")
            assert page.evaluate("() => Reveal.isLastSlide()"), path.name
            found += ask.broken_links(page, path) + watch.console + watch.outside
        if found:
            wrong[path.name] = found
    assert wrong == {}


def slide_faults(page, size: str) -> list[str]:
    """What is wrong with the slide that is shown."""
    seen = ask.check(page, "slide")
    faults = ask.check(page, "tooWide")
    if seen["empty"]:
        faults.append("empty")
    if not seen["pictures"]:
        faults.append("a picture is missing")
    if size == "desk" and seen["long"] and not seen["table"]:
        faults.append(f"has to be scrolled: {seen['text']!r}")
    if size == "desk" and seen["filled"] > 1.01:
        faults.append(f"does not fit: {seen['text']!r}")
    if seen["smallest"] < (12 if size == "desk" else 10):
        faults.append(f"letters of {seen['smallest']:.1f} px: {seen['text']!r}")
    return faults


@views
def test_slides_have_contrast(small, browser, scheme):
    with ask.opened(browser, small / "00_every_kind.slides.html", scheme=scheme) as (page, _):
        page.wait_for_function("() => window.Reveal && Reveal.isReady()")
        for _ in range(page.evaluate("() => Reveal.getTotalSlides()")):
            assert ask.check(page, "contrast") == []
            page.keyboard.press("Space")


def test_a_map_on_a_slide_draws_when_it_is_reached(small, browser):
    with ask.opened(browser, small / "00_every_kind.slides.html") as (page, watch):
        page.wait_for_function("() => window.Reveal && Reveal.isReady()")
        assert page.locator("iframe[data-page]").count() == 1
        while not page.evaluate("() => !!Reveal.getCurrentSlide().querySelector('iframe')"):
            page.keyboard.press("Space")
        frame = page.frame_locator(".present iframe").locator(".leaflet-overlay-pane path").first
        frame.wait_for(timeout=5000)
        inside = next(f for f in page.frames if f.parent_frame)
        seen = ask.check(inside, "map")
        assert (seen["width"] > 600, seen["height"] > 300, seen["drawn"] >= 1) == (True,) * 3
        assert watch.console + watch.outside == []


def test_slides_leave_out_what_only_sets_up(small, browser):
    text = (small / "00_every_kind.slides.html").read_text(encoding="utf-8")
    assert "n_rows" in text  # the code that uses the knob
    assert "import pandas" not in text
    assert "n_rows = 50" not in text
    broken = (small / "01_breaks.slides.html").read_text(encoding="utf-8")
    assert "JSONDecodeError" in broken, "an error is never left out"


def test_a_request_would_be_noticed(tmp_path, browser):
    path = tmp_path / "bad.html"
    path.write_text(
        '<body style="color:#999;background:#aaa"><img src="https://example.org/x.png">'
        '<p style="width:3000px">faint</p><a href="gone.html">gone</a><script>oh()</script>'
    )
    with ask.opened(browser, path) as (page, watch):
        assert watch.outside == ["https://example.org/x.png"]
        assert any("oh is not defined" in line for line in watch.console)
        assert ask.check(page, "tooWide")
        assert ask.check(page, "contrast")
        assert ask.broken_links(page, path) == ["gone.html"]
