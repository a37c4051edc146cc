"""A position goes into EXIF, and not one other byte of the photo moves."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess

import numpy as np
import pytest
from PIL import ExifTags, Image

from geolab.data.errors import PhotoError
from geolab.data.photos import read_gps
from geolab.own_photos.exif_block import BlockError, gps_directory, read_directory, with_gps
from geolab.own_photos.jpeg import EXIF, has_position, segments, with_position

from .conftest import exif_block, jpeg, picture

SAID = {"error_m": 25_000, "method": "geolab estimate, confirmed by hand"}
OLD_GPS = {
    0: (1, 4, bytes([2, 2, 0, 0])),
    1: (2, 2, b"N\0\0\0"),
    3: (2, 2, b"E\0\0\0"),
    5: (1, 1, b"\0\0\0\0"),
    29: (2, 4, b"now\0"),  # GPSDateStamp, left alone
}
ONLY_TIME = {29: (2, 4, b"now\0")}


def exif_of(data: bytes) -> bytes:
    return next(s.body for s in segments(data, "a.jpg") if s.body.startswith(EXIF))[len(EXIF) :]


def others(data: bytes) -> list[bytes]:
    """Everything but EXIF: the other segments, and the picture."""
    found = segments(data, "a.jpg")
    rest = data[found[-1].end :]
    return [data[s.start : s.end] for s in found if not s.body.startswith(EXIF)] + [rest]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("gps", [None, ONLY_TIME, OLD_GPS], ids=["none", "time", "position"])
def test_every_old_byte_keeps_its_place(order, gps):
    if gps:
        gps = {t: (k, n, v) for t, (k, n, v) in gps.items()}
    old = exif_block(gps=gps, order=order)
    new = with_gps(old, -33.8567844, 151.2152967, **SAID)
    changed = [i for i in range(len(old)) if old[i] != new[i]]
    assert len(changed) <= 4  # one pointer
    main, again = (read_directory(b, struct.unpack_from(order + "L", b, 4)[0]) for b in (old, new))
    assert again.following == main.following  # the thumbnail
    assert {t: e for t, e in again.entries.items() if t != 0x8825} == {
        t: e for t, e in main.entries.items() if t != 0x8825
    }
    place = read_gps(jpeg(exif=new))
    assert place == pytest.approx((-33.8567844, 151.2152967), abs=2e-8)


def test_only_what_belongs_to_an_old_position_goes_with_it():
    new = gps_directory(with_gps(exif_block(gps=OLD_GPS), 1, 2, **SAID)).entries
    assert 5 not in new  # the altitude of the old place
    assert new[29][8:] == b"now\0"
    assert new[0][8:] == bytes([2, 2, 0, 0])
    kept = gps_directory(with_gps(exif_block(gps=ONLY_TIME), 1, 2, **SAID)).entries
    assert kept[29][8:] == b"now\0"


@pytest.mark.parametrize("exif", [None, exif_block(), exif_block(gps=ONLY_TIME, order=">")])
def test_pixels_profile_comment_and_order_of_segments_stay(exif):
    old = jpeg(exif=exif)
    new = with_position(old, "a.jpg", 45.75, 4.85, **SAID)
    assert others(new) == others(old)
    with Image.open(io.BytesIO(old)) as one, Image.open(io.BytesIO(new)) as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
        assert one.info["icc_profile"] == other.info["icc_profile"]
        assert one.info["comment"] == other.info["comment"]
        before, after = dict(one.getexif()), dict(other.getexif())
        after.pop(0x8825), before.pop(0x8825, None)
        assert before.items() <= after.items()
        assert exif is None or before == after
        assert one.getexif().get_ifd(0x8769) == other.getexif().get_ifd(0x8769)
    kinds = [segment.kind for segment in segments(new, "a.jpg")]
    assert kinds.index(0xE1) == kinds.count(0xE0)  # behind JFIF's own, before all others


def test_the_tags_are_what_a_reader_expects():
    new = with_position(jpeg(), "a.jpg", -0.00001, -179.99999999, **SAID)
    with Image.open(io.BytesIO(new)) as image:
        gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    tags = ExifTags.GPS
    assert (gps[tags.GPSLatitudeRef], gps[tags.GPSLongitudeRef]) == ("S", "W")
    assert [float(x) for x in gps[tags.GPSLongitude]] == [180, 0, 0]  # never 60 seconds
    assert gps[tags.GPSMapDatum] == "WGS-84"
    assert gps[tags.GPSProcessingMethod] == b"ASCII\0\0\0geolab estimate, confirmed by hand"
    assert float(gps[tags.GPSHPositioningError]) == 25_000
    assert tags.GPSDateStamp not in gps


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("exif", [None, exif_block(), exif_block(gps=ONLY_TIME, order=">")])
def test_exiftool_reads_the_new_and_all_of_the_old(tmp_path, exif):
    paths = tmp_path / "old.jpg", tmp_path / "new.jpg"
    paths[0].write_bytes(jpeg(exif=exif))
    paths[1].write_bytes(
        with_position(paths[0].read_bytes(), "a", -33.8567844, 151.2152967, **SAID)
    )
    asked = ["exiftool", "-j", "-n", "-G1", "-b", "-all", "-ThumbnailImage"]
    old, new = (json.loads(said_by(*asked, path))[0] for path in paths)
    assert new["GPS:GPSLatitude"] == pytest.approx(33.8567844, abs=1e-7)
    assert (new["GPS:GPSLatitudeRef"], new["GPS:GPSLongitudeRef"]) == ("S", "E")
    assert new["GPS:GPSMapDatum"] == "WGS-84"
    assert new["GPS:GPSHPositioningError"] == 25_000
    assert new["GPS:GPSProcessingMethod"] == "geolab estimate, confirmed by hand"
    own = ("GPS:", "Composite:GPS", "System:", "SourceFile", "ExifTool:", "File:ExifByteOrder")
    same = {k: v for k, v in old.items() if not k.startswith(own)}
    assert {k: new[k] for k in same} == same
    checked = ["exiftool", "-validate", "-warning", "-a", "-s3"]
    before, after = (set(said_by(*checked, path).splitlines()[1:]) for path in paths)
    assert all("GPSProcessingMethod" in warning for warning in after - before)


def said_by(*command) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_exifread_agrees(tmp_path):
    exifread = pytest.importorskip("exifread")
    new = with_position(jpeg(exif=exif_block()), "a.jpg", 45.75, 4.85, **SAID)
    tags = exifread.process_file(io.BytesIO(new))
    assert exifread.utils.get_gps_coords(tags) == pytest.approx((45.75, 4.85), abs=1e-7)
    assert str(tags["EXIF DateTimeOriginal"]) == "2019:07:14 15:30:12"


def test_a_second_picture_in_the_file_is_still_found():
    stream = io.BytesIO()
    picture(1).save(stream, "MPO", save_all=True, append_images=[picture(2, (48, 32))])
    new = with_position(stream.getvalue(), "a.jpg", 45.75, 4.85, **SAID)
    with Image.open(io.BytesIO(stream.getvalue())) as one, Image.open(io.BytesIO(new)) as other:
        assert other.n_frames == 2
        sizes = [image.mpinfo[0xB002][0]["Size"] for image in (one, other)]
        assert sizes[1] - sizes[0] == len(new) - len(stream.getvalue())
        for frame in (0, 1):
            one.seek(frame), other.seek(frame)
            assert np.array_equal(np.asarray(one), np.asarray(other))
    assert new[sizes[1] - 2 : sizes[1] + 2] == b"\xff\xd9\xff\xd8"  # the end of one, the next


def test_positions_are_found_wherever_they_are():
    assert not has_position(jpeg(exif=exif_block(gps=ONLY_TIME)), "a.jpg")
    assert has_position(jpeg(exif=exif_block(gps=OLD_GPS)), "a.jpg")  # even half a one
    assert not has_position(jpeg(), "a.jpg")
    packet = b'http://ns.adobe.com/xap/1.0/\0<x exif:GPSLatitude="45,45N"/>'
    xmp = b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet
    data = jpeg()[:2] + xmp + jpeg()[2:]
    assert has_position(data, "a.jpg")
    with pytest.raises(PhotoError, match=r"a\.jpg: its XMP holds a position too"):
        with_position(data, "a.jpg", 1, 2, **SAID)


def test_a_full_exif_is_refused():
    block = exif_block() + bytes(65_000)
    full = jpeg(exif=block[: 65_533 - 6 - 40])
    with pytest.raises(PhotoError, match="its EXIF is full"):
        with_position(full, "a.jpg", 1, 2, **SAID)


@pytest.mark.parametrize(
    "block",
    [
        b"junk",
        b"II*\0" + struct.pack("<L", 4_000_000),
        b"II*\0" + struct.pack("<LH", 8, 500),
    ],
    ids=["no header", "pointer", "directory"],
)
def test_damaged_exif_is_named_and_nothing_is_made(block):
    body = EXIF + block
    data = jpeg()[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg()[2:]
    with pytest.raises(PhotoError, match=r"^a\.jpg: its EXIF header .*exiftool"):
        with_position(data, "a.jpg", 1, 2, **SAID)


def test_two_exif_blocks_are_refused():
    one = jpeg(exif=exif_block())
    start = segments(one, "a")[1]
    two = one[: start.start] + one[start.start : start.end] * 2 + one[start.end :]
    if sum(s.body.startswith(EXIF) for s in segments(two, "a")) < 2:
        pytest.fail("the test made no second block")
    with pytest.raises(PhotoError, match="has 2 EXIF blocks"):
        with_position(two, "a.jpg", 1, 2, **SAID)


def test_a_pointer_out_of_the_block_is_an_error():
    with pytest.raises(BlockError, match="points to byte 9999"):
        read_directory(exif_block(), 9999)
