"""GPS and dates from EXIF: absent is None, impossible is an error that shows the value."""

from __future__ import annotations

import csv
import io
import struct
from datetime import datetime

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from geolab.data.errors import DataWarning, PhotoError
from geolab.data.exif import read_date, read_gps

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


def photo(gps: dict | None = None, tags: dict | None = None, detail: dict | None = None) -> bytes:
    """A small JPEG with these EXIF tags (synthetic)."""
    exif = Image.Exif()
    exif.update(tags or {})
    if gps is not None:
        exif[0x8825] = gps
    if detail is not None:
        exif[0x8769] = detail
    buffer = io.BytesIO()
    NOISE.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def at(lat, lat_ref="N", lon=(10.0, 0.0, 0.0), lon_ref="E"):
    tags = {1: lat_ref, 2: lat, 3: lon_ref, 4: lon}
    return photo({key: value for key, value in tags.items() if value is not None})


def without_a_fix():
    """Latitude 0/0, 0/0, 0/0, which Pillow reads but does not write in every version."""
    raw = at((IFDRational(10007, 10009),) * 3)
    marked = struct.pack(">II", 10007, 10009)
    assert raw.count(marked) == 3
    return raw.replace(marked, bytes(8))


@pytest.mark.parametrize(
    ("lat_ref", "lon_ref", "signs"),
    [("N", "E", (1, 1)), ("S", "E", (-1, 1)), ("N", "W", (1, -1)), ("S", "W", (-1, -1))],
)
def test_hemispheres(lat_ref, lon_ref, signs):
    place = read_gps(at((33.0, 51.0, 35.9), lat_ref, (151.0, 12.0, 40.0), lon_ref))
    assert place == pytest.approx((signs[0] * 33.859972, signs[1] * 151.211111), abs=1e-5)


def test_fractions_of_every_habit():
    for lat in (
        (45.5, 0.0, 0.0),
        (45.0, 30.0, 0.0),
        (IFDRational(91, 2), IFDRational(0, 1), IFDRational(0, 1)),
        (IFDRational(45, 1), IFDRational(1799, 60), IFDRational(100, 100)),
    ):
        assert read_gps(at(lat)) == pytest.approx((45.5, 10.0), abs=2e-4)
    assert read_gps(at((90.0, 0.0, 0.0), "S", (180.0, 0.0, 0.0), "W")) == (-90.0, -180.0)
    assert read_gps(at((45.0, 30.0, 0.0), "n")) == (45.5, 10.0)


def test_absent_is_none():
    assert read_gps(photo()) is None
    assert read_gps(photo({})) is None
    assert read_gps(photo({29: "2020:01:01"})) is None  # a GPS block with a date only


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (at((91.0, 0.0, 0.0)), "latitude (91.0, 0.0, 0.0) N"),
        (at((89.0, 61.0, 0.0)), "latitude (89.0, 61.0, 0.0) N"),
        (at((10.0, 0.0, 0.0), lon=(181.0, 0.0, 0.0)), "longitude (181.0, 0.0, 0.0) E"),
        (without_a_fix(), "latitude (nan, nan, nan) N"),
        (at((10.0, 0.0, 0.0), lat_ref=None), "(no letter)"),
        (at((10.0, 0.0, 0.0), lat_ref="E"), "latitude (10.0, 0.0, 0.0) E"),
        (at((10.0, 0.0, 0.0), lon=None), "longitude None"),
    ],
)
def test_impossible_is_an_error_with_the_value(raw, shown):
    with pytest.raises(PhotoError, match="impossible GPS") as caught:
        read_gps(raw)
    assert shown in str(caught.value)
    assert "metadata.csv" in str(caught.value)


def test_null_island_is_missing_and_reported():
    with pytest.warns(DataWarning, match="0, 0"):
        assert read_gps(at((0.0, 0.0, 0.0), "N", (0.0, 0.0, 0.0), "E")) is None


def test_a_place_on_the_equator_is_no_null_island():
    assert read_gps(at((0.0, 0.0, 0.0))) == (0.0, 10.0)


def test_dates():
    stamp = datetime(2015, 6, 29, 19, 9, 58)
    assert read_date(photo(detail={0x9003: "2015:06:29 19:09:58"})) == stamp
    assert read_date(photo(tags={0x0132: "2015:06:29 19:09:58"})) == stamp
    both = photo(tags={0x0132: "2020:01:01 00:00:00"}, detail={0x9003: "2015:06:29 19:09:58"})
    assert read_date(both) == stamp
    assert read_date(photo(detail={0x9003: "0000:00:00 00:00:00"})) is None
    assert read_date(photo(detail={0x9003: "    :  :     :  :  "})) is None
    assert read_date(photo()) is None


def test_no_image_is_an_error():
    with pytest.raises(PhotoError, match="text, not an image"):
        read_gps(b"hello")
    with pytest.raises(PhotoError, match="no such file"):
        read_date("gone.jpg")


def test_a_cut_photo_still_tells_where_it_was():
    raw = at((45.0, 30.0, 0.0))
    assert read_gps(raw[: len(raw) // 2]) == (45.5, 10.0)


def test_real_photos_agree_with_their_table(shared_data):
    with open(shared_data / "photos.csv", newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["coordinates_from"] == "exif"]
    assert len(rows) == 285
    found = np.array([read_gps(shared_data / row["path"]) for row in rows])
    table = np.array([[float(row["latitude"]), float(row["longitude"])] for row in rows])
    assert np.abs(found - table).max() < 1e-6
    for row in rows:
        date = read_date(shared_data / row["path"])
        stated = row["captured_at"]
        assert (date is None) == (stated == "")
        if date is not None:
            assert date.strftime("%Y:%m:%d %H:%M:%S") == stated
