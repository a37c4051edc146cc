r"""How good a set of answers is: one way to measure, for every system of the kit.

**Distance.** Great-circle kilometres on a sphere of radius 6371.0 km, and a photo
is within a threshold when ``distance <= threshold``. Both are choices of the benchmarks, kept here
so that numbers can be set beside published ones (geometry elsewhere uses the mean radius 6371.0088;
the WGS84 ellipsoid moves a distance by up to 37 km and flips hits). Recompute distances from
coordinates, never from a file's rounded kilometres: 0.997 and 1.003 both print as 1.00.

**Failures.** A photo without an answer is a miss and stays in n. Its error is infinite: it is
within no threshold, scores 0, and sorts last in the median (infinite once half the photos fail).
In the *mean*, which one infinity would swallow, a miss counts as half the Earth's circumference,
20,015 km, the worst answer that exists: a system never gains by staying silent.

**Uncertainty.** Every figure is an `Estimate` with a 95 % bootstrap interval that resamples
photographers where they are known; see `geolab.intervals`.

**Areas.** Country and region accuracy and calibration are in `geolab.regions`, and can be had from
here.

Fractions are in per cent (0 to 100), distances in km.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geolab.intervals import (
    Estimate,
    bootstrap_means,
    bootstrap_medians,
    group_index,
    with_interval,
)
from geolab.posterior import GEOGUESSR_SCALE_KM
from geolab.regions import calibration, same_place
from geolab.sphere import EVAL_RADIUS_KM, as_points, check_latlon, great_circle_km

__all__ = [
    "MISS_KM",
    "SCORE_SCALE_KM",
    "THRESHOLDS_KM",
    "Estimate",
    "calibration",
    "errors_km",
    "geoguessr_score",
    "paired_difference",
    "same_place",
    "summarise",
    "uniform_chance",
    "uniform_chance_metrics",
]

THRESHOLDS_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent."""

SCORE_SCALE_KM = GEOGUESSR_SCALE_KM
"""GeoGuessr's world map; 1492.07, 2000 and the map's diagonal / 10 are also seen in the wild."""

MISS_KM = float(np.pi * EVAL_RADIUS_KM)
"""Half the circumference: what a photo without an answer adds to the mean."""


def errors_km(predicted: object, truth: object) -> np.ndarray:
    """Great-circle error of each answer, in float64 (`geolab.sphere.great_circle_km`).

    Parameters
    ----------
    predicted : array_like, shape (N, 2)
        ``(lat, lon)`` in degrees. A row with NaN is a failure.
    truth : array_like, shape (N, 2)
        ``(lat, lon)`` in degrees.

    Returns
    -------
    ndarray of float64, shape (N,)
        Kilometres, rounded to a micrometre so that a point put on a threshold is on it; infinity
        for a failure.

    Raises
    ------
    ValueError
        If shapes differ, or a coordinate is off the Earth (the row and value are named).

    Examples
    --------
    >>> errors_km([[0, 180], [0, -179.9], [np.nan, np.nan]], [[0, 0], [0, 179.9], [1, 1]]).round(3)
    array([20015.087,    22.239,       inf])
    """
    a, b = as_points(predicted, "predicted").numpy(force=True), check_latlon(truth, "truth")
    b = b.numpy(force=True)
    if a.shape != b.shape:
        raise ValueError(f"predicted is {a.shape} and truth {b.shape}; give one answer per photo")
    failed = np.isnan(a).any(axis=-1)
    check_latlon(np.where(failed[..., None], 0.0, a), "predicted")
    km = great_circle_km(a.astype(np.float64), b, radius_km=EVAL_RADIUS_KM).numpy()
    return np.where(failed, np.inf, np.round(km, 9))


def geoguessr_score(km: object, scale_km: float = SCORE_SCALE_KM) -> np.ndarray:
    """Points of a GeoGuessr round, ``5000 exp(-d / scale)``: 5000 on the spot, 0 for a failure.

    Not rounded: the game rounds each round to a whole number, which a mean over photos must not.

    Examples
    --------
    >>> geoguessr_score([0, 25, 750, np.inf]).round()
    array([5000., 4917., 3025.,    0.])
    """
    return 5000.0 * np.exp(-np.asarray(km, dtype=np.float64) / scale_km)


def per_photo(errors: np.ndarray, scale_km: float = SCORE_SCALE_KM) -> dict[str, np.ndarray]:
    """Per-photo values whose means are the figures of `summarise` (all but the median)."""
    columns = {f"within_{t}": 100.0 * (errors <= t) for t in THRESHOLDS_KM}
    columns["mean_km"] = np.where(np.isfinite(errors), errors, MISS_KM)
    columns["score"] = geoguessr_score(errors, scale_km)
    return columns


def summarise(
    errors: object,
    *,
    groups: Sequence[object] | None = None,
    correct: Mapping[str, np.ndarray] | None = None,
    scale_km: float = SCORE_SCALE_KM,
    n_boot: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All figures of one system with their intervals.

    Parameters
    ----------
    errors : array_like, shape (N,)
        Kilometres from `errors_km`; infinity is a miss.
    groups : sequence of N labels, optional
        Photographers. Without them each photo is resampled by itself.
    correct : mapping of name to bool array of shape (N,), optional
        Further fractions, such as ``{"country": same_place(...)}``.
    n_boot, seed : int
        Resamples, and the seed that fixes them.

    Returns
    -------
    dict
        ``within_1`` ... ``within_2500`` (%), ``median_km``, ``mean_km``, ``score`` and the names
        of `correct` (%).

    Raises
    ------
    ValueError
        If there is no photo, or an error is NaN or negative.

    Examples
    --------
    >>> found = summarise([10, 100, 300, np.inf])  # the last photo had no answer
    >>> found["within_200"].value, found["median_km"].value
    (50.0, 200.0)
    """
    km = _checked_errors(errors)
    index, n_groups = group_index(groups, len(km))
    columns = per_photo(km, scale_km)
    for name, hit in (correct or {}).items():
        columns[name] = 100.0 * np.asarray(hit, dtype=np.float64)
    out = _means(columns, index, n_groups, n_boot, seed)
    medians = bootstrap_medians(km, index, n_groups, n_boot=n_boot, seed=seed)
    out["median_km"] = with_interval(_median(km), medians, n_groups)
    names = [f"within_{t}" for t in THRESHOLDS_KM] + ["median_km", "mean_km", "score"]
    return {name: out[name] for name in [*names, *(correct or {})]}


def paired_difference(
    errors_a: object,
    errors_b: object,
    *,
    groups: Sequence[object] | None = None,
    scale_km: float = SCORE_SCALE_KM,
    n_boot: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """How much system a differs from system b (a minus b) on the same photos.

    Both are resampled together, so what makes a photo hard for both cancels out: this interval is
    the test of "a is better", and two overlapping intervals of the systems are not.

    Parameters
    ----------
    errors_a, errors_b : array_like, shape (N,)
        Kilometres for the same photos in the same order.

    Returns
    -------
    dict
        The figures of `summarise`, as differences. ``median_km`` is the difference of the two
        medians; it is NaN where both are infinite.

    Examples
    --------
    >>> gap = paired_difference([10, 150, 300, 400], [10, 250, 300, 400])["within_200"]
    >>> gap.value, gap.low  # one photo of four: nothing that chance could not do
    (25.0, 0.0)
    """
    a, b = _checked_errors(errors_a), _checked_errors(errors_b)
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} errors: a paired difference needs the same photos")
    index, n_groups = group_index(groups, len(a))
    one, other = per_photo(a, scale_km), per_photo(b, scale_km)
    out = _means({k: one[k] - other[k] for k in one}, index, n_groups, n_boot, seed)
    boot = [bootstrap_medians(e, index, n_groups, n_boot=n_boot, seed=seed) for e in (a, b)]
    with np.errstate(invalid="ignore"):
        out["median_km"] = with_interval(_median(a) - _median(b), boot[0] - boot[1], n_groups)
    return out


def _means(
    columns: Mapping[str, np.ndarray], index: np.ndarray, n_groups: int, n_boot: int, seed: int
) -> dict[str, Estimate]:
    """Mean of each column with its interval, all on the same resamples."""
    values = np.stack(list(columns.values()), axis=1)  # S columns of (N,) -> (N, S)
    samples = bootstrap_means(values, index, n_groups, n_boot=n_boot, seed=seed)
    means = values.mean(axis=0)
    return {k: with_interval(means[i], samples[:, i], n_groups) for i, k in enumerate(columns)}


def _checked_errors(errors: object) -> np.ndarray:
    """Errors as a (N,) float64 array, refusing none at all, NaN and negative ones by row."""
    km = np.asarray(errors, dtype=np.float64)
    if km.ndim != 1 or len(km) == 0:
        raise ValueError(f"errors must be a list of at least one distance, not shape {km.shape}")
    bad = np.flatnonzero(~(km >= 0))
    if len(bad):
        raise ValueError(f"errors row {bad[0]} is {km[bad[0]]} km; a failure must be infinity")
    return km


def _median(km: np.ndarray) -> float:
    """Median that may be infinite: the mean of the two middle values without ``inf - inf``."""
    ranked = np.sort(km)
    lower, upper = ranked[(len(km) - 1) // 2], ranked[len(km) // 2]
    return float(lower if lower == upper else (lower + upper) / 2)


def uniform_chance(km: object) -> np.ndarray:
    r"""Share (0 to 1) of the sphere within a distance: a uniform guess hits with this probability.

    The cap of radius d is :math:`(1 - \cos(d/R))/2` of the sphere, whatever the truth. Written
    :math:`\sin^2(d/2R)`, so that 1 km keeps its digits.

    Examples
    --------
    >>> [f"{100 * p:.5f} %" for p in uniform_chance([25, 200, 750, 2500])]
    ['0.00038 %', '0.02463 %', '0.34606 %', '3.80036 %']
    """
    half_angle = np.asarray(km, dtype=np.float64) / (2 * EVAL_RADIUS_KM)
    return np.sin(np.clip(half_angle, 0.0, np.pi / 2)) ** 2


def uniform_chance_metrics(scale_km: float = SCORE_SCALE_KM) -> dict[str, Estimate]:
    r"""The figures of `summarise` for a guess drawn uniformly on the sphere, exactly.

    Median and mean are a quarter of the circumference by symmetry. With :math:`a = R/s` the
    expected score is :math:`2500\,(1 + e^{-\pi a})/(1 + a^2)`. No interval: nothing was sampled.

    Examples
    --------
    >>> round(uniform_chance_metrics()["score"].value, 1)
    130.1
    """
    a = EVAL_RADIUS_KM / scale_km
    values = {f"within_{t}": 100.0 * float(uniform_chance(t)) for t in THRESHOLDS_KM}
    values |= {"median_km": MISS_KM / 2, "mean_km": MISS_KM / 2}
    values["score"] = 2500.0 * (1.0 + np.exp(-np.pi * a)) / (1.0 + a**2)
    return {name: Estimate(float(value)) for name, value in values.items()}
