"""OSV-5M, MP-16 and any csv load as they lie on a disk. The photos in them are synthetic."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from geolab.data import load, load_manifest, read_images
from geolab.data.errors import DataError, DataWarning, FetchError, LicenceWarning
from geolab.data.loading import PERSONAL, photo_id, photographer_code
from geolab.data.manifest import fetch
from tests.data.miniatures import (
    OSV5M_COLUMNS,
    PHOTOGRAPHERS,
    synthetic_rows,
    write_csv,
    write_mp16,
    write_osv5m,
)

pytestmark = pytest.mark.filterwarnings("ignore::geolab.data.errors.DataWarning")


def is_as_rendered(photos) -> bool:
    """Every photo can be read, and has the colours of the one that was written for its row."""
    read = read_images(photos)
    by_place = {(r["latitude"], r["longitude"]): r["jpeg"] for r in synthetic_rows()}
    places = zip(photos["latitude"][:], photos["longitude"][:], strict=True)
    wanted = [{"bytes": by_place[place], "path": None} for place in places]
    pairs = zip(read.images, read_images(wanted).images, strict=True)
    return not read.errors and all(np.array_equal(one, other) for one, other in pairs)


# --- OSV-5M -------------------------------------------------------------------------------------


def test_the_manifest_has_the_columns_of_the_miniature():
    manifest = load_manifest("osv5m")
    assert set(manifest.columns) == set(OSV5M_COLUMNS)
    assert {name for name, about in manifest.columns.items() if about.get("personal")} == {
        "thumb_original_url",
        "creator_username",
        "creator_id",
    }


def test_osv5m_is_fetched_from_a_mirror_and_loaded(cache, tmp_path, monkeypatch):
    ids = write_osv5m(tmp_path / "mirror" / "osv5m")
    monkeypatch.setenv("GEOLAB_MIRROR", str(tmp_path / "mirror"))
    folder = fetch("osv5m", progress=False)
    assert (folder / "lock.json").is_file()
    assert not (folder / "train.csv").exists()  # optional: asked for by name only
    with pytest.warns(DataWarning, match=r"96 rows, its manifest says 210122"):
        photos = load("osv5m")
    assert photos["id"][:] == ids
    assert not {*PERSONAL} & set(photos.column_names)
    assert photos["country"][:] == [row["country"] for row in synthetic_rows()]
    assert photos["land_cover"][0] == 4.0
    assert not (cache / "unpacked").exists()  # fetched zips are unpacked already
    assert is_as_rendered(photos.select(range(0, 96, 12)))


def test_the_training_split_is_fetched_by_name(cache, tmp_path, monkeypatch):
    write_osv5m(tmp_path / "mirror" / "osv5m", "train", n_zips=3)
    monkeypatch.setenv("GEOLAB_MIRROR", str(tmp_path / "mirror"))
    wanted = ["train.csv", "images/train/00.zip"]
    with pytest.raises(DataError) as caught:
        load("osv5m", split="train")
    assert f'fetch("osv5m", files={wanted})' in str(caught.value)
    fetch("osv5m", files=wanted, progress=False)
    with pytest.warns(DataWarning, match="32 of 96 photos are here"):
        photos = load("osv5m", split="train")
    assert len(photos) == 32
    assert is_as_rendered(photos.select([0, 31]))


@pytest.mark.parametrize("split", ["test", "train"])
def test_a_local_copy_is_read_through_its_csv(cache, tmp_path, split):
    ids = write_osv5m(tmp_path / "copy", split)
    before = sorted(tmp_path.joinpath("copy").rglob("*"))
    photos = load(tmp_path / "copy" / f"{split}.csv", n=10, seed=1)
    assert len(photos) == 10
    assert set(photos["id"][:]) < set(ids)
    assert is_as_rendered(photos)
    assert sorted(tmp_path.joinpath("copy").rglob("*")) == before  # nothing is written beside it
    assert len(list((cache / "unpacked").rglob("*.jpg"))) == 10  # and no more than was chosen


def test_a_second_load_unpacks_nothing_again(cache, tmp_path):
    write_osv5m(tmp_path / "copy")
    first = load(tmp_path / "copy" / "test.csv", n=6)
    files = list((cache / "unpacked").rglob("*.jpg"))
    times = [file.stat().st_mtime_ns for file in files]
    files[0].write_bytes(b"")  # cut short by something else
    again = load(tmp_path / "copy" / "test.csv", n=6)
    assert again["id"][:] == first["id"][:]
    assert [file.stat().st_mtime_ns for file in files[1:]] == times[1:]
    assert is_as_rendered(again)


def test_a_part_of_the_zips_is_enough(cache, tmp_path):
    ids = write_osv5m(tmp_path / "copy")
    images = tmp_path / "copy" / "images" / "test"
    for k in (1, 2, 4):
        (images / f"{k:02}.zip").unlink()
    with zipfile.ZipFile(images / "03.zip") as archive:  # unpacked by hand: loose photos win
        archive.extractall(images)
    (images / "03.zip").unlink()
    with pytest.warns(DataWarning, match=r"test\.csv: 39 of 96 photos are here"):
        photos = load(tmp_path / "copy" / "test.csv")
    assert photos["id"][:] == [photo for i, photo in enumerate(ids) if i % 5 in (0, 3)]
    assert is_as_rendered(photos.select([0, 1, 38]))


def test_rows_without_a_photo_are_passed_over_unchecked(cache, tmp_path):
    ids = write_osv5m(tmp_path / "copy")
    path = tmp_path / "copy" / "test.csv"
    write_csv(path, OSV5M_COLUMNS, [{"id": "1", "latitude": 95, "longitude": 3}])
    with pytest.raises(DataError, match=r"none of 1 photos is in .*images.test.*00\.zip"):
        load(path)
    rows = [{"id": "1", "latitude": 95}, {"id": ids[0], "latitude": 95, "longitude": 3}]
    write_csv(path, OSV5M_COLUMNS, rows)
    with pytest.raises(DataError, match=r"line 3: latitude 95 is beyond 90"):
        load(path)


def test_a_zip_that_is_cut_short_is_named(cache, tmp_path):
    write_osv5m(tmp_path / "copy")
    archive = tmp_path / "copy" / "images" / "test" / "02.zip"
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"02\.zip: not a whole zip file"):
        load(tmp_path / "copy" / "test.csv")


def test_a_photo_damaged_inside_a_zip_is_refused(cache, tmp_path):
    ids = write_osv5m(tmp_path / "copy")
    archive = tmp_path / "copy" / "images" / "test" / "00.zip"
    raw = archive.read_bytes()
    at = raw.index(f"{ids[0]}.jpg".encode()) + 200
    archive.write_bytes(raw[:at] + bytes(8) + raw[at + 8 :])
    with pytest.raises(FetchError, match=r"00\.zip is not a whole zip file"):
        load(tmp_path / "copy" / "test.csv")
    assert not list((cache / "unpacked").rglob(f"{ids[0]}*"))


def test_members_with_paths_that_point_outside_are_refused(cache, tmp_path):
    ids = write_osv5m(tmp_path / "copy")
    with zipfile.ZipFile(tmp_path / "copy" / "images" / "test" / "09.zip", "w") as archive:
        archive.writestr(f"../../{ids[0]}.jpg", synthetic_rows()[0]["jpeg"])
    with pytest.raises(FetchError, match="points outside"):
        load(tmp_path / "copy" / "test.csv")


# --- MP-16 --------------------------------------------------------------------------------------


def test_mp16_is_a_csv_and_a_folder(tmp_path):
    path = write_mp16(tmp_path)
    photos = load(path)
    assert photos.column_names == ["id", "image", "latitude", "longitude", "photographer"]
    assert photos["id"][0] == photo_id("00/00/5000000.jpg")
    assert set(photos["photographer"][:]) == {photographer_code(who) for who in PHOTOGRAPHERS}
    assert is_as_rendered(photos.select(range(0, 96, 12)))


@pytest.mark.parametrize("folder", [".", "mp16_places365"])
def test_mp16_s_folder_may_be_the_csv_s_or_named_like_it(tmp_path, folder):
    path = write_mp16(tmp_path)
    for part in list((tmp_path / "images").iterdir()):
        target = tmp_path / folder / part.name
        target.parent.mkdir(exist_ok=True)
        part.rename(target)
    assert len(load(path, n=5)) == 5


def test_mp16_with_a_swapped_header_is_refused_with_the_fix(tmp_path):
    path = write_mp16(tmp_path, swapped=True)
    with pytest.raises(DataError, match="swapped") as caught:
        load(path)
    for part in (str(path), "is beyond 90", "exchange the two column names"):
        assert part in str(caught.value)


def test_mp16_s_absent_photos_are_left_out_and_counted(tmp_path):
    path = write_mp16(tmp_path, author=False)
    for file in sorted((tmp_path / "images").rglob("*.jpg"))[:7]:
        file.unlink()
    with pytest.warns(DataWarning, match="89 of 96 photos are here"):
        photos = load(path)
    assert len(photos) == 89
    assert set(photos["photographer"][:]) == {""}
    for file in (tmp_path / "images").rglob("*.jpg"):
        file.unlink()
    with pytest.raises(DataError, match=r"none of 96 photos .*Looked in .*images"):
        load(path)


def test_the_photographer_is_taken_from_the_file_name_before_the_author(tmp_path):
    names = ("a_1_77@N01.jpg", "b_2.jpg")
    for name in names:
        (tmp_path / name).write_bytes(synthetic_rows()[0]["jpeg"])
    rows = [{"IMG_ID": name, "AUTHOR": "9@N09", "LAT": 1, "LON": 2} for name in names]
    write_csv(tmp_path / "im2gps_places365.csv", ("IMG_ID", "AUTHOR", "LAT", "LON"), rows)
    photos = load(tmp_path / "im2gps_places365.csv")
    assert photos["photographer"][:] == [photographer_code("77@N01"), photographer_code("9@N09")]
    assert not any("@N0" in str(row) for row in photos.remove_columns("image"))


def test_mp16_in_the_cache_is_loaded_by_name(cache):
    write_mp16(cache / "mp16")
    assert len(load("mp16", split="train")) == 96


def test_the_licence_of_what_users_bring_is_told(cache, tmp_path, monkeypatch, recwarn, capsys):
    write_mp16(tmp_path / "mirror" / "mp16")
    monkeypatch.setenv("GEOLAB_MIRROR", str(tmp_path / "mirror"))
    folder = fetch("mp16", progress=False)
    assert (folder / "mp16_places365.csv").is_file()
    assert "Creative Commons" in capsys.readouterr().err
    assert not [one for one in recwarn if one.category is LicenceWarning]  # unknown, not "no"


def test_a_table_that_changed_after_the_first_use_is_refused(cache, tmp_path, monkeypatch):
    theirs = write_mp16(tmp_path / "mirror" / "mp16")
    monkeypatch.setenv("GEOLAB_MIRROR", str(tmp_path / "mirror"))
    mine = fetch("mp16", progress=False) / "mp16_places365.csv"
    theirs.write_bytes(theirs.read_bytes() + b"x.jpg,1,2,\n")
    mine.unlink()
    with pytest.raises(FetchError, match="locked at the first download"):
        fetch("mp16", progress=False)
    assert not mine.exists()
