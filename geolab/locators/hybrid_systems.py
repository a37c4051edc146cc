"""OSV-5M's head as ``geolab table`` and ``geolab locate`` ask it.

Photos are embedded once; for each fold the quadtree and three heads are made from that fold's
references: cross-entropy on the leaves alone, then the loss on every depth, then the step inside
the leaf. What one row adds to the last is what that part is worth.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from geolab.cells import QuadtreePartition
from geolab.encoders.clip import Clip, load_clip
from geolab.encoders.pixels import read_pixels
from geolab.evaluation import truth_of
from geolab.locators.answered import Answered, Cost
from geolab.locators.baselines import places_of
from geolab.locators.clip_systems import held_out
from geolab.locators.hybrid import HybridConfig, HybridHead
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

FEATURE = "tokens"
ROWS = {
    "OSV-5M: quadtree": HybridConfig(hierarchical=False, step=False),
    "OSV-5M: + hierarchical loss": HybridConfig(step=False),
    "OSV-5M: + hybrid step": HybridConfig(),
}
"""Heads that get a row, each with one part more; the last is the main one."""
MAIN = "OSV-5M: + hybrid step"


def leaf_limit(n_photos: int, n_cells: int = 400) -> int:
    """Photos that make a box worth cutting, so that about `n_cells` leaves come out.

    OSV-5M cuts at 1,000, and its leaves hold 430 on average: 2.3 times fewer.

    Examples
    --------
    >>> leaf_limit(4_894_685, 11_399), leaf_limit(15_000), leaf_limit(100)
    (988, 87, 8)
    """
    return max(8, math.ceil(2.3 * n_photos / n_cells))


@dataclass
class QuadtreeLocator:
    """A head behind its encoder, for single photos."""

    clip: Clip
    head: HybridHead
    name: str = "OSV-5M"

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo."""
        return self.head.locate_features(self.clip.encode(images, FEATURE))


@dataclass
class QuadtreeSystem:
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

    def fit(self, rows: np.ndarray, config: HybridConfig) -> HybridHead:
        """Learn from nine photographers in ten of the references `rows`; the tenth chooses."""
        chosen = torch.from_numpy(rows)
        chosen = chosen[self.good[chosen]]
        photos, known = self.references.select(chosen.numpy()), self.features[chosen]
        learn, held = held_out(photos, self.seed)
        places = places_of(photos)
        cells = QuadtreePartition.fit(places[learn], leaf_limit(len(learn)))
        config = replace(config, train=replace(config.train, seed=self.seed))
        return HybridHead(config).fit(
            known[learn], places[learn], cells, validation=(known[held], places[held])
        )

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`."""
        asked = read_pixels(queries, self.clip.size)
        features = self.clip.embed_pixels(asked.values, FEATURE)
        out = Answered(truth_of(queries), failures=asked.unreadable)
        for name, config in ROWS.items():
            began = time.perf_counter()
            head = self.fit(rows, config)
            posterior = head.locate_features(features, k=len(head.partition))
            cost = Cost(head.history.seconds, head.history.n_parameters)
            out.say(name, posterior, asked.good, time.perf_counter() - began, cost=cost)
        if self.clip.synthetic:
            out.notes["quadtree"] = "the small CLIP has seen synthetic photos only"
        return out


def fit_quadtree_system(references: Dataset, seed: int, *, model: str = "tiny") -> QuadtreeSystem:
    """Read and embed the references."""
    clip = load_clip(model)
    pixels = read_pixels(references, clip.size)
    features = clip.embed_pixels(pixels.values, FEATURE)
    plain = references.remove_columns("image")
    return QuadtreeSystem(clip, plain, features, pixels.good, seed)


def fit_quadtree(references: Dataset, seed: int, *, model: str = "tiny") -> QuadtreeLocator:
    """Locator for photos whose place nobody knows."""
    made = fit_quadtree_system(references, seed, model=model)
    return QuadtreeLocator(made.clip, made.fit(np.arange(len(references)), ROWS[MAIN]))
