"""PIGEON's further tasks: what else a photo shows about its place.

Haas et al., CVPR 2024: beside the cells, linear heads on the same embedding name the climate zone
and the month and estimate elevation, population, temperature and precipitation. In the paper's
ablation they change next to nothing (median 60.6 to 61.8 km without).

| task | target | loss | weight |
| --- | --- | --- | --- |
| elevation, population, precipitation | logarithm after an offset, standardised | squared | 8 |
| temperature | standardised | squared | 8 |
| climate | class | cross-entropy | 2 |
| month | class | cross-entropy | 1 |
| drive_side | class; ours, the paper has it in captions only | cross-entropy | 1 |

Each number has its weight of 8. TinyEarth has no yearly range of temperature and precipitation, so
four of the paper's six are left; its population is that of the nearest place, the paper's is a
density. Means, deviations and classes come from training photos alone: a class that only others
have asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.data.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

OFFSETS = {"elevation": 408.0, "population": 1.0, "precipitation": 1.0}
"""Added before the logarithm (PIGEON's for elevation, in metres)."""
NUMBERS = ("elevation", "population", "precipitation", "temperature")
CLASSES = ("climate", "month", "drive_side")
WEIGHTS = {**dict.fromkeys(NUMBERS, 8.0), "climate": 2.0, "month": 1.0, "drive_side": 1.0}
TASKS = (*NUMBERS, *CLASSES)
PIGEON_TASKS = (*NUMBERS, "climate", "month")
PIGEOTTO_TASKS = (*NUMBERS, "climate")
"""The paper's, as far as the columns go."""


@dataclass(frozen=True)
class Task:
    """One further head.

    Attributes
    ----------
    name : str
    classes : tuple of str
        Empty for a number.
    mean, std : float
        Of the (transformed) training values of a number.
    """

    name: str
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0

    @property
    def width(self) -> int:
        """Outputs of the head."""
        return len(self.classes) or 1

    def encode(self, values: Sequence[object]) -> Tensor:
        """Targets (N,) float32: standardised, or class numbers; NaN where nothing is known.

        Raises
        ------
        DataError
            If a number is none; its row and value are named.
        """
        if not self.classes:
            return torch.from_numpy((_transformed(self.name, values) - self.mean) / self.std)
        number = {name: float(i) for i, name in enumerate(self.classes)}
        return torch.tensor([number.get(_class_name(v), float("nan")) for v in values])

    def decode(self, outputs: Tensor) -> list[str] | Tensor:
        """What the head says: class names, or numbers (N,) in their own unit."""
        if self.classes:
            return [self.classes[i] for i in outputs.argmax(1).tolist()]
        value = outputs[:, 0] * self.std + self.mean
        return value.exp() - OFFSETS[self.name] if self.name in OFFSETS else value


def tasks_of(photos: Dataset, names: Sequence[str] = TASKS) -> tuple[Task, ...]:
    """Tasks that a training set can teach; a column that is missing leaves its task out.

    Raises
    ------
    DataError
        For a task that is not known, a number that is none, or if no column can be learnt.
    """
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise DataError(f"no task {unknown[0]!r}; there are: {', '.join(TASKS)}")
    found = []
    for name in names:
        if name not in photos.column_names:
            continue
        values = list(photos[name])
        if name in CLASSES:
            known = sorted({_class_name(v) for v in values if _known(v)})
            found += [Task(name, tuple(known))] if len(known) > 1 else []
        else:
            held = _transformed(name, values)
            held = held[np.isfinite(held)].astype(np.float64)
            if len(held) > 1 and held.std() > 0:
                found.append(Task(name, (), float(held.mean()), float(held.std())))
    if not found:
        raise DataError(
            f"none of the columns {', '.join(names)} is there with two values or more: no tasks to "
            "learn. Add one of them, or leave the tasks out"
        )
    return tuple(found)


def targets_of(photos: Dataset, tasks: Sequence[Task]) -> dict[str, Tensor]:
    """Targets of each task, (N,) float32, NaN where a photo says nothing."""
    missing = float("nan")
    return {
        task.name: task.encode(
            list(photos[task.name]) if task.name in photos.column_names else [missing] * len(photos)
        )
        for task in tasks
    }


def task_loss(
    outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], tasks: Sequence[Task]
) -> Tensor:
    """Weighted sum of the tasks' losses over the rows of a batch.

    Parameters
    ----------
    outputs : mapping of str to Tensor, shape (b, width)
    targets : mapping of str to Tensor, shape (b,)
        NaN asks nothing.
    """
    total = next(iter(outputs.values())).sum() * 0  # keeps every head in the graph
    for task in tasks:
        said, wanted = outputs[task.name].float(), targets[task.name]
        asked = torch.isfinite(wanted)
        if not asked.any():
            total = total + said.sum() * 0
        elif task.classes:
            lost = F.cross_entropy(said[asked], wanted[asked].long(), reduction="sum")
            total = total + WEIGHTS[task.name] * lost
        else:
            lost = F.mse_loss(said[asked, 0], wanted[asked], reduction="sum")
            total = total + WEIGHTS[task.name] * lost
    return total


def _transformed(name: str, values: Sequence[object]) -> np.ndarray:
    """Numbers of a task, logarithmic where the paper has it so; NaN where nothing is known."""
    held = np.array([_number(name, row, v) for row, v in enumerate(values)], np.float32)
    if name not in OFFSETS:
        return held
    with np.errstate(invalid="ignore", divide="ignore"):
        logged = np.log(held + OFFSETS[name])
    return np.where(np.isfinite(logged), logged, np.nan).astype(np.float32)


def _known(value: object) -> bool:
    return value is not None and value == value and str(value) != ""


def _number(name: str, row: int, value: object) -> float:
    try:
        return float(value) if _known(value) else np.nan
    except (TypeError, ValueError):
        raise DataError(
            f"row {row}: {name} {value!r} is no number; correct it, or leave it empty"
        ) from None


def _class_name(value: object) -> str:
    """Name of a class; 3 and 3.0 are one, since a column with gaps is read as float."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)
