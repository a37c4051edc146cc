"""How ProtoNet clusters and chooses, with the published settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ProtoConfig:
    """How to cluster, and how to choose.

    Attributes
    ----------
    min_samples, xi : int, float
        OPTICS within a cell.
    top_k : int
        Cells that compete.
    temperature : float
        T, in the unit of the embedding's distances.
    max_km : float
        Longest way from the first guess to the refined place.
    member : {"nearest", "mean", "farthest"}
        Place of a cluster: its most similar photo, the mean of its photos, or the released fault.
    unit : bool
        Whether embeddings and prototypes are brought to unit length.
    """

    min_samples: int = 3
    xi: float = 0.15
    top_k: int = 5
    temperature: float = 1.6
    max_km: float = 1000.0
    member: Literal["nearest", "mean", "farthest"] = "nearest"
    unit: bool = False

    def __post_init__(self) -> None:
        if self.member not in ("nearest", "mean", "farthest"):
            raise ValueError(f"member {self.member!r} must be nearest, mean or farthest")
        if self.top_k < 1 or not self.temperature > 0:
            raise ValueError(f"top_k {self.top_k} must be at least 1, temperature positive")


PIGEON_REFINER = ProtoConfig()
PIGEOTTO_REFINER = ProtoConfig(100, 0.1, 40, 0.6, math.inf)
"""Published settings; its first two numbers are the defaults of the released file."""
