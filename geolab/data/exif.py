"""Read place and time from a photo's EXIF header, without decoding the picture.

EXIF keeps degrees, minutes and seconds as fractions beside a letter N, S, E or W. Cameras write
0/0 without a fix, some programs write 0, 0, and hand-made files hold anything. An absent position
is None; an impossible one is an error that shows the value, never a place.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from PIL import ExifTags

from geolab.data.errors import DataWarning, PhotoError
from geolab.data.headers import PhotoSource, close_header, open_header

NULL_ISLAND = "GPS says 0, 0, which is what cameras write without a fix; treated as missing"


def read_gps(source: PhotoSource) -> tuple[float, float] | None:
    """Position in a photo's EXIF.

    Parameters
    ----------
    source
        As for `geolab.data.photos.read_photo`.

    Returns
    -------
    tuple of float or None
        `(lat, lon)` in degrees. None when there is none, and, with a warning, when it is 0, 0.

    Raises
    ------
    PhotoError
        The position is impossible (latitude 91, 0/0, no hemisphere letter), or the file is no
        image.
    """
    name, _, gps = _read_tags(source, ExifTags.IFD.GPSInfo)
    if ExifTags.GPS.GPSLatitude not in gps and ExifTags.GPS.GPSLongitude not in gps:
        return None
    lat = _coordinate(gps, "Latitude", ("N", "S"), 90, name)
    lon = _coordinate(gps, "Longitude", ("E", "W"), 180, name)
    if lat == 0 and lon == 0:
        warnings.warn(f"{name}: {NULL_ISLAND}", DataWarning, stacklevel=2)
        return None
    return lat, lon


def read_date(source: PhotoSource) -> datetime | None:
    """When a photo was taken, in local time without a zone; None when EXIF does not say.

    Raises
    ------
    PhotoError
        The file is no image.
    """
    _, exif, detail = _read_tags(source, ExifTags.IFD.Exif)
    for value in (
        detail.get(ExifTags.Base.DateTimeOriginal),
        detail.get(ExifTags.Base.DateTimeDigitized),
        exif.get(ExifTags.Base.DateTime),
    ):
        text = _text(value)
        for pattern in ("%Y:%m:%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y:%m:%d %H:%M"):
            try:
                return datetime.strptime(text, pattern)
            except ValueError:
                continue
    return None


def _read_tags(source: PhotoSource, ifd: int) -> tuple[str, dict[int, Any], dict[int, Any]]:
    """Name of the photo, its main tags and those of one sub-directory (IFD)."""
    name, image = open_header(source)
    try:
        exif = image.getexif()
        return name, dict(exif), dict(exif.get_ifd(ifd))
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error) as error:
        raise PhotoError(f"{name}: its EXIF header is damaged ({error}); leave it out") from error
    finally:
        close_header(source, image)


def _coordinate(
    gps: Mapping[int, Any], axis: str, letters: tuple[str, str], limit: int, name: str
) -> float:
    """Degrees with sign, or PhotoError."""
    raw = gps.get(ExifTags.GPS[f"GPS{axis}"])
    letter = _text(gps.get(ExifTags.GPS[f"GPS{axis}Ref"])).upper()[:1]
    shown = f"{axis.lower()} {raw} {letter or '(no letter)'}"
    try:
        parts = [float(part) for part in (raw if isinstance(raw, (tuple, list)) else [raw])]
    except (TypeError, ValueError, ZeroDivisionError):
        parts = [math.nan]
    degrees = sum(part / 60**i for i, part in enumerate(parts[:3]))
    if not math.isfinite(degrees) or letter not in letters or not 0 <= degrees <= limit:
        raise PhotoError(
            f"{name}: impossible GPS {shown}. Correct the file's EXIF, or give the position in a "
            "table (metadata.csv with file_name, latitude, longitude)."
        )
    return -degrees if letter == letters[1] else degrees


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "ignore")
    return str(value or "").strip("\x00 ")
