"""One coarse pass over a base that keeps every row that may be among the k best of a query.

A row is kept if the upper end of its score's interval reaches the k-th largest lower end seen so
far. So the list is complete by construction: no row is lost, whatever the data. Only its length
depends on them. A query whose list outgrows the room is reported as not complete, and
`geolab.kernels.topk` scans again for it with a finer coarse score.

Selection, not the product, is what costs in plain torch (``topk`` over 8,192 columns takes as long
as a bfloat16 product of depth 512). So the maximum over groups of `GROUP` columns is taken first,
over a strided axis, which is the fast one; only groups that reach the threshold are opened.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from geolab.kernels.threads import for_rows
from geolab.kernels.topk_index import Block, Index, blocks, encode_queries, error_bound

GROUP = 32
TOO_WIDE = 1e30  # a bound that no score can be compared under

Pairs = tuple[Tensor, Tensor, Tensor]  # query (P,), base row (P,), complete (Q,)


def room(k: int) -> int:
    """Longest list of candidates kept for one query."""
    return 1024 + 8 * k


def scores(z: Tensor, block: Block, out: Tensor | None = None) -> Tensor:
    """Coarse scores (Q, B) in the dtype of the codes; the bias is left out."""
    return torch.mm(z, block.codes.T, out=out)


def scan_torch(index: Index, queries: Tensor, k: int, dtype: torch.dtype) -> Pairs:
    """Candidates for the k best rows of each query (Q, D); any device."""
    z = encode_queries(index, queries, dtype)
    n_queries, device = len(queries), queries.device
    best = torch.full((n_queries, k), -torch.inf, device=device)  # largest lower ends
    count = torch.zeros(n_queries, dtype=torch.int64, device=device)  # rows found
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for block in blocks(index, n_queries, dtype):
        bound = error_bound(index, z, block)  # (Q,)
        count[~(bound < TOO_WIDE)] = room(k) + 1
        value = scores(z.codes, block)
        best, hit = _open_groups(value, block, bound, best)
        hit &= (count <= room(k))[:, None]
        found.append(_members(value, block, bound, best[:, -1], hit))
        count += torch.bincount(found[-1][0], minlength=n_queries)
    query, row, up = (torch.cat(parts) for parts in zip(*found, strict=True))
    keep = (up >= best[query, -1]) & (count[query] <= room(k))
    return query[keep], row[keep], count <= room(k)


def _interval(value: Tensor, block: Block, columns: Tensor, bound: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper end of the true scores; `bound` broadcasts against `value`."""
    unit = 2.0**-8 if value.dtype == torch.bfloat16 else 2.0**-23
    value = value.float()
    spread = value.abs() * (unit * 1.001) + bound
    if block.bias is not None:
        value = value - block.bias[columns]
    return value - spread, value + spread


def _open_groups(value: Tensor, block: Block, bound: Tensor, best: Tensor) -> tuple[Tensor, Tensor]:
    """New k largest lower ends (Q, k), and which groups (Q, S) may hold a row that counts.

    Column j belongs to group ``j % S``. Different groups have different rows, so the k-th largest
    lower end over groups is no larger than the one over rows.
    """
    k = best.shape[1]
    n_groups = _n_groups(value.shape[1], k)
    columns = torch.arange(value.shape[1], device=value.device)
    if block.bias is None:  # both ends grow with the value, so the largest value decides
        top = value.view(len(value), -1, n_groups).amax(dim=1)  # (Q, B) -> (Q, G, S) -> (Q, S)
        low, up = _interval(top, block, columns[:n_groups], bound[:, None])
    else:
        low, up = _interval(value, block, columns, bound[:, None])
        low = low.view(len(value), -1, n_groups).amax(dim=1)  # (Q, B) -> (Q, S)
        up = up.view(len(value), -1, n_groups).amax(dim=1)
    best = torch.cat([best, low.topk(min(k, n_groups), dim=1).values], dim=1)
    best = best.topk(k, dim=1).values
    return best, up >= best[:, -1:]


def _n_groups(n_columns: int, k: int) -> int:
    """Groups of a block, twice as many as k if it has the columns: fewer set no threshold."""
    size = GROUP
    while size > 1 and (n_columns % size or n_columns < 2 * k * size):
        size //= 2
    return n_columns // size


def _members(
    value: Tensor, block: Block, bound: Tensor, wall: Tensor, hit: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of the opened groups that reach the threshold: query, base row, upper end."""
    n_groups = hit.shape[1]
    query, group = torch.nonzero(hit, as_tuple=True)  # (H,)
    step = torch.arange(0, value.shape[1], n_groups, device=value.device)  # (G,)
    column = group[:, None] + step  # (H, G)
    _, up = _interval(value[query[:, None], column], block, column, bound[query, None])
    which, member = torch.nonzero(up >= wall[query, None], as_tuple=True)
    return query[which], block.start + column[which, member], up[which, member]


def scan_numba(index: Index, queries: Tensor, k: int, dtype: torch.dtype) -> Pairs:
    """As `scan_torch`, with compiled selection; CPU."""
    from geolab.kernels import topk_numba as compiled

    few = len(queries) <= 4 and dtype == torch.bfloat16  # one pass over the codes, z not rounded
    z = encode_queries(index, queries, torch.float32 if few else dtype)
    lists = _empty_lists(len(queries), k)
    buffer = torch.empty(0, dtype=z.codes.dtype)
    for block in blocks(index, len(queries), dtype):
        bound = error_bound(index, z, block)
        lists["count"][~(bound < TOO_WIDE).numpy()] = compiled.GIVEN_UP
        shape = (len(queries), len(block.codes))
        if buffer.shape != shape:
            buffer = torch.empty(shape, dtype=z.codes.dtype)
        if few:
            codes = block.codes.view(torch.uint16).numpy()
            arrays = (codes, z.codes.numpy(), buffer.numpy())
            for_rows(partial(_call, compiled.matvec, arrays), len(codes), 4096)
        else:
            scores(z.codes, block, buffer)
        _select(buffer, block, bound, k, lists)
    compiled.finish(k, *(lists[name] for name in ("low", "up", "index", "count", "top")))
    return _flatten(lists)


def _select(value: Tensor, block: Block, bound: Tensor, k: int, lists: dict) -> None:
    from geolab.kernels import topk_numba as compiled

    bias = torch.zeros(value.shape[1]) if block.bias is None else block.bias
    if value.dtype == torch.float32:
        select, array, unit = compiled.select_f32, value.numpy(), 2.0**-23
    else:
        select, array, unit = compiled.select_bf16, value.view(torch.uint16).numpy(), 2.0**-8
    arrays = (array, bias.numpy(), block.start, bound.numpy(), np.float32(unit * 1.001), k)
    rows_each = max(16, (1 << 18) // value.shape[1])
    for_rows(partial(_call, select, (*arrays, *lists.values())), len(value), rows_each)


def _call(function: Callable, arguments: tuple, start: int, stop: int) -> None:
    function(start, stop, *arguments)


def _empty_lists(n_queries: int, k: int) -> dict:
    size = (n_queries, room(k))
    lists = {
        "low": torch.empty(size),
        "up": torch.empty(size),
        "index": torch.empty(size, dtype=torch.int64),
        "count": torch.zeros(n_queries, dtype=torch.int64),
        "limit": torch.full((n_queries,), min(room(k), 2 * k + 64)),
        "top": torch.full((n_queries,), -torch.inf),
    }
    return {name: tensor.numpy() for name, tensor in lists.items()}


def _flatten(lists: dict) -> Pairs:
    count = torch.from_numpy(lists["count"])
    used = torch.arange(max(int(count.max()), 0)) < count[:, None]  # (Q, longest)
    query, slot = torch.nonzero(used, as_tuple=True)
    return query, torch.from_numpy(lists["index"])[query, slot], count >= 0
