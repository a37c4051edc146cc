"""Likelihood and calibration of answers: perfect, too sure, silent; the halves; the bins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab import claims, shared_table, sphere
from geolab.claims import Claims, chance_claims, claims_of, crossed_nll, judge
from geolab.likelihood import SIGMAS_KM, UNIFORM_NLL
from geolab.metrics import errors_km
from geolab.posterior import Posterior

N = 4000


def two_places(share, n=N, seed=0):
    """Answers of two far places with weights `share` and the rest; the truth is drawn from them."""
    rng = np.random.default_rng(seed)
    support = sphere.uniform_points(2 * n, seed).reshape(n, 2, 2).double()  # (2n, 2) -> (n, 2, 2)
    weight = torch.from_numpy(np.column_stack([share, 1 - share]))
    second = torch.from_numpy((rng.random(n) > share).astype(np.int64))
    return Posterior(support, weight), support[torch.arange(n), second].numpy()


def judged(posterior, truth, **how):
    points = posterior.mode().double().numpy()
    said = claims_of(posterior, points, truth)
    return judge(said, errors_km(points, truth), n_boot=200, **how)


def test_who_is_as_sure_as_right_is_calibrated():
    share = np.random.default_rng(1).uniform(0.5, 1, N)
    made = judged(*two_places(share))
    assert made["claimed_200"].value == pytest.approx(75, abs=1)
    assert made["ece_200"].value < 3  # ten bins of 400: each off by some 2 points of luck
    assert made["nll"].value < UNIFORM_NLL - 4


def test_who_is_too_sure_is_told_by_how_much():
    posterior, truth = two_places(np.full(N, 0.6))
    loud = Posterior(posterior.latlon, torch.tensor([[0.99, 0.01]]).double().expand(N, -1))
    quiet, heard = judged(posterior, truth), judged(loud, truth)
    assert heard["claimed_200"].value == pytest.approx(99, abs=0.2)
    assert heard["ece_200"].value == pytest.approx(39, abs=3)
    assert quiet["ece_200"].value < 3
    assert heard["ece_200"].low < heard["ece_200"].value < heard["ece_200"].high + 1e-9
    assert heard["nll"].value > quiet["nll"].value + 0.5


def test_equal_claims_share_a_bin():
    """One neighbour always claims everything: one bin, whatever the order of the photos."""
    posterior, truth = two_places(np.full(600, 0.5), 600)
    lone = Posterior(posterior.latlon[:, :1], torch.ones(600, 1))
    reached = (errors_km(lone.mode().numpy(), truth) <= 200).mean()
    assert judged(lone, truth)["ece_200"].value == pytest.approx(100 * (1 - reached))


def test_silence_claims_nothing_and_costs_what_anywhere_costs():
    posterior, truth = two_places(np.full(40, 0.5), 40)
    points = np.full((40, 2), np.nan)
    points[:20] = posterior.mode()[:20].numpy()
    said = claims_of(posterior, points, truth)
    assert np.isnan(said.mass[20:]).all()
    assert not np.isnan(said.mass[:20]).any()
    lost = crossed_nll(said.kernels, np.arange(40))
    np.testing.assert_array_equal(lost[20:], UNIFORM_NLL)
    made = judge(said, errors_km(points, truth), n_boot=50)
    assert made["claimed_200"].value == pytest.approx(25, abs=0.1)  # half of them, half sure
    none = claims_of(posterior, np.full((40, 2), np.nan), truth)
    made = judge(none, np.full(40, np.inf), n_boot=50)
    assert "nll" not in made
    assert made["claimed_200"].value == made["ece_200"].value == 0


def test_no_photographer_chooses_the_width_that_judges_him():
    """Two people; one is placed within a kilometre, the other within a thousand."""
    near, far = SIGMAS_KM.index(3.0), len(SIGMAS_KM) - 4
    kernels = np.full((60, len(SIGMAS_KM)), -50.0)
    kernels[:30, near], kernels[30:, far] = 9.0, 0.0
    index = np.repeat([0, 1], 30)
    lost = crossed_nll(kernels, index)
    assert lost[:30].min() > 0, "the other's width does not suit the first"
    alone = crossed_nll(kernels[:30], np.arange(30))
    assert alone.max() < -8, "his own photos' width does"
    assert crossed_nll(kernels[:30], np.zeros(30, np.int64)) is None


def test_mass_is_counted_around_the_point_that_was_answered():
    posterior = Posterior([[[0.0, 0.0], [1.0, 0.0], [50.0, 0.0]]], [[0.3, 0.5, 0.2]])
    truth = np.array([[0.0, 0.0]])
    for point, mass in (([[0.0, 0.0]], 0.8), ([[50.0, 0.0]], 0.2), ([[-40.0, 9.0]], 0.0)):
        said = claims_of(posterior, np.array(point), truth)
        assert said.mass[0] == pytest.approx(mass)


def test_blocks_change_nothing(monkeypatch):
    posterior, truth = two_places(np.full(50, 0.7), 50)
    points = posterior.mode().double().numpy()
    whole = claims_of(posterior, points, truth)
    monkeypatch.setattr(claims, "_BLOCK", 7)
    cut = claims_of(posterior, points, truth)
    np.testing.assert_array_equal(whole.mass, cut.mass)
    np.testing.assert_allclose(whole.kernels, cut.kernels, rtol=1e-12)


def test_lengths_must_agree():
    posterior, truth = two_places(np.full(5, 0.7), 5)
    with pytest.raises(ValueError, match="5 answers, 4 points, 5 places"):
        claims_of(posterior, truth[:4], truth)


def test_chance_is_calibrated_in_closed_form():
    said = chance_claims()
    assert said["nll"].value == pytest.approx(np.log(4 * np.pi))
    assert said["claimed_200"].value == pytest.approx(0.02463, abs=1e-5)


def test_a_notebooks_row_has_the_columns(tmp_path, monkeypatch):
    from datasets import Dataset

    monkeypatch.chdir(tmp_path)
    posterior, truth = two_places(np.full(80, 0.8), 80)
    photos = Dataset.from_dict(
        {
            "id": [f"{i}" for i in range(80)],
            "latitude": truth[:, 0],
            "longitude": truth[:, 1],
            "photographer": [f"p{i % 8}" for i in range(80)],
        }
    )
    row = shared_table.score("two places", posterior[:60], photos, answered=range(60))
    assert row.metrics["claimed_200"].value == pytest.approx(60, abs=0.5)
    assert row.metrics["nll"].has_interval
    shown = shared_table.show([row]).markdown()
    assert "nats / sr" in shown
    assert "claims 200 km %" in shown
    assert "2.53" in shown


def test_empty_claims_take_parts():
    held = Claims.none(3)
    held.put(np.array([1]), Claims(np.zeros((1, len(SIGMAS_KM))), np.array([0.5])))
    assert np.isnan(held[np.array([0, 2])].mass).all()
    assert held.mass[1] == 0.5
