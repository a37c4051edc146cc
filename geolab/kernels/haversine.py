r"""Great-circle distance matrix: degrees in, float32 kilometres out, right to 2 m for *all* pairs.

With unit vectors u and v at angle :math:`\theta`, :math:`t = |u-v|^2/4` is the haversine
:math:`\sin^2(\theta/2)` and

.. math::

   d = R \cdot \begin{cases}
       2\arcsin\sqrt{t}              & \theta \le 60° \\
       \pi/2 - \arcsin(u \cdot v)    & 60° < \theta < 120° \\
       \pi - 2\arcsin(|u+v|/2)       & \theta \ge 120°.
   \end{cases}

Each branch is used where it loses no digits, and all three need the arcsine on [-1/2, 1/2] only,
where a polynomial of five terms does. ``acos(u.v)`` in float32 is off by 2.2 km for
neighbours, the usual haversine by 3.9 km for antipodes.

**Error.** Near the antipode float32 numbers lie 2 m apart, so rounding the answer alone costs up to
1 m; the rest of the arithmetic has to stay under the other metre. Points are therefore held as
float32 hi + lo pairs, and the constants too.

**Limit.** 4 bytes written and about 45 operations per pair: 1024 x 12893 pairs write 53 MB, that is
1.0-1.6 ms at 33-54 GB/s of memory or 18 us at 3 TB/s. Fresh memory costs ten times the
arithmetic (page faults), so pass ``out=`` in a loop.

**Paths.** numba (from half a million pairs on; compiling takes two seconds, once per process),
Triton on a GPU, blocked plain torch anywhere else. The plain path works in float64, where ``acos``
of the product is good to 0.2 m; points closer than that are at distance 0.

**Gradient.** :math:`\partial d/\partial u = -R\,v/\sin\theta` on the tangent plane; 0 for identical
and antipodal points, where there is none.

References: R. W. Sinnott, "Virtues of the haversine", Sky and Telescope 68 (1984); W. Kahan, "How
futile are mindless assessments of roundoff" (2006), section 12.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from geolab import sphere
from geolab.kernels.dispatch import choose
from geolab.sphere import EARTH_RADIUS_KM, ArrayLike

_BLOCK = 1 << 17  # pairs per block of the plain path: 1 MB of float64 products
_COMPILE_FROM = 1 << 19  # pairs from which compiling for two seconds can pay
_SLACK = 4e-16  # rounding of a float64 product of unit vectors


def haversine_matrix(
    a: ArrayLike,
    b: ArrayLike,
    *,
    out: Tensor | None = None,
    radius_km: float = EARTH_RADIUS_KM,
    backend: str = "auto",
) -> Tensor:
    """All great-circle distances between two sets of points.

    Parameters
    ----------
    a, b : array_like, shapes (N, 2) and (M, 2)
        Degrees, on one device; differentiable.
    out : Tensor, shape (N, M), float32, optional
        Where to write; worth a factor of ten in a loop. Not together with a gradient.
    radius_km : float
    backend : {"auto", "torch", "numba", "triton"}

    Returns
    -------
    Tensor, shape (N, M), float32
        Kilometres, within 2 m of the float64 value for every pair.

    Raises
    ------
    ValueError
        For wrong shapes, coordinates that are not on Earth, two devices or an `out` that can't
        hold the answer.

    Examples
    --------
    >>> haversine_matrix([[48.8566, 2.3522]], [[41.8933, 12.4829], [48.8566, 2.3522]]).round()
    tensor([[1105.,    0.]])
    """
    a, b = _checked(a, "a"), _checked(b, "b")
    if a.device != b.device:
        raise ValueError(f"a is on {a.device} and b on {b.device}; move them to one device")
    if not (math.isfinite(radius_km) and radius_km > 0):
        raise ValueError(f"radius_km must be positive and finite, not {radius_km}")
    u, v = sphere.to_unit(a.double()), sphere.to_unit(b.double())
    needs_grad = torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)
    _check_out(out, (len(a), len(b)), a.device, needs_grad)
    large = len(a) * len(b) >= _COMPILE_FROM and (out is None or out.is_contiguous())
    path = choose(backend, u, numba=large or backend == "numba")
    if needs_grad:
        return _Distances.apply(u, v, radius_km, path)
    return _forward(u, v, out, radius_km, path)


def haversine_matrix_reference(
    a: ArrayLike, b: ArrayLike, *, radius_km: float = EARTH_RADIUS_KM
) -> Tensor:
    """Compute the same in one line of plain float64 torch: N x M x 3 numbers in memory, (N, M)."""
    u, v = (sphere.to_unit(_checked(p, name).double()) for p, name in ((a, "a"), (b, "b")))
    return sphere.chord_to_km(u[:, None], v[None], radius_km=radius_km)


def _checked(latlon: ArrayLike, name: str) -> Tensor:
    points = sphere.check_latlon(latlon, name)
    if points.ndim != 2:
        raise ValueError(f"{name} must have shape (N, 2) in degrees, not {tuple(points.shape)}")
    return points


def _check_out(out: Tensor | None, shape: tuple, device: torch.device, needs_grad: bool) -> None:
    if out is None:
        return
    if needs_grad:
        raise ValueError("out= can't carry a gradient; leave it out or use torch.no_grad()")
    if tuple(out.shape) != shape or out.dtype != torch.float32 or out.device != device:
        raise ValueError(
            f"out must be float32 of shape {shape} on {device}, "
            f"not {out.dtype} of shape {tuple(out.shape)} on {out.device}"
        )
    if any(step == 0 and size > 1 for step, size in zip(out.stride(), out.shape, strict=True)):
        raise ValueError("out has rows that share memory (an expanded tensor); pass a real one")


def _forward(u: Tensor, v: Tensor, out: Tensor | None, radius_km: float, path: str) -> Tensor:
    """Distances between float64 unit vectors (N, 3), (M, 3) on the path chosen, (N, M)."""
    u, v = u.detach(), v.detach()
    out = torch.empty(len(u), len(v), device=u.device) if out is None else out.detach()
    if out.numel() == 0:
        return out
    if path == "triton":
        from geolab.kernels import haversine_triton

        haversine_triton.forward(u, v, out, radius_km)
    elif path == "numba" and out.is_contiguous():
        from geolab.kernels import haversine_numba

        haversine_numba.fill(u, v, out, radius_km)
    else:
        fill(u, v, out, radius_km)
    return out


def fill(u: Tensor, v: Tensor, out: Tensor, radius_km: float) -> None:
    """Plain path, in blocks: float64 unit vectors (N, 3) and (M, 3) into `out` (N, M).

    ``acos`` is right here, and only here: in float64 its worst error, at the ends, is 0.2 m.
    """
    u, v = u * (1 + _SLACK), v.T  # a product with itself must not fall short of 1
    cols = max(1, min(len(v.T), _BLOCK))
    rows = max(1, _BLOCK // cols)
    buffer = u.new_empty(rows * cols)
    for top in range(0, len(u), rows):
        for left in range(0, v.shape[1], cols):
            part = out[top : top + rows, left : left + cols]
            dot = buffer[: part.numel()].view(part.shape)
            torch.mm(u[top : top + rows], v[:, left : left + cols], out=dot)
            part.copy_(dot.clamp_(-1, 1).acos_().mul_(radius_km))


class _Distances(torch.autograd.Function):
    """Distances as a function of the two sets of unit vectors."""

    @staticmethod
    def forward(ctx, u, v, radius_km, path):
        ctx.save_for_backward(u, v)
        ctx.radius_km, ctx.path = radius_km, path
        return _forward(u, v, None, radius_km, path)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        u, v = ctx.saved_tensors
        if ctx.path == "triton":
            from geolab.kernels import haversine_triton

            return *haversine_triton.backward(u, v, grad, ctx.radius_km), None, None
        grad_u, grad_v = torch.zeros_like(u), torch.zeros_like(v)
        rows = max(1, _BLOCK // max(1, len(v)))
        for top in range(0, len(u), rows):
            part = u[top : top + rows]
            sine = torch.cross(part[:, None], v[None], dim=-1).norm(dim=-1)
            pull = torch.where(sine > 1e-15, -ctx.radius_km * grad[top : top + rows] / sine, 0.0)
            grad_u[top : top + rows] = pull @ v
            grad_v.addmm_(pull.T, part)
        return grad_u, grad_v, None, None
