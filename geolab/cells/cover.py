"""S2 cells for a partition that is not made of S2 cells: what maps and areas need.

Places with known classes are sorted into S2 cells; a cell whose places agree belongs to their
class, a cell whose places do not is split. So borders are drawn as finely as there are places to
tell them, and every class gets its share, however small.
"""

from __future__ import annotations

import numpy as np

from geolab.cells import s2_cells
from geolab.kernels.s2 import MAX_LEVEL, s2_cell_ids


def cover(
    latlon: np.ndarray, label: np.ndarray, *, start_level: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Cells that tell the classes of places apart.

    Parameters
    ----------
    latlon : (N, 2) array
        Degrees.
    label : (N,) array of int
        Class of each place; places at one position are of one class. -1 is not covered.
    start_level : int
        Largest cells, 5 is about 280 km.

    Returns
    -------
    ids : uint64 (n,)
        Disjoint.
    label : int64 (n,)
    """
    kept = label >= 0
    leaf = s2_cell_ids(latlon[kept, 0], latlon[kept, 1])
    label = label[kept]
    ids, classes = [], []
    for level in range(start_level, MAX_LEVEL + 1):
        cell, at = np.unique(s2_cells.parent(leaf, level), return_inverse=True)
        low, high = np.full(len(cell), label.max() + 1), np.full(len(cell), -1)
        np.minimum.at(low, at, label)
        np.maximum.at(high, at, label)
        agreed = (low == high) | (level == MAX_LEVEL)
        ids.append(cell[agreed])
        classes.append(low[agreed])
        leaf, label = leaf[~agreed[at]], label[~agreed[at]]
        if not len(leaf):
            break
    return np.concatenate(ids), np.concatenate(classes).astype(np.int64)
