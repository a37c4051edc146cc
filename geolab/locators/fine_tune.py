"""Fine-tuning of a CLIP on geocells: the head alone, its last block too, or all of it.

Three steps of one ladder. ``part="head"`` leaves the tower as it is: a linear probe, which
`fit_features` trains in seconds on embeddings made before. ``"last block"`` lets the last
transformer block learn, as PIGEON's first version did; ``"whole"`` everything in the photo tower
that the feature uses. What is frozen is what is said: see `geolab.locators.tuned_network.learning`.

    tuned = FineTuned(clip, FineTuneConfig(part="last block"))
    tuned.fit(photos, partition, validation=held)
    tuned.locate(images)
    tuned.clip.embed_pixels(pixels, "tokens")       # the tower as it is now

The head learns before the tower, for `head_epochs` on features made once, as PIGEON unfreezes its
last block with the trained head in place: a head from chance would send the tower gradients that
mean nothing. Both have learning rates of their own, since the tower would forget at the head's.
After each epoch the median error of the validation photos is measured; the epoch where it is least
is kept, and training stops when it has not improved for ``train.patience`` epochs.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from geolab.cells import Partition
from geolab.data.errors import DataError
from geolab.encoders.clip import Clip
from geolab.encoders.clip_weights import hash_of_weights
from geolab.encoders.cnn import to_pixels
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.locators.baselines import places_of
from geolab.locators.multitask import Task, targets_of
from geolab.locators.tuned_network import (
    FineTuneConfig,
    TunedNetwork,
    TuningLoss,
    teach,
    teaching_rows,
    warm_heads,
)
from geolab.posterior import Posterior
from geolab.training import History, load_weights, save_weights
from geolab.training.checkpoint import read_about

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image


class FineTuned:
    """Locator: a CLIP taught the cells of a partition. The CLIP given is not changed.

    Attributes
    ----------
    partition : Partition
    model : TunedNetwork
    history : History
    """

    partition: Partition
    model: TunedNetwork
    history: History

    def __init__(
        self, clip: Clip, config: FineTuneConfig | None = None, tasks: Sequence[Task] = ()
    ) -> None:
        self.config, self.tasks = config or FineTuneConfig(), tuple(tasks)
        self.start = clip

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.start.name} fine-tuned, {self.config.part}"

    @property
    def clip(self) -> Clip:
        """The CLIP as it is after training: an encoder like any other, with a hash of its own."""
        return self._fitted().clip

    def fit(
        self,
        photos: Dataset,
        partition: Partition,
        *,
        validation: Dataset | None = None,
        **options: Any,
    ) -> FineTuned:
        """Learn from photos; the tasks' targets are their columns. `options` as `fit_pixels`."""
        held = None
        if validation is not None:
            held = (read_pixels(validation, self.start.size), places_of(validation))
        pixels = read_pixels(photos, self.start.size)
        options = {"targets": targets_of(photos, self.tasks), **options}
        return self.fit_pixels(pixels, places_of(photos), partition, validation=held, **options)

    def fit_pixels(
        self,
        pixels: Pixels,
        places: Tensor,
        partition: Partition,
        *,
        validation: tuple[Pixels, Tensor] | None = None,
        **options: Any,
    ) -> FineTuned:
        """Learn from photos read before.

        Parameters
        ----------
        places : Tensor, shape (N, 2)
            Degrees.
        validation : tuple of pixels and places, optional
            For the median error after each epoch.
        targets : mapping of str to Tensor, shape (N,)
            Of the tasks, see `geolab.locators.multitask.targets_of`.
        checkpoint : path, optional
            Written after each epoch; a run that finds one goes on from it.
        progress : str
            Title of a progress bar; none if empty.

        Raises
        ------
        ValueError
            If no photo lies in a cell, no validation photo can be read, or a task has no targets.
        """
        held = None
        if validation is not None:
            seen, there = validation
            held = (seen.values[seen.good], torch.as_tensor(there)[seen.good])
        cells = partition.assign(places).where(pixels.good, -1)
        return self._learn(pixels.values, places, cells, partition, held, **options)

    def fit_features(
        self,
        features: Tensor,
        places: Tensor,
        partition: Partition,
        *,
        validation: tuple[Tensor, Tensor] | None = None,
        **options: Any,
    ) -> FineTuned:
        """Learn the head alone, from the tower's features (N, D); otherwise as `fit_pixels`.

        The same as `fit_pixels` without crops, in a fraction of the time.

        Raises
        ------
        ValueError
            If the tower is to learn, which features cannot teach, or a feature is not finite.
        """
        if self.config.part != "head":
            raise ValueError(f"features cannot teach the {self.config.part}: use fit_pixels")
        bad = (~features.isfinite()).any(1).nonzero()
        if len(bad):
            raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
        cells = partition.assign(places)
        return self._learn(features.float(), places, cells, partition, validation, **options)

    def _learn(
        self,
        given: Tensor,
        places: Tensor,
        cells: Tensor,
        partition: Partition,
        validation: tuple[Tensor, Tensor] | None,
        *,
        targets: Mapping[str, Tensor] | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> FineTuned:
        """Train on pixels or features; cells are -1 where a row teaches nothing."""
        config, places, targets = self.config, torch.as_tensor(places), targets or {}
        rows = teaching_rows(cells, validation, self.tasks, targets)
        self._build(partition)
        loss = TuningLoss(config, self.tasks, partition.means, given, places, cells, rows, targets)
        fresh = checkpoint is None or not Path(checkpoint).exists()
        warm = warm_heads(self.model, loss, validation) if fresh else 0.0
        recipe = f"rates {config.head_lr}, {config.tower_lr}, crops of {config.min_area}"
        self.history = teach(
            self.model,
            config.part,
            loss,
            validation,
            config.train,
            checkpoint=checkpoint,
            identity=self._identity() | {"recipe": f"{recipe}, head first {config.head_epochs}"},
            progress=progress,
        )
        self.history.seconds += warm
        self._settle()
        return self

    def _build(self, partition: Partition) -> None:
        self.partition = partition
        torch.manual_seed(self.config.train.seed)
        clip = copy.deepcopy(self.start).float()
        self.model = TunedNetwork(clip, len(partition), self.config.feature, self.tasks)

    def _settle(self) -> None:
        """Make the tower an encoder again: all of it can learn, and shards tell it from others."""
        clip = self.model.eval().clip.requires_grad_(True)
        if self.config.part != "head":
            clip.name, clip.weights_hash = self.name, hash_of_weights(clip.model)

    def probabilities(self, given: Tensor) -> Tensor:
        """Chances of the cells for pixels (N, 3, S, S) or features (N, D): (N, C) float32."""
        return self._fitted().probabilities(given)

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo: all cells, at the means of their photos."""
        return self.locate_pixels(to_pixels(images, self.start.size))

    def locate_pixels(self, pixels: Tensor) -> Posterior:
        """As `locate`, for pixels (N, 3, S, S) of uint8."""
        weight = self.probabilities(pixels).double()
        return Posterior.from_votes(self.partition.means, weight)

    def locate_features(self, features: Tensor) -> Posterior:
        """As `locate`, for features (N, D) of this locator's own `clip`."""
        return self.locate_pixels(features)

    def _fitted(self) -> TunedNetwork:
        if not hasattr(self, "model"):
            raise RuntimeError("not tuned yet: call fit first")
        return self.model

    def _identity(self) -> dict[str, str]:
        cells, config = self.partition, self.config
        names = ",".join(task.name for task in self.tasks)
        made = f"{config.part}, {config.feature}, tau {config.tau_km}, tasks {names}"
        start = f"{self.start.name}, {self.start.weights_hash}"
        return {"partition": f"{cells.name} {cells.hash}", "network": made, "start": start}

    def save(self, folder: str | os.PathLike) -> Path:
        """Write weights and partition into a folder."""
        folder = Path(folder)
        model = self._fitted()
        folder.mkdir(parents=True, exist_ok=True)
        self.partition.save(folder / "partition.npz")
        about: dict[str, Any] = {"kind": "FineTuned", "identity": self._identity()}
        about["tasks"] = [asdict(task) for task in self.tasks]
        about["config"] = {**asdict(self.config), "train": None}
        save_weights(folder / "weights.safetensors", model, about)
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
        tasks = [Task(**{**t, "classes": tuple(t["classes"])}) for t in about["tasks"]]
        tuned = cls(clip, FineTuneConfig(**held), tasks)
        tuned._build(partition or Partition.load(Path(folder) / "partition.npz"))
        load_weights(path, tuned.model, tuned._identity())
        tuned._settle()
        return tuned
