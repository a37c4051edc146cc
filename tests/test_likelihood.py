"""From any answer to a proper density: integrals, the uniform answer, widths, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geolab import likelihood, sphere
from geolab.claims import nll_estimate
from geolab.flow.grid import density_grid
from geolab.likelihood import (
    UNIFORM_NLL,
    KernelWidth,
    fit_floor,
    fit_width,
    log_density,
    nll,
    with_floor,
)
from geolab.posterior import Posterior


def some_answers(n: int = 3, k: int = 7, seed: int = 0) -> Posterior:
    rng = np.random.default_rng(seed)
    places = sphere.uniform_points(n * k, seed).view(n, k, 2)  # (n k, 2) -> (n, k, 2)
    return Posterior(places, torch.from_numpy(rng.dirichlet(np.ones(k), n)))


@pytest.mark.parametrize("sigma_km", [150.0, 600.0, 3000.0, 20_000.0])
@pytest.mark.parametrize("floor", [0.0, 0.1, 1.0])
def test_integrates_to_one(sigma_km, floor):
    post, width = some_answers(), KernelWidth(sigma_km, floor)
    for row in range(3):
        grid = density_grid(lambda p, r=row: log_density(post[r], p, width)[0], 4000, refine=9)
        assert abs(grid.integral - 1) < 0.01


def test_places_at_poles_seam_and_twice_integrate_to_one():
    places = [[90.0, 0.0], [-90.0, 50.0], [0.0, 180.0], [0.0, -180.0], [0.0, 180.0]]
    post = Posterior([places], [[0.2] * 5])
    grid = density_grid(lambda p: log_density(post, p, KernelWidth(300))[0], 4000)
    assert abs(grid.integral - 1) < 0.01


def test_uniform_answer_has_log_four_pi():
    grid = sphere.fibonacci_grid(3000)
    anywhere = Posterior(grid, torch.full((50, 3000), 1 / 3000, dtype=torch.float64))
    truth = sphere.uniform_points(50, 3)
    for width in (KernelWidth(400, 0.0), KernelWidth(1500, 0.1)):
        got = nll(anywhere, truth, width)
        torch.testing.assert_close(got, torch.full((50,), UNIFORM_NLL).double(), atol=0.01, rtol=0)
    pin = Posterior([[[0.0, 0.0]]] * 50, [[1.0]] * 50)
    assert abs(UNIFORM_NLL - math.log(4 * math.pi)) < 1e-12
    torch.testing.assert_close(
        nll(pin, truth, KernelWidth(10, 1.0)), torch.full((50,), UNIFORM_NLL).double()
    )


def test_by_hand():
    post = Posterior(
        [[[10.0, 20.0], [-40.0, 170.0]]], torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    )
    truth, width = torch.tensor([[12.0, 25.0]]), KernelWidth(800, 0.05)
    k = width.kappa
    x, mu = sphere.to_unit(truth.double())[0], sphere.to_unit(post.latlon.double())[0]
    kernel = k / (2 * math.pi * (1 - math.exp(-2 * k))) * torch.exp(k * (mu @ x - 1))
    want = 0.05 / (4 * math.pi) + 0.95 * (0.3 * kernel[0] + 0.7 * kernel[1])
    assert float(nll(post, truth, width)) == pytest.approx(-math.log(want), abs=1e-9)


def test_floor_bounds_what_one_photo_can_cost():
    pin = Posterior([[[0.0, 0.0]]], [[1.0]])
    antipode = torch.tensor([[0.0, 180.0]])
    assert float(nll(pin, antipode, KernelWidth(10, 0.01))) == pytest.approx(
        UNIFORM_NLL - math.log(0.01)
    )
    assert float(nll(pin, antipode, KernelWidth(10, 0.0))) > 1e5
    assert float(nll(pin, torch.zeros(1, 2), KernelWidth(10, 0.01))) < -10


def test_zero_weights_and_single_precision():
    post = Posterior([[[0.0, 0.0], [50.0, 50.0]]], torch.tensor([[1.0, 0.0]]))
    alone = Posterior([[[0.0, 0.0]]], [[1.0]])
    points = sphere.uniform_points(20, 1)
    for floor in (0.0, 0.1):
        torch.testing.assert_close(
            log_density(post, points, KernelWidth(900, floor)),
            log_density(alone, points, KernelWidth(900, floor)),
        )


def test_blocks_change_nothing(monkeypatch):
    post, points = some_answers(5, 9), sphere.uniform_points(40, 2)
    whole = log_density(post, points, KernelWidth(500))
    monkeypatch.setattr(likelihood, "_BLOCK", 20)
    torch.testing.assert_close(log_density(post, points, KernelWidth(500)), whole)


def test_a_shared_support_is_as_good_as_its_copies():
    places, weight = sphere.uniform_points(30, 0), torch.full((4, 30), 1 / 30)
    shared, copies = Posterior(places, weight), Posterior(places.repeat(4, 1, 1), weight)
    points = sphere.uniform_points(10, 1)
    width = KernelWidth(700)
    torch.testing.assert_close(
        log_density(shared, points, width), log_density(copies, points, width)
    )


def test_no_answer_says_anywhere():
    post, truth = some_answers(2), sphere.uniform_points(5, 8)
    got = nll(post, truth, KernelWidth(500), answered=[1, 3])
    assert got[[0, 2, 4]].tolist() == [UNIFORM_NLL] * 3
    torch.testing.assert_close(got[[1, 3]], nll(post, truth[[1, 3]], KernelWidth(500)))
    with pytest.raises(ValueError, match="2 answers for 5 photos"):
        nll(post, truth, KernelWidth(500))


@pytest.mark.parametrize("sigma_km", [60.0, 700.0])
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_the_right_width_and_floor_are_found(sigma_km, share):
    """Truth drawn from a kernel of a known width, a known share from anywhere."""
    from geolab.vmf import sample_vmf

    n = 4000
    generator = torch.Generator().manual_seed(0)
    places = sphere.uniform_points(n, 0)
    kappa = torch.full((n,), KernelWidth(sigma_km).kappa)
    xyz = sample_vmf(sphere.to_unit(places), kappa, generator).double()
    lost = torch.rand(n, generator=generator) < share
    xyz[lost] = sphere.to_unit(sphere.uniform_points(n, 5))[lost]
    width = fit_width(Posterior(places[:, None], torch.ones(n, 1)), sphere.to_latlon(xyz))
    assert sigma_km / 1.25 < width.sigma_km < 1.25 * sigma_km
    assert width.floor == pytest.approx(max(share, 1e-3), rel=0.3)


def test_width_of_a_system_that_knows_nothing_is_a_floor():
    post = Posterior(sphere.uniform_points(5000, 0)[:, None], torch.ones(5000, 1))
    truth = sphere.uniform_points(5000, 1)
    width = fit_width(post, truth)
    assert width.floor >= 0.4 or width.sigma_km >= 3000
    assert float(nll(post, truth, width).mean()) < UNIFORM_NLL + 0.02


def test_floor_for_a_density_of_ones_own():
    sure, lost = torch.full((90,), 3.0), torch.full((10,), -40.0)
    floor = fit_floor(torch.cat([sure, lost]))
    assert floor == 0.1
    mixed = with_floor(torch.tensor([-1e9, 3.0]).double(), floor)
    assert float(mixed[0]) == pytest.approx(math.log(0.1) - UNIFORM_NLL)
    assert fit_floor(sure) == 0.0
    with pytest.raises(ValueError, match="at least one"):
        fit_floor(torch.zeros(0))
    with pytest.raises(ValueError, match="NaN"):
        fit_floor(torch.tensor([math.nan]))


def test_estimate_with_photographers():
    values = torch.tensor([1.0, 1.0, 3.0, 3.0]).repeat(30)
    groups = [f"p{i // 4}" for i in range(120)]
    made = nll_estimate(values, groups=groups)
    assert made.value == 2.0
    assert made.low <= 2.0 <= made.high
    with pytest.raises(ValueError, match="values row 1 is inf"):
        nll_estimate([0.0, math.inf])
    with pytest.raises(ValueError, match="at least one"):
        nll_estimate([])


def test_refusals():
    post = some_answers()
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="sigma_km must be positive"):
            KernelWidth(bad)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="floor must be"):
            KernelWidth(100, bad)
    with pytest.raises(ValueError, match="truth row 1"):
        nll(post, torch.tensor([[0.0, 0.0], [math.nan, 0.0], [0.0, 0.0]]), KernelWidth())
    with pytest.raises(ValueError, match="3 answers, but points"):
        log_density(post, torch.zeros(2, 5, 2), KernelWidth())
    with pytest.raises(ValueError, match="nothing to choose by"):
        fit_width(post[:0], torch.zeros(0, 2))
