"""Photos made byte by byte, so that a test can say which bytes may change."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from geolab.own_photos.decisions import Decision
from geolab.posterior import Posterior
from geolab.sphere import fibonacci_grid

LYON, PARIS, LISBON, SYDNEY = (45.75, 4.85), (48.86, 2.35), (38.72, -9.14), (-33.87, 151.21)


def picture(seed: int = 0, size: tuple[int, int] = (96, 64)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def exif_block(
    *, taken: str = "2019:07:14 15:30:12", gps: dict | None = None, order: str = "<"
) -> bytes:
    """EXIF with a thumbnail and a maker's note that points into the block by absolute offsets."""
    thumb = io.BytesIO()
    picture(9, (32, 24)).save(thumb, "JPEG")
    note_at = 300
    note = b"MAKER\0" + struct.pack(order + "LL", note_at + 20, note_at) + b"secret settings"
    values = {260: taken.encode() + b"\0", note_at: note, 400: thumb.getvalue()}
    main = {0x010F: (2, 4, b"Cam\0"), 0x0112: (3, 1, struct.pack(order + "HH", 6, 0))}
    main[0x8769] = (4, 1, struct.pack(order + "L", 100))
    if gps is not None:
        main[0x8825] = (4, 1, struct.pack(order + "L", 160))
    detail = {0x9003: (2, 20, struct.pack(order + "L", 260))}
    detail[0x927C] = (7, len(note), struct.pack(order + "L", note_at))
    second = {0x0201: (4, 1, struct.pack(order + "L", 400))}
    second[0x0202] = (4, 1, struct.pack(order + "L", len(thumb.getvalue())))
    block = bytearray(400 + len(thumb.getvalue()) + 1)
    block[:8] = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    for at, ifd, following in (
        (8, main, 230),
        (100, detail, 0),
        (160, gps or {}, 0),
        (230, second, 0),
    ):
        rows = [struct.pack(order + "HHL", t, k, n) + v for t, (k, n, v) in sorted(ifd.items())]
        table = (
            struct.pack(order + "H", len(rows))
            + b"".join(rows)
            + struct.pack(order + "L", following)
        )
        block[at : at + len(table)] = table
    for at, value in values.items():
        block[at : at + len(value)] = value
    return bytes(block)


def jpeg(seed: int = 0, *, exif: bytes | None = None, size: tuple[int, int] = (96, 64)) -> bytes:
    """A JPEG with a colour profile, a comment and, if given, an EXIF block."""
    stream = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    given = {} if exif is None else {"exif": b"Exif\0\0" + exif}
    picture(seed, size).save(stream, "JPEG", icc_profile=profile, comment="by hand", **given)
    return stream.getvalue()


def decided(
    path: Path, place=LYON, *, said: str = "confirmed", radius_km: float = 25.0
) -> Decision:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Decision(path.name, digest, said, *place, radius_km)


class Recognises:
    """Locator that knows photos by their mean colour: red Lyon or Sydney, else Paris.

    Two hundredths of its belief are all over the Earth, as any locator's are.
    """

    name = "colours"

    def locate(self, images):
        red = [np.asarray(image).mean((0, 1)).argmax() == 0 for image in images]
        places = np.concatenate([[LYON, SYDNEY, PARIS], fibonacci_grid(60).numpy()])
        sure = [[0.44, 0.54, 0.0] if one else [0.0, 0.0, 0.98] for one in red]
        return Posterior([places] * len(red), [row + [0.02 / 60] * 60 for row in sure])


@pytest.fixture
def album(tmp_path) -> Path:
    """Three days: Paris, then red (Lyon, or Sydney?), then Paris."""
    folder = tmp_path / "SECRETHOME" / "summer"
    folder.mkdir(parents=True)
    for name, colour, day in (("b.jpg", "navy", 13), ("c.jpg", "red", 14), ("a.jpg", "navy", 15)):
        stream = io.BytesIO()
        exif = b"Exif\0\0" + exif_block(taken=f"2019:07:{day} 12:00:00")
        Image.new("RGB", (96, 64), colour).save(stream, "JPEG", exif=exif)
        (folder / name).write_bytes(stream.getvalue())
    return folder
