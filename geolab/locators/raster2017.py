"""The density estimator of "Revisiting IM2GPS" as it was released, faults and all: an exercise.

Vo, Jacobs and Hays, "Revisiting IM2GPS in the deep learning era", ICCV 2017. The released program
draws the weighted neighbours into a raster of one degree, blurs it, takes the peak, does it again
at a tenth of a degree around that peak, and at last moves the answer to the first neighbour, in
order of likeness, within 100 km. The Earth it knows is a rectangle:

- a degree of longitude is as long at 70 N as at the equator;
- nothing wraps around: what lies east and west of the 180th meridian are two heaps;
- rows and columns come from a ceiling, so -90 and -180 fall out of the raster, silently;
- borders are repeated outwards, so a heap at the border counts almost twice;
- the second window is held inside the raster, and can miss the peak it was made for.

`geolab.locators.knn_density` does the same on the sphere. Written from a description of the
behaviour, not from the program.
"""

from __future__ import annotations

import math

import numpy as np

from geolab.metrics import errors_km

SIGMA_DEGREES = 4.0
REACH_DEGREES = 20
FINE = 10  # cells a degree in the second raster


def raster2017(latlon: np.ndarray, weights: np.ndarray, *, snap_km: float = 100.0) -> np.ndarray:
    """Answer of one photo.

    Parameters
    ----------
    latlon : ndarray, shape (K, 2)
        Degrees, most alike first.
    weights : ndarray, shape (K,)
    snap_km : float
        The first neighbour this near replaces the peak; 0 to leave the peak.

    Returns
    -------
    ndarray, shape (2,)
        Degrees. (-89.9, -179.9), the raster's first cell, when the second window holds nothing.

    Raises
    ------
    ValueError
        If shapes disagree or there is no neighbour.

    Examples
    --------
    >>> raster2017(np.array([[48.85, 2.35], [0.5, -180.0]]), np.array([1.0, 9.0])).tolist()
    [48.85, 2.35]
    """
    latlon, weights = np.asarray(latlon, np.float64), np.asarray(weights, np.float64)
    if latlon.ndim != 2 or latlon.shape != (len(weights), 2) or not len(weights):
        raise ValueError(
            f"latlon {latlon.shape} and weights {weights.shape}: expected (K, 2), (K,)"
        )
    row, column = _bins(latlon, 1)
    coarse = _blurred(row, column, weights, 1, (slice(None), slice(None)))
    top, left = _first_peak(coarse)
    middle = (min(max(top + 1, 21), 159), min(max(left + 1, 21), 339))  # counted from 1
    near = (np.abs(row - middle[0]) <= REACH_DEGREES) & (
        np.abs(column - middle[1]) <= REACH_DEGREES
    )
    peak = _fine_peak(latlon[near], weights[near])
    if snap_km > 0:
        km = errors_km(latlon, np.broadcast_to(peak, latlon.shape))
        close = np.flatnonzero(km < snap_km)
        if len(close):
            return latlon[close[0]]
    return peak


def _bins(latlon: np.ndarray, per_degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each place, counted from 1; 0 has fallen out."""
    up = np.ceil((latlon + np.array([90.0, 180.0])) * per_degree).astype(np.int64)
    return up[:, 0], up[:, 1]


def _blurred(
    row: np.ndarray,
    column: np.ndarray,
    weights: np.ndarray,
    per_degree: int,
    window: tuple[slice, slice],
) -> np.ndarray:
    """Rows and columns `window` of the blurred raster; what has row or column 0 is skipped."""
    held = (row >= 1) & (column >= 1)
    up = _spread(row[held], 180 * per_degree, per_degree)[:, window[0]]
    along = _spread(column[held], 360 * per_degree, per_degree)[:, window[1]]
    return (up * weights[held, None]).T @ along  # (k, R), (k, C) -> (R, C)


def _spread(at: np.ndarray, size: int, per_degree: int) -> np.ndarray:
    """Share of a place in cell `at` (from 1) that each of `size` cells gets on one axis: (k, size).

    A Gaussian cut at two deviations. Borders are repeated outwards: the first and the last cell
    stand for all that would lie beyond them.
    """
    sigma = SIGMA_DEGREES * per_degree
    reach = math.ceil(2 * sigma)
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel /= kernel.sum()
    gap = at[:, None] - np.arange(1, size + 1)
    inside = np.abs(gap) <= reach
    near = gap.clip(-reach, reach) + reach
    out = np.where(inside, kernel[near], 0.0)
    below, above = np.cumsum(kernel), np.cumsum(kernel[::-1])[::-1]
    out = np.where((at[:, None] == 1) & (gap >= -reach), below[near], out)
    return np.where((at[:, None] == size) & (gap <= reach), above[near], out)


def _first_peak(raster: np.ndarray) -> tuple[int, int]:
    """Row and column of the largest value; of equals the first by columns."""
    column, row = np.unravel_index(int(raster.T.argmax()), raster.T.shape)
    return int(row), int(column)


def _fine_peak(latlon: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Peak of the places in the window, on the raster of a tenth of a degree."""
    row, column = _bins(latlon, FINE)
    held = (row >= 1) & (column >= 1)
    if not held.any():
        return np.array([1 / FINE - 90, 1 / FINE - 180])  # the maximum of nothing is cell one
    low = row[held].min() - 1, column[held].min() - 1  # the peak lies among the places
    window = slice(low[0], row[held].max()), slice(low[1], column[held].max())
    top, left = _first_peak(_blurred(row, column, weights, FINE, window))
    return np.array([(top + low[0] + 1) / FINE - 90, (left + low[1] + 1) / FINE - 180])
