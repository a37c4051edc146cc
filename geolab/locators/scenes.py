"""Scene types: indoor, natural or urban, from Places365 or from a data set's own column.

Mueller-Budack, Pustu-Iren and Ewerth, "Geolocation estimation of photos using a hierarchical model
and scene classification", ECCV 2018: 365 scene probabilities are added up into three groups by the
first level of the Places365 scene hierarchy, and the largest group chooses the network that may
answer. A scene that belongs to two groups counts half for each.

Offline there are no Places365 weights. TinyEarth, and any table with a column ``scene``, brings its
own labels, and a network with a scene head learns them (`geolab.locators.isn`).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from geolab.data.errors import DataError

SCENES = ("indoor", "natural", "urban")
N_PLACES = 365


def scene_labels(values: Sequence[object]) -> Tensor:
    """Number of each scene in `SCENES`, (N,) int64; -1 where the column is empty.

    Raises
    ------
    ValueError
        If a value is no scene; the message names the row.

    Examples
    --------
    >>> scene_labels(["urban", None, "indoor"]).tolist()
    [2, -1, 0]
    """
    number = {name: i for i, name in enumerate(SCENES)} | {None: -1, "": -1}
    for row, value in enumerate(values):
        if value not in number:
            raise ValueError(f"row {row}: scene {value!r} is none of {', '.join(SCENES)}")
    return torch.tensor([number[value] for value in values], dtype=torch.int64)


def require_scenes(scenes: Tensor, kind: str, router: object = None) -> None:
    """Refuse scenes (N,) of which none is known, where a network of this kind learns them.

    Raises
    ------
    ValueError
        For kind "scene head", and for "routed" without a router that knows scenes already.
    """
    learns = kind == "scene head" or (kind == "routed" and router is None)
    if learns and not (scenes >= 0).any():
        raise ValueError(
            f"kind {kind!r} needs photos with a scene; none has one. Fix: add a column "
            "'scene' (indoor, natural, urban), or take kind='base'"
        )


def scenes_from_places(probabilities: Tensor, membership: Tensor) -> Tensor:
    """Group scene probabilities.

    Parameters
    ----------
    probabilities : Tensor, shape (N, 365)
        Each row sums to 1: probabilities, not logits.
    membership : Tensor, shape (365, 3)
        0 or 1, or weights; rows are normalised here, so a scene of two groups counts half for each.

    Returns
    -------
    Tensor, shape (N, 3)
        In the order of `SCENES`; rows sum to 1.

    Raises
    ------
    ValueError
        If shapes disagree, a scene has no group, or rows are no probabilities.
    """
    if probabilities.shape[-1] != len(membership) or membership.shape[1] != len(SCENES):
        raise ValueError(
            f"{tuple(probabilities.shape)} probabilities and a membership table of "
            f"{tuple(membership.shape)}: expected (N, S) and (S, {len(SCENES)})"
        )
    check_probabilities(probabilities, "scene")
    total = membership.sum(1, keepdim=True)
    if not (total > 0).all():
        lost = int((total[:, 0] <= 0).nonzero()[0])
        raise ValueError(f"scene {lost} belongs to no group: its row of the table is empty")
    return probabilities @ (membership / total).to(probabilities)


def check_probabilities(values: Tensor, name: str) -> None:
    """Refuse rows (N, C) that are logits or otherwise do not sum to 1.

    Raises
    ------
    ValueError
        Names the first bad row and its sum.
    """
    sums = values.double().sum(-1)
    bad = ((sums - 1).abs() > 1e-3) | (values < 0).any(-1) | ~sums.isfinite()
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        raise ValueError(
            f"{name} row {row} sums to {sums[row]:.4g} and its smallest entry is "
            f"{values[row].min():.3g}: these are no probabilities. Fix: take the softmax first; "
            "a product of logits means nothing"
        )


def read_membership(path: str | os.PathLike) -> Tensor:
    """Read the first level of the Places365 hierarchy from a csv: (365, 3), order of `SCENES`.

    The csv has one line a scene, in the order of the network's outputs, and the columns
    ``category, indoor, outdoor natural, outdoor man-made`` with 0 or 1, as the authors' sheet.

    Raises
    ------
    DataError
        If a column or a line is missing.
    """
    columns = ("indoor", "outdoor natural", "outdoor man-made")
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    missing = [name for name in columns if not lines or name not in lines[0]]
    if missing or len(lines) != N_PLACES:
        wrong = f"no column {missing[0]!r}" if missing else f"{len(lines)} scenes"
        raise DataError(
            f"{path}: {wrong}; expected {N_PLACES} lines with the columns category, "
            f"{', '.join(columns)}. Fix: export level 1 of the Places365 hierarchy as csv"
        )
    return torch.tensor([[float(line[name] or 0) for name in columns] for line in lines])
