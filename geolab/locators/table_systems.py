"""Which systems ``geolab table`` and ``geolab locate`` can run, and how they meet a benchmark.

A system describes the reference photos once. For each fold it is then told which of them may
answer, and gives points for the queries. What it learns in describing them (a vocabulary of
textons, the scale of each distance) it learns once, from all of them and without their places.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from geolab.encoders.clip import load_clip
from geolab.encoders.im2gps import FAMILIES
from geolab.evaluation import truth_of
from geolab.locators.answered import Answered
from geolab.locators.cell_systems import CELL_SYSTEMS, fit_cell_systems, training_for
from geolab.locators.clip_systems import CLIP_SYSTEMS, fit_clip_systems
from geolab.locators.cplanet import CPlaNet, CPlaNetConfig
from geolab.locators.embedded import Embedded
from geolab.locators.flow_systems import FlowSystem
from geolab.locators.geoclip_systems import GeoClipSystem
from geolab.locators.geodecoder_systems import GeoDecoderSystem
from geolab.locators.hybrid_systems import QuadtreeSystem
from geolab.locators.im2gps import Im2GPS, Im2GPSConfig, describe_photos
from geolab.locators.isn import ISN, ISNConfig
from geolab.locators.knn_density import KnnDensity, KnnDensityConfig
from geolab.locators.pigeon import Pigeon
from geolab.locators.planet import PlaNet, PlaNetConfig

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from geolab.posterior import Posterior


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
        out = Answered(truth_of(queries), failures=failures)
        read = torch.zeros(len(queries), dtype=torch.bool)
        read[good] = True
        position = (read.cumsum(0) - 1).clamp_min(0)  # (Q,) among the readable
        for wanted in (
            replace(self.base.config, answer="nearest"),
            replace(self.base.config, answer="modes", k=self.k),
        ):
            began = time.perf_counter()
            # Unreadable references may leave a fold with fewer than k.
            locator = held.reconfigured(replace(wanted, k=min(wanted.k, len(held.references))))
            name = Im2GPS(wanted).name
            if not good:
                out.points[name], out.seconds[name] = np.full((len(queries), 2), np.nan), describing
                continue
            said = locator.locate_described(features)[position]
            out.say(name, said, read, describing + time.perf_counter() - began)
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


EMBEDDED: dict[str, type[Embedded]] = {
    made.key: made for made in (GeoClipSystem, FlowSystem, GeoDecoderSystem, QuadtreeSystem)
}
SYSTEMS = ("im2gps", *CELL_SYSTEMS, *CLIP_SYSTEMS, *EMBEDDED)
"""Names for ``--locator``."""


def named_systems(wanted: str) -> tuple[str, ...]:
    """Systems of an option: one name, several with commas, or "all".

    Raises
    ------
    ValueError
        If there is no such system.

    Examples
    --------
    >>> named_systems("planet,knn"), named_systems("all") == SYSTEMS
    (('planet', 'knn'), True)
    """
    names = SYSTEMS if wanted == "all" else tuple(dict.fromkeys(wanted.split(",")))
    for name in names:
        if name not in SYSTEMS:
            raise ValueError(f"no locator {name!r}; there are: {', '.join(SYSTEMS)}, or all")
    return names


def fit_systems(wanted: str, references: Dataset, seed: int, n_smallest: int) -> Sequence[System]:
    """Let systems see their references; `n_smallest` is the smallest fold's number of them."""
    names, fitted = named_systems(wanted), []
    if "im2gps" in names:
        fitted.append(fit_im2gps(references, seed, n_smallest))
    learnt = [name for name in CELL_SYSTEMS if name in names]
    if learnt:
        fitted.append(fit_cell_systems(learnt, references, seed))
    embedded = [name for name in CLIP_SYSTEMS if name in names]
    if embedded:
        fitted.append(fit_clip_systems(embedded, references, seed))
    fitted += [made.of(references, seed) for key, made in EMBEDDED.items() if key in names]
    return fitted


def fit_locator(name: str, references: Dataset, seed: int = 0) -> Locator:
    """Fit one locator on all references, for photos whose place nobody knows.

    Raises
    ------
    ValueError
        If there is no such locator, or it needs more than single photos.
    """
    if name == "im2gps":
        k = few_neighbours(len(references))
        return Im2GPS(Im2GPSConfig(answer="modes", k=k, seed=seed)).fit(references)
    network = PlaNetConfig(train=training_for(len(references), seed))
    if name == "planet":
        return PlaNet(network).fit(references)
    if name == "cplanet":
        return CPlaNet(CPlaNetConfig(first=network)).fit(references)
    if name == "isn":
        kind = "routed" if "scene" in references.column_names else "base"
        return ISN(ISNConfig(kind=kind, network=replace(network, crops=5))).fit(references)
    if name == "knn":
        encoder = PlaNet(network).fit(references)
        k = min(KnnDensityConfig().k, len(references) - len(encoder.unreadable))
        return KnnDensity(encoder, KnnDensityConfig(k=k)).fit(references)
    if name == "clip":
        k = min(100, len(references))
        return KnnDensity(load_clip(), KnnDensityConfig(k=k, power=5.0)).fit(references)
    if name == "pigeon":
        return Pigeon(load_clip()).fit(references)
    if name in EMBEDDED:
        return EMBEDDED[name].of(references, seed).locator()
    raise ValueError(f"no locator {name!r}; there are: {', '.join(SINGLE)}")


SINGLE = tuple(name for name in SYSTEMS if name not in ("album", "streetclip"))
"""Locators that answer for one photo alone, from references alone."""
