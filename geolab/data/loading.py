"""Load photos from anywhere as one kind of table.

    load("tinyearth", n=2000, seed=0)    # the synthetic world, at once and offline
    load("photos.csv")                   # path, latitude, longitude and what else you have
    load("holiday/")                     # a folder; positions from EXIF, or from its metadata.csv
    load("osv5m", n=500)                 # a fetched data set of the catalogue
    load("osv5m/train.csv", n=500)       # a copy of OSV-5M: its csv, and zips below images/train
    load("mp16/mp16.csv")                # IMG_ID, LAT, LON; photos below the csv's folder

The result is a `datasets.Dataset` with `id`, `image` (not decoded until read), `latitude`,
`longitude` and further columns under OSV-5M's names. A table that is wrong stops at once with the
line and the fix. A photo that can't be read stays in, and is reported when it is read: it counts as
a miss. Columns of personal data are dropped; photographers are kept as a code. How a csv finds its
photos, zips included, stands in `geolab.data.layouts`.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from geolab.data.building import PERSONAL, build_photos, photo_id, photographer_code
from geolab.data.errors import DataError, DataWarning, PhotoError
from geolab.data.layouts import SUFFIXES, list_photos
from geolab.data.table import MAX_SHOWN

if TYPE_CHECKING:
    from datasets import Dataset

    from geolab.data.catalogue import Manifest

__all__ = [
    "PERSONAL",
    "load",
    "load_csv",
    "load_fetched",
    "load_folder",
    "photo_id",
    "photographer_code",
]


def load(
    source: str | os.PathLike,
    *,
    n: int | None = None,
    seed: int = 0,
    size: int | None = None,
    split: str = "test",
) -> Dataset:
    """Load photos with their positions.

    Parameters
    ----------
    source
        "tinyearth", a folder, a csv, or the name of a fetched photo set of the catalogue.
    n
        Number of photos; for anything but tinyearth a random choice, in the order of the source.
    seed
        Of that choice, or of the generated world.
    size
        Side of the pictures in pixels; tinyearth only.
    split
        Of a data set of the catalogue.

    Returns
    -------
    datasets.Dataset
        `id` (str), `image`, `latitude` and `longitude` (float64, degrees), and what else there is.

    Raises
    ------
    DataError
        Nothing there, or something wrong with the table; names file, line and fix.
    """
    if str(source) == "tinyearth":
        from geolab.data.tinyearth import load_tinyearth

        given = {"n": n, "size": size}
        return load_tinyearth(seed=seed, **{k: v for k, v in given.items() if v is not None})
    if size is not None:
        raise DataError("size is for tinyearth; shrink real photos with read_images(..., size=)")
    return _load_real(source, split, n, seed)


def _load_real(source: str | os.PathLike, split: str, n: int | None, seed: int) -> Dataset:
    from geolab.data.catalogue import list_manifests, load_manifest

    path = Path(source)
    if path.is_dir():
        return load_folder(path, n=n, seed=seed)
    if path.suffix.lower() == ".csv":
        return load_csv(path, n=n, seed=seed)
    if str(source) in list_manifests():
        return load_fetched(load_manifest(str(source)), split, n=n, seed=seed)
    raise DataError(
        f"{str(source)!r} is no folder, no .csv file and no data set of the catalogue. "
        f"Fix: check the path, or use one of {', '.join(list_manifests())}"
    )


def load_csv(path: str | os.PathLike, *, n: int | None = None, seed: int = 0) -> Dataset:
    """Photos listed in a csv; see `geolab.data.table` for its columns.

    Raises
    ------
    DataError
        As `read_table`, and when photos are absent; see `geolab.data.layouts`.
    """
    listing = list_photos(Path(path))
    return build_photos(listing.table, listing.files, n, seed)


def load_folder(folder: str | os.PathLike, *, n: int | None = None, seed: int = 0) -> Dataset:
    """Photos of a folder and its subfolders.

    A `metadata.csv` in the folder gives the positions when it is there; else EXIF does. Photos
    without a usable position are left out, with a warning that names them.

    Raises
    ------
    DataError
        No photo, or none with a position.
    """
    folder = Path(folder)
    if (folder / "metadata.csv").is_file():
        return load_csv(folder / "metadata.csv", n=n, seed=seed)
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
    if not files:
        raise DataError(f"{folder}: no photos ({', '.join(SUFFIXES)}). Fix: check the folder")
    rows, left_out = [], []
    for file in files:
        row, problem = _row_from_exif(file, folder)
        if row is not None:
            rows.append((file, row))
        else:
            left_out.append(f"{_printable(file.relative_to(folder))} ({problem})")
    if not rows:
        raise DataError(
            f"{folder}: none of {len(files)} photos has a usable position: {_few(left_out)}. "
            "Fix: add metadata.csv with file_name, latitude, longitude"
        )
    if left_out:
        message = f"{folder}: {len(left_out)} of {len(files)} photos left out: {_few(left_out)}"
        warnings.warn(message, DataWarning, stacklevel=2)
    return build_photos(pd.DataFrame([row for _, row in rows]), [f for f, _ in rows], n, seed)


def load_fetched(
    manifest: Manifest, split: str = "test", *, n: int | None = None, seed: int = 0
) -> Dataset:
    """Photos of a data set of the catalogue, from the cache: rows whose image is there."""
    from geolab.data.storage import cache_folder

    folder = cache_folder() / manifest.name
    about = manifest.splits.get(split)
    if manifest.kind != "photos" or about is None:
        raise DataError(
            f"{manifest.name} has no photos of a split {split!r} "
            f"(kind {manifest.kind}, splits: {', '.join(manifest.splits) or 'none'})"
        )
    table_path = folder / about["table"]
    if not table_path.is_file():
        raise DataError(
            f"{manifest.name} is not in the cache ({table_path}). {manifest.terms_note} "
            f"Fix: {_fetch_line(manifest, split)}"
        )
    listing = list_photos(table_path)
    _check_count(manifest.name, listing.n_rows, about["rows"])
    return build_photos(listing.table, listing.files, n, seed)


def _fetch_line(manifest: Manifest, split: str) -> str:
    """What to type; optional files are fetched only by name."""
    wanted = [entry.path for entry in manifest.files if entry.split == split and entry.optional]
    files = f", files={wanted}" if wanted else ""
    return f'geolab.data.fetch("{manifest.name}"{files})'


def _check_count(name: str, n: int, expected: int | None) -> None:
    if expected is not None and n != expected:
        message = (
            f"{name}: the table has {n} rows, its manifest says {expected}; say which n you use"
        )
        warnings.warn(message, DataWarning, stacklevel=3)


def _row_from_exif(file: Path, folder: Path) -> tuple[dict | None, str]:
    """Row of a photo, or None and the reason."""
    from geolab.data.exif import NULL_ISLAND, read_date, read_gps

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DataWarning)
            place = read_gps(file)
        if place is None:
            return None, NULL_ISLAND if caught else "no GPS in its EXIF"
        date = read_date(file)
    except PhotoError as error:
        return None, str(error).rpartition(f"{file.name}: ")[2]
    row = {"id": photo_id(file.relative_to(folder)), "latitude": place[0], "longitude": place[1]}
    return {**row, "captured_at": date.isoformat(sep=" ") if date else ""}, ""


def _few(items: list[str]) -> str:
    more = f"; and {len(items) - MAX_SHOWN} more" if len(items) > MAX_SHOWN else ""
    return "; ".join(items[:MAX_SHOWN]) + more


def _printable(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
