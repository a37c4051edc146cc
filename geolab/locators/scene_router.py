"""A scene classifier on frozen embeddings, for data that bring their own scene labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.locators.cell_classifier import CellClassifier, embed
from geolab.locators.scenes import SCENES
from geolab.training import Batch, TrainConfig, train

Router = Callable[[Tensor], Tensor]
"""Pixels (N, 3, S, S) of uint8 to probabilities of `SCENES` (N, 3)."""
_BATCH, _STEPS = 256, 300


def fit_router(base: CellClassifier, pixels: Tensor, scenes: Tensor, config: TrainConfig) -> Router:
    """Learn a softmax over scenes (N,), -1 where unknown, on the embeddings of a frozen network."""
    features = embed(base, pixels)
    known = (scenes >= 0).nonzero()[:, 0]
    torch.manual_seed(config.seed)
    head = torch.nn.Linear(features.shape[1], len(SCENES))

    def loss(model: torch.nn.Module, batch: Batch) -> tuple[Tensor, int]:
        rows = known[batch.rows]
        scores = model(features[rows].to(model.weight.device))
        return F.cross_entropy(scores, scenes[rows].to(scores.device), reduction="sum"), len(rows)

    per_epoch = -(-len(known) // _BATCH) or 1
    epochs = max(20, -(-_STEPS // per_epoch))  # few photos are few steps an epoch
    train(head, len(known), loss, replace(config, epochs=epochs, batch_size=_BATCH, lr=1e-2))

    @torch.no_grad()
    def router(asked: Tensor) -> Tensor:
        return head(embed(base, asked).to(head.weight.device)).softmax(-1).cpu()

    return router
