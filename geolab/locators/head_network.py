"""What a head of geocells is made of: configuration, network, and the widths that cells ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from geolab import sphere
from geolab.cells import Partition
from geolab.locators.multitask import Task
from geolab.locators.views import Pooling, ViewPool
from geolab.training import TrainConfig

HEAD_TRAINING = TrainConfig(
    epochs=20, batch_size=256, lr=1e-2, weight_decay=0.01, select="median_km", patience=8
)
"""Five to ten seconds on one core for 15,000 embeddings and 340 cells."""
_ROWS = 1024  # cells measured against all others at once


@dataclass(frozen=True)
class HeadConfig:
    """How to train a head.

    Attributes
    ----------
    tau_km : float, "auto" or None
        Width of the labels; "auto" is the spacing of the cells, None is one-hot.
    normalise : bool
        Whether labels of a photo sum to one; False as in the paper.
    pooling : {"mean", "first", "attention"}
        Of several views.
    train : TrainConfig
        ``select`` is "median_km" or "lost_points" (5,000 less the mean GeoGuessr score) and needs
        validation photos; without them the last weights are kept.

    Raises
    ------
    ValueError
        If `tau_km` is not positive.
    """

    tau_km: float | Literal["auto"] | None = "auto"
    normalise: bool = True
    pooling: Pooling = "mean"
    train: TrainConfig = field(default_factory=lambda: HEAD_TRAINING)

    def __post_init__(self) -> None:
        if not (self.tau_km in ("auto", None) or self.tau_km > 0):
            raise ValueError(f"tau_km {self.tau_km} must be positive, 'auto', or None for one-hot")


class HeadNetwork(nn.Module):
    """Standardise, pool, shared layer where there are tasks, and the heads.

    The shared layer adds to what it is given and begins at zero: a head with tasks starts as the
    head without them, and weight decay pulls it back there.
    """

    def __init__(self, dim: int, n_cells: int, tasks: Sequence[Task], pooling: Pooling) -> None:
        super().__init__()
        self.pool = ViewPool(dim, pooling)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.cells = nn.Linear(dim, n_cells)
        self.shared = nn.Linear(dim, dim) if tasks else None
        for layer in (self.cells, self.shared):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.tasks = nn.ModuleDict({task.name: nn.Linear(dim, task.width) for task in tasks})

    def forward(self, features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores of the cells (b, C) and of the tasks, for features (b, D) or (b, V, D)."""
        pooled = self.pool((features - self.mean) / self.std)
        if self.shared is not None:
            pooled = pooled + self.shared(pooled)
        return self.cells(pooled), {name: head(pooled) for name, head in self.tasks.items()}


def cell_spacing_km(partition: Partition) -> float:
    """Median distance of a cell's mean to the nearest other mean: the tau that fits the cells.

    0 for a single cell.
    """
    if len(partition) < 2:
        return 0.0
    nearest = [km.amin(1) for km in _to_other_means(partition, torch.inf)]
    return float(torch.cat(nearest).median())


def crowding(partition: Partition, tau_km: float) -> Tensor:
    r"""How many cells share the label of a photo at each mean: (C,) float64, at least 1.

    .. math:: Y_i = \sum_j \exp(-d(g_i, g_j) / \tau)
    """
    return torch.cat([torch.exp(-km / tau_km).sum(1) for km in _to_other_means(partition, 0.0)])


def _to_other_means(partition: Partition, own: float) -> Iterator[Tensor]:
    """Distances (r, C) between means, some rows at once; `own` stands for a cell to itself."""
    means = partition.means.double()
    for rows in torch.arange(len(means)).split(_ROWS):
        km = sphere.great_circle_matrix(means[rows], means)
        yield km.scatter(1, rows[:, None], own)
