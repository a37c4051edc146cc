"""Frozen benchmarks: which photos, where they are, and a hash that says so.

Tables in the literature divide by 2,819, 2,912, 2,997 or 3,000 photos under one name. Here a
benchmark is a list of ids with coordinates and a hash over both; n never depends on how many photos
could be downloaded or read. Photo addresses are no part of it: they die, ids stay.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geolab.data.errors import DataError
from geolab.data.storage import write_atomic

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT = "geolab benchmark 1"


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A frozen list of photos, in the order of their ids.

    Attributes
    ----------
    name : str
    ids : tuple of str
    latlon : ndarray, shape (n, 2)
        Degrees, float64, rounded to 6 decimals (0.1 m); read-only.
    hash : str
        sha256 over ids and coordinates; see `hash_of`.
    photographer : tuple of str, optional
        Who took each photo, as a code; "" where unknown. Not part of the hash.
    """

    name: str
    ids: tuple[str, ...]
    latlon: np.ndarray
    hash: str
    photographer: tuple[str, ...] | None = None

    @property
    def n(self) -> int:
        """Number of photos; every table divides by it."""
        return len(self.ids)

    def align(self, photos: Dataset) -> np.ndarray:
        """Row of each of the n photos in a data set, (n,) int64; -1 where it is absent (a miss)."""
        row_of = {photo: row for row, photo in enumerate(photos["id"][:])}
        return np.array([row_of.get(photo, -1) for photo in self.ids], np.int64)


def freeze(photos: Dataset, name: str) -> Benchmark:
    """Freeze the ids and coordinates of a data set.

    Parameters
    ----------
    photos
        With `id`, `latitude`, `longitude`, and `photographer` where known.
    name
        Name for tables.

    Raises
    ------
    DataError
        Duplicate ids, or a position that is missing or off the Earth.
    """
    who = photos["photographer"][:] if "photographer" in photos.column_names else None
    latlon = np.stack([photos["latitude"][:], photos["longitude"][:]], axis=1)
    return _freeze(name, photos["id"][:], latlon, who)


def hash_of(ids: Sequence[str], latlon: np.ndarray) -> str:
    """Hex sha256 over lines `id,lat,lon` (6 decimals), sorted by id: order does not matter.

    >>> hash_of(["b", "a"], np.array([[1, 2], [3, -0.0]]))[:12]
    'c1c7c74a8bed'
    """
    rounded = np.round(np.asarray(latlon, np.float64), 6) + 0.0  # + 0.0: no negative zero
    lines = [
        f"{photo},{lat:.6f},{lon:.6f}\n" for photo, (lat, lon) in zip(ids, rounded, strict=True)
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def save_benchmark(benchmark: Benchmark, path: str | os.PathLike) -> Path:
    """Write a benchmark as .json (with its hash) or .csv (without); whole or not at all."""
    path = Path(path)
    rows = [
        {"id": photo, "latitude": float(lat), "longitude": float(lon)}
        for photo, (lat, lon) in zip(benchmark.ids, benchmark.latlon, strict=True)
    ]
    if benchmark.photographer is not None:
        for row, who in zip(rows, benchmark.photographer, strict=True):
            row["photographer"] = who
    if path.suffix == ".json":
        head = {"format": FORMAT, "name": benchmark.name, "n": benchmark.n, "hash": benchmark.hash}
        return write_atomic(path, json.dumps({**head, "photos": rows}, indent=0))
    if path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return write_atomic(path, text.getvalue())
    raise DataError(f"{path}: a benchmark is written as .json or .csv")


def load_benchmark(path: str | os.PathLike, *, expected_hash: str | None = None) -> Benchmark:
    """Read a benchmark, and refuse it when its hash is not the one promised.

    Parameters
    ----------
    path
        A .json that `save_benchmark` wrote, or a .csv with id, latitude, longitude.
    expected_hash
        What a paper or a table states; the .json states its own besides.

    Raises
    ------
    DataError
        Not a benchmark, a bad row, or another hash: names both hashes and the next action.
    """
    path = Path(path)
    if path.suffix == ".json":
        benchmark, stated = _from_json(path)
        _check_hash(path, benchmark, stated, "the file states")
    else:
        benchmark = _from_csv(path)
    if expected_hash is not None:
        _check_hash(path, benchmark, expected_hash, "you expect")
    return benchmark


def _freeze(
    name: str, ids: Sequence[str], latlon: np.ndarray, who: Sequence[str] | None
) -> Benchmark:
    ids = [str(photo) for photo in ids]
    latlon = np.round(np.asarray(latlon, np.float64).reshape(-1, 2), 6) + 0.0  # (n, 2)
    if not ids:
        raise DataError(f"benchmark {name!r} has no photos")
    doubled = len(ids) - len(set(ids))
    if doubled:
        raise DataError(f"benchmark {name!r}: {doubled} ids are doubled. Fix: one row a photo")
    bad = np.flatnonzero(~(np.abs(latlon) <= [90, 180]).all(axis=1))
    if len(bad):
        lat, lon = latlon[bad[0]]
        raise DataError(
            f"benchmark {name!r}: photo {ids[bad[0]]!r} is at ({lat}, {lon}); correct it"
        )
    order = sorted(range(len(ids)), key=ids.__getitem__)
    latlon = latlon[order]
    latlon.setflags(write=False)
    ids = [ids[i] for i in order]
    photographer = None if who is None else tuple(str(who[i] or "") for i in order)
    return Benchmark(name, tuple(ids), latlon, hash_of(ids, latlon), photographer)


def _from_json(path: Path) -> tuple[Benchmark, str]:
    try:
        raw = json.loads(path.read_text("utf-8"))
        if raw["format"] != FORMAT:
            raise KeyError(f"format {raw['format']!r} is not {FORMAT!r}")
        rows = raw["photos"]
        latlon = np.array([[row["latitude"], row["longitude"]] for row in rows], float)
        who = [row["photographer"] for row in rows] if "photographer" in rows[0] else None
        return _freeze(raw["name"], [row["id"] for row in rows], latlon, who), raw["hash"]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Fix: check the path") from error
    except (KeyError, TypeError, IndexError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path}: not a benchmark file ({error}). Fix: write it with save_benchmark"
        ) from error


def _from_csv(path: Path) -> Benchmark:
    from geolab.data.loading import photographer_code
    from geolab.data.table import read_table

    table = read_table(path, need=("id",))
    latlon = table[["latitude", "longitude"]].to_numpy(float)
    who = None
    if "photographer" in table:
        who = [photographer_code(name) for name in table["photographer"]]
    return _freeze(path.stem, table["id"].tolist(), latlon, who)


def _check_hash(path: Path, benchmark: Benchmark, stated: str, whose: str) -> None:
    if benchmark.hash != stated:
        raise DataError(
            f"{path}: ids or coordinates changed. Its {benchmark.n} photos give the hash "
            f"{benchmark.hash}, {whose} {stated}. Fix: get the original file again, or freeze the "
            "changed list under a new name"
        )
