"""The head in the style of GeoDecoder as ``geolab table`` and ``geolab locate`` ask it.

For each fold the network learns from that fold's references. Where
scenes are known, a second network without scene queries shows what they are worth.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from geolab.encoders.clip import Clip
from geolab.locators.answered import Answered, Cost
from geolab.locators.embedded import Embedded
from geolab.locators.geodecoder import GeoDecoder
from geolab.locators.geodecoder_config import GeoDecoderConfig, training_for
from geolab.locators.geodecoder_network import scenes_of

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass
class GeoDecoderSystem(Embedded):
    """The head on references turned into patch tokens once, float16 (R, P, W)."""

    config: GeoDecoderConfig | None = None

    key = "geodecoder"

    @staticmethod
    def describe(clip: Clip, pixels: Tensor) -> Tensor:
        """Return the tower's patch tokens, (N, P, W)."""
        return clip.embed_patches(pixels)

    def fit(self, rows: np.ndarray, *, scenes: bool = True) -> GeoDecoder:
        """Learn from the references `rows`; without a config, longer where photos are few."""
        learn, held = self.split(rows)
        config = self.config or GeoDecoderConfig(train=training_for(len(learn.places), self.seed))
        train = replace(config.train, seed=self.seed)
        return GeoDecoder(self.clip, replace(config, scenes=scenes, train=train)).fit_tokens(
            learn.features,
            learn.places,
            scenes_of(learn.photos),
            validation=(held.features, held.places),
        )

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`; the last system is the main one."""
        asked = self.ask(queries)
        kinds = (False, True) if (scenes_of(self.references)[rows] >= 0).any() else (False,)
        for scenes in kinds:
            began = time.perf_counter()
            locator = self.fit(rows, scenes=scenes)
            said = locator.locate_tokens(asked.features)
            cost = Cost(locator.history.seconds, locator.history.n_parameters)
            asked.out.say(locator.name, said, asked.good, time.perf_counter() - began, cost=cost)
        if len(kinds) == 1:
            asked.out.notes["geodecoder scenes"] = "no scene queries: photos need a column scene"
        return asked.out
