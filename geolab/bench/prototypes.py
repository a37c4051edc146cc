"""Cases of `geolab.kernels.prototypes`: refine the choice among each photo's five best cells.

Embeddings and prototypes are synthetic, in PIGEON's numbers: 2,203 cells, 26,322 prototypes of
1024 numbers. The peers are written from their descriptions: the control flow of PIGEON on tensors,
photo by photo and cell by cell, and the distances to every prototype with the other cells masked.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from geolab.bench.harness import Case
from geolab.bench.measure import Ceilings
from geolab.kernels.prototypes import PrototypeTable, prototype_scores, prototype_scores_reference

LOOP, MASKED = "a loop over photos and cells (PIGEON's form)", "torch.cdist to all, masked"
_TEMPERATURE = 1.6
Photos = tuple[Tensor, Tensor, Tensor]


def cases(big: bool) -> list[Case]:
    """256 photos by the compiled path and by plain torch; ``--big`` adds 4096 photos."""
    photos, table = example(256, 5, 2203, 26_322, 1024)
    made = [_case(photos, table, "auto", {LOOP: 0.3}), _case(photos, table, "torch", {LOOP: 0.3})]
    if big:
        made.append(_case(example(4096, 5, 2203, 26_322, 1024)[0], table, "auto", {LOOP: 0.3}))
    return made


def example(
    n_photos: int, k: int, n_cells: int, n_prototypes: int, dim: int
) -> tuple[Photos, PrototypeTable]:
    """Synthetic embeddings (B, D), cells and probabilities (B, K), and the table they fall into."""
    g = torch.Generator().manual_seed(n_photos)
    owner = torch.randint(n_cells, (n_prototypes,), generator=g)
    ends = owner.bincount(minlength=n_cells).cumsum(0)
    vectors = torch.randn(n_prototypes, dim, generator=g) / math.sqrt(dim)
    table = PrototypeTable(vectors, torch.cat([ends.new_zeros(1), ends]))
    emb = torch.randn(n_photos, dim, generator=g) / math.sqrt(dim)
    cells = torch.rand(n_photos, n_cells, generator=g).topk(k).indices
    return (emb, cells, torch.rand(n_photos, k, generator=g)), table


def refine_by_loop(photos: Photos, members: list[Tensor]) -> Tensor:
    """Winning column (B,) with a tensor of prototypes for each cell, one photo after the other."""
    winners = []
    for emb, cells, probs in zip(*photos, strict=True):
        distance = []
        for cell in cells:
            gaps = torch.linalg.vector_norm(members[cell.item()] - emb, dim=-1)
            distance.append(gaps[gaps.argmin().item()].item() if len(gaps) else math.inf)
        gaps = torch.tensor(distance, device=probs.device)
        score = probs * torch.softmax(-gaps / _TEMPERATURE, dim=0)
        winners.append(score.argmax().item())
    return torch.tensor(winners)


def refine_by_mask(photos: Photos, table: PrototypeTable) -> Tensor:
    """Winning column (B,) from all B x P distances."""
    emb, cells, probs = photos
    count = table.offsets.diff()
    owner = torch.repeat_interleave(torch.arange(len(count), device=emb.device), count)  # (P,)
    distance = torch.cdist(emb, table.vectors)  # (B, P)
    columns = [distance.masked_fill(owner != c[:, None], math.inf).amin(dim=1) for c in cells.T]
    nearest = torch.stack(columns, dim=1)  # (B, K)
    return (probs * torch.softmax(-nearest / _TEMPERATURE, dim=1)).argmax(dim=1)


def _case(photos: Photos, table: PrototypeTable, backend: str, targets: dict[str, float]) -> Case:
    (n, k), members = photos[1].shape, table.vectors.split(table.offsets.diff().tolist())
    n_prototypes, dim = table.vectors.shape
    return Case(
        kernel="prototypes",
        name="best path" if backend == "auto" else "plain torch (without numba)",
        size=f"{n} photos, {k} of {len(members)} cells, {n_prototypes} x {dim}",
        ours=lambda: prototype_scores(*photos, table, _TEMPERATURE, backend=backend),
        peers={
            LOOP: lambda: refine_by_loop(photos, members),
            MASKED: lambda: refine_by_mask(photos, table),
        },
        targets=targets,
        limit=lambda roof: _limit(photos, table, roof),
        agree=lambda: agreement(photos, table, backend),
        gpu=None if backend != "auto" else lambda: _on_gpu(photos, table),
        gpu_targets={LOOP: 0.01},
    )


def _limit(photos: Photos, table: PrototypeTable, roof: Ceilings) -> float:
    """Read each chosen prototype once."""
    chosen = int(table.offsets.diff()[photos[1]].sum())
    return 4 * chosen * table.vectors.shape[1] / roof.copy_gb_s / 1e9


def agreement(photos: Photos, table: PrototypeTable, backend: str) -> str:
    """Winners against the loop in float64."""
    winner = prototype_scores(*photos, table, _TEMPERATURE, backend=backend).winner
    wide = PrototypeTable(table.vectors.double(), table.offsets)
    exact = (photos[0].double(), photos[1], photos[2].double())
    want = prototype_scores_reference(*exact, wide, _TEMPERATURE).winner
    same = int((winner == want).sum())
    return f"{'yes' if same == len(want) else 'NO'}, same winner in {same} of {len(want)} photos"


def _on_gpu(photos: Photos, table: PrototypeTable) -> dict[str, Callable]:
    there = tuple(part.cuda() for part in photos)
    moved = PrototypeTable(table.vectors.cuda(), table.offsets.cuda())
    members = moved.vectors.split(table.offsets.diff().tolist())
    return {
        "ours": lambda: prototype_scores(*there, moved, _TEMPERATURE),
        LOOP: lambda: refine_by_loop(there, members),
        MASKED: lambda: refine_by_mask(there, moved),
    }
