"""Fine-tuning of a CLIP on geocells: the head alone, its last block too, or all of it.

Three steps of one ladder. ``part="head"`` leaves the tower as it is (a linear probe of embeddings
would do the same, faster); ``"last block"`` lets the last transformer block learn, as PIGEON's
first version did; ``"whole"`` everything in the photo tower that the feature uses.

What is frozen is what is said: nothing but the blocks chosen and the head changes. (The released
PIGEON code freezes the other blocks and leaves patch embedding, positions and input norm to learn,
probably by oversight.)

    tuned = FineTuned(clip, FineTuneConfig(part="last block"))
    tuned.fit(photos, partition, validation=held)
    tuned.locate(images)

Head and tower have learning rates of their own: the head starts from nothing, the tower knows a lot
and forgets it at the head's rate.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.cells import Partition
from geolab.data.errors import DataError
from geolab.encoders.clip import Clip, Feature
from geolab.encoders.cnn import augment, to_pixels
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.kernels import smoothed_cross_entropy
from geolab.locators.baselines import places_of
from geolab.locators.multitask import Task, task_loss
from geolab.metrics import errors_km
from geolab.posterior import Posterior
from geolab.training import Batch, History, TrainConfig, load_weights, save_weights, train
from geolab.training.checkpoint import read_about

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

Part = Literal["head", "last block", "whole"]


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
        Its learning rate is not used; "median_km" may be selected by where there are validation
        photos.
    """

    part: Part = "last block"
    feature: Feature = "tokens"
    head_lr: float = 3e-3
    tower_lr: float = 1e-4
    tau_km: float | None = None
    min_area: float = 0.8
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=3, batch_size=64, weight_decay=0.01, clip_norm=1.0, select="median_km"
        )
    )

    def __post_init__(self) -> None:
        if self.part not in ("head", "last block", "whole"):
            raise ValueError(f"part {self.part!r} must be head, last block or whole")


class TunedNetwork(nn.Module):
    """Photo tower and heads in one call."""

    def __init__(self, clip: Clip, n_cells: int, feature: Feature, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.clip, self.feature = clip, feature
        dim = clip.dims[feature]
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.cells = nn.Linear(dim, n_cells)
        self.tasks = nn.ModuleDict({task.name: nn.Linear(dim, task.width) for task in tasks})

    def forward(self, pixels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores of the cells (B, C) and of the tasks."""
        features = self.norm(self.clip.features(pixels, self.feature))
        return self.cells(features), {name: head(features) for name, head in self.tasks.items()}


def learning(clip: Clip, part: Part, feature: Feature = "tokens") -> list[nn.Parameter]:
    """Weights of the photo tower that learn; all others of the CLIP stop learning.

    The text tower and the scale never learn here, nor what comes after the feature is taken.
    """
    clip.requires_grad_(False)
    visual = clip.model.visual
    after = ("ln_post", "proj") if feature == "tokens" else ()
    named = visual.named_parameters()
    chosen = {
        "head": [],
        "last block": list(clip.blocks[-1].parameters()),
        "whole": [weight for name, weight in named if not name.startswith(after or ("-",))],
    }[part]
    for weight in chosen:
        weight.requires_grad_(True)
    return chosen


class FineTuned:
    """Locator: a CLIP taught the cells of a partition. The CLIP given is not changed."""

    partition: Partition
    model: TunedNetwork
    history: History

    def __init__(
        self, clip: Clip, config: FineTuneConfig = FineTuneConfig(), tasks: Sequence[Task] = ()
    ) -> None:
        self.config, self.tasks = config, tuple(tasks)
        self.start = clip

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.start.name} fine-tuned, {self.config.part}"

    @property
    def clip(self) -> Clip:
        """The CLIP as it is after training: an encoder like any other."""
        return self._fitted().clip

    def fit(
        self,
        photos: Dataset,
        partition: Partition,
        *,
        validation: Dataset | None = None,
        **options: Any,
    ) -> FineTuned:
        """Learn; `options` as for `fit_pixels`."""
        held = None
        if validation is not None:
            held = (read_pixels(validation, self.start.size), places_of(validation))
        pixels = read_pixels(photos, self.start.size)
        return self.fit_pixels(pixels, places_of(photos), partition, validation=held, **options)

    def fit_pixels(
        self,
        pixels: Pixels,
        places: Tensor,
        partition: Partition,
        *,
        validation: tuple[Pixels, Tensor] | None = None,
        targets: dict[str, Tensor] | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> FineTuned:
        """As `fit`, on photos read before; places are (N, 2) degrees.

        Raises
        ------
        ValueError
            If no photo lies in a cell.
        """
        config = self.config
        self._build(partition)
        tower = learning(self.model.clip, config.part, config.feature)
        cells = partition.assign(places).where(pixels.good, -1)
        held = (cells >= 0).nonzero()[:, 0]
        if not len(held):
            raise ValueError("no photo lies in a cell: fit the partition on these photos")
        heads = [*self.model.cells.parameters(), *self.model.tasks.parameters()]
        groups = [{"params": heads, "lr": config.head_lr}]
        groups += [{"params": tower, "lr": config.tower_lr}] if tower else []
        chosen = config.train if validation else replace(config.train, select="")
        self.history = train(
            self.model,
            len(held),
            lambda network, batch: self._loss(
                network, batch, held, pixels.values, cells, places, targets or {}
            ),
            chosen,
            checkpoint=checkpoint,
            identity=self._identity(),
            validate=self._median_on(*validation) if validation else None,
            groups=groups,
            name_of=lambda row: f"photo {int(held[row])}",
            progress=progress,
        )
        return self

    def _build(self, partition: Partition) -> None:
        self.partition = partition
        torch.manual_seed(self.config.train.seed)
        clip = copy.deepcopy(self.start).float()
        self.model = TunedNetwork(clip, len(partition), self.config.feature, self.tasks)

    def _loss(
        self,
        network: nn.Module,
        batch: Batch,
        held: Tensor,
        pixels: Tensor,
        cells: Tensor,
        places: Tensor,
        targets: dict[str, Tensor],
    ) -> tuple[Tensor, int]:
        rows = held[batch.rows]
        device = next(network.parameters()).device
        photos = pixels[rows].to(device)
        if self.config.min_area < 1:
            photos = augment(photos, batch.draws, min_area=self.config.min_area)
        scores, said = network(photos)
        if self.config.tau_km is None:
            lost = F.cross_entropy(scores, cells[rows].to(device), reduction="sum")
        else:
            where, points = places[rows].to(device), self.partition.means.to(device)
            lost = smoothed_cross_entropy(
                scores, where, points, self.config.tau_km, reduction="sum"
            )
        if self.tasks:
            asked = {name: values[rows].to(device) for name, values in targets.items()}
            lost = lost + task_loss(said, asked, self.tasks)
        return lost, len(rows)

    def _median_on(self, pixels: Pixels, places: Tensor):
        def validate(_: nn.Module) -> dict[str, float]:
            best = self._chances(pixels.values[pixels.good]).argmax(1)
            truth = torch.as_tensor(places)[pixels.good].numpy()
            km = errors_km(self.partition.means[best].numpy(), truth)
            return {"median_km": float(torch.from_numpy(km).median())}

        return validate

    @torch.no_grad()
    def _chances(self, pixels: Tensor) -> Tensor:
        model = self._fitted().eval()
        device = next(model.parameters()).device
        parts = [model(block.to(device))[0].softmax(1).cpu() for block in pixels.split(256)]
        return torch.cat(parts) if parts else torch.empty(0, len(self.partition))

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo: all cells, at the means of their photos."""
        return self.locate_pixels(to_pixels(images, self.start.size))

    def locate_pixels(self, pixels: Tensor) -> Posterior:
        """As `locate`, for pixels (N, 3, S, S) of uint8."""
        return Posterior.from_votes(self.partition.means, self._chances(pixels).double())

    def _fitted(self) -> TunedNetwork:
        if not hasattr(self, "model"):
            raise RuntimeError("not tuned yet: call fit first")
        return self.model

    def _identity(self) -> dict[str, str]:
        cells, config = self.partition, self.config
        made = f"{config.part}, {config.feature}, tau {config.tau_km}, {len(self.tasks)} tasks"
        start = f"{self.start.name}, {self.start.weights_hash}"
        return {"partition": f"{cells.name} {cells.hash}", "network": made, "start": start}

    def save(self, folder: str | os.PathLike) -> Path:
        """Write weights and partition into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._fitted()
        self.partition.save(folder / "partition.npz")
        about = {"kind": "FineTuned", "identity": self._identity()}
        about["config"] = {**asdict(self.config), "train": None}
        save_weights(folder / "weights.safetensors", self.model, about)
        return folder

    @classmethod
    def load(
        cls, folder: str | os.PathLike, clip: Clip, partition: Partition | None = None
    ) -> FineTuned:
        """Read what `save` wrote; `clip` is the one it started from.

        Raises
        ------
        DataError
            If a file is damaged, or belongs to another partition or CLIP: both are named.
        """
        path = Path(folder) / "weights.safetensors"
        about = read_about(path)
        if about.get("kind") != "FineTuned":
            raise DataError(f"{path} holds {about.get('kind')!r}, not FineTuned")
        held = {k: v for k, v in about["config"].items() if k != "train"}
        tuned = cls(clip, FineTuneConfig(**held))
        tuned._build(partition or Partition.load(Path(folder) / "partition.npz"))
        load_weights(path, tuned.model, tuned._identity())
        tuned.model.eval()
        return tuned
