"""Run a notebook at preview size, by the runner that `geolab course` uses, and look at its page."""

from __future__ import annotations

from pathlib import Path

from geolab.course.build import Options, build_course
from geolab.course.exporting import external_loads
from geolab.course.slides import slides_name

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*_*.ipynb"))
HALF = len(NOTEBOOKS) // 2
PREVIEW_SECONDS = 90
"""What a notebook may take at preview size on two cores."""


def check_notebook(path: Path, out: Path) -> float:
    """Seconds that the notebook took; fails where it, its page or its slides are not right."""
    (outcome,) = build_course([path], out, Options(timeout=300), course=NOTEBOOKS)
    assert outcome.ok, f"{path.name}, {outcome.entry.error}"
    assert outcome.outside == ()
    page = (out / f"{path.stem}.html").read_text(encoding="utf-8")
    slides = (out / slides_name(path.stem)).read_text(encoding="utf-8")
    assert external_loads(page) + external_loads(slides) == []
    assert slides.count("<section>") > 10, "few slides"
    assert outcome.entry.peak_gb > 0.2, f"{outcome.entry.peak_gb} GB can't be"
    assert str(Path.home()) not in page, "a path of this machine"
    assert 'class="tex"' not in page, "a formula could not be translated to MathML"
    assert list((out / "figures").glob(f"{path.stem}_*.png")), "a lecture without a figure"
    # Another process may share the cores: a generous factor, so that only a real change shows.
    assert outcome.entry.seconds < 3 * PREVIEW_SECONDS, f"{outcome.entry.seconds:.0f} s"
    return outcome.entry.seconds
