"""PIGEON, all of it: embedding, semantic geocells, smoothed labels, views, tasks, refinement.

Haas, Skreta, Alberti and Finn, "PIGEON: predicting image geolocations", CVPR 2024. Every part is a
module of its own and can be left out here:

| part | module | without it |
| --- | --- | --- |
| embedding: mean of all tokens, frozen | `geolab.encoders.clip` | ``feature="image"`` |
| caption pretraining of the encoder | `geolab.encoders.pretrain` | another CLIP |
| last block trained first | `fine_tune` | another CLIP |
| semantic geocells | `geolab.cells.semantic` | ``cells="naive"`` or ``"s2"`` |
| smoothed labels | `geocell_head` | ``tau_km=None`` |
| four views, their mean | `views` | ``views=1`` |
| further tasks | `multitask` | ``tasks=()`` |
| refinement by prototypes | `protonet` | ``refine=None`` |

    pigeon = Pigeon(load_clip(), PigeonConfig()).fit(train, validation=held)
    pigeon.locate(images)
    pigeon.without_refinement().locate(images)

`PIGEON` and `PIGEOTTO` are the published settings, for 400,000 and 4.5 million photos; neither has
been run here on the data they are meant for. `PigeonConfig()` scales them to the photos given.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from geolab.cells import PLANET, Partition, scaled
from geolab.cells.areas import gazetteer_areas
from geolab.cells.naive_partition import NaivePartition
from geolab.cells.semantic import (
    PIGEON_CELLS,
    PIGEOTTO_CELLS,
    SemanticConfig,
    SemanticPartition,
    scaled_semantic,
)
from geolab.encoders.clip import Clip, Feature
from geolab.locators.baselines import places_of
from geolab.locators.geocell_head import GeocellHead, HeadConfig
from geolab.locators.multitask import targets_of, tasks_of
from geolab.locators.protonet import (
    PIGEON_REFINER,
    PIGEOTTO_REFINER,
    ProtoConfig,
    ProtoNet,
    best_cells,
)
from geolab.locators.views import panorama_pixels
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

CELLS = ("semantic", "naive", "s2")


@dataclass(frozen=True)
class PigeonConfig:
    """Which parts, and how.

    Attributes
    ----------
    cells : str or SemanticConfig
        "semantic", "naive" or "s2", scaled to the photos; or published limits.
    feature : {"tokens", "image"}
    views : {1, 4}
    tasks : tuple of str
        Of `geolab.locators.multitask.TASKS`.
    head : HeadConfig
        Labels, pooling and training.
    refine : ProtoConfig, optional
        Its temperature is tuned where there are validation photos.
    """

    cells: Literal["semantic", "naive", "s2"] | SemanticConfig = "semantic"
    feature: Feature = "tokens"
    views: Literal[1, 4] = 1
    tasks: tuple[str, ...] = ()
    head: HeadConfig = field(default_factory=HeadConfig)
    refine: ProtoConfig | None = PIGEON_REFINER

    def __post_init__(self) -> None:
        if self.views not in (1, 4):
            raise ValueError(f"views must be 1 or 4, not {self.views}")
        if isinstance(self.cells, str) and self.cells not in CELLS:
            raise ValueError(f"cells {self.cells!r} must be one of {', '.join(CELLS)}")


PIGEON = PigeonConfig(PIGEON_CELLS, views=4, head=HeadConfig(tau_km=75.0, normalise=False))
"""As published for Street View panoramas: 2,203 cells, tau 75 km, K 5, T 1.6."""
PIGEOTTO = PigeonConfig(
    PIGEOTTO_CELLS, head=HeadConfig(tau_km=65.0, normalise=False), refine=PIGEOTTO_REFINER
)
"""As published for photos of a sharing site: 2,076 cells, tau 65 km, K 40, T 0.6."""


def make_cells(places: Tensor, kind: str | SemanticConfig, n_cells: int = 400) -> Partition:
    """Cut the Earth by training places (N, 2).

    Parameters
    ----------
    kind : "semantic", "naive", "s2" or SemanticConfig
        The words mean limits for about `n_cells` cells.
    """
    if isinstance(kind, SemanticConfig):
        return SemanticPartition.fit(places, gazetteer_areas(), kind)
    if kind == "semantic":
        config = scaled_semantic(len(places), min(n_cells, max(8, len(places) // 8)))
        return SemanticPartition.fit(places, gazetteer_areas(), config)
    if kind == "naive":
        return NaivePartition.fit(places, max(8, math.ceil(2 * len(places) / n_cells)))
    return scaled(len(places), PLANET).fit(places)


class Pigeon:
    """Locator of 2023. `fit` on photos or on features, then `locate`.

    Attributes
    ----------
    partition : Partition
    head : GeocellHead
    refiner : ProtoNet or None
    """

    partition: Partition
    head: GeocellHead
    refiner: ProtoNet | None

    def __init__(self, clip: Clip | None, config: PigeonConfig = PigeonConfig()) -> None:
        self.clip, self.config = clip, config

    @property
    def name(self) -> str:
        """For tables."""
        return "PIGEON" + (", 4 views" if self.config.views == 4 else "")

    def fit(
        self,
        photos: Dataset,
        *,
        validation: Dataset | None = None,
        partition: Partition | None = None,
        progress: str = "",
    ) -> Pigeon:
        """Embed photos and learn; photos that cannot be read are left out."""
        features, good = self.embed_photos(photos)
        kept = photos.select(good.nonzero()[:, 0].numpy())
        held = None
        if validation is not None:
            asked, readable = self.embed_photos(validation)
            held = (asked[readable], places_of(validation)[readable])
        return self.fit_features(
            features[good],
            places_of(photos)[good],
            photos=kept,
            validation=held,
            partition=partition,
            progress=progress,
        )

    def embed_photos(self, photos: Dataset) -> tuple[Tensor, Tensor]:
        """Features (N, D), or (N, 4, D) with four views, and which photos could be read (N,)."""
        if self.config.views == 1:
            features = self.clip.embed_photos(photos, self.config.feature)
            return features, features.abs().sum(1) > 0
        pixels = panorama_pixels(photos, self.clip.size)  # (N, 4, 3, S, S)
        flat = self.clip.embed_pixels(pixels.flatten(0, 1), self.config.feature)
        good = torch.ones(len(pixels), dtype=torch.bool)
        return flat.view(len(pixels), -1, flat.shape[1]), good  # (4 N, D) -> (N, 4, D)

    def fit_features(
        self,
        features: Tensor,
        places: Tensor,
        *,
        photos: Dataset | None = None,
        validation: tuple[Tensor, Tensor] | None = None,
        partition: Partition | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> Pigeon:
        """As `fit`, on features (N, D) or (N, V, D) made before.

        Parameters
        ----------
        photos : Dataset, optional
            The columns of the tasks; needed where the configuration names tasks.
        """
        config, places = self.config, torch.as_tensor(places).double()
        self.partition = partition or make_cells(places, config.cells)
        tasks = tasks_of(photos, config.tasks) if config.tasks else ()
        self.head = GeocellHead(config.head, tasks).fit(
            features,
            places,
            self.partition,
            targets=targets_of(photos, tasks) if tasks else None,
            validation=validation,
            checkpoint=checkpoint,
            progress=progress,
        )
        self.refiner = self._refiner(features, places, validation) if config.refine else None
        return self

    def _refiner(
        self, features: Tensor, places: Tensor, validation: tuple[Tensor, Tensor] | None
    ) -> ProtoNet:
        pooled, cells = self.head.pooled(features), self.partition.assign(places)
        net = ProtoNet(self.config.refine).fit(pooled, places, cells, self.partition.means)
        if validation is None:
            return net.reconfigured(temperature=0.1 * net.distance_scale(pooled))
        asked, truth = validation
        return net.tuned(self.head.pooled(asked), self.head.probabilities(asked), truth)

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo; several views of a place need `locate_features`."""
        if self.config.views == 4:
            raise ValueError("one photo is one view: embed four views and call locate_features")
        return self.locate_features(self.clip.encode(images, self.config.feature))

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for features: refined places first, then the cells that did not compete."""
        chances = self.head.probabilities(features)
        cells = Posterior.from_votes(self.partition.means, chances.double())
        if self.refiner is None:
            return cells
        refined = self.refiner.refine(self.head.pooled(features), chances)
        k = refined.support_size
        top, at = best_cells(chances.double(), k)
        rest = cells.weight.scatter(1, at, 0.0)  # (B, C)
        weight = torch.cat([refined.weight * top.sum(1, keepdim=True), rest], 1)
        most = weight[:, :k].amax(1, keepdim=True)
        weight[:, k:] = weight[:, k:].clamp(max=1.0).minimum(most)  # the answer stays refined
        return Posterior.from_votes(torch.cat([refined.latlon, cells.latlon], 1), weight)

    def without_refinement(self) -> Pigeon:
        """Return the same network, answering with the best cell's mean."""
        other = copy.copy(self)
        other.refiner, other.config = None, replace(self.config, refine=None)
        return other
