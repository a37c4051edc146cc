"""Four views of one place: painted, embedded and joined.

PIGEON looks north, east, south and west from the same spot and takes the mean of four embeddings;
of all its parts this one helps most (Haas et al., CVPR 2024, table of ablations: median 61 km with
four views, 131 km with one). Attention over the views was tried there and was worse than the mean.

TinyEarth can paint the other three views of any of its photos. A real data set needs panoramas;
photos of a sharing site have none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import joblib
import numpy as np
import torch
from torch import Tensor, nn

from geolab.data.errors import DataError
from geolab.data.tinyearth import Scene

if TYPE_CHECKING:
    from datasets import Dataset

Pooling = Literal["mean", "first", "attention"]
N_VIEWS = 4
_NEEDED = ("latitude", "longitude", "captured_at", "month", "heading", "scene_seed", "view")
_ROWS = 100  # painted by one process at once


def panorama_pixels(photos: Dataset, size: int, *, workers: int | None = None) -> Tensor:
    """Paint the four views of each photo's place, the photo's own direction first.

    Parameters
    ----------
    photos : Dataset
        Of TinyEarth.
    workers : int, optional
        Processes; all CPUs for more than a few photos. No effect on the result.

    Returns
    -------
    Tensor of uint8, shape (N, 4, 3, size, size)

    Raises
    ------
    DataError
        If the photos are not TinyEarth's.
    """
    missing = [name for name in _NEEDED if name not in photos.column_names]
    if missing:
        raise DataError(
            f"no panoramas: photos lack the column {missing[0]}. Only TinyEarth can paint the "
            "other views of a photo; use views=1"
        )
    rows = photos.remove_columns([c for c in ("image",) if c in photos.column_names]).to_list()
    chunks = [rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)]
    n_jobs = 1 if len(chunks) < 4 else workers or os.cpu_count() or 1
    painted = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(_paint)(c, size) for c in chunks)
    empty = np.empty((0, N_VIEWS, 3, size, size), np.uint8)
    return torch.from_numpy(np.concatenate([empty, *painted]))


def _paint(rows: list[dict], size: int) -> np.ndarray:
    """Views of a few photos; runs in worker processes."""
    views = [[np.asarray(v) for v in Scene.from_row(row).panorama(size)] for row in rows]
    return np.array(views).transpose(0, 1, 4, 2, 3)  # (n, 4, S, S, 3) -> (n, 4, 3, S, S)


class ViewPool(nn.Module):
    """Join V views: (b, V, D) -> (b, D). Features (b, D) pass as they are.

    "attention" is one layer of attention with a learnt vector for each direction, read at the first
    view and added to the mean; its last matrix begins at zero, so that it starts as the mean.
    """

    def __init__(self, dim: int, pooling: Pooling = "mean", *, heads: int = 4) -> None:
        super().__init__()
        if pooling not in ("mean", "first", "attention"):
            raise ValueError(f"pooling {pooling!r} must be mean, first or attention")
        self.pooling = pooling
        if pooling == "attention":
            heads = heads if dim % heads == 0 else 1
            self.direction = nn.Parameter(torch.zeros(N_VIEWS, dim))
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
        turned = features + self.direction[: features.shape[1]]
        read = self.attend(turned[:, :1], turned, turned, need_weights=False)[0]
        return features.mean(1) + read[:, 0]
