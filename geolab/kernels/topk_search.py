"""Scans in turn, coarse to fine, until every query of a tile has its proven answer."""

from __future__ import annotations

import torch
from torch import Tensor

from geolab.kernels.precision import bf16_speed
from geolab.kernels.topk_exact import best_pairs, exhaustive, score_pairs, score_pairs_numba
from geolab.kernels.topk_index import Index
from geolab.kernels.topk_scan import scan_numba, scan_torch

GAIN = 1.6  # speed of bfloat16 over float32 products above which coding pays
WIDE = 32  # columns above which it does: shorter vectors crowd within the bound
_MANY = 128  # queries above which it pays even for a single search


def plan(index: Index, n_queries: int, path: str) -> list:
    """Scans to try, coarse first."""
    fine = (scan_numba if path == "numba" else scan_torch, torch.float32)
    if path == "triton":
        from geolab.kernels.topk_triton import scan_triton

        return [(scan_triton, torch.float32 if index.codes is None else index.codes.dtype), fine]
    usable = index.device.type == "cpu" and index.shape[1] >= WIDE
    speed = bf16_speed() if usable else 0.0
    ready = index.codes is not None and index.codes.dtype == torch.bfloat16
    if speed and (ready or (n_queries >= _MANY and speed > GAIN)):
        return [(fine[0], torch.bfloat16), fine]
    return [fine]


def search(index: Index, queries: Tensor, k: int, path: str, counts: dict) -> tuple:
    """Scores (Q, k) float64 and indices (Q, k) of one tile of queries."""
    scores = queries.new_zeros(len(queries), k, dtype=torch.float64)
    indices = torch.arange(k, device=queries.device).repeat(len(queries), 1)
    todo = torch.arange(len(queries), device=queries.device)
    if index.metric != "l2":  # a zero query ties with every row: the first k it is
        todo = todo[queries.any(dim=1)]
    score_all = score_pairs_numba if path == "numba" else score_pairs
    for step, (scan, dtype) in enumerate(plan(index, len(queries), path)):
        if len(todo) == 0:
            break
        counts["float32"] += len(todo) if step else 0
        query, row, done = scan(index, queries[todo], k, dtype)
        score = score_all(index.base, index.metric, queries, todo[query], row)
        counts["pairs"] += len(row)
        best, where = best_pairs(query, row, score, len(todo), k, index.shape[0])
        scores[todo[done]], indices[todo[done]] = best[done], where[done]
        todo = todo[~done]
    if len(todo):
        counts["float64"] += len(todo)
        scores[todo], indices[todo] = exhaustive(index.base, index.metric, queries[todo], k)
    return (-scores if index.metric == "l2" else scores), indices
