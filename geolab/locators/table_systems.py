"""Which systems ``geolab table`` and ``geolab locate`` can run, and how they meet a benchmark.

A system describes the reference photos once. For each fold it is then told which of them may
answer, and gives points for the queries. What it learns in describing them (a vocabulary of
textons, the scale of each distance) it learns once, from all of them and without their places.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from geolab.encoders.im2gps import FAMILIES
from geolab.locators.im2gps import Im2GPS, Im2GPSConfig, describe_photos

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from geolab.posterior import Posterior


@dataclass(frozen=True)
class Answered:
    """Answers of one fold, by the names that the table prints.

    Attributes
    ----------
    points : dict of str to ndarray, shape (Q, 2)
        Degrees; NaN for a query that could not be read. The last entry is the main one.
    seconds : dict of str to float
    failures : dict of str to str
        Query id to reason.
    """

    points: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class Locator(Protocol):
    """Photos in, one answer for each out."""

    name: str

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo."""


class System(Protocol):
    """What a table needs of a system that has seen its references."""

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Locate `queries` by the references `rows` only."""


def few_neighbours(n_references: int) -> int:
    """Neighbours that im2gps asks: 120, or a tenth of the references where they are few.

    Examples
    --------
    >>> few_neighbours(5000), few_neighbours(143), few_neighbours(3)
    (120, 14, 3)
    """
    return min(n_references, max(4, min(120, n_references // 10)))


@dataclass(frozen=True)
class Im2GPSSystem:
    """im2gps with its references described: 1-NN, and the modes of k neighbours.

    Attributes
    ----------
    base : Im2GPS
        Fitted on all references that could be read.
    index_row : ndarray of int64, shape (R,)
        Row in the index of each reference; -1 for those that could not be read.
    k : int
    """

    base: Im2GPS
    index_row: np.ndarray
    k: int

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Locate `queries` by the references `rows` only."""
        began = time.perf_counter()
        features, good, failures = self._describe(queries)
        describing = time.perf_counter() - began
        readable = self.index_row[rows]
        held = self.base.subset(readable[readable >= 0])
        out = Answered(failures=failures)
        for wanted in (
            replace(self.base.config, answer="nearest"),
            replace(self.base.config, answer="modes", k=self.k),
        ):
            began = time.perf_counter()
            # Unreadable references may leave a fold with fewer than k.
            locator = held.reconfigured(replace(wanted, k=min(wanted.k, len(held.references))))
            points = np.full((len(queries), 2), np.nan)
            if good:
                points[good] = locator.locate_described(features).mode().double().numpy()
            name = Im2GPS(wanted).name
            out.points[name] = points
            out.seconds[name] = describing + time.perf_counter() - began
        return out

    def _describe(self, queries: Dataset) -> tuple[dict[str, Tensor], list[int], dict[str, str]]:
        """Descriptors of the queries, taken from the index where they are references themselves."""
        index = self.base.references
        row_of = {photo: row for row, photo in enumerate(index.ids)}
        asked = [str(photo) for photo in queries["id"]]
        if not set(asked) <= row_of.keys() | self.base.unreadable.keys():
            return describe_photos(queries, self.base.encoders)
        good = [i for i, photo in enumerate(asked) if photo in row_of]
        rows = torch.tensor([row_of[asked[i]] for i in good], dtype=torch.int64)
        failures = {p: self.base.unreadable[p] for p in asked if p not in row_of}
        return {name: values[rows] for name, values in index.features.items()}, good, failures


def fit_im2gps(
    references: Dataset, seed: int, n_smallest: int, *, families: tuple[str, ...] = FAMILIES
) -> Im2GPSSystem:
    """Describe the references; `n_smallest` is the size of the smallest fold's reference set."""
    config = Im2GPSConfig(families=families, answer="nearest", seed=seed)
    base = Im2GPS(config).fit(references)
    row_of = {photo: row for row, photo in enumerate(base.references.ids)}
    index_row = np.array([row_of.get(str(photo), -1) for photo in references["id"]], np.int64)
    return Im2GPSSystem(base, index_row, few_neighbours(n_smallest))


SYSTEMS: dict[str, Callable[[Dataset, int, int], System]] = {"im2gps": fit_im2gps}
"""Fits a system on (references, seed, size of the smallest fold)."""


def fit_locator(name: str, references: Dataset, seed: int = 0) -> Locator:
    """Fit one locator on all references, for photos whose place nobody knows.

    Raises
    ------
    ValueError
        If there is no such locator.
    """
    if name not in SYSTEMS:
        raise ValueError(f"no locator {name!r}; there are: {', '.join(SYSTEMS)}")
    k = few_neighbours(len(references))
    return Im2GPS(Im2GPSConfig(answer="modes", k=k, seed=seed)).fit(references)
