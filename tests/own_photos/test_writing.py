"""Copies get positions; originals never change, whatever goes wrong."""

from __future__ import annotations

import errno
import io
import os
import resource
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from geolab.data.errors import DataError
from geolab.data.photos import read_gps, read_photo
from geolab.own_photos import write_copies

from .conftest import LISBON, LYON, decided, exif_block, jpeg, picture
from .test_exif import OLD_GPS


@pytest.fixture
def folder(tmp_path):
    """An album of one photo, and a place for copies beside it."""
    here = tmp_path / "album"
    here.mkdir()
    (here / "a.jpg").write_bytes(jpeg(exif=exif_block()))
    os.utime(here / "a.jpg", ns=(10**18, 10**18 + 123_456_700))
    return here


@pytest.fixture
def state(folder):
    """Says what is in the album: names, bytes, times to the nanosecond, rights."""

    def look():
        every = sorted(folder.rglob("*"))
        stats = [path.lstat() for path in every]
        return [
            (p.name, p.read_bytes() if p.is_file() else b"", s.st_mtime_ns, s.st_mode)
            for p, s in zip(every, stats, strict=True)
        ]

    return look


def left(folder):
    """All files under a folder, hidden ones too."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def only(folder, decision, **more):
    (one,) = write_copies(folder, [decision], folder.parent / "copies", **more)
    return one


def test_a_copy_has_the_place_and_the_original_is_untouched(folder, state, tmp_path):
    before = state()
    one = only(folder, decided(folder / "a.jpg"))
    assert one.error == ""
    assert read_gps(one.copy) == pytest.approx(LYON, abs=1e-7)
    assert np.array_equal(
        np.asarray(read_photo(one.copy)), np.asarray(read_photo(folder / "a.jpg"))
    )
    assert one.copy.stat().st_mtime_ns == (folder / "a.jpg").stat().st_mtime_ns
    assert state() == before
    assert left(tmp_path / "copies") == ["a.jpg"]


def test_the_copy_says_whose_word_it_is(folder):
    one = only(folder, decided(folder / "a.jpg", said="corrected", radius_km=0.5))
    with Image.open(one.copy) as image:
        gps = image.getexif().get_ifd(0x8825)
    assert gps[27].endswith(b"geolab estimate, corrected by hand")
    assert float(gps[31]) == 500


def test_open_photos_get_nothing(folder, tmp_path):
    assert (
        write_copies(folder, [replace(decided(folder / "a.jpg"), decision="open")], tmp_path / "c")
        == []
    )
    assert not (tmp_path / "c").exists()


def test_folders_in_the_album_are_kept_apart(folder):
    (folder / "day2").mkdir()
    (folder / "day2" / "a.jpg").write_bytes(jpeg(3))
    two = replace(decided(folder / "day2" / "a.jpg", LISBON), file="day2/a.jpg")
    made = write_copies(folder, [decided(folder / "a.jpg"), two], folder.parent / "copies")
    assert [read_gps(one.copy) for one in made] == [pytest.approx(LYON), pytest.approx(LISBON)]


def test_a_position_of_its_own_is_left_alone_unless_said(folder, state, tmp_path):
    (folder / "a.jpg").write_bytes(jpeg(exif=exif_block(gps=OLD_GPS)))
    before = state()
    one = only(folder, decided(folder / "a.jpg"))
    assert one.copy is None
    assert str(folder / "a.jpg") in one.error
    assert "--replace-gps" in one.error
    assert not (tmp_path / "copies").exists()
    told = only(folder, decided(folder / "a.jpg"), replace_gps=True)
    assert read_gps(told.copy) == pytest.approx(LYON, abs=1e-7)
    assert state() == before


def made_as(kind: str) -> bytes:
    stream = io.BytesIO()
    picture().save(stream, kind)
    return stream.getvalue()


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
WHOLE = jpeg(exif=exif_block(), size=(256, 256))
BAD = {
    "PNG": (made_as("PNG"), "a PNG; only copies of JPEG"),
    "TIFF": (made_as("TIFF"), "a TIFF; only copies of JPEG"),
    "WebP": (made_as("WEBP"), "a WebP; only copies of JPEG"),
    "HEIC": (HEIC, "a HEIC photo; only copies of JPEG"),
    "empty": (b"", "an empty file"),
    "text": (b"shopping list", "no JPEG"),
    "cut in the header": (WHOLE[:300], "cut short or damaged at byte"),
    "cut in the picture": (WHOLE[:-400], "cut short or damaged"),
    "damaged EXIF": (WHOLE.replace(b"II*\0", b"II?\0", 1), "its EXIF header does not begin as one"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_written_is_named_and_the_others_go_on(folder, state, tmp_path, kind):
    data, reason = BAD[kind]
    (folder / "bad.jpg").write_bytes(data)
    before = state()
    asked = [decided(folder / "bad.jpg"), decided(folder / "a.jpg")]
    bad, good = write_copies(folder, asked, tmp_path / "copies")
    assert bad.error.startswith(f"{folder / 'bad.jpg'}: ")
    assert reason in bad.error
    assert (bad.copy, good.error) == (None, "")
    assert left(tmp_path / "copies") == ["a.jpg"]
    assert state() == before


def test_a_photo_that_changed_or_went_is_not_written(folder, tmp_path):
    asked = decided(folder / "a.jpg")
    (folder / "a.jpg").write_bytes(jpeg(5))
    assert "has changed since" in only(folder, asked).error
    (folder / "a.jpg").unlink()
    assert "No such file" in only(folder, asked).error
    assert not (tmp_path / "copies").exists()


def test_a_copy_is_never_written_over_anything(folder, state, tmp_path):
    copies = tmp_path / "copies"
    copies.mkdir()
    (copies / "a.jpg").symlink_to(folder / "a.jpg")  # the worst: a link to the original
    before = state()
    assert "exists already" in only(folder, decided(folder / "a.jpg")).error
    assert state() == before
    assert (copies / "a.jpg").is_symlink()


@pytest.mark.parametrize("out", ["album", "album/copies", "link", "link/x"])
def test_copies_never_go_into_the_album(folder, state, tmp_path, out):
    (tmp_path / "link").symlink_to(folder)
    before = state()
    with pytest.raises(DataError, match="lies in the album's folder"):
        write_copies(folder, [decided(folder / "a.jpg")], tmp_path / out)
    assert state() == before


def test_a_link_out_of_the_album_is_not_followed(folder, tmp_path):
    outside = tmp_path / "other.jpg"
    outside.write_bytes(jpeg(4))
    (folder / "link.jpg").symlink_to(outside)
    asked = replace(decided(outside), file="link.jpg")
    assert "leads out of the album" in only(folder, asked).error


def test_a_target_that_is_a_file(folder, tmp_path):
    (tmp_path / "copies").write_text("mine")
    with pytest.raises(DataError, match="is a file"):
        only(folder, decided(folder / "a.jpg"))
    (tmp_path / "copies").unlink()
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "day2").write_text("mine")
    (folder / "day2").mkdir()
    (folder / "day2" / "a.jpg").write_bytes(jpeg())
    one = only(folder, replace(decided(folder / "day2" / "a.jpg"), file="day2/a.jpg"))
    assert "can't be written" in one.error
    assert (tmp_path / "copies" / "day2").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(folder, tmp_path):
    (tmp_path / "copies").mkdir(mode=0o500)
    assert "Permission denied" in only(folder, decided(folder / "a.jpg")).error


def refuse(code):
    def anything(*_, **__):
        raise OSError(code, os.strerror(code))

    return anything


@pytest.mark.parametrize(
    ("place", "code", "reason"),
    [
        ("tempfile.mkstemp", errno.EROFS, "Read-only file system"),
        ("tempfile.mkstemp", errno.EACCES, "Permission denied"),
        ("os.fsync", errno.ENOSPC, "the disk is full"),
        ("os.replace", errno.EIO, "Input/output error"),
    ],
)
def test_a_target_that_refuses(folder, state, tmp_path, monkeypatch, place, code, reason):
    before = state()
    monkeypatch.setattr(place, refuse(code))
    one = only(folder, decided(folder / "a.jpg"))
    assert one.error.startswith(str(tmp_path / "copies" / "a.jpg"))
    assert reason in one.error
    assert left(tmp_path / "copies") == []
    assert state() == before


def test_a_disk_that_ends_in_the_middle_of_a_file_leaves_nothing(folder, state, tmp_path):
    before, limits = state(), resource.getrlimit(resource.RLIMIT_FSIZE)
    asked = decided(folder / "a.jpg")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        one = only(folder, asked)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in one.error
    assert left(tmp_path / "copies") == []
    assert state() == before


def test_read_only_originals_are_enough(folder, state):
    (folder / "a.jpg").chmod(0o400)
    before = state()
    assert only(folder, decided(folder / "a.jpg")).copy.exists()
    assert state() == before


@pytest.mark.parametrize("kind", ["a link beside the copies", "the album's own parent"])
def test_a_folder_in_the_album_does_not_lead_copies_into_it(folder, state, tmp_path, kind):
    inner = "day2" if kind.startswith("a link") else "album"
    (folder / inner).mkdir()
    (folder / inner / "b.jpg").write_bytes(jpeg(3))
    copies = tmp_path if inner == "album" else tmp_path / "copies"
    if inner == "day2":
        copies.mkdir()
        (copies / "day2").symlink_to(folder)
    before = state()
    asked = replace(decided(folder / inner / "b.jpg"), file=f"{inner}/b.jpg")
    (one,) = write_copies(folder, [asked], copies)
    assert "leads into the album's folder" in one.error
    assert state() == before


def test_a_disk_that_keeps_no_times_keeps_the_copy(folder, state, monkeypatch):
    before = state()
    monkeypatch.setattr("os.utime", refuse(errno.EPERM))
    one = only(folder, decided(folder / "a.jpg"))
    assert one.error == ""
    assert read_gps(one.copy) == pytest.approx(LYON, abs=1e-7)
    assert state() == before


@pytest.mark.filterwarnings("ignore")
def test_bytes_that_chance_changed_end_in_a_copy_or_a_reason(folder, tmp_path):
    rng, written = np.random.default_rng(0), 0
    for i in range(200):
        data = bytearray(jpeg(exif=exif_block(gps=[None, OLD_GPS][i % 2], order="<>"[i // 2 % 2])))
        for at in rng.integers(2, 1300, rng.integers(1, 7)):
            data[at] = rng.choice([0, 255, rng.integers(256)])
        (folder / "a.jpg").write_bytes(data)
        (one,) = write_copies(
            folder, [decided(folder / "a.jpg")], tmp_path / f"{i}", replace_gps=i % 3 == 0
        )
        assert (folder / "a.jpg").read_bytes() == data
        if one.copy:
            written += 1
            assert read_gps(one.copy) == pytest.approx(LYON, abs=1e-7)
            assert left(tmp_path / f"{i}") == ["a.jpg"]
        else:
            assert one.error.startswith(f"{folder / 'a.jpg'}: ")
            assert not (tmp_path / f"{i}").exists()
    assert 50 < written < 190  # both ends were met


def test_null_island_is_a_place_like_any_other(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert only(folder, decided(folder / "a.jpg", (0.0, 0.0))).error == ""
