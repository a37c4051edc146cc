"""The flow on the sphere as ``geolab table`` and ``geolab locate`` ask it.

Photos are embedded once; for each fold the network learns from that fold's references, and answers
with one sample, with the point of best expected score, and with the densest sample.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from geolab.encoders.clip import Clip, load_clip
from geolab.encoders.pixels import read_pixels
from geolab.evaluation import truth_of
from geolab.flow.decisions import decide
from geolab.locators.answered import Answered, Cost
from geolab.locators.baselines import places_of
from geolab.locators.clip_systems import held_out
from geolab.locators.flow import Flow, FlowConfig

if TYPE_CHECKING:
    from datasets import Dataset

ROWS = ("one sample", "best score", "density mode")
"""Decisions that get a row; the last is the main one."""


@dataclass
class FlowSystem:
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
    config: FlowConfig = field(default_factory=FlowConfig)

    def fit(self, rows: np.ndarray) -> Flow:
        """Learn from nine photographers in ten of the references `rows`; the tenth chooses."""
        chosen = torch.from_numpy(rows)
        chosen = chosen[self.good[chosen]]
        photos, known = self.references.select(chosen.numpy()), self.features[chosen]
        learn, held = held_out(photos, self.seed)
        places = places_of(photos)
        config = replace(self.config, train=replace(self.config.train, seed=self.seed))
        return Flow(self.clip, config).fit_features(
            known[learn], places[learn], validation=(known[held], places[held])
        )

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`."""
        asked = read_pixels(queries, self.clip.size)
        began = time.perf_counter()
        flow = self.fit(rows)
        posterior = flow.locate_features(self.clip.embed_pixels(asked.values, self.config.feature))
        points = decide(posterior, sigma_km=flow.sigma_km, seed=self.seed)
        out = Answered(truth_of(queries), failures=asked.unreadable)
        cost = Cost(flow.history.seconds, flow.history.n_parameters)
        for name in ROWS:
            seconds, said = time.perf_counter() - began, points[name].double().numpy()
            label = f"{flow.name}, {name}"
            out.say(label, posterior, asked.good, seconds, cost=cost, points=said)
        if self.clip.synthetic:
            out.notes["flow"] = "the small CLIP has seen synthetic photos only"
        return out


def fit_flow_system(references: Dataset, seed: int, *, model: str = "tiny") -> FlowSystem:
    """Read and embed the references."""
    clip, config = load_clip(model), FlowConfig()
    pixels = read_pixels(references, clip.size)
    features = clip.embed_pixels(pixels.values, config.feature)
    return FlowSystem(clip, references.remove_columns("image"), features, pixels.good, seed, config)


def fit_flow(references: Dataset, seed: int, *, model: str = "tiny") -> Flow:
    """Locator for photos whose place nobody knows."""
    return fit_flow_system(references, seed, model=model).fit(np.arange(len(references)))
