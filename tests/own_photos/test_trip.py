"""The chain: exact on small cases by brute force, and what each part of it does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from geolab.own_photos import Travel, proposals, radius_km, smooth
from geolab.own_photos.trip import forward_backward
from geolab.posterior import Posterior

from .conftest import LISBON, LYON, PARIS, SYDNEY

SURE = Travel(trust=1.0, floor=0.0, alone=0.0, flight=0.001)


def answers(*rows):
    """Posterior of photos over Paris, Lyon, Lisbon, Sydney."""
    return Posterior.from_votes([[PARIS, LYON, LISBON, SYDNEY]] * len(rows), np.array(rows, float))


def names(trip, photo):
    return [city.name for city in proposals(trip, photo)]


def test_forward_backward_is_the_sum_over_all_ways():
    rng = np.random.default_rng(0)
    seen, prior = rng.random((4, 3)), rng.dirichlet(np.ones(3))
    steps = [rng.dirichlet(np.ones(3), 3) for _ in range(3)]
    belief = np.zeros((4, 3))
    for way in itertools.product(range(3), repeat=4):
        chance = prior[way[0]] * np.prod([seen[t, s] for t, s in enumerate(way)])
        chance *= np.prod([steps[t][a, b] for t, (a, b) in enumerate(itertools.pairwise(way))])
        for t, s in enumerate(way):
            belief[t, s] += chance
    assert np.allclose(forward_backward(seen, prior, steps), belief / belief.sum(1, keepdims=True))


def test_neighbours_decide_between_places_that_look_alike():
    trip = smooth(answers([1, 0, 0, 0], [0, 0.45, 0, 0.55], [1, 0, 0, 0]), [2.0, 2.0], travel=SURE)
    assert names(smooth(answers([0, 0.45, 0, 0.55]), [], travel=SURE), 0)[0] == "Sydney"
    assert names(trip, 1)[0] == "Lyon"
    assert names(trip, 0)[0] == "Paris"
    assert trip.alone.mode()[1].tolist() == pytest.approx([-33.9, 151.2], abs=0.1)


def test_years_between_photos_leave_each_on_its_own():
    rows = answers([0.9, 0.1, 0, 0], [0, 0.4, 0, 0.6], [0.2, 0, 0.8, 0])
    trip = smooth(rows, [1e9, 1e9], travel=SURE)
    assert np.allclose(trip.together.weight, trip.alone.weight, atol=1e-6)


def test_the_spread_of_the_references_is_counted_once():
    # Answers that say no more than "as the references are" stay so, however long the trip.
    references = np.array([PARIS] * 70 + [LYON] * 20 + [LISBON] * 10)
    prior = np.array([71, 21, 11]) / 103
    rows = Posterior([[PARIS, LYON, LISBON]] * 8, np.tile(prior, (8, 1)))
    far = smooth(rows, np.full(7, 1e9), references=references, travel=SURE)
    assert np.allclose(far.together.weight, far.alone.weight, atol=1e-3)
    counted_twice = smooth(rows, np.full(7, 1e9), travel=SURE)
    assert np.allclose(counted_twice.together.weight, counted_twice.alone.weight, atol=1e-3)
    near = smooth(rows, np.zeros(7), references=references, travel=SURE).together.weight
    alone = smooth(rows, np.zeros(7), travel=SURE).together.weight
    assert near.max(1).values.mean() < 0.9 < alone.max(1).values.mean()


def test_a_photo_with_gps_holds_its_neighbours_and_keeps_its_place():
    rows = answers([0, 0.4, 0, 0.6], [0.25, 0.25, 0.25, 0.25])
    trip = smooth(rows, [1.0], known=[None, PARIS], travel=SURE)
    assert names(trip, 0)[0] == "Lyon"
    assert trip.together.weight[1].max() == pytest.approx(1)
    assert names(trip, 1) == ["Paris"]


def test_one_wrong_and_sure_photo_does_not_break_the_trip():
    rows = answers(*[[0.6, 0.4, 0, 0]] * 3, [0, 0, 0, 1.0], *[[0.6, 0.4, 0, 0]] * 3)
    trip = smooth(rows, np.full(6, 0.5))
    assert [names(trip, photo)[0] for photo in (0, 2, 4, 6)] == ["Paris"] * 4


def test_no_flight_and_far_apart_is_still_an_answer():
    trip = smooth(answers([1, 0, 0, 0], [0, 0, 0, 1]), [0.0], travel=Travel(flight=0, stay_km=1))
    assert trip.together.weight.isfinite().all()


def test_unknown_hours_are_a_day():
    rows = answers([1, 0, 0, 0], [0, 0.5, 0.5, 0])
    one, other = (smooth(rows, [hours]).together.weight for hours in (np.nan, 24.0))
    assert np.allclose(one, other)
    assert not np.allclose(one, smooth(rows, [0.1]).together.weight)


def test_the_circle_holds_its_share_and_never_less_than_a_city():
    post = Posterior([[PARIS, LYON, SYDNEY]], [[0.5, 0.35, 0.15]])
    radii = [float(radius_km(post, [PARIS], p)[0]) for p in (0.5, 0.8, 0.99)]
    assert radii[0] == 25
    assert 380 < radii[1] < 400
    assert 16_000 < radii[2] < 17_000


def test_places_are_kept_to_the_city():
    trip = smooth(Posterior([[[48.858370, 2.294481]]], [[1.0]]), [])
    assert np.allclose(trip.together.latlon * 10, (trip.together.latlon * 10).round())
    assert names(trip, 0) == ["Paris"]


def test_empty_and_single_albums():
    assert len(smooth(Posterior(np.zeros((0, 1, 2)), np.zeros((0, 1))), []).together) == 0
    assert names(smooth(answers([0, 0, 1, 0]), []), 0) == ["Lisbon"]


@pytest.mark.parametrize(("hours", "known"), [([1.0, 1.0], None), ([-1.0], None), ([1.0], [None])])
def test_what_does_not_fit_is_refused(hours, known):
    with pytest.raises(ValueError, match="intervals"):
        smooth(answers([1, 0, 0, 0], [1, 0, 0, 0]), hours, known=known)


@pytest.mark.parametrize("wrong", [{"stay_km": 0}, {"trust": 0}, {"floor": 1}, {"alone": 2}])
def test_impossible_travel_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Travel(**wrong)
