"""A user's own copy of CVUSA or CVACT. Neither may be shared: their owners give them on request.

CVUSA as its owners pack it (`splits/train-19zl.csv`, `splits/val-19zl.csv`: one line for each pair,
aerial path, street path, and an annotation that is not used)::

    bingmap/19/0000001.jpg,streetview/panos/0000001.jpg,streetview/annotations/0000001.png

CVACT (`ACT_data.mat` with `panoIds`, `utm`, `trainSet` and `valSet`)::

    streetview_processed/<id>_grdView.jpg
    satview_polish/<id>_satView_polish.jpg

Proven on miniatures in these layouts, which the tests write, not on the real sets. Panoramas are
taken to begin in the north. CVUSA's lists hold no places, so they are NaN; CVACT's are UTM metres
of zone 55 south, turned to degrees by pyproj, which comes with ``pip install 'geolab[geo]'``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from geolab.crossview.scenes import STRIP, TILE, Pairs
from geolab.data.errors import DataError
from geolab.data.photos import read_photo

_LISTS = {"train": "train-19zl.csv", "val": "val-19zl.csv"}
_CVACT_ZONE = "EPSG:32755"
_MISSING_SHOWN = 3


def load_pairs(
    folder: str | os.PathLike,
    split: Literal["train", "val"],
    *,
    strip: tuple[int, int] = STRIP,
    tile: int = TILE,
    n: int | None = None,
    progress: str = "",
) -> Pairs:
    """Read pairs of CVUSA or CVACT; which one is seen by the files.

    Parameters
    ----------
    folder : path
        That holds `splits/` (CVUSA) or `ACT_data.mat` (CVACT).
    split : {"train", "val"}
    strip : tuple of int
        Height and width of the street strips in pixels.
    tile : int
        Side of the aerial tiles in pixels.
    n : int, optional
        Take the first so many pairs.

    Raises
    ------
    DataError
        If the folder is neither, a list is damaged (its line is named), or pictures are missing
        (the first are named, with their number): pairs are never left out in silence.
    """
    from tqdm.auto import tqdm

    folder = Path(folder)
    if split not in _LISTS:
        raise ValueError(f"split {split!r} must be train or val")
    if (folder / "splits").is_dir():
        names, places = _cvusa(folder, split), None
    elif (folder / "ACT_data.mat").is_file():
        names, places = _cvact(folder, split)
    else:
        raise DataError(
            f"{folder}: neither CVUSA (no folder splits) nor CVACT (no ACT_data.mat). "
            "Ask the owners of the data for a copy and give the folder that holds one of these"
        )
    names = names[:n]
    _check_there(folder, names)
    street = np.empty((len(names), 3, *strip), np.uint8)
    aerial = np.empty((len(names), 3, tile, tile), np.uint8)
    for i, (above, ground) in enumerate(tqdm(names, desc=progress, disable=not progress)):
        street[i] = _pixels(folder / ground, strip)
        aerial[i] = _pixels(folder / above, (tile, tile))
    where = torch.full((len(names), 2), torch.nan, dtype=torch.float64)
    if places is not None:
        where = torch.from_numpy(places[: len(names)])
    return Pairs(torch.from_numpy(street), torch.from_numpy(aerial), where, synthetic=False)


def _cvusa(folder: Path, split: str) -> list[tuple[str, str]]:
    path = folder / "splits" / _LISTS[split]
    if not path.is_file():
        raise DataError(f"{path} is missing; it comes with CVUSA")
    names = []
    with path.open(newline="") as lines:
        for number, line in enumerate(csv.reader(lines), 1):
            if len(line) < 2 or not line[0] or not line[1]:
                raise DataError(f"{path}, line {number}: expected an aerial and a street path")
            names.append((line[0], line[1]))
    return names


def _cvact(folder: Path, split: str) -> tuple[list[tuple[str, str]], np.ndarray]:
    from scipy.io import loadmat

    path = folder / "ACT_data.mat"
    try:
        held = loadmat(path)
        ids = [str(np.ravel(name)[0]) for name in np.ravel(held["panoIds"])]
        rows = np.ravel(held[f"{split}Set"][0][0][f"{split}Ind"]).astype(int) - 1
        utm = np.asarray(held["utm"], np.float64)[rows]
        chosen = [ids[row] for row in rows]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged or has another layout: {error!r}") from None
    names = [
        (f"satview_polish/{i}_satView_polish.jpg", f"streetview_processed/{i}_grdView.jpg")
        for i in chosen
    ]
    return names, _degrees(utm)


def _degrees(utm: np.ndarray) -> np.ndarray:
    """Metres of CVACT's zone to degrees, (n, 2)."""
    try:
        from pyproj import Transformer
    except ModuleNotFoundError:
        raise DataError(
            "CVACT's places are UTM metres: run pip install 'geolab[geo]' to read them"
        ) from None
    lon, lat = Transformer.from_crs(_CVACT_ZONE, "EPSG:4326", always_xy=True).transform(
        utm[:, 0], utm[:, 1]
    )
    return np.stack([lat, lon], 1)


def _check_there(folder: Path, names: Sequence[tuple[str, str]]) -> None:
    missing = [name for pair in names for name in pair if not (folder / name).is_file()]
    if missing:
        shown = ", ".join(missing[:_MISSING_SHOWN])
        raise DataError(
            f"{folder}: {len(missing)} of {2 * len(names)} pictures are missing, among them "
            f"{shown}. Unpack the whole set, or give n to read fewer"
        )


def _pixels(path: Path, size: tuple[int, int]) -> np.ndarray:
    image = read_photo(path).resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image).transpose(2, 0, 1)  # (H, W, 3) -> (3, H, W)
