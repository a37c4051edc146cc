"""Coarse answers: who is named, whether it is right, and how many people live in it."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.data.gazetteer import load_gazetteer
from geolab.disclosure import (
    LEVELS,
    areas,
    disclose,
    finest,
    heaviest_areas,
    people_in,
    people_within,
)
from geolab.posterior import Posterior
from geolab.sphere import great_circle_km

PARIS, LYON, MARSEILLE, BERLIN, TOKYO = (
    (48.86, 2.35), (45.75, 4.85), (43.30, 5.38), (52.52, 13.40), (35.68, 139.69)
)  # fmt: skip


@pytest.fixture(scope="module")
def answers():
    """Berlin is the best point and France the heaviest country; then Tokyo, sure of it."""
    places = [[BERLIN, PARIS, LYON, MARSEILLE], [TOKYO] * 4]
    return Posterior(places, [[0.4, 0.2, 0.2, 0.2], [0.7, 0.1, 0.1, 0.1]])


def test_the_posterior_is_coarsened_and_not_its_best_point(answers):
    named = heaviest_areas(answers)
    assert named["country"].tolist() == ["FR", "JP"]
    assert named["continent"].tolist() == ["Europe", "Asia"]
    assert named["region"][0].startswith("DE/")  # three French regions share what France has


def test_right_at_each_level(answers):
    told = disclose(answers, [MARSEILLE, (35.69, 139.70)])
    assert list(told) == list(LEVELS)
    seen = {level: one.right.tolist() for level, one in told.items()}
    assert seen["25 km"] == [False, True]
    assert seen["region"] == [False, True]
    assert seen["country"] == seen["continent"] == [True, True]
    assert told["1 km"].right.tolist() == [False, False]  # 1.4 km away


def test_belief_is_the_weight_that_lies_in_what_is_named(answers):
    told = disclose(answers, [MARSEILLE, TOKYO])
    belief = [round(float(told[level].belief[0]), 6) for level in LEVELS]
    assert belief == [0.4, 0.4, 0.4, 0.6, 1.0]
    assert np.allclose(told["1 km"].belief[1], 1)


def test_people_around_are_those_that_a_slow_count_finds():
    places = load_gazetteer().places
    where, people = places[["lat", "lon"]].to_numpy(), places["population"].to_numpy()
    for radius in (25.0, 900.0):
        slow = [people[great_circle_km(where, p).numpy() <= radius].sum() for p in (PARIS, TOKYO)]
        assert people_within([PARIS, TOKYO], radius).tolist() == slow
    assert people_within([(-75.0, 0.0)], 25).tolist() == [0]  # Antarctica
    assert people_within([PARIS], 1).tolist() == [int(20_000 * np.pi)]  # not all of Paris


def test_people_of_areas_add_up():
    places = load_gazetteer().places
    french = places[places["country"] == "FR"]
    assert people_in("country", np.array(["FR"]))[0] == french["population"].sum()
    regions = np.unique([f"FR/{region}" for region in french["region"]])
    assert people_in("region", regions).sum() == french["population"].sum()
    assert people_in("continent", np.array(["Europe"]))[0] > 400e6


def test_coarser_areas_hold_finer_ones():
    named = areas([[PARIS, LYON], [BERLIN, TOKYO]])
    assert named["country"].tolist() == [["FR", "FR"], ["DE", "JP"]]
    assert (people_in("country", named["country"]) >= people_in("region", named["region"])).all()


def test_the_finest_level_that_hides_enough(answers):
    told = disclose(answers, [BERLIN, TOKYO])
    assert finest(told, 0).tolist() == [0, 0]
    assert finest(told, 60_000).tolist() == [0, 1]
    assert finest(told, 1_000_000).tolist() == [1, 1]
    assert finest(told, 0, sure=0.5).tolist() == [LEVELS.index("country"), 0]
    assert finest(told, 10**12).tolist() == [len(LEVELS) - 1] * 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: people_in("city", np.array(["Paris"])), "not 'city'"),
        (lambda: people_in("country", np.array(["FR", "Atlantis"])), "no country is called"),
        (lambda: people_within([PARIS], -1), "radius_km"),
    ],
)
def test_what_does_not_exist_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_numbers_must_fit(answers):
    with pytest.raises(ValueError, match="one answer per photo"):
        disclose(answers, [PARIS])
