r"""What an embedding already knows, before anyone trains on it.

A linear probe is fitted on frozen features for each task of `geolab.locators.multitask`: ridge
regression in closed form for numbers, logistic regression for classes. What it reads must be in the
embedding already, and linearly so. That says more about further tasks than training on them does:
a task that the probe solves has little left to teach the encoder.

    probed = embedding_probe(known, train, asked, test)
    print("\n".join(str(row) for row in probed))

Each figure stands beside what needs no photo: the most frequent class of the training photos for
accuracy, their mean for R2 (0, or a little less on other photos). Nothing is chosen on the test
photos. Photos that say nothing of a task are left out of it, so n differs between tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from geolab.locators.multitask import TASKS, Task, targets_of, tasks_of

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Probed:
    """How well one task is read from an embedding.

    Attributes
    ----------
    task : str
    figure : {"accuracy", "R2"}
        Shares of 1. R2 is of the values that the task is learnt on, logarithms where it has them.
    value, baseline : float
        Of the probe, and of a constant taken from the training photos.
    n : int
        Test photos that it was measured on.
    """

    task: str
    figure: str
    value: float
    baseline: float
    n: int

    def __str__(self) -> str:
        """One line of a table."""
        figures = f"{self.value:6.3f}, constant {self.baseline:6.3f}"
        return f"{self.task:14s} {self.figure:9s} {figures}, n = {self.n:,}"


def embedding_probe(
    features: Tensor,
    photos: Dataset,
    asked: Tensor,
    test: Dataset,
    names: Sequence[str] = TASKS,
    *,
    strength: float = 10.0,
) -> list[Probed]:
    """Fit a probe for each task and measure it on other photos.

    Parameters
    ----------
    features, asked : Tensor, shapes (N, D), (M, D)
        Of the training and of the test photos.
    photos, test : Dataset
        Columns of the tasks; a task that training photos lack, or no test photo knows, is left out.
    names : sequence of str
        Of `geolab.locators.multitask.TASKS`.
    strength : float
        Of the penalty: weights of standardised features, against N squared errors (ridge) or N
        log losses (logistic).

    Raises
    ------
    ValueError
        If lengths disagree, or a feature is not finite (its row is named).
    DataError
        If there is no task to learn.

    References
    ----------
    Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
    """
    known = _standardised(features, features, len(photos))
    wanted = _standardised(features, asked, len(test))
    tasks = tasks_of(photos, names)
    taught, truth = targets_of(photos, tasks), targets_of(test, tasks)
    out = []
    for task in tasks:
        train, there = taught[task.name].isfinite(), truth[task.name].isfinite()
        if there.any():
            given = (known[train], taught[task.name][train].double())
            held = (wanted[there], truth[task.name][there].double())
            out.append(_probe(task, *given, *held, strength))
    return out


def _standardised(features: Tensor, values: Tensor, n: int) -> Tensor:
    """Values (M, D) float64 in the means and deviations of `features`."""
    if len(values) != n:
        raise ValueError(f"{len(values)} features, but {n} photos")
    bad = (~values.isfinite()).any(1).nonzero()
    if len(bad):
        raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
    base = features.double()
    return (values.double() - base.mean(0)) / base.std(0, correction=0).clamp_min(1e-6)


def _probe(
    task: Task, known: Tensor, taught: Tensor, asked: Tensor, truth: Tensor, strength: float
) -> Probed:
    if task.classes:
        said, constant = _classes(known, taught.long(), asked, strength)
        right = (said == truth).double().mean()
        usual = (truth == constant).double().mean()
        return Probed(task.name, "accuracy", float(right), float(usual), len(truth))
    said = _ridge(known, taught, asked, strength)
    return Probed(
        task.name, "R2", _r2(said, truth), _r2(taught.mean().expand_as(truth), truth), len(truth)
    )


def _ridge(known: Tensor, taught: Tensor, asked: Tensor, strength: float) -> Tensor:
    """Solve (X'X + strength) w = X'(y - mean), features and answers centred on these rows."""
    middle, level = known.mean(0), taught.mean()
    x = known - middle
    penalty = strength * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(x.T @ x + penalty, x.T @ (taught - level))
    return (asked - middle) @ weight + level


def _classes(known: Tensor, taught: Tensor, asked: Tensor, strength: float) -> tuple[Tensor, int]:
    """Classes that logistic regression names, and the most frequent one (the first of equals)."""
    from sklearn.linear_model import LogisticRegression

    counts = np.bincount(taught.numpy())
    if np.count_nonzero(counts) < 2:
        return torch.full((len(asked),), int(counts.argmax())), int(counts.argmax())
    probe = LogisticRegression(C=1 / strength, max_iter=500).fit(known.numpy(), taught.numpy())
    return torch.from_numpy(probe.predict(asked.numpy())), int(counts.argmax())


def _r2(said: Tensor, truth: Tensor) -> float:
    spread = (truth - truth.mean()).square().sum()
    return float(1 - (said - truth).square().sum() / spread) if spread > 0 else float("nan")
