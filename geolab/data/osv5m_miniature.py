"""A miniature of OSV-5M: its csv, its zips and its tar twin, round synthetic photos.

    write_miniature("miniature/", load("tinyearth", n=300, size=256))

    miniature/test.csv                 the real columns in their order
    miniature/images/test/00.zip ...   a JPEG a photo
    miniature/wds/test/0000.tar ...    JPEG, json and embedding, where embeddings were given

Everything in it is made up: photos and places are TinyEarth's, contributors are called nobody.
Columns that TinyEarth does not know stay empty. Names of members and shards are guesses; what reads
them goes by the stem of a member's name.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from geolab.data.catalogue import load_manifest
from geolab.data.storage import write_atomic

if TYPE_CHECKING:
    from datasets import Dataset

FIRST_ID = 10**15
_LABELS = ("country", "region", "sub-region", "city")


def write_miniature(
    folder: str | PathLike,
    photos: Dataset,
    embeddings: np.ndarray | None = None,
    *,
    n_zips: int = 2,
    n_shards: int = 2,
    quality: int = 90,
) -> Path:
    """Write the files, photos dealt to zips and shards in turn.

    Parameters
    ----------
    folder : path
    photos : Dataset
        TinyEarth's.
    embeddings : ndarray, shape (N, D), optional
        Stands in for StreetCLIP's; without it there are no tars.
    n_zips, n_shards : int
    quality : int
        Of the JPEGs.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If photos and embeddings differ in number.
    """
    if embeddings is not None and len(embeddings) != len(photos):
        raise ValueError(f"{len(photos)} photos, but {len(embeddings)} embeddings")
    folder, table = Path(folder), miniature_table(photos)
    write_atomic(folder / "test.csv", table.to_csv(index=False))
    pictures = [_jpeg(row["image"], quality) for row in photos]
    ids = table["id"].tolist()
    for k in range(n_zips):
        mine = range(k, len(ids), n_zips)
        files = ((f"{k:02}/{ids[i]}.jpg", pictures[i]) for i in mine)
        write_atomic(folder / "images" / "test" / f"{k:02}.zip", _zip(files))
    for k in range(n_shards if embeddings is not None else 0):
        rows = range(k, len(ids), n_shards)
        parts = (part for i in rows for part in _sample(table, embeddings, pictures, i))
        write_atomic(folder / "wds" / "test" / f"{k:04}.tar", _tar(parts))
    return folder


def miniature_table(photos: Dataset) -> pd.DataFrame:
    """Rows of the csv: OSV-5M's columns; every third row lacks ``country``, as happens there."""
    known = photos.remove_columns("image").to_pandas()
    number = np.arange(len(known))
    table = pd.DataFrame(index=number, columns=list(load_manifest("osv5m").columns))
    for name in table.columns.intersection(known.columns):
        table[name] = known[name]
    for name in _LABELS:
        table[f"unique_{name}"] = known[name]
    people = pd.factorize(known["photographer"])[0]
    taken = pd.to_datetime(known["captured_at"]) - pd.Timestamp(0)
    table["id"] = [str(FIRST_ID + i) for i in number]
    table["country"] = known["country"].where(number % 3 > 0)
    table["captured_at"] = taken // pd.Timedelta(milliseconds=1)
    table["thumb_original_url"] = [f"https://example.org/{i}.jpg" for i in number]
    table["creator_username"] = [f"nobody-{i}" for i in people]
    table["creator_id"] = people
    return table


def _jpeg(image: object, quality: int) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def _zip(files: Iterable[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:  # stored, not packed: a JPEG does not shrink
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def _sample(
    table: pd.DataFrame, embeddings: np.ndarray, pictures: list[bytes], row: int
) -> Iterable[tuple[str, bytes]]:
    """The files of one photo: what the twin keeps of it, nobody's name among it."""
    stem = table["id"][row]
    about = {name: float(table[name][row]) for name in ("latitude", "longitude")}
    vector = io.BytesIO()
    np.save(vector, np.asarray(embeddings[row], np.float32))
    yield f"{stem}.jpg", pictures[row]
    yield f"{stem}.json", json.dumps({"id": stem, **about}).encode()
    yield f"{stem}.street_clip.npy", vector.getvalue()


def _tar(files: Iterable[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
