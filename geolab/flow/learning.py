"""Losses of flows, for `geolab.training.train`, and the call that puts them together.

The loss is the mean of ``|network - target|^2 / 3``. The schedule decides only which times are
seen. A tenth of the photos is replaced by "no photo", which guidance needs later.

What differs from the paper's run (LAMB, weights averaged over steps, a million steps of 1,024):
AdamW with a learning rate that falls to zero, which makes an average of weights unnecessary.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geolab.flow.network import FlowNetwork, drop_condition
from geolab.flow.paths import (
    Process,
    ScheduleName,
    checked_process,
    on_path,
    schedule,
    uniform_on_sphere,
    unit_rows,
)
from geolab.training import Batch, History, TrainConfig, train
from geolab.training.loop import Validate

FLOW_TRAINING = TrainConfig(
    epochs=30, batch_size=512, lr=2e-3, weight_decay=0.01, clip_norm=1.0, warmup=0.05
)


@dataclass(frozen=True)
class FlowRule:
    """What a flow is taught.

    Attributes
    ----------
    process : {"sphere", "flow", "ddpm"}
    schedule : {"sigmoid", "linear"}
    dropout : float
        Share of photos replaced by "no photo".

    Raises
    ------
    ValueError
        If there is no such process or schedule, or `dropout` is not in [0, 1).
    """

    process: Process = "sphere"
    schedule: ScheduleName = "sigmoid"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        checked_process(self.process)
        schedule(torch.zeros(()), self.schedule)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}")


def flow_loss(
    network: nn.Module, condition: Tensor, xyz: Tensor, draws: Tensor, rule: FlowRule
) -> Tensor:
    """Sum of the losses of some photos.

    Parameters
    ----------
    condition : Tensor, shape (b, D)
    xyz : Tensor, shape (b, 3)
        Unit vectors of the places.
    draws : Tensor, shape (b, 4)
        Uniform numbers: time, dropout, and two for where the noise lies on the sphere.
    """
    g = schedule(draws[:, 0], rule.schedule)
    noise = uniform_on_sphere(draws[:, 2:]) if rule.process == "sphere" else torch.randn_like(xyz)
    point, target = on_path(rule.process, noise, xyz, g)
    seen = drop_condition(condition, draws[:, 1], rule.dropout)
    return (network(point, g, seen) - target).square().sum() / 3


def learn_flow(
    network: FlowNetwork,
    embedding: Tensor,
    xyz: Tensor,
    config: TrainConfig = FLOW_TRAINING,
    rule: FlowRule | None = None,
    *,
    validate: Validate | None = None,
    checkpoint: str | os.PathLike | None = None,
    progress: str = "",
) -> History:
    """Train a network in place on embeddings (N, D) and unit vectors (N, 3).

    Raises
    ------
    ValueError
        If lengths disagree, or a row is not finite or has no direction (it is named).
    TrainingError
        As `geolab.training.train`.
    """
    rule = rule or FlowRule()
    if len(embedding) != len(xyz):
        raise ValueError(f"{len(embedding)} embeddings, but {len(xyz)} places")
    network.fit_scale(embedding)
    condition = network.standardise(embedding)
    places = unit_rows(xyz, "place").float()

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        device = network.mean.device
        rows = batch.rows
        known = condition[rows.to(condition.device)].to(device)
        draws = batch.draws.to(device)
        return flow_loss(model, known, places[rows].to(device), draws, rule), len(rows)

    return train(
        network,
        len(places),
        loss,
        config,
        checkpoint=checkpoint,
        identity={"flow": f"{rule} {network.config} {condition.shape[1]}"},
        validate=validate,
        progress=progress,
    )
