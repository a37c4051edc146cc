"""A JPEG as its segments: one of them is changed, every other byte stays as it is.

A JPEG is a row of segments (marker, length, up to 65,533 bytes) and then the compressed picture.
EXIF is one segment (APP1), the colour profile others (APP2), maker's data others again. A program
that opens and saves a photo compresses it anew; here all bytes but EXIF's are copied.

Phones put a second picture behind the first (MPF, CIPA DC-007). Its place is counted from its own
segment, which moves with it; only the length of the first picture has to be corrected.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from geolab.data.errors import PhotoError
from geolab.own_photos.exif_block import (
    POSITION,
    BlockError,
    byte_order,
    empty_block,
    gps_directory,
    read_directory,
    with_gps,
)

EXIF, XMP, MPF = b"Exif\0\0", b"http://ns.adobe.com/", b"MPF\0"
MAX_BYTES = 65_533
_APP0, _APP1, _APP2, _SCAN = 0xE0, 0xE1, 0xE2, 0xDA
_PICTURES = 0xB002
_INSTEAD = "only copies of JPEG photos get a position. Convert it, or give it one with exiftool."
_AGAIN = "Get the file again or leave it out."
_REPAIR = "Repair it with exiftool, or leave it out."


class Segment(NamedTuple):
    """A segment: marker, content, and where marker, content and what follows it begin."""

    kind: int
    body: bytes
    start: int
    at: int
    end: int


def segments(data: bytes, name: str) -> list[Segment]:
    """Segments before the picture.

    Raises
    ------
    PhotoError
        If it is no JPEG or ends before the picture begins.
    """
    if data[:2] != b"\xff\xd8":
        raise PhotoError(f"{name}: {_kind(data)}; {_INSTEAD}")
    found, at = [], 2
    while True:
        start = at
        while data[at : at + 1] == b"\xff":
            at += 1  # markers may be padded
        end = at + 1 + int.from_bytes(data[at + 1 : at + 3], "big")
        if at == start or end < at + 3 or end > len(data):
            raise PhotoError(f"{name}: cut short or damaged at byte {start}. {_AGAIN}")
        if data[at] == _SCAN:
            return found
        found.append(Segment(data[at], data[at + 3 : end], start, at + 3, end))
        at = end


def has_position(data: bytes, name: str) -> bool:
    """Whether EXIF or XMP of a JPEG hold a position, valid or not.

    Raises
    ------
    PhotoError
        If it is no JPEG or damaged.
    """
    found = segments(data, name)
    exif = _exif(found, name)
    try:
        held = exif and gps_directory(exif.body[len(EXIF) :])
    except BlockError as error:
        raise PhotoError(f"{name}: {error}. {_REPAIR}") from error
    return bool(held and POSITION & held.entries.keys()) or _in_xmp(found)


def with_position(
    data: bytes, name: str, lat: float, lon: float, *, error_m: float, method: str
) -> bytes:
    """The file with a position in its EXIF; nothing else changes.

    Parameters
    ----------
    data : bytes
        A JPEG.
    name : str
        For messages.
    lat, lon, error_m, method
        As `geolab.own_photos.exif_block.gps_tags`.

    Raises
    ------
    PhotoError
        If it is no JPEG, damaged, its EXIF is full or holds two blocks, or its XMP holds another
        position, which would contradict.
    """
    found = segments(data, name)
    if _in_xmp(found):
        raise PhotoError(
            f"{name}: its XMP holds a position too, which this does not write. Remove it from a "
            "copy first (exiftool -XMP:GPS*= FILE), then write again."
        )
    exif = _exif(found, name)
    try:
        block = exif.body[len(EXIF) :] if exif else empty_block()
        body = EXIF + with_gps(block, lat, lon, error_m=error_m, method=method)
    except BlockError as error:
        raise PhotoError(f"{name}: {error}. {_REPAIR}") from error
    if len(body) > MAX_BYTES:
        raise PhotoError(f"{name}: its EXIF is full ({len(body):,} of {MAX_BYTES:,} bytes)")
    start, end = (exif.start, exif.end) if exif else (_behind_app0(found),) * 2
    made = data[:start] + struct.pack(">BBH", 0xFF, _APP1, len(body) + 2) + body + data[end:]
    return _first_longer(made, len(made) - len(data), name)


def _exif(found: list[Segment], name: str) -> Segment | None:
    blocks = [one for one in found if one.kind == _APP1 and one.body.startswith(EXIF)]
    if len(blocks) > 1:
        raise PhotoError(f"{name}: has {len(blocks)} EXIF blocks. {_REPAIR}")
    return blocks[0] if blocks else None


def _in_xmp(found: list[Segment]) -> bool:
    packets = [one.body for one in found if one.kind == _APP1 and one.body.startswith(XMP)]
    return any(b"GPSLatitude" in body or b"GPSLongitude" in body for body in packets)


def _behind_app0(found: list[Segment]) -> int:
    """Where EXIF goes in a file without: behind JFIF's own segments, before all others."""
    at = 2
    for one in found:
        if one.kind != _APP0:
            break
        at = one.end
    return at


def _first_longer(data: bytes, grown: int, name: str) -> bytes:
    """Correct the length of the first of several pictures in one file."""
    found = segments(data, name)
    lists = [one for one in found if one.kind == _APP2 and one.body.startswith(MPF)]
    if not lists:
        return data
    exif = _exif(found, name)
    if exif and exif.start > lists[0].start:
        raise PhotoError(f"{name}: its EXIF stands behind the list of its pictures. {_REPAIR}")
    block = lists[0].body[len(MPF) :]
    try:
        order = byte_order(block)
        index = read_directory(block, struct.unpack_from(order + "L", block, 4)[0])
        first = struct.unpack(order + "L", index.entries[_PICTURES][8:])[0] + 4
        (length,) = struct.unpack_from(order + "L", block, first)
    except (BlockError, KeyError, struct.error) as error:
        raise PhotoError(f"{name}: the list of its pictures is damaged: {error}") from error
    at = lists[0].at + len(MPF) + first
    return data[:at] + struct.pack(order + "L", length + grown) + data[at + 4 :]


def _kind(data: bytes) -> str:
    """What bytes are that are no JPEG."""
    if not data:
        return "an empty file"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "a HEIC photo"
    heads = {b"\x89PNG": "a PNG", b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"RIFF": "a WebP"}
    return heads.get(data[:4], "no JPEG")
