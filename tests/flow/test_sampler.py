"""Sampling, with networks that know the answer."""

from __future__ import annotations

import math

import pytest
import torch

from geolab import sphere
from geolab.flow.sampler import SamplerConfig, guided, sample, trajectories
from tests.flow.oracles import Oracle, wild_network


@pytest.mark.parametrize("process", ["sphere", "flow", "ddpm"])
@pytest.mark.parametrize("steps", [8, 32])
def test_a_perfect_network_brings_all_noise_to_the_place(process, steps):
    places = sphere.to_unit(torch.tensor([[60.0, 9.0], [-33.0, 179.9], [90.0, 0.0]])).float()
    drawn = sample(Oracle(process), places, 50, SamplerConfig(process, steps=steps))
    assert drawn.shape == (3, 50, 3)
    torch.testing.assert_close(drawn.norm(dim=-1), torch.ones(3, 50))
    assert sphere.chord_to_km(drawn, places[:, None]).max() < 25


def test_trajectories_start_as_noise_on_the_sphere_and_end_as_samples():
    network, known = wild_network(), torch.randn(2, 4)
    config = SamplerConfig(steps=6)
    paths = trajectories(network, known, 400, config, seed=4)
    assert paths.shape == (7, 2, 400, 3)
    torch.testing.assert_close(paths.norm(dim=-1), torch.ones(7, 2, 400))
    assert paths[0].mean(1).abs().max() < 0.1  # uniform, not a Gaussian left as it is
    torch.testing.assert_close(paths[-1], sample(network, known, 400, config, seed=4))


def test_every_photo_has_its_own_noise_whatever_is_asked_with_it(monkeypatch):
    network, known = wild_network(), torch.randn(5, 4)
    whole = sample(network, known, 20)
    assert not torch.equal(sample(network, known, 20, seed=1), whole)
    monkeypatch.setattr("geolab.flow.sampler._POINTS", 40)  # two photos at once
    torch.testing.assert_close(sample(network, known, 20), whole)
    torch.testing.assert_close(sample(network, known[:2], 20), whole[:2])
    start = trajectories(network, known, 20)[0]
    assert not torch.equal(start[0], start[1])


def test_more_steps_change_little():
    network, known = wild_network(), torch.randn(1, 4)
    fine = sample(network, known, 100, SamplerConfig(steps=256))
    gaps = [
        sphere.chord_to_km(sample(network, known, 100, SamplerConfig(steps=s)), fine).median()
        for s in (4, 16, 64)
    ]
    assert gaps[0] > gaps[1] > gaps[2]


def test_guidance_moves_away_from_no_photo():
    network, known, x = wild_network(), torch.randn(1, 4), torch.randn(1, 5, 3)
    with_photo = guided(network, x, 0.5, known, 0.0)
    without = guided(network, x, 0.5, torch.zeros(1, 4), 0.0)
    torch.testing.assert_close(guided(network, x, 0.5, known, 2.0), 3 * with_photo - 2 * without)


def test_weights_that_are_not_finite_are_no_silent_places():
    network = wild_network()
    with torch.no_grad():
        network.trunk.leave.bias[0] = math.nan
    with pytest.raises(ValueError, match=r"sample row \(0, 0\) is .*nan"):
        sample(network, torch.randn(1, 4), 3)


def test_a_sample_of_length_zero_is_an_error_not_a_place():
    class Collapse(Oracle):
        def forward(self, xyz, g, condition):
            return -xyz / float(1 - g)  # everything into the origin

    with pytest.raises(ValueError, match="no direction"):
        sample(Collapse("flow"), torch.zeros(1, 3), 2, SamplerConfig("flow", steps=4))


def test_nothing_asked_and_bad_settings():
    assert sample(wild_network(), torch.zeros(0, 4), 5).shape == (0, 5, 3)
    with pytest.raises(ValueError, match="no process 'torus'"):
        SamplerConfig("torus")
    with pytest.raises(ValueError, match="at least one step"):
        SamplerConfig(steps=0)
    with pytest.raises(ValueError, match=r"must have shape \(B, 4\)"):
        sample(wild_network(), torch.zeros(1, 3), 5)


def test_no_churn_is_deterministic_given_the_noise():
    network, known = wild_network(), torch.randn(1, 4)
    still = [sample(network, known, 50, SamplerConfig("ddpm", 20, churn=c)) for c in (0, 0, 1)]
    assert torch.equal(still[0], still[1])
    assert not torch.allclose(still[0], still[2])
