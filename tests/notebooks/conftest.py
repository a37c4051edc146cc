"""One build folder for the notebooks of a file, as in a course."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("course")
