"""Distances between descriptors against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.encoders.im2gps import distance_matrix, paired_distances

NAIVE = {
    "l2": lambda a, b: np.sqrt(np.square(a - b).sum()),
    "l1": lambda a, b: np.abs(a - b).sum(),
    "chi2": lambda a, b: 0.5 * (np.square(a - b) / (a + b + 1e-10)).sum(),
}


def histograms(n: int, d: int, seed: int, filled: float = 0.3) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    values = rng.random((n, d)) * (rng.random((n, d)) < filled)
    values[:, 0] += 1e-6
    return torch.from_numpy(values / values.sum(1, keepdims=True)).float()


@pytest.mark.parametrize("kind", ["l2", "l1", "chi2"])
@pytest.mark.parametrize(("q", "n", "d"), [(1, 1, 1), (3, 5, 7), (4, 2000, 600), (70, 3, 40)])
def test_matrix_and_pairs_equal_the_loop(kind, q, n, d):
    a, b = histograms(q, d, 0), histograms(n, d, 1, filled=0.6)
    matrix = distance_matrix(a, b, kind)
    assert matrix.shape == (q, n)
    assert matrix.dtype == torch.float32
    rng = np.random.default_rng(2)
    for _ in range(30):
        i, j = int(rng.integers(q)), int(rng.integers(n))
        expected = NAIVE[kind](a[i].double().numpy(), b[j].double().numpy())
        assert float(matrix[i, j]) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        pair = paired_distances(a[i : i + 1], b[j : j + 1], kind)
        assert float(pair) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", ["l2", "l1", "chi2"])
def test_properties(kind):
    a = histograms(12, 50, 3)
    matrix = distance_matrix(a, a, kind)
    assert (matrix >= 0).all()
    assert torch.allclose(matrix, matrix.T, atol=1e-6)
    assert torch.allclose(matrix.diagonal(), torch.zeros(12), atol=1e-6)
    if kind == "chi2":
        assert (matrix <= 1 + 1e-6).all()  # histograms that share no bin are 1 apart
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(matrix, distance_matrix(a[:, order], a[:, order], kind), atol=1e-6)


def test_histograms_without_a_common_bin():
    assert distance_matrix(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), "chi2") == 1
    empty = torch.zeros(1, 2)
    assert distance_matrix(empty, empty, "chi2") == 0
    assert paired_distances(empty, empty, "chi2") == 0


def test_l2_of_almost_equal_long_vectors():
    """In float32 products, the difference would drown: the norms are about a million."""
    a = torch.full((1, 768), 50.0)
    b = a.clone()
    b[0, 0] += 0.01
    assert float(distance_matrix(a, b, "l2")) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("kind", ["l2", "l1", "chi2"])
def test_bad_descriptors(kind):
    good, bad = torch.ones(2, 3), torch.ones(2, 3)
    bad[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"b\[1\] holds NaN"):
        distance_matrix(good, bad, kind)
    with pytest.raises(ValueError, match=r"a\[1\] holds NaN"):
        paired_distances(bad, good, kind)
    with pytest.raises(ValueError, match="3 and 4 numbers"):
        distance_matrix(good, torch.ones(2, 4), kind)
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        distance_matrix(torch.ones(3), good, kind)


def test_unknown_kind_and_negative_bin():
    with pytest.raises(ValueError, match="cosine"):
        distance_matrix(torch.ones(1, 2), torch.ones(1, 2), "cosine")
    with pytest.raises(ValueError, match="negative"):
        distance_matrix(torch.ones(1, 2), -torch.ones(1, 2), "chi2")


@pytest.mark.parametrize("kind", ["l2", "l1", "chi2"])
def test_empty_sets(kind):
    assert distance_matrix(torch.ones(0, 3), torch.ones(4, 3), kind).shape == (0, 4)
    assert distance_matrix(torch.ones(2, 3), torch.ones(0, 3), kind).shape == (2, 0)
