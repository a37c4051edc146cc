"""Cells of equal area: integrals, entropies, needles."""

from __future__ import annotations

import math

import pytest
import torch

from geolab import sphere
from geolab.flow import toy
from geolab.flow.grid import density_grid
from geolab.vmf import log_vmf

EXACT = {"city": -4.763, "snowy fir": -1.480, "anywhere": 2.531}


@pytest.mark.parametrize("scene", toy.SCENES)
def test_the_toys_truth_integrates_to_one_and_has_the_known_entropy(scene):
    grid = density_grid(lambda p: toy.true_log_density(scene, sphere.to_unit(p)))
    assert abs(grid.integral - 1) < 2e-3
    assert abs(float(grid.area_sr.sum()) - 4 * math.pi) < 0.02
    if scene in EXACT:
        assert abs(grid.entropy - EXACT[scene]) < 3e-3


def needle(latlon, kappa=40_000.0):
    centre = sphere.to_unit(torch.tensor([12.0, 34.0], dtype=torch.float64))
    return log_vmf(centre, torch.tensor(kappa, dtype=torch.float64), sphere.to_unit(latlon))


def test_samples_find_a_needle_that_the_grid_misses():
    assert density_grid(needle, 200).integral < 0.5
    near = torch.tensor([[12.0, 34.0]] * 5)
    assert abs(density_grid(needle, 200, refine=2000, near=near).integral - 1) < 0.01


def test_posterior_holds_the_mass():
    grid = density_grid(lambda p: toy.true_log_density("snowy fir", sphere.to_unit(p)))
    post = grid.posterior()
    assert len(post) == 1
    km = sphere.great_circle_km(post.mode()[0], torch.tensor([[60.0, 9.0], [55.0, -114.0]]))
    assert km.min() < 300
    assert post.mean()[0, 0] > 68  # between the modes, far in the north


def test_refusals():
    with pytest.raises(ValueError, match="at least 1"):
        density_grid(needle, 0)
    with pytest.raises(ValueError, match=r"the density at \[.*\] is nan"):
        density_grid(lambda p: p[:, 0] * math.nan, 10)
    with pytest.raises(ValueError, match="is inf"):
        density_grid(lambda p: p[:, 0] * 0 + math.inf, 10)
