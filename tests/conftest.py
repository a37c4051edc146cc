"""Shared fixtures. Tests that need the real photographs beside the checkout skip without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
# Tests, and the notebooks that they run, ask no network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # one process a core: threads would only get in the way
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Notebooks first, a half in each process: what takes longest begins."""
    items.sort(key=lambda item: "tests/notebooks/" not in item.nodeid)


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real geotagged photographs; not part of the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "photos.csv").exists():
        pytest.skip("the real photographs (../shared/data) are not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    """Every test run uses one cache folder of its own, so no test reads or soils the user's."""
    if "GEOLAB_TEST_CACHE" not in os.environ:
        os.environ["GEOLAB_TEST_CACHE"] = str(tmp_path_factory.mktemp("geolab-cache"))
    monkeypatch.setenv("GEOLAB_CACHE", os.environ["GEOLAB_TEST_CACHE"])


@pytest.fixture(autouse=True)
def _figure_style():
    """A notebook's cells, run inside a test, leave no figure style to the next test."""
    from matplotlib import rc_context

    with rc_context():
        yield


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    """A cache folder that does not exist yet."""
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
