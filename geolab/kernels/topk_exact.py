"""The exact end of `geolab.kernels.topk`: rows in, float64 scores, order with ties by row.

`topk_reference` is the definition. The rest scores a list of pairs, or every row, in that way.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from geolab.kernels.threads import for_rows

METRICS = ("ip", "l2", "cosine")
_BLOCK = 1 << 20  # float64 entries worked on at once: 8 MB


def check_rows(rows: Tensor | np.ndarray, name: str) -> None:
    """Refuse what is not a non-empty (rows, D) array of float32, float16 or bfloat16."""
    if not isinstance(rows, Tensor | np.ndarray):
        raise TypeError(f"{name} must be a tensor or a numpy array, not {type(rows).__name__}")
    if rows.ndim != 2 or 0 in rows.shape:
        shape = tuple(rows.shape)
        raise ValueError(f"{name} must be (rows, D) with at least one of each, not {shape}")
    if str(rows.dtype).removeprefix("torch.") not in ("float32", "float16", "bfloat16"):
        raise TypeError(f"{name} is {rows.dtype}; convert it to float32, float16 or bfloat16")


def take(base: Tensor | np.ndarray, rows: slice | Tensor) -> Tensor:
    """Rows of a tensor or of a (memory-mapped) array as a tensor; arrays are copied to memory."""
    if isinstance(base, Tensor):
        return base[rows]
    picked = np.array(base[rows] if isinstance(rows, slice) else base[rows.numpy()])
    if picked.dtype.name == "bfloat16":  # numpy's extension type, which torch can't read
        return torch.from_numpy(picked.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(picked)


def finite(rows: Tensor, name: str, start: int = 0) -> Tensor:
    """`rows` as float32, or a ValueError that names the first row with a NaN or infinity."""
    rows = rows.float()
    good = torch.isfinite(rows.sum(dim=1))
    if not good.all():  # a sum of finite numbers may overflow: look again, entry by entry
        bad = torch.nonzero(~torch.isfinite(rows).all(dim=1))
        if len(bad):
            row = int(bad[0])
            raise ValueError(f"{name} row {start + row} holds NaN or infinity; drop or repair it")
    return rows


def topk_reference(
    queries: Tensor, base: Tensor, k: int, *, metric: str = "ip"
) -> tuple[Tensor, Tensor]:
    """The definition in five lines: (Q, D), (N, D) -> (Q, k) scores and indices; differentiable.

    Scores are float64 inside and float32 outside, float64 for float64 queries.
    """
    rows = base.double()
    score = torch.stack([exact_scores(query, rows, metric) for query in queries.double()])  # (Q, N)
    score, index = score.sort(dim=1, descending=True, stable=True)
    score = -score[:, :k] if metric == "l2" else score[:, :k]
    return score if queries.dtype == torch.float64 else score.float(), index[:, :k]


def exact_scores(query: Tensor, rows: Tensor, metric: str) -> Tensor:
    """float64 scores of pairs, larger is better; equal rows get equal scores, to the last bit.

    (A matrix product does not promise that: its edges take another order of additions.)
    """
    if metric == "l2":
        return -(query - rows).square().sum(dim=-1)
    dot = (query * rows).sum(dim=-1)
    if metric == "ip":
        return dot
    length = torch.linalg.vector_norm(query, dim=-1) * torch.linalg.vector_norm(rows, dim=-1)
    return dot / length.clamp_min(torch.finfo(torch.float64).tiny)


def score_pairs(
    base: Tensor | np.ndarray, metric: str, queries: Tensor, query: Tensor, row: Tensor
) -> Tensor:
    """float64 scores (P,) of the pairs (queries[query], base[row]), larger is better."""
    score = torch.empty(len(row), dtype=torch.float64, device=row.device)
    step = max(1, _BLOCK // base.shape[1])
    for start in range(0, len(row), step):
        part = slice(start, start + step)
        rows = take(base, row[part]).double()
        score[part] = exact_scores(queries[query[part]].double(), rows, metric)
    return score


def score_pairs_numba(
    base: Tensor | np.ndarray, metric: str, queries: Tensor, query: Tensor, row: Tensor
) -> Tensor:
    """As `score_pairs`, compiled; other bases than contiguous float32 take the plain form."""
    array = base.detach().numpy() if is_float32(base) and isinstance(base, Tensor) else base
    if not is_float32(base) or not array.flags.c_contiguous:
        return score_pairs(base, metric, queries, query, row)
    from geolab.kernels import topk_numba as compiled

    score = torch.empty(len(row), dtype=torch.float64)
    pairs = (query.numpy(), row.numpy(), METRICS.index(metric), score.numpy())
    arrays = (queries.numpy(), array.view(np.ndarray), *pairs)
    for_rows(lambda i, j: compiled.score_pairs(i, j, *arrays), len(row), 1024)
    return score


def is_float32(base: Tensor | np.ndarray) -> bool:
    """Whether a tensor or an array holds float32."""
    return str(base.dtype).endswith("float32")


def best_pairs(query: Tensor, row: Tensor, score: Tensor, n_queries: int, k: int, n: int) -> tuple:
    """The k best of each query's pairs, ties by row: (P,) -> (Q, k)."""
    order = torch.argsort(query * n + row)
    query, row, score = query[order], row[order], score[order]
    count = torch.bincount(query, minlength=n_queries)
    slot = torch.arange(len(query), device=query.device) - (count.cumsum(0) - count)[query]
    longest = max(k, int(count.max()))
    value = torch.full((n_queries, longest), -torch.inf, dtype=score.dtype, device=score.device)
    where = torch.zeros((n_queries, longest), dtype=torch.int64, device=row.device)
    value[query, slot], where[query, slot] = score, row
    value, order = value.sort(dim=1, descending=True, stable=True)
    return value[:, :k], where.gather(1, order[:, :k])


def exhaustive(
    base: Tensor | np.ndarray, metric: str, queries: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Every row in float64, in blocks; ties stay in the order of the rows."""
    n, dim = base.shape
    step = max(1, _BLOCK // dim)
    queries = queries.double()
    score = queries.new_empty(len(queries), 0)
    where = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
    for start in range(0, n, step):
        rows = take(base, slice(start, min(start + step, n))).double()
        new = torch.stack([exact_scores(query, rows, metric) for query in queries])  # (Q, B)
        place = torch.arange(start, start + len(rows), device=where.device)
        score, order = torch.cat([score, new], dim=1).sort(dim=1, descending=True, stable=True)
        where = torch.cat([where, place.expand(len(queries), -1)], dim=1).gather(1, order)
        score, where = score[:, :k], where[:, :k]
    return score, where
