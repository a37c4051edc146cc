"""Clusters of photos within each geocell: what prototypes are made of.

OPTICS on great-circle distances finds streets and squares where many photos were taken. Noise, what
belongs to no cluster, is dropped (Haas et al., "PIGEON", CVPR 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geolab.kernels import optics

_BLOCK = 1 << 22  # numbers gathered at once: 16 MB, or what one large cluster needs


@dataclass(frozen=True)
class Clusters:
    """Q clusters of photos, those of one cell beside each other.

    Attributes
    ----------
    offsets : Tensor of int64, shape (C + 1,)
        Clusters ``offsets[c]:offsets[c + 1]`` belong to cell c.
    ends : Tensor of int64, shape (Q + 1,)
        Members ``members[ends[q]:ends[q + 1]]`` belong to cluster q.
    members : Tensor of int64
        Rows of training photos.
    """

    offsets: Tensor
    ends: Tensor
    members: Tensor


def cluster_cells(
    places: Tensor, cells: Tensor, n_cells: int, min_samples: int = 3, xi: float = 0.15
) -> Clusters:
    """Cluster the photos of each cell by their places.

    Parameters
    ----------
    places : Tensor, shape (N, 2)
        Degrees.
    cells : Tensor of int64, shape (N,)
        -1 for photos in no cell.

    Returns
    -------
    Clusters
        A cell of fewer photos than `min_samples` is one cluster; a cell of noise has none.
    """
    order = torch.argsort(cells, stable=True)
    bounds = torch.searchsorted(cells[order].contiguous(), torch.arange(n_cells + 1))
    counts, sizes, members = [], [], []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = order[first:last]
        found = _labels(places[rows], min_samples, xi)
        groups = [rows[found == c] for c in range(int(found.max(initial=-1)) + 1)]
        counts.append(len(groups))
        sizes += [len(group) for group in groups]
        members += groups
    none = torch.empty(0, dtype=torch.int64)
    return Clusters(_running(counts), _running(sizes), torch.cat([none, *members]))


def alike_members(
    held: Clusters,
    known: Tensor,
    asked: Tensor,
    photo: Tensor,
    cluster: Tensor,
    *,
    least: bool = False,
) -> Tensor:
    """Most similar training photo within a cluster, for M pairs of photo and cluster.

    Parameters
    ----------
    held : Clusters
    known, asked : Tensor, shapes (N, D), (B, D)
        Embeddings of training photos and of photos that are asked for.
    photo, cluster : Tensor of int64, shape (M,)
        Rows of `asked`, and clusters.
    least : bool
        The least similar one instead.

    Returns
    -------
    Tensor of int64, shape (M,)
        Rows of `known`; of equals the first.
    """
    sizes, out = held.ends.diff()[cluster], [torch.empty(0, dtype=torch.int64)]
    block = (sizes.cumsum(0) * known.shape[1]).div(_BLOCK, rounding_mode="floor")
    counts = torch.unique_consecutive(block, return_counts=True)[1].tolist()
    for rows in torch.arange(len(cluster)).split(counts):
        size = sizes[rows]
        owner = torch.repeat_interleave(torch.arange(len(rows)), size)  # (T,)
        within = torch.arange(len(owner)) - (size.cumsum(0) - size)[owner]
        first = held.ends[cluster[rows]]
        gap = known[held.members[first[owner] + within]].sub_(asked[photo[rows][owner]])
        gap = torch.linalg.vector_norm(gap, dim=1) * (-1 if least else 1)
        best = torch.full((len(rows),), torch.inf).scatter_reduce(0, owner, gap, "amin")
        place = torch.where(gap == best[owner], within, len(owner))
        nearest = torch.full_like(size, len(owner)).scatter_reduce(0, owner, place, "amin")
        out.append(held.members[first + nearest])
    return torch.cat(out)


def _labels(places: Tensor, min_samples: int, xi: float) -> np.ndarray:
    if len(places) < max(2, min_samples):
        return np.zeros(len(places), np.int64)
    return optics(places, min_samples, xi)


def _running(counts: Sequence[int]) -> Tensor:
    return torch.tensor([0, *counts], dtype=torch.int64).cumsum(0)
