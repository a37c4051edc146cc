"""Run by `test_topk.py` in a process of its own, under Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from geolab.kernels.topk import topk, topk_reference
from geolab.kernels.topk_index import Block, bare_index, encode, with_codes
from geolab.kernels.topk_triton import GROUP, group_max


def vectors(n, dim, seed):
    return 1 + torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("q", "n", "dim"), [(1, 130, 70), (19, 257, 33), (16, 128, 64)])
def test_group_maximum(q, n, dim, dtype):
    z, y, bias = vectors(q, dim, 1).to(dtype), vectors(n, dim, 2).to(dtype), vectors(n, 1, 3)[:, 0]
    for h in (None, bias):
        got = group_max(z, Block(0, y, h, 1.0, 0.0))
        score = z.float() @ y.float().T - (0 if h is None else h)
        want = torch.stack([part.amax(dim=1) for part in score.split(GROUP, dim=1)], dim=1)
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_search(metric, dtype):
    queries, base = vectors(5, 40, 1), vectors(1500, 40, 2)
    base[700:] = base[:800].clone()  # ties, across blocks of the scan
    index = bare_index(base, metric)
    index = index if dtype is None else with_codes(index, dtype)
    want = topk_reference(queries, base, 6, metric=metric)
    report = {}
    scores, indices = topk(queries, index, 6, backend="triton", report=report)
    assert torch.equal(indices, want[1])
    torch.testing.assert_close(scores, want[0], rtol=3e-7, atol=0)
    assert report["float64"] == 0


def test_crowded_queries_fall_back():
    base = vectors(1, 40, 1).repeat(3000, 1)
    report = {}
    _, indices = topk(vectors(2, 40, 2), base, 3, backend="triton", report=report)
    assert indices.tolist() == [[0, 1, 2]] * 2
    assert report["float32"] == report["float64"] == 2


def test_encode_is_what_the_kernel_reads():
    base = vectors(40, 33, 4)
    block = encode(bare_index(base, "ip"), base, 0, torch.float16)
    assert block.codes.is_contiguous()
