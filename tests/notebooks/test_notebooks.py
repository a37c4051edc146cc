"""Every notebook runs at preview size, by the runner that `geolab course` uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from geolab.course.build import Options, build_course
from geolab.course.exporting import external_loads
from geolab.course.notebook import find_notebooks
from geolab.course.slides import slides_name

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*_*.ipynb"))
PREVIEW_SECONDS = 90
"""What a notebook may take at preview size on two cores."""


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """One build folder for all, as in a course."""
    return tmp_path_factory.mktemp("course")


def test_there_are_notebooks():
    assert len(find_notebooks(FOLDER)) >= 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebook_runs(path, out, record_property):
    (outcome,) = build_course([path], out, Options(timeout=300), course=NOTEBOOKS)
    record_property("seconds", outcome.entry.seconds)
    assert outcome.ok, f"{path.name}, {outcome.entry.error}"
    assert outcome.outside == ()
    page = (out / f"{path.stem}.html").read_text(encoding="utf-8")
    slides = (out / slides_name(path.stem)).read_text(encoding="utf-8")
    assert external_loads(page) + external_loads(slides) == []
    assert slides.count("<section>") > 10
    assert outcome.entry.peak_gb > 0.2
    assert str(Path.home()) not in page
    assert 'class="tex"' not in page, "a formula could not be translated to MathML"
    assert list((out / "figures").glob(f"{path.stem}_*.png")), "a lecture without a figure"
    # Another process may share the cores: a generous factor, so that only a real change shows.
    assert outcome.entry.seconds < 3 * PREVIEW_SECONDS
