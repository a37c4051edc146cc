r"""CPlaNet: a few coarse partitions, many fine cells where they cross.

Seo, Weyand, Sim and Han, "CPlaNet: enhancing image geolocalization by combinatorial partitioning of
maps", ECCV 2018. Small cells are precise but have few photos each; large cells are learnt well but
say little. Several *different* coarse partitions, each with its own softmax, cut each other into
many small cells:

1. leaf cells (S2, level 14 in the paper) that hold photos are linked to their neighbours;
2. the cheapest link is merged again and again, its price a mix of visual and of geographic
   distance, until the wanted number of classes is left; other mixes give other partitions;
3. one network learns them all, with PlaNet's own partition among them;
4. every fine cell, a tuple of coarse labels that some training photo has, is scored by its labels,
   the sum of log-probabilities or the plain sum, and the best one answers with its photos' mean.

What is known of the paper's mixes and sizes is recalled (five partitions of about 10,000 to 13,000
classes crossing in about 107,593); the algorithm in detail is ours.

    cplanet = CPlaNet().fit_pixels(pixels, places, first=planet)
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from geolab.cells import CombinatorialPartition, MergeConfig, MergedPartition
from geolab.encoders.cnn import to_pixels
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.locators.baselines import places_of
from geolab.locators.cell_classifier import CellClassifier, embed, fit_classifier, probabilities
from geolab.locators.planet import PlaNet, PlaNetConfig
from geolab.posterior import Posterior
from geolab.training import History, TrainConfig

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image


@dataclass(frozen=True)
class CPlaNetConfig:
    """Which partitions, and how to train and answer.

    Attributes
    ----------
    mixes : tuple of float
        Weight of the visual distance in each merged partition; the rest is geographic.
    n_classes : int, optional
        Of each merged partition; as many as PlaNet's own has if not given.
    leaf_level : int
        S2 level of the leaves.
    rule : {"log", "sum"}
        How labels score a fine cell.
    first : PlaNetConfig
        The first network: its embeddings are the visual features, its trunk the start.
    train : TrainConfig
        Of the network with all partitions.
    """

    mixes: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    n_classes: int | None = None
    leaf_level: int = 10
    rule: Literal["log", "sum"] = "log"
    first: PlaNetConfig = field(default_factory=PlaNetConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=4, batch_size=64, lr=1e-3, clip_norm=1.0)
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "mixes", tuple(self.mixes))
        if not self.mixes or not all(0 <= mix <= 1 for mix in self.mixes):
            raise ValueError(f"mixes must be one or more numbers from 0 to 1, not {self.mixes}")
        if self.rule not in ("log", "sum"):
            raise ValueError(f"rule must be log or sum, not {self.rule!r}")


class CPlaNet:
    """Locator of 2018. `fit` on photos, then `locate`.

    Attributes
    ----------
    partition : CombinatorialPartition
        Fine cells.
    model : CellClassifier
        One head a coarse partition, PlaNet's own first.
    history : History
    """

    partition: CombinatorialPartition
    model: CellClassifier
    history: History

    def __init__(self, config: CPlaNetConfig = CPlaNetConfig()) -> None:
        self.config = config
        self.seconds = 0.0
        self.unreadable: dict[str, str] = {}

    @property
    def name(self) -> str:
        """For tables."""
        return f"CPlaNet, {1 + len(self.config.mixes)} sets, {self.config.rule}"

    @property
    def n_parameters(self) -> int:
        """Weights of the network with all partitions."""
        return sum(p.numel() for p in self._fitted().parameters())

    def fit(self, photos: Dataset, *, checkpoint: str | os.PathLike | None = None) -> CPlaNet:
        """Train PlaNet, cross its partition with the merged ones, learn them all."""
        first = PlaNet(self.config.first)
        size = first.input_size
        pixels, places = read_pixels(photos, size), places_of(photos)
        first.fit_pixels(pixels, places)
        return self.fit_pixels(pixels, places, first=first, checkpoint=checkpoint)

    def fit_pixels(
        self,
        pixels: Pixels,
        places: Tensor,
        *,
        first: PlaNet,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> CPlaNet:
        """As `fit`, on photos read before and with the first network trained before."""
        config, good = self.config, pixels.good
        features = torch.nn.functional.normalize(embed(first.model, pixels.values[good]), dim=1)
        n_classes = config.n_classes or len(first.partition)
        merged = [
            MergedPartition.fit(
                places[good], MergeConfig(n_classes, config.leaf_level, alpha=mix), features
            )
            for mix in config.mixes
        ]
        self.partition = CombinatorialPartition.of([first.partition, *merged], places[good])
        parts = self.partition.parts
        torch.manual_seed(config.train.seed)
        trunk = copy.deepcopy(first.model.trunk)
        model = CellClassifier(trunk, list(map(len, parts)), dropout=config.first.dropout)
        model.heads[0].load_state_dict(first.model.heads[0].state_dict())
        targets = [part.assign(places).where(good, -1) for part in parts]
        held = ", ".join(f"{part.name} {part.hash}" for part in parts)
        self.history = fit_classifier(
            model,
            pixels.values,
            targets,
            config.train,
            checkpoint=checkpoint,
            identity={"partitions": held, "trunk": config.first.trunk},
            progress=progress,
        )
        self.model, self.unreadable = model, pixels.unreadable
        self.seconds = first.history.seconds + self.history.seconds
        return self

    def scored(self, rule: Literal["log", "sum"]) -> CPlaNet:
        """Return the same network, answering by the other rule."""
        other = copy.copy(self)
        held = {name: getattr(self.config, name) for name in self.config.__dataclass_fields__}
        other.config = CPlaNetConfig(**{**held, "rule": rule})
        return other

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo: all fine cells with their probabilities."""
        return self.locate_pixels(to_pixels(images, self._fitted().trunk.size))

    def locate_pixels(self, pixels: Tensor) -> Posterior:
        """As `locate`, for pixels (N, 3, S, S) of uint8."""
        network = self.config.first
        views = {"crops": network.crops, "fusion": network.fusion}
        heads = probabilities(self._fitted(), pixels, **views)
        scores = self.partition.scores(heads, rule=self.config.rule)
        return Posterior.from_votes(self.partition.points(network.answer), scores.double())

    def _fitted(self) -> CellClassifier:
        if not hasattr(self, "model"):
            raise RuntimeError("no network yet: call fit(train) first")
        return self.model
