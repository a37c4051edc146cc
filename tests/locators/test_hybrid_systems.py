"""The quadtree of ``geolab table`` and ``geolab locate``: three heads, each a part more."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.cells import QuadtreePartition
from geolab.locators import hybrid_systems
from geolab.locators.hybrid_systems import MAIN, ROWS, QuadtreeSystem, leaf_limit
from geolab.locators.table_systems import SINGLE, SYSTEMS, fit_locator, fit_systems


@pytest.fixture(scope="module")
def answered(photos):
    (system,) = fit_systems("quadtree", photos(60, broken=(3,)), 0, 40)
    return system, system.answer(photos(8, seed=1, broken=(6,)), np.arange(44))


def test_rows_are_three_and_the_last_is_the_main_one(answered):
    _, said = answered
    assert list(said.points) == list(ROWS)
    assert list(said.points)[-1] == MAIN
    assert set(said.costs) == set(said.seconds) == set(said.claims) == set(ROWS)
    assert "synthetic" in said.notes["quadtree"]
    assert all(said.seconds[name] >= said.costs[name].seconds > 0 for name in ROWS)
    flat, layered, hybrid = (said.costs[name].n_parameters for name in ROWS)
    assert flat == layered == hybrid / 3  # a step is two numbers beside each logit


def test_each_row_has_one_part_more():
    parts = [(config.hierarchical, config.step) for config in ROWS.values()]
    assert parts == [(False, False), (True, False), (True, True)]


def test_photos_that_cannot_be_read_are_misses(answered):
    _, said = answered
    assert list(said.failures) == ["1-6"]
    for points in said.points.values():
        assert np.isnan(points[6]).all()
        assert np.isfinite(np.delete(points, 6, 0)).all()


def test_four_places_are_told_apart(answered, places):
    _, said = answered
    for name, points in said.points.items():
        truth = places[np.arange(8) % 4]
        near = np.abs(points - truth).max(1) < 5
        assert np.delete(near, 6).mean() > 0.7, name


def test_only_the_rows_given_teach(answered, photos):
    """References of another place than those of the rows can never be an answer."""
    system, _ = answered
    queries = photos(8, seed=1)
    said = system.answer(queries, np.arange(0, 60, 4))  # the first place alone
    assert (np.abs(said.points[MAIN] - [48.86, 2.35]) < 0.2).all()
    head = system.learn(np.arange(8), ROWS[MAIN])
    assert int(head.partition.counts.sum()) < 8  # one was unreadable, some were held back


def test_leaves_grow_with_the_photos():
    rng = np.random.default_rng(0)
    for n in (600, 6000):
        places = np.clip(rng.normal(0, [20, 50], (n, 2)), [-80, -170], [80, 170])
        assert 30 < len(QuadtreePartition.fit(places, leaf_limit(n))) < 600
    assert leaf_limit(10) == 8


def test_one_locator_for_photos_of_unknown_place(photos, images, monkeypatch):
    assert {"quadtree"} <= set(SINGLE) & set(SYSTEMS)
    locator = fit_locator("quadtree", photos(40))
    said = locator.locate(images(2))
    assert locator.name == "OSV-5M"
    assert torch.isfinite(said.mode()).all()
    asked = []
    monkeypatch.setattr(
        hybrid_systems.HybridHead, "locate_features", lambda self, f: asked.append(f) or said
    )
    locator.locate(images(3))
    assert asked[0].shape == (3, locator.clip.dims["tokens"])
    assert QuadtreeSystem.of(photos(8), 0).good.all()
