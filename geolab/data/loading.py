"""Load photos from anywhere as one kind of table.

    load("tinyearth", n=2000, seed=0)    # the synthetic world, at once and offline
    load("photos.csv")                   # path, latitude, longitude and what else you have
    load("holiday/")                     # a folder; positions from EXIF, or from its metadata.csv
    load("osv5m", n=500)                 # a fetched data set of the catalogue

The result is a `datasets.Dataset` with `id`, `image` (not decoded until read), `latitude`,
`longitude` and further columns under OSV-5M's names. A table that is wrong stops at once with the
line and the fix. A photo that can't be read stays in, and is reported when it is read: it counts as
a miss. Columns of personal data are dropped; photographers are kept as a code.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from geolab.data.errors import DataError, DataWarning, PhotoError
from geolab.data.table import MAX_SHOWN, check_ids, read_table

if TYPE_CHECKING:
    from datasets import Dataset

    from geolab.data.catalogue import Manifest

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".heic", ".avif")
PERSONAL = ("creator_username", "creator_id", "thumb_original_url", "author")


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
    return _choose(_load_real(source, split), n, seed)


def _load_real(source: str | os.PathLike, split: str) -> Dataset:
    from geolab.data.catalogue import list_manifests, load_manifest

    path = Path(source)
    if path.is_dir():
        return load_folder(path)
    if path.suffix.lower() == ".csv":
        return load_csv(path)
    if str(source) in list_manifests():
        return load_fetched(load_manifest(str(source)), split)
    raise DataError(
        f"{str(source)!r} is no folder, no .csv file and no data set of the catalogue. "
        f"Fix: check the path, or use one of {', '.join(list_manifests())}"
    )


def load_csv(path: str | os.PathLike) -> Dataset:
    """Photos listed in a csv; see `geolab.data.table` for its columns.

    Raises
    ------
    DataError
        As `read_table`, and when an image file is absent.
    """
    path = Path(path)
    table = read_table(path, need=("path",))
    files = [path.parent / name for name in table["path"]]
    absent = [i for i, file in enumerate(files) if not file.is_file()]
    if absent:
        shown = "; ".join(f"line {table.index[i]}: {files[i]}" for i in absent[:MAX_SHOWN])
        raise DataError(
            f"{path}: {len(absent)} of {len(files)} image files are absent: {shown}. "
            "Fix: paths are relative to the csv; correct them or leave the rows out"
        )
    if "id" not in table:
        table["id"] = [photo_id(name) for name in table["path"]]
        check_ids(table["id"], path)
    return _build(table.drop(columns="path"), files)


def load_folder(folder: str | os.PathLike) -> Dataset:
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
        return load_csv(folder / "metadata.csv")
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
    return _build(pd.DataFrame([row for _, row in rows]), [file for file, _ in rows])


def load_fetched(manifest: Manifest, split: str = "test") -> Dataset:
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
            f'Fix: geolab.data.fetch("{manifest.name}")'
        )
    if "path" in manifest.columns:
        photos = load_csv(table_path)
        _check_count(manifest.name, len(photos), about["rows"])
        return photos
    table = read_table(table_path, need=("id",))
    _check_count(manifest.name, len(table), about["rows"])
    images = {f.stem: f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES}
    here = table["id"].isin(set(images))
    if not here.any():
        raise DataError(f"{table_path}: none of {len(table)} photos is in {folder}. Fix: fetch one")
    if not here.all():
        message = f"{manifest.name}: {here.sum()} of {len(table)} photos are here; using these"
        warnings.warn(message, DataWarning, stacklevel=2)
    table = table[here].copy()
    return _build(table, [images[i] for i in table["id"]])


def _check_count(name: str, n: int, expected: int | None) -> None:
    if expected is not None and n != expected:
        message = (
            f"{name}: the table has {n} rows, its manifest says {expected}; say which n you use"
        )
        warnings.warn(message, DataWarning, stacklevel=3)


def photo_id(relative_path: str | os.PathLike) -> str:
    """Stable id of a photo that has none: a hash of its relative path, never the name itself.

    >>> photo_id("trip/IMG_0001.jpg") == photo_id("./trip/IMG_0001.jpg")
    True
    """
    raw = os.fsencode(relative_path).replace(b"\\", b"/").removeprefix(b"./")
    return hashlib.sha256(b"geolab photo " + raw).hexdigest()[:16]


def photographer_code(name: str) -> str:
    """Stand-in for a photographer's name; "" stays "", a code stays itself."""
    if not name or re.fullmatch(r"p[0-9a-f]{12}", name):
        return name
    return "p" + hashlib.sha256(f"geolab photographer {name}".encode()).hexdigest()[:12]


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


def _build(table: pd.DataFrame, files: Iterable[Path]) -> Dataset:
    """Make the data set; personal columns go, photographers become codes."""
    from datasets import Dataset, Features, Image, Value

    table = table.drop(columns=[c for c in table.columns if c.lower() in PERSONAL])
    if "photographer" in table:
        table["photographer"] = [photographer_code(name) for name in table["photographer"]]
    if "unique_country" in table:
        known = table["country"] if "country" in table else pd.Series("", index=table.index)
        table["country"] = known.where(known != "", table["unique_country"])
    first = ["id", "latitude", "longitude"]
    columns = {c: table[c].tolist() for c in [*first, *(c for c in table if c not in first)]}
    kinds = {c: Value(_kind(table[c])) for c in columns}
    columns["image"] = [_image_cell(file) for file in files]
    order = ["id", "image", *(c for c in columns if c not in ("id", "image"))]
    features = Features({c: Image() if c == "image" else kinds[c] for c in order})
    return Dataset.from_dict({c: columns[c] for c in order}, features=features)


def _kind(column: pd.Series) -> str:
    return "float64" if np.issubdtype(np.asarray(column).dtype, np.floating) else "string"


def _image_cell(file: Path) -> dict[str, str | bytes | None]:
    name = os.path.abspath(file)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # Arrow holds UTF-8 only: keep the photo, not its name
        return {"path": None, "bytes": file.read_bytes()}
    return {"path": name, "bytes": None}


def _choose(photos: Dataset, n: int | None, seed: int) -> Dataset:
    if n is None:
        return photos
    if not 1 <= n <= len(photos):
        raise DataError(f"n = {n}, but there are {len(photos)} photos. Fix: n in 1..{len(photos)}")
    rows = np.random.default_rng(seed).permutation(len(photos))[:n]
    return photos.select(np.sort(rows))


def _few(items: list[str]) -> str:
    more = f"; and {len(items) - MAX_SHOWN} more" if len(items) > MAX_SHOWN else ""
    return "; ".join(items[:MAX_SHOWN]) + more


def _printable(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
