"""Tables and folders: good ones load, bad ones stop with the line and the fix."""

from __future__ import annotations

import io
import os
import re
import sys

import numpy as np
import pytest
from PIL import Image

from geolab.data import load, read_images
from geolab.data.errors import DataError, DataWarning
from geolab.data.loading import photo_id, photographer_code


def photo_bytes(colour="red", gps=None) -> bytes:
    exif = Image.Exif()
    if gps is not None:
        lat, lon = gps
        exif[0x8825] = {
            1: "N" if lat >= 0 else "S",
            2: (abs(lat), 0.0, 0.0),
            3: "E" if lon >= 0 else "W",
            4: (abs(lon), 0.0, 0.0),
        }
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), colour).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.fixture
def album(tmp_path):
    """A folder with photos a.jpg, b.jpg, c.jpg in sub/, and a writer for a csv beside it."""
    (tmp_path / "sub").mkdir()
    for i, name in enumerate("abc"):
        raw = photo_bytes(("red", "lime", "blue")[i], (10.0 * (i + 1), -20.0))
        (tmp_path / "sub" / f"{name}.jpg").write_bytes(raw)

    def write(text: str, name: str = "photos.csv", encoding: str = "utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


GOOD = "path,latitude,longitude,country\nsub/a.jpg,1.5,2,NA\nsub/b.jpg,-3,4,\n"


def test_a_good_table(album):
    photos = load(album(GOOD))
    assert photos.column_names == ["id", "image", "latitude", "longitude", "country"]
    assert photos["latitude"][:] == [1.5, -3.0]
    assert photos["country"][:] == ["NA", ""]  # Namibia, not "not available"
    assert photos[0]["image"].size == (16, 12)
    assert not any("a.jpg" in photo for photo in photos["id"])


@pytest.mark.parametrize("header", ["lat,lon", "LAT,LNG", "Latitude,Long", " lat , lon "])
@pytest.mark.parametrize("image", ["path", "image", "file_name", "filename"])
def test_other_names_for_columns(album, header, image):
    photos = load(album(f"{image},{header}\nsub/a.jpg,1,2\n"))
    assert (photos[0]["latitude"], photos[0]["longitude"]) == (1.0, 2.0)


def test_ids_are_kept_as_text_or_made_stable(album):
    photos = load(album("id,path,lat,lon\n007,sub/a.jpg,1,2\n8e10,sub/b.jpg,1,2\n"))
    assert photos["id"][:] == ["007", "8e10"]
    made = load(album(GOOD))["id"][:]
    assert made == load(album(GOOD.replace("sub/", "./sub/")))["id"][:]
    assert made == [photo_id("sub/a.jpg"), photo_id("sub/b.jpg")]


def test_a_byte_order_mark_blank_lines_and_windows_line_ends(album):
    text = GOOD.replace("\n", "\r\n").replace("sub/b", "\r\n,,,\r\n\r\nsub/b")
    assert len(load(album("\ufeff" + text))) == 2


def test_personal_columns_go_and_photographers_become_codes(album):
    text = (
        "path,lat,lon,photographer,creator_username,Creator_ID,source\nsub/a.jpg,1,2,Ann,ann,7,x\n"
    )
    photos = load(album(text))
    assert photos.column_names == ["id", "image", "latitude", "longitude", "photographer", "source"]
    assert photos[0]["photographer"] == photographer_code("Ann") != "Ann"
    assert photographer_code(photographer_code("Ann")) == photographer_code("Ann")
    assert photographer_code("") == ""


def test_osv5m_s_columns(album):
    text = (
        "id,path,latitude,longitude,country,unique_country,land_cover,sub-region\n"
        "1,sub/a.jpg,1,2,,PT,4.0,x\n2,sub/b.jpg,1,2,ES,ES,,y\n"
    )
    photos = load(album(text))
    assert photos["country"][:] == ["PT", "ES"]
    assert photos["land_cover"][0] == 4.0
    assert np.isnan(photos["land_cover"][1])
    assert photos["sub-region"][:] == ["x", "y"]


def test_a_bad_photo_stays_in_and_is_reported_when_read(album, tmp_path):
    (tmp_path / "sub" / "a.jpg").write_text("not a photo")
    photos = load(album(GOOD))
    read = read_images(photos)
    assert [image is None for image in read.images] == [True, False]
    assert list(read.errors) == [photo_id("sub/a.jpg")]


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_is_read_by_its_exif(album, tmp_path):
    photos = load(tmp_path)
    assert photos["latitude"][:] == [10.0, 20.0, 30.0]
    assert photos["longitude"][:] == [-20.0] * 3
    assert photos["id"][:] == [photo_id(f"sub/{name}.jpg") for name in "abc"]


def test_photos_without_a_place_are_left_out_by_name(album, tmp_path):
    (tmp_path / "none.jpg").write_bytes(photo_bytes())
    (tmp_path / "zero.jpg").write_bytes(photo_bytes(gps=(0.0, 0.0)))
    (tmp_path / "beyond.jpg").write_bytes(photo_bytes(gps=(91.0, 0.0)))
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    with pytest.warns(DataWarning, match="5 of 8 photos left out") as caught:
        photos = load(tmp_path)
    assert len(photos) == 3
    message = str(caught[0].message)
    for part in (
        "none.jpg (no GPS in its EXIF)",
        "zero.jpg (GPS says 0, 0",
        "beyond.jpg (impossible GPS latitude (91.0",
        "text.jpg (text, not an image",
        "empty.jpg (an empty file",
    ):
        assert part in message
    assert re.search(r"photo of \d+ bytes", message) is None


def test_a_folder_without_any_place_says_how_to_give_one(tmp_path):
    (tmp_path / "none.jpg").write_bytes(photo_bytes())
    with pytest.raises(DataError, match=r"none of 1 photos .*metadata\.csv"):
        load(tmp_path)


def test_metadata_csv_wins_over_exif(album, tmp_path):
    album("file_name,latitude,longitude\nsub/b.jpg,7,8\n", "metadata.csv")
    photos = load(tmp_path)
    assert (len(photos), photos[0]["latitude"]) == (1, 7.0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names in Unicode")
def test_names_that_are_not_utf_8(album, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(name, "wb") as handle:
        handle.write(photo_bytes("white", (40.0, 5.0)))
    with open(os.fsencode(tmp_path) + b"/caf\xe8.jpg", "wb") as handle:
        handle.write(b"no photo at all")
    with pytest.warns(DataWarning, match=r"caf\\xe8\.jpg"):
        photos = load(tmp_path)
    assert len(photos) == 4
    assert not read_images(photos).errors
    assert photos["id"][photos["latitude"][:].index(40.0)] == photo_id(os.fsdecode(b"caf\xe9.jpg"))


def test_no_such_thing(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"no folder, no \.csv file and no data set.*tinyearth"):
        load("atlantis")
    with pytest.raises(DataError, match="no photos"):
        load(tmp_path)


# --- choosing, and data sets of the catalogue ---------------------------------------------------


def test_a_random_choice_is_repeatable_and_in_order(album, tmp_path):
    for i in range(20):
        (tmp_path / "sub" / f"n{i:02}.jpg").write_bytes(photo_bytes(gps=(1.0 + i, 1.0)))
    every = load(tmp_path)["id"][:]
    some = load(tmp_path, n=8, seed=3)["id"][:]
    assert some == load(tmp_path, n=8, seed=3)["id"][:]
    assert some != load(tmp_path, n=8, seed=4)["id"][:]
    assert [photo for photo in every if photo in some] == some
    with pytest.raises(DataError, match="n = 99, but there are 23"):
        load(tmp_path, n=99)
    with pytest.raises(DataError, match="size is for tinyearth"):
        load(tmp_path, size=64)


def test_a_data_set_that_is_not_here_says_how_to_get_it(cache):
    with pytest.raises(DataError, match=r'not in the cache .*geolab\.data\.fetch\("osv5m"\)'):
        load("osv5m")
    with pytest.raises(DataError, match="no photos"):
        load("leaflet")


def test_osv5m_is_read_from_its_csv_and_unpacked_zips(cache):
    folder = cache / "osv5m"
    (folder / "images" / "test" / "00").mkdir(parents=True)
    (folder / "images" / "test" / "00" / "222.jpg").write_bytes(photo_bytes())
    (folder / "test.csv").write_text(
        "id,latitude,longitude,country,unique_country,creator_username,creator_id\n"
        "111,1,2,,FR,ann,1\n222,3,4,,IT,bob,2\n"
    )
    with pytest.warns(DataWarning) as caught:
        photos = load("osv5m")
    told = " | ".join(str(warning.message) for warning in caught)
    assert "1 of 2 photos are here" in told
    assert "2 rows, its manifest says 210122" in told
    assert (photos["id"][:], photos["country"][:]) == (["222"], ["IT"])
    assert not {"creator_username", "creator_id"} & set(photos.column_names)


def test_sets_that_users_bring(cache):
    folder = cache / "im2gps"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(photo_bytes())
    (folder / "photos.csv").write_text("id,path,latitude,longitude\nq1,1.jpg,1,2\n")
    with pytest.warns(DataWarning, match="1 rows, its manifest says 237"):
        assert load("im2gps")["id"][:] == ["q1"]


def test_the_real_photos_load(shared_data):
    photos = load(shared_data / "photos.csv")
    assert len(photos) == 300
    assert len(set(photos["id"][:])) == 300
    assert {"source", "country", "captured_at", "scene_ok"} <= set(photos.column_names)
    sample = photos.select(range(0, 300, 20))
    assert not read_images(sample).errors
    with pytest.warns(DataWarning, match="15 of 300 photos left out"):
        assert len(load(shared_data / "photos")) == 285
