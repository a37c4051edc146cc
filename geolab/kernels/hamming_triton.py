"""The GPU part of `geolab.kernels.hamming`.

One program compares a tile of queries with a tile of rows, word by word, and writes only the
smallest key ``d N + row`` of each `GROUP` rows. Keys are never tied, so the k best rows lie in the
k groups with the smallest keys: those k GROUP rows are compared again and sorted. Memory traffic is
8 Q N / GROUP bytes instead of the 4 Q N of a full distance matrix. Limit: 16 popcounts a clock and
multiprocessor, here 12 integer operations each, since a library popcount would tie the kernel to
one maker's devices.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from geolab.kernels.hamming import as_words

GROUP = 32
_TILE_Q, _TILE_N = 16, 128
_QUERIES = 256  # taken together: bounds the memory for keys
_FAR = tl.constexpr(1 << 62)


@triton.jit
def _popcount(x):
    """Set bits of int32 words, by sums of neighbouring fields (Hacker's Delight, 5-1)."""
    x = x - ((x >> 1) & 0x55555555)
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return ((x * 0x01010101) >> 24) & 0x3F


@triton.jit
def _group_keys(
    queries,
    base,
    keys,
    n_queries,
    n,
    n_groups,
    n_words,
    tile_q: tl.constexpr,
    tile_n: tl.constexpr,
    group: tl.constexpr,
):
    tiles = tl.cdiv(n_queries, tile_q)  # programs in a row share a tile of the base
    tile = tl.program_id(0) // tiles
    q = tl.program_id(0) % tiles * tile_q + tl.arange(0, tile_q)
    row = tile * tile_n + tl.arange(0, tile_n)
    distance = tl.zeros((tile_q, tile_n), dtype=tl.int32)
    for w in range(n_words):
        a = tl.load(queries + q.to(tl.int64) * n_words + w, mask=q < n_queries, other=0)
        b = tl.load(base + row.to(tl.int64) * n_words + w, mask=row < n, other=0)
        distance += _popcount(a[:, None] ^ b[None, :])
    key = distance.to(tl.int64) * n + row[None, :]
    key = tl.where(row[None, :] < n, key, _FAR)
    key = tl.reshape(key, (tile_q, tile_n // group, group))
    best = tl.min(key, axis=2)
    g = tile * (tile_n // group) + tl.arange(0, tile_n // group)
    place = q[:, None].to(tl.int64) * n_groups + g[None, :]
    tl.store(keys + place, best, mask=(q[:, None] < n_queries) & (g[None, :] < n_groups))


def hamming_triton(queries: Tensor, base: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As `geolab.kernels.hamming.hamming_topk` for checked tensors on one GPU."""
    words = as_words(base, torch.int32)  # (N, W)
    parts = [_tile(part, words, k) for part in as_words(queries, torch.int32).split(_QUERIES)]
    key = torch.cat(parts)  # (Q, k)
    return (key // len(base)).to(torch.int32), key % len(base)


def _tile(queries: Tensor, base: Tensor, k: int) -> Tensor:
    n = len(base)
    n_groups = triton.cdiv(n, GROUP)
    keys = torch.empty(len(queries), n_groups, dtype=torch.int64, device=base.device)
    grid = (triton.cdiv(n, _TILE_N) * triton.cdiv(len(queries), _TILE_Q),)
    sizes = (len(queries), n, n_groups, base.shape[1])
    _group_keys[grid](queries, base, keys, *sizes, tile_q=_TILE_Q, tile_n=_TILE_N, group=GROUP)
    group = keys.topk(min(k, n_groups), dim=1, largest=False).indices  # (Q, K)
    row = group[:, :, None] * GROUP + torch.arange(GROUP, device=base.device)
    row = row.flatten(1)  # (Q, K, GROUP) -> (Q, K GROUP)
    real = row < n
    distance = torch.zeros_like(row)
    for w in range(base.shape[1]):  # one word at a time keeps memory at Q K GROUP
        distance += _count(queries[:, w, None] ^ base[:, w][row.clamp_max(n - 1)])
    key = torch.where(real, distance * n + row, _FAR.value)
    return key.topk(k, dim=1, largest=False).values


def _count(x: Tensor) -> Tensor:
    x = x - ((x >> 1) & 0x55555555)
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return ((x * 0x01010101) >> 24) & 0x3F
