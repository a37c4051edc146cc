"""Compiled CPU path of `geolab.kernels.haversine`: one pass, one write per pair.

Every point is a pair of float32 vectors, hi + lo, which hold 48 bits together; so 16 pairs fit into
a 512-bit register. The steps are those of the module docstring of `haversine`. No NaN gets here:
coordinates are checked before.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from geolab.kernels.threads import for_rows

_ZERO, _ONE, _TWO, _QUARTER = (np.float32(x) for x in (0, 1, 2, 0.25))
_TILE = 1024  # columns worked on at once: 24 KB of coordinates, which the first cache holds

# asin(sqrt(q)) / sqrt(q) = 1 + q P(q) on [0, 1/4]; Lawson's weighted least squares, error 5e-9.
ASIN = (0.16666752099990845, 0.07495297491550446, 0.045470379292964935)
ASIN += (0.024179501459002495, 0.0421663336455822)


def constants(radius_km: float) -> np.ndarray:
    """Quarter turn, half turn and radius as hi and lo parts in km, and P scaled to km: (11,)."""
    exact = (math.pi / 2 * radius_km, math.pi * radius_km, radius_km)
    split = [part for x in exact for part in (np.float32(x), x - float(np.float32(x)))]
    return np.array([*split, *(radius_km * c for c in ASIN)], dtype=np.float32)


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def pair_km(x, y, z, xl, yl, zl, bx, by, bz, cx, cy, cz, k):  # pragma: no cover - compiled
    """Distance between hi+lo points (x.., xl..) and (bx.., cx..); `k` from `constants`."""
    dot = bx * x + by * y + bz * z
    far = dot < _ZERO
    sign = _ONE if far else -_ONE
    dx = (bx + sign * x) + (cx + sign * xl)  # the shorter of the chords u - v and u + v
    dy = (by + sign * y) + (cy + sign * yl)
    dz = (bz + sign * z) + (cz + sign * zl)
    t = _QUARTER * (dx * dx + dy * dy + dz * dz)
    middle = t > _QUARTER
    w = -dot if middle else -_TWO * sign * np.sqrt(t)
    q = dot * dot if middle else t
    tail = ((((k[10] * q + k[9]) * q + k[8]) * q + k[7]) * q + k[6]) * q + k[5]
    hi = k[0] if middle else (k[2] if far else _ZERO)
    lo = k[1] if middle else (k[3] if far else _ZERO)
    return hi + (w * k[4] + (w * tail + lo))


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _rows(u, v, k, out, start, stop):  # pragma: no cover - compiled
    """Fill rows of `out` (N, M) from u (N, 6) and v (6, M), hi parts first."""
    k = (k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7], k[8], k[9], k[10])
    for left in range(0, out.shape[1], _TILE):
        right = min(out.shape[1], left + _TILE)
        bx, by, bz = v[0, left:right], v[1, left:right], v[2, left:right]
        cx, cy, cz = v[3, left:right], v[4, left:right], v[5, left:right]
        for i in range(start, stop):
            x, y, z, xl, yl, zl = u[i, 0], u[i, 1], u[i, 2], u[i, 3], u[i, 4], u[i, 5]
            row = out[i, left:right]
            for j in range(right - left):
                row[j] = pair_km(x, y, z, xl, yl, zl, bx[j], by[j], bz[j], cx[j], cy[j], cz[j], k)


def hi_lo(xyz: Tensor) -> Tensor:
    """Float64 vectors (N, 3) as float32 hi and lo parts side by side, (N, 6)."""
    hi = xyz.float()
    return torch.cat([hi, (xyz - hi).float()], dim=1)


def fill(u: Tensor, v: Tensor, out: Tensor, radius_km: float) -> None:
    """Distances in km between float64 unit vectors (N, 3) and (M, 3) into `out` (N, M)."""
    left = hi_lo(u).numpy()
    right = hi_lo(v).T.contiguous().numpy()  # (M, 6) -> (6, M)
    k, target = constants(radius_km), out.numpy()
    for_rows(lambda start, stop: _rows(left, right, k, target, start, stop), len(out), 32)
