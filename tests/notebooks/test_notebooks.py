"""The first half of the notebooks at preview size."""

from __future__ import annotations

import pytest

from geolab.course.notebook import find_notebooks
from tests.notebooks.running import FOLDER, HALF, NOTEBOOKS, check_notebook

MINE = NOTEBOOKS[:HALF]


def test_there_are_notebooks():
    assert len(find_notebooks(FOLDER)) == len(NOTEBOOKS) >= 20


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", MINE, ids=[path.stem for path in MINE])
def test_notebook_runs(path, out, record_property):
    record_property("seconds", check_notebook(path, out))
