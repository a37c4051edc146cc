"""Score every photo of a small set once, by references that cannot give it away.

A few hundred photos from a dozen sources are too few to set a test part aside, and a random split
would compare photos of one afternoon with each other. So the sources take turns: the photos of one
(or of a few, if there are many) are the queries, the photos of all others the references, less
those within a kilometre of any query. Every photo is a query in exactly one fold, and
`geolab.data.splits.assert_no_leakage` checks each fold before it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from geolab.data.errors import DataError
from geolab.evaluation import group_labels, truth_of
from geolab.intervals import group_index
from geolab.kernels import haversine_matrix

if TYPE_CHECKING:
    from datasets import Dataset

MAX_FOLDS = 12
MIN_KM = 1.0


@dataclass(frozen=True)
class Fold:
    """Rows of the benchmark that ask, and rows of the reference set that may answer.

    Attributes
    ----------
    query, reference : ndarray of int64, shapes (Q,) and (R,)
    too_near : ndarray of int64
        References left out because they lie within `MIN_KM` of a query.
    """

    query: np.ndarray
    reference: np.ndarray
    too_near: np.ndarray


def folds_within(photos: Dataset, *, min_km: float = MIN_KM) -> list[Fold]:
    """Folds of one set that is benchmark and reference set at once.

    Photographers take turns, else sources, else places; at most `MAX_FOLDS` folds.

    Raises
    ------
    DataError
        If all photos come from one photographer or place, or a fold keeps no reference.
    """
    from geolab.data.splits import group_photos

    column, labels = group_labels(photos)
    if labels is None:
        groups = group_photos(photos, by=("place",), min_km=min_km)
    else:
        groups, _ = group_index(labels, len(photos))
    fold_of = deal(groups, MAX_FOLDS)
    if fold_of.max() == 0:
        raise DataError(
            f"all {len(photos)} photos share one {column or 'place'}: nothing could answer without "
            "leakage. Fix: give another reference set with --reference"
        )
    rows = np.arange(len(photos))
    by = ("place", column) if column else ("place",)
    return [
        _fold(photos, rows[fold_of == f], photos, rows[fold_of != f], by, min_km)
        for f in range(fold_of.max() + 1)
    ]


def fold_between(queries: Dataset, references: Dataset, *, min_km: float = MIN_KM) -> Fold:
    """One fold of two sets: references by a photographer or source of the queries stay out.

    Raises
    ------
    DataError
        If no reference is left.
    """
    keep, by = np.ones(len(references), dtype=bool), ["place"]
    asked = set(queries["id"])
    keep &= np.array([photo not in asked for photo in references["id"]], dtype=bool)
    for column in ("photographer", "source"):
        if column in queries.column_names and column in references.column_names:
            known = set(queries[column]) - {None, ""}
            keep &= np.array([value not in known for value in references[column]], dtype=bool)
            by.append(column)
    rows = np.arange(len(queries))
    return _fold(queries, rows, references, np.flatnonzero(keep), tuple(by), min_km)


def deal(groups: np.ndarray, n_folds: int) -> np.ndarray:
    """Fold of each photo ``(N,)``: whole groups, the largest first, to the emptiest fold.

    Examples
    --------
    >>> deal(np.array([0, 0, 0, 1, 2, 2]), 2)
    array([0, 0, 0, 1, 1, 1])
    """
    sizes = np.bincount(groups)
    load = np.zeros(min(n_folds, len(sizes)), dtype=np.int64)
    fold_of = np.empty(len(sizes), dtype=np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        fold_of[group] = load.argmin()
        load[fold_of[group]] += sizes[group]
    return fold_of[groups]


def _fold(
    queries: Dataset,
    query: np.ndarray,
    references: Dataset,
    candidates: np.ndarray,
    by: Sequence[str],
    min_km: float,
) -> Fold:
    """Leave near references out, then prove that nothing leaks."""
    from geolab.data.splits import assert_no_leakage

    asked = torch.as_tensor(truth_of(queries)[query])
    offered = torch.as_tensor(truth_of(references)[candidates])
    near = np.zeros(len(candidates), dtype=bool)
    for block in asked.split(256):
        near |= (haversine_matrix(block, offered) <= min_km).any(dim=0).numpy()
    fold = Fold(query, candidates[~near], candidates[near])
    if not len(fold.reference):
        raise DataError(
            f"no reference is left for {len(query)} queries: {len(candidates)} candidates, all "
            f"within {min_km:g} km of a query. Fix: give another reference set with --reference"
        )
    assert_no_leakage(
        references.select(fold.reference), queries.select(query), by=by, min_km=min_km
    )
    return fold
