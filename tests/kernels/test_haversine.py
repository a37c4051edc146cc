"""Distance matrix: 2 m for all pairs on every path, gradients, bad input."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from geolab import sphere
from geolab.bench.haversine import haversine_eager
from geolab.kernels.haversine import haversine_matrix, haversine_matrix_reference
from geolab.kernels.threads import for_rows
from tests.kernels.interpreter import run_triton_cases

BACKENDS = ["torch", "numba"]
WORST_M = 2.0


@pytest.fixture(params=BACKENDS)
def backend(request):
    pytest.importorskip(request.param)
    return request.param


def antipodes(points: torch.Tensor) -> torch.Tensor:
    return torch.stack([-points[:, 0], sphere.wrap_lon(points[:, 1] + 180)], dim=1)


def shifted(points: torch.Tensor, km: float, seed: int) -> torch.Tensor:
    """Points about `km` away in random directions."""
    generator = torch.Generator().manual_seed(seed)
    bearing = 360 * torch.rand(len(points), generator=generator, dtype=torch.float64)
    return sphere.destination(points, bearing, torch.full_like(bearing, km))


def worst_metres(a, b, backend, **options) -> float:
    got = haversine_matrix(a, b, backend=backend, **options).double()
    return 1e3 * (got - haversine_matrix_reference(a, b)).abs().max().item()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (33, 1025), (1, 2049), (130, 17)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_within_two_metres_on_odd_shapes(backend, shape, dtype):
    a, b = (sphere.uniform_points(n, n).to(dtype) for n in shape)
    got = haversine_matrix(a, b, backend=backend)
    assert got.shape == shape
    assert got.dtype == torch.float32
    assert worst_metres(a, b, backend) <= WORST_M


@pytest.mark.parametrize("km", [0.001, 0.1, 10, 1000, 6671, 10007.5, 13343, 19000, 20015, 20015.11])
def test_within_two_metres_at_every_range(backend, km):
    """Ranges where the formula changes branch, and both ends, where others fail."""
    points = sphere.uniform_points(300, 5)
    assert worst_metres(points, shifted(points, km, 6), backend) <= WORST_M


def test_within_two_metres_for_a_million_pairs(backend):
    a, b = sphere.uniform_points(700, 1), sphere.uniform_points(1500, 2)
    assert worst_metres(a, torch.cat([b, a, antipodes(a)]), backend) <= WORST_M


def test_the_usual_float32_formulas_do_not_hold_two_metres():
    """The test above can fail: the textbook formula in float32 does, by kilometres."""
    a = sphere.uniform_points(300, 1)
    b = torch.cat([a, antipodes(a)])
    exact = haversine_matrix_reference(a, b)
    textbook = haversine_eager(a.float(), b.float())
    assert (textbook.double() - exact).abs().max() > 0.5
    dot = sphere.to_unit(a).float() @ sphere.to_unit(b).float().T
    by_acos = sphere.EARTH_RADIUS_KM * dot.clamp(-1, 1).acos()
    assert (by_acos.double() - exact).abs().max() > 0.5


def test_identical_points_are_at_zero_and_poles_and_dateline_are_places(backend):
    points = sphere.uniform_points(500, 3)
    assert haversine_matrix(points, points, backend=backend).diagonal().abs().max() == 0
    poles = torch.tensor([[90.0, 0], [90, 123], [-90, 0], [0, 180], [0, -180], [0, 0]])
    got = haversine_matrix(poles, poles, backend=backend)
    half = np.pi * sphere.EARTH_RADIUS_KM
    assert got[0, 1] < 1e-3
    assert got[3, 4] < 1e-3
    assert abs(got[0, 2].item() - half) < 2e-3
    assert abs(got[3, 5].item() - half) < 2e-3
    assert abs(got[0, 3].item() - half / 2) < 1e-3


def test_neighbours_keep_their_order(backend):
    """One metre apart, the distance is right to a part in a hundred."""
    points = sphere.uniform_points(200, 8)
    got = haversine_matrix(points, shifted(points, 0.001, 9), backend=backend).diagonal()
    torch.testing.assert_close(got, torch.full_like(got, 0.001), rtol=0.05, atol=0)


def test_radius(backend):
    a, b = sphere.uniform_points(9, 1), sphere.uniform_points(8, 2)
    want = haversine_matrix_reference(a, b, radius_km=1.0).float()
    got = haversine_matrix(a, b, radius_km=1.0, backend=backend)
    torch.testing.assert_close(got, want, rtol=0, atol=3e-7)


def test_out_is_filled_and_returned(backend):
    a, b = sphere.uniform_points(70, 1), sphere.uniform_points(90, 2)
    out = torch.full((70, 90), torch.nan)
    got = haversine_matrix(a, b, out=out, backend=backend)
    assert got.data_ptr() == out.data_ptr()
    assert torch.equal(out, haversine_matrix(a, b, backend=backend))
    wide = torch.full((70, 180), torch.nan)
    haversine_matrix(a, b, out=wide[:, ::2], backend=backend)
    assert (wide[:, ::2] - out).abs().max() <= 0.002
    assert wide[:, 1::2].isnan().all()


def test_strides_of_the_points_do_not_matter(backend):
    a, b = sphere.uniform_points(20, 1), sphere.uniform_points(30, 2)
    want = haversine_matrix(a, b, backend=backend)
    assert torch.equal(haversine_matrix(a.T.contiguous().T, b, backend=backend), want)
    one = a[:1].expand(7, 2)
    assert torch.equal(haversine_matrix(one, b, backend=backend), want[:1].expand(7, 30))
    assert torch.equal(haversine_matrix(a.flip(0), b, backend=backend), want.flip(0))


def test_lists_arrays_and_empty_sets(backend):
    got = haversine_matrix([[0, 0]], np.array([[0.0, 90.0]]), backend=backend)
    assert abs(got.item() - np.pi / 2 * sphere.EARTH_RADIUS_KM) < 1e-3
    none = torch.empty(0, 2)
    assert haversine_matrix(none, none, backend=backend).shape == (0, 0)
    assert haversine_matrix([[0.0, 0.0]], none, backend=backend).shape == (1, 0)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([0.0, 0.0], [[0.0, 0.0]], {}, r"\(N, 2\)"),
        ([[0.0, 0.0, 0.0]], [[0.0, 0.0]], {}, r"\(lat, lon\)"),
        ([[0.0, 0.0]], [[np.nan, 0.0]], {}, "b row 0"),
        ([[0.0, 0.0], [0.0, np.inf]], [[0.0, 0.0]], {}, "a row 1"),
        ([[120.0, 0.0]], [[0.0, 0.0]], {}, "swapped"),
        ([[0.0, 0.0]], [[0.0, 0.0]], {"radius_km": 0.0}, "radius_km"),
        ([[0.0, 0.0]], [[0.0, 0.0]], {"radius_km": float("nan")}, "radius_km"),
        ([[0.0, 0.0]], [[0.0, 0.0]], {"backend": "fortran"}, "backend"),
        ([[0.0, 0.0]], [[0.0, 0.0]], {"out": torch.empty(1, 2)}, "out must be float32 of shape"),
        ([[0.0, 0.0]], [[0.0, 0.0]], {"out": torch.empty(1, 1).double()}, "out must be float32"),
        ([[0.0, 0.0]] * 3, [[0.0, 0.0]], {"out": torch.empty(1, 1).expand(3, 1)}, "share memory"),
    ],
)
def test_bad_input_is_refused(a, b, options, message):
    with pytest.raises(ValueError, match=message):
        haversine_matrix(a, b, **options)


def test_points_on_two_devices_are_refused(monkeypatch):
    monkeypatch.setattr(sphere, "check_latlon", lambda points, name: points)
    with pytest.raises(ValueError, match="one device"):
        haversine_matrix(torch.zeros(1, 2, device="meta"), torch.zeros(1, 2))


def test_out_and_gradient_do_not_mix():
    a = torch.zeros(1, 2, requires_grad=True)
    with pytest.raises(ValueError, match="gradient"):
        haversine_matrix(a, torch.zeros(1, 2), out=torch.empty(1, 1))
    with torch.no_grad():
        assert haversine_matrix(a, torch.zeros(1, 2), out=torch.empty(1, 1)).item() == 0


def test_reference_passes_gradcheck():
    a = sphere.uniform_points(4, 1).requires_grad_()
    b = sphere.uniform_points(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(haversine_matrix_reference, (a, b), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_equals_the_reference(backend, dtype):
    points, others = sphere.uniform_points(40, 1), sphere.uniform_points(600, 2)
    others = torch.cat([others, shifted(points, 0.5, 3), shifted(points, 20000, 4)])
    weight = torch.randn(40, len(others), generator=torch.Generator().manual_seed(0))
    grads = []
    for compute in (haversine_matrix_reference, haversine_matrix):
        a, b = (p.to(dtype, copy=True).requires_grad_() for p in (points, others))
        options = {} if compute is haversine_matrix_reference else {"backend": backend}
        (compute(a, b, **options) * weight).sum().backward()
        grads.append((a.grad, b.grad))
    for got, want in zip(grads[1], grads[0], strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4)


def test_gradient_is_zero_for_identical_points_and_finite_for_antipodes(backend):
    a = sphere.uniform_points(20, 1).requires_grad_()
    haversine_matrix(a, a.detach(), backend=backend).diagonal().sum().backward()
    assert a.grad.abs().max() == 0
    a.grad = None
    haversine_matrix(a, antipodes(a.detach()), backend=backend).sum().backward()
    assert a.grad.isfinite().all()


def test_auto_takes_the_plain_path_for_small_matrices_and_agrees_for_large_ones():
    a, b = sphere.uniform_points(600, 1), sphere.uniform_points(1000, 2)
    small = haversine_matrix(a[:5], b)
    assert torch.equal(small, haversine_matrix(a[:5], b, backend="torch"))
    assert (haversine_matrix(a, b)[:5] - small).abs().max() <= 0.004


def test_rows_are_all_done_once_and_errors_come_through():
    done, lock = [], threading.Lock()

    def work(start, stop):
        with lock:
            done.extend(range(start, stop))

    for_rows(work, 103, 8)
    assert sorted(done) == list(range(103))

    def fail(start, stop):
        if start:
            raise ArithmeticError("row")

    with pytest.raises(ArithmeticError, match="row"):
        for_rows(fail, 100, 8)


def test_one_thread_is_enough():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        seen = []
        for_rows(lambda start, stop: seen.append(threading.get_ident()), 50, 8)
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {threading.get_ident()}


def test_triton_under_the_interpreter(repo_root):
    run_triton_cases("haversine", repo_root)
