"""Four points from one distribution."""

from __future__ import annotations

import math

import pytest
import torch

from geolab import sphere
from geolab.flow import toy
from geolab.flow.decisions import DECISIONS, compare_decisions, decide, score_of
from geolab.posterior import Posterior


@pytest.fixture(scope="module")
def two_modes():
    """Answers and true places of the toy's two-mode scene, both drawn from the truth."""
    generator = torch.Generator().manual_seed(0)
    scene = torch.full((200 * 128 + 200,), toy.SCENES.index("snowy fir"))
    xyz = toy.draw_photos(scene, generator).xyz
    drawn = xyz[200:].view(200, 128, 3)  # (200 128, 3) -> (200, 128, 3)
    log_p = toy.true_log_density("snowy fir", drawn)
    post = Posterior(sphere.to_latlon(drawn.double()), torch.full((200, 128), 1 / 128))
    return post, log_p, sphere.to_latlon(xyz[:200].double())


def test_mean_lands_in_baffin_bay_and_the_modes_win(two_modes):
    post, log_p, truth = two_modes
    points = decide(post, log_p)
    assert tuple(points) == DECISIONS
    mean = points["mean"].mean(0)
    assert 70 < mean[0] < 76
    assert -72 < mean[1] < -48
    score = compare_decisions(post, truth, log_p)
    assert score["mean"] < 800
    assert score["one sample"] > score["mean"] + 500
    assert score["density mode"] > score["one sample"] + 100
    assert score["best score"] > score["one sample"] + 100


def test_without_a_density_the_samples_say_where_they_are_dense(two_modes):
    post, _, truth = two_modes
    assert compare_decisions(post, truth, sigma_km=400.0)["density mode"] > 1500


def test_one_sample_follows_the_weights_and_the_seed():
    post = Posterior([[[0.0, 0.0], [10.0, 10.0]]] * 2000, [[0.9, 0.1]] * 2000)
    drawn = decide(post)["one sample"]
    assert abs(float((drawn[:, 0] == 0).float().mean()) - 0.9) < 0.03
    assert torch.equal(drawn, decide(post)["one sample"])
    assert not torch.equal(drawn, decide(post, seed=1)["one sample"])


def test_score_of_one_truth_for_all():
    assert score_of(torch.tensor([[1.0, 2.0], [1.0, 2.0]]), [1.0, 2.0]) == pytest.approx(5000)


def test_nothing_to_decide_and_refusals():
    none = decide(Posterior(torch.zeros(0, 3, 2), torch.zeros(0, 3)))
    assert all(points.shape == (0, 2) for points in none.values())
    post = Posterior([[[0.0, 0.0], [10.0, 10.0]]], [[0.9, 0.1]])
    with pytest.raises(ValueError, match="must be numbers of shape"):
        decide(post, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="must be numbers"):
        decide(post, torch.tensor([[0.0, math.nan]]))
