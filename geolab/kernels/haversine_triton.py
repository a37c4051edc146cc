"""Triton path of `geolab.kernels.haversine`, forward and backward.

The arithmetic is that of the compiled CPU path: float32 hi + lo vectors, so that a T4, which has
next to no float64, is right to 2 m as well. Every point is six numbers (hi, then lo), stored as six
rows; a program makes one tile of distances, or walks along one row of tiles for the gradient.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

_ROWS, _COLS = 32, 128


@triton.jit
def load_point(points, index, count, mask):
    """Six numbers of the points at `index`; zeros where masked."""
    x = tl.load(points + index, mask=mask, other=0.0)
    y = tl.load(points + count + index, mask=mask, other=0.0)
    z = tl.load(points + 2 * count + index, mask=mask, other=0.0)
    xl = tl.load(points + 3 * count + index, mask=mask, other=0.0)
    yl = tl.load(points + 4 * count + index, mask=mask, other=0.0)
    zl = tl.load(points + 5 * count + index, mask=mask, other=0.0)
    return x, y, z, xl, yl, zl


@triton.jit
def short_chord(x, y, z, xl, yl, zl, bx, by, bz, cx, cy, cz):
    """Dot product, sign and vector of the shorter of the chords b - a and b + a."""
    dot = x * bx + y * by + z * bz
    sign = tl.where(dot < 0, 1.0, -1.0)
    dx = (bx + sign * x) + (cx + sign * xl)
    dy = (by + sign * y) + (cy + sign * yl)
    dz = (bz + sign * z) + (cz + sign * zl)
    return dot, sign, dx, dy, dz


@triton.jit
def chord_km(dot, sign, dx, dy, dz, half_hi, half_lo, r_hi, r_lo):
    """Kilometres from `short_chord`; the half turn and the radius come as hi and lo parts."""
    t = 0.25 * (dx * dx + dy * dy + dz * dz)
    middle = t > 0.25
    w = tl.where(middle, -dot, -2.0 * sign * tl.sqrt(t))
    q = tl.where(middle, dot * dot, t)
    p = ((0.0421663336 * q + 0.0241795015) * q + 0.0454703793) * q + 0.074952975
    tail = r_hi * (p * q + 0.1666675210) * q + r_lo
    turns = tl.where(middle, 0.5, tl.where(sign > 0, 1.0, 0.0))
    return turns * half_hi + (w * r_hi + (w * tail + turns * half_lo))


@triton.jit
def _forward(
    a, b, out, n, m, half_hi, half_lo, r_hi, r_lo, step_n, step_m,
    ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    j = tl.program_id(1) * COLS + tl.arange(0, COLS)
    x, y, z, xl, yl, zl = load_point(a, i[:, None], n, i[:, None] < n)
    bx, by, bz, cx, cy, cz = load_point(b, j[None, :], m, j[None, :] < m)
    dot, sign, dx, dy, dz = short_chord(x, y, z, xl, yl, zl, bx, by, bz, cx, cy, cz)
    km = chord_km(dot, sign, dx, dy, dz, half_hi, half_lo, r_hi, r_lo)
    where = i[:, None].to(tl.int64) * step_n + j[None, :].to(tl.int64) * step_m
    tl.store(out + where, km, mask=(i[:, None] < n) & (j[None, :] < m))


@triton.jit
def _backward(
    a, b, grad, pull, n, m, radius, step_n, step_m, ROWS: tl.constexpr, COLS: tl.constexpr
):
    """Gradient for `a`: the sum over all b of -R g / sin(angle) times the short chord, (3, n)."""
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    x, y, z, xl, yl, zl = load_point(a, i[:, None], n, i[:, None] < n)
    sx = tl.zeros((ROWS,), tl.float32)
    sy = tl.zeros((ROWS,), tl.float32)
    sz = tl.zeros((ROWS,), tl.float32)
    for left in range(0, m, COLS):
        j = left + tl.arange(0, COLS)
        inside = (i[:, None] < n) & (j[None, :] < m)
        bx, by, bz, cx, cy, cz = load_point(b, j[None, :], m, j[None, :] < m)
        _, _, dx, dy, dz = short_chord(x, y, z, xl, yl, zl, bx, by, bz, cx, cy, cz)
        where = i[:, None].to(tl.int64) * step_n + j[None, :].to(tl.int64) * step_m
        g = tl.load(grad + where, mask=inside, other=0.0)
        square = dx * dx + dy * dy + dz * dz
        sine = tl.sqrt(square * tl.maximum(1.0 - 0.25 * square, 0.0))
        weight = tl.where(square > 1e-24, -radius * g / tl.where(square > 1e-24, sine, 1.0), 0.0)
        sx += tl.sum(weight * dx, axis=1)
        sy += tl.sum(weight * dy, axis=1)
        sz += tl.sum(weight * dz, axis=1)
    k = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    tl.store(pull + k, sx, mask=k < n)
    tl.store(pull + n + k, sy, mask=k < n)
    tl.store(pull + 2 * n + k, sz, mask=k < n)


def hi_lo(xyz: Tensor) -> Tensor:
    """Float64 vectors (N, 3) as rows of float32 hi and lo parts, (6, N)."""
    hi = xyz.float()
    return torch.cat([hi, (xyz - hi).float()], dim=1).T.contiguous()


def split(value: float) -> tuple[float, float]:
    """A number as the float32 next to it and the rest."""
    hi = torch.tensor(value, dtype=torch.float32).item()
    return hi, value - hi


def forward(u: Tensor, v: Tensor, out: Tensor, radius_km: float) -> None:
    """Distances between float64 unit vectors (N, 3), (M, 3) into `out` (N, M) of any strides."""
    grid = (triton.cdiv(len(u), _ROWS), triton.cdiv(len(v), _COLS))
    parts = (*split(math.pi * radius_km), *split(radius_km))
    _forward[grid](
        hi_lo(u), hi_lo(v), out, len(u), len(v), *parts, *out.stride(), ROWS=_ROWS, COLS=_COLS
    )


def backward(u: Tensor, v: Tensor, grad: Tensor, radius_km: float) -> tuple[Tensor, Tensor]:
    """Gradients for u (N, 3) and v (M, 3), up to a part along u and v themselves."""
    steps = grad.stride()
    left, right = hi_lo(u), hi_lo(v)
    return (
        _pull(left, right, grad, radius_km, *steps).to(u.dtype),
        _pull(right, left, grad, radius_km, *reversed(steps)).to(v.dtype),
    )


def _pull(a: Tensor, b: Tensor, grad: Tensor, radius_km: float, step_n: int, step_m: int):
    n, m = a.shape[1], b.shape[1]
    pull = a.new_empty(3, n)
    if n:
        grid = (triton.cdiv(n, 16),)
        _backward[grid](a, b, grad, pull, n, m, radius_km, step_n, step_m, ROWS=16, COLS=_COLS)
    return pull.T
