"""S2 cells for a partition that is not made of S2 cells: what maps and areas need.

A cell is asked for its class at its middle and near its corners, and at the known places inside. If
the answers agree it belongs to that class; if not it is split. Where the grid is fine enough, only
known places of two classes in one cell split it further, so every class gets its share, however
small. Cells far from every known place, out at sea, are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial import cKDTree

from geolab import sphere
from geolab.cells import s2_cells
from geolab.cells.partition import cell_centres
from geolab.kernels.s2 import MAX_LEVEL, s2_cell_ids

_START, _FINE = 4, 7  # about 560 and 70 km
_REACH_KM = 200.0
_INNER = 0.9  # how far towards its corners a cell is asked


def cover(
    assign: Callable[[np.ndarray], np.ndarray], places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cells that tell the classes apart near known places.

    Parameters
    ----------
    assign : callable
        Class (n,) of degrees (n, 2).
    places : (N, 2) array
        Degrees.

    Returns
    -------
    ids : uint64 (n,)
        Disjoint.
    label : int64 (n,)
    """
    known = _Known(places, assign(places))
    ids = np.unique(s2_cells.parent(known.leaf, _START))
    ids = np.unique(np.concatenate([ids, s2_cells.edge_neighbours(ids).ravel()]))
    kept, classes = [], []
    for level in range(_START, MAX_LEVEL + 1):
        ids, label, done = _asked(ids, level, known, assign)
        kept.append(ids[done])
        classes.append(label[done])
        if done.all():
            break
        ids = s2_cells.children(ids[~done]).ravel()
    return np.concatenate(kept), np.concatenate(classes)


def covered_centres(ids: np.ndarray, label: np.ndarray, means: torch.Tensor) -> torch.Tensor:
    """Middle of each class by area, (C, 2) degrees; its mean where it has no cell.

    Parameters
    ----------
    ids, label
        As `cover` returns them.
    means : Tensor, shape (C, 2)
    """
    found, label = np.unique(label, return_inverse=True)
    centres = means.clone()
    centres[torch.from_numpy(found)] = cell_centres(ids, label)
    return centres


def _asked(
    ids: np.ndarray, level: int, known: _Known, assign: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells within reach, their classes, and which of them need no split."""
    low, high = known.range_in(ids)
    centre = s2_cells.centre(ids)
    xyz = sphere.to_unit(centre).numpy()
    if level > _FINE:
        return ids, _one(centre, low, high, assign), (low >= high) | (level == MAX_LEVEL)
    corner = sphere.to_unit(s2_cells.vertices(ids)).numpy()  # (n, 4, 3)
    radius = np.linalg.norm(corner - xyz[:, None], axis=2).max(1) * (level < _FINE)
    km = known.tree.query(xyz)[0] * sphere.EARTH_RADIUS_KM
    radius *= sphere.EARTH_RADIUS_KM
    near = (km - radius <= _REACH_KM) | (high >= 0)
    ids, low, high, centre = ids[near], low[near], high[near], centre[near]
    if level == _FINE:
        return ids, _one(centre, low, high, assign), low >= high
    inner = xyz[near, None] + _INNER * (corner[near] - xyz[near, None])
    around = assign(sphere.to_latlon(torch.from_numpy(inner.reshape(-1, 3))).numpy())  # (4 n,)
    asked = np.column_stack([assign(centre), around.reshape(-1, 4)])
    low, high = np.minimum(low, asked.min(1)), np.maximum(high, asked.max(1))
    return ids, low, (low == high) & (km + radius <= _REACH_KM)[near]


def _one(centre: np.ndarray, low: np.ndarray, high: np.ndarray, assign: Callable) -> np.ndarray:
    """Class of the places inside, or of the middle where there are none."""
    label, empty = low.copy(), high < 0
    if empty.any():
        label[empty] = assign(centre[empty])
    return label


class _Known:
    """Places in the order of their S2 cells."""

    def __init__(self, places: np.ndarray, label: np.ndarray) -> None:
        leaf = s2_cell_ids(places[:, 0], places[:, 1])
        order = np.argsort(leaf, kind="stable")
        self.leaf = leaf[order]
        self.label = np.append(label[order], 0).astype(np.int64)
        self.tree = cKDTree(sphere.to_unit(places).numpy())

    def range_in(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest class inside each cell; very large and -1 where no place is."""
        first, last = s2_cells.id_range(ids)
        run = np.stack([np.searchsorted(self.leaf, first),
                        np.searchsorted(self.leaf, last, side="right")], axis=1)  # fmt: skip
        some = run[:, 0] < run[:, 1]
        low, high = np.full(len(ids), np.iinfo(np.int64).max), np.full(len(ids), -1)
        if some.any():
            low[some] = np.minimum.reduceat(self.label, run[some].ravel())[::2]
            high[some] = np.maximum.reduceat(self.label, run[some].ravel())[::2]
        return low, high
