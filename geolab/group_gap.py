"""The gap between the best and the worst group, beside the gap that chance makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geolab.country_groups import ENOUGH, Enough, fits, labels_of, people_of
from geolab.intervals import Estimate, group_index, resamples, with_interval
from geolab.metrics import per_photo


@dataclass(frozen=True)
class Gap:
    """How far the worst of the groups lies behind the best.

    Attributes
    ----------
    figure : str
    best, worst : str
        Names of the two groups.
    size : Estimate
        Never negative: per cent, points or km, with the interval of these two groups. The groups
        were chosen for being extreme, so the interval alone proves nothing.
    by_chance : float
        95 % of the gaps that chance alone makes among as many groups are smaller.
    p : float
        Share of the chance gaps that are at least as large as `size`.
    n_groups, left_out : int
        Groups compared; groups that were too few.
    """

    figure: str
    best: str
    worst: str
    size: Estimate
    by_chance: float
    p: float
    n_groups: int
    left_out: int

    def __str__(self) -> str:
        """Say it in words."""
        beyond = self.size.value > self.by_chance
        said = "more than chance makes" if beyond else "no more than chance makes"
        return (
            f"{self.figure}: {self.best} before {self.worst} by {self.size.value:,.1f} "
            f"[{self.size.low:,.1f}, {self.size.high:,.1f}]; chance alone: up to "
            f"{self.by_chance:,.1f} among {self.n_groups} groups (p = {self.p:.3f}): {said}"
        )


def gap(
    errors: object,
    names: Sequence[object],
    *,
    photographers: Sequence[object] | None = None,
    figure: str = "within_200",
    enough: Enough = ENOUGH,
    n_boot: int = 1000,
    seed: int = 0,
) -> Gap | None:
    """Compare the best and the worst of the groups that are large enough.

    Parameters
    ----------
    errors, names, photographers
        As for `by_group`.
    figure : str
        ``within_1`` ... ``within_2500``, ``score`` or ``mean_km``.

    Returns
    -------
    Gap or None
        None if fewer than two groups are large enough.

    Raises
    ------
    ValueError
        If `figure` is no mean over photos.
    """
    km, labels = np.asarray(errors, dtype=np.float64), labels_of(names)
    people = people_of(photographers, km, labels)
    columns = per_photo(km)
    if figure not in columns:
        raise ValueError(f"no gap of {figure!r}: take one of {', '.join(columns)}")
    values = -columns[figure] if figure.endswith("_km") else columns[figure]
    held = [name for name in sorted(set(labels)) if fits(name, labels, people, enough)]
    if len(held) < 2:
        return None
    rows = np.isin(labels, held)
    values, people, at = values[rows], people[rows], np.searchsorted(held, labels[rows])
    means = np.bincount(at, values) / np.bincount(at)
    order = np.argsort(-means, kind="stable")  # equal groups: the first and the last
    best, worst = int(order[0]), int(order[-1])
    size = _two_groups(values, at, people, (best, worst), n_boot, seed)
    chance = _gaps_by_chance(values, at, people, n_boot, seed)
    return Gap(
        figure=figure,
        best=held[best],
        worst=held[worst],
        size=size,
        by_chance=float(np.quantile(chance, 0.95)),
        p=float((1 + (chance >= size.value).sum()) / (1 + len(chance))),
        n_groups=len(held),
        left_out=len(set(labels)) - len(held),
    )


def _two_groups(
    values: np.ndarray,
    at: np.ndarray,
    people: np.ndarray,
    pair: tuple[int, int],
    n_boot: int,
    seed: int,
) -> Estimate:
    """Difference of two groups' means; photographers who are in both are drawn for both."""
    rows = np.isin(at, pair)
    index, n_people = group_index(people[rows].tolist(), int(rows.sum()))
    total, size = np.zeros((2, n_people, 2))
    np.add.at(total, (index, (at[rows] == pair[1]).astype(int)), values[rows])
    np.add.at(size, (index, (at[rows] == pair[1]).astype(int)), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may miss a group whole
        drawn = [(c @ total) / (c @ size) for c in resamples(n_people, n_boot, seed)]
    differences = np.concatenate([means[:, 0] - means[:, 1] for means in drawn])
    first, second = total.sum(0) / size.sum(0)
    return with_interval(first - second, differences[np.isfinite(differences)], n_people)


def _gaps_by_chance(
    values: np.ndarray, at: np.ndarray, people: np.ndarray, n_shuffles: int, seed: int
) -> np.ndarray:
    """Gap of best and worst when who was where decides nothing: (n_shuffles,)."""
    pairs, block = np.unique(np.stack([people, at]), axis=1, return_inverse=True)
    total, size = np.bincount(block.reshape(-1), values), np.bincount(block.reshape(-1))
    rng, out = np.random.default_rng(seed), np.empty(n_shuffles)
    for i in range(n_shuffles):
        dealt = rng.permutation(pairs[1])
        means = np.bincount(dealt, total) / np.bincount(dealt, size)
        out[i] = means.max() - means.min()
    return out
