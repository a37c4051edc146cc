"""Repeatable chance: every random choice of TinyEarth hangs on a key made of names and integers.

Three tools, all exact on any machine:

* `key` folds names and integers to 64 bits (BLAKE2b, never the interpreter's salted hash).
* `stream` opens a `random.Random` on a key. Only its `random()` is used, whose sequence Python
  promises to keep between versions; `between`, `pick` and `chance` are built on it.
* `raw_bytes` and `field` give arrays: raw 64-bit words of PCG64 and a smooth random field on the
  sphere, both made of integer arithmetic.

Floats are quantised before they enter a key, so the last bit of a sine never changes a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

import numpy as np

T = TypeVar("T")
_PRIMES = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


def key(*parts: str | int) -> int:
    """Fold names and integers into one 64-bit key.

    Raises
    ------
    TypeError
        If a part is a float: quantise it first, or two machines may disagree.

    Examples
    --------
    >>> key("pole", "JP", 7) == key("pole", "JP", 7) != key("pole", "JP", 8)
    True
    """
    for part in parts:
        if not isinstance(part, (str, int, np.integer)):
            raise TypeError(f"key part {part!r} is a {type(part).__name__}; give a str or an int")
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def stream(*parts: str | int) -> Random:
    """Random stream of a key."""
    return Random(key(*parts))


def between(rng: Random, low: float, high: float) -> float:
    """Uniform number in [low, high)."""
    return low + (high - low) * rng.random()


def chance(rng: Random, probability: float) -> bool:
    """Return True with the given probability; always takes one number from the stream."""
    return rng.random() < probability


def pick(rng: Random, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One option, uniformly or by weight (weights need not sum to one)."""
    if weights is None:
        return options[int(rng.random() * len(options))]
    mark = rng.random() * sum(weights)
    for option, weight in zip(options, weights, strict=True):
        mark -= weight
        if mark < 0:
            return option
    return options[-1]


def pareto(rng: Random, smallest: float, alpha: float, largest: float) -> float:
    """Heavy-tailed number in [smallest, largest]: P(X > x) = (smallest / x) ** alpha below it."""
    return min(largest, smallest / (1.0 - rng.random()) ** (1.0 / alpha))


def raw_bytes(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform uint8 array of a shape from PCG64's raw words (their sequence never changes)."""
    n_bytes = int(np.prod(shape))
    words = np.random.PCG64(seed).random_raw(-(-n_bytes // 8)).astype("<u8")
    return words.view(np.uint8)[:n_bytes].reshape(shape)  # (n_words * 8,) -> shape


def _corner(cell: np.ndarray, name: int) -> np.ndarray:
    """Value in [0, 1) of lattice corners: (..., 3) int64 -> (...), a 64-bit mix (splitmix64)."""
    mixed = (cell.astype(np.uint64) * _PRIMES).sum(-1, dtype=np.uint64) + np.uint64(name)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) / 2**24


def field(xyz: np.ndarray, scale_km: float, name: str) -> np.ndarray:
    """Smooth random field on the sphere, fixed by position (value noise on a cubic lattice).

    Parameters
    ----------
    xyz : ndarray, shape (N, 3)
        Unit vectors: no seam at the poles or at the antimeridian.
    scale_km : float
        Lattice spacing: about the distance over which the field changes.
    name : str
        Which field; two names are independent.

    Returns
    -------
    ndarray of float64, shape (N,)
        Values in [0, 1], mean one half.
    """
    at = np.asarray(xyz, dtype=np.float64) * (6371.0 / scale_km)
    cell = np.floor(at)
    frac = at - cell
    frac = frac * frac * (3 - 2 * frac)
    base, seed = cell.astype(np.int64), key("field", name)
    total = np.zeros(len(at))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, frac, 1 - frac), axis=-1)
        total += weight * _corner(base + np.array(corner), seed)
    return total
