"""OSV-5M's quadtree against its rule, box by box."""

import csv

import numpy as np
import pytest
import torch

from geolab import sphere
from geolab.cells import Partition, QuadtreePartition
from geolab.data.errors import DataError


def by_the_rule(points, n_images, depth):
    """The rule as it is written: recursion, SW SE NW NE, empty quarters dropped."""
    leaves = []

    def cut(box, rows, level):
        south, west, north, east = box
        if not len(rows):
            return
        if level == depth or len(rows) < n_images:
            leaves.append((box, rows))
            return
        lat, lon = (south + north) / 2, (west + east) / 2
        up, right = points[rows, 0] >= lat, points[rows, 1] >= lon
        cut((south, west, lat, lon), rows[~up & ~right], level + 1)
        cut((south, lon, lat, east), rows[~up & right], level + 1)
        cut((lat, west, north, lon), rows[up & ~right], level + 1)
        cut((lat, lon, north, east), rows[up & right], level + 1)

    low, high = points.min(0), points.max(0)
    cut((*low, *high), np.arange(len(points)), 0)
    return leaves


@pytest.fixture(scope="module")
def places():
    rng = np.random.default_rng(3)
    towns = rng.uniform([-50, -170], [70, 175], (12, 2))
    near = towns[rng.integers(12, size=900)] + rng.normal(0, 2, (900, 2))
    return np.clip(near, [-89, -179], [89, 179])


@pytest.mark.parametrize(("n_images", "depth"), [(40, 10), (5, 4), (1000, 10), (1, 3), (7, 0)])
def test_equal_to_the_rule(places, n_images, depth):
    cells = QuadtreePartition.fit(places, n_images, depth=depth)
    want = by_the_rule(places, n_images, depth)
    assert len(cells) == len(want)
    np.testing.assert_allclose(cells.boxes, [box for box, _ in want], atol=1e-9)
    assigned = cells.assign(places).numpy()
    for number, (_, rows) in enumerate(want):
        assert (assigned[rows] == number).all()
    assert cells.counts.tolist() == [len(rows) for _, rows in want]
    mean = sphere.spherical_mean(torch.from_numpy(places[want[0][1]]))
    torch.testing.assert_close(cells.means[0], mean, atol=1e-9, rtol=0)


def test_ancestors_are_nested_boxes(places):
    cells = QuadtreePartition.fit(places, 20, depth=6)
    assert cells.ancestors(0).unique().tolist() == [0]
    assert cells.ancestors(6).tolist() == list(range(len(cells)))
    for depth in range(6):
        coarse, fine = cells.ancestors(depth), cells.ancestors(depth + 1)
        pairs = {(f, c) for f, c in zip(fine.tolist(), coarse.tolist(), strict=True)}
        assert len(pairs) == len({f for f, _ in pairs})  # each fine box in one coarse box
    with pytest.raises(ValueError, match="depth 7"):
        cells.ancestors(7)


def test_outside_there_is_no_leaf(places):
    cells = QuadtreePartition.fit(places, 40)
    outside = [[cells.start[2] + 0.5, 0.0], [0.0, cells.start[3] + 0.5]]
    assert cells.assign(outside).tolist() == [-1, -1]
    corners = [cells.start[[0, 1]], cells.start[[2, 3]]]
    assert len(cells.assign(corners)) == 2


def test_kept_and_read_again(places, tmp_path):
    cells = QuadtreePartition.fit(places, 40)
    again = Partition.load(cells.save(tmp_path / "cells.npz"))
    assert isinstance(again, QuadtreePartition)
    assert again.hash == cells.hash
    torch.testing.assert_close(again.assign(places), cells.assign(places))
    ids, label = cells.cells()
    assert len(ids) == len(label)
    assert set(label.tolist()) == set(range(len(cells)))


def test_one_place_many_times():
    cells = QuadtreePartition.fit([[10.0, 20.0]] * 9, 2)
    assert len(cells) == 1
    assert cells.assign([[10.0, 20.0]]).tolist() == [0]


@pytest.mark.parametrize("settings", [(0, 10), (5, -1), (5, 31)])
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match="n_images"):
        QuadtreePartition.fit([[1.0, 2.0]], settings[0], depth=settings[1])


@pytest.mark.parametrize("bad", [[], [[91.0, 0.0]], [[float("nan"), 0.0]]])
def test_places_are_checked(bad):
    with pytest.raises(DataError):
        QuadtreePartition.fit(np.array(bad).reshape(-1, 2), 5)


def test_the_published_leaves_are_such_a_tree(shared_data):
    """Boxes of quadtree_10_1000: depth first, each a quarter of a quarter of the start box."""
    path = shared_data / "osv5m_website" / "quadtree_10_1000.csv"
    if not path.exists():
        pytest.skip("no published quadtree here")
    with path.open() as lines:
        rows = list(csv.DictReader(lines))
    names = ("min_lat", "min_lon", "max_lat", "max_lon")
    boxes = np.array([[float(row[k]) for k in names] for row in rows])
    assert len(boxes) == 11_399
    start = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
    # two copies of each leaf's middle: cutting boxes that hold 2 or more down to one leaf each
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    corners = np.stack([start[:2], start[2:]])
    grown = QuadtreePartition.fit(np.concatenate([middles, corners]), 2, depth=10)
    assert grown.assign(middles).unique().numel() > 0.98 * len(boxes)
    order = grown.assign(middles).numpy()
    assert (np.diff(order) >= 0).mean() > 0.99  # the same depth-first order
