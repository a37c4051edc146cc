"""One trunk, one softmax for each partition: the network behind PlaNet, CPlaNet and the ISNs.

The loss is the sum of one cross-entropy for each partition (Vo et al. 2017 call it [M], several
partitions, against [L], one; the ISNs of 2018 do the same), plus one for the scene type where the
network has a scene head. A photo outside all cells of a partition asks nothing of that head.

Labels are one-hot, as in the papers. `Smoothing` spreads them over the cells around instead, as
PIGEON (2024) does: a near miss then costs less than a far one.

At test five crops may vote. The ISNs take the *maximum* over crops, which no longer sums to one;
here it is divided by its sum, so that it stays a probability.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.encoders.cnn import Trunk, augment, five_crops
from geolab.kernels import smoothed_cross_entropy
from geolab.locators.scenes import SCENES
from geolab.training import Batch, History, TrainConfig, train

_BATCH = 256

Fusion = Literal["max", "mean"]


class CellClassifier(nn.Module):
    """Scores of the cells of one or more partitions, and of scene types.

    Parameters
    ----------
    trunk : Trunk
    n_classes : sequence of int
        Cells of each partition.
    scenes : bool
        Whether to add a head for indoor, natural, urban; its scores come last.
    dropout : float
        On the embedding, while training.
    """

    def __init__(
        self, trunk: Trunk, n_classes: Sequence[int], *, scenes: bool = False, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.trunk, self.dropout = trunk, nn.Dropout(dropout)
        sizes = [*n_classes, *([len(SCENES)] if scenes else [])]
        self.heads = nn.ModuleList([nn.Linear(trunk.dim, n) for n in sizes])

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Scores (B, C_m) of each head for pixels (B, 3, S, S)."""
        return self.scores(self.trunk(pixels))

    def scores(self, features: Tensor) -> list[Tensor]:
        """As `forward`, from embeddings (B, D)."""
        features = self.dropout(features)
        return [head(features) for head in self.heads]


@dataclass(frozen=True)
class Smoothing:
    """Labels that fall off with the distance between photo and cell, ``exp(-km / tau)``.

    Attributes
    ----------
    tau_km : float
    places : Tensor, shape (N, 2)
        Where the photos were taken, degrees.
    points : sequence of (Tensor, shape (C_m, 2), or None)
        Points of the cells of each head, degrees; None for a head that keeps one-hot labels.
    """

    tau_km: float
    places: Tensor
    points: Sequence[Tensor | None]


def fit_classifier(
    model: CellClassifier,
    pixels: Tensor,
    targets: Sequence[Tensor],
    config: TrainConfig,
    *,
    checkpoint: str | os.PathLike | None = None,
    smoothing: Smoothing | None = None,
    identity: Mapping[str, str] | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    groups: list[dict] | None = None,
    progress: str = "",
) -> History:
    """Train trunk and heads in place.

    Parameters
    ----------
    pixels : Tensor of uint8, shape (N, 3, S, S)
    targets : sequence of Tensor of int64, shape (N,)
        One for each head, the scene head last; -1 asks nothing of that head. Rows that are -1
        everywhere are left out.
    smoothing : Smoothing, optional
        One-hot labels without it.
    checkpoint, identity, validate, groups, progress
        As in `geolab.training.train`.

    Raises
    ------
    ValueError
        If targets and heads do not agree, a class does not exist, or no row has a target.
    """
    wanted = torch.stack(list(targets), dim=1)  # (N, H)
    _check_targets(model, wanted, len(pixels))
    held = (wanted >= 0).any(1).nonzero()[:, 0]
    if not len(held):
        raise ValueError("no photo lies in a cell: fit the partition on these photos")

    def loss(network: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        rows = held[batch.rows]
        device = next(network.parameters()).device
        scores = network(augment(pixels[rows].to(device), batch.draws))
        asked = wanted[rows].to(device).unbind(1)
        parts = [
            _head_loss(s.float(), t, rows, head, smoothing)
            for head, (s, t) in enumerate(zip(scores, asked, strict=True))
        ]
        return torch.stack(parts).sum(), len(rows)

    return train(
        model,
        len(held),
        loss,
        config,
        checkpoint=checkpoint,
        identity=identity,
        validate=validate,
        groups=groups,
        name_of=lambda row: f"photo {int(held[row])}",
        progress=progress,
    )


def _check_targets(model: CellClassifier, wanted: Tensor, n_photos: int) -> None:
    sizes = torch.tensor([head.out_features for head in model.heads])
    if wanted.shape[1] != len(sizes) or len(wanted) != n_photos:
        raise ValueError(
            f"{wanted.shape[1]} targets of {len(wanted)} photos for {len(sizes)} heads and "
            f"{n_photos} photos"
        )
    if len(wanted) and (wanted.amax(0) >= sizes).any():
        head = int((wanted.amax(0) >= sizes).nonzero()[0])
        raise ValueError(f"head {head} has {sizes[head]} classes, no {wanted[:, head].max()}")


def _head_loss(
    scores: Tensor, target: Tensor, rows: Tensor, head: int, smoothing: Smoothing | None
) -> Tensor:
    """Sum of the losses of one head over the rows with a target; scores are (b, C)."""
    points = None if smoothing is None else smoothing.points[head]
    if points is None:
        return F.cross_entropy(scores, target, ignore_index=-1, reduction="sum")
    asked = target >= 0
    if not asked.any():
        return scores.sum() * 0  # keeps the head in the graph, which DDP asks for
    places = smoothing.places[rows].to(scores.device)[asked]
    points = points.to(scores.device)
    return smoothed_cross_entropy(scores[asked], places, points, smoothing.tau_km, reduction="sum")


@torch.no_grad()
def embed(model: CellClassifier, pixels: Tensor) -> Tensor:
    """Embed pixels (N, 3, S, S) with the trunk: (N, D) float32, on the CPU, not normalised."""
    model.eval()
    device = next(model.parameters()).device
    parts = [model.trunk(block.to(device)).float().cpu() for block in pixels.split(_BATCH)]
    return torch.cat(parts) if parts else torch.empty(0, model.trunk.dim)


@torch.no_grad()
def probabilities(
    model: CellClassifier, pixels: Tensor, *, crops: Literal[1, 5] = 1, fusion: Fusion = "max"
) -> list[Tensor]:
    """Probabilities of every head: a list of (N, C_m) float32; rows sum to 1.

    Parameters
    ----------
    crops : {1, 5}
        The whole photo, or its corners and middle.
    fusion : {"max", "mean"}
        How crops are joined; the maximum is divided by its sum.

    Raises
    ------
    ValueError
        If crops or fusion is none of these.
    """
    if crops not in (1, 5) or fusion not in ("max", "mean"):
        raise ValueError(f"crops {crops!r} must be 1 or 5, fusion {fusion!r} max or mean")
    model.eval()
    device = next(model.parameters()).device
    parts = []
    for block in pixels.split(_BATCH // crops):
        views = five_crops(block.to(device)) if crops == 5 else block.to(device)[:, None]
        scores = model(views.flatten(0, 1))  # (B, V, 3, S, S) -> (B V, 3, S, S)
        parts.append([fuse(s.float().softmax(-1), len(block), fusion).cpu() for s in scores])
    if not parts:
        return [torch.empty(0, head.out_features) for head in model.heads]
    return [torch.cat(head) for head in zip(*parts, strict=True)]


def fuse(chances: Tensor, n_photos: int, fusion: Fusion) -> Tensor:
    """Join the crops of each photo: (B V, C) -> (B, C), rows sum to 1."""
    n_views = len(chances) // n_photos if n_photos else 1
    views = chances.view(n_photos, n_views, chances.shape[-1])  # (B V, C) -> (B, V, C)
    if fusion == "mean":
        return views.mean(1)
    best = views.amax(1)
    return best / best.sum(-1, keepdim=True)
