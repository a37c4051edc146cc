"""The location encoder: projection, waves, shapes, seam, wrong input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from geolab.encoders.location import (
    SIGMAS,
    FourierFeatures,
    LocationConfig,
    LocationEncoder,
    equal_earth,
    wavelength_km,
)
from geolab.maps.projection import Projection
from geolab.sphere import uniform_points

SMALL = LocationConfig(sigmas=(1.0, 16.0), n_waves=64, width=64, dim=32)
KNOWN = {
    (0.0, 180.0): (1.0, 0.0),
    (90.0, 0.0): (0.0, 0.486717),
    (48.8566, 2.3522): (0.010879, 0.341148),
    (-33.8688, 151.2093): (0.771109, -0.245576),
    (40.7128, -74.0060): (-0.362762, 0.290791),
}


@pytest.fixture(scope="module")
def encoder():
    return LocationEncoder(SMALL)


@pytest.mark.parametrize(("place", "page"), KNOWN.items(), ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_projection_has_the_known_values(place, page, dtype):
    said = equal_earth(torch.tensor(place, dtype=dtype))
    assert said.dtype == dtype
    assert said.tolist() == pytest.approx(page, abs=1e-6)


def test_projection_is_the_one_that_maps_are_drawn_in():
    places = uniform_points(200).numpy()
    x, y = Projection("equal_earth").forward(places[:, 0], places[:, 1])
    page = np.stack([x, y], 1)
    ratio = 66.50336 / 180
    assert np.allclose(equal_earth(places).numpy(), ratio * page, rtol=0, atol=1e-12)


def test_projection_keeps_areas():
    """The determinant of its derivative is cos(latitude), up to one factor for the whole map."""
    places = torch.deg2rad(uniform_points(50, seed=1))

    def page(radians):
        return equal_earth(torch.rad2deg(radians))

    jacobian = torch.stack([torch.autograd.functional.jacobian(page, p) for p in places])
    area = torch.linalg.det(jacobian).abs() / places[:, 0].cos()
    assert torch.allclose(area, area.mean().expand(50), rtol=1e-3)


def test_published_encoder_has_the_published_size():
    encoder = LocationEncoder()
    assert sum(p.numel() for p in encoder.parameters()) == 9_449_472
    shapes = [tuple(p.shape) for p in encoder.capsules[0].parameters()]
    layers = [(1024, 512), (1024,), (1024, 1024), (1024,), (1024, 1024), (1024,), (512, 1024)]
    assert shapes == [(256, 2), *layers, (512,)]
    assert len(encoder.capsules) == 3
    assert encoder(torch.tensor([[48.86, 2.35], [0.0, 0.0]])).shape == (2, 512)
    for sigma, capsule in zip(SIGMAS, encoder.capsules, strict=True):
        assert float(capsule[0].b.std()) == pytest.approx(sigma, rel=0.1)


def test_waves_are_fixed_and_belong_to_the_weights(encoder):
    assert not encoder.capsules[0][0].b.requires_grad
    assert "capsules.0.0.b" in encoder.state_dict()
    encoder.zero_grad()
    encoder(uniform_points(4)).square().sum().backward()
    assert encoder.capsules[1][1].weight.grad.abs().sum() > 0
    assert encoder.capsules[0][0].b.grad is None


def test_outputs_of_capsules_add_up(encoder):
    places = uniform_points(5)
    v = equal_earth(places).float()
    one, two = (capsule(v) for capsule in encoder.capsules)
    assert torch.allclose(encoder(places), one + two, atol=1e-6)
    assert torch.allclose(encoder.embed(places), F.normalize(one + two, dim=1), atol=1e-6)


def test_waves_by_hand():
    waves = FourierFeatures(3.0, 5)
    v = torch.tensor([[0.25, -0.5]])
    turn = [2 * math.pi * (float(b[0]) * 0.25 - float(b[1]) * 0.5) for b in waves.b]
    wanted = [math.cos(t) for t in turn] + [math.sin(t) for t in turn]
    assert waves(v)[0].tolist() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_waves_make_a_gaussian_of_the_distance(sigma):
    """Mean of cos 2 pi b d over b ~ N(0, sigma^2) is exp(-2 pi^2 sigma^2 d^2)."""
    torch.manual_seed(0)
    waves = FourierFeatures(sigma, 40_000)
    for d in (0.05 / sigma, 0.1 / sigma, 0.2 / sigma):
        v = torch.tensor([[0.1, 0.2], [0.1 + d * 0.6, 0.2 + d * 0.8]])
        alike = float(waves(v)[0] @ waves(v)[1]) / 40_000
        assert alike == pytest.approx(math.exp(-2 * (math.pi * sigma * d) ** 2), abs=0.02)


def test_waves_keep_their_digits_in_half_precision():
    torch.manual_seed(0)
    waves, v = FourierFeatures(256.0, 32), equal_earth(uniform_points(20)).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = waves(v)
    assert torch.equal(half, waves(v))


def test_fiji_is_torn_apart_on_the_map_and_whole_in_space():
    torn, whole = (
        LocationEncoder(LocationConfig((1.0, 4.0), 64, 64, 32, projection))
        for projection in ("equal_earth", "sphere")
    )
    beaches = [[-17.0, 179.99], [-17.0, -179.99], [-17.0, 179.97]]  # both 2 km from the first
    apart, together = (e.embed(beaches) @ e.embed(beaches[:1]).T for e in (torn, whole))
    assert 1 - apart[1] > 100 * (1 - apart[2])  # an untrained network's cosines are all near 1
    assert together[1] > 0.999
    assert together[1] == pytest.approx(float(together[2]), abs=1e-4)


def test_waves_in_space_are_as_long_as_on_the_map():
    """On the equator the same distance makes the same phases, in distribution."""
    config = {"sigmas": (8.0,), "n_waves": 20_000, "width": 4, "dim": 4}
    places = torch.tensor([[0.0, 20.0], [0.0, 22.0]], dtype=torch.float64)
    alike = []
    for projection in ("equal_earth", "sphere"):
        encoder = LocationEncoder(LocationConfig(**config, projection=projection))
        one, two = encoder.capsules[0][0](encoder.on_map(places).float())
        alike.append(float(one @ two) / 20_000)
    assert alike[0] == pytest.approx(alike[1], abs=0.02)
    assert 0.3 < alike[0] < 0.95


def test_wavelengths():
    assert wavelength_km(256.0) == pytest.approx(78.2, abs=0.1)


def test_seed_decides_and_the_caller_s_numbers_stay(encoder):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    again, other = LocationEncoder(SMALL), LocationEncoder(SMALL, seed=1)
    assert torch.equal(torch.rand(3), wanted)
    place = [[10.0, 20.0]]
    assert torch.equal(again.embed(place), encoder.embed(place))
    assert not torch.equal(other.embed(place), encoder.embed(place))


def test_embedding_has_unit_length_and_does_not_depend_on_the_batch(encoder):
    places = uniform_points(33)
    emb = encoder.embed(places)
    assert (emb.dtype, emb.shape) == (torch.float32, (33, 32))
    assert torch.allclose(emb.norm(dim=1), torch.ones(33), atol=1e-6)
    assert torch.allclose(emb, encoder.embed(places, batch=7), atol=1e-6)
    assert encoder.embed(torch.empty(0, 2)).shape == (0, 32)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([[0.0, 0.0], [math.nan, 5.0]], r"row 1 .*nan"),
        ([[0.0, 0.0], [151.2, -33.9]], r"row 1 .*151.2.*swapped"),
        ([[0.0, 181.0]], r"row 0 .*181"),
        ([[0.0, 0.0, 0.0]], r"\(\.\.\., 2\).*\(1, 3\)"),
        ([0.0, 0.0], r"\(N, 2\).*\(2,\)"),
    ],
)
def test_wrong_places_are_named(encoder, places, words):
    with pytest.raises(ValueError, match=words):
        encoder.embed(places)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="mercator"):
        LocationConfig(projection="mercator")
    with pytest.raises(ValueError, match="at least one sigma"):
        LocationConfig(sigmas=())
    with pytest.raises(ValueError, match="positive"):
        LocationConfig(width=0)
