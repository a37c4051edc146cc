"""Localizability, risk against coverage, and figures of sets with their counter-example."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geolab import sphere
from geolab.flow.uncertainty import (
    EARTH_AREA_KM2,
    equivalent_area_km2,
    localizability,
    refuse_below,
    risk_coverage,
    set_metrics,
    shuffled,
)
from geolab.metrics import errors_km
from geolab.vmf import log_vmf, sample_vmf


def bits_of(kappa: float) -> float:
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    k = torch.full((20_000,), kappa)
    drawn = sample_vmf(up.expand(20_000, 3), k, torch.Generator().manual_seed(0))
    return float(localizability(log_vmf(up, k.double(), drawn.double())[None]))


def test_bits_of_known_densities():
    assert abs(bits_of(0.0)) < 1e-6
    exact = (math.log(2000 / (2 * math.pi)) - 1 + math.log(4 * math.pi)) / math.log(2)
    assert abs(bits_of(2000.0) - exact) < 0.03
    assert abs(exact - 10.52) < 0.01  # the toy's city
    assert abs(bits_of(400.0) - bits_of(200.0) - 1) < 0.03  # half the area, one more bit


def test_area():
    assert float(equivalent_area_km2(0.0)) == pytest.approx(EARTH_AREA_KM2)
    assert abs(EARTH_AREA_KM2 / 510.1e6 - 1) < 1e-3
    halves = equivalent_area_km2([1.0, 2.0])
    assert float(halves[0] / halves[1]) == 2


def test_localizability_refuses():
    with pytest.raises(ValueError, match=r"\(B, M\)"):
        localizability(torch.zeros(3))
    with pytest.raises(ValueError, match="row 1 of log_p"):
        localizability(torch.tensor([[0.0], [math.nan]]))


def test_risk_falls_where_confidence_knows_the_loss_and_not_where_it_is_noise():
    rng = np.random.default_rng(0)
    loss = rng.gamma(2.0, 500.0, 4000)
    knows, noise = risk_coverage(-loss, loss), risk_coverage(rng.random(4000), loss)
    assert (np.diff(knows.risk) >= 0).all()
    assert knows.area < 0.6 * loss.mean()
    assert noise.area == pytest.approx(loss.mean(), rel=0.05)
    assert knows.risk[-1] == pytest.approx(loss.mean())
    assert noise.risk[-1] == pytest.approx(loss.mean())
    assert knows.at(0.1) == pytest.approx(np.sort(loss)[:400].mean())
    chosen = refuse_below(-loss, knows.threshold[399])
    assert loss[chosen].mean() == pytest.approx(knows.at(0.1))


def test_ties_are_answered_together_whatever_their_order():
    one = risk_coverage([1, 1, 1, 1], [0, 0, 100, 100])
    other = risk_coverage([1, 1, 1, 1], [100, 100, 0, 0])
    assert one.risk.tolist() == other.risk.tolist() == [50.0] * 4


def test_risk_refuses():
    with pytest.raises(ValueError, match="N >= 1"):
        risk_coverage([], [])
    with pytest.raises(ValueError, match=r"must be \(N,\)"):
        risk_coverage([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="row 1: confidence nan"):
        risk_coverage([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"row 0: .*loss inf"):
        risk_coverage([1.0, 2.0], [math.inf, 2.0])


def world(n: int, seed: int) -> torch.Tensor:
    """Photos at twenty places, a few tens of kilometres apart within each."""
    rng = np.random.default_rng(seed)
    centres = sphere.uniform_points(20, 1)[rng.integers(0, 20, n)]
    return sphere.destination(centres, rng.uniform(0, 360, n), rng.gamma(2, 40, n))


def test_the_counter_example_scores_as_well_as_the_truth():
    """Answers dealt to the wrong photos: no photo is right, and every figure says perfect."""
    truth = world(1000, 0)
    answers = sphere.destination(truth, 90.0, 5.0)
    wrong = shuffled(answers)
    assert np.median(errors_km(answers, truth)) < 6
    assert np.median(errors_km(wrong, truth)) > 5000
    same = [set_metrics(a, truth, chunks=1) for a in (answers, wrong)]
    assert same[0] == same[1]
    for chunked in (set_metrics(answers, truth), set_metrics(wrong, truth)):
        assert chunked.precision > 0.7
        assert chunked.coverage > 0.7
    unseen = set_metrics(world(1000, 9), truth, chunks=1)  # has never looked at a photo
    assert min(unseen.precision, unseen.recall, unseen.coverage) > 0.8


def test_what_the_figures_do_see():
    truth = world(1000, 0)
    one = truth[:1].expand(1000, 2)
    stuck = set_metrics(one, truth, chunks=1)
    assert stuck.precision == 1
    assert stuck.recall < 0.01
    assert stuck.coverage < 0.1
    lost = set_metrics(sphere.uniform_points(1000, 5), truth, chunks=1)
    assert lost.precision < 0.2
    perfect = set_metrics(truth, truth, chunks=1)
    assert perfect.precision == perfect.recall == perfect.coverage == 1


def test_density_may_exceed_one_and_is_by_hand():
    real = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 10.0]])
    said = torch.tensor([[0.0, 0.5], [0.0, 0.5], [0.0, 0.5]])
    got = set_metrics(said, real, k=1, chunks=1)
    # Reach of the true places: 1, 1 and 9 degrees. Each answer lies within the first two only.
    assert (got.precision, got.density) == (1.0, 2.0)
    assert got.coverage == pytest.approx(2 / 3)


def test_sets_refuse():
    places = world(10, 0)
    with pytest.raises(ValueError, match="must be alike"):
        set_metrics(places[:5], places)
    with pytest.raises(ValueError, match="3 photos have no 3 neighbours"):
        set_metrics(places[:3], places[:3])
    with pytest.raises(ValueError, match="answers row 0"):
        set_metrics(torch.tensor([[math.nan, 0.0]] * 9), places[:9])
    assert set_metrics(places, places, chunks=20).precision == 1  # fewer chunks than asked
