"""The systems that learn cells, as ``geolab table`` asks them: trained once a fold, on that fold.

PlaNet, its albums, its neighbours and the first stage of CPlaNet share one network, so they are
trained and asked together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from geolab.encoders.cnn import make_trunk
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.evaluation import truth_of
from geolab.locators.album_rows import albums_of
from geolab.locators.albums import AlbumConfig, AlbumLocator
from geolab.locators.answered import Answered, Cost
from geolab.locators.baselines import places_of
from geolab.locators.cell_classifier import embed
from geolab.locators.cplanet import CPlaNet, CPlaNetConfig
from geolab.locators.isn import ISN, ISNConfig
from geolab.locators.knn_density import KnnDensity, KnnDensityConfig
from geolab.locators.planet import CPU_TRAINING, PlaNet, PlaNetConfig
from geolab.locators.scenes import scene_labels
from geolab.training import History, TrainConfig

if TYPE_CHECKING:
    from datasets import Dataset

CELL_SYSTEMS = ("planet", "album", "knn", "cplanet", "isn")
ALBUMS = ("average", "plain", "repeated")
_STEPS = 2000
"""Steps that a small training set is given at least, within reason."""


def training_for(n_photos: int, seed: int) -> TrainConfig:
    """Return the course's training, with more epochs where photos are few.

    Examples
    --------
    >>> training_for(15_000, 0).epochs, training_for(290, 0).epochs
    (9, 30)
    """
    few = round(_STEPS * CPU_TRAINING.batch_size / max(1, n_photos))
    return replace(CPU_TRAINING, epochs=min(30, max(CPU_TRAINING.epochs, few)), seed=seed)


@dataclass
class CellSystems:
    """References read once; for each fold the systems named are trained on some of them.

    Attributes
    ----------
    names : tuple of str
        Of `CELL_SYSTEMS`.
    references : Dataset
        Without pictures.
    pixels : Pixels
    seed : int
    """

    names: tuple[str, ...]
    references: Dataset
    pixels: Pixels
    seed: int
    notes: dict[str, str] = field(default_factory=dict)

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`."""
        fold = _Fold(self, queries, torch.from_numpy(rows))
        for name in self.names:
            getattr(fold, name)()
        self.notes.update(fold.out.notes)
        return fold.out


def fit_cell_systems(names: Sequence[str], references: Dataset, seed: int) -> CellSystems:
    """Read the references. Raises ValueError for a name that is not in `CELL_SYSTEMS`."""
    unknown = [name for name in names if name not in CELL_SYSTEMS]
    if unknown:
        raise ValueError(f"no system {unknown[0]!r}; there are: {', '.join(CELL_SYSTEMS)}")
    pixels = read_pixels(references, make_trunk().size)
    plain = references.remove_columns("image")
    return CellSystems(tuple(names), plain, pixels, seed)


class _Fold:
    """One training set and its queries; each method answers with one kind of system."""

    def __init__(self, given: CellSystems, queries: Dataset, rows: Tensor) -> None:
        self.train = given.references.select(rows.numpy())
        held = given.pixels
        self.pixels = Pixels(held.values[rows], held.good[rows], held.unreadable)
        self.places = places_of(self.train)
        self.queries = queries.remove_columns("image")
        self.asked = read_pixels(queries, held.values.shape[-1])
        self.out = Answered(truth_of(queries), failures=self.asked.unreadable)
        config = PlaNetConfig(train=training_for(len(rows), given.seed))
        self.first = PlaNet(config).fit_pixels(self.pixels, self.places)
        self.features = embed(self.first.model, self.pixels.values)
        self.asked_features = embed(self.first.model, self.asked.values)
        self.trained = self.first.history.seconds
        self.weights = self.first.history.n_parameters

    def say(self, locator: Any, locate: str, seconds: float, weights: int, *given: Any) -> None:
        """Note the answers of a locator, what it cost, and NaN for what nobody could read.

        `locate` names its method, `given` what that takes; the queries' pixels if nothing.
        """
        began = time.perf_counter()
        posterior = getattr(locator, locate)(*(given or (self.asked.values,)))
        seconds, cost = seconds + time.perf_counter() - began, Cost(seconds, weights)
        self.out.say(locator.name, posterior, self.asked.good, seconds, cost=cost)

    def planet(self) -> None:
        """Centre and mean of the best cell."""
        for answer in ("centre", "mean"):
            locator = self.first.answering(answer)
            self.say(locator, "locate_pixels", self.trained, self.weights)

    def album(self) -> None:
        """Album models on the frozen network, where photos have albums and times."""
        needed = {"sequence", "captured_at"}
        if not needed <= set(self.train.column_names) & set(self.queries.column_names):
            self.out.notes["album"] = "no album rows: photos need columns sequence and captured_at"
            return
        cells = self.first.partition.assign(self.places).where(self.pixels.good, -1)
        asked = albums_of(self.queries)
        for variant in ALBUMS:
            train = replace(AlbumConfig().train, seed=self.first.config.train.seed)
            locator = AlbumLocator(self.first, AlbumConfig(variant=variant, train=train))
            locator.fit_features(self.features, cells, albums_of(self.train))
            learnt = locator.history or History()
            cost = (self.trained + learnt.seconds, self.weights + learnt.n_parameters)
            self.say(locator, "locate_features", *cost, self.asked_features, asked)

    def knn(self) -> None:
        """Nearest neighbours in the network's embedding, and their density."""
        good = self.pixels.good
        k = min(KnnDensityConfig().k, int(good.sum()))
        locator = KnnDensity(None, KnnDensityConfig(k=k))
        locator.fit_features(self.features[good], self.places[good])
        self.say(locator, "locate_features", self.trained, self.weights, self.asked_features)

    def cplanet(self) -> None:
        """Crossed partitions, both rules."""
        train = replace(CPlaNetConfig().train, seed=self.first.config.train.seed)
        config = CPlaNetConfig(first=self.first.config, train=train)
        fitted = CPlaNet(config).fit_pixels(self.pixels, self.places, first=self.first)
        for rule in ("sum", "log"):
            self.say(fitted.scored(rule), "locate_pixels", fitted.seconds, fitted.n_parameters)

    def isn(self) -> None:
        """One network with and without the product; three networks where scenes are known."""
        scenes = torch.full((len(self.places),), -1)
        if "scene" in self.train.column_names:
            labels = scene_labels(list(self.train["scene"]))
            scenes = labels.where(self.pixels.good, -1)
        config = ISNConfig(kind="base", network=replace(self.first.config, crops=5))
        base = ISN(config).fit_pixels(self.pixels, self.places, scenes)
        kinds = [base.scored("fine"), base]
        if (scenes >= 0).any():
            head = ISN(replace(config, kind="scene head"))
            kinds.append(head.fit_pixels(self.pixels, self.places, scenes))
            kinds.append(base.tuned(self.pixels, self.places, scenes))
        else:
            self.out.notes["isn"] = "no scene networks: photos need a column scene"
        for locator in kinds:
            self.say(locator, "locate_pixels", locator.seconds, locator.n_parameters)
