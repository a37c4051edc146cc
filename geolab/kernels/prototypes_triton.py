"""Triton path of `geolab.kernels.prototypes`: one program for a photo and one of its cells."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _nearest_kernel(
    emb, cells, vectors, offsets, nearest, squared, k, dim, rows: tl.constexpr, width: tl.constexpr
):
    photo, column = tl.program_id(0), tl.program_id(1)
    cell = tl.load(cells + photo * k + column)
    start, end = tl.load(offsets + cell), tl.load(offsets + cell + 1)
    best, at = 3.0e38, start * 0 - 1
    for first in range(start, end, rows):
        row = first + tl.arange(0, rows)
        total = tl.zeros((rows,), dtype=tl.float32)
        for part in range(0, dim, width):
            d = part + tl.arange(0, width)
            e = tl.load(emb + photo * dim + d, mask=d < dim, other=0.0).to(tl.float32)
            inside = (row < end)[:, None] & (d < dim)[None, :]
            p = tl.load(vectors + row[:, None] * dim + d[None, :], mask=inside, other=0.0)
            gap = tl.where(inside, e[None, :] - p.to(tl.float32), 0.0)
            total += tl.sum(gap * gap, axis=1)
        total = tl.where(row < end, total, 3.0e38)
        here = tl.min(total, axis=0)
        at = tl.where(here < best, first + tl.argmin(total, axis=0), at)
        best = tl.minimum(best, here)
    tl.store(nearest + photo * k + column, at)
    tl.store(squared + photo * k + column, best)


def nearest_triton(
    emb: Tensor, cells: Tensor, vectors: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    """Nearest prototype (B, K) of each photo and cell, -1 for none, and its distance."""
    nearest = torch.empty_like(cells)
    squared = torch.empty(cells.shape, dtype=torch.float32, device=emb.device)
    dim = emb.shape[1]
    width = min(128, triton.next_power_of_2(dim))
    if cells.numel():
        _nearest_kernel[tuple(cells.shape)](
            emb.contiguous(), cells.contiguous(), vectors.contiguous(), offsets.contiguous(),
            nearest, squared, cells.shape[1], dim, rows=16, width=width,
        )  # fmt: skip
    distance = torch.where(nearest >= 0, squared.sqrt(), math.inf)
    return nearest, distance.to(emb.dtype)
