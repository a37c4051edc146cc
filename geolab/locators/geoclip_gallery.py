"""The places among which GeoCLIP chooses, and their embeddings, made once.

    gallery = make_gallery(places)               # checked, each place once
    gallery = read_gallery("coordinates.csv")    # LAT,LON as published, or latitude,longitude
    features = gallery_features(encoder, gallery, "cache/")     # (M, dim), mapped from disk

The released program embeds its 100,000 places anew for every photo. Here they are embedded once:
the file is named by the hash of weights and places, so another encoder or another gallery never
reads it, and a file that was cut short or changed is made again.

A gallery is part of the system. The published one has 100,000 rows and 94,123 places: a place that
stands there twice gets twice the weight in a softmax, so each is kept once here.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor

from geolab.data.errors import DataError, DiskFullError
from geolab.data.storage import (
    DISK_FULL,
    cache_folder,
    disk_full_message,
    sha256_of,
    write_atomic,
)
from geolab.encoders.clip_weights import hash_of_weights
from geolab.encoders.location import LocationEncoder
from geolab.sphere import ArrayLike, check_latlon

COLUMNS = (("LAT", "LON"), ("latitude", "longitude"))
_BATCH = 4096


@dataclass(frozen=True)
class Gallery:
    """Distinct places, made by `make_gallery`.

    Attributes
    ----------
    latlon : Tensor of float64, shape (M, 2)
        Degrees, in the order given.
    n_given : int
        Rows before repeated ones were taken out.
    """

    latlon: Tensor
    n_given: int

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self.latlon)

    @cached_property
    def hash(self) -> str:
        """Sixteen hex digits of the places and their order."""
        return hashlib.sha256(self.latlon.numpy().tobytes()).hexdigest()[:16]


def make_gallery(latlon: ArrayLike, name: str = "gallery") -> Gallery:
    """Check places and keep each once, the first of equals.

    Parameters
    ----------
    latlon : array_like, shape (N, 2)
        Degrees.
    name : str
        For messages.

    Raises
    ------
    ValueError
        If there is no place, the shape is another one, or a place is not on Earth or NaN: the row
        and its value are named.

    Examples
    --------
    >>> gallery = make_gallery([[48.86, 2.35], [0.0, 9.0], [48.86, 2.35]])
    >>> len(gallery), gallery.n_given
    (2, 3)
    """
    places = check_latlon(latlon, name)
    if places.ndim != 2:
        raise ValueError(f"{name} must have shape (N, 2), not {tuple(places.shape)}")
    if not len(places):
        raise ValueError(f"{name} is empty: give at least one place")
    places = places.detach().cpu().double()
    first = np.unique(places.numpy(), axis=0, return_index=True)[1]
    return Gallery(places[torch.from_numpy(np.sort(first))].contiguous(), len(places))


def read_gallery(path: str | os.PathLike) -> Gallery:
    """Read a csv with the columns LAT and LON, or latitude and longitude.

    Raises
    ------
    DataError
        If the file is missing, has other columns, or a row is not a place; its line is named.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read as a csv ({error}): give LAT,LON rows") from None
    pair = next((list(pair) for pair in COLUMNS if set(pair) <= set(table.columns)), None)
    if pair is None:
        raise DataError(
            f"{path} has the columns {', '.join(map(str, table.columns))}: a gallery needs LAT and "
            "LON, or latitude and longitude"
        )
    places = np.stack([pd.to_numeric(table[c], errors="coerce").to_numpy(float) for c in pair], 1)
    bad = ~(np.abs(places) <= [90, 180]).all(axis=1)  # NaN is not less either
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        said = tuple(table.loc[row, pair])
        raise DataError(f"{path}, line {row + 2}: (lat, lon) = {said} is no place in degrees")
    return make_gallery(places, str(path))


def gallery_features(
    encoder: LocationEncoder, gallery: Gallery, folder: str | os.PathLike | None = None
) -> np.ndarray:
    """Embeddings of the places, made once and mapped from disk after.

    Parameters
    ----------
    folder : path, optional
        "geoclip_galleries" in the cache folder if not given. Files may be deleted at will.

    Returns
    -------
    ndarray of float32, shape (M, dim)
        Unit length; the file stays as it is whatever is done with them.
    """
    folder = cache_folder() / "geoclip_galleries" if folder is None else Path(folder)
    about = f"{hash_of_weights(encoder)} {encoder.config} {gallery.hash}"
    path = folder / f"{hashlib.sha256(about.encode()).hexdigest()[:24]}.npy"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not _is_whole(path):
            _write(path, encoder, gallery)
    return np.load(path, mmap_mode="c")  # in memory only: torch wants arrays it may write to


def _is_whole(path: Path) -> bool:
    """Whether a file of embeddings is there, as it was written."""
    try:
        told = json.loads(path.with_suffix(".json").read_text("utf-8"))
        return path.stat().st_size == told["bytes"] and sha256_of(path) == told["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(path: Path, encoder: LocationEncoder, gallery: Gallery) -> None:
    """Embed block by block into a file beside, which then gets its name; its sum comes last."""
    shape = (len(gallery), encoder.config.dim)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:  # a mapped file would die on a full disk
            np.lib.format.write_array_header_1_0(stream, header)
            for part in gallery.latlon.split(_BATCH):
                stream.write(encoder.embed(part).numpy().astype("<f4").tobytes())
        told = {"sha256": sha256_of(beside), "bytes": os.path.getsize(beside)}
        os.replace(beside, path)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError(disk_full_message(path, 4 * shape[0] * shape[1])) from error
        raise
    finally:
        Path(beside).unlink(missing_ok=True)
    write_atomic(path.with_suffix(".json"), json.dumps(told))
