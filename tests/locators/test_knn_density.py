"""Neighbours and the density of their weight on the sphere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.data.errors import DataError
from geolab.locators.knn_density import KnnDensity, KnnDensityConfig, inverse_power
from geolab.locators.planet import PlaNet, PlaNetConfig
from geolab.sphere import great_circle_km, uniform_points
from geolab.training import TrainConfig
from tests.locators.conftest import make_photos


def cloud(n, seed, dim=8):
    """Features and places of n references."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator), uniform_points(n, seed)


def density(places, weights, at, sigma_km=444.8):
    """The sum f of the definition at points (M, 2): (M,)."""
    km = great_circle_km(at[:, None].double(), places[None].double())
    return (weights * torch.exp(-0.5 * (km / sigma_km) ** 2)).sum(1)


def asked(places, distances, **config):
    """Answer of one query with these neighbours."""
    places = torch.from_numpy(np.array([places], np.float64))
    locator = KnnDensity(None, KnnDensityConfig(k=places.shape[1], **config))
    return locator.vote(torch.tensor([distances]), places)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([50.0, 444.8, 3000.0]))
def test_the_mode_is_the_neighbour_with_the_largest_f(seed, k, sigma_km):
    features, places = cloud(30, seed)
    query = cloud(3, seed + 5000)[0]
    locator = KnnDensity(None, KnnDensityConfig(k=k, power=3, sigma_km=sigma_km))
    post = locator.fit_features(features, places).locate_features(query)
    unit = torch.nn.functional.normalize
    apart = torch.cdist(unit(query, dim=1).double(), unit(features, dim=1).double())
    for row in range(3):
        near = apart[row].argsort()[:k]
        f = density(places[near], apart[row][near] ** -3, places[near], sigma_km)
        said = density(places[near], apart[row][near] ** -3, post.mode()[row : row + 1], sigma_km)
        assert said.item() == pytest.approx(f.max().item(), rel=1e-3)
        torch.testing.assert_close(
            post.weight[row].sort().values, (f / f.sum()).sort().values, atol=1e-4, rtol=1e-3
        )


def test_neighbours_come_nearest_first_with_true_distances():
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    locator = KnnDensity(None, KnnDensityConfig(k=3)).fit_features(features, torch.zeros(3, 2))
    distances, rows = locator.neighbours(torch.tensor([[5.0, 0.0]]))
    assert rows.tolist() == [[0, 1, 2]]
    torch.testing.assert_close(
        distances[0], torch.tensor([0, 2**0.5, 2.0]).double(), atol=1e-3, rtol=0
    )


def test_a_duplicate_wins_and_nothing_is_infinite():
    weights = inverse_power(torch.tensor([[0.0, 0.3, 0.9], [0.0, 0.0, 0.9]]), 20)
    assert weights.isfinite().all()
    assert weights.dtype == torch.float64
    assert weights[:, 0].tolist() == [1, 1]
    assert weights[1, 1] == 1
    post = asked([[10, 10], [50, 50], [50, 50], [50, 50]], [0.0, 1e-2, 1e-2, 1e-2])
    assert post.mode().tolist() == [[10, 10]]
    assert post.weight.isfinite().all()
    # A thousandth of distance, to the 20th power, neither over- nor underflows into NaN.
    assert inverse_power(torch.tensor([[1e-30, 2.0]]), 300).isfinite().all()


@settings(max_examples=25, deadline=None)
@given(st.floats(-180, 180), st.integers(0, 100))
def test_turning_the_earth_turns_the_answer(turn, seed):
    """The meridian of 180 degrees is a meridian like any other."""
    _, places = cloud(12, seed)
    near = places.clone().double()
    near[:, 0] /= 3
    near[:, 1] /= 6
    distances = torch.linspace(0.5, 0.9, 12)[None]
    locator = KnnDensity(None, KnnDensityConfig(k=12, power=4))
    still = locator.vote(distances, near[None])
    turned = near.clone()
    turned[:, 1] = (turned[:, 1] + turn + 180) % 360 - 180
    moved = locator.vote(distances, turned[None])
    torch.testing.assert_close(moved.weight, still.weight, atol=1e-5, rtol=1e-4)


def test_a_heap_around_a_pole_or_the_antimeridian_is_one_heap():
    pole = [[89.5, 0], [89.5, 90], [89.5, 180], [89.5, -90], [0, 0], [0, 0], [0, 0]]
    assert asked(pole, [0.5] * 7).mode()[0, 0] == 89.5
    fiji = [[-17, 179.9], [-17, -179.9], [0, 20.0]]
    assert asked(fiji, [0.6, 0.6, 0.59]).mode()[0, 0] == -17
    south = [[-90, 0], [-89, 120], [-89, -120], [40, 40], [40, 40]]
    assert asked(south, [0.5] * 5).mode()[0, 0] == -90


def test_a_climb_never_lowers_f_and_ends_on_the_higher_hill():
    """Two hills; the top of the higher one is between its neighbours, which the climb finds."""
    rng = np.random.default_rng(0)
    high = np.array([40.0, 10.0]) + rng.normal(0, 3, (9, 2))
    low = np.array([-20.0, 120.0]) + rng.normal(0, 3, (5, 2))
    places = np.concatenate([low, high])
    distances = [0.6] * 14
    stay, climb = asked(places, distances), asked(places, distances, climb=True)
    flat, ones = torch.from_numpy(places), torch.ones(14).double()
    f_stay, f_climb = (density(flat, ones, post.mode()) for post in (stay, climb))
    assert f_climb > f_stay * 1.0005
    fine = [np.linspace(middle - 5, middle + 5, 201) for middle in (40, 10)]
    grid = torch.from_numpy(np.stack(np.meshgrid(*fine, indexing="ij"), -1))
    grid = grid.reshape(-1, 2)  # (201, 201, 2) -> (40401, 2)
    heights = density(flat, ones, grid)
    assert f_climb >= heights.max()  # no point of the grid is higher
    assert f_climb.item() == pytest.approx(heights.max().item(), rel=1e-4)
    assert great_circle_km(climb.mode(), grid[heights.argmax()][None]).item() < 8
    assert climb.support_size == stay.support_size + 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 500), st.integers(1, 8))
def test_a_climb_never_lowers_f(seed, k):
    _, places = cloud(k, seed)
    distances = torch.linspace(0.5, 0.6, k)[None]
    weights = inverse_power(distances, 20)[0]
    config = KnnDensityConfig(k=k, sigma_km=1500)
    stay, climb = (
        KnnDensity(None, c).vote(distances, places[None].double())
        for c in (config, replace(config, climb=True))
    )
    f_stay, f_climb = (density(places, weights, p.mode(), 1500) for p in (stay, climb))
    assert f_climb >= f_stay - 1e-5


def test_snapping_takes_the_most_alike_neighbour_near_the_peak():
    places = [[10.8, 20.0], [10.0, 20.0], [10.0, 20.1], [10.1, 20.0], [-60.0, 0.0]]
    distances = [0.60, 0.61, 0.61, 0.61, 0.61]
    assert asked(places, distances, sigma_km=50).mode()[0, 0] != 10.8
    assert asked(places, distances, sigma_km=50, snap_km=100).mode().tolist() == [[10.8, 20.0]]
    climbed = asked(places, distances, sigma_km=50, snap_km=100, climb=True)
    assert climbed.mode().tolist() == [[10.8, 20.0]]  # a neighbour, not the climbed point itself
    assert asked(places, distances, sigma_km=50, snap_km=20).mode()[0, 0] < 10.5


def test_sigma_changes_without_a_new_search():
    features, places = cloud(20, 0)
    locator = KnnDensity(None, KnnDensityConfig(k=7)).fit_features(features, places)
    other = locator.reconfigured(sigma_km=2000.0)
    assert other.features is locator.features
    assert (locator.config.sigma_km, other.config.sigma_km) == (444.8, 2000.0)
    distances, rows = locator.neighbours(features[:3] + 0.1)
    anew = KnnDensity(None, KnnDensityConfig(k=7, sigma_km=2000.0)).fit_features(features, places)
    said = other.vote(distances, locator.latlon[rows]).weight
    assert torch.equal(said, anew.locate_features(features[:3] + 0.1).weight)
    assert not torch.equal(said, locator.locate_features(features[:3] + 0.1).weight)


@pytest.mark.parametrize("changes", [{}, {"climb": True, "snap_km": 30.0}, {"mode": "raster2017"}])
def test_saved_and_read_answers_the_same(tmp_path, changes):
    features, places = cloud(12, 1)
    locator = KnnDensity(None, KnnDensityConfig(k=5, **changes)).fit_features(features, places)
    again = KnnDensity.load(locator.save(tmp_path / "refs.npz"))
    assert again.config == locator.config
    one, other = (held.locate_features(features[:4] * 2) for held in (locator, again))
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.mode(), other.mode())
    (tmp_path / "refs.npz").write_bytes((tmp_path / "refs.npz").read_bytes()[:-40])
    with pytest.raises(DataError, match=r"refs\.npz"):
        KnnDensity.load(tmp_path / "refs.npz")


def test_too_large_k_names_both_numbers():
    features, places = cloud(3, 0)
    with pytest.raises(ValueError, match="k = 100 neighbours of 3 references"):
        KnnDensity().fit_features(features, places)
    small = KnnDensity(None, KnnDensityConfig(k=2)).fit_features(features, places)
    with pytest.raises(ValueError, match="k = 9 neighbours of 3 references"):
        small.reconfigured(k=9)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_feature_that_is_not_finite_names_its_row(wrong):
    features, places = cloud(5, 0)
    locator = KnnDensity(None, KnnDensityConfig(k=2)).fit_features(features, places)
    features[3, 1] = wrong
    with pytest.raises(ValueError, match="reference row 3 has a feature that is not finite"):
        KnnDensity(None, KnnDensityConfig(k=2)).fit_features(features, places)
    with pytest.raises(ValueError, match="query row 3"):
        locator.locate_features(features)


def test_misuse_says_what_to_do():
    features, places = cloud(5, 0)
    with pytest.raises(RuntimeError, match=r"call fit\(train\)"):
        KnnDensity().locate_features(features)
    with pytest.raises(RuntimeError, match="no encoder was given"):
        KnnDensity().locate([])
    with pytest.raises(ValueError, match="5 features for 4 places"):
        KnnDensity().fit_features(features, places[:4])
    with pytest.raises(ValueError, match="sphere or raster2017"):
        KnnDensityConfig(mode="flat")
    with pytest.raises(ValueError, match="must be positive"):
        KnnDensityConfig(sigma_km=0)


def test_a_network_finds_neighbours_and_unreadable_references_are_left_out(images, places):
    train = TrainConfig(epochs=1, batch_size=16, lr=2e-3, device="cpu")
    photos = make_photos(24, broken=(5,))
    planet = PlaNet(PlaNetConfig(size=32, train=train)).fit(photos)
    locator = KnnDensity(planet, KnnDensityConfig(k=3)).fit(photos)
    assert len(locator.features) == 23
    post = locator.locate(images(4))
    assert (great_circle_km(post.mode(), torch.from_numpy(places)) < 50).all()
