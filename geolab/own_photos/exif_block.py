"""A GPS position put into an EXIF block without moving anything that is there already.

An EXIF block is a small TIFF: directories (IFD) of 12-byte entries that point to values by their
offset from the start. A maker's notes often hold such offsets too, in a form that only the maker
knows, so a program that writes the block anew breaks them. Here every old byte keeps its place:
the new directories are appended, and one pointer, the only old bytes that change, leads to them.

Tags and forms: Exif 2.32 (CIPA DC-008), section 4.6.6. What is written is what ``exiftool`` reads
as GPSLatitude(Ref), GPSLongitude(Ref), GPSMapDatum, GPSProcessingMethod and GPSHPositioningError;
time stamps are left alone. Of methods the standard names GPS, CELLID, WLAN and MANUAL; a sentence
is read everywhere, and ``exiftool -validate`` remarks on it. XMP is not written: two places for one
position can contradict each other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
_SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1}
GPS_POINTER = 0x8825
VERSION, LAT_REF, LAT, LON_REF, LON = range(5)
DATUM, METHOD, ERROR = 0x12, 0x1B, 0x1F
POSITION = frozenset({LAT_REF, LAT, LON_REF, LON})
"""Tags of which any one says that there is a position already."""
OF_THE_FIX = frozenset({0x05, 0x06, 0x08, 0x09, 0x0A, 0x0B, 0x1C, 0x1E})
"""Altitude, satellites, status, mode, precision, area, correction: gone with the old position."""

Tag = tuple[int, bytes]
"""Type and value of a tag, the value in the byte order of the block."""


@dataclass(frozen=True)
class Directory:
    """One IFD: its 12-byte entries by tag, and where the next one is."""

    entries: dict[int, bytes]
    following: int


class BlockError(ValueError):
    """An EXIF block that breaks its own rules; the caller knows the file's name."""


def byte_order(block: bytes) -> str:
    """``<`` or ``>`` of a TIFF header.

    Raises
    ------
    BlockError
        If it is none.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(block[:4]))
    if order is None or len(block) < 8:
        raise BlockError("its EXIF header does not begin as one")
    return order


def read_directory(block: bytes, at: int) -> Directory:
    """Entries of the directory at an offset.

    Raises
    ------
    BlockError
        If it does not lie inside the block.
    """
    order = byte_order(block)
    if not 8 <= at <= len(block) - 2:
        raise BlockError(f"its EXIF header points to byte {at} of {len(block)}")
    (n,) = struct.unpack_from(order + "H", block, at)
    end = at + 2 + 12 * n
    if end > len(block):
        raise BlockError(f"its EXIF header has a directory of {n} entries that is cut short")
    raw = [block[i : i + 12] for i in range(at + 2, end, 12)]
    following = struct.unpack_from(order + "L", block, end)[0] if end + 4 <= len(block) else 0
    return Directory({struct.unpack(order + "H", e[:2])[0]: bytes(e) for e in raw}, following)


def gps_directory(block: bytes) -> Directory | None:
    """The GPS directory of a block, None where it has none."""
    order = byte_order(block)
    entry = read_directory(block, _first(block)).entries.get(GPS_POINTER)
    if entry is None:
        return None
    return read_directory(block, struct.unpack(order + "L", entry[8:])[0])


def empty_block() -> bytes:
    """An EXIF block with what the standard asks of each: 72 dots an inch, chroma in the centre."""
    inch = struct.pack(">LL", 72, 1)
    tags: dict[int, Tag] = {0x011A: (RATIONAL, inch), 0x011B: (RATIONAL, inch)}
    tags |= {0x0128: (SHORT, struct.pack(">H", 2)), 0x0213: (SHORT, struct.pack(">H", 1))}
    return b"MM\0*" + struct.pack(">L", 8) + _directory({}, tags, 8, 0, ">")


def gps_tags(lat: float, lon: float, error_m: float, method: str, order: str) -> dict[int, Tag]:
    """Tags of a position.

    Parameters
    ----------
    lat, lon : float
        Degrees, WGS-84; kept to 1/10000 of a second of arc.
    error_m : float
        Radius in metres within which it is.
    method : str
        ASCII.
    order : {"<", ">"}
    """
    return {
        VERSION: (BYTE, bytes([2, 3, 0, 0])),
        LAT_REF: (ASCII, b"S\0" if lat < 0 else b"N\0"),
        LAT: (RATIONAL, _degrees(lat, order)),
        LON_REF: (ASCII, b"W\0" if lon < 0 else b"E\0"),
        LON: (RATIONAL, _degrees(lon, order)),
        DATUM: (ASCII, b"WGS-84\0"),
        METHOD: (UNDEFINED, b"ASCII\0\0\0" + method.encode("ascii")),
        ERROR: (RATIONAL, struct.pack(order + "LL", round(error_m), 1)),
    }


def with_gps(block: bytes, lat: float, lon: float, *, error_m: float, method: str) -> bytes:
    """Append a position to a block; one that is there already is replaced.

    Parameters
    ----------
    block : bytes
        TIFF, without the ``Exif`` in front of it.
    lat, lon, error_m, method
        As `gps_tags`.

    Returns
    -------
    bytes
        The old block with one pointer changed, and the new directories after it.

    Raises
    ------
    BlockError
        If the block is damaged.
    """
    order, first = byte_order(block), _first(block)
    main, held = read_directory(block, first), gps_directory(block)
    kept = dict(held.entries) if held else {}
    new = gps_tags(lat, lon, error_m, method, order)
    if POSITION & kept.keys():
        kept = {tag: entry for tag, entry in kept.items() if tag not in OF_THE_FIX}
    if VERSION in kept:
        del new[VERSION]
    block += b"\0" * (len(block) % 2)
    gps_at = len(block)
    block += _directory(kept, new, gps_at, 0, order)
    if GPS_POINTER in main.entries:
        at = first + 2
        while block[at : at + 2] != struct.pack(order + "H", GPS_POINTER):
            at += 12
        return block[: at + 8] + struct.pack(order + "L", gps_at) + block[at + 12 :]
    block += b"\0" * (len(block) % 2)
    pointer = {GPS_POINTER: (LONG, struct.pack(order + "L", gps_at))}
    moved = _directory(main.entries, pointer, len(block), main.following, order)
    return block[:4] + struct.pack(order + "L", len(block)) + block[8:] + moved


def _first(block: bytes) -> int:
    return struct.unpack_from(byte_order(block) + "L", block, 4)[0]


def _degrees(value: float, order: str) -> bytes:
    """Degrees, minutes and seconds as three fractions."""
    minutes, seconds = divmod(round(abs(value) * 3600 * 10_000), 60 * 10_000)
    return struct.pack(order + "6L", minutes // 60, 1, minutes % 60, 1, seconds, 10_000)


def _directory(
    kept: Mapping[int, bytes], new: Mapping[int, Tag], at: int, following: int, order: str
) -> bytes:
    """Write a directory that stands at `at`: old entries as they are, and new ones."""
    entries, values = dict(kept), b""
    behind = at + 2 + 12 * len(kept.keys() | new.keys()) + 4
    for tag, (kind, value) in new.items():
        count = len(value) // _SIZES[kind]
        if len(value) > 4:
            field = struct.pack(order + "L", behind + len(values))
            values += value + b"\0" * (len(value) % 2)
        else:
            field = value.ljust(4, b"\0")
        entries[tag] = struct.pack(order + "HHL", tag, kind, count) + field
    table = b"".join(entries[tag] for tag in sorted(entries))
    return (
        struct.pack(order + "H", len(entries))
        + table
        + struct.pack(order + "L", following)
        + values
    )
