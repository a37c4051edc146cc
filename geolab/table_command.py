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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from geolab.claims import Claims, chance_claims, judge
from geolab.evaluation import (
    Options,
    evaluate_draws,
    evaluate_points,
    group_labels,
    truth_of,
)
from geolab.locators.answered import Answered, Cost
from geolab.metrics import errors_km, paired_difference, uniform_chance_metrics
from geolab.panels import COLUMNS, figure, interval
from geolab.posterior import Posterior
from geolab.rows import Row
from geolab.shared_table import cost_columns
from geolab.table_task import MAX_NAMED, Request, Task, prepare

if TYPE_CHECKING:
    from geolab.locators.table_systems import System

FitSystems = Callable[..., "Sequence[System]"]

N_DRAWS = 100
UNIFORM, DENSITY, CONSTANT = "chance, uniform", "chance, photo density", "best constant"


@dataclass
class Answers:
    """What each system said, filled fold by fold. NaN where a photo could not be read."""

    points: dict[str, np.ndarray] = field(default_factory=dict)
    drawn: np.ndarray = field(default_factory=lambda: np.empty(0))
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Claims] = field(default_factory=dict)

    def add(self, said: Answered, rows: np.ndarray, n: int) -> None:
        """Take in what a system said about the queries `rows` of n."""
        self.failures.update(said.failures)
        self.notes.update(said.notes)
        for name, points in said.points.items():
            self.points.setdefault(name, np.full((n, 2), np.nan))[rows] = points
            self.seconds[name] = self.seconds.get(name, 0.0) + said.seconds[name]
        for name, claims in said.claims.items():
            self.claims.setdefault(name, Claims.none(n)).put(rows, claims)
        for name, cost in said.costs.items():
            before = self.costs[name].seconds if name in self.costs else 0.0
            self.costs[name] = Cost(before + cost.seconds, cost.n_parameters)


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


def make_table(request: Request, fit: FitSystems | None = None) -> TableResult:
    """Load, split, locate and score.

    Parameters
    ----------
    request : Request
    fit : callable, optional
        ``(locator, references, seed, size of the smallest fold) -> systems``;
        `geolab.locators.table_systems.fit_systems` if not given.

    Raises
    ------
    ValueError
        If a table or an option is wrong; the message names it and the fix.
    """
    if fit is None:
        from geolab.locators.table_systems import fit_systems as fit
        from geolab.locators.table_systems import named_systems

        named_systems(request.locator)  # before minutes are spent on the photos
    began = time.perf_counter()
    task = prepare(request)
    answers = answer(task, fit, request)
    rows: list[Row] = []
    for name, chosen in panels_of(task):
        rows += score(task, answers, name, chosen, request)
    main = list(answers.points)[-1]
    found = findings(task, answers, chosen, request)
    about = task.about + _failure_lines(answers.failures)
    found += dict.fromkeys(answers.notes.values())  # systems on one tower say one thing
    if any(name.startswith("im2gps") for name in answers.points):
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


def answer(task: Task, fit: FitSystems, request: Request) -> Answers:
    """Let chance, the best constant and the systems answer every query, fold by fold."""
    from geolab.locators.baselines import best_constant

    n = len(task.queries)
    answers = Answers(drawn=np.empty((n, N_DRAWS, 2)))
    places, rng = truth_of(task.references), np.random.default_rng(request.seed)
    smallest = min(len(fold.reference) for fold in task.folds)
    systems = fit(request.locator, task.references, request.seed, smallest)
    for fold in task.folds:
        drawn = rng.integers(len(fold.reference), size=(len(fold.query), N_DRAWS))
        prior = places[fold.reference[drawn]]  # (Q, N_DRAWS, 2)
        answers.drawn[fold.query] = prior
        constant = best_constant(places[fold.reference])[0].numpy()
        said = Answered(truth_of(task.queries)[fold.query])
        read = torch.ones(len(fold.query), dtype=torch.bool)
        for name, support in ((DENSITY, prior), (CONSTANT, np.tile(constant, (len(read), 1, 1)))):
            even = np.full(support.shape[:2], 1 / support.shape[1])
            said.say(name, Posterior(support, even), read, 0.0, points=support[:, 0])
        answers.add(said, fold.query, n)
        for system in systems:
            said = system.answer(task.queries.select(fold.query), fold.reference)
            answers.add(said, fold.query, n)
            if clip := getattr(system, "clip", None):
                answers.weights |= dict.fromkeys(said.points, f"{clip.name} {clip.weights_hash}")
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
    uniform = uniform_chance_metrics() | chance_claims()
    rows = [Row(UNIFORM, n=len(ids), failed=0, metrics=uniform, source="closed form", **about)]
    for name, points in answers.points.items():
        ran = {"seconds": answers.seconds[name], "failures": failures}
        if name == DENSITY:
            row = evaluate_draws(name, answers.drawn[chosen], **how)
        else:
            row = evaluate_points(name, points[chosen], **how, **ran)
        known = {"weights": answers.weights[name]} if name in answers.weights else {}
        metrics = row.metrics | cost_columns(answers.costs.get(name))
        if name in answers.claims:
            km = errors_km(points[chosen], truth)
            about_it = {"groups": groups, "n_boot": request.n_boot, "seed": request.seed}
            metrics |= judge(answers.claims[name][chosen], km, **about_it)
        rows.append(replace(row, metrics=metrics, parameters=row.parameters | known))
    return rows


def findings(task: Task, answers: Answers, chosen: np.ndarray, request: Request) -> list[str]:
    """How much the locator's last system gains over the best constant, with the paired interval."""
    systems = list(answers.points)
    if systems[-1] == CONSTANT:
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
