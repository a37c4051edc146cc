"""The compiled CPU parts of `geolab.kernels.topk`: selection, matrix-vector product, scoring again.

`select` walks the block of scores that a matrix product has just left in the cache, 128 columns at
a time; a vectorised comparison rejects nearly all of them. What passes goes to a short list per
query with the interval [low, up] that its true score lies in; when the list is full, the k-th
largest low end becomes the new threshold, and entries whose up end is below it are dropped.
`matvec` reads bfloat16 codes once for one to four queries (N D 2 bytes: the limit is memory).
`score_pairs` takes float64 sums of the rows that are left. Each takes a range of its outermost
loop, for `geolab.kernels.threads.for_rows`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_FAST = {"reassoc", "contract", "nsz"}  # sums may be reordered; NaN and infinity keep their meaning
GIVEN_UP = -1


@njit(inline="always")
def _widen(bits):
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)  # bfloat16 -> float32


@njit(inline="always")
def _same(value):
    return value


@njit
def _tighten(low, up, index, n, k):
    """Drop what can't be among the k best; new length and threshold."""
    if n < k:
        return n, np.float32(-np.inf)
    top = np.partition(low[:n], n - k)[n - k]
    kept = 0
    for i in range(n):
        if up[i] >= top:
            low[kept], up[kept], index[kept] = low[i], up[i], index[i]
            kept += 1
    return kept, top


def _make_select(load):
    @njit(inline="always")
    def _any_reach(part, offset, unit, wall):
        hits = np.int32(0)
        for j in range(len(part)):  # from 0, so that no index needs a sign check: vectorises
            v = load(part[j])
            hits |= np.int32(v - offset[j] + abs(v) * unit >= wall)
        return hits != 0

    @njit(nogil=True)
    def select(
        first_q, last_q, scores, bias, start, bound, unit, k, low, up, index, count, limit, top
    ):
        n_columns, room = scores.shape[1], low.shape[1]
        for q in range(first_q, last_q):
            n = count[q]
            if n == GIVEN_UP:
                continue
            wall = top[q] - bound[q]
            for first in range(0, n_columns, 128):
                part, offset = scores[q, first : first + 128], bias[first : first + 128]
                if not _any_reach(part, offset, unit, wall):
                    continue
                for j in range(len(part)):
                    v = load(part[j])
                    value, slack = v - offset[j], abs(v) * unit
                    if value + slack >= wall:
                        low[q, n] = value - slack - bound[q]
                        up[q, n] = value + slack + bound[q]
                        index[q, n] = start + first + j
                        n += 1
                        if n == limit[q]:
                            n, wall = _tighten(low[q], up[q], index[q], n, k)
                            top[q] = max(top[q], wall)
                            wall = top[q] - bound[q]
                            limit[q] = min(room, 2 * n + 64)
                            if 2 * n > room:
                                n = GIVEN_UP
                                break
                if n == GIVEN_UP:
                    break
            count[q] = n

    return select


select_bf16 = _make_select(_widen)
select_f32 = _make_select(_same)


@njit(nogil=True)
def finish(k, low, up, index, count, top):
    """Last tightening of every list."""
    for q in range(len(count)):
        if count[q] != GIVEN_UP:
            count[q], top[q] = _tighten(low[q], up[q], index[q], count[q], k)


@njit(nogil=True, fastmath=_FAST)
def matvec(first, last, codes, z, out):
    """`out` (Q, B) = z (Q, D) float32 times codes (B, D) bfloat16 bits; one pass over the codes."""
    for i in range(first, last):
        for q in range(z.shape[0]):
            total = np.float32(0)
            for j in range(codes.shape[1]):
                total += _widen(codes[i, j]) * z[q, j]
            out[q, i] = total


@njit(nogil=True, fastmath=_FAST)
def score_pairs(first, last, queries, base, query, row, metric, out):
    """float64 score of each pair, larger is better; `metric` 0 ip, 1 l2 (negated), 2 cosine."""
    for p in range(first, last):
        dot, apart, qq, xx = 0.0, 0.0, 0.0, 0.0
        q, x = queries[query[p]], base[row[p]]
        for j in range(base.shape[1]):
            a, b = np.float64(q[j]), np.float64(x[j])
            dot += a * b
            apart += (a - b) * (a - b)
            qq += a * a
            xx += b * b
        if metric == 1:
            out[p] = -apart
        elif metric == 2:
            out[p] = dot / np.sqrt(qq * xx) if qq * xx > 0 else 0.0
        else:
            out[p] = dot
