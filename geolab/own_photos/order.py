"""The photos of a folder in the order in which they were taken, as far as anything tells.

When a photo was taken is asked of its EXIF, else of its file name (``IMG_20190714_153012.jpg``,
``2019-07-14 15.30.12.jpg``, ``1987-07-14 beach.jpg``), else of the file's own time. Equal times
keep the order of the file names. What a scanner or a copying program wrote is the day of the scan:
each photo says where its time comes from, and a file's time counts for the order only, never as
hours on the road.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from geolab.data.errors import DataError, DataWarning, PhotoError
from geolab.data.photos import read_date, read_gps

Source = Literal["exif", "name", "file"]

_ENDINGS = "jpg jpeg jpe png tif tiff webp bmp gif heic heif avif jp2"
KINDS = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""Endings of what counts as a photo; the bytes decide later whether it is one."""
_DATE = re.compile(
    r"(?<!\d)(?P<y>1[89]\d\d|20\d\d)(?P<s>[-_. ]?)(?P<m>\d\d)(?P=s)(?P<d>\d\d)"
    r"(?:[-_. T]{0,3}(?P<H>[01]\d|2[0-3])[-_.:h]?(?P<M>[0-5]\d)(?:[-_.:m]?(?P<S>[0-5]\d))?)?"
    r"(?!\d)"
)


@dataclass(frozen=True)
class AlbumPhoto:
    """One photo of an album.

    Attributes
    ----------
    path : Path
    name : str
        Path inside the album's folder, with ``/``.
    when : datetime
        Local time without a zone.
    source : {"exif", "name", "file"}
        Where that time comes from.
    to_the_day : bool
        Whether only the day is known.
    known : tuple of float or None
        Its own GPS position in degrees.
    note : str
        What is wrong with the GPS that it has.
    """

    path: Path
    name: str
    when: datetime
    source: Source
    to_the_day: bool = False
    known: tuple[float, float] | None = None
    note: str = ""


def photo_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Photos of a folder and of the folders in it, by name; hidden ones are left out.

    Raises
    ------
    DataError
        If there is no such folder or no photo in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. An album is a folder of photos.")
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        photos = (n for n in names if not n.startswith(".") and Path(n).suffix.lower() in KINDS)
        found += [path for name in photos if (path := Path(place) / name).is_file()]
    if not found:
        raise DataError(f"{folder}: no photo in it ({' '.join(sorted(KINDS))})")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def date_in_name(name: str) -> tuple[datetime, bool] | None:
    """Date in a file name, and whether it is known to the day only.

    Examples
    --------
    >>> date_in_name("IMG_20190714_153012.jpg")
    (datetime.datetime(2019, 7, 14, 15, 30, 12), False)
    >>> date_in_name("1987-07-14 beach 3.jpg")
    (datetime.datetime(1987, 7, 14, 0, 0), True)
    >>> date_in_name("IMG_20191414.jpg"), date_in_name("DSC_0417.jpg")
    (None, None)
    """
    for match in _DATE.finditer(Path(name).stem):
        try:
            when = datetime(*(int(match[part] or 0) for part in "ymdHMS"))
        except ValueError:
            continue
        return when, match["H"] is None
    return None


def look_at(path: Path, folder: Path) -> AlbumPhoto:
    """Read time and position of one photo; a file that is no photo has its name's or own time."""
    name = path.relative_to(folder).as_posix()
    try:
        taken = read_date(path)
    except PhotoError:
        taken = None
    known, note = _known(path)
    if taken is not None:
        return AlbumPhoto(path, name, taken, "exif", False, known, note)
    named = date_in_name(path.name)
    if named is not None:
        return AlbumPhoto(path, name, named[0], "name", named[1], known, note)
    when = datetime.fromtimestamp(path.stat().st_mtime)
    return AlbumPhoto(path, name, when, "file", False, known, note)


def in_order(folder: str | os.PathLike[str]) -> list[AlbumPhoto]:
    """Photos of a folder in the order of their times; equal times by file name.

    Raises
    ------
    DataError
        As `photo_files`.
    """
    folder = Path(folder)
    return sorted((look_at(p, folder) for p in photo_files(folder)), key=lambda photo: photo.when)


def hours_between(photos: Sequence[AlbumPhoto]) -> np.ndarray:
    """Hours from each photo to the next, (T - 1,); NaN where nobody knows.

    Two days known without the hour may lie a day nearer or farther: their gap is at least half a
    day. A file's own time is that of a scan or a copy, no hours on the road.
    """
    gaps = np.full(max(0, len(photos) - 1), np.nan)
    for i, (one, other) in enumerate(pairwise(photos)):
        if "file" not in (one.source, other.source):
            hours = (other.when - one.when).total_seconds() / 3600
            gaps[i] = max(hours, 12.0) if one.to_the_day or other.to_the_day else hours
    return gaps


def _known(path: Path) -> tuple[tuple[float, float] | None, str]:
    """Position in a photo's EXIF, and what is wrong with it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", DataWarning)
        try:
            return read_gps(path), "; ".join(_own(warning.message, path) for warning in said)
        except PhotoError as error:
            return None, _own(error, path)


def _own(said: object, path: Path) -> str:
    """Message about a photo without the folder, which is nobody's business."""
    return str(said).replace(os.fspath(path), path.name)
