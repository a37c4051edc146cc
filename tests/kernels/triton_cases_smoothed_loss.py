"""Cases for the Triton loss; `test_smoothed_loss.py` runs them with the interpreter switched on.

float32 and float16 only: in bfloat16 the interpreter is wrong.
"""

from __future__ import annotations

import math

import pytest
import torch

from geolab import sphere
from geolab.kernels.smoothed_loss import (
    linear_smoothed_cross_entropy,
    linear_smoothed_cross_entropy_reference,
    smoothed_cross_entropy,
    smoothed_cross_entropy_reference,
)

TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3}
MODES = [
    {"tau": 75.0},
    {"tau": 400.0, "normalise": False},
    {"tau": 20000.0, "reduction": "sum"},
    {"tau": None},
]


def example(n: int, c: int, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(n, c, generator=generator)).to(dtype)
    return logits, sphere.uniform_points(n, 1), sphere.uniform_points(c, 2)


def step(function, logits, *args, **options):
    leaf = logits.detach().clone().requires_grad_()
    loss = function(leaf, *args, **options)
    loss.backward()
    return loss.detach(), leaf.grad


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (6, 513)])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_equals_the_reference(shape, mode, dtype):
    logits, latlon, cells = example(*shape, dtype)
    got = step(smoothed_cross_entropy, logits, latlon, cells, **mode, backend="triton")
    want = step(smoothed_cross_entropy_reference, logits.double(), latlon, cells, **mode)
    assert got[1].dtype == dtype
    torch.testing.assert_close(got[0].double(), want[0], rtol=3e-6, atol=1e-6)
    bound = TOLERANCE[dtype] * want[1].abs().max().item()
    torch.testing.assert_close(got[1].double(), want[1], rtol=0, atol=bound)


def test_several_walks_over_more_cells_than_a_block():
    data = (*example(2, 9001), 75.0)
    got = step(smoothed_cross_entropy, *data, backend="triton")
    want = step(smoothed_cross_entropy_reference, *data)
    torch.testing.assert_close(got[0], want[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(got[1], want[1], rtol=0, atol=1e-6)


def test_nan_shows_and_strides_do_not_matter():
    logits, latlon, cells = example(4, 30)
    logits[2, 17] = math.nan
    loss, _ = step(smoothed_cross_entropy, logits, latlon, cells, 75.0, backend="triton")
    assert loss.isnan()
    logits, latlon, cells = example(4, 30)
    want = smoothed_cross_entropy(logits, latlon, cells, 75.0, backend="triton")
    tall = logits.T.contiguous().T
    assert smoothed_cross_entropy(tall, latlon, cells, 75.0, backend="triton") == want


def test_linear_form():
    generator = torch.Generator().manual_seed(1)
    leaves = [torch.randn(*s, generator=generator) for s in ((9, 8), (40, 8), (40,))]
    _, latlon, cells = example(9, 40)
    answers = []
    for function, options in (
        (linear_smoothed_cross_entropy, {"backend": "triton"}),
        (linear_smoothed_cross_entropy_reference, {}),
    ):
        fresh = [x.clone().requires_grad_() for x in leaves]
        loss = function(*fresh, latlon, cells, 300.0, **options)
        loss.backward()
        answers.append([loss.detach(), *(x.grad for x in fresh)])
    for got, want in zip(*answers, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
