"""The systems on a CLIP's embedding, as ``geolab table`` asks them.

Photos are embedded once; everything else is trained on the fold's references, in seconds:

- "clip": zero-shot country and city, neighbours (the 2021 result), linear probe, fine-tuned block;
- "streetclip": the same zero-shot after caption pretraining on the fold's references;
- "pigeon": its parts added one by one, from the linear probe to the refined answer.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from geolab.data.errors import DataError
from geolab.encoders.captions import STREETCLIP
from geolab.encoders.clip import FEATURES, Clip, load_clip
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.encoders.pretrain import FIELDS, PretrainConfig, pretrain
from geolab.evaluation import group_labels, truth_of
from geolab.locators.answered import Answered, Cost
from geolab.locators.baselines import places_of
from geolab.locators.fine_tune import FineTuneConfig, FineTuned
from geolab.locators.geocell_head import HeadConfig
from geolab.locators.knn_density import KnnDensity, KnnDensityConfig
from geolab.locators.multitask import TASKS
from geolab.locators.pigeon import Pigeon, PigeonConfig, make_cells
from geolab.locators.zero_shot import ZeroShot, ZeroShotConfig
from geolab.posterior import Posterior
from geolab.training import TrainConfig

if TYPE_CHECKING:
    from datasets import Dataset

CLIP_SYSTEMS = ("clip", "streetclip", "pigeon")
_HELD = 0.1
"""Share of the references, whole photographers, that choose epochs and temperature."""


@dataclass
class ClipSystems:
    """References embedded once; for each fold the systems named learn from some of them."""

    names: tuple[str, ...]
    clip: Clip
    references: Dataset
    pixels: Pixels
    features: dict[str, Tensor]
    seed: int
    notes: dict[str, str] = field(default_factory=dict)

    def answer(self, queries: Dataset, rows: np.ndarray) -> Answered:
        """Train on the references `rows` and locate `queries`."""
        fold = _Fold(self, queries, torch.from_numpy(rows))
        for name in self.names:
            getattr(fold, name)()
        if self.clip.synthetic:
            fold.out.notes["clip"] = "the small CLIP has seen synthetic photos only"
        return fold.out


def fit_clip_systems(
    names: Sequence[str], references: Dataset, seed: int, *, model: str = "tiny"
) -> ClipSystems:
    """Read and embed the references. Raises ValueError for a name not in `CLIP_SYSTEMS`."""
    unknown = [name for name in names if name not in CLIP_SYSTEMS]
    if unknown:
        raise ValueError(f"no system {unknown[0]!r}; there are: {', '.join(CLIP_SYSTEMS)}")
    clip = load_clip(model)
    pixels = read_pixels(references, clip.size)
    features = {kind: clip.embed_pixels(pixels.values, kind) for kind in FEATURES}
    plain = references.remove_columns("image")
    return ClipSystems(tuple(names), clip, plain, pixels, features, seed)


class _Fold:
    """One training set and its queries; each method answers with one kind of system."""

    def __init__(self, given: ClipSystems, queries: Dataset, rows: Tensor) -> None:
        rows = rows[given.pixels.good[rows]]
        self.tower, self.seed = given.clip, given.seed
        self.photos = given.references.select(rows.numpy())
        self.pixels = _take(given.pixels, rows)
        self.places = places_of(self.photos)
        self.features = {kind: values[rows] for kind, values in given.features.items()}
        self.learn, self.held = held_out(self.photos, given.seed)
        self.asked = read_pixels(queries, self.tower.size)
        self.queries = {k: self.tower.embed_pixels(self.asked.values, k) for k in FEATURES}
        self.out = Answered(truth_of(queries), failures=self.asked.unreadable)

    def say(self, name: str, locate: Locate, given: Tensor, cost: Cost | None = None) -> None:
        """Note answers, NaN for what nobody could read, and what they cost."""
        began = time.perf_counter()
        posterior = locate(given)
        seconds = (cost.seconds if cost else 0) + time.perf_counter() - began
        self.out.say(name, posterior, self.asked.good, seconds, cost=cost)

    def clip(self) -> None:
        """What CLIP's embedding can do: asked, searched, probed, tuned."""
        self._zero_shot(self.tower, self.queries["image"], "CLIP", None)
        features = self.features["image"]
        for k, label in ((1, "CLIP 1-NN"), (min(100, len(features)), "CLIP kNN + density")):
            net = KnnDensity(None, KnnDensityConfig(k=k, power=5.0))
            net.fit_features(features, self.places)
            self.say(label, net.locate_features, self.queries["image"])
        self._head("CLIP linear probe", cells="s2", head=HeadConfig(None), refine=None)
        self._tuned()

    def _zero_shot(self, clip: Clip, features: Tensor, label: str, cost: Cost | None) -> None:
        for level in ("country", "city"):
            asked = ZeroShot(clip, ZeroShotConfig(level=level))
            self.say(f"{label} zero-shot, {level}", asked.locate_features, features, cost)

    def _tuned(self) -> None:
        """Last block and head, one-hot S2 cells."""
        config = FineTuneConfig(part="last block")
        config = replace(config, train=replace(config.train, seed=self.seed))
        tuned = FineTuned(self.tower, config).fit_pixels(
            _take(self.pixels, self.learn),
            self.places[self.learn],
            make_cells(self.places[self.learn], "s2"),
            validation=(_take(self.pixels, self.held), self.places[self.held]),
        )
        cost = Cost(tuned.history.seconds, tuned.history.n_parameters)
        self.say("CLIP fine-tuned", tuned.locate_pixels, self.asked.values, cost)

    def streetclip(self) -> None:
        """Zero-shot after caption pretraining on the references, where they have countries."""
        if "country" not in self.photos.column_names:
            self.out.notes["streetclip"] = "no caption pretraining: photos need a column country"
            return
        began = time.perf_counter()
        taught = copy.deepcopy(self.tower)
        rows = self.photos.select_columns([f for f in FIELDS if f in self.photos.column_names])
        train = TrainConfig(
            epochs=1, batch_size=min(128, len(rows)), lr=2e-4, clip_norm=1.0, seed=self.seed
        )
        pretrain(
            taught, self.pixels.values, rows.to_list(), PretrainConfig(STREETCLIP, train=train)
        )
        cost = Cost(time.perf_counter() - began, sum(p.numel() for p in taught.model.parameters()))
        self._zero_shot(taught, taught.embed_pixels(self.asked.values), "StreetCLIP-style", cost)

    def pigeon(self) -> None:
        """PIGEON's parts added one by one; the last row is refined."""
        soft, hard = HeadConfig("auto"), HeadConfig(None)
        self._head("PIGEON: semantic cells", head=hard, refine=None)
        self._head("PIGEON: + smoothed labels", head=soft, refine=None)
        try:
            self._head("PIGEON: + further tasks", head=soft, tasks=TASKS)
        except DataError as error:
            self.out.notes["pigeon"] = str(error)
            self._head("PIGEON: + prototypes", head=soft)

    def _head(self, name: str, **parts: Any) -> None:
        """Train a head with some of PIGEON's parts; with and without its prototypes."""
        config = PigeonConfig(**parts)
        train = replace(config.head.train, seed=self.seed)
        config = replace(config, head=replace(config.head, train=train))
        known, feature = self.features[config.feature], self.queries[config.feature]
        pigeon = Pigeon(self.tower, config).fit_features(
            known[self.learn],
            self.places[self.learn],
            photos=self.photos.select(self.learn.numpy()),
            validation=(known[self.held], self.places[self.held]),
        )
        cost = Cost(pigeon.head.history.seconds, pigeon.head.history.n_parameters)
        self.say(name, pigeon.without_refinement().locate_features, feature, cost)
        if pigeon.refiner is not None:
            self.say("PIGEON: + prototypes", pigeon.locate_features, feature, cost)


Locate = Callable[[Tensor], Posterior]


def held_out(photos: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to learn from and rows to choose by, no photographer in both."""
    labels = group_labels(photos)[1] or list(range(len(photos)))
    names = sorted({str(label) for label in labels})
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = {names[i] for i in order[: max(1, round(_HELD * len(names)))]}
    held = torch.tensor([str(label) in chosen for label in labels])
    if held.all() or not held.any():
        held = torch.arange(len(labels)) % 10 == 0
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0]


def _take(pixels: Pixels, rows: Tensor) -> Pixels:
    return Pixels(pixels.values[rows], pixels.good[rows], {})
