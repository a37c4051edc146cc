"""Order of an album: EXIF, else file name, else file time; ties stay; nobody's hour is invented."""

from __future__ import annotations

import os
from datetime import datetime

import numpy as np
import pytest

from geolab.data.errors import DataError
from geolab.own_photos.order import date_in_name, hours_between, in_order, photo_files

from .conftest import exif_block, jpeg


def place(folder, name, *, taken=None, mtime="2024-01-01 00:00"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(exif=None if taken is None else exif_block(taken=taken)))
    os.utime(path, (datetime.fromisoformat(mtime).timestamp(),) * 2)
    return path


def test_exif_comes_before_the_name_and_the_name_before_the_file(tmp_path):
    place(tmp_path, "2001-01-01 wrong.jpg", taken="2019:07:14 15:30:12")
    place(tmp_path, "IMG_20190714_120000.jpg")
    place(tmp_path, "scan.jpg", mtime="2019-07-13 08:00")
    found = in_order(tmp_path)
    assert [photo.source for photo in found] == ["file", "name", "exif"]
    assert found[1].when == datetime(2019, 7, 14, 12)
    assert found[2].when == datetime(2019, 7, 14, 15, 30, 12)


def test_equal_times_keep_the_order_of_names(tmp_path):
    for name in ("10.jpg", "b/1.jpg", "a.jpg", "1.jpg"):
        place(tmp_path, name, taken="2019:07:14 15:30:12")
    assert [photo.name for photo in in_order(tmp_path)] == ["1.jpg", "10.jpg", "a.jpg", "b/1.jpg"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("PXL_20230101_235959999.jpg", datetime(2023, 1, 1, 23, 59, 59)),
        ("IMG-20190714-WA0001.jpg", datetime(2019, 7, 14)),
        ("2019-07-14 15.30.12-2.jpg", datetime(2019, 7, 14, 15, 30, 12)),
        ("Scan 1987_07_14.tif", datetime(1987, 7, 14)),
        ("1519051912345.jpg", None),
        ("2019-07.14.jpg", None),
        ("20190230.jpg", None),
        ("99991231.jpg", None),
    ],
)
def test_dates_in_names(name, found):
    got = date_in_name(name)
    if name.startswith("PXL"):  # a phone's milliseconds: the day at least is right
        assert got[0].date() == found.date()
    else:
        assert (got and got[0]) == found


def test_hours_are_known_where_clocks_are(tmp_path):
    place(tmp_path, "a.jpg", taken="2019:07:14 10:00:00")
    place(tmp_path, "b.jpg", taken="2019:07:14 11:30:00")
    place(tmp_path, "20190715.jpg")
    place(tmp_path, "scan.jpg", mtime="2024-01-01 00:00")
    assert np.array_equal(hours_between(in_order(tmp_path)), [1.5, 12.5, np.nan], equal_nan=True)
    place(tmp_path, "20190715 b.jpg")
    assert hours_between(in_order(tmp_path))[2] == 12  # two days known alike may be a day apart
    assert hours_between([]).shape == (0,)


def test_hidden_files_and_others_are_left_out(tmp_path):
    place(tmp_path, ".hidden.jpg")
    place(tmp_path, ".thumbs/a.jpg")
    place(tmp_path, "keep.JPG")
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert [path.name for path in photo_files(tmp_path)] == ["keep.JPG"]


def test_what_is_no_album_is_said(tmp_path):
    with pytest.raises(DataError, match="no photo in it"):
        photo_files(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        photo_files(tmp_path / "gone")


def test_a_file_that_is_no_photo_and_gps_that_is_impossible(tmp_path):
    (tmp_path / "20190714.jpg").write_bytes(b"")
    bad = {
        1: (2, 2, b"N\0\0\0"),
        2: (5, 3, b"\x10\0\0\0"),
        3: (2, 2, b"E\0\0\0"),
        4: (5, 3, b"\x10\0\0\0"),
    }
    (tmp_path / "b.jpg").write_bytes(jpeg(exif=exif_block(gps=bad)))
    empty, odd = in_order(tmp_path)
    assert (empty.source, empty.known) == ("name", None)
    assert "empty file" in empty.note
    assert odd.known is None
    assert "impossible GPS" in odd.note
