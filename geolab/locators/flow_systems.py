"""The flow on the sphere as ``geolab table`` and ``geolab locate`` ask it.

For each fold the network learns from that fold's references, and answers with one sample, with the
point of best expected score, and with the densest sample.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from geolab.encoders.clip import Clip
from geolab.flow.decisions import decide
from geolab.locators.answered import Answered, Cost
from geolab.locators.embedded import Embedded
from geolab.locators.flow import Flow, FlowConfig

if TYPE_CHECKING:
    from datasets import Dataset

ROWS = ("one sample", "best score", "density mode")
"""Decisions that get a row; the last is the main one."""


@dataclass
class FlowSystem(Embedded):
    """The flow on references embedded once."""

    key = "flow"

    @staticmethod
    def describe(clip: Clip, pixels: Tensor) -> Tensor:
        """Return the mean of the tower's tokens, (N, D)."""
        return clip.embed_pixels(pixels, FlowConfig().feature)

    def fit(self, rows: np.ndarray) -> Flow:
        """Learn from the references `rows`."""
        learn, held = self.split(rows)
        config = FlowConfig()
        config = replace(config, train=replace(config.train, seed=self.seed))
        return Flow(self.clip, config).fit_features(
            learn.features, learn.places, validation=(held.features, held.places)
        )

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`."""
        asked, began = self.ask(queries), time.perf_counter()
        flow = self.fit(rows)
        posterior = flow.locate_features(asked.features)
        points = decide(posterior, sigma_km=flow.sigma_km, seed=self.seed)
        cost = Cost(flow.history.seconds, flow.history.n_parameters)
        for name in ROWS:
            seconds, said = time.perf_counter() - began, points[name].double().numpy()
            label = f"{flow.name}, {name}"
            asked.out.say(label, posterior, asked.good, seconds, cost=cost, points=said)
        return asked.out
