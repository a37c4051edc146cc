"""The parts of fine-tuning: configuration, network with heads, which weights learn, and the loss.

PIGEON's released code freezes all blocks but the last and leaves patch embedding, positions and
input norm to learn, probably by oversight. Here a part is named, and nothing else learns.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.encoders.clip import FEATURES, Clip, Feature
from geolab.encoders.cnn import augment
from geolab.kernels import smoothed_cross_entropy
from geolab.locators.multitask import Task, task_loss
from geolab.metrics import errors_km
from geolab.training import Batch, History, TrainConfig, train

Part = Literal["head", "last block", "whole"]
PARTS = ("head", "last block", "whole")


TUNING = TrainConfig(epochs=3, batch_size=64, weight_decay=0.01, clip_norm=1.0, select="median_km")


@dataclass(frozen=True)
class FineTuneConfig:
    """What learns, and how fast.

    Attributes
    ----------
    part : {"head", "last block", "whole"}
    feature : {"tokens", "image"}
    head_lr, tower_lr : float
        Peak learning rates.
    head_epochs : int
        Epochs of the heads alone, without crops, before the tower learns with them.
    tau_km : float, optional
        Width of smoothed labels; one-hot if not given.
    min_area : float
        Smallest share of a photo that a training crop keeps; 1 for no crops.
    train : TrainConfig
        Its learning rate is not used. ``select="median_km"`` needs validation photos; without them
        the last weights are kept.
    """

    part: Part = "last block"
    feature: Feature = "tokens"
    head_lr: float = 3e-3
    tower_lr: float = 1e-4
    head_epochs: int = 10
    tau_km: float | None = None
    min_area: float = 0.8
    train: TrainConfig = field(default_factory=lambda: TUNING)

    def __post_init__(self) -> None:
        if self.part not in PARTS or self.feature not in FEATURES:
            raise ValueError(
                f"part {self.part!r} must be one of {', '.join(PARTS)}; "
                f"feature {self.feature!r} one of {', '.join(FEATURES)}"
            )
        positive = self.head_lr > 0 and self.tower_lr > 0 and (self.tau_km or 1) > 0
        if not (positive and 0 < self.min_area <= 1 and self.head_epochs >= 0):
            raise ValueError(
                f"{self}: rates and tau_km must be positive, head_epochs not less than 0, "
                "min_area above 0 and not more than 1"
            )


class TunedNetwork(nn.Module):
    """Photo tower and heads in one call, as several processes need it."""

    def __init__(self, clip: Clip, n_cells: int, feature: Feature, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.clip, self.feature = clip, feature
        dim = clip.dims[feature]
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.cells = nn.Linear(dim, n_cells)
        self.tasks = nn.ModuleDict({task.name: nn.Linear(dim, task.width) for task in tasks})

    def forward(self, given: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores of the cells (B, C) and of the tasks.

        Parameters
        ----------
        given : Tensor, shape (B, 3, S, S) or (B, D)
            Pixels, or features that the tower has made of them before.
        """
        features = given if given.ndim == 2 else self.clip.features(given, self.feature)
        features = self.norm(features)
        return self.cells(features), {name: head(features) for name, head in self.tasks.items()}

    @torch.no_grad()
    def probabilities(self, given: Tensor) -> Tensor:
        """Chances of the cells for pixels or features: (N, C) float32 on the CPU."""
        self.eval()
        if not len(given):
            return torch.empty(0, self.cells.out_features)
        device = self.cells.weight.device
        return torch.cat([self(x.to(device))[0].softmax(1).cpu() for x in given.split(256)])

    @property
    def heads(self) -> list[nn.Parameter]:
        """Weights that are no CLIP's."""
        return [*self.cells.parameters(), *self.tasks.parameters()]


def learning(clip: Clip, part: Part, feature: Feature = "tokens") -> list[nn.Parameter]:
    """Let a part of a CLIP learn, and freeze all the rest of it.

    ========== ===========================================================================
    part       what learns
    ========== ===========================================================================
    head       nothing of the CLIP
    last block the last transformer block of the photo tower
    whole      all of the photo tower that the feature depends on: for "tokens" not the
               final norm and the projection, which come after it
    ========== ===========================================================================

    Returns
    -------
    list of Parameter
        Those that learn. Text tower and scale never do.

    Raises
    ------
    ValueError
        If there is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"part {part!r} must be one of: {', '.join(PARTS)}")
    clip.requires_grad_(False)
    chosen: list[nn.Parameter] = []
    if part == "last block":
        chosen = list(clip.blocks[-1].parameters())
    elif part == "whole":
        after = ("ln_post", "proj") if feature == "tokens" else ()
        named = clip.model.visual.named_parameters()
        chosen = [weight for name, weight in named if not name.startswith(after)]
    for weight in chosen:
        weight.requires_grad_(True)
    return chosen


@dataclass(frozen=True)
class TuningLoss:
    """Loss of a batch: cells, and tasks where there are some.

    Attributes
    ----------
    config : FineTuneConfig
    tasks : tuple of Task
    points : Tensor, shape (C, 2)
        Of the cells, degrees.
    given : Tensor, shape (N, 3, S, S) or (N, D)
        Pixels or features.
    places : Tensor, shape (N, 2)
        Degrees.
    cells : Tensor of int64, shape (N,)
    rows : Tensor of int64, shape (n,)
        Those that teach; a batch counts in them.
    targets : mapping of str to Tensor, shape (N,)
        Of the tasks.
    """

    config: FineTuneConfig
    tasks: tuple[Task, ...]
    points: Tensor
    given: Tensor
    places: Tensor
    cells: Tensor
    rows: Tensor
    targets: Mapping[str, Tensor]

    def __call__(self, network: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Return the sum of the losses of a batch and its size."""
        rows = self.rows[batch.rows]
        device = next(network.parameters()).device
        some = self.given[rows].to(device)
        if some.ndim == 4 and self.config.min_area < 1:
            some = augment(some, batch.draws, min_area=self.config.min_area)
        scores, said = network(some)
        lost = self._of_cells(scores, rows)
        if self.tasks:
            asked = {task.name: self.targets[task.name][rows].to(device) for task in self.tasks}
            lost = lost + task_loss(said, asked, self.tasks)
        return lost, len(rows)

    def _of_cells(self, scores: Tensor, rows: Tensor) -> Tensor:
        device, tau_km = scores.device, self.config.tau_km
        if tau_km is None:
            return F.cross_entropy(scores, self.cells[rows].to(device), reduction="sum")
        places, points = self.places[rows].to(device), self.points.to(device)
        return smoothed_cross_entropy(scores, places, points, tau_km, reduction="sum")


def teaching_rows(
    cells: Tensor,
    validation: tuple[Tensor, Tensor] | None,
    tasks: Sequence[Task],
    targets: Mapping[str, Tensor],
) -> Tensor:
    """Rows that lie in a cell. Raises ValueError where nothing can be learnt."""
    rows = (cells >= 0).nonzero()[:, 0]
    if not len(rows):
        raise ValueError("no photo lies in a cell: fit the partition on these photos")
    if validation is not None and not len(validation[0]):
        raise ValueError("no validation photo can be read: give others, or none")
    missing = [task.name for task in tasks if task.name not in targets]
    if missing:
        raise ValueError(f"no targets for the task {missing[0]!r}: give targets=")
    return rows


def teach(
    network: TunedNetwork,
    part: Part,
    loss: TuningLoss,
    validation: tuple[Tensor, Tensor] | None,
    config: TrainConfig,
    **options: Any,
) -> History:
    """Train heads and a part of the tower; `options` as for `geolab.training.train`.

    Parameters
    ----------
    validation : tuple of pixels or features and places (N, 2), optional
        For "median_km"; without them nothing is selected by.
    """
    tower = learning(network.clip, part, network.feature)
    groups = [{"params": network.heads, "lr": loss.config.head_lr}]
    groups += [{"params": tower, "lr": loss.config.tower_lr}] if tower else []

    def validate(seen: TunedNetwork) -> dict[str, float]:
        given, places = validation
        said = loss.points[seen.probabilities(given).argmax(1)].numpy()
        km = torch.from_numpy(errors_km(said, torch.as_tensor(places).numpy()))
        return {"median_km": float(km.median())}

    return train(
        network,
        len(loss.rows),
        loss,
        config if validation else replace(config, select=""),
        validate=validate if validation else None,
        groups=groups,
        name_of=lambda row: f"photo {int(loss.rows[row])}",
        **options,
    )


def warm_heads(
    network: TunedNetwork, loss: TuningLoss, validation: tuple[Tensor, Tensor] | None
) -> float:
    """Teach the heads on features of the tower as it is, made once; returns the seconds taken."""
    config = loss.config
    if config.part == "head" or not config.head_epochs:
        return 0.0
    began, clip = time.perf_counter(), network.clip
    known = replace(loss, given=clip.embed_pixels(loss.given, config.feature))
    held = validation and (clip.embed_pixels(validation[0], config.feature), validation[1])
    teach(network, "head", known, held, replace(config.train, epochs=config.head_epochs))
    return time.perf_counter() - began
