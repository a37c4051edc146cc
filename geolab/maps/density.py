r"""Posterior to heat map: a kernel density on the sphere, and the regions that hold most of it.

Every place of the support carries a von Mises-Fisher kernel, the Gaussian of the sphere,

.. math:: f(x) = \frac{\kappa}{2\pi R^2 (1 - e^{-2\kappa})} \exp(-\kappa |x - \mu|^2 / 2),
   \qquad \kappa = (R / \sigma)^2,

which integrates to 1 over the Earth (K. Mardia and P. Jupp, "Directional Statistics", 2000,
section 9.3.2). :math:`|x - \mu|` is the chord of unit vectors; sigma is in km.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from geolab import sphere

_BLOCK = 1 << 22  # grid-support pairs worked on at once


def density_per_km2(
    latlon: np.ndarray, weight: np.ndarray, at: np.ndarray, sigma_km: float
) -> np.ndarray:
    """Kernel density of weighted places.

    Parameters
    ----------
    latlon : (K, 2) array
        Places, degrees.
    weight : (K,) array
        Sums to 1.
    at : (..., 2) array
        Where to evaluate, degrees.
    sigma_km : float
        Width of the kernel.

    Returns
    -------
    (...) array, float64
        Probability per square kilometre.

    Raises
    ------
    ValueError
        If `sigma_km` is not positive.
    """
    if not sigma_km > 0:
        raise ValueError(f"sigma_km must be positive, not {sigma_km}")
    kappa = (sphere.EARTH_RADIUS_KM / sigma_km) ** 2
    peak = kappa / (2 * np.pi * sphere.EARTH_RADIUS_KM**2 * -np.expm1(-2 * kappa))
    at = np.asarray(at, float)
    grid = np.asarray(sphere.to_unit(at.reshape(-1, 2)))  # (..., 2) -> (G, 3)
    places = np.asarray(sphere.to_unit(np.asarray(latlon, float)))
    weight = np.asarray(weight, float)
    # Beyond eight sigma a kernel is below 1e-13 of its peak, so most of the grid is left alone.
    near = cKDTree(places[weight > 0]).query(grid, distance_upper_bound=8 * kappa**-0.5)[0]
    active = np.flatnonzero(np.isfinite(near))
    out = np.zeros(len(grid))
    for rows in np.array_split(active, max(1, len(active) * len(places) // _BLOCK)):
        squared_chord = ((grid[rows, None] - places[None]) ** 2).sum(-1)  # (g, K)
        out[rows] = peak * np.exp(-0.5 * kappa * squared_chord) @ weight
    return out.reshape(at.shape[:-1])  # (G,) -> (...)


def region_levels(density: np.ndarray, area: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Density at the rim of the smallest region that holds each share of the mass on a grid.

    Parameters
    ----------
    density, area : arrays of one shape
        Density of each cell and its area, in matching units.
    shares : tuple of float in (0, 1)

    Returns
    -------
    (len(shares),) array

    Examples
    --------
    >>> region_levels(np.array([4.0, 3.0, 2.0, 1.0]), np.ones(4), (0.5, 0.9))
    array([3., 2.])
    """
    order = np.argsort(density, axis=None, kind="stable")[::-1]
    mass = np.cumsum((density * area).ravel()[order])
    rim = np.searchsorted(mass, np.asarray(shares) * mass[-1] - 1e-12)
    return density.ravel()[order][rim]


def cell_area_km2(lat_edges: np.ndarray, lon_edges: np.ndarray) -> np.ndarray:
    """Exact area of the cells between edges in degrees: (rows, columns), in square kilometres."""
    bands = np.diff(np.sin(np.radians(lat_edges)))
    return sphere.EARTH_RADIUS_KM**2 * np.outer(bands, np.diff(np.radians(lon_edges)))
