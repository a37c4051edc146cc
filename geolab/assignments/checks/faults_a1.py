"""What the usual faults of assignment 1 compute, so that the checks can name them."""

from __future__ import annotations

import numpy as np

R = 6371.0
_Array = np.ndarray


def unit(latlon: _Array, *, degrees: bool = True) -> _Array:
    """Unit vectors (..., 3), or what comes out when degrees are taken for radians."""
    lat, lon = np.moveaxis(np.radians(latlon) if degrees else np.asarray(latlon, float), -1, 0)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def haversine(
    a: _Array,
    b: _Array,
    *,
    degrees: bool = True,
    halved: bool = True,
    cosines: bool = True,
    root: bool = True,
) -> _Array:
    """Haversine distance in km, with one step left out where told so."""
    a, b = (np.radians(x) if degrees else np.asarray(x, float) for x in (a, b))
    half = 2 if halved else 1
    cos = np.cos(a[..., 0]) * np.cos(b[..., 0]) if cosines else 1
    north, east = (np.sin((b[..., i] - a[..., i]) / half) ** 2 for i in (0, 1))
    h = np.clip(north + cos * east, 0, 1)
    return 2 * R * np.arcsin(np.sqrt(h) if root else h)


def latlon_of(xyz: _Array, *, quotient: bool = False, swapped: bool = False) -> _Array:
    """Degrees of vectors; with arctan(y / x) or arctan2(x, y) where told so."""
    x, y, z = np.moveaxis(np.asarray(xyz, float), -1, 0)
    y, x = (x, y) if swapped else (y, x)
    lon = np.arctan(y / x) if quotient else np.arctan2(y, x)
    return np.degrees(np.stack([np.arctan2(z, np.hypot(x, y)), lon], axis=-1))


def shift(
    latlon: _Array,
    bandwidth_km: float,
    *,
    blurring: bool = False,
    unit_length: bool = True,
    n_steps: int = 300,
    merge: float = 0.5,
    ranked: str = "stable",
) -> tuple[_Array, _Array]:
    """Mean shift in numpy, right or with a fault: modes (M, 2) in degrees and their counts (M,)."""
    matches = unit(latlon)
    walkers = matches
    for _ in range(n_steps):
        others = walkers if blurring else matches
        inside = _chord_km(walkers, others) <= bandwidth_km
        total = inside @ others
        length = np.linalg.norm(total, axis=1, keepdims=True)
        walkers = total / np.maximum(length, 1e-12) if unit_length else total
    modes, count, free = [], [], np.ones(len(walkers), bool)
    while free.any():
        first = int(free.argmax())
        here = free & (_chord_km(walkers[first][None], walkers)[0] <= merge * bandwidth_km)
        here[first] = True
        modes.append(walkers[first])
        count.append(int(here.sum()))
        free &= ~here
    order = np.argsort(-np.array(count), kind="stable")
    if ranked != "stable":
        order = np.argsort(count, kind="stable")[::-1] if ranked == "reversed" else slice(None)
    return latlon_of(np.array(modes)[order]), np.array(count)[order]


def _chord_km(u: _Array, v: _Array) -> _Array:
    u = u[:, None]
    near, far = np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1)
    return 2 * R * np.arctan2(near, far)
