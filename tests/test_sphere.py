"""Geometry: right over all pairs, safe at poles, antimeridian and antipodes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab import sphere

R = sphere.EARTH_RADIUS_KM
latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
points = st.tuples(latitudes, longitudes)


def exact_km(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Independent oracle: the angle from cross and dot product in float64."""
    u, v = sphere.to_unit(a.double()), sphere.to_unit(b.double())
    cross = torch.linalg.vector_norm(torch.linalg.cross(u, v), dim=-1)
    return R * torch.atan2(cross, (u * v).sum(-1))


@pytest.mark.parametrize("case", ["random", "near", "antipodal", "identical"])
def test_float32_is_right_to_two_metres(case):
    n = 100_000
    a = sphere.uniform_points(n, 1).float()
    noise = 1e-3 * torch.randn(n, 2, generator=torch.Generator().manual_seed(2))
    b = {
        "random": sphere.uniform_points(n, 3).float(),
        "near": a + noise,
        "antipodal": torch.stack([-a[:, 0], sphere.wrap_lon(a[:, 1] + 180)], -1) + noise,
        "identical": a.clone(),
    }[case]
    b[:, 0].clamp_(-90, 90)
    got = sphere.great_circle_km(a, b)
    assert got.dtype == torch.float32
    assert (got.double() - exact_km(a, b)).abs().max() < 0.002


def test_acos_of_a_float32_dot_product_fails_where_the_chord_does_not():
    a = sphere.uniform_points(20_000, 5).float()
    b = sphere.destination(a.double(), torch.zeros(20_000), torch.full((20_000,), 0.8))
    u, v = sphere.to_unit(a), sphere.to_unit(b.float())
    acos = R * torch.acos((u * v).sum(-1).clamp(-1, 1))
    assert (acos > 1).float().mean() > 0.05
    assert (sphere.chord_to_km(u, v) <= 1).all()


@pytest.mark.parametrize(
    ("a", "b", "km"),
    [
        ([0, 0], [0, 180], math.pi * R),
        ([90, 0], [90, 123], 0),
        ([90, 0], [-90, 45], math.pi * R),
        ([0, 179.9], [0, -179.9], math.radians(0.2) * R),
        ([0, 0], [0, 90], math.pi / 2 * R),
    ],
)
def test_known_distances(a, b, km):
    assert sphere.great_circle_km(a, b).item() == pytest.approx(km, abs=1e-6)


@pytest.mark.parametrize("b", [[10.0, 20.0], [-10.0, -160.0], [10.0, 20.001], [90.0, 0.0]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_finite(b, dtype):
    a = torch.tensor([10.0, 20.0], dtype=dtype, requires_grad=True)
    sphere.great_circle_km(a, torch.tensor(b, dtype=dtype)).backward()
    assert torch.isfinite(a.grad).all()


def test_gradient_against_finite_differences():
    a = torch.tensor([[10.0, 20.0], [-45.0, 170.0]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[12.0, 25.0], [40.0, -12.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: sphere.great_circle_km(x, b), (a,), atol=1e-3)


def test_matrix_equals_pairs_across_blocks(monkeypatch):
    a, b = sphere.uniform_points(37, 1), sphere.uniform_points(11, 2)
    whole = sphere.great_circle_matrix(a, b)
    monkeypatch.setattr(sphere, "_BLOCK", 50)
    torch.testing.assert_close(whole, sphere.great_circle_matrix(a, b), rtol=0, atol=1e-6)
    assert whole.shape == (37, 11)
    assert sphere.great_circle_matrix(np.empty((0, 2)), b).shape == (0, 11)


def test_nan_stays_nan():
    assert torch.isnan(sphere.great_circle_km([float("nan"), 0.0], [0.0, 0.0]))


@given(points)
@settings(max_examples=200, deadline=None)
def test_unit_vectors_and_back(p):
    back = sphere.to_latlon(sphere.to_unit(np.array(p)))
    assert sphere.great_circle_km(back, np.array(p)).item() < 1e-6


@given(points, points)
@settings(max_examples=200, deadline=None)
def test_exp_undoes_log(a, b):
    u, v = sphere.to_unit(np.array(a)), sphere.to_unit(np.array(b))
    tangent = sphere.log_map(u, v)
    assert abs((tangent * u).sum().item()) < 1e-6
    assert sphere.chord_to_km(sphere.exp_map(u, tangent), v).item() < 0.01


def test_log_map_at_the_antipode_reaches_it():
    u = sphere.to_unit(sphere.uniform_points(100, 9))
    assert (sphere.exp_map(u, sphere.log_map(u, -u)) + u).abs().max() < 1e-6
    assert (sphere.log_map(u, u) == 0).all()


@given(points, st.floats(0, 360), st.floats(0, 15000))
@settings(max_examples=200, deadline=None)
def test_destination_is_as_far_as_asked(start, bearing, km):
    there = sphere.destination(np.array(start), bearing, km)
    assert sphere.great_circle_km(np.array(start), there).item() == pytest.approx(km, abs=1e-4)


def test_bearing_leads_there():
    a, b = sphere.uniform_points(200, 3), sphere.uniform_points(200, 4)
    there = sphere.destination(a, sphere.initial_bearing(a, b), sphere.great_circle_km(a, b))
    assert sphere.great_circle_km(there, b).max() < 1e-4


def test_mean_over_the_antimeridian_and_the_pole():
    fiji = sphere.spherical_mean([[-17, 179.0], [-17, -179.0]])
    assert sphere.great_circle_km(fiji, [-17.0, 180.0]).item() < 1
    pole = sphere.spherical_mean([[80, 0.0], [80, 90.0], [80, 180.0], [80, -90.0]])
    assert pole[0].item() == pytest.approx(90)


def test_mean_of_antipodes_is_the_heavier_point():
    mean = sphere.spherical_mean([[0, 0.0], [0, 180.0]], torch.tensor([0.5, 0.5]))
    assert mean.tolist() == [0, 0]


def test_weighted_mean_follows_the_weight():
    mean = sphere.spherical_mean([[0, 0.0], [0, 10.0]], torch.tensor([1.0, 3.0]))
    assert 5 < mean[1].item() < 10


@pytest.mark.parametrize("seed", range(5))
def test_cap_holds_every_point_and_is_tight(seed):
    centre = sphere.uniform_points(1, seed)[0]
    rng = np.random.default_rng(seed)
    ring = sphere.destination(centre.expand(40, 2), rng.uniform(0, 360, 40), np.full(40, 800.0))
    found, radius = sphere.bounding_cap(ring)
    assert sphere.great_circle_km(found, ring).max() <= radius + 1e-6
    assert radius < 830
    assert sphere.great_circle_km(found, centre).item() < 100


def test_cap_of_one_point():
    centre, radius = sphere.bounding_cap([[3.0, 4.0]])
    assert radius < 1e-6
    assert centre.tolist() == pytest.approx([3, 4])


def test_interpolation_is_even():
    path = sphere.interpolate([0, 170], [0, -170], 5)
    assert sphere.great_circle_km(path[1:], path[:-1]).std() < 1e-6
    assert abs(path[2, 1].abs().item() - 180) < 1e-9


def test_grids_are_uniform_by_area():
    for grid in (sphere.fibonacci_grid(20_000), sphere.uniform_points(20_000, 3)):
        assert sphere.to_unit(grid).mean(0).abs().max() < 0.02
        assert ((grid[:, 0] > 30).float().mean() - 0.25).abs() < 0.01


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([[0.0, 0.0], [91.0, 0.0]], "row 1.*91.*swapped"),
        ([[0.0, 181.0]], "row 0.*181"),
        ([[float("nan"), 0.0]], "row 0.*nan"),
        ([[0.0, float("inf")]], "row 0.*inf"),
        ([[1.0, 2.0, 3.0]], "shape"),
    ],
)
def test_coordinates_off_the_earth_are_refused(bad, words):
    with pytest.raises(ValueError, match=words):
        sphere.check_latlon(bad)
