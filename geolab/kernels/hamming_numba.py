"""The compiled CPU part of `geolab.kernels.hamming`: distances, running threshold, final order.

A row can still count only if its distance is below the *wall*: the k-th smallest distance so far
(rows come in order, so a later row loses a tie). A histogram of the distances kept moves the wall
in constant time, and there is never a sort: the final order is read off the same histogram.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_TILE = 1024  # rows compared at once: 8 KB for each word of a code, which stays in the cache
GROUP = 8  # queries that share a tile while it is there


@intrinsic
def popcount(typing_context, word):
    """Set bits of an int64: LLVM's ``ctpop``, one vector instruction where the CPU has it."""

    def generate(context, builder, signature, arguments):
        function = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(function, arguments)

    return types.int64(types.int64), generate


@njit(nogil=True)
def _distances(query, words, first, out):
    """Distances of rows first .. first + len(out) of words (W, N) to one query (W,)."""
    n, n_words = len(out), len(query)
    out[:] = 0
    w = 0
    while w + 4 <= n_words:  # four words at once: a quarter of the additions to memory
        r0, r1 = words[w, first : first + n], words[w + 1, first : first + n]
        r2, r3 = words[w + 2, first : first + n], words[w + 3, first : first + n]
        q0, q1, q2, q3 = query[w], query[w + 1], query[w + 2], query[w + 3]
        for j in range(n):
            half = popcount(q0 ^ r0[j]) + popcount(q1 ^ r1[j])
            out[j] += np.int32(half + popcount(q2 ^ r2[j]) + popcount(q3 ^ r3[j]))
        w += 4
    while w < n_words:
        row, word = words[w, first : first + n], query[w]
        for j in range(n):
            out[j] += np.int32(popcount(word ^ row[j]))
        w += 1


@njit(nogil=True)
def _collect(distance, first, k, seen, state, kept):
    """Append rows below the wall to kept (2, room); state holds (length, wall, kept below it)."""
    n, wall, below = state[0], state[1], state[2]
    for begin in range(0, len(distance), 64):
        part = distance[begin : begin + 64]
        hits = np.int32(0)
        for j in range(len(part)):  # from 0, so that no index needs a sign check: vectorises
            hits |= np.int32(part[j] < wall)
        if hits == 0:
            continue
        for j in range(len(part)):
            d = part[j]
            if d >= wall:
                continue
            if n == kept.shape[1]:
                n = _compact(kept, wall)
            kept[0, n], kept[1, n] = d, first + begin + j
            n += 1
            seen[d] += 1
            below += 1
            while below >= k:  # k rows are nearer than the wall: it moves to the k-th of them
                wall -= 1
                below -= seen[wall]
    state[0], state[1], state[2] = n, wall, below


@njit(nogil=True)
def _compact(kept, wall):
    """Drop rows beyond the wall; at most 2 k stay."""
    n = 0
    for i in range(kept.shape[1]):
        if kept[0, i] <= wall:
            kept[0, n], kept[1, n] = kept[0, i], kept[1, i]
            n += 1
    return n


@njit(nogil=True)
def _order(kept, n, seen, distance, index):
    """The k best by (distance, row): a counting sort of rows that are already in order."""
    k, total = len(distance), 0
    for d in range(len(seen)):  # counts -> first places
        seen[d], total = total, total + seen[d]
    for i in range(n):
        d = kept[0, i]
        place = seen[d]
        seen[d] += 1
        if place < k:
            distance[place], index[place] = d, kept[1, i]


@njit(nogil=True)
def search(start, stop, queries, words, distance, index):
    """Queries start .. stop of (Q, W), base words (W, N), int64 -> distance, index (Q, k)."""
    n_words, n, k = len(words), words.shape[1], distance.shape[1]
    for begin in range(start, stop, GROUP):
        size = min(GROUP, stop - begin)
        seen = np.zeros((size, 64 * n_words + 2), np.int64)
        state = np.zeros((size, 3), np.int64)
        state[:, 1] = 64 * n_words + 1
        kept = np.empty((size, 2, 4 * k + 64), np.int64)
        tile = np.empty(_TILE, np.int32)
        for first in range(0, n, _TILE):
            out = tile[: min(_TILE, n - first)]
            for q in range(size):
                _distances(queries[begin + q], words, first, out)
                _collect(out, first, k, seen[q], state[q], kept[q])
        for q in range(size):
            row = begin + q
            _order(kept[q], state[q, 0], seen[q], distance[row], index[row])
