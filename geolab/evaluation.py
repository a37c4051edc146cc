"""One evaluator for every system: a benchmark and a locator in, one `Row` of the table out.

A failed photo is a miss and is named; it never makes n smaller.

- `evaluate` takes a locator and photos, `evaluate_points` plain coordinates (`point_of` an answer).
- `evaluate_draws` is for answers that are a distribution to draw from, such as chance: the figures
  are expectations over draws, so chance does not look good or bad by luck.
- `Row`, `write_rows` and `read_rows` live in `geolab.rows` and can be had from here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from geolab.borders import borders_path, same_country
from geolab.intervals import group_index
from geolab.metrics import errors_km, same_place, summarise
from geolab.rows import MEASURED, Row, read_rows, rows_from_json, rows_to_json, write_rows

if TYPE_CHECKING:
    from datasets import Dataset

    from geolab.data.benchmarks import Benchmark
    from geolab.posterior import Posterior

__all__ = [
    "MEASURED",
    "Options",
    "Row",
    "draws_of",
    "evaluate",
    "evaluate_draws",
    "evaluate_points",
    "group_labels",
    "point_of",
    "read_rows",
    "rows_from_json",
    "rows_to_json",
    "spread",
    "truth_of",
    "write_rows",
]


@dataclass(frozen=True)
class Options:
    """How to turn answers into figures.

    Attributes
    ----------
    point : str
        Which point of a `Posterior` is the answer: "mode", "mean" or "best_score".
    areas : bool
        Whether to add country and region accuracy, by nearest town and, where known, by border.
    n_boot, seed : int
        Bootstrap resamples and their seed.
    """

    point: str = "mode"
    areas: bool = True
    n_boot: int = 1000
    seed: int = 0


def evaluate_points(
    system: str,
    predicted: object,
    truth: object,
    *,
    benchmark: str,
    groups: Sequence[object] | None = None,
    options: Options = Options(),
    **about: Any,
) -> Row:
    """Score coordinates.

    Parameters
    ----------
    system, benchmark : str
        Names for the table.
    predicted : array_like, shape (N, 2)
        Degrees; NaN where there is no answer.
    truth : array_like, shape (N, 2)
        Degrees.
    groups : sequence of N labels, optional
        Photographers.
    **about
        Further fields of `Row`, such as ``note`` or ``synthetic``.

    Returns
    -------
    Row
    """
    errors = errors_km(predicted, truth)
    correct = {}
    if options.areas:
        correct = {a: same_place(predicted, truth, level=a) for a in ("country", "region")}
        if layer := borders_path():
            correct["border"] = same_country(predicted, truth, layer)
            about["parameters"] = {**about.get("parameters", {}), "borders": layer.name}
    metrics = summarise(
        errors, groups=groups, correct=correct, n_boot=options.n_boot, seed=options.seed
    )
    return Row(
        system=system,
        benchmark=benchmark,
        n=len(errors),
        failed=int(np.isinf(errors).sum()),
        metrics=metrics,
        n_groups=group_index(groups, len(errors))[1],
        seed=options.seed,
        **about,
    )


def point_of(posterior: Posterior, point: str = "mode") -> np.ndarray:
    """Answer as coordinates ``(B, 2)``, float64.

    Raises
    ------
    ValueError
        If `point` is not "mode", "mean" or "best_score".
    """
    if point not in ("mode", "mean", "best_score"):
        raise ValueError(f"point {point!r} is unknown; use 'mode', 'mean' or 'best_score'")
    return getattr(posterior, point)().double().numpy(force=True)


def spread(points: np.ndarray, answered: Sequence[int] | None, n: int) -> np.ndarray:
    """Put the answers (B, 2) in their places among n photos, NaN elsewhere: (N, 2)."""
    rows = np.arange(len(points)) if answered is None else np.asarray(answered, dtype=np.int64)
    if len(rows) != len(points) or (answered is None and len(points) != n):
        raise ValueError(f"{len(points)} answers for {n} photos; say which rows they answer")
    out = np.full((n, 2), np.nan)
    out[rows] = points
    return out


def draws_of(posterior: Posterior, n_draws: int = 100, seed: int = 0) -> np.ndarray:
    """Draw places from each photo's answer by their weights: ``(B, n_draws, 2)``, degrees."""
    rng = np.random.default_rng(seed)
    cdf = posterior.weight.double().cpu().cumsum(1).numpy()  # (B, K)
    support = posterior.latlon.double().cpu().numpy()
    out = np.empty((len(cdf), n_draws, 2))
    for photo, row in enumerate(cdf):
        pick = np.searchsorted(row, rng.random(n_draws) * row[-1], side="right")
        out[photo] = support[photo, np.minimum(pick, len(row) - 1)]
    return out


def evaluate_draws(
    system: str,
    drawn: np.ndarray,
    truth: object,
    *,
    benchmark: str,
    groups: Sequence[object] | None = None,
    options: Options = Options(),
    **about: Any,
) -> Row:
    """Score answers that are drawn at random: expected figures, with intervals.

    All draws of a photo are resampled together with the other photos of its group, so the interval
    speaks of photos, and n counts photos, not draws.

    Parameters
    ----------
    drawn : ndarray, shape (N, S, 2)
        S answers for each photo, degrees, as from `draws_of`.
    truth : array_like, shape (N, 2)
        Degrees.
    """
    places = np.asarray(truth, dtype=np.float64)
    index, _ = group_index(groups, len(places))
    n_draws = drawn.shape[1]
    row = evaluate_points(
        system,
        drawn.reshape(-1, 2),  # (N, S, 2) -> (N * S, 2)
        np.repeat(places, n_draws, axis=0),
        benchmark=benchmark,
        groups=np.repeat(index, n_draws).tolist(),
        options=options,
        **about,
    )
    return replace(row, n=len(places))


def group_labels(photos: Dataset) -> tuple[str, list[object] | None]:
    """Which column says whose photos they are, and its labels; ("", None) if there is none.

    "photographer" first, then "source": photos that came together are alike for one reason.
    """
    for column in ("photographer", "source"):
        if column in photos.column_names and any(v not in (None, "") for v in photos[column]):
            return column, list(photos[column])
    return "", None


def truth_of(photos: Dataset) -> np.ndarray:
    """Coordinates ``(N, 2)`` of a data set, degrees, float64."""
    return np.column_stack([photos["latitude"], photos["longitude"]]).astype(np.float64)


def evaluate(
    locator: Any,
    photos: Dataset,
    *,
    benchmark: str | Benchmark,
    options: Options = Options(),
    **about: Any,
) -> Row:
    """Read the photos, locate those that can be read, score all of them.

    Parameters
    ----------
    locator : Locator
        With ``name`` and ``locate(images) -> Posterior``, already fitted.
    photos : datasets.Dataset
        With id, image, latitude, longitude; photographer or source for the intervals.
    benchmark : str or Benchmark
        A name for all of `photos`, or a frozen list of which `photos` may hold only a part.
    **about
        Further fields of `Row`, such as ``synthetic``.

    Returns
    -------
    Row
        `failures` names each photo that is absent or could not be read; they count as misses.
    """
    from geolab.data.benchmarks import freeze
    from geolab.data.photos import read_images

    began = time.perf_counter()
    frozen = freeze(photos, benchmark) if isinstance(benchmark, str) else benchmark
    row_of = frozen.align(photos)  # (n,), -1 where absent
    held = np.flatnonzero(row_of >= 0)
    here = photos.select(row_of[held])
    read = read_images(here)
    good = [i for i, image in enumerate(read.images) if image is not None]
    points = np.empty((0, 2))
    if good:
        points = point_of(locator.locate([read.images[i] for i in good]), options.point)
    absent = {photo: "not among the photos given" for photo in set(frozen.ids) - set(here["id"])}
    return evaluate_points(
        locator.name,
        spread(points, held[good], frozen.n),
        frozen.latlon,
        benchmark=frozen.name,
        groups=_labels_of(here, held, frozen.n),
        options=options,
        benchmark_hash=frozen.hash,
        seconds=time.perf_counter() - began,
        failures={**read.errors, **absent},
        **about,
    )


def _labels_of(here: Dataset, held: np.ndarray, n: int) -> list[object] | None:
    """Group label of each of n photos, None for those that are absent."""
    _, labels = group_labels(here)
    if labels is None:
        return None
    out: list[object] = [None] * n
    for row, label in zip(held.tolist(), labels, strict=True):
        out[row] = label
    return out
