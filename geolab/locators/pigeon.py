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
    pigeon.save("pigeon/"); Pigeon.load("pigeon/", load_clip())

`PIGEON` and `PIGEOTTO` are the published settings, for 400,000 and 4.5 million photos; neither has
been run here on the data they are meant for. `PigeonConfig()` scales them to the photos given.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geolab.cells import Partition
from geolab.data.errors import DataError
from geolab.data.storage import write_atomic
from geolab.encoders.clip import Clip
from geolab.locators.baselines import places_of
from geolab.locators.geocell_head import GeocellHead
from geolab.locators.multitask import targets_of, tasks_of
from geolab.locators.pigeon_config import PIGEON, PIGEOTTO, PigeonConfig, make_cells
from geolab.locators.protonet import ProtoConfig, ProtoNet, best_cells
from geolab.locators.views import panorama_pixels
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

__all__ = ["PIGEON", "PIGEOTTO", "Pigeon", "PigeonConfig", "make_cells"]
_RECORD = "pigeon.json"


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

    def __init__(self, clip: Clip | None, config: PigeonConfig | None = None) -> None:
        self.clip, self.config = clip, config or PigeonConfig()

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
        features, good = self.embed_photos(photos, progress=progress)
        kept = photos.select(good.nonzero()[:, 0].numpy())
        held = None
        if validation is not None:
            asked, readable = self.embed_photos(validation, progress=progress)
            held = (asked[readable], places_of(validation)[readable])
        return self.fit_features(
            features[good],
            places_of(photos)[good],
            photos=kept,
            validation=held,
            partition=partition,
            progress=progress,
        )

    def embed_photos(self, photos: Dataset, *, progress: str = "") -> tuple[Tensor, Tensor]:
        """Features (N, D), or (N, 4, D) with four views, and which photos could be read (N,)."""
        clip, kind = self._encoder(), self.config.feature
        if self.config.views == 1:
            features = clip.embed_photos(photos, kind)
            return features, features.abs().sum(1) > 0
        pixels = panorama_pixels(photos, clip.size, progress=progress)  # (N, 4, 3, S, S)
        flat = clip.embed_pixels(pixels.flatten(0, 1), kind)
        good = torch.ones(len(pixels), dtype=torch.bool)
        return flat.view(*pixels.shape[:2], flat.shape[1]), good  # (4 N, D) -> (N, 4, D)

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

        Raises
        ------
        ValueError
            If there are tasks but no photos, or as `GeocellHead.fit`.
        """
        config, places = self.config, torch.as_tensor(places).double()
        if config.tasks and photos is None:
            raise ValueError(f"tasks {', '.join(config.tasks)} need columns: give photos=")
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
        if not self.config.tune:
            return net
        if validation is None:
            return net.reconfigured(temperature=0.1 * net.distance_scale(pooled))
        asked, truth = validation
        return net.tuned(self.head.pooled(asked), self.head.probabilities(asked), truth)

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo; several views of a place need `locate_features`."""
        if self.config.views == 4:
            raise ValueError("one photo is one view: embed four views and call locate_features")
        return self.locate_features(self._encoder().encode(images, self.config.feature))

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for features: refined places first, then the cells that did not compete.

        The best K cells stand at their refined places and share their weight as the prototypes
        say, the others keep theirs; the mode is PIGEON's answer.
        """
        head = self._fitted()
        chances = head.probabilities(features)
        cells = Posterior.from_votes(self.partition.means, chances.double())
        if self.refiner is None:
            return cells
        refined = self.refiner.refine(head.pooled(features), chances)
        k = refined.support_size
        top, at = best_cells(chances.double(), k)
        rest = cells.weight.scatter(1, at, 0.0)  # (B, C)
        weight = torch.cat([refined.weight * top.sum(1, keepdim=True), rest], 1)
        # The best of K is at least their mean, and so at least any other cell, but for rounding.
        weight[:, k:] = weight[:, k:].minimum(weight[:, :k].amax(1, keepdim=True))
        return Posterior.from_votes(torch.cat([refined.latlon, cells.latlon], 1), weight)

    def without_refinement(self) -> Pigeon:
        """Return the same network, answering with the best cell's mean."""
        other = copy.copy(self)
        other.refiner, other.config = None, replace(self.config, refine=None)
        return other

    def _encoder(self) -> Clip:
        if self.clip is None:
            raise ValueError("no encoder: make it Pigeon(clip), or give features instead of photos")
        return self.clip

    def _fitted(self) -> GeocellHead:
        if not hasattr(self, "head"):
            raise RuntimeError("not fitted: call fit, fit_features or Pigeon.load first")
        return self.head

    def _made_by(self) -> str:
        """What made the embeddings; nothing is said of features made before."""
        return f"{self.clip.name} {self.clip.weights_hash}" if self.clip else ""

    def save(self, folder: str | os.PathLike) -> Path:
        """Write head, cells, prototypes and configuration into a folder, but not the encoder."""
        folder, head = Path(folder), self._fitted()
        head.save(folder)
        config = self.config
        kept = {"feature": config.feature, "views": config.views, "tasks": config.tasks}
        kept |= {"tune": config.tune, "refine": config.refine and asdict(config.refine)}
        if self.refiner is not None:
            self.refiner.save(folder / "protonet.npz", self.partition.hash)
        said = {"encoder": self._made_by(), "config": kept}
        write_atomic(folder / _RECORD, json.dumps(said))  # last: the folder is whole now
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike, clip: Clip | None = None) -> Pigeon:
        """Read what `save` wrote.

        Parameters
        ----------
        clip : Clip, optional
            That made the embeddings; without one only features can be located.

        Raises
        ------
        DataError
            If a file is missing or damaged, or parts belong to another partition or encoder.
        """
        path = Path(folder) / _RECORD
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            held, made = said["config"], said["encoder"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} is no PIGEON, or not whole ({error}): save it again") from None
        head = GeocellHead.load(folder)
        held["refine"] = ProtoConfig(**held["refine"]) if held["refine"] else None
        held |= {"tasks": tuple(held["tasks"]), "cells": head.partition, "head": head.config}
        pigeon = cls(clip, PigeonConfig(**held))
        if clip is not None and made not in ("", pigeon._made_by()):
            raise DataError(
                f"{path} was fitted on {made!r}, this encoder is {pigeon._made_by()!r}: "
                "take the same"
            )
        pigeon.partition, pigeon.head, pigeon.refiner = head.partition, head, None
        if held["refine"]:
            pigeon.refiner = ProtoNet.load(Path(folder) / "protonet.npz", head.partition.hash)
        return pigeon
