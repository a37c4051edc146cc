"""Which parts of PIGEON are there: configuration, the published settings, and the cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from geolab.cells import (
    PIGEON_CELLS,
    PIGEOTTO_CELLS,
    PLANET,
    NaivePartition,
    Partition,
    SemanticConfig,
    SemanticPartition,
    gazetteer_areas,
    scaled,
    scaled_semantic,
)
from geolab.encoders.clip import Feature
from geolab.locators.head_network import HeadConfig
from geolab.locators.multitask import PIGEON_TASKS, PIGEOTTO_TASKS
from geolab.locators.protonet_config import PIGEON_REFINER, PIGEOTTO_REFINER, ProtoConfig

CELLS = ("semantic", "naive", "s2")
Cells = Literal["semantic", "naive", "s2"] | SemanticConfig | Partition


@dataclass(frozen=True)
class PigeonConfig:
    """Which parts, and how.

    Attributes
    ----------
    cells : str, SemanticConfig or Partition
        "semantic", "naive" or "s2", scaled to the photos; published limits; or cells made before.
    feature : {"tokens", "image"}
    views : {1, 4}
    tasks : tuple of str
        Of `geolab.locators.multitask.TASKS`.
    head : HeadConfig
        Labels, pooling and training.
    refine : ProtoConfig, optional
    tune : bool
        Whether its temperature is chosen on the validation photos, or, without any, is a tenth of
        the typical distance between embeddings. False takes it as it is.

    Raises
    ------
    ValueError
        For a number of views or a kind of cells that is none of these.
    """

    cells: Cells = "semantic"
    feature: Feature = "tokens"
    views: Literal[1, 4] = 1
    tasks: tuple[str, ...] = ()
    head: HeadConfig = field(default_factory=HeadConfig)
    refine: ProtoConfig | None = PIGEON_REFINER
    tune: bool = True

    def __post_init__(self) -> None:
        if self.views not in (1, 4):
            raise ValueError(f"views must be 1 or 4, not {self.views}")
        if isinstance(self.cells, str) and self.cells not in CELLS:
            raise ValueError(f"cells {self.cells!r} must be one of {', '.join(CELLS)}")


PIGEON = PigeonConfig(
    PIGEON_CELLS,
    views=4,
    tasks=PIGEON_TASKS,
    head=HeadConfig(tau_km=75.0, normalise=False),
    tune=False,
)
"""As published for Street View panoramas: 2,203 cells, tau 75 km, K 5, T 1.6."""
PIGEOTTO = PigeonConfig(
    PIGEOTTO_CELLS,
    tasks=PIGEOTTO_TASKS,
    head=HeadConfig(tau_km=65.0, normalise=False),
    refine=PIGEOTTO_REFINER,
    tune=False,
)
"""As published for photos of a sharing site: 2,076 cells, tau 65 km, K 40, T 0.6.

In both, T belongs to embeddings of ViT-L/14 at 336 px, and how the head is trained (optimizer,
rate, epochs) is this kit's: the paper's rate of 2e-5 is for features that are not standardised.
"""


def make_cells(places: Tensor, kind: Cells, n_cells: int = 400) -> Partition:
    """Cut the Earth by training places (N, 2).

    Parameters
    ----------
    kind : "semantic", "naive", "s2", SemanticConfig or Partition
        The words mean limits for about `n_cells` cells; a partition is returned as it is.
    """
    if isinstance(kind, Partition):
        return kind
    if isinstance(kind, SemanticConfig):
        return SemanticPartition.fit(places, gazetteer_areas(), kind)
    if kind == "semantic":
        config = scaled_semantic(len(places), min(n_cells, max(8, len(places) // 8)))
        return SemanticPartition.fit(places, gazetteer_areas(), config)
    if kind == "naive":
        return NaivePartition.fit(places, max(8, math.ceil(2 * len(places) / n_cells)))
    return scaled(len(places), PLANET).fit(places)
