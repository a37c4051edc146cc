"""Copies and thumbnails of photos keep pixels and nothing else."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from geolab.data.errors import PhotoError
from geolab.data.exif import read_gps
from geolab.data.photos import read_images, save_without_exif, thumbnail

SMOOTH = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize(
    (80, 60)
)  # synthetic


def jpeg(**options) -> bytes:
    buffer = io.BytesIO()
    SMOOTH.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def png(**options) -> bytes:
    buffer = io.BytesIO()
    SMOOTH.save(buffer, "PNG", **options)
    return buffer.getvalue()


SECRET = b"SECRET-MARK"


def tell_tale(tmp_path):
    """A JPEG with GPS, camera name, preview picture, XMP, IPTC and a comment."""
    exif = Image.Exif()
    exif[0x010F] = SECRET.decode()
    exif[0x0112] = 6
    exif[0x8825] = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0), 27: SECRET}
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + SECRET + b"</x:xmpmeta>"
    raw = jpeg(exif=exif, xmp=xmp, comment=SECRET)
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + struct.pack(">I", len(SECRET)) + SECRET
    raw = raw[:2] + b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc + raw[2:]
    path = tmp_path / "told.jpg"
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_copy_without_exif_keeps_no_secret(tmp_path, suffix):
    source = tell_tale(tmp_path)
    assert source.read_bytes().count(SECRET) >= 4
    assert read_gps(source) == pytest.approx((48.858333, 2.294444), abs=1e-5)
    copy = save_without_exif(source, tmp_path / f"copy{suffix}")
    raw = copy.read_bytes()
    for trace in (SECRET, b"Exif", b"xmpmeta", b"Photoshop", b"GPS", b"eXIf", b"EXIF", b"XMP "):
        assert trace not in raw, trace
    assert read_gps(copy) is None
    with Image.open(copy) as image:
        assert image.size == (60, 80), "the orientation must be applied before it is dropped"
        assert not dict(image.getexif())


def test_an_open_image_s_secrets_do_not_pass_either(tmp_path):
    with Image.open(tell_tale(tmp_path)) as image:
        copy = save_without_exif(image, tmp_path / "copy.jpg")
        small = thumbnail(image, 16)
    assert SECRET not in copy.read_bytes()
    assert not small.info
    for kind in ("JPEG", "PNG", "GIF", "WEBP"):
        buffer = io.BytesIO()
        small.save(buffer, kind)
        assert SECRET not in buffer.getvalue(), kind


def test_png_text_is_dropped(tmp_path):
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", SECRET.decode())
    note.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    copy = save_without_exif(png(pnginfo=note), tmp_path / "copy.png")
    assert SECRET not in copy.read_bytes()


def test_unknown_ending_and_unreadable_photo_write_nothing(tmp_path):
    with pytest.raises(PhotoError, match=r"\.bmp"):
        save_without_exif(jpeg(), tmp_path / "a.bmp")
    with pytest.raises(PhotoError):
        save_without_exif(b"text", tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["the same name", "a link to it", "another name of it"])
def test_an_original_is_not_written_over(tmp_path, kind):
    source, target = tell_tale(tmp_path), tmp_path / "other.jpg"
    before = source.read_bytes()
    if kind == "the same name":
        target = source
    elif kind == "a link to it":
        target.symlink_to(source)
    else:
        target.hardlink_to(source)
    with pytest.raises(PhotoError, match="is the original"):
        save_without_exif(source, target)
    assert source.read_bytes() == before


def test_every_real_photo_is_read_and_none_keeps_its_place(shared_data, tmp_path):
    files = sorted((shared_data / "photos").rglob("*.jpg"))[::10]
    assert len(files) >= 30
    read = read_images(files)
    assert not read.errors
    for i, file in enumerate(files):
        copy = save_without_exif(file, tmp_path / f"{i}.jpg")
        assert read_gps(copy) is None
        assert b"Exif" not in copy.read_bytes()
