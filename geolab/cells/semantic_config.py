"""Limits of semantic geocells: the two published settings, and one scaled to the photos at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Passes = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class SemanticConfig:
    """Limits and clustering of semantic geocells.

    Attributes
    ----------
    min_size, max_size : int
        Photos in a cell; a cell may stay below (islands) or above (photos without clusters).
    passes : tuple of (min_samples, xi)
        OPTICS runs of the split.
    paper : bool
        As released: OPTICS on degrees, and empty areas may go to a cell of another country.
    seed : int
        Of the order of merging.

    Raises
    ------
    ValueError
        If the limits do not rise.
    """

    min_size: int = 30
    max_size: int = 60
    passes: Passes = ((8, 0.05), (10, 0.025), (15, 0.015))
    paper: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.min_size <= self.max_size:
            raise ValueError(
                f"min_size {self.min_size} and max_size {self.max_size} must rise from 1"
            )


PIGEON_CELLS = SemanticConfig()
"""100,000 Street View locations, 2,203 cells."""
PIGEOTTO_CELLS = SemanticConfig(1000, 2000, ((300, 0.05), (400, 0.005), (1000, 0.0001)))
"""4.5 million photos, 2,076 cells."""


def scaled_semantic(n_photos: int, n_cells: int = 400, **changed: Any) -> SemanticConfig:
    """Limits for about `n_cells` cells: at most 2 N / C photos, at least half of that.

    Both published settings have twice as many photos in the largest cell as in the smallest, and
    ask OPTICS for a quarter to a half of the smallest.

    Examples
    --------
    >>> scaled_semantic(15_000).min_size, scaled_semantic(15_000).passes[0]
    (38, (10, 0.05))
    """
    low = max(4, round(n_photos / n_cells))
    shares = ((0.27, 0.05), (0.33, 0.025), (0.5, 0.015))
    passes = tuple((max(3, round(share * low)), xi) for share, xi in shares)
    return SemanticConfig(low, 2 * low, passes, **changed)
