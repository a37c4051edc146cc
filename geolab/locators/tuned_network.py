"""The parts of fine-tuning: configuration, network with heads, which weights learn, and the loss.

PIGEON's released code freezes all blocks but the last and leaves patch embedding, positions and
input norm to learn, probably by oversight. Here a part is named, and nothing else learns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from geolab.encoders.clip import FEATURES, Clip, Feature
from geolab.encoders.cnn import augment
from geolab.kernels import smoothed_cross_entropy
from geolab.locators.multitask import Task, task_loss
from geolab.training import Batch, TrainConfig

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
        if not (positive and 0 < self.min_area <= 1):
            raise ValueError(f"{self}: rates and tau_km must be positive, min_area 0 to 1")


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
