r"""Prototype scores: PIGEON's refinement inside the best geocells, for a whole batch at once.

For a query embedding e and its top-K geocells k with probability :math:`P_k`, only the nearest
prototype of each cell competes:

.. math:: d_k = \min_j \lVert e - p_{kj} \rVert_2, \qquad
          s_k = P_k \cdot \operatorname{softmax}_k(-d_k / T), \qquad \hat k = \arg\max_k s_k

(Haas, Skreta, Alberti and Finn, "PIGEON", CVPR 2024, hierarchical guess refinement.) The softmax
is stable. A cell without prototypes scores 0; if no cell has any, the most probable one wins.
Prototypes lie in one table sorted by cell: one ragged gather, 3 D flops for each one read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from geolab.kernels import dispatch
from geolab.kernels.threads import for_rows

_BLOCK = 1 << 18  # numbers gathered at once: 1 MB
_SERIAL = 1 << 15  # torch uses threads from here on, and waking them costs more than a check


@dataclass(frozen=True)
class PrototypeTable:
    """Prototypes (P, D) of C cells; rows ``offsets[c]:offsets[c + 1]`` belong to cell c.

    A cell may have none. A ValueError tells when the offsets do not rise from 0 to P.
    """

    vectors: Tensor
    offsets: Tensor

    def __post_init__(self) -> None:
        ends = self.offsets
        ok = ends.ndim == 1 and len(ends) > 1 and self.vectors.ndim == 2
        if not (ok and ends[0] == 0 and ends[-1] == len(self.vectors) and (ends.diff() >= 0).all()):
            raise ValueError(
                "offsets (C + 1,) must rise from 0 to the number of prototypes (P, D), not "
                f"{tuple(ends.shape)} for vectors {tuple(self.vectors.shape)}"
            )


class PrototypeScores(NamedTuple):
    """What the refinement found; B photos, K cells each."""

    winner: Tensor  # (B,) column of the winning cell
    scores: Tensor  # (B, K) cell probability times the softmax of its nearest prototype
    nearest: Tensor  # (B, K) row of that prototype in the table; -1 where the cell has none
    distance: Tensor  # (B, K) to it; infinity where there is none


def prototype_scores_reference(
    emb: Tensor, cells: Tensor, probs: Tensor, prototypes: PrototypeTable, temperature: float
) -> PrototypeScores:
    """Plain form of `prototype_scores`: a loop over photos and their cells."""
    _check(emb, cells, probs, prototypes, temperature)
    nearest = torch.full_like(cells, -1)
    distance = torch.full(cells.shape, math.inf, dtype=emb.dtype)
    for b, row in enumerate(cells.tolist()):
        for k, cell in enumerate(row):
            start, end = prototypes.offsets[cell : cell + 2].tolist()
            if end > start:
                gaps = torch.linalg.vector_norm(prototypes.vectors[start:end] - emb[b], dim=-1)
                distance[b, k], at = gaps.min(0)
                nearest[b, k] = start + at
    return _score(probs, nearest, distance, temperature)


def prototype_scores(
    emb: Tensor,
    cells: Tensor,
    probs: Tensor,
    prototypes: PrototypeTable,
    temperature: float,
    *,
    backend: str = "auto",
) -> PrototypeScores:
    """Refine the choice among the top cells by their nearest prototypes.

    Parameters
    ----------
    emb : Tensor, shape (B, D)
        In the dtype of the prototypes.
    cells, probs : Tensor, shape (B, K)
        Candidate cells (int64) and their probabilities, which need not sum to 1.
    prototypes : PrototypeTable
    temperature : float
        T, in units of the distance. Only the reference gives gradients of the distances.

    Raises
    ------
    ValueError
        If shapes, dtypes or devices disagree, a cell is not in the table, an embedding or a
        probability is not finite, or the temperature is not positive.
    """
    _check(emb, cells, probs, prototypes, temperature)
    path = dispatch.choose(backend, emb)
    if path == "triton":
        from geolab.kernels.prototypes_triton import nearest_triton

        nearest, distance = nearest_triton(emb, cells, prototypes.vectors, prototypes.offsets)
    elif path == "numba":
        nearest, distance = torch.empty_like(cells), emb.new_empty(cells.shape)
        tensors = (emb, cells, prototypes.vectors, prototypes.offsets, nearest, distance)
        run, arrays = _compiled(), [tensor.detach().contiguous().numpy() for tensor in tensors]
        for_rows(lambda start, stop: run(start, stop, *arrays), len(cells), 16)
    else:
        nearest, distance = _gathered(emb, cells, prototypes)
    return _score(probs, nearest, distance, temperature)


def _check(emb, cells, probs, prototypes: PrototypeTable, temperature: float) -> None:
    vectors, n_cells = prototypes.vectors, len(prototypes.offsets) - 1
    if emb.ndim != 2 or emb.shape[1] != vectors.shape[1] or emb.dtype != vectors.dtype:
        raise ValueError(
            f"emb {tuple(emb.shape)} {emb.dtype} does not fit prototypes "
            f"{tuple(vectors.shape)} {vectors.dtype}"
        )
    fits = cells.ndim == 2 and cells.shape == probs.shape and len(cells) == len(emb)
    if not (fits and cells.shape[1]):
        raise ValueError(
            f"cells and probs must be (B, K) with B = {len(emb)}, K >= 1, "
            f"not {tuple(cells.shape)} and {tuple(probs.shape)}"
        )
    devices = {t.device for t in (emb, cells, probs, vectors, prototypes.offsets)}
    if len(devices) > 1:
        raise ValueError(f"all tensors must be on one device, not {sorted(map(str, devices))}")
    if cells.numel() and not (cells.min() >= 0 and cells.max() < n_cells):
        raise ValueError(f"cells must be in 0..{n_cells - 1}, not {cells.min()}..{cells.max()}")
    for name, values in (("emb", emb), ("probs", probs)):
        rows = len(values) if values.is_cuda else _SERIAL // max(1, values.shape[1])
        if not all(math.isfinite(part.sum()) for part in values.split(max(1, rows))):
            bad = ~torch.isfinite(values).all(-1)
            if bad.any():
                raise ValueError(f"{name} row {int(bad.nonzero()[0])} is not finite")
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be positive, not {temperature}")


def _score(probs: Tensor, nearest: Tensor, distance: Tensor, temperature: float) -> PrototypeScores:
    known = (nearest >= 0).any(-1, keepdim=True)
    logits = torch.where(known, -distance / temperature, 0.0)  # no prototypes at all: probs decide
    scores = probs * torch.softmax(logits, dim=-1).to(probs.dtype)
    return PrototypeScores(scores.argmax(-1), scores, nearest, distance)


@torch.no_grad()
def _gathered(emb: Tensor, cells: Tensor, prototypes: PrototypeTable) -> tuple[Tensor, Tensor]:
    """Nearest prototypes by ragged gathers, a few photos at a time."""
    k, dim = cells.shape[1], emb.shape[1]
    start = prototypes.offsets[cells].flatten()  # (B, K) -> (B * K,)
    count = prototypes.offsets[cells + 1].flatten() - start
    nearest = torch.full_like(start, -1)
    distance = emb.new_full(start.shape, math.inf)
    rows = max(1, int(_BLOCK / max(1.0, count.double().mean().item() * dim))) if len(start) else 1
    buffers = emb.new_empty(2, max(int(n.sum()) for n in count.split(rows)), dim)  # fresh is slow
    for a, n in zip(range(0, len(start), rows), count.split(rows), strict=False):
        owner = torch.repeat_interleave(torch.arange(len(n), device=n.device), n)  # (T,)
        row = (start[a : a + rows] - n.cumsum(0) + n)[owner]
        row += torch.arange(len(row), device=n.device)
        theirs, mine = buffers[:, : len(row)]  # (T, D) each
        torch.index_select(prototypes.vectors, 0, row, out=theirs)
        torch.index_select(emb, 0, (a + owner) // k, out=mine)
        gap = torch.linalg.vector_norm(theirs.sub_(mine), dim=-1)
        best = distance[a : a + rows].scatter_reduce_(0, owner, gap, "amin")
        first = torch.where(gap == best[owner], row, len(prototypes.vectors))
        found = torch.full_like(n, len(prototypes.vectors)).scatter_reduce_(0, owner, first, "amin")
        nearest[a : a + rows] = torch.where(n > 0, found, -1)
    return nearest.view(cells.shape), distance.view(cells.shape)  # (B * K,) -> (B, K)


@lru_cache(maxsize=1)
def _compiled():
    """Compile the search with numba on first use (about a second)."""
    import numba

    @numba.njit(fastmath={"contract", "reassoc"}, nogil=True)
    def run(start, stop, emb, cells, vectors, offsets, nearest, distance):
        for b in range(start, stop):
            e = emb[b]
            for k in range(cells.shape[1]):
                best, at = math.inf, -1
                for row in range(offsets[cells[b, k]], offsets[cells[b, k] + 1]):
                    p, total = vectors[row], e[0] * 0
                    for d in range(len(e)):
                        total += (e[d] - p[d]) * (e[d] - p[d])
                    if total < best:
                        best, at = total, row
                nearest[b, k], distance[b, k] = at, math.sqrt(best)

    return run
