"""How GeoCLIP is made and trained: the published sizes, and small ones for the course."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from geolab.encoders.clip import FEATURES, Feature
from geolab.encoders.location import LocationConfig
from geolab.training import TrainConfig

SMALL = LocationConfig(sigmas=(1.0, 4.0, 16.0), n_waves=64, width=128, dim=128)
"""Location encoder for some ten thousand photos; its shortest waves are 1,250 km long."""
QUICK = TrainConfig(
    epochs=12, batch_size=256, lr=2e-3, weight_decay=0.05, select="median_km", patience=6
)
_STEPS = 200
"""Steps that a small training set is given at least, within reason."""


@dataclass(frozen=True)
class GeoClipConfig:
    """How to train, and how to answer.

    Attributes
    ----------
    feature : {"image", "tokens"}
        Of CLIP; the paper's is the projected class token, "image".
    unit_length : bool
        Whether features are brought to length 1 first, as the kit's are; the paper's are not.
    location : LocationConfig
        Its `dim` is that of both embeddings.
    hidden : int
        Width of the head on CLIP's features; 0 for that of the features.
    queue : int
        Coordinates of earlier batches that serve as negatives; 0 for none.
    queue_start : {"empty", "places", "released"}
        "empty" has no negatives until there are some; "places" begins with places of the training
        photos. "released" begins as the released program does, with vectors of length 1 *in
        degrees*: places within 112 km of latitude 0, longitude 0, in the Gulf of Guinea.
    mask_km : float
        Candidates this near to a photo's own place are no negatives for it; 0 masks nothing, as
        released.
    support : int
        Places of the gallery in an answer, the best ones.
    train : TrainConfig
        ``select`` is "median_km" and needs validation photos; without them the last weights stay.

    Raises
    ------
    ValueError
        For an unknown feature or start, or a size that cannot be.
    """

    feature: Feature = "image"
    unit_length: bool = True
    location: LocationConfig = SMALL
    hidden: int = 0
    queue: int = 1024
    queue_start: Literal["empty", "places", "released"] = "empty"
    mask_km: float = 1.0
    support: int = 1024
    train: TrainConfig = field(default_factory=lambda: QUICK)

    def __post_init__(self) -> None:
        if self.feature not in FEATURES:
            raise ValueError(f"no feature {self.feature!r}; there are: {', '.join(FEATURES)}")
        if self.queue_start not in ("empty", "places", "released"):
            raise ValueError(
                f"queue_start must be empty, places or released, not {self.queue_start!r}"
            )
        if not (self.unit_length or self.feature == "image"):
            raise ValueError("tokens have no length 1: unit_length=False is for the feature image")
        if min(self.hidden, self.queue) < 0 or self.support < 1:
            raise ValueError(f"{self}: hidden and queue are at least 0, support at least 1")
        if not 0 <= self.mask_km < 20_000:
            raise ValueError(f"mask_km {self.mask_km} must be at least 0, and less than the Earth")


PUBLISHED = GeoClipConfig(
    unit_length=False,
    location=LocationConfig(),
    queue=4096,
    queue_start="released",
    mask_km=0.0,
    train=TrainConfig(epochs=10, batch_size=512, lr=3e-5, weight_decay=1e-6),
)
"""Sizes and queue of the released program; its learning rate is told second-hand only."""


def training_for(n_photos: int, seed: int) -> TrainConfig:
    """Return the course's training, with more epochs where photos are few.

    Examples
    --------
    >>> training_for(15_000, 0).epochs, training_for(290, 0).epochs
    (12, 60)
    """
    few = round(_STEPS * QUICK.batch_size / max(1, n_photos))
    return replace(QUICK, epochs=min(60, max(QUICK.epochs, few)), seed=seed)
