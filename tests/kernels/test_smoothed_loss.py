"""Smoothed cross-entropy: every path against whole matrices in float64, memory, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from geolab import sphere
from geolab.bench.measure import peak_mib
from geolab.bench.smoothed_loss import eager_loss
from geolab.kernels import (
    smoothed_cross_entropy,
    smoothed_cross_entropy_reference,
    smoothed_targets,
)
from tests.kernels.interpreter import run_triton_cases

BACKENDS = ["torch", "numba"]
# relative to the largest entry: rounding of the stored gradient rules in the short formats
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 5e-3, torch.float16: 1e-3}
MODES = [
    {"tau": 75.0},
    {"tau": 400.0, "normalise": False},
    {"tau": 20000.0},
    {"tau": 300.0, "reduction": "sum", "radius_km": 6378.137},
    {"tau": None},
]


@pytest.fixture(params=BACKENDS)
def backend(request):
    pytest.importorskip(request.param)
    return request.param


def example(n: int, c: int, dtype=torch.float32, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(n, c, generator=generator)).to(dtype)
    return logits, sphere.uniform_points(n, 1), sphere.uniform_points(c, 2)


def step(function, logits, *args, **options):
    leaf = logits.detach().clone().requires_grad_()
    loss = function(leaf, *args, **options)
    loss.backward()
    return loss.detach(), leaf.grad


def assert_same(got, want, dtype):
    bound = TOLERANCE[dtype] * want[1].double().abs().max().item()
    torch.testing.assert_close(got[0].double(), want[0].double(), rtol=3e-6, atol=1e-6)
    torch.testing.assert_close(got[1].double(), want[1].double(), rtol=0, atol=bound)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 513), (19, 1025)])
def test_equals_the_reference(backend, shape, mode):
    data = example(*shape)
    got = step(smoothed_cross_entropy, *data, **mode, backend=backend)
    assert_same(got, step(smoothed_cross_entropy_reference, *data, **mode), torch.float32)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_every_dtype_keeps_its_dtype_in_the_gradient(dtype):
    logits, latlon, cells = example(11, 700, dtype)
    for backend in ("torch",) if dtype == torch.float64 else BACKENDS:
        got = step(smoothed_cross_entropy, logits, latlon, cells, 90.0, backend=backend)
        want = step(smoothed_cross_entropy_reference, logits.double(), latlon, cells, 90.0)
        assert got[1].dtype == dtype
        assert got[0].dtype == torch.promote_types(dtype, torch.float32)
        assert_same(got, want, dtype)


def test_reference_is_torch_cross_entropy_with_soft_labels():
    logits, latlon, cells = example(7, 90, torch.float64)
    km = sphere.great_circle_matrix(latlon, cells)
    label = torch.softmax(-km / 50.0, dim=1)
    torch.testing.assert_close(smoothed_targets(latlon, cells, 50.0), label)
    want = functional.cross_entropy(logits, label)
    torch.testing.assert_close(smoothed_cross_entropy_reference(logits, latlon, cells, 50.0), want)


def test_published_values_of_the_label():
    """At 0, 75 and 200 km beyond the nearest cell, tau 75 gives 1, 0.368 and 0.069."""
    cells = sphere.destination(torch.zeros(3, 2), torch.zeros(3), torch.tensor([0.0, 75, 200]))
    label = smoothed_targets([[0.0, 0.0]], cells, 75.0, normalise=False)
    torch.testing.assert_close(
        label, torch.tensor([[1, 0.368, 0.0695]]).double(), atol=1e-3, rtol=0
    )


def test_paper_form_weighs_dense_places_more(backend):
    cells = [[0.0, 0.1 * i] for i in range(10)] + [[50.0, 100.0]]
    logits = torch.zeros(2, len(cells))
    grads = {}
    for normalise in (True, False):
        options = {"normalise": normalise, "backend": backend}
        places = [[0.0, 0.5], [50.0, 100.0]]
        grads[normalise] = step(smoothed_cross_entropy, logits, places, cells, 75.0, **options)[1]
    sizes = {key: grad.abs().sum(dim=1) for key, grad in grads.items()}
    assert sizes[False][0] > 4 * sizes[True][0]
    torch.testing.assert_close(sizes[False][1], sizes[True][1])


def test_one_hot_is_plain_cross_entropy(backend):
    logits, latlon, cells = example(13, 40)
    target = torch.randint(40, (13,), generator=torch.Generator().manual_seed(1))
    want = step(functional.cross_entropy, logits.double(), target)
    options = {"target": target, "backend": backend}
    got = step(smoothed_cross_entropy, logits, latlon, cells, None, **options)
    assert_same(got, want, torch.float32)
    nearest = sphere.great_circle_matrix(latlon, cells).argmin(dim=1)
    got = step(smoothed_cross_entropy, logits, latlon, cells, None, backend=backend)
    assert_same(got, step(functional.cross_entropy, logits.double(), nearest), torch.float32)


def test_a_tiny_tau_is_one_hot_on_the_nearest_cell(backend):
    data = example(13, 40)
    for tau in (1e-3, 1e-300):
        got = step(smoothed_cross_entropy, *data, tau, backend=backend)
        assert_same(got, step(smoothed_cross_entropy_reference, *data, None), torch.float32)


def test_nearer_to_float64_than_plain_float32(backend):
    logits, latlon, cells = example(64, 2203)
    exact = step(
        smoothed_cross_entropy_reference, logits.double(), latlon, cells, 75.0, normalise=False
    )
    got = step(
        smoothed_cross_entropy, logits, latlon, cells, 75.0, normalise=False, backend=backend
    )
    plain = step(eager_loss, logits, latlon, cells, torch.float32)
    ours, theirs = ((x[1].double() - exact[1]).norm() for x in (got, plain))
    assert ours < 0.1 * theirs
    assert abs(got[0].double() - exact[0]) <= 1.5e-7 * exact[0]


def test_large_logits_do_not_overflow(backend):
    logits, latlon, cells = example(6, 200)
    for scale in (1e4, -1e4):
        data = (logits * scale, latlon, cells, 75.0)
        got = step(smoothed_cross_entropy, *data, backend=backend)
        assert_same(got, step(smoothed_cross_entropy_reference, *data), torch.float32)


@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf])
def test_bad_logits_show_in_loss_and_gradient(backend, bad):
    logits, latlon, cells = example(4, 300)
    logits[2, 17] = bad
    loss, grad = step(smoothed_cross_entropy, logits, latlon, cells, 75.0, backend=backend)
    assert loss.isnan()
    assert grad[2].isnan().any()
    assert grad[[0, 1, 3]].isfinite().all()


def test_strides_do_not_matter(backend):
    logits, latlon, cells = example(12, 130)
    want = step(smoothed_cross_entropy, logits, latlon, cells, 75.0, backend=backend)
    tall = logits.T.contiguous().T.requires_grad_()
    loss = smoothed_cross_entropy(tall, latlon, cells, 75.0, backend=backend)
    loss.backward()
    assert_same((loss.detach(), tall.grad), want, torch.float32)
    row = logits[:1].clone().requires_grad_()
    loss = smoothed_cross_entropy(row.expand(12, 130), latlon, cells, 75.0, backend=backend)
    loss.backward()
    repeated = (logits[:1].repeat(12, 1), latlon, cells, 75.0)
    want = step(smoothed_cross_entropy_reference, *repeated)
    assert_same((loss.detach(), row.grad), (want[0], want[1].sum(0, keepdim=True)), torch.float32)


def test_points_at_poles_dateline_and_on_the_centre(backend):
    latlon = torch.tensor([[90.0, 10], [-90, 0], [0, 180], [0, -180], [10, 10]])
    cells = torch.tensor([[90.0, -50], [-89, 7], [1, 179], [-1, -179], [10, 10], [-10, -170]])
    data = (example(5, 6)[0], latlon, cells, 200.0)
    got = step(smoothed_cross_entropy, *data, backend=backend)
    assert_same(got, step(smoothed_cross_entropy_reference, *data), torch.float32)


def test_backward_scales_once_and_says_so_the_second_time(backend):
    logits, latlon, cells = example(6, 50)
    want = step(smoothed_cross_entropy, logits, latlon, cells, 75.0, backend=backend)[1]
    leaf = logits.clone().requires_grad_()
    loss = smoothed_cross_entropy(leaf, latlon, cells, 75.0, backend=backend)
    (3 * loss).backward(retain_graph=True)
    torch.testing.assert_close(leaf.grad, 3 * want)
    with pytest.raises(RuntimeError, match="handed over"):
        loss.backward()


def test_no_gradient_is_made_where_none_is_wanted(backend):
    logits, latlon, cells = example(6, 50)
    want = smoothed_cross_entropy_reference(logits, latlon, cells, 75.0)
    got = smoothed_cross_entropy(logits, latlon, cells, 75.0, backend=backend)
    assert not got.requires_grad
    torch.testing.assert_close(got, want)
    with torch.no_grad():
        leaf = logits.clone().requires_grad_()
        again = smoothed_cross_entropy(leaf, latlon, cells, 75.0, backend=backend)
    assert not again.requires_grad
    assert again == got


@pytest.mark.parametrize("mode", MODES)
def test_reference_passes_gradcheck(mode):
    logits, latlon, cells = example(3, 9, torch.float64)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: smoothed_cross_entropy_reference(z, latlon, cells, **mode), (logits,)
    )
    got = step(smoothed_cross_entropy, logits, latlon, cells, **mode)
    assert_same(
        got, step(smoothed_cross_entropy_reference, logits, latlon, cells, **mode), torch.float64
    )


def test_memory_is_the_gradient_and_little_more(backend):
    """A label matrix in float64 would take 48 MB more, and distances the same again."""
    logits, latlon, cells = example(1024, 6000)
    smoothed_cross_entropy(logits[:300], latlon[:300], cells, 75.0, backend=backend)  # compile

    def once():
        step(smoothed_cross_entropy, logits, latlon, cells, 75.0, backend=backend)

    once()
    gradient_and_copy = 2 * logits.nbytes / 2**20  # `step` works on a copy of the logits
    assert peak_mib(once) < gradient_and_copy + 12


BAD = [
    ({"logits": torch.zeros(3)}, "logits must be floating"),
    ({"logits": torch.zeros(2, 4, dtype=torch.int64)}, "logits must be floating"),
    ({"logits": torch.zeros(0, 4), "latlon": torch.empty(0, 2)}, "empty"),
    ({"logits": torch.zeros(2, 0), "cells": torch.empty(0, 2)}, "empty"),
    ({"latlon": [[0.0, 0.0]]}, r"latlon must be \(2, 2\)"),
    ({"cells": [[0.0, 0.0]]}, r"cells must be \(4, 2\)"),
    ({"latlon": [[0.0, 0.0], [math.nan, 0.0]]}, "latlon row 1"),
    ({"cells": [[0.0, 0.0]] * 3 + [[0.0, math.inf]]}, "cells row 3"),
    ({"latlon": torch.zeros(2, 2, device="meta")}, "latlon is on meta"),
    ({"tau": 0.0}, "tau must be positive"),
    ({"tau": -1.0}, "tau must be positive"),
    ({"tau": math.nan}, "tau must be positive"),
    ({"tau": math.inf}, "tau must be positive"),
    ({"reduction": "none"}, "reduction"),
    ({"backend": "cuda"}, "backend"),
    ({"target": torch.zeros(2, dtype=torch.int64)}, "one-hot"),
    ({"tau": None, "target": torch.zeros(3, dtype=torch.int64)}, "target must be int64"),
    ({"tau": None, "target": torch.zeros(2)}, "target must be int64"),
    ({"tau": None, "target": torch.tensor([0, 4])}, r"0\.\.3"),
    ({"tau": None, "target": torch.tensor([-1, 0])}, r"0\.\.3"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_refused(change, message):
    good = {"logits": torch.zeros(2, 4), "latlon": [[0.0, 0.0]] * 2, "cells": [[0.0, 0.0]] * 4}
    with pytest.raises(ValueError, match=message):
        smoothed_cross_entropy(**good | {"tau": 75.0} | change)


def test_float64_has_no_compiled_path():
    logits, latlon, cells = example(2, 4, torch.float64)
    with pytest.raises(ValueError, match="no path"):
        smoothed_cross_entropy(logits, latlon, cells, 75.0, backend="numba")


def test_triton_under_the_interpreter(repo_root):
    run_triton_cases("smoothed_loss", repo_root)
