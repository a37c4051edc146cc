"""OPTICS without a matrix gives scikit-learn's labels."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.kernels.optics import optics, optics_reference

BACKENDS = ["torch", "numba"]


def town(n: int, seed: int, *, twice: bool = False) -> np.ndarray:
    """Clusters of three densities around eight centres; `twice` repeats half of the points."""
    rng = np.random.default_rng(seed)
    centres = np.column_stack([rng.uniform(-80, 80, 8), rng.uniform(-180, 180, 8)])
    spread = rng.choice([0.02, 0.3, 3.0], (n, 1))
    points = centres[rng.integers(0, 8, n)] + rng.normal(0, 1, (n, 2)) * spread
    points = np.column_stack([np.clip(points[:, 0], -90, 90), (points[:, 1] + 180) % 360 - 180])
    if twice:
        points[n // 2 :] = points[: n - n // 2]
    return points


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("n", "min_samples", "xi", "twice"),
    [(5, 5, 0.05, False), (50, 3, 0.15, False), (201, 3, 0.15, False), (150, 8, 0.05, True),
     (120, 2, 0.5, True), (99, 30, 0.015, False)],
)  # fmt: skip
def test_labels_equal_scikit_learn(backend, n, min_samples, xi, twice):
    pytest.importorskip(backend)
    points = town(n, n, twice=twice)
    got = optics(points, min_samples, xi, backend=backend)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, optics_reference(points, min_samples, xi))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("where", [[90.0, 0.0], [-17.0, 180.0], [60.0, 10.0]])
def test_poles_and_antimeridian(backend, where):
    pytest.importorskip(backend)
    rng = np.random.default_rng(3)
    points = np.array(where) + rng.normal(0, 0.5, (60, 2))
    points = np.column_stack([np.clip(points[:, 0], -90, 90), (points[:, 1] + 180) % 360 - 180])
    want = optics_reference(points, 4, 0.1)
    np.testing.assert_array_equal(optics(points, 4, 0.1, backend=backend), want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_identical_points_and_antipodes(backend):
    pytest.importorskip(backend)
    points = np.array([[10.0, 20.0]] * 6 + [[-10.0, -160.0]] * 6)
    labels = optics(points, 3, 0.05, backend=backend)
    np.testing.assert_array_equal(labels, optics_reference(points, 3, 0.05))


@pytest.mark.parametrize(
    ("points", "min_samples", "xi", "words"),
    [
        ([[0.0, 0.0]], 3, 0.05, "1 points are fewer than min_samples = 3"),
        (np.empty((0, 2)), 3, 0.05, "0 points"),
        ([[0.0, 0.0]] * 5, 1, 0.05, "at least 2"),
        ([[0.0, 0.0]] * 5, 3, 0.0, r"xi must be in \(0, 1\)"),
        ([[0.0, 0.0]] * 5, 3, 1.0, "xi must be"),
        ([[0.0, 0.0], [91.0, 0.0], [0.0, 0.0]], 3, 0.05, "row 1"),
        ([[np.nan, 0.0]] * 3, 3, 0.05, "nan"),
        ([[[0.0, 0.0]]], 2, 0.05, r"must be \(N, 2\)"),
    ],
)
def test_bad_input(points, min_samples, xi, words):
    with pytest.raises(ValueError, match=words):
        optics(points, min_samples, xi)
