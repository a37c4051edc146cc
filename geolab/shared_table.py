"""The table that grows from notebook to notebook: one frozen list of photos, a row a system.

    row = shared_table.score("PlaNet, mean", posterior, test, cost=Cost(seconds, weights))
    shared_table.show([row])     # with the rows that earlier notebooks left on the same photos

Intervals resample photographers. Two systems whose difference lies inside the noise are a tie:
`verdict` says so in words, by the paired interval of the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geolab.claims import Claims, chance_claims, claims_of, judge
from geolab.data.benchmarks import hash_of
from geolab.evaluation import Options, evaluate_points, group_labels, point_of, spread, truth_of
from geolab.intervals import Estimate
from geolab.locators.answered import Cost
from geolab.metrics import errors_km, paired_difference, uniform_chance_metrics
from geolab.panels import SCREEN
from geolab.rows import Row, read_rows
from geolab.tables import ResultsTable, record, table

if TYPE_CHECKING:
    from datasets import Dataset

    from geolab.posterior import Posterior

UNIFORM = "chance, uniform"


def score(
    system: str,
    posterior: Posterior,
    photos: Dataset,
    *,
    source: str = "tinyearth",
    answered: Sequence[int] | None = None,
    points: object = None,
    cost: Cost | None = None,
    options: Options | None = None,
    **about: Any,
) -> Row:
    """Score answers for a test part.

    Parameters
    ----------
    system : str
    posterior : Posterior
        One answer for each photo, or for the rows `answered`; the others are misses.
    photos : Dataset
        The test part of `geolab.data.shared_split`.
    source : str
        What was split; "tinyearth" marks the row as synthetic.
    points : array_like, shape (B, 2), optional
        Degrees: the point taken from each answer, where `options` does not name how.
    cost : Cost, optional
        Adds training time and number of weights as columns.
    **about
        Further fields of `Row`, such as ``parameters``.
    """
    options, truth = options or Options(), truth_of(photos)
    groups = group_labels(photos)[1]
    said = point_of(posterior, options.point) if points is None else np.array(points, float)
    held = np.arange(len(truth)) if answered is None else np.asarray(answered)
    everywhere = spread(said, answered, len(truth))  # (N, 2)
    row = evaluate_points(
        system,
        everywhere,
        truth,
        options=options,
        benchmark=f"{source}, shared test",
        groups=groups,
        benchmark_hash=hash_of([str(photo) for photo in photos["id"]], truth),
        synthetic=source == "tinyearth",
        **about,
    )
    claims = Claims.none(len(truth))
    claims.put(held, claims_of(posterior, said, truth[held]))
    how = {"groups": groups, "n_boot": options.n_boot, "seed": options.seed}
    judged = judge(claims, errors_km(everywhere, truth), **how)
    return replace(row, metrics=row.metrics | judged | cost_columns(cost))


def cost_columns(cost: Cost | None) -> dict[str, Estimate]:
    """Training time and size as columns of a table."""
    if cost is None:
        return {}
    return {"train_s": Estimate(cost.seconds), "weights_m": Estimate(cost.n_parameters / 1e6)}


def show(rows: Iterable[Row]) -> ResultsTable:
    """Keep rows, and show all that were kept on the same photos, chance first."""
    held = list(rows)
    lists = {row.benchmark_hash for row in held}
    for row in {row.benchmark_hash: row for row in held}.values():  # chance belongs to every list
        chance = {
            "metrics": uniform_chance_metrics() | chance_claims(),
            "source": "closed form",
            "n_groups": 0,
        }
        none = {"failed": 0, "failures": {}, "note": "", "parameters": {}}
        held.append(replace(row, system=UNIFORM, seconds=0.0, **chance, **none))
    mine = read_rows(record(held))
    kept = {(r.system, r.benchmark): r for r in [*_earlier(), *mine] if r.benchmark_hash in lists}
    rows = sorted(kept.values(), key=lambda row: row.system != UNIFORM)
    return table(rows, [name for name in SCREEN if any(name in row.metrics for row in rows)])


def _earlier() -> list[Row]:
    """Rows that other notebooks of this build left, in their order."""
    folder = os.environ.get("GEOLAB_COURSE_ROWS")
    found = sorted(Path(folder).glob("*.json")) if folder else []
    return [row for path in found for row in read_rows(path)]


def verdict(
    one: tuple[str, Posterior],
    other: tuple[str, Posterior],
    photos: Dataset,
    *,
    figure: str = "within_200",
    n_boot: int = 1000,
    seed: int = 0,
) -> str:
    """Say in words whether one system beats another on the same photos.

    Parameters
    ----------
    one, other : tuple of str and Posterior
        Names and answers.
    figure : str
        As `geolab.metrics.summarise` names it, but for the median.

    Returns
    -------
    str
        With the difference, its 95 % interval, and "tie" where the interval holds 0.
    """
    truth, groups = truth_of(photos), group_labels(photos)[1]
    errors = [errors_km(point_of(posterior), truth) for _, posterior in (one, other)]
    gap = paired_difference(*errors, groups=groups, n_boot=n_boot, seed=seed)[figure]
    tie = not (gap.low > 0 or gap.high < 0)  # also where there is no interval
    gained = (gap.value > 0) != figure.endswith("_km")  # fewer kilometres are better
    said = "a tie" if tie else ("better" if gained else "worse")
    ends = f"{gap.value:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}]"
    return f"{one[0]} against {other[0]}, {figure}: {ends}, {said}, n = {np.size(errors[0])}"


def compare(
    one: tuple[str, Posterior],
    other: tuple[str, Posterior],
    photos: Dataset,
    figures: Sequence[str] = ("within_25", "within_200", "within_750", "within_2500"),
) -> None:
    """Print the `verdict` on each figure."""
    for figure in figures:
        print(verdict(one, other, photos, figure=figure))
