"""Run by `test_hamming.py` in a process of its own, under Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from geolab.kernels.hamming import hamming_topk, hamming_topk_reference


def codes(n, n_bytes, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, n_bytes), dtype=torch.uint8, generator=g)


@pytest.mark.parametrize("n_bytes", [1, 5, 8, 32])
@pytest.mark.parametrize(("q", "n", "k"), [(1, 1, 1), (3, 300, 100), (17, 129, 4), (2, 65, 65)])
def test_equals_bit_by_bit(q, n, k, n_bytes):
    queries, base = codes(q, n_bytes, 1), codes(n, n_bytes, 2)
    queries[0], base[0] = 0, 255  # the largest distance, sign bits included
    want = hamming_topk_reference(queries, base, k)
    distances, indices = hamming_topk(queries, base, k, backend="triton")
    assert torch.equal(distances, want[0])
    assert torch.equal(indices, want[1])


def test_ties_by_index():
    base = codes(1, 8, 1).repeat(200, 1)
    assert torch.equal(hamming_topk(base[:1], base, 40, backend="triton")[1][0], torch.arange(40))
