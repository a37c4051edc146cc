"""Read a csv of photos or places, and refuse it with the row and the fix when it is wrong.

Column names are matched without regard to case: `latitude` or `lat`; `longitude`, `lon`, `lng` or
`long`; for the photo `path`, `image`, `file_name`, `filename`, `file` or `IMG_ID`, relative to the
csv. All else is kept under its own name, as text exactly as written ("NA" is Namibia, and `8e10`
may be a cell), except OSV-5M's numeric columns, which become numbers.

Line numbers in messages are lines of the file as a text editor counts them.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from geolab.data.errors import DataError

ALIASES = {
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "path": ("path", "image", "file_name", "filename", "file", "img_id"),
    "id": ("id",),
    "photographer": ("photographer",),
    "country": ("country",),
}
NUMERIC = ("land_cover", "road_index", "drive_side", "climate", "soil", "dist_sea")
MAX_SHOWN = 5


def read_table(
    path: str | os.PathLike,
    *,
    need: Sequence[str] = (),
    only_ids: Container[str] | None = None,
) -> pd.DataFrame:
    """Read and check a csv.

    Parameters
    ----------
    path
        UTF-8, comma-separated, with a header.
    need
        Columns, by their first name in the aliases, that must be there besides the coordinates.
    only_ids
        Pass over rows with another `id`, unchecked; the result may then be empty.

    Returns
    -------
    DataFrame
        Renamed columns; `latitude` and `longitude` float64 degrees, checked; all else text. The
        index holds line numbers of the file, `attrs["n_rows"]` how many rows that has.

    Raises
    ------
    DataError
        Missing file or column, bad encoding, bad coordinate, duplicate id.
    """
    path = Path(path)
    table, n_rows = _read_text(path, only_ids)
    _check_columns(table, path, ("latitude", "longitude", *need))
    table = table.rename(columns=_renames(table.columns))
    if not n_rows:
        raise DataError(f"{path}: a header but no rows. Fix: add a row for each photo")
    for axis, limit in (("latitude", 90), ("longitude", 180)):
        table[axis] = _numbers(table[axis], path, axis)
        _check_range(table, path, axis, limit)
    _check_null_island(table, path)
    if "id" in table:
        check_ids(table["id"], path)
    for column in [c for c in table.columns if c in NUMERIC]:
        table[column] = pd.to_numeric(table[column], errors="coerce").astype(float)
    table.attrs["n_rows"] = n_rows
    return table


def header_names(path: str | os.PathLike) -> set[str]:
    """Names of a csv's columns, in lower case; empty when there is no such file or header."""
    if not Path(path).is_file():
        return set()
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as handle:
        return {name.strip().lower() for name in next(csv.reader(handle), [])}


def check_ids(ids: pd.Series, path: Path) -> None:
    """Refuse empty and duplicate ids; the index of `ids` holds line numbers."""
    empty = ids.index[ids == ""]
    if len(empty):
        raise DataError(f"{path}: {_lines(empty)} without an id. Fix: fill the id column")
    doubled = ids[ids.duplicated(keep=False)]
    if len(doubled):
        first = doubled.iloc[0]
        lines = doubled.index[doubled == first]
        raise DataError(
            f"{path}: id {first!r} stands in {_lines(lines)}"
            f" ({doubled.nunique()} ids are doubled). Fix: one row for each photo"
        )


def _read_text(path: Path, only_ids: Container[str] | None) -> tuple[pd.DataFrame, int]:
    """All fields as text, indexed by the line on which a record begins; and rows in the file."""
    records, lines, n_rows = [], [], 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            header = next(reader, [])
            id_at = _id_column(header) if only_ids is not None else None
            begins = reader.line_num + 1
            for record in reader:
                if any(field.strip() for field in record):
                    _check_width(record, header, path, begins)
                    n_rows += 1
                    if id_at is None or record[id_at] in only_ids:
                        records.append(record)
                        lines.append(begins)
                begins = reader.line_num + 1
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Fix: check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {_bad_text(path)}. Fix: save the table as CSV UTF-8") from error
    except csv.Error as error:
        raise DataError(
            f"{path}: line {reader.line_num}: {error}. Fix: look at the quotes there"
        ) from error
    if not header:
        raise DataError(f"{path}: empty. Fix: a csv needs a header line and rows")
    columns = pd.Index(header, dtype=object)
    table = pd.DataFrame(records, columns=columns, index=lines, dtype=object)
    return table, n_rows


def _id_column(header: Sequence[str]) -> int | None:
    lowered = [name.strip().lower() for name in header]
    return lowered.index("id") if "id" in lowered else None


def _check_width(record: Sequence[str], header: Sequence[str], path: Path, line: int) -> None:
    if len(record) != len(header) and len(header) > 1:
        raise DataError(
            f"{path}: line {line} has {len(record)} fields, the header {len(header)}. "
            "Fix: quote fields that hold a comma, and leave out summary rows"
        )


def _bad_text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return f"line {line} is not UTF-8 (byte {raw[error.start]:#x})"
    return "not UTF-8"


def _check_columns(table: pd.DataFrame, path: Path, need: Sequence[str]) -> None:
    header = list(table.columns)
    renames = _renames(header)
    names = [renames.get(name, name) for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: two columns for {twice[0]!r}. Fix: keep one of them")
    missing = [name for name in need if name not in names]
    if missing:
        hint = " It seems to use ';' between fields." if ";" in header[0] else ""
        accepted = "; ".join(f"{name} ({' or '.join(ALIASES[name])})" for name in missing)
        raise DataError(
            f"{path}: missing columns: {accepted}. It has: {', '.join(header)}.{hint} "
            "Fix: name the columns so, separated by commas"
        )


def _renames(columns: Sequence[str]) -> dict[str, str]:
    """Column as written -> its one name here. The first alias that is present wins."""
    lowered = {}
    for column in columns:
        lowered.setdefault(column.strip().lower(), column)
    renames = {}
    for name, aliases in ALIASES.items():
        hits = [lowered[alias] for alias in aliases if alias in lowered]
        if name == "path":
            hits = hits[:1]  # a table may have both `path` and `file`
        renames.update(dict.fromkeys(hits, name))
    return renames


def _numbers(texts: pd.Series, path: Path, axis: str) -> pd.Series:
    values = pd.to_numeric(texts.str.strip(), errors="coerce").astype(np.float64)
    bad = texts.index[~np.isfinite(values)]
    if len(bad):
        raise DataError(
            f"{path}: {_lines(bad)}: {axis} {texts[bad[0]]!r} is not a number. "
            "Fix: write decimal degrees with a point, or leave the row out"
        )
    return values


def _check_range(table: pd.DataFrame, path: Path, axis: str, limit: float) -> None:
    bad = table.index[table[axis].abs() > limit]
    if not len(bad):
        return
    hint = "correct the row, or leave it out"
    # Swapped columns give themselves away: the other one stays within 90 throughout.
    if axis == "latitude" and (_loose(table["longitude"]).abs() <= 90).all():
        hint = f"latitude and longitude look swapped: exchange the two column names, or {hint}"
    raise DataError(
        f"{path}: {_lines(bad)}: {axis} {table[axis][bad[0]]:g} is beyond {limit}. Fix: {hint}"
    )


def _loose(texts: pd.Series) -> pd.Series:
    return pd.to_numeric(texts, errors="coerce")


def _check_null_island(table: pd.DataFrame, path: Path) -> None:
    bad = table.index[(table["latitude"] == 0) & (table["longitude"] == 0)]
    if len(bad):
        raise DataError(
            f"{path}: {_lines(bad)}: position 0, 0 (at sea), which stands for a missing one. "
            "Fix: leave the row out, or give its real position"
        )


def _lines(index: Sequence[int]) -> str:
    """Line numbers for a message, a few of them."""
    shown = ", ".join(str(line) for line in index[:MAX_SHOWN])
    more = f" and {len(index) - MAX_SHOWN} more" if len(index) > MAX_SHOWN else ""
    return f"{'line' if len(index) == 1 else 'lines'} {shown}{more}"
