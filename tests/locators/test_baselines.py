"""Chance, twice, and the best constant."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch

from geolab.locators.baselines import BestConstant, DensityChance, UniformChance, best_constant
from geolab.metrics import errors_km, uniform_chance
from geolab.sphere import great_circle_km, to_unit


def dataset(latlon):
    latlon = np.asarray(latlon, float).reshape(-1, 2)
    return datasets.Dataset.from_dict({"latitude": latlon[:, 0], "longitude": latlon[:, 1]})


@pytest.fixture(scope="module")
def many_images():
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (3000, 2, 2, 3), dtype=np.uint8))


@pytest.mark.parametrize("chance", [UniformChance, DensityChance])
def test_draws_belong_to_the_photo(chance, many_images):
    train = dataset(np.random.default_rng(1).uniform(-80, 80, (500, 2)))
    locator = chance(seed=3).fit(train)
    together = locator.locate(many_images[:50]).latlon
    backwards = locator.locate(many_images[:50][::-1]).latlon.flip(0)
    alone = torch.cat([locator.locate([image]).latlon for image in many_images[:50]])
    assert torch.equal(together, backwards)
    assert torch.equal(together, alone)
    assert not torch.equal(together, chance(seed=4).fit(train).locate(many_images[:50]).latlon)
    assert len(locator.locate([])) == 0


def test_uniform_draws_fill_the_sphere(many_images):
    drawn = UniformChance().locate(many_images).mode()
    assert to_unit(drawn).mean(0).norm() < 0.06
    share = (great_circle_km(drawn, [10.0, 20.0]) <= 5000).double().mean()
    expected = float(uniform_chance(5000))
    error = np.sqrt(expected * (1 - expected) / 3000)
    assert abs(float(share) - expected) < 4 * error


def test_density_draws_follow_the_photos(many_images):
    train = dataset([[48.9, 2.3]] * 3 + [[-33.9, 151.2]])
    locator = DensityChance().fit(train)
    paris = (locator.locate(many_images).mode()[:, 0] > 0).double().mean()
    assert float(paris) == pytest.approx(0.75, abs=0.04)
    prior = locator.prior(2)
    assert prior.weight.tolist() == [[0.25] * 4] * 2


def test_best_constant_equals_a_loop():
    rng = np.random.default_rng(2)
    places = np.column_stack([rng.uniform(-60, 60, 80), rng.uniform(-180, 180, 80)])
    places = np.concatenate([places, places[:7], places[:3]])
    for within in (0, 200, 750, 2500):
        shares = [(errors_km(np.tile(p, (90, 1)), places) <= within).mean() for p in places]
        place, share = best_constant(places, within_km=within)
        assert share == pytest.approx(max(shares))
        assert place.tolist() == places[int(np.argmax(shares))].tolist()
    scores = [np.exp(-errors_km(np.tile(p, (90, 1)), places) / 1492.7).mean() for p in places]
    place, score = best_constant(places)
    assert score == pytest.approx(max(scores))
    assert place.tolist() == places[int(np.argmax(scores))].tolist()


def test_best_constant_is_chosen_on_the_references():
    train, test = dataset([[48.9, 2.3]] * 5), dataset([[-33.9, 151.2]] * 5)
    fair = BestConstant(200).fit(train)
    assert fair.name == "best constant (200 km)"
    assert fair.value == 1.0
    images = [np.zeros((2, 2, 3), np.uint8)] * 5
    assert fair.locate(images).mode().tolist() == [[48.9, 2.3]] * 5
    bound = BestConstant(200, hindsight=True).fit(test)
    assert "with hindsight" in bound.name
    assert bound.locate(images).mode().tolist() == [[-33.9, 151.2]] * 5
    assert BestConstant().name == "best constant (score)"


def test_candidates_may_be_others():
    place, share = best_constant([[0.0, 0.0], [0.0, 10.0]], within_km=600, candidates=[[0.0, 5.0]])
    assert (place.tolist(), share) == ([0.0, 5.0], 1.0)


def test_bad_input():
    with pytest.raises(ValueError, match="empty"):
        DensityChance().fit(dataset([]))
    with pytest.raises(ValueError, match="at least one"):
        best_constant(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="-1"):
        best_constant([[0, 0]], within_km=-1)
    with pytest.raises(ValueError, match="95"):
        BestConstant().fit(dataset([[95, 0]]))
