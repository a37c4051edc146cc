"""The density estimator of "Revisiting IM2GPS" as it was released, faults and all: an exercise.

Vo, Jacobs and Hays, "Revisiting IM2GPS in the deep learning era", ICCV 2017. The released program
draws the weighted neighbours into a raster of one degree, blurs it, takes the peak, does it again
at a tenth of a degree around that peak, and at last moves the answer to the first neighbour, in order
of likeness, within 100 km. The Earth it knows is a rectangle:

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
from scipy.ndimage import correlate1d

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
    coarse = _raster(row, column, weights, (180, 360))
    top, left = _first_peak(_blur(coarse, SIGMA_DEGREES))
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


def _raster(
    row: np.ndarray, column: np.ndarray, weights: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Sum of weights in each cell; what has row or column 0 is skipped."""
    out = np.zeros(shape)
    held = (row >= 1) & (column >= 1) & (row <= shape[0]) & (column <= shape[1])
    np.add.at(out, (row[held] - 1, column[held] - 1), weights[held])
    return out


def _blur(raster: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian cut at two deviations, borders repeated outwards."""
    reach = math.ceil(2 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    along = correlate1d(raster, kernel, axis=0, mode="nearest")
    return correlate1d(along, kernel, axis=1, mode="nearest")


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
    reach = math.ceil(2 * SIGMA_DEGREES * FINE) + 1  # beyond it all is zero: no need to draw it
    low = np.maximum([row[held].min() - reach, column[held].min() - reach], 1)
    high = np.minimum(
        [row[held].max() + reach, column[held].max() + reach], [180 * FINE, 360 * FINE]
    )
    shape = tuple((high - low + 1).tolist())
    part = _raster(row[held] - low[0] + 1, column[held] - low[1] + 1, weights[held], shape)
    top, left = _first_peak(_blur(part, SIGMA_DEGREES * FINE))
    return np.array([(top + low[0]) / FINE - 90, (left + low[1]) / FINE - 180])
