"""The GPU part of `geolab.kernels.topk`: product and group maximum in one kernel.

A tile of coarse scores never leaves the registers: only the largest upper score of each `GROUP`
neighbouring rows is written, 4 Q N / GROUP bytes instead of the 4 Q N that ``queries @ base.T``
writes and ``topk`` reads again. Rows of the groups that reach the threshold are then scored in
float64, as on the CPU. Limit: 2 N D bytes for one pass over 16-bit codes, or 2 Q N D operations
above about 270 queries, whichever takes longer.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from geolab.kernels.topk_index import Block, Index, blocks, encode_queries, error_bound
from geolab.kernels.topk_scan import TOO_WIDE, Pairs, room

GROUP = 32
_TILE_N, _TILE_D = 128, 64
_LOWEST = tl.constexpr(-3.0e38)  # not -inf, which makes NaN in masked lanes


@triton.jit
def _group_max(
    queries,
    codes,
    bias,
    top,
    n_queries,
    n,
    n_groups,
    dim,
    has_bias: tl.constexpr,
    tile_q: tl.constexpr,
    tile_n: tl.constexpr,
    tile_d: tl.constexpr,
    group: tl.constexpr,
):
    tiles = tl.cdiv(n_queries, tile_q)  # programs in a row share a tile of the base
    tile = tl.program_id(0) // tiles
    q = tl.program_id(0) % tiles * tile_q + tl.arange(0, tile_q)
    row = tile * tile_n + tl.arange(0, tile_n)
    score = tl.zeros((tile_q, tile_n), dtype=tl.float32)
    for first in range(0, dim, tile_d):
        d = first + tl.arange(0, tile_d)
        at_q = queries + q[:, None].to(tl.int64) * dim + d[None, :]
        a = tl.load(at_q, mask=(q[:, None] < n_queries) & (d[None, :] < dim), other=0.0)
        at_n = codes + row[None, :].to(tl.int64) * dim + d[:, None]
        b = tl.load(at_n, mask=(row[None, :] < n) & (d[:, None] < dim), other=0.0)
        score = tl.dot(a, b, acc=score, input_precision="ieee")
    if has_bias:
        score -= tl.load(bias + row, mask=row < n, other=0.0)[None, :]
    score = tl.where(row[None, :] < n, score, _LOWEST)
    best = tl.max(tl.reshape(score, (tile_q, tile_n // group, group)), axis=2)
    g = tile * (tile_n // group) + tl.arange(0, tile_n // group)
    place = q[:, None].to(tl.int64) * n_groups + g[None, :]
    tl.store(top + place, best, mask=(q[:, None] < n_queries) & (g[None, :] < n_groups))


def group_max(queries: Tensor, block: Block) -> Tensor:
    """Largest coarse score of each `GROUP` rows of a block: (Q, D) -> (Q, groups) float32."""
    n, dim = block.codes.shape
    n_groups = triton.cdiv(n, GROUP)
    top = torch.empty(len(queries), n_groups, dtype=torch.float32, device=queries.device)
    bias = top if block.bias is None else block.bias
    tile_q = 16 if len(queries) <= 16 else 64
    grid = (triton.cdiv(n, _TILE_N) * triton.cdiv(len(queries), tile_q),)
    sizes = (len(queries), n, n_groups, dim)
    tiles = {"tile_q": tile_q, "tile_n": _TILE_N, "tile_d": _TILE_D, "group": GROUP}
    has_bias = block.bias is not None
    _group_max[grid](queries, block.codes, bias, top, *sizes, has_bias=has_bias, **tiles)
    return top


def scan_triton(index: Index, queries: Tensor, k: int, dtype: torch.dtype) -> Pairs:
    """As `geolab.kernels.topk_scan.scan_torch`, with the product and the maximum fused."""
    z = encode_queries(index, queries, dtype)
    most = max(room(k) // GROUP, 2 * k)  # groups opened for one query
    best = torch.full((len(queries), k), -torch.inf, device=queries.device)
    count = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    found = []
    for block in blocks(index, len(queries), dtype):
        bound = error_bound(index, z, block)
        count[~(bound < TOO_WIDE)] = most + 1
        top = group_max(z.codes, block)  # (Q, groups)
        low = (top - bound[:, None]).topk(min(k, top.shape[1]), dim=1).values
        best = torch.cat([best, low], dim=1).topk(k, dim=1).values
        up = top + bound[:, None]
        hit = up >= best[:, -1:]
        count += hit.sum(dim=1) * (count <= most)
        query, group = torch.nonzero(hit & (count <= most)[:, None], as_tuple=True)
        found.append((query, block.start + group * GROUP, up[query, group]))
    query, first, up = (torch.cat(parts) for parts in zip(*found, strict=True))
    keep = (up >= best[query, -1]) & (count[query] <= most)
    return *_expand(query[keep], first[keep], index.shape[0]), count <= most


def _expand(query: Tensor, first: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Groups to their rows: (P,) -> (P GROUP,), less what lies past the end."""
    row = (first[:, None] + torch.arange(GROUP, device=first.device)).flatten()
    query = query.repeat_interleave(GROUP)
    return query[row < n], row[row < n]
