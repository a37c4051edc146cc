"""Which photo belongs to which row of a csv: three ways, told apart by its columns.

| csv | photos | rows without a photo |
| --- | --- | --- |
| `path` (or `image`, `file_name`, ...) | that path, relative to the csv | refused |
| `IMG_ID`, as MP-16 and the Flickr test sets have it: `ab/cd/123.jpg` | that path, relative to \
the csv or to a folder `images` or `<csv's name>` beside it | left out, with a warning |
| `id` and no path, as OSV-5M has it | `<id>.jpg` anywhere below `images/<csv's name>` (or \
`images`), loose or in zips | left out, with a warning |

Nothing is written beside the csv: photos in zips are unpacked into the cache, and only those that
are chosen (`load(..., n=500)` unpacks 500). A loose photo wins over one in a zip.

OSV-5M's `train.csv` has five million rows. Rows whose photo is absent are passed over while
reading, so memory grows with the photos that you have.

Tables with `IMG_ID` name the photographer: by the account in the file name (`..._123@N00.jpg`), or
else by the AUTHOR column. Only a code of it is kept.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from geolab.data.archives import ZipMember
from geolab.data.building import photo_id, photographer_code
from geolab.data.errors import DataError, DataWarning
from geolab.data.table import ALIASES, MAX_SHOWN, check_ids, header_names, read_table

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".heic", ".avif")
_ACCOUNT = re.compile(r"\d+@N\d\d")


class Listing(NamedTuple):
    """Rows that have a photo, the photos, and how many rows the csv has in all."""

    table: pd.DataFrame
    files: Sequence[Path | ZipMember]
    n_rows: int


def list_photos(path: Path) -> Listing:
    """Read a csv and find its photos.

    Raises
    ------
    DataError
        As `read_table`; an image file is absent where each row must have one; or none is there.
    """
    names = header_names(path)
    has_path = names & set(ALIASES["path"])
    if has_path == {"img_id"}:
        return _by_img_id(path)
    if not has_path and "id" in names and (path.parent / "images").is_dir():
        return _by_id(path)
    return _by_path(path)


def _by_path(path: Path) -> Listing:
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
    return Listing(table.drop(columns="path"), files, len(table))


def _by_img_id(path: Path) -> Listing:
    table = read_table(path, need=("path",))
    roots = [path.parent, path.parent / "images", path.parent / path.stem]
    held = [root for root in roots if any((root / name).is_file() for name in table["path"])]
    if not held:
        looked = ", ".join(str(root) for root in roots)
        raise DataError(
            f"{path}: none of {len(table)} photos is there, such as {table['path'].iloc[0]}. "
            f"Looked in {looked}. Fix: put the photos' folder in one of these places"
        )
    files = [held[0] / name for name in table["path"]]
    here = [file.is_file() for file in files]
    n_rows = len(table)
    _tell_absent(path, sum(here), n_rows)
    table = table[here].copy()
    if "id" not in table:
        table["id"] = [photo_id(name) for name in table["path"]]
        check_ids(table["id"], path)
    if "photographer" not in table:
        table["photographer"] = _photographers(table)
    files = [file for file, there in zip(files, here, strict=True) if there]
    return Listing(table.drop(columns="path"), files, n_rows)


def _photographers(table: pd.DataFrame) -> list[str]:
    """Code of the account in the file name, or else of the author."""
    authors = next((table[c] for c in table if c.strip().lower() == "author"), None)
    fallback = [""] * len(table) if authors is None else authors
    accounts = [_ACCOUNT.search(name) for name in table["path"]]
    named = zip(accounts, fallback, strict=True)
    return [photographer_code(found.group() if found else who) for found, who in named]


def _by_id(path: Path) -> Listing:
    root = path.parent / "images"
    if (root / path.stem).is_dir():
        root = root / path.stem
    photos = photos_by_stem(root)
    table = read_table(path, need=("id",), only_ids=photos)
    n_rows = table.attrs["n_rows"]
    if table.empty:
        raise DataError(
            f"{path}: none of {n_rows} photos is in {root}. "
            "Fix: put <id>.jpg there, or a zip of the data set such as 00.zip"
        )
    _tell_absent(path, len(table), n_rows)
    return Listing(table, [photos[i] for i in table["id"]], n_rows)


def photos_by_stem(root: Path) -> dict[str, Path | ZipMember]:
    """All photos below a folder, loose or in zips, by file name without ending."""
    found: dict[str, Path | ZipMember] = {}
    for archive in sorted(root.rglob("*.zip")):
        try:
            with zipfile.ZipFile(archive) as handle:
                names = handle.namelist()
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(
                f"{archive}: not a whole zip file ({error}). Fix: get it again or remove it"
            ) from error
        for name in names:
            if PurePosixPath(name).suffix.lower() in SUFFIXES:
                found[PurePosixPath(name).stem] = ZipMember(archive, name)
    loose = (file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES)
    return found | {file.stem: file for file in loose if file.is_file()}


def _tell_absent(path: Path, n_here: int, n_rows: int) -> None:
    if n_here < n_rows:
        message = f"{path}: {n_here} of {n_rows} photos are here; using these"
        warnings.warn(message, DataWarning, stacklevel=4)
