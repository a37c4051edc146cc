"""Adaptive S2 cells: large where photos are rare, small where they are many.

The published rule (ISNs, 2018; PlaNet, 2016, is the same with other numbers), with inclusive
limits:

1. put every photo into its cell of the start level; drop cells with **at most** `t_min` photos;
2. level by level, while a cell has **more than** `t_max` photos, replace it by its four children;
3. drop cells with at most `t_min` photos.

Photos in dropped cells belong to no class: `n_discarded` says how many. They are few (0.1 to 1.4 %
of the 4.7 million photos of MP-16), and a test photo out there still counts.

    cells = S2Partition.fit(latlon, t_min=50, t_max=1000)      # or ISN_FINE.fit(latlon)
    cells = scaled(len(latlon), like=ISN_FINE).fit(latlon)     # limits that fit a small data set

All ids are sorted once; each split is then a search for three numbers.

References: Weyand, Kostrikov, Philbin, "PlaNet" (ECCV 2016); Mueller-Budack,
Pustu-Iren, Ewerth, "Geolocation estimation of photos using a hierarchical model and scene
classification" (ECCV 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from geolab.cells import s2_cells
from geolab.cells.partition import Partition, checked_latlon, class_means, find_cells
from geolab.data.errors import DataError
from geolab.kernels.s2 import MAX_LEVEL, s2_cell_ids
from geolab.sphere import ArrayLike


@dataclass(frozen=True, eq=False, kw_only=True)
class S2Partition(Partition):
    """One S2 cell a class; made by `S2Partition.fit`.

    Attributes
    ----------
    ids : ndarray of uint64, shape (C,)
        Disjoint cells, in the order in which their first photos appear.
    """

    ids: np.ndarray

    @classmethod
    def fit(
        cls,
        latlon: ArrayLike,
        t_min: int,
        t_max: int,
        start_level: int = 2,
        max_level: int = MAX_LEVEL,
        distinct: bool = False,
        name: str | None = None,
    ) -> Self:
        """Cut the Earth by the published rule.

        Parameters
        ----------
        latlon : array_like, shape (N, 2)
            Degrees.
        t_min, t_max : int
            A cell with at most `t_min` photos is dropped, one with more than `t_max` split.
        start_level, max_level : int
            No cell is larger than the one, or smaller than the other.
        distinct : bool
            Compare both limits with the number of distinct positions (to a square centimetre)
            instead of photos. Then thousands of photos at one default position neither split a
            cell down to level 30 nor keep it alive. `counts` are photos all the same.
        name : str, optional
            By default "S2 t_min/t_max".

        Returns
        -------
        S2Partition
            Classes are numbered in the order in which their first photo stands in `latlon`.

        Raises
        ------
        DataError
            For no photos, a row that is not on Earth, limits that contradict each other, or when
            every cell is dropped.

        Examples
        --------
        >>> cells = S2Partition.fit([[48.86, 2.35], [48.85, 2.34], [41.89, 12.48]], 1, 5)
        >>> cells.counts.tolist(), cells.n_discarded
        ([2], 1)
        """
        points = checked_latlon(latlon)
        _check_limits(t_min, t_max, start_level, max_level)
        leaf = s2_cell_ids(points[:, 0], points[:, 1])
        order = np.argsort(leaf)
        ids, start, stop = _split(leaf[order], t_min, t_max, start_level, max_level, distinct)
        size, rows = stop - start, order[_inside(start, stop, len(order))]
        begin = np.cumsum(size) - size  # where each class starts in rows
        means = class_means(points, rows, begin)
        by_first = np.argsort(np.minimum.reduceat(rows, begin))  # first appearance
        ids = ids[by_first]
        return cls(
            name=name or f"S2 {t_min}/{t_max}" + " distinct" * distinct,
            means=means[by_first],
            centres=torch.from_numpy(s2_cells.centre(ids)),
            counts=torch.from_numpy(size[by_first]),
            n_photos=len(points),
            ids=ids,
        )

    @property
    def levels(self) -> np.ndarray:
        """Level of each cell, int64 (C,)."""
        return s2_cells.level_of(self.ids)

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Class of each place (N, 2), int64 (N,); -1 outside every cell.

        Raises
        ------
        ValueError
            If a place is not on Earth; it is named.
        """
        points = np.asarray(latlon, dtype=float).reshape(-1, 2)  # (N, 2), also when N is 0
        return torch.from_numpy(find_cells(self.ids, s2_cell_ids(points[:, 0], points[:, 1])))

    def ancestor_in(self, coarser: S2Partition) -> Tensor:
        """Class of `coarser` that holds each cell, int64 (C,); -1 where none does."""
        return torch.from_numpy(find_cells(coarser.ids, self.ids))

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids (C,) and the numbers 0 to C - 1."""
        return self.ids, np.arange(len(self.ids))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Ids, counts and means; the rest follows from them."""
        return {"ids": self.ids, "counts": self.counts.numpy(), "means": self.means.numpy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Build from `to_arrays` and the mapping with the name."""
        return cls(
            name=about["name"],
            means=torch.from_numpy(arrays["means"]),
            centres=torch.from_numpy(s2_cells.centre(arrays["ids"])),
            counts=torch.from_numpy(arrays["counts"]),
            n_photos=about["n_photos"],
            ids=arrays["ids"],
        )


def _check_limits(t_min: int, t_max: int, start_level: int, max_level: int) -> None:
    if not 0 <= t_min <= t_max:
        raise DataError(f"t_min = {t_min} and t_max = {t_max}: give 0 <= t_min <= t_max")
    if not 0 <= start_level <= max_level <= MAX_LEVEL:
        raise DataError(
            f"start_level = {start_level}, max_level = {max_level}: give "
            f"0 <= start_level <= max_level <= {MAX_LEVEL}"
        )


def _split(
    leaf: np.ndarray, t_min: int, t_max: int, start_level: int, max_level: int, distinct: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells kept, by id, and where their photos start and stop in the sorted ids of level 30."""
    family = s2_cells.parent(leaf, start_level)
    start = np.concatenate([[0], np.flatnonzero(family[1:] != family[:-1]) + 1])
    ids, stop = family[start], np.append(start[1:], len(leaf))
    # Positions seen before each row: their difference counts the distinct ones in a run.
    before = np.cumsum(np.append(True, leaf[1:] != leaf[:-1])) if distinct else None

    def size(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        if before is None:
            return stop - start
        return np.where(stop > start, before[stop - 1] - before[np.minimum(start, stop - 1)] + 1, 0)

    largest = int(size(start, stop).max())
    alive = size(start, stop) > t_min  # dropped at once, before any split
    ids, start, stop = ids[alive], start[alive], stop[alive]
    kept = []
    for _ in range(start_level, max_level):
        large = size(start, stop) > t_max
        kept.append((ids[~large], start[~large], stop[~large]))
        if not large.any():
            break
        ids, start, stop = _children(leaf, ids[large], start[large], stop[large])
    else:
        kept.append((ids, start, stop))
    ids, start, stop = (np.concatenate(column) for column in zip(*kept, strict=True))
    alive = np.flatnonzero(size(start, stop) > t_min)
    if not len(alive):
        what = "distinct positions" if distinct else "photos"
        most = int(size(start, stop).max(initial=0)) or largest
        raise DataError(
            f"no cell is left: the fullest one has {most:,} {what}, and cells with at most "
            f"t_min = {t_min} are dropped; give t_min < {most} (see geolab.cells.scaled)"
        )
    alive = alive[np.argsort(start[alive])]
    return ids[alive], start[alive], stop[alive]


def _children(
    leaf: np.ndarray, ids: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Children of the cells that hold photos, and their runs."""
    four = s2_cells.children(ids)
    inner = np.searchsorted(leaf, s2_cells.id_range(four[:, 1:])[0])  # (n, 3)
    edge = np.column_stack([start, inner, stop])  # (n, 5)
    some = edge[:, 1:] > edge[:, :-1]
    return four[some], edge[:, :-1][some], edge[:, 1:][some]


def _inside(start: np.ndarray, stop: np.ndarray, n: int) -> np.ndarray:
    """Mask (n,) of what lies in one of the disjoint runs."""
    change = np.zeros(n + 1, np.int8)
    change[start] += 1
    change[stop] -= 1
    return np.cumsum(change[:-1], dtype=np.int8).astype(bool)


@dataclass(frozen=True)
class S2Preset:
    """Limits of a published partition, and the number of photos they were made for."""

    name: str
    t_min: int
    t_max: int
    start_level: int
    n_photos: int

    def fit(self, latlon: ArrayLike, *, distinct: bool = False) -> S2Partition:
        """`S2Partition.fit` with these limits."""
        given = {"start_level": self.start_level, "distinct": distinct, "name": self.name}
        return S2Partition.fit(latlon, self.t_min, self.t_max, **given)


PLANET = S2Preset("PlaNet 49/10000", 49, 10_000, 0, 91_000_000)
"""PlaNet drops cells with *fewer than* 50 photos; "at most 49" says the same here."""
ISN_COARSE = S2Preset("ISN coarse 50/5000", 50, 5_000, 2, 4_723_695)
"""ISNs drop cells with *at most* 50 photos: nothing published has 50, some cells have 51."""
ISN_MIDDLE = S2Preset("ISN middle 50/2000", 50, 2_000, 2, 4_723_695)
ISN_FINE = S2Preset("ISN fine 50/1000", 50, 1_000, 2, 4_723_695)


def scaled(n_photos: int, like: S2Preset = ISN_FINE) -> S2Preset:
    """Limits for another number of photos.

    With a share r of the photos, both limits go with the square root of r, so the number of cells
    and the photos in each shrink alike: a tenth of the cells with a tenth of the photos each for a
    hundredth of the data. `t_min` stays at 1 or more, `t_max` at 10 or more.

    Examples
    --------
    >>> scaled(20_000, like=ISN_COARSE)
    S2Preset(name='ISN coarse 3/325', t_min=3, t_max=325, start_level=2, n_photos=20000)
    """
    if n_photos < 1:
        raise DataError(f"n_photos = {n_photos}: give the number of training photos")
    root = math.sqrt(n_photos / like.n_photos)
    t_min, t_max = max(1, round(like.t_min * root)), max(10, round(like.t_max * root))
    name = f"{like.name.rsplit(' ', 1)[0]} {t_min}/{t_max}"
    return S2Preset(name, t_min, t_max, like.start_level, n_photos)
