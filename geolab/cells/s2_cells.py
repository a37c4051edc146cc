"""Geometry of S2 cells, many at once: levels, families, tokens, corners, areas, polygons.

A cell is its 64-bit id, ``face | place on the Hilbert curve | 1 | zeros``: the lowest set bit tells
the level, and all smaller cells inside have ids within the lowest bit of it, so "which cell holds
this point" is a search in sorted numbers. Ids of points come from `kernels.s2_cell_ids`; here
is the way back, from ids to places. All functions take and return numpy arrays; ids are uint64.

Cells of level 1 and finer have poles and the antimeridian on their borders only. The three faces
that do not (both polar ones and the one around longitude 180) are drawn as their four children, so
no polygon of `rings` spans more than 180 degrees of longitude.

Reference: Google's S2 geometry, "S2 cells" (s2geometry.io/devguide/s2cell_hierarchy).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from geolab import sphere
from geolab.data.errors import DataError
from geolab.kernels.s2 import CURVE, MAX_LEVEL, TURN, s2_cell_ids

_ONE = np.uint64(1)
_PLACES = np.argsort(np.array(CURVE), axis=1)
"""Quadrant ``2 i + j`` at each of the four places on the curve, for each orientation."""
_TURNED = np.take_along_axis(np.array(TURN), _PLACES, axis=1)
"""Orientation inside it."""


def lowest_bit(ids: np.ndarray) -> np.ndarray:
    """Lowest set bit of each id, uint64 (N,): the marker that tells the level."""
    ids = np.asarray(ids, dtype=np.uint64)
    return ids & (~ids + _ONE)


def level_of(ids: np.ndarray) -> np.ndarray:
    """Level 0..30 of each cell, int64 (N,).

    Raises
    ------
    DataError
        If a number is no S2 cell; it is named.

    Examples
    --------
    >>> level_of(from_token(["1", "47e66e1"])).tolist()
    [0, 12]
    """
    ids = np.asarray(ids, dtype=np.uint64)
    bit = lowest_bit(ids)
    zeros = np.log2(np.maximum(bit, _ONE).astype(float)).astype(np.int64)  # powers of 2 are exact
    bad = (bit == 0) | (zeros % 2 == 1) | (zeros > 60) | (ids >> np.uint64(61) > 5)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(f"row {row}: {int(ids.flat[row])} is no S2 cell id; read ids as uint64")
    return MAX_LEVEL - zeros // 2


def parent(ids: np.ndarray, level: int) -> np.ndarray:
    """Ancestor of each cell at one level (the cell itself at its own level), uint64 (N,).

    Raises
    ------
    DataError
        If a cell is larger than the level asked for.
    """
    ids = np.asarray(ids, dtype=np.uint64)
    marker = _marker(level)
    if len(ids) and (lowest_bit(ids) > marker).any():
        row = int(np.flatnonzero(lowest_bit(ids) > marker)[0])
        token = to_token(ids[row : row + 1])[0]
        raise DataError(f"row {row}: cell {token} has no ancestor at level {level}, it is larger")
    return (ids & ~(marker + (marker - _ONE))) | marker


def _marker(level: int) -> np.uint64:
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"level must be from 0 to {MAX_LEVEL}, not {level}")
    return np.uint64(1 << 2 * (MAX_LEVEL - level))


def children(ids: np.ndarray) -> np.ndarray:
    """Four children of each cell along the curve, uint64 (N, 4).

    Raises
    ------
    DataError
        For a cell of level 30, which has none.
    """
    ids = np.asarray(ids, dtype=np.uint64)
    bit = lowest_bit(ids)
    if (bit == _ONE).any():
        raise DataError("a cell of level 30 has no children")
    small = bit >> np.uint64(2)
    return (ids - bit + small)[:, None] + 2 * small[:, None] * np.arange(4, dtype=np.uint64)


def id_range(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest id inside each cell, itself included: two uint64 (N,)."""
    ids = np.asarray(ids, dtype=np.uint64)
    reach = lowest_bit(ids) - _ONE
    return ids - reach, ids + reach


def to_token(ids: np.ndarray) -> list[str]:
    """Tokens, S2's short names: 16 hexadecimal digits without the zeros at the end."""
    return [f"{int(x):016x}".rstrip("0") for x in np.asarray(ids, dtype=np.uint64)]


def from_token(tokens: Sequence[str]) -> np.ndarray:
    """Ids of tokens, uint64 (N,).

    Raises
    ------
    DataError
        If a token is not text (``8e10`` reads as a number from a csv) or names no cell.

    Examples
    --------
    >>> to_token(from_token(["8e10", "89c25"]))
    ['8e1', '89c25']
    """
    for row, token in enumerate(tokens):
        if not isinstance(token, str):
            raise DataError(
                f"row {row}: token {token!r} is not text; read the column with dtype=str"
            )
        if not 1 <= len(token) <= 16 or set(token.lower()) - set("0123456789abcdef"):
            raise DataError(f"row {row}: {token!r} is no S2 token, which has 1 to 16 hex digits")
    ids = np.array([int(token.ljust(16, "0"), 16) for token in tokens], dtype=np.uint64)
    level_of(ids)  # refuses what is no cell
    return ids


def face_bounds(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Face 0..5 (N,) of each cell and its integer coordinates i, j at its own level (N, 2)."""
    ids = np.asarray(ids, dtype=np.uint64)
    level = level_of(ids)
    face = (ids >> np.uint64(61)).astype(np.int64)
    orientation, ij = face & 1, np.zeros((len(ids), 2), np.int64)
    for depth in range(1, int(level.max(initial=0)) + 1):
        place = ((ids >> np.uint64(61 - 2 * depth)) & np.uint64(3)).astype(np.int64)
        quadrant = _PLACES[orientation, place]
        inside = (level >= depth)[:, None]
        ij = np.where(inside, 2 * ij + np.stack([quadrant >> 1, quadrant & 1], 1), ij)
        orientation = _TURNED[orientation, place]
    return face, ij


def _to_uv(st: np.ndarray) -> np.ndarray:
    """S2's quadratic transform from [0, 1] to [-1, 1]."""
    return np.where(st >= 0.5, 4 * st**2 - 1, 1 - 4 * (1 - st) ** 2) / 3


def _to_xyz(face: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors (..., 3), not normalised, of places u, v on the faces of the cube."""
    one = np.ones_like(u)
    sides = [(one, u, v), (-u, one, v), (-u, -v, one), (-one, -v, -u), (v, -one, -u), (v, u, -one)]
    return np.choose(face[..., None], [np.stack(side, -1) for side in sides])


def _to_latlon(xyz: np.ndarray) -> np.ndarray:
    return sphere.to_latlon(torch.from_numpy(xyz)).numpy()


def centre(ids: np.ndarray) -> np.ndarray:
    """Middle of each cell in degrees, (N, 2) float64: the place that S2 calls its centre.

    Examples
    --------
    >>> centre(from_token(["47e66e1"])).round(3).tolist()
    [[48.866, 2.357]]
    """
    face, ij = face_bounds(ids)
    u, v = _to_uv((ij + 0.5) / 2.0 ** level_of(ids)[:, None]).T
    return _to_latlon(_to_xyz(face, u, v))


def _uv_bounds(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face (N,), and the least and greatest (u, v) of each cell, both (N, 2)."""
    face, ij = face_bounds(ids)
    scale = 2.0 ** level_of(ids)[:, None]
    return face, _to_uv(ij / scale), _to_uv((ij + 1) / scale)


def vertices(ids: np.ndarray) -> np.ndarray:
    """Four corners of each cell, counter-clockwise from outside, (N, 4, 2) degrees."""
    return _to_latlon(_boundary(ids, 1))


def _boundary(ids: np.ndarray, n: int) -> np.ndarray:
    """Vectors (N, 4 n, 3) along the border; each edge, a great circle, in n steps."""
    face, low, high = _uv_bounds(ids)
    step = np.arange(n) / n
    up, down, rest = step, 1 - step, np.zeros(n)
    share_u, share_v = np.r_[up, rest + 1, down, rest], np.r_[rest, up, rest + 1, down]
    # A straight line on a face of the cube is a great circle on the sphere.
    u = low[:, :1] * (1 - share_u) + high[:, :1] * share_u
    v = low[:, 1:] * (1 - share_v) + high[:, 1:] * share_v
    return _to_xyz(np.broadcast_to(face[:, None], u.shape), u, v)


def area_km2(ids: np.ndarray) -> np.ndarray:
    """Area of each cell on the sphere in km2, (N,), to six digits down to level 30.

    The area element of a cube face, (1 + u^2 + v^2)^(-3/2), is integrated by Gauss-Legendre: the
    closed form is a difference of angles, of which nothing is left for a square centimetre.
    """
    _, low, high = _uv_bounds(ids)
    node, weight = np.polynomial.legendre.leggauss(8)
    middle, half = (low + high)[..., None] / 2, (high - low)[..., None] / 2
    u, v = (middle + half * node).transpose(1, 0, 2)  # (N, 2, 8) -> two of (N, 8)
    density = (1 + u[:, :, None] ** 2 + v[:, None, :] ** 2) ** -1.5
    total = np.einsum("nij,i,j->n", density, weight, weight) * half.prod(axis=(1, 2))
    return total * sphere.EARTH_RADIUS_KM**2


def edge_neighbours(ids: np.ndarray) -> np.ndarray:
    """Four cells of the same level that share an edge with each cell, uint64 (N, 4).

    Each is found from a place just beyond the middle of an edge, on this face or the next one.
    """
    face, low, high = _uv_bounds(ids)
    middle, beyond = (low + high) / 2, 1e-3 * (high - low)
    u = np.stack([middle[:, 0], high[:, 0] + beyond[:, 0], middle[:, 0], low[:, 0] - beyond[:, 0]])
    v = np.stack([low[:, 1] - beyond[:, 1], middle[:, 1], high[:, 1] + beyond[:, 1], middle[:, 1]])
    places = _to_latlon(_to_xyz(np.broadcast_to(face, u.shape), u, v))  # (4, N, 2)
    levels, out = level_of(ids), np.empty((len(face), 4), np.uint64)
    for level in np.unique(levels):
        at = levels == level
        lat, lon = places[:, at].reshape(-1, 2).T  # (4, n, 2) -> (4 n,) each
        out[at] = s2_cell_ids(lat, lon, int(level)).reshape(4, -1).T  # (4 n,) -> (n, 4)
    return out


def rings(ids: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Outlines of the cells, in groups of equal length.

    Returns
    -------
    list of (outline, row)
        Outlines (n, m, 2) in degrees, counter-clockwise, not closed; longitudes run on beyond no
        edge: all lie in [-180, 180]. Row (n,) is the index of the cell in `ids`. Edges of large
        cells have points every 1.5 degrees or so. The polar faces and the one across the
        antimeridian come as four outlines; cells with a pole for a corner have it twice, once for
        the meridian of either side.
    """
    ids = np.asarray(ids, dtype=np.uint64)
    row = np.arange(len(ids))
    whole = np.isin(ids, from_token(["5", "7", "b"]))
    ids = np.concatenate([ids[~whole], children(ids[whole]).ravel()])
    row = np.concatenate([row[~whole], np.repeat(row[whole], 4)])
    levels, found = level_of(ids), []
    for level in np.unique(levels):
        at = levels == level
        outline, polar = _outlines(ids[at], max(1, 64 >> int(level)))
        found.append((outline[~polar], row[at][~polar]))
        found += [(_open_pole(outline[i])[None], row[at][i : i + 1]) for i in np.flatnonzero(polar)]
    return [(outline, row) for outline, row in found if len(row)]


def _outlines(ids: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Outlines (N, 4 n, 2) around their own centre, and whether one has a pole as a corner."""
    outline = _to_latlon(_boundary(ids, n))
    middle = centre(ids)[:, None, 1]
    outline[..., 1] = middle + (outline[..., 1] - middle + 180) % 360 - 180
    outline[..., 1] = np.clip(outline[..., 1], -180, 180)  # rounding on the antimeridian
    return outline, (np.abs(outline[..., 0]) > 90 - 1e-9).any(axis=1)


def _open_pole(outline: np.ndarray) -> np.ndarray:
    """Put the pole in twice (m, 2) -> (m + 1, 2): it has the longitude of either side."""
    at = int(np.abs(outline[:, 0]).argmax())
    turned = np.roll(outline, -at, axis=0)
    ends = np.array([[turned[0, 0], turned[-1, 1]], [turned[0, 0], turned[1, 1]]])
    return np.concatenate([ends, turned[1:]])
