"""What ``geolab table`` does: score a locator on a benchmark, beside what needs no picture at all.

Four kinds of row, always on the same photos:

- chance, uniform: any point of the Earth, in closed form;
- chance, photo density: the place of a random reference photo, as an expectation over draws;
- best constant: one place for every photo, chosen on the references;
- the locator.

A locator that does not beat the third has learnt where photos are taken, not how to read them.

Who may answer whom is settled in `geolab.table_task`. Photos with a column ``scene_ok`` get a
second panel of those where it is 1: no accuracy can be asked of a close-up or a living room, and n
says how many are left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geolab.evaluation import (
    Options,
    evaluate_draws,
    evaluate_points,
    group_labels,
    truth_of,
)
from geolab.metrics import errors_km, paired_difference, uniform_chance_metrics
from geolab.panels import COLUMNS, figure, interval
from geolab.rows import Row
from geolab.table_task import MAX_NAMED, Request, Task, prepare

if TYPE_CHECKING:
    from geolab.locators.table_systems import System

N_DRAWS = 100
UNIFORM, DENSITY, CONSTANT = "chance, uniform", "chance, photo density", "best constant"


@dataclass
class Answers:
    """What each system said, filled fold by fold. NaN where a photo could not be read."""

    points: dict[str, np.ndarray] = field(default_factory=dict)
    drawn: np.ndarray = field(default_factory=lambda: np.empty(0))
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TableResult:
    """Rows, what to say before and after them, and what the map shows.

    Attributes
    ----------
    rows : tuple of Row
    about, findings : tuple of str
    predicted, truth : ndarray, shape (M, 2)
        The last system of the last panel, for the error arrows.
    system : str
    synthetic : bool
    """

    rows: tuple[Row, ...]
    about: tuple[str, ...]
    findings: tuple[str, ...]
    predicted: np.ndarray
    truth: np.ndarray
    system: str
    synthetic: bool


def make_table(
    request: Request, systems: Mapping[str, Callable[..., System]] | None = None
) -> TableResult:
    """Load, split, locate and score.

    Parameters
    ----------
    request : Request
    systems : mapping of str to fitting function, optional
        `geolab.locators.table_systems.SYSTEMS` if not given.

    Raises
    ------
    ValueError
        If a table or an option is wrong; the message names it and the fix.
    """
    if systems is None:
        from geolab.locators.table_systems import SYSTEMS as systems

    if request.locator not in systems:
        known = ", ".join(systems)
        raise ValueError(f"no locator {request.locator!r} for a table; there are: {known}")
    began = time.perf_counter()
    task = prepare(request)
    answers = answer(task, systems[request.locator], request.seed)
    rows: list[Row] = []
    for name, chosen in panels_of(task):
        rows += score(task, answers, name, chosen, request)
    main = list(answers.points)[-1]
    found = findings(task, answers, chosen, request)
    about = task.about + _failure_lines(answers.failures)
    if request.locator == "im2gps":
        found.append("im2gps asks 120 neighbours, or a tenth of the references where they are few")
    found.append(f"described and located in {time.perf_counter() - began:.0f} s")
    return TableResult(
        rows=tuple(rows),
        about=tuple(about),
        findings=tuple(found),
        predicted=answers.points[main][chosen],
        truth=truth_of(task.queries)[chosen],
        system=main,
        synthetic=task.synthetic,
    )


def _failure_lines(failures: dict[str, str]) -> list[str]:
    """Photos that could not be read, by name."""
    lines = [f"  {photo}: {why}" for photo, why in list(failures.items())[:MAX_NAMED]]
    more = len(failures) - MAX_NAMED
    lines += [f"  and {more} more"] if more > 0 else []
    return [f"could not be read, counted as misses: {len(failures)}", *lines]


def answer(task: Task, fit_system: Callable[..., System], seed: int) -> Answers:
    """Let chance, the best constant and the system answer every query, fold by fold."""
    from geolab.locators.baselines import best_constant

    n = len(task.queries)
    answers = Answers(drawn=np.empty((n, N_DRAWS, 2)))
    answers.points[CONSTANT], answers.seconds[CONSTANT] = np.empty((n, 2)), 0.0
    places, rng = truth_of(task.references), np.random.default_rng(seed)
    system = fit_system(task.references, seed, min(len(fold.reference) for fold in task.folds))
    for fold in task.folds:
        drawn = rng.integers(len(fold.reference), size=(len(fold.query), N_DRAWS))
        answers.drawn[fold.query] = places[fold.reference[drawn]]
        answers.points[CONSTANT][fold.query] = best_constant(places[fold.reference])[0].numpy()
        said = system.answer(task.queries.select(fold.query), fold.reference)
        answers.failures.update(said.failures)
        for name, points in said.points.items():
            answers.points.setdefault(name, np.full((n, 2), np.nan))[fold.query] = points
            answers.seconds[name] = answers.seconds.get(name, 0.0) + said.seconds[name]
    return answers


def panels_of(task: Task) -> list[tuple[str, np.ndarray]]:
    """All photos, and those where an outdoor place can be seen if a column says so."""
    everything = np.arange(len(task.queries))
    if "scene_ok" not in task.queries.column_names:
        return [(task.name, everything)]
    clear = np.array([str(v).strip() in ("1", "True", "true") for v in task.queries["scene_ok"]])
    panels = [(f"{task.name}, all photos", everything)]
    if clear.any() and not clear.all():
        panels.append((f"{task.name}, scene_ok photos", np.flatnonzero(clear)))
    return panels


def score(
    task: Task, answers: Answers, benchmark: str, chosen: np.ndarray, request: Request
) -> list[Row]:
    """Rows of one panel, chance first."""
    from geolab.data.benchmarks import hash_of

    truth = truth_of(task.queries)[chosen]
    ids = [str(task.queries["id"][int(row)]) for row in chosen]
    _, labels = group_labels(task.queries)
    groups = None if labels is None else [labels[row] for row in chosen]
    about = {
        "benchmark": benchmark,
        "benchmark_hash": hash_of(ids, truth),
        "synthetic": task.synthetic,
        "command": request.command,
        "parameters": {"references": request.reference or request.benchmark, **task.parameters},
    }
    failures = {i: answers.failures[i] for i in ids if i in answers.failures}
    options = Options(n_boot=request.n_boot, seed=request.seed)
    how = {"truth": truth, "groups": groups, "options": options, **about}
    uniform = uniform_chance_metrics()
    rows = [Row(UNIFORM, n=len(ids), failed=0, metrics=uniform, source="closed form", **about)]
    rows.append(evaluate_draws(DENSITY, answers.drawn[chosen], **how))
    for name, points in answers.points.items():
        seconds = answers.seconds[name]
        rows.append(
            evaluate_points(name, points[chosen], **how, seconds=seconds, failures=failures)
        )
    return rows


def findings(task: Task, answers: Answers, chosen: np.ndarray, request: Request) -> list[str]:
    """How much the locator's last system gains over the best constant, with the paired interval."""
    systems = list(answers.points)
    if CONSTANT not in systems or len(systems) < 2:
        return []
    truth = truth_of(task.queries)[chosen]
    _, labels = group_labels(task.queries)
    groups = None if labels is None else [labels[row] for row in chosen]
    ours, theirs = (errors_km(answers.points[s][chosen], truth) for s in (systems[-1], CONSTANT))
    gap = paired_difference(ours, theirs, groups=groups, n_boot=request.n_boot, seed=request.seed)
    shown = ", ".join(
        f"{COLUMNS[k]} {figure(k, gap[k].value)} [{interval(k, gap[k])}]"
        for k in ("within_200", "within_750", "within_2500", "score")
    )
    return [f"{systems[-1]} minus {CONSTANT} on the same {len(chosen)} photos: {shown}"]


def draw_map(result: TableResult, path: str | os.PathLike[str]) -> Path:
    """Error arrows of the main system on the world map, as PNG."""
    import matplotlib.pyplot as plt

    from geolab.figures.style import save_figure
    from geolab.maps.layers import error_arrows

    title = f"{result.system}: from the truth to the answer"
    ax = error_arrows(result.predicted, result.truth, title=title, synthetic=result.synthetic)
    written = save_figure(ax, path)
    plt.close(ax.figure)
    return written
