"""What another Earth does to the hits: the same answers, another radius.

On a sphere distance is radius times angle, so a photo changes sides of a threshold when the radius
passes ``threshold / angle``. All hit counts of a file therefore hold on a whole interval of radii,
which `stable_radii` gives; two radii in it cannot be told apart by a table. The benchmarks' own
evaluation code has 6371.0 km; 6378.137 km is the equator's, and what many geographic libraries put
in; the WGS84 ellipsoid is none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geolab.metrics import THRESHOLDS_KM
from geolab.sphere import EVAL_RADIUS_KM

EQUATOR_KM = 6378.137
RADII_KM = (EVAL_RADIUS_KM, EQUATOR_KM)
_FAR_KM = 100.0  # nearer, a file's two decimals hide the radius
_SAME_KM = 0.02


@dataclass(frozen=True)
class FittedRadius:
    """The radius that a file's own distances were made with.

    Attributes
    ----------
    radius_km : float
    worst_km : float
        Largest difference to a distance of the file.
    n : int
        Distances compared.
    """

    radius_km: float
    worst_km: float
    n: int

    @property
    def fits(self) -> bool:
        """Whether one sphere explains all distances of the file to two decimals."""
        return self.worst_km <= _SAME_KM


def hits(errors: np.ndarray, radius_km: float = EVAL_RADIUS_KM) -> list[int]:
    """Photos within 1, 25, 200, 750 and 2500 km on a sphere of another radius.

    Parameters
    ----------
    errors : ndarray, shape (N,)
        Kilometres at radius 6371.0 (`geolab.metrics.errors_km`); infinity is a miss.

    >>> hits(np.array([24.99, 25.01]), 6378.137), hits(np.array([24.99, 25.01]))
    ([0, 0, 2, 2, 2], [0, 1, 2, 2, 2])
    """
    km = np.round(errors * (radius_km / EVAL_RADIUS_KM), 9)
    return [int((km <= limit).sum()) for limit in THRESHOLDS_KM]


def stable_radii(errors: np.ndarray) -> tuple[float, float]:
    """Radii ``(low, high]`` in km between which no hit count changes.

    >>> low, high = stable_radii(np.array([24.9, 26.0]))
    >>> round(low, 1), round(high, 1)
    (6126.0, 6396.6)
    """
    low, high = 0.0, np.inf
    for limit in THRESHOLDS_KM:
        inside, outside = errors[errors <= limit], errors[errors > limit]
        if (inside > 0).any():
            high = min(high, EVAL_RADIUS_KM * limit / inside.max())
        if np.isfinite(outside).any():
            low = max(low, EVAL_RADIUS_KM * limit / outside.min())
    return float(low), float(high)


def fit_radius(stated_km: np.ndarray, errors: np.ndarray) -> FittedRadius | None:
    """Which radius a file's own distances speak of; None where too few are far enough to tell.

    Parameters
    ----------
    stated_km, errors : ndarray, shape (N,)
        The file's distances (NaN where absent) and those at radius 6371.0.
    """
    known = np.isfinite(stated_km) & np.isfinite(errors)
    far = known & (errors > _FAR_KM)
    if far.sum() < 3:
        return None
    radius = float(EVAL_RADIUS_KM * np.median(stated_km[far] / errors[far]))
    gap = np.abs(stated_km[known] - errors[known] * radius / EVAL_RADIUS_KM)
    return FittedRadius(radius, float(gap.max()), int(known.sum()))
