r"""What an exact search can prepare: a coarse copy of the base and a bound on its error.

For every metric the order of the base rows x under a query q is that of ``z.y - h``:

========  =======================  =================  ==============
metric    row                      query              bias h
========  =======================  =================  ==============
ip        y = s (x - c)            z = q / |q|        0
cosine    y = x / |x| - c          z = q / |q|        0
l2        y = s (x - c)            z = s (q - c)      |y|^2 / 2
========  =======================  =================  ==============

The centre c (the mean of a sample) and the power of two s change no order; they shrink the vectors
that get rounded. Real embeddings sit in a narrow cone, where most of ``q.x`` is a common offset.
With rounded copies z', y' the Cauchy-Schwarz inequality bounds the error of the coarse score,

.. math:: |z\cdot y - z'\cdot y'| \le |z - z'|\,|y| + |z'|\,|y - y'| + \text{(float32 sums)},

so every row whose coarse score is over two bounds below the k-th best is out for certain. Norms
and rounding losses are measured, not assumed, and kept for each `CHUNK` of rows.

Memory: bfloat16 codes are half of a float32 base. The base itself is kept by reference: a
memory-mapped array stays on disk, where only the few rows that are scored again are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from geolab.kernels.precision import strict_float32
from geolab.kernels.topk_exact import METRICS, check_rows, finite, take

CHUNK = 1024  # rows that share one error bound
_BYTES = 1 << 22  # size of a working block


@dataclass(frozen=True)
class Index:
    """A base (N, D) that is ready to be searched; make it with `geolab.kernels.topk.build_index`.

    `codes` (N, D) in a short dtype, `bias` (N,), `reach` and `loss` (one per chunk: largest |y| and
    largest |y - y'|) are None where nothing was prepared; blocks are then coded on the fly.
    """

    base: Tensor | np.ndarray
    metric: str
    centre: Tensor
    scale: float
    codes: Tensor | None = None
    bias: Tensor | None = None
    reach: Tensor | None = None
    loss: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and width, (N, D)."""
        return int(self.base.shape[0]), int(self.base.shape[1])

    @property
    def device(self) -> torch.device:
        """Where the codes and the search live."""
        return self.centre.device


@dataclass(frozen=True)
class Block:
    """Rows ``start : start + len(codes)`` as the scan takes them; bounds as in `Index`."""

    start: int
    codes: Tensor
    bias: Tensor | None
    reach: float
    loss: float


@dataclass(frozen=True)
class Coded:
    """Queries as the scan takes them: z' (Q, D), |z| (Q,), |z - z'| (Q,)."""

    codes: Tensor
    norm: Tensor
    loss: Tensor


def unit(rows: Tensor) -> Tensor:
    """Rows over their length, float32; zero rows stay zero, huge ones don't overflow."""
    rows = rows / rows.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(1e-30)


def bare_index(base: Tensor | np.ndarray, metric: str) -> Index:
    """An index with a centre and a scale only, from a sample of at most 1024 rows."""
    check_rows(base, "base")
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {METRICS}, not {metric!r}")
    base = base.detach() if isinstance(base, Tensor) else base
    step = max(1, base.shape[0] // 1024)
    sample = torch.nan_to_num(take(base, slice(None, None, step)).float(), 0.0, 0.0, 0.0)
    sample = (unit(sample) if metric == "cosine" else sample).double()  # (n, D)
    centre = sample.mean(dim=0)
    longest = float(torch.linalg.vector_norm(sample - centre, dim=1).max())
    scale = 2.0 ** -np.ceil(np.log2(longest)) if 1e-36 < longest < 1e38 else 1.0
    return Index(base, metric, centre.float(), 1.0 if metric == "cosine" else float(scale))


def encode(index: Index, rows: Tensor, start: int, dtype: torch.dtype) -> Block:
    """Code rows (B, D) of the base with their error bounds."""
    rows = finite(rows, "base", start)
    y = ((unit(rows) if index.metric == "cosine" else rows) - index.centre).mul_(index.scale)
    norm = torch.linalg.vector_norm(y, dim=1)
    codes = y.to(dtype)
    loss = 0.0 if dtype == y.dtype else float(torch.linalg.vector_norm(y - codes, dim=1).max())
    bias = norm.square() / 2 if index.metric == "l2" else None
    return Block(start, codes, bias, float(norm.max()), loss)


def with_codes(index: Index, dtype: torch.dtype) -> Index:
    """The index with its base coded in `dtype`."""
    n, dim = index.shape
    codes = torch.empty(n, dim, dtype=dtype, device=index.device)
    bias = torch.empty(n, device=index.device) if index.metric == "l2" else None
    bounds = []
    for start in range(0, n, CHUNK):
        block = encode(index, take(index.base, slice(start, start + CHUNK)), start, dtype)
        codes[start : start + CHUNK] = block.codes
        if bias is not None:
            bias[start : start + CHUNK] = block.bias
        bounds.append((block.reach, block.loss))
    reach, loss = torch.tensor(bounds, dtype=torch.float64).T  # (chunks,) each
    return replace(index, codes=codes, bias=bias, reach=reach, loss=loss)


def check_base(index: Index) -> Index:
    """The index as it is, after one look at every row for NaN and infinity."""
    for start in range(0, index.shape[0], CHUNK):
        finite(take(index.base, slice(start, start + CHUNK)), "base", start)
    return index


def blocks(index: Index, n_queries: int, dtype: torch.dtype) -> Iterator[Block]:
    """The base from first row to last, in multiples of `CHUNK` rows, coded in `dtype`."""
    n, dim = index.shape
    ready = index.codes is not None and index.codes.dtype == dtype
    width = 2 * n_queries if ready else max(2 * n_queries, 4 * dim)
    budget = _BYTES if index.device.type == "cpu" else 64 * _BYTES  # fewer launches
    size = min(max(budget // width // CHUNK, 1), 1024) * CHUNK
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        if not ready:
            yield encode(index, take(index.base, rows), start, dtype)
            continue
        part = slice(start // CHUNK, -(-rows.stop // CHUNK))
        reach, loss = float(index.reach[part].max()), float(index.loss[part].max())
        bias = None if index.bias is None else index.bias[rows]
        yield Block(start, index.codes[rows], bias, reach, loss)


def encode_queries(index: Index, queries: Tensor, dtype: torch.dtype) -> Coded:
    """Code queries (Q, D) float32 as in the table above."""
    z = (queries - index.centre) * index.scale if index.metric == "l2" else unit(queries)
    codes = z.to(dtype)
    norm = torch.linalg.vector_norm(z, dim=1, dtype=torch.float64)
    return Coded(codes, norm, torch.linalg.vector_norm(z.double() - codes, dim=1))


def error_bound(index: Index, z: Coded, block: Block) -> Tensor:
    """Bound (Q,) on the error of the coarse scores of one block, bar the rounding of the product.

    The last term covers what float32 loses in ``x - c``, ``q - c``, h and the sums of D products.
    """
    offset = index.scale * float(torch.linalg.vector_norm(index.centre.double()))
    slack = (z.codes.shape[1] + 32) * 2.0**-22 + (0 if strict_float32() else 2.0**-6)
    reach = block.reach * 1.0001 + 1e-20
    bound = z.loss * reach + (z.norm + z.loss) * block.loss * 1.0001
    bound = bound + slack * (z.norm + offset + reach) * (reach + offset)
    return (bound * 1.0001).float()
