"""S2 ids equal those of s2sphere, point by point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab import sphere
from geolab.kernels.s2 import s2_cell_ids, s2_cell_ids_reference

s2sphere = pytest.importorskip("s2sphere")
BACKENDS = ["torch", "numba"]


def corners_and_edges() -> np.ndarray:
    """Random points, poles, antimeridian, face edges and face centres."""
    points = sphere.uniform_points(1500, 1).numpy()
    special = [[lat, lon] for lat in (-90, -45, 0, 35.2644, 45, 90) for lon in range(-180, 181, 45)]
    return np.concatenate([points, special])


@pytest.fixture(scope="module")
def leaves():
    points = corners_and_edges()
    make = s2sphere.LatLng.from_degrees
    return points, [s2sphere.CellId.from_lat_lng(make(*map(float, point))) for point in points]


@pytest.mark.parametrize("level", [0, 1, 2, 3, 13, 14, 18, 29, 30])
def test_ids_equal_s2sphere(leaves, level):
    points, cells = leaves
    want = np.array([cell.parent(level).id() for cell in cells], dtype=np.uint64)
    lat, lon = points.T
    np.testing.assert_array_equal(s2_cell_ids_reference(lat, lon, level), want)
    for backend in BACKENDS:
        pytest.importorskip(backend)
        got = s2_cell_ids(lat, lon, level, backend=backend)
        assert got.dtype == np.uint64
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocks_and_strides_do_not_matter(backend, monkeypatch):
    pytest.importorskip(backend)
    points = sphere.uniform_points(1001, 5)
    whole = s2_cell_ids(points[:, 0], points[:, 1], 20, backend=backend)
    monkeypatch.setattr("geolab.kernels.s2._BLOCK", 10)
    lat, lon = points.numpy()[::-1].T
    np.testing.assert_array_equal(s2_cell_ids(lat, lon, 20, backend=backend), whole[::-1])
    same = s2_cell_ids(torch.tensor([48.0]).expand(4), torch.tensor([2.0]).expand(4), 12)
    assert len(set(same.tolist())) == 1


def test_empty_input():
    assert s2_cell_ids([], [], 10).shape == (0,)
    assert s2_cell_ids([], [], 10, backend="torch").dtype == np.uint64


@pytest.mark.parametrize(
    ("lat", "lon", "level", "words"),
    [
        ([0.0], [0.0], 31, "from 0 to 30, not 31"),
        ([0.0], [0.0], -1, "not -1"),
        ([0.0, 91.0], [0.0, 0.0], 5, "row 1.*91"),
        ([np.nan], [0.0], 5, "row 0.*nan"),
        ([0.0], [np.inf], 5, "row 0.*inf"),
        ([0.0, 1.0], [0.0], 5, "both be"),
        ([[0.0]], [[0.0]], 5, "both be"),
    ],
)
def test_bad_input(lat, lon, level, words):
    with pytest.raises(ValueError, match=words):
        s2_cell_ids(lat, lon, level)


def test_no_triton_path():
    with pytest.raises(ValueError, match="no path"):
        s2_cell_ids([0.0], [0.0], 5, backend="triton")
