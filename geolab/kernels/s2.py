r"""S2 cell ids of many points at once: ``(lat, lon) -> uint64``.

The S2 library cuts the sphere into the six faces of a cube and each face into a quadtree of 30
levels, numbered along a Hilbert curve, so that cells near in number are near on Earth. PlaNet's
geocells are S2 cells. The id of a point follows in four steps:

1. unit vector -> face (the largest component) and :math:`u, v \in [-1, 1]` on it;
2. quadratic transform :math:`s = \tfrac12\sqrt{1+3u}` for :math:`u \ge 0`, mirrored below, which
   makes cells of one level nearly equal in area;
3. :math:`i, j = \lfloor 2^{30} s \rfloor`, then their bits, high to low, along the curve;
4. ``face | position | 1`` with all bits below the level cleared and one marker bit set.

Python's bindings convert one point a call. Here four bits of i and j take one table look-up, for
all points. Limit: 24 bytes a point, read and written.

Reference: Google's S2 geometry, "S2 cells" (s2geometry.io/devguide/s2cell_hierarchy).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from geolab import sphere
from geolab.kernels import dispatch
from geolab.kernels.threads import for_rows
from geolab.sphere import ArrayLike

MAX_LEVEL = 30
_BLOCK = 1 << 15  # points worked on at once: intermediates stay in cache

CURVE = ((0, 1, 3, 2), (0, 3, 1, 2), (2, 3, 1, 0), (2, 1, 3, 0))
"""Place on the curve of the quadrant ``2 i + j``, for each of the four orientations."""
TURN = ((1, 0, 3, 0), (0, 2, 1, 1), (2, 1, 2, 3), (3, 3, 0, 2))
"""Orientation inside the quadrant ``2 i + j``, for each of the four orientations."""


def s2_cell_ids_reference(lat: ArrayLike, lon: ArrayLike, level: int) -> np.ndarray:
    """Plain form of `s2_cell_ids`: one level of the quadtree after the other, in torch."""
    face, i, j = (torch.from_numpy(t) for t in _face_ij(*_check(lat, lon, level)[:2]))
    curve, turn = torch.tensor(CURVE), torch.tensor(TURN)
    orientation, position = face & 1, torch.zeros_like(face)
    for bit in range(MAX_LEVEL - 1, -1, -1):
        quadrant = 2 * ((i >> bit) & 1) + ((j >> bit) & 1)
        position = 4 * position + curve[orientation, quadrant]
        orientation = turn[orientation, quadrant]
    return _cut(face.numpy(), position.numpy(), level)


def s2_cell_ids(
    lat: ArrayLike, lon: ArrayLike, level: int = MAX_LEVEL, *, backend: str = "auto"
) -> np.ndarray:
    """Cell of each point at one level.

    Parameters
    ----------
    lat, lon : array_like, shape (N,)
        Degrees, taken as float64.
    level : int
        0 (a face, 85 million km2) to 30 (about a square centimetre).
    backend : str
        ``"auto"``, ``"numba"`` or ``"torch"`` (CPU).

    Returns
    -------
    ndarray of uint64, shape (N,)
        Equal to s2sphere's ``CellId.from_lat_lng(...).parent(level)``.

    Raises
    ------
    ValueError
        If shapes differ, a coordinate is not on Earth (it is named) or the level is not in 0..30.

    Examples
    --------
    >>> [f"{x:016x}" for x in s2_cell_ids([48.8566], [2.3522], 12)]
    ['47e66e1000000000']
    """
    lat, lon, level = _check(lat, lon, level)
    if dispatch.choose(backend, lat, triton=False) == "numba":
        out = np.empty(len(lat), dtype=np.uint64)
        run, given = _compiled(), (lat.numpy(), lon.numpy(), level, *_tables(), out)
        for_rows(lambda start, stop: run(start, stop, *given), len(lat), _BLOCK)
        return out
    blocks = zip(lat.split(_BLOCK), lon.split(_BLOCK), strict=True)
    parts = [_by_table(*_face_ij(a, b), level) for a, b in blocks]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def _check(lat: ArrayLike, lon: ArrayLike, level: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    arrays = (x if isinstance(x, torch.Tensor) else np.require(x, float, "CW") for x in (lat, lon))
    lat, lon = (torch.as_tensor(x, dtype=torch.float64, device="cpu") for x in arrays)
    if lat.ndim != 1 or lat.shape != lon.shape:
        raise ValueError(
            f"lat and lon must both be (N,), not {tuple(lat.shape)}, {tuple(lon.shape)}"
        )
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"level must be from 0 to {MAX_LEVEL}, not {level}")
    bounds = ((lat, 90), (lon, 180))
    if len(lat) and not all(-m <= x.amin() and x.amax() <= m for x, m in bounds):  # or NaN
        sphere.check_latlon(torch.stack([lat, lon], dim=-1))
    return lat.contiguous(), lon.contiguous(), int(level)


def _face_ij(lat: torch.Tensor, lon: torch.Tensor) -> tuple[np.ndarray, ...]:
    """Face 0..5 and integer coordinates 0..2^30-1 on it, each (N,) int64."""
    x, y, z = sphere.to_unit(torch.stack([lat, lon], dim=-1)).numpy().T
    ax, ay, az = abs(x), abs(y), abs(z)
    on_x, on_y = (ax > ay) & (ax > az), (ax <= ay) & (ay > az)
    depth = np.where(on_x, x, np.where(on_y, y, z))
    first = np.where(on_x, y, -x) / depth
    second = np.where(on_x | on_y, z, -y) / depth
    back = depth < 0  # faces 3, 4, 5 have u and v exchanged
    face = np.where(on_x, 0, np.where(on_y, 1, 2)) + 3 * back
    ij = []
    for t in (np.where(back, second, first), np.where(back, first, second)):
        root = 0.5 * np.sqrt(1 + 3 * abs(t))
        st = np.where(t >= 0, root, 1 - root)
        ij.append(np.clip((st * 2**30).astype(np.int64), 0, 2**30 - 1))
    return face, *ij


def _cut(face: np.ndarray, position: np.ndarray, level: int) -> np.ndarray:
    """Join face and 60-bit position to an id of the level."""
    marker = np.uint64(1 << 2 * (MAX_LEVEL - level))
    leaf = (face.astype(np.uint64) << np.uint64(61)) | (position.astype(np.uint64) << np.uint64(1))
    return (leaf & ~(marker + (marker - np.uint64(1)))) | marker


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Four levels in one step: index ``orientation << 8 | i4 << 4 | j4`` -> place, orientation."""
    place, after = np.zeros(1024, np.int64), np.zeros(1024, np.int64)
    for index in range(1024):
        orientation = index >> 8
        for bit in (3, 2, 1, 0):
            quadrant = 2 * ((index >> 4 + bit) & 1) + ((index >> bit) & 1)
            place[index] = 4 * place[index] + CURVE[orientation][quadrant]
            orientation = TURN[orientation][quadrant]
        after[index] = orientation << 8
    return place, after


def _by_table(face: np.ndarray, i: np.ndarray, j: np.ndarray, level: int) -> np.ndarray:
    """Hilbert position by at most eight look-ups, as many as the level needs."""
    place, after = _tables()
    # 30 bits are not a multiple of 4: two zero levels go in front, and undo their own turning
    orientation, position = (face & 1) << 8, np.zeros_like(face)
    n_steps = (level + 5) // 4
    for step in range(n_steps):
        shift = 28 - 4 * step
        index = orientation | ((i >> shift) & 15) << 4 | ((j >> shift) & 15)
        position = position << 8 | place[index]
        orientation = after[index]
    return _cut(face, position << 8 * (8 - n_steps), level)


@lru_cache(maxsize=1)
def _compiled():
    """Compile the loop with numba on first use (about a second)."""
    import math

    import numba

    @numba.njit(nogil=True)
    def to_st(t):
        return 0.5 * math.sqrt(1 + 3 * t) if t >= 0 else 1 - 0.5 * math.sqrt(1 - 3 * t)

    @numba.njit(nogil=True)
    def run(start, stop, lat, lon, level, place, after, out):
        marker = np.uint64(1) << np.uint64(2 * (30 - level))
        keep, n_steps = ~(marker + (marker - np.uint64(1))), (level + 5) // 4
        for n in range(start, stop):
            phi, theta = math.radians(lat[n]), math.radians(lon[n])
            x, y = math.cos(theta) * math.cos(phi), math.sin(theta) * math.cos(phi)
            z = math.sin(phi)
            ax, ay, az = abs(x), abs(y), abs(z)
            if ax > ay and ax > az:
                face, u, v = (0, y / x, z / x) if x > 0 else (3, z / x, y / x)
            elif ax <= ay and ay > az:
                face, u, v = (1, -x / y, z / y) if y > 0 else (4, z / y, -x / y)
            else:
                face, u, v = (2, -x / z, -y / z) if z > 0 else (5, -y / z, -x / z)
            i = min(max(math.floor(to_st(u) * 1073741824), 0), 1073741823)
            j = min(max(math.floor(to_st(v) * 1073741824), 0), 1073741823)
            index, position = (face & 1) << 8, 0
            for step in range(n_steps):
                shift = 28 - 4 * step
                index |= ((i >> shift) & 15) << 4 | ((j >> shift) & 15)
                position = position << 8 | place[index]
                index = after[index]
            position <<= 8 * (8 - n_steps)
            leaf = (np.uint64(face) << np.uint64(61)) | (np.uint64(position) << np.uint64(1))
            out[n] = (leaf & keep) | marker

    return run
