"""Naive cells: boxes, halved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.cells import NaivePartition, Partition
from geolab.data.errors import DataError
from geolab.maps.cells import cell_figure


def test_limits_hold_and_every_photo_is_counted(photos):
    cells = NaivePartition.fit(photos[:5000], max_size=100)
    classes = cells.assign(photos[:5000]).numpy()
    np.testing.assert_array_equal(np.bincount(classes), cells.counts)
    assert cells.counts.sum() == cells.n_photos == 5000
    assert cells.counts.min() >= 50
    assert np.median(cells.counts) <= 100
    assert len(cells) > 40


def test_order_of_photos_does_not_matter(photos):
    some = photos[:2000]
    mixed = np.random.default_rng(0).permutation(some)
    assert NaivePartition.fit(some, 50).hash == NaivePartition.fit(mixed, 50).hash


def test_boxes_tile_the_world(photos):
    cells = NaivePartition.fit(photos[:2000], 50)
    south, west, north, east = cells.boxes.T
    area = (np.sin(np.radians(north)) - np.sin(np.radians(south))) * (east - west)
    assert area.sum() == pytest.approx(720)
    corners = [[90, 0], [-90, 33], [0, 180], [0, -180], [12, cells.west]]
    assert (cells.assign(corners).numpy() >= 0).all()
    assert len(set(cells.assign([[12.0, 180.0], [12.0, -180.0]]).tolist())) == 1


def test_cuts_at_the_middle_of_the_longer_side():
    points = np.array([[0.0, 10.0], [1.0, 11.0], [0.0, 29.0], [2.0, 30.0]])
    cells = NaivePartition.fit(points, 2, 1)
    assert cells.counts.tolist() == [2, 2]
    below, above = cells.assign([[1.0, 19.9], [1.0, 20.1]]).tolist()
    assert below == cells.assign(points[:1]).item()
    assert above == cells.assign(points[2:3]).item()


def test_islands_around_180_share_a_cell():
    rng = np.random.default_rng(0)
    fiji = np.stack([rng.normal(-17.5, 0.5, 60), (rng.normal(180, 1, 60) + 180) % 360 - 180], 1)
    assert (fiji[:, 1] > 0).any()
    assert (fiji[:, 1] < 0).any()
    paris = rng.normal([48.9, 2.3], 0.5, (60, 2))
    cells = NaivePartition.fit(np.concatenate([fiji, paris]), 60)
    assert len(cells) == 2
    assert sorted(abs(cells.means[:, 1]).round().tolist()) == [2, 180]


def test_few_strays_go_to_the_nearest_class():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal([50, 10], 1, (40, 2)), rng.normal([50, 60], 1, (40, 2)),
                             [[-40.0, 60.0]]])  # fmt: skip
    cells = NaivePartition.fit(points, 45, 20)
    assert (cells.box_class < 0).any()
    assert cells.counts.tolist() in ([40, 41], [41, 40])
    assert cells.assign(points[-1:]) == cells.assign(points[40:41])


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([-90.0, -17.0, 0.0, 45.0, 90.0]),
                  st.sampled_from([-180.0, -179.9, 0.0, 179.9, 180.0])),
        min_size=1, max_size=40,
    ),
    st.integers(1, 9),
)  # fmt: skip
def test_any_points_are_conserved(points, max_size):
    cells = NaivePartition.fit(points, max_size)
    counted = np.bincount(cells.assign(points).numpy(), minlength=len(cells))
    np.testing.assert_array_equal(counted, cells.counts)
    assert cells.counts.sum() == len(points)
    assert cells.counts.min() >= min(len(points), max(1, max_size // 2))


def test_saved_drawn_and_written(photos, tmp_path):
    cells = NaivePartition.fit(photos[:1000], 50)
    same = Partition.load(cells.save(tmp_path / "cells.npz"))
    assert same.hash == cells.hash
    np.testing.assert_array_equal(same.assign(photos), cells.assign(photos))
    assert len(cells.to_geojson()["features"]) == len(cells)
    ids, label = cells.cells()
    assert len(np.unique(ids)) == len(ids)
    assert set(label) == set(range(len(cells)))
    assert len(cell_figure(cells, synthetic=True).axes) == 4


def test_bad_input():
    with pytest.raises(ValueError, match="min_size 9 and max_size 5"):
        NaivePartition.fit([[0, 0]], 5, 9)
    with pytest.raises(DataError, match="N > 0"):
        NaivePartition.fit(np.zeros((0, 2)), 5)
    with pytest.raises(DataError, match="row"):
        NaivePartition.fit([[0, 0], [91, 0]], 5)
