"""Who is asked and who may answer, for ``geolab table``.

A csv that is benchmark and reference set at once is scored by turns (`geolab.folds`); two sets are
scored as they are, less the references that would leak; TinyEarth is split once by photographer and
place.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geolab.evaluation import group_labels
from geolab.folds import MIN_KM, Fold, fold_between, folds_within

if TYPE_CHECKING:
    from datasets import Dataset

MAX_NAMED = 10


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes
    ----------
    benchmark : str
        A csv, a folder, a fetched data set, or "tinyearth".
    locator : str
        Names of `geolab.locators.table_systems.SYSTEMS` with commas, or "all".
    reference : str, optional
        Like `benchmark`; the benchmark itself if not given.
    n : int, optional
        Photos to take of the benchmark, at random; all if not given.
    seed, n_boot : int
    command : str
        As typed, to be kept with the rows.
    """

    benchmark: str
    locator: str = "im2gps"
    reference: str | None = None
    n: int | None = None
    seed: int = 0
    n_boot: int = 1000
    command: str = ""


@dataclass(frozen=True)
class Task:
    """Queries, references, and which may answer which."""

    name: str
    queries: Dataset
    references: Dataset
    folds: list[Fold]
    synthetic: bool
    about: list[str]

    @property
    def parameters(self) -> dict[str, int | float]:
        """What a row has to keep of the split."""
        sizes = [len(fold.reference) for fold in self.folds]
        return {"folds": len(sizes), "min_km": MIN_KM, "fewest": min(sizes), "most": max(sizes)}


def prepare(request: Request) -> Task:
    """Load both sets and decide who may answer whom."""
    from geolab.data.loading import load
    from geolab.data.shared import shared_split

    synthetic = request.benchmark == "tinyearth"
    reference = request.reference or request.benchmark
    if synthetic and reference == "tinyearth":
        parts = shared_split(n=request.n, seed=request.seed)
        queries, references = parts["test"], parts["train"]
        folds = [fold_between(queries, references)]
    else:
        queries = load(request.benchmark, n=request.n, seed=request.seed)
        same = _same_file(request.benchmark, reference)
        references = queries if same else load(reference, seed=request.seed)
        folds = folds_within(queries) if same else [fold_between(queries, references)]
    name = request.benchmark if synthetic else Path(request.benchmark).name
    task = Task(name, queries, references, folds, synthetic, [])
    asks_im2gps = bool({"im2gps", "all"} & set(request.locator.split(",")))
    task.about.extend(_about(task, request.benchmark, reference, textons=asks_im2gps))
    return task


def _same_file(one: str, other: str) -> bool:
    """Whether two arguments mean one set."""
    both = os.path.exists(one) and os.path.exists(other)
    return one == other or (both and os.path.samefile(one, other))


def _about(task: Task, benchmark: str, reference: str, *, textons: bool) -> list[str]:
    """What was compared with what."""
    column, labels = group_labels(task.queries)
    kind = "synthetic photos" if task.synthetic else "photos"
    people = f" by {len(set(labels))} {column}s" if labels else ""
    lines = [f"benchmark: {benchmark}, {len(task.queries):,} {kind}{people}"]
    sizes = [len(fold.reference) for fold in task.folds]
    spread = f"{min(sizes):,}" if len(sizes) == 1 else f"{min(sizes):,} to {max(sizes):,}"
    lines.append(f"references: {reference}, {spread} photos")
    if len(task.folds) > 1:
        lines.append(
            f"{len(task.folds)} folds: each {column or 'place'} is asked once and answered by the "
            "others only"
        )
    if len(task.folds) > 1 and textons:
        lines.append(
            "texton vocabulary and distance scales are learnt once from all photos, without places"
        )
    lines.append(
        f"references within {MIN_KM:g} km of a query are left out: nobody is right at that distance"
    )
    near = np.unique(np.concatenate([fold.too_near for fold in task.folds]))
    if len(near):
        ids = [str(task.references["id"][int(row)]) for row in near]
        lines.append(f"so left out, in some fold: {len(ids)} photos ({some(ids)})")
    return lines


def some(items: list[str]) -> str:
    """Return a few of many."""
    more = f" and {len(items) - MAX_NAMED} more" if len(items) > MAX_NAMED else ""
    return ", ".join(items[:MAX_NAMED]) + more
