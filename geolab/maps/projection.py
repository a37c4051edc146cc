"""From degrees to the page: two projections and what keeps lines whole on them.

Both projections give x and y in Earth radii, and in both x is proportional to the longitude along
a parallel. So a shape that leaves the map on the right is the same shape, shifted by 360 degrees,
that enters on the left; shapes are drawn once for each shift and cut by the frame.

Equal Earth: B. Savric, T. Patterson, B. Jenny, "The Equal Earth map projection", International
Journal of Geographical Information Science 33 (2019), equations 1 to 4. It is equal-area, so a
density looks as large as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geolab import sphere

_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
_M = np.sqrt(3.0) / 2.0


@dataclass(frozen=True)
class Projection:
    """A world projection, centred on a meridian.

    Parameters
    ----------
    name : "equal_earth" or "equirectangular"
    central_lon : float
        Degrees; the map is cut half a turn away from it.
    standard_lat : float
        Degrees; where an equirectangular map keeps shapes. Equal Earth ignores it.

    Examples
    --------
    >>> x, y = Projection("equal_earth").forward([0.0, 90.0], [180.0, 0.0])
    >>> [round(float(v), 4) for v in (x[0], y[1])]
    [2.7066, 1.3174]
    """

    name: str = "equal_earth"
    central_lon: float = 0.0
    standard_lat: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ("equal_earth", "equirectangular"):
            raise ValueError(
                f"no projection {self.name!r}; choose 'equal_earth' or 'equirectangular'"
            )

    def forward(self, lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project degrees of any (equal) shape; x and y in Earth radii.

        Longitudes within half a turn of the centre are taken as they are, so both edges of the
        map can be named; all others are wrapped.
        """
        return self.forward_unwrapped(lat, self.relative_lon(lon))

    def forward_unwrapped(self, lat: np.ndarray, east: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project degrees of latitude and degrees east of the centre, beyond 180 if need be."""
        phi, lam = np.radians(np.asarray(lat, float)), np.radians(np.asarray(east, float))
        if self.name == "equirectangular":
            return lam * np.cos(np.radians(self.standard_lat)), phi
        theta = np.arcsin(_M * np.sin(phi))
        t2 = theta**2
        t6 = t2**3
        slope = _A1 + 3 * _A2 * t2 + t6 * (7 * _A3 + 9 * _A4 * t2)
        x = lam * np.cos(theta) / (_M * slope)
        return x, theta * (_A1 + _A2 * t2 + t6 * (_A3 + _A4 * t2))

    def relative_lon(self, lon: np.ndarray) -> np.ndarray:
        """Degrees east of the centre, in [-180, 180]."""
        east = np.asarray(lon, float) - self.central_lon
        return np.where(np.abs(east) <= 180, east, (east + 180) % 360 - 180)

    def frame(self) -> np.ndarray:
        """Outline of the whole world as a closed polygon (n, 2) in Earth radii."""
        lat = np.linspace(-90, 90, 181)
        right = np.stack(self.forward_unwrapped(lat, np.full(181, 180.0)), axis=1)
        left = np.stack(self.forward_unwrapped(lat[::-1], np.full(181, -180.0)), axis=1)
        return np.concatenate([right, left, right[:1]])

    def project_line(self, latlon: np.ndarray) -> list[np.ndarray]:
        """Project a path (n, 2) in degrees; the pieces (m, 2) do not jump across the map."""
        pieces = split_at_meridian(latlon, cut_lon=self.central_lon + 180.0)
        return [np.stack(self.forward(p[:, 0], p[:, 1]), axis=1) for p in pieces]


def split_at_meridian(latlon: np.ndarray, cut_lon: float = 180.0) -> list[np.ndarray]:
    """Cut a path where it crosses a meridian, by default the antimeridian.

    Parameters
    ----------
    latlon : (n, 2) array
        Degrees. Of the two ways between neighbouring points the shorter one is meant.
    cut_lon : float
        The meridian, degrees.

    Returns
    -------
    list of (m, 2) arrays
        Longitudes lie in ``[cut_lon - 360, cut_lon]``; a piece ends, and the next one starts, on
        the meridian itself. Points off the Earth or NaN are passed through.

    Examples
    --------
    >>> [p.tolist() for p in split_at_meridian([[0, 170], [10, -170]])]
    [[[0.0, 170.0], [5.0, 180.0]], [[5.0, -180.0], [10.0, -170.0]]]
    """
    centre = cut_lon - 180.0
    path = np.array(latlon, dtype=float).reshape(-1, 2)  # (n, 2)
    path[:, 1] = Projection(central_lon=centre).relative_lon(path[:, 1])
    step = np.diff(path[:, 1])
    pieces, start = [], 0
    for i in np.flatnonzero(np.abs(step) > 180):
        side = np.sign(path[i, 1])  # leaves over the east (+1) or the west (-1) edge
        span = step[i] + 360 * side
        share = (180 * side - path[i, 1]) / span if span else 0.0
        lat = path[i, 0] + share * (path[i + 1, 0] - path[i, 0])
        pieces.append(np.concatenate([path[start : i + 1], [[lat, 180 * side]]]))
        path[i] = lat, -180 * side  # the crossing opens the next piece
        start = i
    pieces.append(path[start:])
    return [piece + np.array([0.0, centre]) for piece in pieces]


def great_circle_path(start: np.ndarray, end: np.ndarray, step_km: float = 100.0) -> np.ndarray:
    """Points (n, 2) along the great circle between two places, at most `step_km` apart."""
    km = float(sphere.great_circle_km(np.asarray(start, float), np.asarray(end, float)))
    n = max(2, int(np.ceil(km / step_km)) + 1)
    return np.asarray(sphere.interpolate(np.asarray(start, float), np.asarray(end, float), n))


def circle_path(centre: np.ndarray, radius_km: float, n: int = 181) -> np.ndarray:
    """Circle of `radius_km` around a place as a closed path (n, 2) in degrees."""
    bearing = np.linspace(0.0, 360.0, n)
    middle = np.broadcast_to(np.asarray(centre, float), (n, 2)).copy()
    return np.asarray(sphere.destination(middle, bearing, np.full(n, float(radius_km))))
