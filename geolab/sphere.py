r"""Geometry of the sphere: the ground floor that everything else stands on.

Points are ``(lat, lon)`` in degrees at every public edge and unit vectors inside; distances are
kilometres on a sphere of the mean Earth radius. There is one distance formula in the package,
`chord_to_km`. For unit vectors u and v at angle :math:`\theta`, the two chords are
:math:`|u-v| = 2\sin(\theta/2)` and :math:`|u+v| = 2\cos(\theta/2)`, hence

.. math:: \theta = 2\,\mathrm{atan2}(|u-v|,\ |u+v|).

The small chord carries the information below a quarter turn and the other one above it, so the
result is right for neighbours and for antipodes alike, in float32 too, and its gradient is finite
everywhere. ``acos(u.v)`` is neither: in float32 it misjudges 18 % of pairs that are 0.8 km apart.

References: W. Kahan, "How futile are mindless assessments of roundoff" (2006), section 12, for the
angle; R. W. Sinnott, "Virtues of the haversine", Sky and Telescope 68 (1984), for the problem.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the Earth (IUGG), used for all geometry."""

EVAL_RADIUS_KM = 6371.0
"""Radius that the benchmarks of the field use; only `geolab.metrics` takes it."""

ArrayLike: TypeAlias = "Tensor | np.ndarray | list | tuple"
_BLOCK = 1 << 20  # pairs worked on at once: 24 MB of float64 differences


def as_points(latlon: ArrayLike, name: str = "latlon") -> Tensor:
    """Coordinates as a floating tensor (..., 2); float32 and float64 are kept, others widened.

    Raises
    ------
    ValueError
        If the last axis does not hold two entries; the message calls the argument `name`.
    """
    points = latlon if isinstance(latlon, Tensor) else torch.from_numpy(np.array(latlon))
    if points.dtype not in (torch.float32, torch.float64):
        points = points.to(torch.float64)
    if points.ndim == 0 or points.shape[-1] != 2:
        raise ValueError(
            f"{name} must have shape (..., 2) for (lat, lon), not {tuple(points.shape)}"
        )
    return points


def check_latlon(latlon: ArrayLike, name: str = "latlon") -> Tensor:
    """Refuse coordinates that are not on Earth, naming the first bad row and its value.

    Raises
    ------
    ValueError
        For NaN, infinity, ``|lat| > 90`` or ``|lon| > 180``.
    """
    points = as_points(latlon, name)
    lat, lon = points[..., 0], points[..., 1]
    bad = ~(torch.isfinite(lat) & torch.isfinite(lon) & (lat.abs() <= 90) & (lon.abs() <= 180))
    if bad.any():
        row = tuple(torch.nonzero(bad)[0].tolist())
        value = tuple(points[row].tolist())
        hint = "are lat and lon swapped?" if abs(value[0]) > 90 else "expected degrees"
        where = row[0] if len(row) == 1 else row
        raise ValueError(f"{name} row {where} is (lat, lon) = {value}; {hint}")
    return points


def wrap_lon(lon: Tensor) -> Tensor:
    """Bring longitudes into [-180, 180); degrees in, degrees out, any shape."""
    return torch.remainder(lon + 180.0, 360.0) - 180.0


def to_unit(latlon: ArrayLike) -> Tensor:
    """Unit vectors ``(cos lat cos lon, cos lat sin lon, sin lat)``: (..., 2) degrees -> (..., 3).

    The dtype of the input is kept. The angles are taken in float64, so float32 vectors carry no
    error but their own rounding (0.4 m).

    >>> to_unit([[0, 90], [90, 0]]).round().abs().tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    points = as_points(latlon)
    lat, lon = torch.deg2rad(points.double()).unbind(-1)
    xyz = torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], dim=-1)
    return xyz.to(points.dtype)


def to_latlon(xyz: Tensor) -> Tensor:
    """Degrees of (not necessarily normalised) vectors, (..., 3) -> (..., 2); undoes `to_unit`."""
    x, y, z = xyz.unbind(-1)
    lat = torch.atan2(z, torch.linalg.vector_norm(xyz[..., :2], dim=-1))
    return torch.rad2deg(torch.stack([lat, torch.atan2(y, x)], dim=-1))


def chord_to_km(u: Tensor, v: Tensor, *, radius_km: float = EARTH_RADIUS_KM) -> Tensor:
    """Great-circle distance between unit vectors; the one distance formula of the package.

    Parameters
    ----------
    u, v : Tensor, shapes that broadcast to (..., 3)

    Returns
    -------
    Tensor, shape (...)
        Kilometres. Gradients are finite for identical and for antipodal points.
    """
    near = torch.linalg.vector_norm(u - v, dim=-1)
    far = torch.linalg.vector_norm(u + v, dim=-1)
    return 2 * radius_km * torch.atan2(near, far)


def great_circle_km(a: ArrayLike, b: ArrayLike, *, radius_km: float = EARTH_RADIUS_KM) -> Tensor:
    """Great-circle distance, pair by pair.

    Parameters
    ----------
    a, b : array_like, shapes that broadcast to (..., 2)
        Degrees.

    Returns
    -------
    Tensor, shape (...)
        Kilometres, in the wider dtype of the two inputs; the arithmetic is float64.

    Examples
    --------
    >>> round(float(great_circle_km([48.8566, 2.3522], [41.8933, 12.4829])))
    1105
    """
    a, b = as_points(a, "a"), as_points(b, "b")
    km = chord_to_km(to_unit(a.double()), to_unit(b.double()), radius_km=radius_km)
    return km.to(torch.promote_types(a.dtype, b.dtype))


def great_circle_matrix(
    a: ArrayLike, b: ArrayLike, *, radius_km: float = EARTH_RADIUS_KM
) -> Tensor:
    """All distances in km between points (N, 2) and (M, 2) in degrees, in blocks: (N, M)."""
    a, b = as_points(a, "a"), as_points(b, "b")
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(
            f"a and b must be (N, 2) and (M, 2), not {tuple(a.shape)}, {tuple(b.shape)}"
        )
    rows = max(1, _BLOCK // max(1, len(b)))
    blocks = [
        great_circle_km(part[:, None], b[None], radius_km=radius_km) for part in a.split(rows)
    ]
    return torch.cat(blocks) if blocks else a.new_zeros(0, len(b))


def spherical_mean(latlon: ArrayLike, weight: Tensor | None = None) -> Tensor:
    """Mean direction: the normalised sum of unit vectors, safe at the antimeridian and the poles.

    Parameters
    ----------
    latlon : array_like, shape (..., K, 2)
        Degrees.
    weight : Tensor, shape (..., K), optional
        Not negative; equal weights when left out.

    Returns
    -------
    Tensor, shape (..., 2)
        Where the vectors cancel (two antipodes, say) no mean exists and the point with the largest
        weight stands in for it.

    >>> spherical_mean([[0, 178], [0, -178], [0, 180]]).abs().round().tolist()
    [0.0, 180.0]
    """
    points = as_points(latlon)
    weight = points.new_ones(points.shape[:-1]) if weight is None else weight.to(points.dtype)
    total = (to_unit(points).double() * weight[..., None]).sum(-2)  # (..., K, 3) -> (..., 3)
    heaviest = weight.argmax(-1)[..., None, None].expand(*weight.shape[:-1], 1, 2)
    stand_in = points.gather(-2, heaviest).squeeze(-2)  # (..., 2)
    lost = torch.linalg.vector_norm(total, dim=-1) < 1e-6 * weight.sum(-1).double()
    return torch.where(lost[..., None], stand_in, to_latlon(total).to(points.dtype))


def log_map(base: Tensor, xyz: Tensor) -> Tensor:
    """Tangent vector at `base` that points at `xyz`, as long (in radians) as their angle.

    Unit vectors (..., 3) in, (..., 3) out; zero at `base` itself. At the antipode every direction
    is right and one is chosen.
    """
    across = xyz - (base * xyz).sum(-1, keepdim=True) * base
    length = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    theta = chord_to_km(base, xyz, radius_km=1.0)[..., None]
    away = _orthogonal(base).where(
        (length <= 1e-12) & (theta > 1), across / length.clamp_min(1e-30)
    )
    return theta * away


def _orthogonal(base: Tensor) -> Tensor:
    """Any unit vector at a right angle to `base` (..., 3)."""
    axis = torch.zeros_like(base).scatter(-1, base.abs().argmin(-1, keepdim=True), 1.0)
    return torch.nn.functional.normalize(torch.linalg.cross(base, axis), dim=-1)


def exp_map(base: Tensor, tangent: Tensor) -> Tensor:
    """Walk from unit vectors `base` along tangents in radians, (..., 3); undoes `log_map`."""
    length = torch.linalg.vector_norm(tangent, dim=-1, keepdim=True)
    return length.cos() * base + torch.sinc(length / math.pi) * tangent


def _north_east(latlon: Tensor) -> tuple[Tensor, Tensor]:
    """Unit tangent vectors to the north and to the east, each (..., 3)."""
    lat, lon = torch.deg2rad(latlon).unbind(-1)
    north = torch.stack([-lat.sin() * lon.cos(), -lat.sin() * lon.sin(), lat.cos()], dim=-1)
    east = torch.stack([-lon.sin(), lon.cos(), torch.zeros_like(lon)], dim=-1)
    return north, east


def destination(latlon: ArrayLike, bearing_deg: ArrayLike, distance_km: ArrayLike) -> Tensor:
    """Point reached after `distance_km` on the great circle that leaves at `bearing_deg`.

    Parameters
    ----------
    latlon : array_like, shape (..., 2)
        Degrees.
    bearing_deg : array_like, shape (...)
        Degrees clockwise from north.
    distance_km : array_like, shape (...)

    Returns
    -------
    Tensor, shape (..., 2)

    >>> destination([0, 0], 90, 10007.5572).round(decimals=2).abs().tolist()
    [0.0, 90.0]
    """
    start = as_points(latlon)
    bearing = torch.deg2rad(torch.as_tensor(bearing_deg, dtype=torch.float64))[..., None]
    angle = torch.as_tensor(distance_km, dtype=torch.float64)[..., None] / EARTH_RADIUS_KM
    north, east = _north_east(start.double())
    heading = bearing.cos() * north + bearing.sin() * east
    return to_latlon(exp_map(to_unit(start.double()), angle * heading)).to(start.dtype)


def initial_bearing(a: ArrayLike, b: ArrayLike) -> Tensor:
    """Bearing in [0, 360) degrees, clockwise from north, of the great circle from `a` to `b`."""
    a, b = as_points(a, "a"), as_points(b, "b")
    north, east = _north_east(a.double())
    tangent = log_map(to_unit(a.double()), to_unit(b.double()))
    bearing = torch.atan2((tangent * east).sum(-1), (tangent * north).sum(-1))
    return torch.rad2deg(bearing).remainder(360.0).to(a.dtype)


def interpolate(a: ArrayLike, b: ArrayLike, n: int) -> Tensor:
    """`n` points (n, 2) spread evenly on the great circle from `a` to `b`, ends included."""
    start, end = (to_unit(as_points(p).double()) for p in (a, b))
    step = torch.linspace(0, 1, n, dtype=torch.float64)[:, None]
    return to_latlon(exp_map(start, step * log_map(start, end)))


def bounding_cap(latlon: ArrayLike) -> tuple[Tensor, float]:
    """Centre and radius of a small cap that holds every point.

    The centre walks towards the farthest point with shrinking steps (Badoiu and Clarkson,
    "Smaller core-sets for balls", SODA 2003); the radius is then measured, so no point is outside.

    Parameters
    ----------
    latlon : array_like, shape (K, 2)
        Degrees.

    Returns
    -------
    centre : Tensor, shape (2,)
    radius_km : float
    """
    points = as_points(latlon)
    xyz = to_unit(points.double())
    centre = to_unit(spherical_mean(points.double()))
    for i in range(1, 200):
        farthest = xyz[(xyz - centre).square().sum(-1).argmax()]
        centre = exp_map(centre, log_map(centre, farthest) / (i + 1))
    radius = chord_to_km(centre, xyz).max().item()
    return to_latlon(centre).to(points.dtype), radius


def uniform_points(n: int, seed: int = 0) -> Tensor:
    """`n` seeded points, uniform by area; (n, 2) float64 degrees."""
    generator = torch.Generator().manual_seed(seed)
    return to_latlon(torch.randn(n, 3, dtype=torch.float64, generator=generator))


def fibonacci_grid(n: int) -> Tensor:
    """`n` points of nearly equal area in a spiral from south to north; (n, 2) float64 degrees."""
    i = torch.arange(n, dtype=torch.float64)
    lat = torch.rad2deg(torch.asin((2 * i + 1) / n - 1))
    return torch.stack([lat, wrap_lon(i * 180.0 * (3.0 - math.sqrt(5.0)))], dim=-1)
