"""Reference photos that a CLIP has described once, for systems that learn from some of them.

A system of the table is asked fold by fold, and each fold leaves other references out. What the
CLIP says of a photo stays the same, so it is computed once; `Embedded.split` then gives a fold its
part of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from geolab.encoders.clip import Clip, load_clip
from geolab.encoders.pixels import read_pixels
from geolab.evaluation import truth_of
from geolab.locators.answered import Answered
from geolab.locators.baselines import places_of
from geolab.locators.clip_systems import held_out

if TYPE_CHECKING:
    from datasets import Dataset

    from geolab.locators.table_systems import Locator


class Part(NamedTuple):
    """Some of the references: features (P, ...), places (P, 2) in degrees, and their rows."""

    features: Tensor
    places: Tensor
    photos: Dataset


class Asked(NamedTuple):
    """Queries described: features (Q, ...), which could be read (Q,), and where answers go."""

    features: Tensor
    good: Tensor
    out: Answered


@dataclass
class Embedded(ABC):
    """References described once.

    Attributes
    ----------
    clip : Clip
    references : Dataset
        Without pictures.
    features : Tensor, shape (R, ...)
    good : Tensor of bool, shape (R,)
        Which references could be read.
    seed : int
    """

    clip: Clip
    references: Dataset
    features: Tensor
    good: Tensor
    seed: int

    key: ClassVar[str]
    """Name for ``--locator``."""

    @staticmethod
    def describe(clip: Clip, pixels: Tensor) -> Tensor:
        """What the system takes of a photo: the tower's image feature, (N, D)."""
        return clip.embed_pixels(pixels)

    @classmethod
    def of(cls, references: Dataset, seed: int, *, model: str = "tiny", **parts: object) -> Self:
        """Read and describe the references; `parts` are further fields of the system."""
        clip = load_clip(model)
        pixels = read_pixels(references, clip.size)
        features, plain = cls.describe(clip, pixels.values), references.remove_columns("image")
        return cls(clip, plain, features, pixels.good, seed, **parts)

    @abstractmethod
    def fit(self, rows: np.ndarray) -> Locator:
        """Learn from the references `rows`."""

    @abstractmethod
    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Learn from the references `rows` and locate `queries`."""

    def locator(self) -> Locator:
        """Learn from all references, for photos whose place nobody knows."""
        return self.fit(np.arange(len(self.references)))

    def split(self, rows: np.ndarray) -> tuple[Part, Part]:
        """Of the references `rows` that could be read: those to learn from, those to choose by.

        Nine photographers in ten learn; nobody is in both.
        """
        chosen = torch.from_numpy(rows)
        chosen = chosen[self.good[chosen]]
        photos, known = self.references.select(chosen.numpy()), self.features[chosen]
        places = places_of(photos)
        learn, held = (
            Part(known[some], places[some], photos.select(some.numpy()))
            for some in held_out(photos, self.seed)
        )
        return learn, held

    def ask(self, queries: Dataset) -> Asked:
        """Read and describe the queries."""
        asked = read_pixels(queries, self.clip.size)
        out = Answered(truth_of(queries), failures=asked.unreadable)
        if self.clip.synthetic:
            out.notes[self.key] = "the small CLIP has seen synthetic photos only"
        return Asked(self.describe(self.clip, asked.values), asked.good, out)
