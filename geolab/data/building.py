"""Make a data set out of checked rows and the places of their photos.

Personal columns go, photographers become codes, and photos that lie in a zip are unpacked into the
cache: only those that were chosen.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from geolab.data.archives import ZipMember, unpack_members
from geolab.data.errors import DataError
from geolab.data.storage import cache_folder

if TYPE_CHECKING:
    from datasets import Dataset

PERSONAL = ("creator_username", "creator_id", "thumb_original_url", "author")


def build_photos(
    table: pd.DataFrame, files: Sequence[Path | ZipMember], n: int | None = None, seed: int = 0
) -> Dataset:
    """Make the data set.

    Parameters
    ----------
    table
        With `id`, `latitude`, `longitude`, as `geolab.data.table.read_table` checks them.
    files
        Photo of each row.
    n, seed
        A random choice of rows, in their order; all when None.

    Raises
    ------
    DataError
        More photos wanted than there are, or a zip that is damaged or not safe to unpack.
    """
    from datasets import Dataset, Features, Image, Value

    rows = chosen_rows(len(table), n, seed)
    table, paths = _public(table.iloc[rows]), _on_disk([files[i] for i in rows])
    first = ["id", "latitude", "longitude"]
    columns = {c: table[c].tolist() for c in [*first, *(c for c in table if c not in first)]}
    kinds = {c: Value(_kind(table[c])) for c in columns}
    columns["image"] = [_image_cell(path) for path in paths]
    order = ["id", "image", *(c for c in columns if c not in ("id", "image"))]
    features = Features({c: Image() if c == "image" else kinds[c] for c in order})
    return Dataset.from_dict({c: columns[c] for c in order}, features=features)


def chosen_rows(n_rows: int, n: int | None, seed: int) -> np.ndarray:
    """Rows of a random choice without repetition, ascending, (n,) int64.

    >>> chosen_rows(4, 2, seed=0).tolist()
    [0, 2]
    """
    if n is None:
        return np.arange(n_rows)
    if not 1 <= n <= n_rows:
        raise DataError(f"n = {n}, but there are {n_rows} photos. Fix: n in 1..{n_rows}")
    return np.sort(np.random.default_rng(seed).permutation(n_rows)[:n])


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


def _public(table: pd.DataFrame) -> pd.DataFrame:
    """Without personal columns; OSV-5M's label fills the gaps of its country column."""
    table = table.drop(columns=[c for c in table.columns if c.lower() in PERSONAL])
    if "photographer" in table:
        table["photographer"] = [photographer_code(name) for name in table["photographer"]]
    if "unique_country" in table:
        known = table["country"] if "country" in table else pd.Series("", index=table.index)
        table["country"] = known.where(known != "", table["unique_country"])
    return table


def _on_disk(files: Sequence[Path | ZipMember]) -> list[Path]:
    """Path of each photo; members of zips are unpacked into the cache, once."""
    zipped: dict[Path, list[str]] = {}
    for file in files:
        if isinstance(file, ZipMember):
            zipped.setdefault(file.archive, []).append(file.name)
    unpacked: dict[ZipMember, Path] = {}
    for archive, names in zipped.items():
        about = archive.stat()
        key = f"{archive.resolve()} {about.st_size} {about.st_mtime_ns}"
        folder = cache_folder() / "unpacked" / hashlib.sha256(os.fsencode(key)).hexdigest()[:16]
        paths = unpack_members(archive, names, folder)
        unpacked |= {ZipMember(archive, name): p for name, p in zip(names, paths, strict=True)}
    return [unpacked[file] if isinstance(file, ZipMember) else file for file in files]


def _kind(column: pd.Series) -> str:
    return "float64" if np.issubdtype(np.asarray(column).dtype, np.floating) else "string"


def _image_cell(file: Path) -> dict[str, str | bytes | None]:
    name = os.path.abspath(file)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # Arrow holds UTF-8 only: keep the photo, not its name
        return {"path": None, "bytes": file.read_bytes()}
    return {"path": name, "bytes": None}
