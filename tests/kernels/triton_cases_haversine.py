"""Cases for the Triton distances, which `test_haversine.py` runs with the interpreter on."""

from __future__ import annotations

import pytest
import torch

from geolab import sphere
from geolab.kernels.haversine import haversine_matrix, haversine_matrix_reference


def pair(n: int, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random points; the last ones of the second set are copies and antipodes of the first."""
    a, b = sphere.uniform_points(n, 1), sphere.uniform_points(m, 2)
    opposite = torch.stack([-a[:, 0], sphere.wrap_lon(a[:, 1] + 180)], dim=1)
    return a, torch.cat([b, a, opposite])


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 130), (33, 129), (64, 200)])
def test_within_two_metres(n, m):
    a, b = pair(n, m)
    got = haversine_matrix(a, b, backend="triton")
    assert got.dtype == torch.float32
    assert (got.double() - haversine_matrix_reference(a, b)).abs().max() <= 0.002
    assert got[:, m : m + n].diagonal().abs().max() == 0


def test_out_with_strides():
    a, b = pair(9, 20)
    wide = torch.full((9, 2 * len(b)), torch.nan)
    haversine_matrix(a, b, out=wide[:, ::2], backend="triton")
    assert torch.equal(wide[:, ::2], haversine_matrix(a, b, backend="triton"))
    assert wide[:, 1::2].isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_equals_the_reference(dtype):
    points, others = sphere.uniform_points(21, 1).to(dtype), sphere.uniform_points(150, 2).to(dtype)
    weight = torch.randn(21, 150, generator=torch.Generator().manual_seed(0))
    grads = []
    for compute in (haversine_matrix_reference, haversine_matrix):
        a, b = points.clone().requires_grad_(), others.clone().requires_grad_()
        options = {"backend": "triton"} if compute is haversine_matrix else {}
        (compute(a, b, **options) * weight).sum().backward()
        grads.append((a.grad, b.grad))
    for got, want in zip(grads[1], grads[0], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-2)


def test_gradient_of_identical_points_is_zero():
    a = sphere.uniform_points(20, 1).requires_grad_()
    haversine_matrix(a, a.detach(), backend="triton").diagonal().sum().backward()
    assert a.grad.abs().max() == 0


def test_empty_sets():
    assert haversine_matrix(torch.empty(0, 2), [[0.0, 0.0]], backend="triton").shape == (0, 1)
