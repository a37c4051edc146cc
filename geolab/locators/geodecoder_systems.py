"""The head in the style of GeoDecoder as ``geolab table`` and ``geolab locate`` ask it.

For each fold the network learns from that fold's references. Where scenes are known, a second
network without scene queries shows what they are worth.

**Measured** by ``geolab table --benchmark tinyearth --n 3000 --locator geodecoder`` (and
``clip,isn``) with seed 0, on 307 synthetic photos by 25 photographers, 2,472 references: % within
200, 750 and 2500 km; GeoGuessr score with its interval over photographers; nats per steradian;
calibration error at 200 km in points.

============================= ========== ========== ========== ================== ====== ====
system                        200 km     750 km     2500 km    score              nats   ECE
============================= ========== ========== ========== ================== ====== ====
this head                     14.3       29.0       49.5       1,661 1,197-2,053   0.01   3.9
the same, no scene queries    13.7       29.0       50.2       1,643 1,186-2,008   0.03   5.8
linear probe of the same CLIP 10.7       24.4       43.3       1,454 1,049-1,859   0.64  18.7
ISN base, f*                  3.9        18.2       35.8       1,101 748-1,531     1.54  58.5
============================= ========== ========== ========== ================== ====== ====

Paired, the head gains 6.2 points [0.7 to 11] on the probe at 2500 km, and 207 [-6 to 396] of score;
what of that is patches and what is seven levels was not taken apart. What scene queries add, 18 of
score [-48 to 98], is a tie. The ISN learns from pixels, without a CLIP. At T = 1 the head's
calibration error was 63 points. A network trained for one to two minutes on one busy core.
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
