"""The second half of the notebooks: a file of its own, so that two processes share the work."""

from __future__ import annotations

import pytest

from tests.notebooks.running import HALF, NOTEBOOKS, check_notebook

MINE = NOTEBOOKS[HALF:]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", MINE, ids=[path.stem for path in MINE])
def test_notebook_runs(path, out, record_property):
    record_property("seconds", check_notebook(path, out))
