"""OSV-5M's geocells: boxes of latitude and longitude, quartered while they hold many photos.

The rule (Astruc et al., CVPR 2024, and its released table): begin with the box around the training
photos, not the globe; cut a box at its middle into four while its depth is under 10 and it holds at
least N photos; drop empty quarters; number the leaves depth first in the order south-west,
south-east, north-west, north-east. ``quadtree_10_1000`` is depth 10 and N = 1,000.

    cells = QuadtreePartition.fit(latlon, 1000)
    node = cells.ancestors(depth=3)            # (C,): which box of depth 3 each leaf lies in

Faults to know: boxes shrink towards the poles, the antimeridian is an edge, and places outside the
start box, or in a quarter that was empty, have no leaf (-1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from geolab.cells.cover import cover
from geolab.cells.partition import Partition, checked_latlon, class_means
from geolab.data.gazetteer import load_gazetteer
from geolab.sphere import ArrayLike

DEPTH = 10
_TENSORS = ("means", "centres", "counts")


@dataclass(frozen=True, eq=False, kw_only=True)
class QuadtreePartition(Partition):
    """Leaves of a quadtree; made by `QuadtreePartition.fit`.

    Attributes
    ----------
    start : ndarray, shape (4,)
        South, west, north, east of the root.
    codes : ndarray of int64, shape (C,)
        Path of each leaf: 1, then two bits for each quarter (0 south-west to 3 north-east).
    depth : int
        Greatest depth.
    """

    start: np.ndarray
    codes: np.ndarray
    depth: int

    @classmethod
    def fit(cls, latlon: ArrayLike, n_images: int, *, depth: int = DEPTH, name: str = "") -> Self:
        """Quarter boxes that hold at least `n_images` photos.

        Parameters
        ----------
        latlon : array_like, shape (N, 2)
            Degrees.
        n_images : int
            A box with so many photos is cut.
        depth : int
            No box is cut at this depth; at most 30.

        Raises
        ------
        ValueError
            If `n_images` is under 1 or the depth not in 0 to 30.
        DataError
            If there are no photos, or a coordinate is not on Earth.
        """
        if n_images < 1 or not 0 <= depth <= 30:
            raise ValueError(f"n_images {n_images} must be 1 or more, depth {depth} in 0 to 30")
        points = checked_latlon(latlon)
        start = np.concatenate([points.min(0), points.max(0)])
        paths = _paths(points, start, depth)
        leaf = np.ones(len(points), np.int64)
        for level in range(depth):
            _, inside, count = np.unique(leaf, return_inverse=True, return_counts=True)
            cut = (count[inside] >= n_images) & (leaf >> (2 * level) == 1)
            leaf = np.where(cut, paths >> (2 * (depth - level - 1)), leaf)
        codes = np.unique(leaf)
        codes = codes[np.argsort(_aligned(codes, depth))]  # depth first
        order_of = {code: row for row, code in enumerate(codes.tolist())}
        classes = np.array([order_of[code] for code in leaf.tolist()])
        order = np.lexsort((*points.T, classes))
        first = np.searchsorted(classes[order], np.arange(len(codes)))
        boxes = _boxes(codes, start)
        return cls(
            name=name or f"quadtree {depth}/{n_images}",
            n_photos=len(points),
            means=class_means(points, order, first),
            centres=torch.from_numpy((boxes[:, :2] + boxes[:, 2:]) / 2),
            counts=torch.from_numpy(np.bincount(classes)),
            start=start,
            codes=codes,
            depth=depth,
        )

    @cached_property
    def boxes(self) -> np.ndarray:
        """South, west, north, east of each leaf, (C, 4)."""
        return _boxes(self.codes, self.start)

    @cached_property
    def levels(self) -> np.ndarray:
        """Depth of each leaf, (C,)."""
        return _levels(self.codes)

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Leaf of each place (N, 2), int64 (N,); -1 outside the box and in dropped quarters."""
        points = checked_latlon(latlon)
        low, high = self.start[:2], self.start[2:]
        inside = ((points >= low) & (points <= high)).all(1)
        paths = _paths(points, self.start, self.depth)
        out = np.full(len(points), -1)
        order = np.argsort(self.codes)
        known = self.codes[order]
        for level in np.unique(self.levels):
            prefix = paths >> (2 * (self.depth - level))
            at = np.searchsorted(known, prefix).clip(max=len(known) - 1)
            out = np.where(inside & (known[at] == prefix), order[at], out)
        return torch.from_numpy(out)

    def ancestors(self, depth: int) -> Tensor:
        """Number of the box of a depth that each leaf lies in, int64 (C,); from 0, leaves too.

        Raises
        ------
        ValueError
            If the depth is not in 0 to the tree's.
        """
        if not 0 <= depth <= self.depth:
            raise ValueError(f"depth {depth} must be in 0 to {self.depth}")
        codes = self.codes >> (2 * np.maximum(0, self.levels - depth))
        aligned = _aligned(codes, self.depth)
        return torch.from_numpy(np.unique(aligned, return_inverse=True)[1].astype(np.int64))

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """S2 cells that tell the leaves apart near their means and near known places."""
        return self._cover

    @cached_property
    def _cover(self) -> tuple[np.ndarray, np.ndarray]:
        known = load_gazetteer().places[["lat", "lon"]].to_numpy(float)
        places = np.concatenate([known, self.centres.numpy(), self.means.numpy()])
        places = places[self.assign(places).numpy() >= 0]
        ids, label = cover(lambda points: self.assign(points).numpy(), places)
        return ids[label >= 0], label[label >= 0]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All arrays."""
        own = {"start": self.start, "codes": self.codes, "depth": np.array(self.depth)}
        return own | {k: getattr(self, k).numpy() for k in _TENSORS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Undo `to_arrays`."""
        tensors = {k: torch.from_numpy(arrays[k]) for k in _TENSORS}
        own = {"start": arrays["start"], "codes": arrays["codes"], "depth": arrays["depth"].item()}
        return cls(name=about["name"], n_photos=about["n_photos"], **own, **tensors)


def _paths(points: np.ndarray, start: np.ndarray, depth: int) -> np.ndarray:
    """Path of each place down to a depth, int64 (N,); a place on a middle line is north or east."""
    low, high = np.tile(start[:2], (len(points), 1)), np.tile(start[2:], (len(points), 1))
    path = np.ones(len(points), np.int64)
    for _ in range(depth):
        middle = (low + high) / 2
        upper = points >= middle  # (N, 2): north, east
        low, high = np.where(upper, middle, low), np.where(upper, high, middle)
        path = path * 4 + 2 * upper[:, 0] + upper[:, 1]
    return path


def _levels(codes: np.ndarray) -> np.ndarray:
    """Depth of each code, (C,)."""
    return (np.frexp(codes.astype(float))[1] - 1) // 2


def _aligned(codes: np.ndarray, depth: int) -> np.ndarray:
    """Codes in depth-first order: a box goes where its first descendant would."""
    return codes << (2 * (depth - _levels(codes)))


def _boxes(codes: np.ndarray, start: np.ndarray) -> np.ndarray:
    """South, west, north, east of each code, (C, 4), by the middles that made it."""
    low, high = np.tile(start[:2], (len(codes), 1)), np.tile(start[2:], (len(codes), 1))
    levels = _levels(codes)
    for step in range(levels.max(initial=0)):
        active = (step < levels)[:, None]
        quarter = codes >> (2 * np.maximum(0, levels - step - 1)) & 3
        upper = np.stack([quarter >> 1, quarter & 1], 1).astype(bool)
        middle = (low + high) / 2
        low = np.where(active & upper, middle, low)
        high = np.where(active & ~upper, middle, high)
    return np.concatenate([low, high], 1)
