"""GeoCLIP as ``geolab table`` and ``geolab locate`` ask it.

Photos are embedded once; for each fold the network learns from that fold's references, and their
places are its gallery.
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
from geolab.locators.geoclip import GeoClip
from geolab.locators.geoclip_config import GeoClipConfig, training_for

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass
class GeoClipSystem:
    """References embedded once.

    Attributes
    ----------
    clip : Clip
    references : Dataset
        Without pictures.
    features : Tensor, shape (R, D)
    good : Tensor of bool, shape (R,)
        Which references could be read.
    seed : int
    """

    clip: Clip
    references: Dataset
    features: Tensor
    good: Tensor
    seed: int

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`."""
        chosen = torch.from_numpy(rows)
        chosen = chosen[self.good[chosen]]
        photos = self.references.select(chosen.numpy())
        asked = read_pixels(queries, self.clip.size)
        began = time.perf_counter()
        locator = fit_features(self.clip, self.features[chosen], photos, self.seed)
        said = locator.locate_features(self.clip.embed_pixels(asked.values))
        cost = Cost(locator.history.seconds, locator.history.n_parameters)
        out = Answered(truth_of(queries), failures=asked.unreadable)
        out.say(locator.name, said, asked.good, time.perf_counter() - began, cost=cost)
        if self.clip.synthetic:
            out.notes["geoclip"] = "the small CLIP has seen synthetic photos only"
        return out


def fit_geoclip_system(references: Dataset, seed: int, *, model: str = "tiny") -> GeoClipSystem:
    """Read and embed the references."""
    clip = load_clip(model)
    pixels = read_pixels(references, clip.size)
    plain = references.remove_columns("image")
    return GeoClipSystem(clip, plain, clip.embed_pixels(pixels.values), pixels.good, seed)


def fit_geoclip(references: Dataset, seed: int, *, model: str = "tiny") -> GeoClip:
    """Locator for photos whose place nobody knows; all references' places are its gallery."""
    made = fit_geoclip_system(references, seed, model=model)
    photos = made.references.select(made.good.nonzero()[:, 0].numpy())
    return fit_features(made.clip, made.features[made.good], photos, seed)


def fit_features(clip: Clip, features: Tensor, photos: Dataset, seed: int) -> GeoClip:
    """Learn from nine photographers in ten, choose epoch and temperature by the tenth."""
    places = places_of(photos)
    learn, held = held_out(photos, seed)
    config = replace(GeoClipConfig(), train=training_for(len(learn), seed))
    locator = GeoClip(clip, config).fit_features(
        features[learn], places[learn], validation=(features[held], places[held])
    )
    return locator.with_gallery(places)
