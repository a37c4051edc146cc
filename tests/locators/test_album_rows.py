"""Albums as rows: every photo exactly once, in time order, whatever the table looks like."""

from __future__ import annotations

from datetime import datetime

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.data.errors import DataError
from geolab.locators.album_rows import PAGE, Albums, albums_from, albums_of

LABELS = st.sampled_from([None, "", float("nan"), "rome", "oslo", 7])
TIMES = st.sampled_from(
    [None, "", "soon", float("nan"), "2020-01-02", "2020:01:01 10:00:00", 1577836800000, "0"]
)


def lists(albums):
    return [rows.tolist() for rows in albums.rows]


def test_unsorted_rows_are_put_in_time_order():
    labels = ["b", "a", "b", "a", "b"]
    times = ["2021-03-01T10:00:00", "2020-05-02", "2021-03-01T09:59:59", "2020-05-01", "2019-01-01"]
    assert lists(albums_from(labels, times)) == [[4, 2, 0], [3, 1]]


def test_equal_times_keep_the_order_of_the_table():
    assert lists(albums_from(["a"] * 4, ["2020-01-02", "2020-01-01"] * 2)) == [[1, 3, 0, 2]]


def test_exif_iso_and_epoch_milliseconds_are_one_clock():
    # 1577880000000 ms is noon of 2020-01-01, UTC.
    times = ["2020:01:01 12:30:00", 1577880000000, "2020-01-01T11:59:59Z", "1577880001000"]
    assert lists(albums_from(["a"] * 4, times)) == [[2, 1, 3, 0]]


def test_exif_dates_are_year_month_day():
    assert lists(albums_from(["a", "a"], ["2020:03:02 10:00:00", "2020-02-20"])) == [[1, 0]]


def test_times_may_be_datetimes():
    times = [datetime(2020, 1, 2), datetime(2020, 1, 1), "2020-01-01T12:00:00"]
    assert lists(albums_from(["a"] * 3, times)) == [[1, 2, 0]]


def test_a_zone_counts():
    times = ["2020-01-01T12:00:00+02:00", "2020-01-01T11:00:00+00:00"]
    assert lists(albums_from(["a", "a"], times)) == [[0, 1]]


@pytest.mark.parametrize("time", [None, "", float("nan"), "not a date", "2020-13-45"])
def test_a_photo_without_a_time_is_an_album_of_its_own(time):
    albums = albums_from(["a", "a", "a"], ["2020-01-02", time, "2020-01-01"])
    assert lists(albums) == [[2, 0], [1]]
    assert albums.undated == (1,)
    assert albums.length_of_photos().tolist() == [2, 1, 2]


@pytest.mark.parametrize("label", [None, "", float("nan")])
def test_photos_without_an_album_do_not_make_one_together(label):
    albums = albums_from([label, label, "a"], ["2020-01-01", "2020-01-02", "2020-01-03"])
    assert lists(albums) == [[0], [1], [2]]
    assert albums.undated == ()  # they have a time, but no album


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LABELS, TIMES), max_size=30), st.integers(1, 7))
def test_every_row_stands_in_exactly_one_album(rows, size):
    albums = albums_from([label for label, _ in rows], [time for _, time in rows])
    for held in (albums, albums.pages(size)):
        together = np.concatenate([*held.rows, np.empty(0, np.int64)])
        assert sorted(together.tolist()) == list(range(len(rows)))
        assert held.n_photos == len(rows)
        assert all(len(one) for one in held.rows)
    assert all(len(one) <= size for one in albums.pages(size).rows)
    assert set(albums.undated) <= {one[0] for one in albums.rows if len(one) == 1}


def test_pages_cut_in_order_and_the_last_is_short():
    albums = Albums((np.arange(60), np.array([61, 60])))
    assert [len(page) for page in albums.pages().rows] == [PAGE, PAGE, 10, 2]
    assert np.concatenate(albums.pages().rows).tolist() == [*range(60), 61, 60]
    assert albums.pages(None) is albums
    with pytest.raises(ValueError, match="at least one photo, not 0"):
        albums.pages(0)


def test_padding_is_minus_one_and_albums_can_be_chosen():
    albums = Albums((np.array([2, 0, 3]), np.array([1]), np.array([5, 4])))
    assert albums.padded().tolist() == [[2, 0, 3], [1, -1, -1], [5, 4, -1]]
    assert albums.padded(torch.tensor([2, 1])).tolist() == [[5, 4], [1, -1]]
    assert len(albums) == 3


def test_a_table_is_read_by_its_columns_and_a_missing_one_is_named():
    photos = datasets.Dataset.from_dict(
        {"trip": ["a", "b", "a"], "taken": ["2020-01-02", "2020-01-01", "2020-01-01"]}
    )
    assert lists(albums_of(photos, by="trip", time="taken")) == [[2, 0], [1]]
    with pytest.raises(DataError, match=r"no column 'sequence'.*there are trip, taken"):
        albums_of(photos)
    with pytest.raises(DataError, match="no column 'captured_at'"):
        albums_of(photos, by="trip")
    with pytest.raises(ValueError, match="2 album names for 1 times"):
        albums_from(["a", "b"], ["2020-01-01"])
