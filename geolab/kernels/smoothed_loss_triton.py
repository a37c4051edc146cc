"""Triton path of `geolab.kernels.smoothed_loss`: one program per photo, two walks over its logits.

The first walk carries running extremes and sums, rescaled whenever a nearer cell or a larger logit
turns up; the second makes the labels again in registers and writes the gradient. Logits are read
twice (the second time from the cache, for up to a few thousand cells) and written once.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from geolab.kernels.haversine_triton import chord_km, hi_lo, load_point, short_chord, split


@triton.jit
def _km(u, v, row, j, n_rows, n_cells, half_hi, half_lo, r_hi, r_lo, target, ONE_HOT: tl.constexpr):
    """Distances of one photo to cells j; 0 and far away for one-hot labels; large where masked."""
    inside = j < n_cells
    if ONE_HOT:
        km = tl.where(j == target, 0.0, 1e9)
    else:
        x, y, z, xl, yl, zl = load_point(u, row, n_rows, row < n_rows)
        bx, by, bz, cx, cy, cz = load_point(v, j, n_cells, inside)
        dot, sign, dx, dy, dz = short_chord(x, y, z, xl, yl, zl, bx, by, bz, cx, cy, cz)
        km = chord_km(dot, sign, dx, dy, dz, half_hi, half_lo, r_hi, r_lo)
    return tl.where(inside, km, 1e30)


@triton.jit
def _loss_row(
    logits, u, v, targets, loss, grad, n_rows, n_cells, rate, scale, half_hi, half_lo, r_hi, r_lo,
    NORMALISE: tl.constexpr, ONE_HOT: tl.constexpr, WANTED: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    first = row.to(tl.int64) * n_cells
    target = 0
    if ONE_HOT:
        target = tl.load(targets + row)
    top = tl.full((), -1e30, tl.float32)
    nearest = tl.full((), 1e30, tl.float32)
    total = tl.full((), 0.0, tl.float32)
    partition = tl.full((), 0.0, tl.float32)
    product = tl.full((), 0.0, tl.float32)
    for left in range(0, n_cells, COLS):
        j = left + tl.arange(0, COLS)
        inside = j < n_cells
        z = tl.load(logits + first + j, mask=inside, other=-1e30).to(tl.float32)
        km = _km(u, v, row, j, n_rows, n_cells, half_hi, half_lo, r_hi, r_lo, target, ONE_HOT)
        new_top = tl.maximum(top, tl.max(tl.where(inside, z, -1e30), axis=0))
        new_nearest = tl.minimum(nearest, tl.min(km, axis=0))
        shrink = tl.exp(tl.maximum((new_nearest - nearest) * rate, -100.0))
        label = tl.exp(tl.maximum((new_nearest - km) * rate, -100.0))
        label = tl.where(inside, label, 0.0)
        w = tl.where(inside, z - new_top, 0.0)
        e = tl.where(inside, tl.exp(w), 0.0)
        partition = partition * tl.exp(top - new_top) + tl.sum(e, axis=0)
        lifted = tl.where(total > 0, product + total * (top - new_top), 0.0)
        product = lifted * shrink + tl.sum(label * w, axis=0)
        total = total * shrink + tl.sum(label, axis=0)
        top, nearest = new_top, new_nearest
    weight = 1.0
    if NORMALISE:
        weight = 1.0 / total
    tl.store(loss + row, weight * (total * tl.log(partition) - product))
    if WANTED:
        down = scale * weight
        up = down * total / partition
        for left in range(0, n_cells, COLS):
            j = left + tl.arange(0, COLS)
            inside = j < n_cells
            z = tl.load(logits + first + j, mask=inside, other=-1e30).to(tl.float32)
            km = _km(u, v, row, j, n_rows, n_cells, half_hi, half_lo, r_hi, r_lo, target, ONE_HOT)
            label = tl.exp(tl.maximum((nearest - km) * rate, -100.0))
            slope = up * tl.exp(z - top) - down * label
            tl.store(grad + first + j, slope.to(grad.dtype.element_ty), mask=inside)


def run(logits: Tensor, rule, loss: Tensor, grad: Tensor) -> None:
    """Fill `loss` (b,) float64 and, unless it is empty, `grad` (b, C), from logits (b, C)."""
    n_rows, n_cells = logits.shape
    parts = (*split(math.pi * rule.radius_km), *split(rule.radius_km))
    single = torch.empty(n_rows, device=logits.device)
    _loss_row[(n_rows,)](
        logits, hi_lo(rule.u), hi_lo(rule.v), rule.target, single, grad, n_rows, n_cells,
        1.0 / rule.tau, rule.scale, *parts, NORMALISE=rule.normalise,
        ONE_HOT=len(rule.target) > 0, WANTED=grad.numel() > 0,
        COLS=min(4096, triton.next_power_of_2(n_cells)), num_warps=8,
    )  # fmt: skip
    loss.copy_(single)
