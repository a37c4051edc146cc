"""OSV-5M's head as ``geolab table`` and ``geolab locate`` ask it.

For each fold the quadtree and three heads are made from that fold's references: cross-entropy on
the leaves alone, then the loss on every depth, then the step inside the leaf. What one row adds to
the last is what that part is worth.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from geolab.cells import QuadtreePartition
from geolab.encoders.clip import Clip
from geolab.locators.answered import Answered, Cost
from geolab.locators.embedded import Embedded
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
class QuadtreeSystem(Embedded):
    """The heads on references embedded once."""

    key = "quadtree"

    @staticmethod
    def describe(clip: Clip, pixels: Tensor) -> Tensor:
        """Return the mean of the tower's tokens, (N, D)."""
        return clip.embed_pixels(pixels, FEATURE)

    def learn(self, rows: np.ndarray, config: HybridConfig) -> HybridHead:
        """Learn one kind of head from the references `rows`."""
        learn, held = self.split(rows)
        cells = QuadtreePartition.fit(learn.places, leaf_limit(len(learn.places)))
        config = replace(config, train=replace(config.train, seed=self.seed))
        return HybridHead(config).fit(
            learn.features, learn.places, cells, validation=(held.features, held.places)
        )

    def fit(self, rows: np.ndarray) -> QuadtreeLocator:
        """Learn the whole head, for single photos."""
        return QuadtreeLocator(self.clip, self.learn(rows, ROWS[MAIN]))

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`."""
        asked = self.ask(queries)
        for name, config in ROWS.items():
            began = time.perf_counter()
            head = self.learn(rows, config)
            posterior = head.locate_features(asked.features, k=len(head.partition))
            cost = Cost(head.history.seconds, head.history.n_parameters)
            asked.out.say(name, posterior, asked.good, time.perf_counter() - began, cost=cost)
        return asked.out
