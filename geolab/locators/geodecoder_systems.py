"""The head in the style of GeoDecoder as ``geolab table`` and ``geolab locate`` ask it.

Patch tokens are made once; for each fold the network learns from that fold's references. Where
scenes are known, a second network without scene queries shows what they are worth.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from geolab.encoders.clip import Clip, load_clip
from geolab.encoders.pixels import read_pixels
from geolab.evaluation import truth_of
from geolab.locators.answered import Answered, Cost
from geolab.locators.baselines import places_of
from geolab.locators.clip_systems import held_out
from geolab.locators.geodecoder import GeoDecoder
from geolab.locators.geodecoder_config import GeoDecoderConfig, training_for
from geolab.locators.geodecoder_network import scenes_of

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass
class GeoDecoderSystem:
    """References turned into patch tokens once.

    Attributes
    ----------
    clip : Clip
    references : Dataset
        Without pictures.
    tokens : Tensor of float16, shape (R, P, W)
    good : Tensor of bool, shape (R,)
        Which references could be read.
    seed : int
    config : GeoDecoderConfig, optional
        Without one the course's, with more epochs where photos are few.
    """

    clip: Clip
    references: Dataset
    tokens: Tensor
    good: Tensor
    seed: int
    config: GeoDecoderConfig | None = None

    def fit(self, rows: np.ndarray, *, scenes: bool = True) -> GeoDecoder:
        """Learn from nine photographers in ten of the references `rows`; the tenth chooses."""
        chosen = torch.from_numpy(rows)
        chosen = chosen[self.good[chosen]]
        photos = self.references.select(chosen.numpy())
        learn, held = held_out(photos, self.seed)
        places, labels = places_of(photos), scenes_of(photos)
        config = self.config or GeoDecoderConfig(train=training_for(len(learn), self.seed))
        train = replace(config.train, seed=self.seed)
        config = replace(config, scenes=scenes, train=train)
        return GeoDecoder(self.clip, config).fit_tokens(
            self.tokens[chosen[learn]],
            places[learn],
            labels[learn],
            validation=(self.tokens[chosen[held]], places[held]),
        )

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`; the last system is the main one."""
        asked = read_pixels(queries, self.clip.size)
        tokens = self.clip.embed_patches(asked.values)
        out = Answered(truth_of(queries), failures=asked.unreadable)
        kinds = (False, True) if (scenes_of(self.references)[rows] >= 0).any() else (False,)
        for scenes in kinds:
            began = time.perf_counter()
            locator = self.fit(rows, scenes=scenes)
            said = locator.locate_tokens(tokens)
            cost = Cost(locator.history.seconds, locator.history.n_parameters)
            out.say(locator.name, said, asked.good, time.perf_counter() - began, cost=cost)
        if len(kinds) == 1:
            out.notes["geodecoder scenes"] = "no scene queries: photos need a column scene"
        if self.clip.synthetic:
            out.notes["geodecoder"] = "the small CLIP has seen synthetic photos only"
        return out


def fit_geodecoder_system(
    references: Dataset,
    seed: int,
    *,
    model: str = "tiny",
    config: GeoDecoderConfig | None = None,
) -> GeoDecoderSystem:
    """Read the references and make their tokens."""
    clip = load_clip(model)
    pixels = read_pixels(references, clip.size)
    tokens = clip.embed_patches(pixels.values)
    plain = references.remove_columns("image")
    return GeoDecoderSystem(clip, plain, tokens, pixels.good, seed, config)


def fit_geodecoder(references: Dataset, seed: int, *, model: str = "tiny") -> GeoDecoder:
    """Locator for photos whose place nobody knows."""
    rows = np.arange(len(references))
    return fit_geodecoder_system(references, seed, model=model).fit(rows)
