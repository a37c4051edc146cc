"""The density of a flow is one: it integrates to 1, and where a formula is known it is that."""

from __future__ import annotations

import math

import pytest
import torch

from geolab import sphere
from geolab.flow.density import (
    density_at,
    log_density,
    tangent_basis,
    velocity_and_divergence,
)
from geolab.flow.grid import density_grid
from tests.flow.oracles import Field, wild_network

UP = torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def xyz():
    return sphere.to_unit(sphere.uniform_points(300, 2)).float()


def test_divergence_is_the_trace_of_the_extended_tangent_field(xyz):
    network, known = wild_network(1), torch.ones(1, 4)

    def extended(x):
        n = x / x.norm()
        v = network(n[None, None], torch.tensor(0.3), known)[0, 0]
        return v - (v @ n) * n

    v, spread = velocity_and_divergence(
        lambda x: network(x[None], torch.tensor(0.3), known)[0], xyz[:40]
    )
    for i in range(40):
        torch.testing.assert_close(v[i], extended(xyz[i]), atol=1e-5, rtol=1e-4)
        trace = torch.func.jacrev(extended)(xyz[i]).trace()
        torch.testing.assert_close(spread[i], trace, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("field", "spread"),
    [
        (lambda x: UP.expand_as(x), lambda x: -2 * x[:, 2]),  # towards the pole
        (lambda x: torch.linalg.cross(UP.expand_as(x), x, dim=-1), lambda x: 0 * x[:, 2]),
        (lambda x: x, lambda x: 0 * x[:, 2]),  # along the radius: nothing moves
    ],
)
def test_divergences_known_by_hand(xyz, field, spread):
    torch.testing.assert_close(
        velocity_and_divergence(field, xyz)[1], spread(xyz), atol=1e-5, rtol=1e-5
    )


def test_raw_trace_sees_nothing_of_the_sphere(xyz):
    """A constant field gathers everything at a pole; the raw trace says that it does nothing."""
    assert velocity_and_divergence(lambda x: UP.expand_as(x), xyz, "raw")[1].abs().max() < 1e-6
    spread = velocity_and_divergence(lambda x: x, xyz, "raw")[1]
    torch.testing.assert_close(spread, torch.full((300,), 3.0))


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_density_of_a_constant_wind_is_known(xyz, strength):
    """z' = s (1 - z^2) carries the uniform density to 1 / (4 pi (cosh s - z sinh s)^2)."""
    wind = Field(lambda x: strength * UP.expand_as(x))
    got = log_density(wind, torch.zeros(1, 1), xyz[None])[0]
    z = xyz[:, 2].double()
    want = -math.log(4 * math.pi) - 2 * (math.cosh(strength) - z * math.sinh(strength)).log()
    torch.testing.assert_close(got, want, atol=2e-3, rtol=1e-3)


def test_no_wind_is_uniform(xyz):
    got = log_density(Field(lambda x: 0 * x), torch.zeros(1, 1), xyz[None])
    torch.testing.assert_close(got, torch.full_like(got, -math.log(4 * math.pi)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_integral_over_the_sphere_is_one(seed):
    network, known = wild_network(seed), torch.randn(1, 4)

    def integral(**how):
        grid = density_grid(
            lambda p: log_density(network, known, sphere.to_unit(p)[None], steps=8, **how)[0], 400
        )
        return grid.integral, grid.entropy

    right, entropy = integral()
    assert abs(right - 1) < 0.01
    assert entropy < math.log(4 * math.pi) - 0.02  # and it is not the uniform one
    assert abs(integral(divergence="raw")[0] - 1) > 0.03
    assert abs(integral(guidance=1.0)[0] - 1) < 0.01  # guided fields have densities too


def test_density_agrees_with_samples():
    """Mean of 1 / (4 pi p) over samples of p is the area of the sphere, 1 after scaling."""
    from geolab.flow.sampler import SamplerConfig, sample

    network, known = wild_network(0), torch.randn(1, 4)
    drawn = sample(network, known, 1000, SamplerConfig(steps=64))
    log_p = log_density(network, known, drawn, steps=8)
    assert abs(float(torch.exp(-log_p - math.log(4 * math.pi)).mean()) - 1) < 0.1


def test_blocks_change_nothing(monkeypatch, xyz):
    network, known = wild_network(), torch.randn(3, 4)
    places = xyz.view(3, 100, 3)  # (300, 3) -> (3, 100, 3)
    whole = log_density(network, known, places, steps=4)
    monkeypatch.setattr("geolab.flow.density._POINTS", 64)
    torch.testing.assert_close(
        log_density(network, known, places, steps=4), whole, atol=1e-5, rtol=1e-5
    )


def test_places_in_degrees():
    network, known = wild_network(), torch.randn(2, 4)
    places = torch.tensor([[60.0, 9.0], [55.0, -114.0]])
    single = density_at(network, known, places, steps=4)
    both = density_at(network, known, places.expand(2, 2, 2), steps=4)
    torch.testing.assert_close(single, both.diagonal())


def test_basis_is_orthonormal(xyz):
    poles = torch.cat([xyz, torch.eye(3), -torch.eye(3)])
    whole = torch.stack([*tangent_basis(poles), poles], dim=1)
    eye = torch.eye(3).expand(len(poles), 3, 3)
    torch.testing.assert_close(whole @ whole.mT, eye, atol=1e-5, rtol=0)


def test_refusals():
    network = wild_network()
    with pytest.raises(ValueError, match="'tangent' or 'raw'"):
        log_density(network, torch.zeros(1, 4), UP[None, None], divergence="trace")
    with pytest.raises(ValueError, match=r"places must be \(B, M, 3\) for 1 photos"):
        log_density(network, torch.zeros(1, 4), UP[None])
    with pytest.raises(ValueError, match=r"place row \(0, 0\)"):
        log_density(network, torch.zeros(1, 4), 0 * UP[None, None])
    with pytest.raises(ValueError, match="steps must be at least 1"):
        log_density(network, torch.zeros(1, 4), UP[None, None], steps=0)
    with pytest.raises(ValueError, match="row 0 is"):
        density_at(network, torch.zeros(1, 4), torch.tensor([[91.0, 0.0]]))
