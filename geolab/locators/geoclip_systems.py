"""GeoCLIP as ``geolab table`` and ``geolab locate`` ask it.

For each fold the network learns from that fold's references, and their places are its gallery.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from geolab.locators.answered import Answered, Cost
from geolab.locators.embedded import Embedded
from geolab.locators.geoclip import GeoClip
from geolab.locators.geoclip_config import GeoClipConfig, training_for

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass
class GeoClipSystem(Embedded):
    """GeoCLIP on references embedded once."""

    key = "geoclip"

    def fit(self, rows: np.ndarray) -> GeoClip:
        """Learn from some of the references `rows`; the places of all of them are the gallery."""
        learn, held = self.split(rows)
        train = training_for(len(learn.places), self.seed)
        locator = GeoClip(self.clip, replace(GeoClipConfig(), train=train)).fit_features(
            learn.features, learn.places, validation=(held.features, held.places)
        )
        return locator.with_gallery(torch.cat([learn.places, held.places]))

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`."""
        asked, began = self.ask(queries), time.perf_counter()
        locator = self.fit(rows)
        said = locator.locate_features(asked.features)
        cost = Cost(locator.history.seconds, locator.history.n_parameters)
        asked.out.say(locator.name, said, asked.good, time.perf_counter() - began, cost=cost)
        return asked.out
