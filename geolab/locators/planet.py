r"""PlaNet: geolocation as classification of cells.

Weyand, Kostrikov and Philbin, "PlaNet: photo geolocation with convolutional neural networks", ECCV
2016. Five parts: an adaptive partition (small cells where photos are many), a network, a softmax
over the cells with one-hot targets, the softmax as heat map, and a point of the best cell as the
answer.

.. math:: \hat c = \arg\max_c \, \mathrm{softmax}(W f(x) + b)_c

Which point of the cell makes a difference: the mean of its training photos lies where people stand,
the centre of the square lies anywhere. `PlaNet.answering` shows both for one training.

    planet = PlaNet(PlaNetConfig()).fit(train)
    posterior = planet.locate(images)                  # over all cells
    planet.answering("centre").locate(images)
    planet.save("planet/"); PlaNet.load("planet/")

The paper trained Inception with Adagrad on 91 million photos. Here the trunk is whatever
`geolab.encoders.cnn.make_trunk` knows; the small one learns TinyEarth on a processor.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from geolab.cells import PLANET, Partition, scaled
from geolab.data.errors import DataError
from geolab.encoders.cnn import Trunk, make_trunk, to_pixels
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.locators.baselines import places_of
from geolab.locators.cell_classifier import (
    CellClassifier,
    Fusion,
    Smoothing,
    embed,
    fit_classifier,
    probabilities,
)
from geolab.metrics import errors_km
from geolab.posterior import Posterior
from geolab.training import History, TrainConfig, load_weights, save_weights
from geolab.training.checkpoint import read_about

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

Answer = Literal["mean", "centre"]
CPU_TRAINING = TrainConfig(epochs=8, batch_size=64, lr=1e-3, weight_decay=0.02, clip_norm=1.0)
"""Learns 15,000 small photos in two or three minutes on two cores."""


@dataclass(frozen=True)
class PlaNetConfig:
    """Which network, and how to answer.

    Attributes
    ----------
    trunk : str
        As for `geolab.encoders.cnn.make_trunk`.
    weights : str, optional
        Where the trunk starts: a file, "pretrained", or None for chance.
    size : int, optional
        Side of the pictures; the trunk's own if not given.
    answer : {"mean", "centre"}
        Point of a cell.
    crops : {1, 5}
    fusion : {"max", "mean"}
        Views at test, and how they are joined.
    dropout : float
    tau_km : float, optional
        Width of smoothed labels; one-hot, as the paper has them, if not given.
    train : TrainConfig
    """

    trunk: str = "small"
    weights: str | None = None
    size: int | None = None
    answer: Answer = "mean"
    crops: Literal[1, 5] = 1
    fusion: Fusion = "max"
    dropout: float = 0.3
    tau_km: float | None = None
    train: TrainConfig = field(default_factory=lambda: CPU_TRAINING)


class PlaNet:
    """Locator of 2016. `fit` on photos, then `locate`.

    Attributes
    ----------
    partition : Partition
        Cells; there after `fit` or `load`.
    model : CellClassifier
    history : History
        Losses, seconds, number of weights.
    outside : int
        Photos of the last `fit` that lay in no cell: they taught nothing.
    unreadable : dict of str to str
        Photos that could not be read, and why.
    """

    partition: Partition
    model: CellClassifier
    history: History

    def __init__(self, config: PlaNetConfig = PlaNetConfig()) -> None:
        self.config = config
        self.outside, self.unreadable = 0, {}

    @property
    def name(self) -> str:
        """For tables."""
        return f"PlaNet, {self.config.answer}"

    @property
    def input_size(self) -> int:
        """Side of the pictures that the network sees."""
        return self.config.size or self._trunk().size

    def fit(
        self,
        photos: Dataset,
        *,
        partition: Partition | None = None,
        validation: Dataset | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> PlaNet:
        """Cut the Earth by these photos and learn the cells.

        Parameters
        ----------
        partition : Partition, optional
            Cells made before; else PlaNet's rule, scaled to the number of photos.
        validation : Dataset, optional
            Photos for the median error after each epoch, "median_km" in the history.
        checkpoint : path, optional
            See `geolab.training.train`; a finished one makes `fit` return at once.
        """
        size = self.input_size
        pixels = read_pixels(photos, size)
        held = None if validation is None else read_pixels(validation, size)
        check = None if held is None else (held, places_of(validation))
        return self.fit_pixels(
            pixels,
            places_of(photos),
            partition=partition,
            validation=check,
            checkpoint=checkpoint,
            progress=progress,
        )

    def fit_pixels(
        self,
        pixels: Pixels,
        places: Tensor,
        *,
        partition: Partition | None = None,
        validation: tuple[Pixels, Tensor] | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> PlaNet:
        """As `fit`, on photos read before; places are (N, 2) degrees."""
        self.unreadable = pixels.unreadable
        if partition is None:
            partition = scaled(len(places), PLANET).fit(places[pixels.good])
        cells = partition.assign(places).where(pixels.good, -1)
        self.partition = partition
        self.outside = int((cells[pixels.good] < 0).sum())
        self.model = self._build()
        validate = None
        if validation is not None:
            validate = self._median_on(*validation)
        self.history = fit_classifier(
            self.model,
            pixels.values,
            [cells],
            self.config.train,
            checkpoint=checkpoint,
            smoothing=self._smoothing(places),
            identity=self._identity(),
            validate=validate,
            progress=progress,
        )
        return self

    def _trunk(self) -> Trunk:
        config = self.config
        return make_trunk(config.trunk, weights=config.weights, size=config.size)

    def _build(self) -> CellClassifier:
        torch.manual_seed(self.config.train.seed)
        return CellClassifier(self._trunk(), [len(self.partition)], dropout=self.config.dropout)

    def _smoothing(self, places: Tensor) -> Smoothing | None:
        if self.config.tau_km is None:
            return None
        return Smoothing(self.config.tau_km, places, [self.partition.means])

    def _identity(self) -> dict[str, str]:
        config, cells = self.config, self.partition
        made = f"{config.trunk}, dropout {config.dropout}, tau {config.tau_km}"
        return {"partition": f"{cells.name} {cells.hash}", "network": made}

    def _median_on(self, pixels: Pixels, places: Tensor):
        def validate(model: nn.Module) -> dict[str, float]:
            best = probabilities(model, pixels.values[pixels.good])[0].argmax(1)
            points = self.partition.points(self.config.answer)[best]
            km = errors_km(points.numpy(), places[pixels.good].numpy())
            return {"median_km": float(torch.from_numpy(km).median())}

        return validate

    def answering(self, answer: Answer) -> PlaNet:
        """Return the same network, answering with another point of the cell."""
        other = copy.copy(self)
        other.config = replace(self.config, answer=answer)
        return other

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo: all cells with their probabilities."""
        return self.locate_pixels(to_pixels(images, self._fitted().trunk.size))

    def locate_pixels(self, pixels: Tensor) -> Posterior:
        """As `locate`, for pixels (N, 3, S, S) of uint8."""
        config, model = self.config, self._fitted()
        chances = probabilities(model, pixels, crops=config.crops, fusion=config.fusion)[0]
        return Posterior.from_votes(self.partition.points(config.answer), chances.double())

    def embed(self, images: Sequence[Image.Image]) -> Tensor:
        """Embed photos, (N, D): what album models and neighbours work on."""
        return embed(self._fitted(), to_pixels(images, self.model.trunk.size))

    def embed_photos(self, photos: Dataset) -> Tensor:
        """Embed the photos of a data set, (N, D); zeros for a photo that cannot be read."""
        pixels = read_pixels(photos, self._fitted().trunk.size)
        return embed(self.model, pixels.values) * pixels.good[:, None]

    @torch.no_grad()
    def class_log_probabilities(self, features: Tensor) -> Tensor:
        """Read embeddings (N, D) with the softmax: (N, C)."""
        device = next(self._fitted().parameters()).device
        return self.model.scores(features.to(device))[0].float().log_softmax(-1).cpu()

    def _fitted(self) -> CellClassifier:
        if not hasattr(self, "model"):
            raise RuntimeError("no network yet: call fit(train) or PlaNet.load(folder) first")
        return self.model

    def save(self, folder: str | os.PathLike) -> Path:
        """Write weights, partition and configuration into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._fitted()
        self.partition.save(folder / "partition.npz")
        about = {"kind": "PlaNet", "identity": self._identity(), "config": asdict(self.config)}
        kept = {"seconds": self.history.seconds, "n_parameters": self.history.n_parameters}
        save_weights(folder / "weights.safetensors", self.model, about | {"history": kept})
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike, partition: Partition | None = None) -> PlaNet:
        """Read what `save` wrote.

        Parameters
        ----------
        partition : Partition, optional
            Instead of the one in the folder; it must be the same.

        Raises
        ------
        DataError
            If a file is damaged, or the weights were made for another partition: both are named.
        """
        path = Path(folder) / "weights.safetensors"
        about = read_about(path)
        if about.get("kind") != "PlaNet":
            raise DataError(f"{path} holds {about.get('kind')!r}, not PlaNet")
        held = dict(about["config"])
        held["train"] = TrainConfig(
            **{**held["train"], "halve_at": tuple(held["train"]["halve_at"])}
        )
        planet = cls(PlaNetConfig(**{**held, "weights": None}))
        planet.partition = partition or Partition.load(Path(folder) / "partition.npz")
        planet.model = planet._build()
        load_weights(path, planet.model, planet._identity())
        planet.model.eval()
        planet.history = History(**about["history"])
        return planet
