"""Read files of predictions as people write them.

A csv with a column that names the photo and two that say where it is. Names are matched without
regard to case, blanks or dashes; where a file has both a true and a predicted position, the
predicted one is taken. Separators ``,``, ``;`` and tabs are told apart by the header.

What a row can be:

- an answer: two numbers in range;
- a **failure**: a field that is empty, NaN, no number, or out of range. It is a miss, not an error:
  leaving photos out is how a benchmark of 3,000 becomes one of 2,819;
- part of a **tail**: a second header and what follows it, or a row without a photo. Result files
  often end in a summary; that is passed over and said.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geolab.data.errors import DataError
from geolab.data.storage import sha256_of

PHOTO = (
    ("id", "img_id", "image_id", "imgid", "imageid", "photo_id"),
    ("image", "img", "filename", "file_name", "file", "path", "image_path", "img_path", "photo"),
    ("name", "key"),
)
_LAT, _LON = ("lat", "latitude"), ("lon", "lng", "long", "longitude")
_PREFIX = ("pred", "predicted", "prediction", "p", "guess", "guessed", "est", "estimated")
DISTANCE = (
    ("distance_km", "dist_km", "error_km", "km", "gcd", "gc_dist", "great_circle_distance"),
    ("distance", "dist", "error"),
)


@dataclass(frozen=True)
class Predictions:
    """A file of predictions, as read.

    Attributes
    ----------
    path : Path
    sha256 : str
    photo : tuple of str
        Name of the photo in each of M rows, as written.
    latlon : ndarray, shape (M, 2)
        Degrees, float64; NaN for a failure.
    reason : tuple of str
        Why a row is a failure; "" for an answer.
    line : tuple of int
        Line of the file.
    stated_km : ndarray, shape (M,)
        The file's own distances; NaN where there are none.
    columns : dict of str to str
        Which column was taken for what.
    passed_over : tuple of str
        What was not read as predictions.
    """

    path: Path
    sha256: str
    photo: tuple[str, ...]
    latlon: np.ndarray
    reason: tuple[str, ...]
    line: tuple[int, ...]
    stated_km: np.ndarray
    columns: dict[str, str]
    passed_over: tuple[str, ...]

    @property
    def failures(self) -> Counter[str]:
        """How many rows failed, by reason."""
        return Counter(why for why in self.reason if why)


def read_predictions(
    path: str | os.PathLike[str],
    *,
    photo: str | None = None,
    lat: str | None = None,
    lon: str | None = None,
) -> Predictions:
    """Read a csv of predictions.

    Parameters
    ----------
    path
        UTF-8, with a header.
    photo, lat, lon : str, optional
        Columns to take, as the header writes them; found by their names if not given.

    Raises
    ------
    DataError
        No such file, not text, no row, or a column that is missing or not clear.
    """
    path = Path(path)
    header, records = _records(path)
    taken = _columns(path, header, {"photo": photo, "latitude": lat, "longitude": lon})
    at = {role: header.index(name) for role, name in taken.items()}
    rows, passed_over = [], []
    for line, record in records:
        fields = [record[i].strip() if i < len(record) else "" for i in range(len(header))]
        if _plain(fields[at["photo"]]) in {_plain(taken["photo"]), *PHOTO[0]}:
            passed_over.append(f"from line {line}: a second header and what follows it")
            break
        if not fields[at["photo"]]:
            passed_over.append(f"line {line}: no photo is named")
            continue
        rows.append((line, fields))
    if not rows:
        raise DataError(f"{path}: no prediction below the header. Fix: add a row for each photo")
    read = [_place(fields[at["latitude"]], fields[at["longitude"]]) for _, fields in rows]
    stated = [_number(f[at["distance"]]) if "distance" in at else math.nan for _, f in rows]
    return Predictions(
        path=path,
        sha256=sha256_of(path),
        photo=tuple(fields[at["photo"]] for _, fields in rows),
        latlon=np.array([place for place, _ in read], np.float64).reshape(-1, 2),  # (M, 2)
        reason=tuple(why for _, why in read),
        line=tuple(line for line, _ in rows),
        stated_km=np.array(stated, np.float64),
        columns=taken,
        passed_over=tuple(passed_over),
    )


def _records(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and each row that is not blank with its line number."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            first = handle.readline()
            handle.seek(0)
            reader = csv.reader(handle, delimiter=max(",;\t", key=first.count))
            header = [name.strip() for name in next(reader, [])]
            rows = []
            begins = reader.line_num + 1
            for record in reader:
                if any(field.strip() for field in record):
                    rows.append((begins, record))
                begins = reader.line_num + 1
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Fix: check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a csv in UTF-8 ({error}). Fix: save it as one") from error
    if not header:
        raise DataError(f"{path}: empty. Fix: a csv needs a header line and rows")
    return header, rows


def _plain(name: str) -> str:
    """Name of a column without case, blanks, dashes and units.

    >>> _plain("Predicted Latitude (deg)"), _plain("IMG_ID")
    ('predicted_latitude', 'img_id')
    """
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"\(.*?\)", "", name.lower())).strip("_")


def _columns(path: Path, header: Sequence[str], given: dict[str, str | None]) -> dict[str, str]:
    """Which column is what."""
    taken = {}
    for role, name in given.items():
        if name is not None and name not in header:
            raise DataError(f"{path}: no column {name!r}; it has: {', '.join(header)}")
        taken[role] = name or _find(path, header, role)
    for names in DISTANCE:  # only to ask what radius the file was made with
        hits = [name for name in header if _plain(name) in names and name not in taken.values()]
        if len(hits) == 1:
            return {**taken, "distance": hits[0]}
    return taken


def _find(path: Path, header: Sequence[str], role: str) -> str:
    """The one column of the best kind that is there."""
    kinds = PHOTO if role == "photo" else _kinds(_LAT if role == "latitude" else _LON)
    for names in kinds:
        hits = [name for name in header if _plain(name) in names]
        if len(hits) > 1:
            raise DataError(
                f"{path}: columns {' and '.join(map(repr, hits))} may both be the {role}. "
                f"Fix: say which, with --{role}"
            )
        if hits:
            return hits[0]
    wanted = ", ".join(name for names in kinds[-2:] for name in names[:6])
    raise DataError(
        f"{path}: no column for the {role} (such as {wanted}). It has: {', '.join(header)}. "
        f"Fix: rename one, or say which with --{role}"
    )


def _kinds(axis: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Names of a coordinate, those that say "predicted" first."""
    said = [f"{word}_{name}" for word in _PREFIX for name in axis]
    behind = [f"{name}_{word}" for word in _PREFIX for name in axis]
    joined = [f"{word}{name}" for word in _PREFIX[:2] for name in axis]
    return tuple([*said, *behind, *joined]), tuple(axis)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _place(lat: str, lon: str) -> tuple[tuple[float, float], str]:
    """Coordinates, or NaN and why.

    >>> _place("48.9", "2.4"), _place("", "2.4")[1], _place("91", "0")[1], _place("nan", "1")[1]
    (((48.9, 2.4), ''), 'empty', 'out of range', 'NaN')
    """
    nowhere = (math.nan, math.nan)
    if not lat or not lon:
        return nowhere, "empty"
    if {lat.lower(), lon.lower()} & {"nan", "none", "null", "na", "n/a"}:
        return nowhere, "NaN"
    place = _number(lat), _number(lon)
    if any(map(math.isnan, place)):
        return nowhere, "not a number"
    if abs(place[0]) > 90 or abs(place[1]) > 180:
        return nowhere, "out of range"
    return place, ""
