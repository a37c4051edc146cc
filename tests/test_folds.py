"""Turns: every photo asks once, and nothing that could give it away answers."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from geolab.data.errors import DataError
from geolab.folds import deal, fold_between, folds_within
from geolab.metrics import errors_km


def photos(latlon, ids=None, **columns):
    lat, lon = np.asarray(latlon, float).T
    ids = ids or [f"p{i}" for i in range(len(lat))]
    return Dataset.from_dict({"id": ids, "latitude": lat, "longitude": lon, **columns})


@pytest.fixture
def world():
    """Sixty photos of six sources; the sources meet at (0, 0)."""
    rng = np.random.default_rng(0)
    latlon = rng.uniform(-40, 40, (60, 2))
    latlon[::10] = rng.normal(0, 0.001, (6, 2))  # within some 100 m of each other
    return photos(latlon, source=[f"s{i % 6}" for i in range(60)])


def test_every_photo_asks_once_and_no_source_or_place_answers_itself(world):
    folds = folds_within(world)
    assert len(folds) == 6
    assert sorted(np.concatenate([fold.query for fold in folds])) == list(range(60))
    latlon, source = (
        np.column_stack([world["latitude"], world["longitude"]]),
        np.array(world["source"]),
    )
    for fold in folds:
        assert not set(source[fold.query]) & set(source[fold.reference])
        for row in fold.query:
            km = errors_km(latlon[fold.reference], np.tile(latlon[row], (len(fold.reference), 1)))
            assert km.min() > 1.0
        everyone = np.concatenate([fold.query, fold.reference, fold.too_near])
        assert sorted(everyone) == list(range(60))
    assert sum(len(fold.too_near) for fold in folds) > 0


def test_photographers_take_precedence_and_many_share_folds():
    rng = np.random.default_rng(1)
    people = [f"person {i // 2}" for i in range(80)]
    held = photos(rng.uniform(-60, 60, (80, 2)), photographer=people, source=["one"] * 80)
    folds = folds_within(held)
    assert len(folds) == 12
    for fold in folds:
        assert not {people[i] for i in fold.query} & {people[i] for i in fold.reference}


def test_places_take_turns_when_nothing_says_whose_photos_they_are():
    latlon = [[0, 0], [0, 0.001], [20, 20], [40, 40]]
    folds = folds_within(photos(latlon))
    assert sorted(tuple(fold.query.tolist()) for fold in folds) == [(0, 1), (2,), (3,)]


def test_one_source_cannot_answer_itself():
    with pytest.raises(DataError, match=r"all 3 photos share one source.*--reference"):
        folds_within(photos([[0, 0], [10, 10], [20, 20]], source=["a"] * 3))


def test_two_sets_lose_the_references_that_would_leak():
    queries = photos([[0, 0], [30, 30]], ids=["a", "b"], source=["x", "y"])
    references = photos(
        [[0, 0.005], [50, 50], [60, 60], [70, 70]],
        ids=["near", "b", "by x", "fine"],
        source=["z", "z", "x", "z"],
    )
    fold = fold_between(queries, references)
    assert [references["id"][int(i)] for i in fold.reference] == ["fine"]
    assert [references["id"][int(i)] for i in fold.too_near] == ["near"]
    with pytest.raises(DataError, match="no reference is left for 2 queries"):
        fold_between(queries, references.select([0, 1, 2]))


def test_groups_are_dealt_whole_and_evenly():
    groups = np.repeat(np.arange(30), np.arange(1, 31))
    fold_of = deal(groups, 5)
    assert all(len(set(fold_of[groups == g])) == 1 for g in range(30))
    sizes = np.bincount(fold_of)
    assert sizes.max() - sizes.min() < 15
    assert deal(np.array([0, 0]), 12).tolist() == [0, 0]
