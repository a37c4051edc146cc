"""Smoothed cross-entropy with the linear layer: chunks, short formats, gradients, bad input."""

from __future__ import annotations

import pytest
import torch

from geolab import sphere
from geolab.kernels import linear_smoothed_cross_entropy, linear_smoothed_cross_entropy_reference

MODES = [
    {"tau": 400.0, "normalise": False},
    {"tau": 20000.0},
    {"tau": 300.0, "reduction": "sum", "radius_km": 6378.137},
    {"tau": None},
]


@pytest.fixture(params=["torch", "numba"])
def backend(request):
    pytest.importorskip(request.param)
    return request.param


def layer(n: int, c: int, dim: int, dtype=torch.float32):
    generator = torch.Generator().manual_seed(5)
    emb, weight, bias = (
        torch.randn(*shape, generator=generator).to(dtype) for shape in ((n, dim), (c, dim), (c,))
    )
    return [emb, weight * dim**-0.5, bias], sphere.uniform_points(n, 1), sphere.uniform_points(c, 2)


def linear_step(function, leaves, *args, **options):
    leaves = [None if x is None else x.detach().clone().requires_grad_() for x in leaves]
    loss = function(*leaves, *args, **options)
    loss.backward()
    return [loss.detach(), *(x.grad for x in leaves if x is not None)]


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_linear_equals_the_reference_over_several_chunks(backend, mode, with_bias, monkeypatch):
    monkeypatch.setattr("geolab.kernels.smoothed_loss_grad._BLOCK", 5 * 77)
    leaves, latlon, cells = layer(23, 77, 16)
    leaves[2] = leaves[2] if with_bias else None
    args = (latlon, cells)
    got = linear_step(linear_smoothed_cross_entropy, leaves, *args, **mode, backend=backend)
    want = linear_step(linear_smoothed_cross_entropy_reference, leaves, *args, **mode)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 * other.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_linear_in_short_formats(dtype):
    leaves, latlon, cells = layer(20, 50, 16)
    wide = linear_step(linear_smoothed_cross_entropy_reference, leaves, latlon, cells, 300.0)
    short = [x.to(dtype) for x in leaves]
    for got in (
        linear_step(linear_smoothed_cross_entropy, short, latlon, cells, 300.0),
        linear_step(
            linear_smoothed_cross_entropy, leaves, latlon, cells, 300.0, product_dtype=dtype
        ),
    ):
        for one, other in zip(got, wide, strict=True):
            size = other.abs().max().item()
            torch.testing.assert_close(one.float(), other, rtol=0, atol=0.03 * size)


def test_linear_gradcheck_and_autocast():
    leaves, latlon, cells = layer(3, 7, 4, torch.float64)
    reference = linear_smoothed_cross_entropy_reference
    assert torch.autograd.gradcheck(
        lambda e, w, b: reference(e, w, b, latlon, cells, 900.0),
        [x.clone().requires_grad_() for x in leaves],
    )
    want = linear_step(reference, leaves, latlon, cells, 900.0)
    got = linear_step(linear_smoothed_cross_entropy, leaves, latlon, cells, 900.0)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
    leaves, latlon, cells = layer(9, 30, 8)
    want = linear_step(linear_smoothed_cross_entropy, leaves, latlon, cells, 300.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = linear_step(linear_smoothed_cross_entropy, leaves, latlon, cells, 300.0)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_linear_gives_gradients_only_where_wanted():
    (emb, weight, bias), latlon, cells = layer(9, 30, 8)
    want = linear_step(linear_smoothed_cross_entropy, (emb, weight, bias), latlon, cells, 300.0)
    weight.requires_grad_()
    linear_smoothed_cross_entropy(emb, weight, bias, latlon, cells, 300.0).backward()
    assert torch.equal(weight.grad, want[2])
    assert emb.grad is None
    frozen = linear_smoothed_cross_entropy(emb, weight.detach(), bias, latlon, cells, 300.0)
    assert not frozen.requires_grad
    assert frozen == want[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emb": torch.zeros(2, 5)}, "emb and weight"),
        ({"emb": torch.zeros(3)}, "emb and weight"),
        ({"bias": torch.zeros(5)}, "bias must have shape"),
        ({"weight": torch.zeros(4, 3).double()}, "one dtype"),
        ({"emb": torch.zeros(0, 3), "latlon": torch.empty(0, 2)}, "empty"),
        ({"tau": 0.0}, "tau"),
    ],
)
def test_bad_input_to_the_linear_form_is_refused(change, message):
    good = {"emb": torch.zeros(2, 3), "weight": torch.zeros(4, 3), "bias": torch.zeros(4)}
    good |= {"latlon": [[0.0, 0.0]] * 2, "cells": [[0.0, 0.0]] * 4, "tau": 75.0}
    with pytest.raises(ValueError, match=message):
        linear_smoothed_cross_entropy(**good | change)
