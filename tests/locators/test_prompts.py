"""Sentences for countries and cities."""

from __future__ import annotations

import pytest
import torch

from geolab.data.gazetteer import load_gazetteer
from geolab.locators.prompts import (
    ENSEMBLE,
    cities,
    city_features,
    country_features,
    country_points,
)
from tests.locators.askable import Askable


def test_thirty_largest_cities_of_each_country():
    table = cities(30)
    places = load_gazetteer().places
    assert set(table["country"]) == set(places["country"])
    assert table.groupby("country").size().max() == 30
    for country, held in table.groupby("country"):
        assert held["population"].is_monotonic_decreasing, country
    mine = places[(places["country"] == "NO") & ~places["name"].isin(
        table.loc[table["country"] == "NO", "name"])]  # fmt: skip
    assert mine["population"].max() <= table.loc[table["country"] == "NO", "population"].min()


def test_a_city_is_known_by_country_and_name():
    table = cities(30)
    assert not table.duplicated(["country", "name"]).any()
    two = table[table["name"] == "Barcelona"].set_index("country")
    assert set(two.index) == {"ES", "VE"}
    assert two["lat"].to_dict() == pytest.approx({"ES": 41.39, "VE": 10.14}, abs=0.01)


def test_of_two_namesakes_in_one_country_the_larger_stays():
    places = load_gazetteer().places
    many = cities(10_000)
    twins = places[(places["country"] == "US") & (places["name"] == "Springfield")]
    assert len(twins) > 1
    (kept,) = many[(many["country"] == "US") & (many["name"] == "Springfield")]["population"]
    assert kept == twins["population"].max()


def test_the_table_cannot_be_spoilt():
    mine = cities(1)
    mine.loc[:, "name"] = "nowhere"
    assert "nowhere" not in set(cities(1)["name"])


def test_a_country_answers_with_its_largest_city():
    (oslo, sydney) = country_points(["NO", "AU"])
    assert oslo == pytest.approx([59.91, 10.75], abs=0.05)
    assert sydney == pytest.approx([-33.87, 151.21], abs=0.1)
    assert country_points(sorted(set(load_gazetteer().places["country"]))).shape[1] == 2


def test_an_ensemble_is_the_mean_of_unit_features_brought_back_to_unit_length():
    clip = Askable()
    made = country_features(clip, ["NO", "NL"], ENSEMBLE)
    assert clip.asked[:2] == ["A street photo in Norway.", "A photo from Norway."]
    assert "A road in the Netherlands." in clip.asked
    mean = clip.embed_text([prompt.format("Norway") for prompt in ENSEMBLE]).mean(0)
    assert torch.allclose(made[0], mean / mean.norm(), atol=1e-6)
    assert torch.allclose(made.norm(dim=1), torch.ones(2), atol=1e-6)
    assert torch.allclose(country_features(clip, ["NL"], ENSEMBLE), made[1:], atol=1e-6)


def test_a_city_is_asked_with_its_country():
    clip, table = Askable(), cities(30)
    both = table[table["name"] == "Barcelona"]
    made = city_features(clip, both)
    assert len(set(clip.asked)) == 2
    assert all(country in " ".join(clip.asked) for country in ("Spain", "Venezuela"))
    assert made[0] @ made[1] == 0


@pytest.mark.parametrize("code", ["XX", "no", "AQ"])
def test_a_country_on_no_list_is_named(code):
    for ask in (country_points, lambda codes: country_features(Askable(), codes, ENSEMBLE)):
        with pytest.raises(ValueError, match=f"'{code}' is no country"):
            ask(["NO", code])


@pytest.mark.parametrize("prompts", ["A photo in {}.", (), ("A photo.",), ("{} or {}",), ("{x}",)])
def test_sentences_without_a_country_are_refused(prompts):
    with pytest.raises(ValueError, match="prompt"):
        country_features(Askable(), ["NO"], prompts)


def test_no_city_at_all():
    with pytest.raises(ValueError, match="per_country is 0"):
        cities(0)
