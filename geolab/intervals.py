"""Bootstrap intervals for figures that come from photographs, which never come alone.

Photographs are not independent. One person takes many, of the same street on the same afternoon,
and the best known benchmark of 2,997 photos comes from 198 photographers. Resampling photos as if
each had been drawn by itself gives intervals that are too narrow; resampling *photographers* and
taking all photos of each (the cluster bootstrap) gives the right ones. Without groups every photo
is its own group and the two are the same.

Nothing is copied while resampling: a resample is a vector of counts over groups, so a mean becomes
one matrix product and a median one cumulative sum over the sorted values.

Reference: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 8 and 13
(clusters, the percentile interval).

What these intervals cannot say: with fewer than about ten groups they are rough, with one there is
none (NaN), and where nothing was ever hit they are [0, 0]. In the last case read the "rule of
three" instead: 0 of n leaves room for about 3 / n.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_CELLS_AT_ONCE = 2_000_000  # resamples are drawn in blocks of this many counts: 16 MB


@dataclass(frozen=True)
class Estimate:
    """A figure and the two ends of its 95 % interval; NaN ends mean that there is no interval."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return not (np.isnan(self.low) or np.isnan(self.high))


def group_index(groups: Sequence[object] | None, n: int) -> tuple[np.ndarray, int]:
    """Number the groups: ``(N,)`` int64 labels from 0, and how many there are.

    Parameters
    ----------
    groups : sequence of N labels, or None
        A missing label (None, NaN, "") is its own group: nothing says that those belong together.
    n : int
        Number of photos.

    Raises
    ------
    ValueError
        If the number of labels is not N.

    Examples
    --------
    >>> group_index(["ann", "bob", "ann"], 3)
    (array([0, 1, 0]), 2)
    """
    if groups is None:
        return np.arange(n), n
    if len(groups) != n:
        raise ValueError(f"{len(groups)} group labels for {n} photos; give one label per photo")
    number: dict[object, int] = {}
    index = np.empty(n, dtype=np.int64)
    for row, label in enumerate(groups):
        missing = label is None or label == "" or label != label
        index[row] = number.setdefault(("missing", row) if missing else label, len(number))
    return index, len(number)


def resamples(n_groups: int, n_boot: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks ``(b, G)`` of counts: how often each group is drawn in each of b resamples.

    Every row sums to G. The same seed gives the same resamples whatever is measured on them, which
    is what makes differences of two systems paired.
    """
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // max(n_groups, 1))
    for start in range(0, n_boot, block):
        b = min(block, n_boot - start)
        drawn = rng.integers(n_groups, size=(b, n_groups)) + n_groups * np.arange(b)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=b * n_groups)
        yield counts.reshape(b, n_groups).astype(np.float64)  # (b * G,) -> (b, G)


def bootstrap_means(
    values: np.ndarray, index: np.ndarray, n_groups: int, *, n_boot: int, seed: int
) -> np.ndarray:
    """Means of S quantities in each resample of groups.

    Parameters
    ----------
    values : ndarray, shape (N, S)
    index : ndarray of int64, shape (N,)
        From `group_index`.

    Returns
    -------
    ndarray, shape (n_boot, S)
        Sum over the photos drawn, divided by how many photos were drawn.
    """
    totals = np.zeros((n_groups, values.shape[1]))
    np.add.at(totals, index, values)
    sizes = np.bincount(index, minlength=n_groups).astype(np.float64)
    blocks = [c @ totals / (c @ sizes)[:, None] for c in resamples(n_groups, n_boot, seed)]
    return np.concatenate(blocks)


def bootstrap_medians(
    values: np.ndarray, index: np.ndarray, n_groups: int, *, n_boot: int, seed: int
) -> np.ndarray:
    """Median of one quantity in each resample of groups; infinities sort last and may be it.

    Parameters
    ----------
    values : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (n_boot,)
        The middle value, or the mean of the two middle values, of the photos drawn.
    """
    order = np.argsort(values, kind="stable")
    ranked, ranked_group = values[order], index[order]
    medians = []
    for counts in resamples(n_groups, n_boot, seed):
        for rows in np.array_split(counts, max(1, len(counts) * len(values) // _CELLS_AT_ONCE)):
            seen = rows[:, ranked_group].cumsum(axis=1)  # (b, N): photos up to and with this rank
            total = seen[:, -1:]
            lower = ranked[(seen >= total / 2).argmax(axis=1)]
            upper = ranked[(seen > total / 2).argmax(axis=1)]
            medians.append(middle(lower, upper))
    return np.concatenate(medians)


def middle(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Mean of two values, infinite if either is (``inf - inf`` never appears)."""
    return np.where(lower == upper, lower, 0.5 * (lower + upper))


def with_interval(value: float, samples: np.ndarray, n_groups: int) -> Estimate:
    """Percentile interval: the 2.5 % and 97.5 % points of the resampled figures.

    Resampling a single group can only return that group, so its interval would have no width;
    NaN ends say instead that there is none.
    """
    if n_groups < 2:
        return Estimate(float(value))
    # The nearest resample, not an interpolation: between a number and infinity there is none.
    low, high = np.quantile(samples, [0.025, 0.975], method="nearest")
    return Estimate(float(value), float(low), float(high))
