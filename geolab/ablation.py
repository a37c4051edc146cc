"""PIGEON's cumulative ablation, in kind, on synthetic photos; the paper's table beside it.

Haas et al., CVPR 2024, table of ablations: nine rows, each without one part more than the row
above. So a row's difference to the one above is what that part does *with everything above it gone*
and not what it does alone; read no row as an independent effect.

    made = run_ablation(n=4000)
    print_table(made.rows); print_table(made.published)

Here everything is smaller: a tower of a million weights, one epoch of caption pretraining on the
training photos, TinyEarth. The order of the rows and what each leaves out are the paper's, the
numbers are not comparable, and they stand in tables of their own.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from geolab import shared_table
from geolab.data.shared import shared_split
from geolab.encoders.captions import STREET_VIEW
from geolab.encoders.clip import Clip, load_clip
from geolab.encoders.pixels import Pixels
from geolab.encoders.pretrain import FIELDS, PretrainConfig, pretrain
from geolab.locators.answered import Cost
from geolab.locators.baselines import places_of
from geolab.locators.fine_tune import FineTuneConfig, FineTuned
from geolab.locators.geocell_head import HeadConfig
from geolab.locators.multitask import TASKS
from geolab.locators.pigeon import Pigeon, PigeonConfig, make_cells
from geolab.locators.protonet import PIGEON_REFINER
from geolab.locators.views import panorama_pixels
from geolab.rows import Row
from geolab.training import TrainConfig

PARTS = (
    "PIGEON",
    "- freezing the last block",
    "- refinement",
    "- caption pretraining",
    "- semantic geocells",
    "- further tasks",
    "- fine-tuning the last block",
    "- four views",
    "- smoothed labels",
)
"""Rows, in the paper's order."""
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class AblationResult:
    """Rows measured here and, apart from them, the paper's."""

    rows: tuple[Row, ...]
    published: tuple[Row, ...]
    seconds: float


def run_ablation(
    n: int | None = 4000,
    seed: int = 0,
    *,
    model: str = "tiny",
    command: str = "",
    say: Callable[[str], None] = print,
) -> AblationResult:
    """Train and score all nine rows on TinyEarth.

    Parameters
    ----------
    n : int, optional
        Photos of the shared split; all 20,000 if None. Each is painted in four directions.
    say : callable
        Told what is being done.
    """
    began = time.perf_counter()
    say("painting four views of each photo")
    lab = _Lab(n, seed, load_clip(model))
    say("caption pretraining and two fine-tunings")
    towers = lab.towers()
    rows = []
    for number, name in enumerate(PARTS):
        clip = towers["pretrained" if number == 0 else _tower(number)]
        row, km = lab.row(name, clip, _config(number, seed), command)
        rows.append(row)
        say(f"{name}: median {km:,.0f} km")
    return AblationResult(tuple(rows), _published(), time.perf_counter() - began)


def _tower(number: int) -> str:
    """Which encoder a row has."""
    if number < 3:
        return "pretrained, tuned"
    return "tuned" if number < 6 else "plain"


def _config(number: int, seed: int) -> PigeonConfig:
    """PIGEON without the first `number` parts of the list."""
    head = HeadConfig("auto" if number < 8 else None)
    head = replace(head, train=replace(head.train, seed=seed))
    return PigeonConfig(
        cells="semantic" if number < 4 else "naive",
        tasks=TASKS if number < 5 else (),
        views=4 if number < 7 else 1,
        refine=PIGEON_REFINER if number < 2 else None,
        head=head,
    )


class _Lab:
    """Photos painted once, towers made once, features once for each tower."""

    def __init__(self, n: int | None, seed: int, clip: Clip) -> None:
        self.clip, self.seed = clip, seed
        self.parts = shared_split(n=n, seed=seed)
        self.views = {k: panorama_pixels(self.parts[k], clip.size) for k in _SPLITS}
        self.places = {k: places_of(self.parts[k]) for k in _SPLITS}
        self.features: dict[tuple[str, int], Tensor] = {}

    def towers(self) -> dict[str, Clip]:
        """Encoders: as it is, tuned, pretrained, both."""
        pretrained = self._pretrained()
        return {
            "plain": self.clip,
            "tuned": self._tuned(self.clip),
            "pretrained": pretrained,
            "pretrained, tuned": self._tuned(pretrained),
        }

    def _pretrained(self) -> Clip:
        clip = copy.deepcopy(self.clip)
        rows = self.parts["train"].select_columns(list(FIELDS)).to_list()
        train = TrainConfig(epochs=1, batch_size=128, lr=2e-4, clip_norm=1.0, seed=self.seed)
        config = PretrainConfig(STREET_VIEW, train=train)
        pretrain(clip, self.views["train"][:, 0].contiguous(), rows, config)
        return clip

    def _tuned(self, clip: Clip) -> Clip:
        config = FineTuneConfig(part="last block", feature="tokens")
        config = replace(config, train=replace(config.train, epochs=2, seed=self.seed))
        pixels = {k: self.views[k][:, 0].contiguous() for k in _SPLITS[:2]}
        sets = {k: Pixels(v, torch.ones(len(v), dtype=torch.bool), {}) for k, v in pixels.items()}
        cells = make_cells(self.places["train"], "semantic")
        held = (sets["validation"], self.places["validation"])
        tuned = FineTuned(clip, config)
        tuned.fit_pixels(sets["train"], self.places["train"], cells, validation=held)
        return tuned.model.clip

    def _embedded(self, clip: Clip, part: str) -> Tensor:
        """Features of the four views, (N, 4, W); made once for each tower."""
        key = (part, id(clip))
        if key not in self.features:
            views = self.views[part]
            flat = clip.embed_pixels(views.flatten(0, 1), "tokens")  # (N, 4, ..) -> (4 N, ..)
            self.features[key] = flat.view(len(views), -1, flat.shape[1])
        return self.features[key]

    def row(self, name: str, clip: Clip, config: PigeonConfig, command: str) -> tuple[Row, float]:
        """Train one configuration and score it on the test part."""
        one = config.views == 1
        seen = {k: self._embedded(clip, k) for k in _SPLITS}
        seen = {k: v[:, 0] if one else v for k, v in seen.items()}
        pigeon = Pigeon(clip, config).fit_features(
            seen["train"],
            self.places["train"],
            photos=self.parts["train"],
            validation=(seen["validation"], self.places["validation"]),
        )
        answer = pigeon.locate_features(seen["test"])
        history = pigeon.head.history
        row = shared_table.score(
            name,
            answer,
            self.parts["test"],
            cost=Cost(history.seconds, history.n_parameters),
            command=command,
            parameters={"views": config.views, "cells": len(pigeon.partition)},
        )
        return row, row.metrics["median_km"].value


def _published() -> tuple[Row, ...]:
    """The paper's nine rows."""
    from geolab.tables import published

    return tuple(published("pigeon-holdout"))
