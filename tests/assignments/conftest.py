from __future__ import annotations

import matplotlib.pyplot as plt
import pytest

from geolab.assignments.build import build_assignments
from geolab.assignments.source import find_sources
from tests.assignments.judging import SOURCES


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Folder with the student and instructor trees of all assignments."""
    out = tmp_path_factory.mktemp("assignments")
    build_assignments(find_sources(SOURCES), out, hidden_seeds=(101, 202))
    return out


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")
