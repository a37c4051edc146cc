"""The toy of four scenes: its truth, and what a flow reaches on it in a minute on two cores."""

from __future__ import annotations

import time

import pytest
import torch

from geolab import sphere
from geolab.flow import toy
from geolab.flow.decisions import compare_decisions
from geolab.flow.density import log_density
from geolab.flow.grid import density_grid
from geolab.flow.sampler import SamplerConfig, sample
from geolab.flow.uncertainty import localizability
from geolab.posterior import Posterior

SECONDS = 60.0 * 2
"""A minute on two cores, in processor seconds; it takes 55 of them on a quiet machine."""


def test_photos_are_what_they_say():
    photos = toy.fixed_photos(2000)
    assert photos.embedding.shape == (8000, 32)
    again = toy.fixed_photos(2000)
    assert torch.equal(photos.xyz, again.xyz)
    nearest = torch.cdist(photos.embedding, toy.scene_directions()).argmin(1)
    assert torch.equal(nearest, photos.scene)  # so the truth is a function of the embedding
    for row, entropy in enumerate((-4.763, -1.480, 0.109, 2.531)):
        mine = toy.truth_nll(photos)[photos.scene == row]
        assert abs(float(mine.mean()) - entropy) < 0.07, toy.SCENES[row]


def test_steps_see_new_photos_and_repeat():
    losses = [toy.learn_toy_flow(3)[1].losses for _ in range(2)]
    assert losses[0] == losses[1]
    assert toy.learn_toy_flow(3, seed=1)[1].losses != losses[0]


@pytest.fixture(scope="module")
def learnt():
    began = time.process_time()
    network, history = toy.learn_toy_flow()
    return network, history, time.process_time() - began


def nll_of(network, photos):
    return -log_density(network, photos.embedding, photos.xyz[:, None])[:, 0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_minute_of_training_comes_within_three_hundredths_of_the_truth(learnt):
    network, _, seconds = learnt
    photos = toy.fixed_photos(500)
    gap = (nll_of(network, photos) - toy.truth_nll(photos)).view(4, 500)  # scenes in order
    assert (gap.mean(1) < 0.03).all(), gap.mean(1)
    assert (gap.mean(1) > -0.03).all(), gap.mean(1)
    assert seconds < SECONDS


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scene", toy.SCENES)
def test_its_density_integrates_to_one(learnt, scene):
    network, row = learnt[0], toy.SCENES.index(scene)
    known = toy.scene_directions()[row][None]

    def of(latlon, **how):
        return log_density(network, known, sphere.to_unit(latlon)[None], **how)[0]

    sharp = {"n": 1000, "refine": 64 if scene == "city" else 16}
    assert abs(density_grid(of, **sharp).integral - 1) < 0.01
    if scene in ("city", "snowy fir"):
        raw = density_grid(lambda p: of(p, divergence="raw"), **sharp).integral
        assert abs(raw - 1) > 0.03


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bits_decisions_and_guidance(learnt):
    network = learnt[0]
    known = toy.scene_directions()
    drawn = sample(network, known, 256, SamplerConfig(steps=32))
    log_p = log_density(network, known, drawn)
    bits = localizability(log_p)
    for got, want in zip(bits.tolist(), (10.5, 5.8, 3.5, 0.0), strict=True):
        assert abs(got - want) < 0.35
    row = toy.SCENES.index("snowy fir")
    post = Posterior(sphere.to_latlon(drawn.double()), torch.full((4, 256), 1 / 256))
    photos = toy.fixed_photos(300)
    truth = sphere.to_latlon(photos.xyz[photos.scene == row].double())
    mean, single, mode, best = compare_decisions(
        post[[row] * 300], truth, log_p[[row] * 300]
    ).values()
    assert mean < 750
    assert single > mean + 500
    assert min(mode, best) > 1600
    row = toy.SCENES.index("tropics")
    sharper = sample(network, known[row : row + 1], 256, SamplerConfig(guidance=2.0))
    assert spread(sharper[0]) < 0.6 * spread(drawn[row])


def spread(xyz):
    """Root mean square distance to the mean, km."""
    middle = torch.nn.functional.normalize(xyz.mean(0), dim=0)
    return float(sphere.chord_to_km(xyz, middle).square().mean().sqrt())
