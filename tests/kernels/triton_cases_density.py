"""Interpreter cases of the density vote; run by test_density.py in a process of its own."""

from __future__ import annotations

import pytest
import torch

from geolab.kernels.density import density_vote, density_vote_reference
from tests.kernels.test_density import neighbours


@pytest.mark.parametrize(("n_photos", "k"), [(1, 1), (3, 17), (2, 70)])
@pytest.mark.parametrize("sigma_km", [20.0, 444.8, 5000.0])
def test_triton_equals_the_plain_form(n_photos, k, sigma_km):
    places, weights = neighbours(n_photos, k)
    index, density = density_vote(places, weights, sigma_km, backend="triton")
    want_index, want = density_vote_reference(places, weights, sigma_km)
    torch.testing.assert_close(density.double(), want, rtol=2e-4, atol=1e-5)  # float32 chords
    assert torch.equal(index, want_index)


def test_poles_and_antipodes():
    places = torch.tensor([[[90.0, 0], [90, 120], [-90, 0], [0, 180], [0, -180]]]).double()
    weights = torch.ones(1, 5)
    _, density = density_vote(places, weights, 8000.0, backend="triton")
    want = density_vote_reference(places, weights, 8000.0)[1]
    torch.testing.assert_close(density.double(), want, rtol=1e-4, atol=1e-5)
