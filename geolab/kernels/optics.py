r"""OPTICS clusters of points on the sphere, without a distance matrix.

OPTICS (Ankerst, Breunig, Kriegel and Sander, SIGMOD 1999) orders points so that dense groups are
valleys of the *reachability* plot: with core distance :math:`c_i` (to the ``min_samples``-th
neighbour, the point itself counted), :math:`r_j = \min_i \max(c_i, d_{ij})` over the points i
already visited, and the next point is the unvisited one with the smallest reach. The xi method then
cuts valleys whose walls drop by a share xi. PIGEON clusters the training photos inside each geocell
this way, on great-circle distances, to make prototypes.

scikit-learn does it on a precomputed matrix: n^2 float64 distances and a Python loop of n steps
over them. Here a row is made when it is needed, and a true distance only where the squared chord
says that it could lower a reach. Limit: n^2 squared chords twice, 12 flops each. The cut is
scikit-learn's own `cluster_optics_xi`, so labels are equal.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

from geolab import sphere
from geolab.kernels import dispatch
from geolab.kernels.threads import for_rows
from geolab.sphere import ArrayLike

_BLOCK = 1 << 18  # pairs worked on at once: 6 MB
_DECIMALS = 15  # scikit-learn rounds distances to this many decimals before it compares them


def optics_reference(latlon: ArrayLike, min_samples: int, xi: float) -> np.ndarray:
    """Plain form of `optics`: scikit-learn on the precomputed great-circle matrix."""
    from sklearn.cluster import OPTICS

    points = _check(latlon, min_samples, xi)
    model = OPTICS(min_samples=min_samples, xi=xi, metric="precomputed")
    with np.errstate(divide="ignore", invalid="ignore"):
        return model.fit(sphere.great_circle_matrix(points, points).numpy()).labels_.astype(
            np.int64
        )


def optics(
    latlon: ArrayLike, min_samples: int, xi: float = 0.05, *, backend: str = "auto"
) -> np.ndarray:
    """Cluster points by density.

    Parameters
    ----------
    latlon : array_like, shape (N, 2)
        Degrees.
    min_samples : int
        At least 2; a core point has so many points, itself included, within its core distance.
    xi : float
        Relative drop that bounds a valley, in (0, 1).
    backend : str
        ``"auto"``, ``"numba"`` or ``"torch"`` (vectorised numpy, one step a point).

    Returns
    -------
    ndarray of int64, shape (N,)
        Cluster of each point; -1 is noise. Equal to scikit-learn's `OPTICS` on the precomputed
        great-circle matrix.

    Raises
    ------
    ValueError
        If there are fewer than `min_samples` points, a coordinate is not on Earth, or a parameter
        is out of range.
    """
    from sklearn.cluster import cluster_optics_xi

    points = _check(latlon, min_samples, xi)
    path = dispatch.choose(backend, points, triton=False)
    xyz = sphere.to_unit(points).T.contiguous().numpy()  # (3, N)
    order = _compiled() if path == "numba" else _order
    ordering, reach, before = order(xyz, _kth_neighbour(xyz, min_samples))
    reach[~np.isfinite(reach)] = np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        labels, _ = cluster_optics_xi(
            reachability=reach,
            predecessor=before,
            ordering=ordering,
            min_samples=min_samples,
            xi=xi,
        )
    return labels.astype(np.int64)


def _check(latlon: ArrayLike, min_samples: int, xi: float) -> torch.Tensor:
    points = sphere.check_latlon(latlon).double().cpu()
    if points.ndim != 2:
        raise ValueError(f"latlon must be (N, 2), not {tuple(points.shape)}")
    if min_samples < 2:
        raise ValueError(f"min_samples must be at least 2, not {min_samples}")
    if len(points) < min_samples:
        raise ValueError(
            f"{len(points)} points are fewer than min_samples = {min_samples}; "
            "lower min_samples or treat the points as one cluster"
        )
    if not 0 < xi < 1:
        raise ValueError(f"xi must be in (0, 1), not {xi}")
    return points


def _kth_neighbour(xyz: np.ndarray, k: int) -> np.ndarray:
    """Index (N,) of the k-th nearest point, the point itself counted, in blocks of rows."""
    n = xyz.shape[1]
    kth, rows = np.empty(n, np.int64), max(1, _BLOCK // n)

    def fill(a: int, b: int) -> None:
        chord = sum((axis[a:b, None] - axis) ** 2 for axis in xyz)  # (rows, N)
        kth[a:b] = np.argpartition(chord, k - 1, axis=1)[:, k - 1]

    for_rows(fill, n, rows)
    return kth


def _order(xyz: np.ndarray, kth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ordering, reachability in km and predecessor, each (N,); vectorised over the other end."""
    n = xyz.shape[1]
    core = np.around(_pair_km(xyz, xyz[:, kth]), _DECIMALS)
    reach, before = np.full(n, np.inf), np.full(n, -1, np.int64)
    ordering, waiting = np.empty(n, np.int64), np.arange(n)
    for step in range(n):
        at = int(reach[waiting].argmin())
        point = waiting[at]
        waiting = np.delete(waiting, at)
        ordering[step] = point
        new = np.around(
            np.maximum(_pair_km(xyz[:, [point]], xyz[:, waiting]), core[point]), _DECIMALS
        )
        closer = new < reach[waiting]
        reach[waiting[closer]] = new[closer]
        before[waiting[closer]] = point
    return ordering, reach, before


def _pair_km(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`sphere.chord_to_km` of columns (3, n), equal to the last bit for (i, j) and (j, i).

    Ties decide the order of points, so a vector's length must not change how a number is rounded.
    """
    near, far = ((a - b) ** 2).sum(0), ((a + b) ** 2).sum(0)
    return 2 * sphere.EARTH_RADIUS_KM * np.arctan2(np.sqrt(near), np.sqrt(far))


@lru_cache(maxsize=1)
def _compiled():
    """Compile the ordering with numba on first use (a few seconds)."""
    import numba

    radius, scale = sphere.EARTH_RADIUS_KM, 10.0**_DECIMALS

    @numba.njit(nogil=True)
    def kilometres(xyz, i, j):
        near = far = 0.0
        for axis in range(3):
            near += (xyz[axis, i] - xyz[axis, j]) ** 2
            far += (xyz[axis, i] + xyz[axis, j]) ** 2
        return 2 * radius * math.atan2(math.sqrt(near), math.sqrt(far))

    @numba.njit(nogil=True)
    def order(xyz, kth):
        n = xyz.shape[1]
        core = np.empty(n)
        for i in range(n):
            core[i] = np.rint(kilometres(xyz, i, kth[i]) * scale) / scale
        reach, bound = np.full(n, np.inf), np.full(n, np.inf)  # km; its squared chord, rounded up
        before, ordering = np.full(n, -1, np.int64), np.empty(n, np.int64)
        x, y, z, waiting = xyz[0].copy(), xyz[1].copy(), xyz[2].copy(), np.arange(n)
        for step in range(n):
            left = n - step
            at = 0
            for w in range(1, left):
                nearer = reach[waiting[w]] - reach[waiting[at]]
                if nearer < 0 or (not nearer > 0 and waiting[w] < waiting[at]):
                    at = w
            point = waiting[at]
            waiting[at] = waiting[left - 1]
            ordering[step] = point
            for w in range(left - 1):
                j = waiting[w]
                chord = (x[point] - x[j]) ** 2 + (y[point] - y[j]) ** 2 + (z[point] - z[j]) ** 2
                if chord <= bound[j] and core[point] < reach[j]:
                    new = np.rint(max(kilometres(xyz, point, j), core[point]) * scale) / scale
                    if new < reach[j]:
                        reach[j], before[j] = new, point
                        bound[j] = (2 * math.sin(new / (2 * radius))) ** 2 * (1 + 1e-9) + 1e-15
        return ordering, reach, before

    return order
