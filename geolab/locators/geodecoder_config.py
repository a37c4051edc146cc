"""How the head in the style of GeoDecoder is made and trained, and the levels of its cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from geolab.cells import ISN_FINE, Hierarchy, S2Preset, scaled
from geolab.sphere import ArrayLike
from geolab.training import TrainConfig

LIMITS = (25_000, 10_000, 5_000, 2_000, 1_000, 750, 500)
"""Most photos in a cell of each level, for the 4.7 million of MP-16, as recalled of the paper."""
TRAINING = TrainConfig(
    epochs=12,
    batch_size=128,
    lr=1e-3,
    weight_decay=0.05,
    clip_norm=1.0,
    select="median_km",
    patience=5,
)
_STEPS = 400
_MOST_EPOCHS = 150
"""A small training set is given so many steps at least, but no more epochs than that."""


@dataclass(frozen=True)
class GeoDecoderConfig:
    """Sizes, training, and how to answer.

    Attributes
    ----------
    levels : int
        Levels of the hierarchy, 1 to 7; those that would cut few photos alike are left out.
    scenes : bool
        Whether each kind of scene has queries of its own, where labels are known.
    dim, layers, heads : int
        Of the decoder; the feed-forward layers are four times as wide as `dim`. In the first layer
        queries attend to one another before they have seen the photo: with one layer alone, at half
        the price, no level learns what another one saw.
    dropout : float
    scene_weight : float
        Of the scene's cross-entropy beside those of the levels.
    score : {"f*", "fine"}
        All levels' product, or the finest level alone.
    mixing : {"mix", "pick"}
        Scenes by their probabilities, or the likeliest scene alone (in answers; training mixes).
    answer : {"mean", "centre"}
        Point of a cell.
    train : TrainConfig
        ``select`` is "median_km" and needs validation photos; without them the last weights stay.

    Raises
    ------
    ValueError
        For a size or a word that cannot be.
    """

    levels: int = len(LIMITS)
    scenes: bool = True
    dim: int = 128
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1
    scene_weight: float = 1.0
    score: Literal["f*", "fine"] = "f*"
    mixing: Literal["mix", "pick"] = "mix"
    answer: Literal["mean", "centre"] = "mean"
    train: TrainConfig = field(default_factory=lambda: TRAINING)

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= len(LIMITS):
            raise ValueError(f"levels is {self.levels}; it must be 1 to {len(LIMITS)}")
        if min(self.dim, self.layers, self.heads) < 1 or self.dim % self.heads:
            raise ValueError(
                f"dim {self.dim}, layers {self.layers} and heads {self.heads} must be at least 1, "
                "and heads a divisor of dim"
            )
        if not 0 <= self.dropout < 1 or self.scene_weight < 0:
            raise ValueError(
                f"dropout {self.dropout} must be in [0, 1), scene_weight {self.scene_weight} at "
                "least 0"
            )
        words = {"score": ("f*", "fine"), "mixing": ("mix", "pick"), "answer": ("mean", "centre")}
        for name, known in words.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, not {getattr(self, name)}")


def fit_levels(places: ArrayLike, levels: int = len(LIMITS)) -> Hierarchy:
    """Nested S2 cells with the limits `LIMITS`, scaled to the number of photos.

    Fewer levels are spread evenly and keep the finest. Where few photos make two levels the same
    cells, one of them is left out.

    Parameters
    ----------
    places : array_like, shape (N, 2)
        Degrees.

    Raises
    ------
    DataError
        If there are no places, one is not on Earth, or no cell has two photos.

    Examples
    --------
    >>> paris, lima = [[48.86, 2.35]] * 30, [[-12.05, -77.04]] * 30
    >>> len(fit_levels(paris + lima)) <= 7, len(fit_levels(paris + lima, levels=1))
    (True, 1)
    """
    chosen = np.linspace(len(LIMITS) - 1, 0, levels).round().astype(int)[::-1]
    parts = []
    for row in chosen:
        like = S2Preset(f"level {row + 1} 50/{LIMITS[row]}", 50, LIMITS[row], 2, ISN_FINE.n_photos)
        part = scaled(len(places), like).fit(places)
        if not parts or set(part.ids.tolist()) != set(parts[-1].ids.tolist()):
            parts.append(part)
    return Hierarchy.of(parts)


def training_for(n_photos: int, seed: int) -> TrainConfig:
    """Return the course's training, with more and more patient epochs where photos are few.

    An epoch of few photos is few steps, and a figure on few validation photos is noise.

    Examples
    --------
    >>> [(t.epochs, t.patience) for t in (training_for(15_000, 0), training_for(600, 0))]
    [(12, 5), (85, 28)]
    """
    few = round(_STEPS * TRAINING.batch_size / max(1, n_photos))
    epochs = min(_MOST_EPOCHS, max(TRAINING.epochs, few))
    return replace(TRAINING, epochs=epochs, patience=max(TRAINING.patience, epochs // 3), seed=seed)
