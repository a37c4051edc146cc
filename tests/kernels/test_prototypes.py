"""Prototype scores against a loop over photos and cells."""

from __future__ import annotations

import math

import pytest
import torch

from geolab.kernels.prototypes import PrototypeTable, prototype_scores, prototype_scores_reference
from tests.kernels.interpreter import run_triton_cases

BACKENDS = ["torch", "numba"]


def example(n_photos: int, k: int, n_cells: int, n_prototypes: int, dim: int, seed: int = 0):
    """Random photos over a ragged table whose last cell has no prototype."""
    generator = torch.Generator().manual_seed(seed)
    owner = torch.randint(0, n_cells - 1, (n_prototypes,), generator=generator)
    count = owner.bincount(minlength=n_cells)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), count.cumsum(0)])
    table = PrototypeTable(torch.randn(n_prototypes, dim, generator=generator), offsets)
    emb = torch.randn(n_photos, dim, generator=generator)
    cells = torch.stack([torch.randperm(n_cells, generator=generator)[:k] for _ in range(n_photos)])
    return emb, cells, torch.rand(n_photos, k, generator=generator), table


SHAPES = [(1, 1, 2, 3, 5), (7, 3, 11, 30, 17), (5, 4, 9, 4, 33), (40, 5, 60, 400, 64)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_loop(backend, shape, dtype):
    pytest.importorskip(backend)
    emb, cells, probs, table = example(*shape)
    table = PrototypeTable(table.vectors.to(dtype), table.offsets)
    args = (emb.to(dtype), cells, probs.to(dtype), table, 1.6)
    got, want = prototype_scores(*args, backend=backend), prototype_scores_reference(*args)
    assert torch.equal(got.winner, want.winner)
    assert torch.equal(got.nearest, want.nearest)
    torch.testing.assert_close(got.scores, want.scores, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got.distance, want.distance, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_cell_is_its_nearest_prototype(backend):
    pytest.importorskip(backend)
    emb, cells, probs, table = example(20, 1, 6, 50, 8)
    got = prototype_scores(emb, cells, probs, table, 0.5, backend=backend)
    torch.testing.assert_close(got.scores, torch.where(got.nearest >= 0, probs, got.scores))
    assert (got.winner == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_high_temperature_follows_the_cells_and_low_one_the_prototypes(backend):
    pytest.importorskip(backend)
    emb, cells, probs, table = example(50, 3, 5, 60, 8)
    cells = cells.clamp(max=3)  # cells with prototypes only
    hot = prototype_scores(emb, cells, probs, table, 1e9, backend=backend)
    assert torch.equal(hot.winner, probs.argmax(-1))
    cold = prototype_scores(emb, cells, torch.ones_like(probs), table, 1e-3, backend=backend)
    assert torch.equal(cold.winner, cold.distance.argmin(-1))
    assert torch.isfinite(cold.scores).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_query_equal_to_a_prototype_finds_it(backend):
    pytest.importorskip(backend)
    _, _, _, table = example(1, 1, 6, 40, 16)
    owner = torch.searchsorted(table.offsets, torch.arange(40), right=True) - 1
    got = prototype_scores(
        table.vectors, owner[:, None], torch.ones(40, 1), table, 1.0, backend=backend
    )
    assert torch.equal(got.nearest.squeeze(1), torch.arange(40))
    assert (got.distance == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_cells_without_prototypes(backend):
    pytest.importorskip(backend)
    table = PrototypeTable(torch.ones(1, 4), torch.tensor([0, 0, 1, 1]))
    cells = torch.tensor([[0, 1], [0, 2]])
    probs = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    got = prototype_scores(torch.zeros(2, 4), cells, probs, table, 1.0, backend=backend)
    assert got.winner.tolist() == [1, 1]
    assert got.nearest.tolist() == [[-1, 0], [-1, -1]]
    assert math.isinf(got.distance[0, 0])
    assert got.scores[0, 0] == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_strides_and_empty_batch(backend):
    pytest.importorskip(backend)
    emb, cells, probs, table = example(6, 2, 5, 20, 8)
    wide = torch.empty(6, 16)
    wide[:, ::2] = emb
    a = prototype_scores(wide[:, ::2], cells, probs, table, 1.0, backend=backend)
    b = prototype_scores(emb, cells, probs, table, 1.0, backend=backend)
    assert torch.equal(a.scores, b.scores)
    same = prototype_scores(emb[:1].expand(6, 8), cells, probs, table, 1.0, backend=backend)
    assert torch.isfinite(same.scores).all()
    none = prototype_scores(emb[:0], cells[:0], probs[:0], table, 1.0, backend=backend)
    assert none.winner.shape == (0,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"emb": torch.zeros(4, 3)}, "does not fit"),
        ({"emb": torch.zeros(4, 8, dtype=torch.float64)}, "does not fit"),
        ({"emb": torch.full((4, 8), math.nan)}, "emb row 0 is not finite"),
        ({"probs": torch.full((4, 2), math.inf)}, "probs row 0 is not finite"),
        ({"probs": torch.zeros(4, 3)}, r"\(B, K\)"),
        ({"cells": torch.full((4, 2), 9)}, r"cells must be in 0..4, not 9..9"),
        ({"cells": torch.full((4, 2), -1)}, "not -1"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"emb": torch.zeros(4, 8, device="meta")}, "one device"),
    ],
)
def test_bad_input(change, words):
    emb, cells, probs, table = example(4, 2, 5, 20, 8)
    good = {"emb": emb, "cells": cells, "probs": probs, "prototypes": table, "temperature": 1.0}
    with pytest.raises(ValueError, match=words):
        prototype_scores(**(good | change))


@pytest.mark.parametrize("offsets", [[0, 3, 2, 4], [1, 4], [0, 5], [0]])
def test_bad_table(offsets):
    with pytest.raises(ValueError, match="offsets"):
        PrototypeTable(torch.zeros(4, 2), torch.tensor(offsets))


def test_triton_under_the_interpreter(repo_root):
    run_triton_cases("prototypes", repo_root)
