"""Four views of one place: painted, embedded and joined.

PIGEON looks in four directions, a quarter turn apart, from the same spot and takes the mean of four
embeddings; of all its parts this one helps most (Haas et al., CVPR 2024, table of ablations: median
61 km with four views, 131 km with one). Attention over the views was tried there and was worse than
the mean.

    pixels = panorama_pixels(photos, clip.size)                      # (N, 4, 3, S, S)
    flat = clip.embed_pixels(pixels.flatten(0, 1), "tokens")         # (4 N, D)
    pooled = ViewPool(flat.shape[1])(flat.view(len(pixels), 4, -1))  # (N, D)

`ViewPool` takes features (N, V, D) of any source and any V. TinyEarth can paint the other three
views of any of its photos, so it needs no column of views. A real data set needs panoramas, cut to
views before they are embedded; photos of a sharing site have none.

What was painted is kept in the cache folder, 200 photos a file (22 MB at 96 px, so 2.2 GB for
20,000 photos), named by what was painted and by the painter's version. A run that is stopped goes
on where it was; a file that is damaged is painted again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import joblib
import numpy as np
import torch
from torch import Tensor, nn

from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.errors import DataError
from geolab.data.storage import cache_folder
from geolab.data.tinyearth import Scene
from geolab.data.tinyearth.store import version

if TYPE_CHECKING:
    from datasets import Dataset

Pooling = Literal["mean", "first", "attention"]
N_VIEWS = 4
_NEEDED = (
    "latitude", "longitude", "captured_at", "month", "heading",
    "scene_seed", "view", "species", "photographer",
)  # fmt: skip
_ROWS = 200  # photos in one file, painted by one process
_FILE = {"kind": "geolab-panoramas", "version": 1}


def panorama_pixels(
    photos: Dataset, size: int, *, workers: int | None = None, progress: str = ""
) -> Tensor:
    """Paint the four views of each photo's place, the photo's own direction first.

    Parameters
    ----------
    photos : Dataset
        Of TinyEarth.
    workers : int, optional
        Processes; all CPUs for more than a few photos. No effect on the result.
    progress : str
        Title of a progress bar, in a terminal or a notebook; none if empty.

    Returns
    -------
    Tensor of uint8, shape (N, 4, 3, size, size)

    Raises
    ------
    DataError
        If the photos are not TinyEarth's.
    """
    from tqdm.auto import tqdm

    missing = [name for name in _NEEDED if name not in photos.column_names]
    if missing:
        raise DataError(
            f"no panoramas: photos lack the column {missing[0]}. Only TinyEarth can paint the "
            "other views of a photo; use views=1"
        )
    rows = photos.select_columns(list(_NEEDED)).to_list()
    chunks = [rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)]
    painter = version() if chunks else ""
    files = [_file_of(chunk, size, painter) for chunk in chunks]
    out = np.empty((len(rows), N_VIEWS, 3, size, size), np.uint8)
    quiet = None if progress else True  # None: no bar where the output is no terminal
    bar = tqdm(desc=progress, total=len(rows), unit="place", disable=quiet)
    absent = []
    for number, file in enumerate(files):
        kept = _read(file)
        if kept is None:
            absent.append(number)
            continue
        out[number * _ROWS :][: len(kept)] = kept
        bar.update(len(kept))
    for number, views in zip(absent, _paint_all(chunks, absent, size, workers), strict=True):
        save_arrays(files[number], {"views": views}, **_FILE)
        out[number * _ROWS :][: len(views)] = views
        bar.update(len(views))
    bar.close()
    return torch.from_numpy(out)


def _file_of(rows: list[dict], size: int, painter: str) -> Path:
    """Where the views of some photos are kept: the name says all that decides them."""
    said = json.dumps([rows, size, painter], sort_keys=True)
    name = blake2b(said.encode(), digest_size=10).hexdigest()
    return cache_folder() / "tinyearth" / "panoramas" / f"{name}.npz"


def _read(file: Path) -> np.ndarray | None:
    try:
        return load_arrays(file, **_FILE)[0]["views"]
    except (FileNotFoundError, DataError):
        return None


def _paint_all(
    chunks: list[list[dict]], numbers: list[int], size: int, workers: int | None
) -> Iterator[np.ndarray]:
    """Paint some of the chunks, in order; each comes as soon as it is ready."""
    n_jobs = workers or (joblib.cpu_count() if len(numbers) > 1 else 1)
    jobs = (joblib.delayed(_paint)(chunks[number], size) for number in numbers)
    pool = joblib.Parallel(n_jobs=n_jobs, return_as="generator", pre_dispatch=2 * n_jobs)
    yield from pool(jobs)


def _paint(rows: list[dict], size: int) -> np.ndarray:
    """Views of a few photos; runs in worker processes."""
    views = [[np.asarray(v) for v in Scene.from_row(row).panorama(size)] for row in rows]
    return np.array(views).transpose(0, 1, 4, 2, 3)  # (n, 4, S, S, 3) -> (n, 4, 3, S, S)


class ViewPool(nn.Module):
    """Join V views: (b, V, D) -> (b, D). Features (b, D) pass as they are.

    "attention" is one layer of attention with sines of the view's number for its direction, read at
    the first view and added to the mean; its last matrix begins at zero, so it starts as the mean.

    Raises
    ------
    ValueError
        For another word.
    """

    def __init__(self, dim: int, pooling: Pooling = "mean", *, heads: int = 4) -> None:
        super().__init__()
        if pooling not in ("mean", "first", "attention"):
            raise ValueError(f"pooling {pooling!r} must be mean, first or attention")
        self.pooling = pooling
        if pooling == "attention":
            heads = heads if dim % heads == 0 else 1
            self.attend = nn.MultiheadAttention(dim, heads, batch_first=True)
            nn.init.zeros_(self.attend.out_proj.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Pool features."""
        if features.ndim == 2:
            return features
        if self.pooling == "first":
            return features[:, 0]
        if self.pooling == "mean":
            return features.mean(1)
        turned = features + _positions(features.shape[1], features.shape[2]).to(features)
        read = self.attend(turned[:, :1], turned, turned, need_weights=False)[0]
        return features.mean(1) + read[:, 0]


def _positions(n: int, dim: int) -> Tensor:
    """Sines and cosines of the number of a view, (n, dim), as transformers number their tokens."""
    half = (dim + 1) // 2
    rate = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
    angle = torch.arange(n)[:, None] * rate  # (n, half)
    return torch.cat([angle.sin(), angle.cos()], 1)[:, :dim]
