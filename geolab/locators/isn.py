r"""ISNs: three nested partitions, and a network for each kind of scene.

Mueller-Budack, Pustu-Iren and Ewerth, "Geolocation estimation of photos using a hierarchical model
and scene classification", ECCV 2018:

1. coarse, middle and fine cells, each nested in the next coarser;
2. one trunk with a softmax for each, trained on the sum of the three losses;
3. the answer is the best fine cell by the product f* of its and its ancestors' probabilities;
4. five crops, joined by their maximum;
5. *individual scene networks*: the same network tuned once for indoor, once for natural and once
   for urban photos; a scene classifier says at test which of the three answers.

========== =======================================================================================
kind       network
========== =======================================================================================
base       one for all photos (steps 1 to 4)
routed     three, tuned from the base, and a router (step 5)
scene head one with a fourth softmax for the scene, the paper's multi-task variant
========== =======================================================================================

The paper's router is a Places365 network: `geolab.locators.places365` builds it, and ``router=``
takes it or any other. Without one, a softmax on the base network's embedding learns the column
``scene``. The paper's threshold for "belongs to a scene", 0.3, is recalled, not checked.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.cells import ISN_COARSE, ISN_FINE, ISN_MIDDLE, Hierarchy, S2Partition, scaled
from geolab.encoders.cnn import make_trunk, to_pixels
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.locators.baselines import places_of
from geolab.locators.cell_classifier import CellClassifier, fit_classifier, probabilities
from geolab.locators.hierarchy_scores import hierarchy_scores
from geolab.locators.planet import PlaNetConfig
from geolab.locators.scene_router import Router, fit_router
from geolab.locators.scenes import SCENES, check_probabilities, require_scenes, scene_labels
from geolab.posterior import Posterior
from geolab.training import History, TrainConfig

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

Kind = Literal["base", "routed", "scene head"]
Score = Literal["f*", "fine", "middle", "coarse"]
PRESETS = (ISN_COARSE, ISN_MIDDLE, ISN_FINE)
_LEVELS = ("coarse", "middle", "fine")


@dataclass(frozen=True)
class ISNConfig:
    """Which network, and how to answer.

    Attributes
    ----------
    kind : {"base", "routed", "scene head"}
    score : {"f*", "fine", "middle", "coarse"}
        The hierarchy's product, or one partition alone.
    network : PlaNetConfig
        Trunk, point of a cell, crops, fusion, training of the base.
    tune : TrainConfig
        Training of each scene's network, from the base.
    threshold : float
        A photo teaches the network of each scene that is at least this likely.
    """

    kind: Kind = "routed"
    score: Score = "f*"
    network: PlaNetConfig = field(default_factory=lambda: PlaNetConfig(crops=5))
    tune: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=2, batch_size=64, lr=5e-4, clip_norm=1.0)
    )
    threshold: float = 0.3

    def __post_init__(self) -> None:
        if self.kind not in ("base", "routed", "scene head"):
            raise ValueError(f"kind must be base, routed or scene head, not {self.kind!r}")
        if self.score != "f*" and self.score not in _LEVELS:
            raise ValueError(f"score must be f*, fine, middle or coarse, not {self.score!r}")


class ISN:
    """Locator of 2018. `fit` on photos with scenes, then `locate`.

    Attributes
    ----------
    hierarchy : Hierarchy
        Coarse, middle and fine cells.
    base : CellClassifier
    experts : list of CellClassifier
        One for each of `SCENES`; empty unless routed.
    histories : list of History
        Of all networks trained, the base first.
    """

    hierarchy: Hierarchy
    base: CellClassifier

    def __init__(self, config: ISNConfig = ISNConfig(), router: Router | None = None) -> None:
        self.config, self._given, self._router = config, router, router
        self.experts: list[CellClassifier] = []
        self.histories: list[History] = []
        self.unreadable: dict[str, str] = {}

    @property
    def name(self) -> str:
        """For tables."""
        kind = {"base": "ISN base", "routed": "ISN x 3", "scene head": "ISN scene head"}
        return f"{kind[self.config.kind]}, {self.config.score}"

    @property
    def seconds(self) -> float:
        """Training time of all networks."""
        return sum(history.seconds for history in self.histories)

    @property
    def n_parameters(self) -> int:
        """Weights of all networks that an answer may need."""
        return sum(p.numel() for model in [self.base, *self.experts] for p in model.parameters())

    def fit(
        self, photos: Dataset, *, checkpoint: str | os.PathLike | None = None, progress: str = ""
    ) -> ISN:
        """Cut the Earth three times and learn; a column ``scene`` says what the scenes are.

        Raises
        ------
        ValueError
            If scenes are to be learnt and the column is missing or holds something else.
        """
        scenes = torch.full((len(photos),), -1)
        if "scene" in photos.column_names:
            scenes = scene_labels(list(photos["scene"]))
        pixels = read_pixels(photos, self._trunk().size)
        places = places_of(photos)
        return self.fit_pixels(pixels, places, scenes, checkpoint=checkpoint, progress=progress)

    def fit_pixels(
        self,
        pixels: Pixels,
        places: Tensor,
        scenes: Tensor,
        *,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> ISN:
        """As `fit`, on photos read before: places (N, 2) degrees, scenes (N,) int64 or -1."""
        config, self.unreadable = self.config, pixels.unreadable
        self.experts, self._router = [], self._given  # what an earlier fit learnt is of no use
        require_scenes(scenes.where(pixels.good, -1), config.kind, self._router)
        limits = [scaled(len(places), preset) for preset in PRESETS]
        self.hierarchy = Hierarchy.fit(places[pixels.good], limits)
        targets = [part.assign(places).where(pixels.good, -1) for part in self._partitions]
        with_head = config.kind == "scene head"
        torch.manual_seed(config.network.train.seed)
        sizes = [len(part) for part in self._partitions]
        dropout = config.network.dropout
        self.base = CellClassifier(self._trunk(), sizes, scenes=with_head, dropout=dropout)
        wanted = [*targets, scenes.where(pixels.good, -1)] if with_head else targets
        how = {"identity": self._identity(), "progress": progress}
        path = None if checkpoint is None else Path(checkpoint)
        history = fit_classifier(
            self.base, pixels.values, wanted, config.network.train, checkpoint=path, **how
        )
        self.histories = [history]
        if config.kind == "routed":
            self._learn_scenes(pixels, targets, scenes, path, how)
        return self

    def tuned(
        self, pixels: Pixels, places: Tensor, scenes: Tensor, checkpoint: Path | None = None
    ) -> ISN:
        """Return the routed variant of a fitted base network; the base itself stays."""
        other = ISN(replace(self.config, kind="routed"), self._router)
        require_scenes(scenes.where(pixels.good, -1), "routed", self._router)
        other.hierarchy, other.base = self.hierarchy, self.base
        other.histories, other.unreadable = list(self.histories), self.unreadable
        targets = [part.assign(places).where(pixels.good, -1) for part in self._partitions]
        how = {"identity": other._identity(), "progress": ""}
        other._learn_scenes(pixels, targets, scenes, checkpoint, how)
        return other

    def scored(self, score: Score) -> ISN:
        """Return the same networks, answering with another score."""
        other = copy.copy(self)
        other.config = replace(self.config, score=score)
        return other

    @property
    def _partitions(self) -> tuple[S2Partition, ...]:
        """Coarse, middle, fine."""
        return self.hierarchy.parts

    def _trunk(self):
        network = self.config.network
        return make_trunk(network.trunk, weights=network.weights, size=network.size)

    def _identity(self) -> dict[str, str]:
        held = ", ".join(f"{part.name} {part.hash}" for part in self._partitions)
        return {"partitions": held, "trunk": self.config.network.trunk, "kind": self.config.kind}

    def _learn_scenes(
        self,
        pixels: Pixels,
        targets: list[Tensor],
        scenes: Tensor,
        checkpoint: Path | None,
        how: dict,
    ) -> None:
        """Learn the router, and tune one copy of the base for each scene."""
        if self._router is None:
            known = scenes.where(pixels.good, -1)
            self._router = fit_router(self.base, pixels.values, known, self.config.tune)
        likely = self._router(pixels.values) >= self.config.threshold
        likely[scenes >= 0] = F.one_hot(scenes[scenes >= 0], len(SCENES)).bool()
        for number, scene in enumerate(SCENES):
            expert = copy.deepcopy(self.base)
            mine = [target.where(likely[:, number], -1) for target in targets]
            if any((target >= 0).any() for target in mine):
                path = checkpoint and checkpoint.with_name(f"{checkpoint.stem}-{scene}.pt")
                self.histories.append(
                    fit_classifier(
                        expert, pixels.values, mine, self.config.tune, checkpoint=path, **how
                    )
                )
            self.experts.append(expert)

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo: all fine (or middle, coarse) cells with their probabilities."""
        return self.locate_pixels(to_pixels(images, self._fitted().trunk.size))

    def locate_pixels(self, pixels: Tensor) -> Posterior:
        """As `locate`, for pixels (N, 3, S, S) of uint8."""
        heads = self.heads(pixels)
        answer = self.config.network.answer
        if self.config.score != "f*":
            level = _LEVELS.index(self.config.score)
            points = self._partitions[level].points(answer)
            return Posterior.from_votes(points, heads[level].double())
        chances = hierarchy_scores(heads[2], heads[:2], self.hierarchy.ancestors[:, :2])
        return Posterior.from_votes(self.hierarchy.fine.points(answer), chances)

    def heads(self, pixels: Tensor) -> list[Tensor]:
        """Probabilities of coarse, middle and fine cells, each (N, C_m), after routing."""
        network = self.config.network
        views = {"crops": network.crops, "fusion": network.fusion}
        if not self.experts:
            return probabilities(self._fitted(), pixels, **views)[:3]
        chosen = self.scenes(pixels).argmax(1)
        out = [torch.empty(len(pixels), len(part)) for part in self._partitions]
        for number, expert in enumerate(self.experts):
            mine = (chosen == number).nonzero()[:, 0]
            for level, values in enumerate(probabilities(expert, pixels[mine], **views)[:3]):
                out[level][mine] = values
        return out

    def scenes(self, pixels: Tensor) -> Tensor:
        """Probabilities of indoor, natural, urban, (N, 3), by the router or the scene head.

        Raises
        ------
        RuntimeError
            If this kind of network knows no scenes.
        """
        if self.config.kind == "scene head":
            return probabilities(self._fitted(), pixels)[3]
        if self._router is None:
            raise RuntimeError("kind='base' knows no scenes: fit kind='routed' or 'scene head'")
        chances = self._router(pixels)
        check_probabilities(chances, "router")
        return chances

    def _fitted(self) -> CellClassifier:
        if not hasattr(self, "base"):
            raise RuntimeError("no network yet: call fit(train) first")
        return self.base
