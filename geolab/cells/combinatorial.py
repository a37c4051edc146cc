"""Several coarse partitions intersected: fine classes that share their training examples.

A fine class is a tuple of coarse classes, one of each part, that holds a training photo. Each part
has its own classifier over few, well-filled classes; a fine class is scored by all of them:

- ``rule="log"``: the sum of the logarithms of the parts' probabilities, as a product of experts;
- ``rule="sum"``: the plain sum of the probabilities, a vote of the parts.

Both are then normalised over the fine classes, fit for a `geolab.posterior.Posterior`. A fine class
need not be in one piece; `CombinatorialPartition.pieces` counts.

    fine = CombinatorialPartition.of([s2, merged_a, merged_b], latlon)
    weight = fine.scores([p_s2, p_a, p_b], rule="log")        # (B, C)

Reference: Seo, Weyand, Sim, Han, "CPlaNet: enhancing image geolocalization by combinatorial
partitioning of maps" (ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from geolab.cells import s2_cells
from geolab.cells.partition import (
    Partition,
    cell_centres,
    checked_latlon,
    class_means,
    find_cells,
)
from geolab.data.errors import DataError
from geolab.sphere import ArrayLike

RULES = ("log", "sum")
_SUM_TOLERANCE = 5e-3  # softmax in half precision


@dataclass(frozen=True, eq=False, kw_only=True)
class CombinatorialPartition(Partition):
    """Intersection of partitions; made by `CombinatorialPartition.of`.

    Attributes
    ----------
    parts : tuple of Partition
        The M coarse partitions.
    labels : Tensor, shape (C, M), int64
        Coarse classes of each fine class.
    """

    parts: tuple[Partition, ...]
    labels: Tensor

    @classmethod
    def of(cls, parts: Sequence[Partition], latlon: ArrayLike, name: str | None = None) -> Self:
        """Intersect partitions; the photos (N, 2) tell which tuples exist.

        Photos outside any of the parts belong to no fine class. Classes are numbered in the order
        in which their first photo appears.

        Raises
        ------
        DataError
            For no parts, no photos, or no photo that lies in all parts.
        """
        if not parts:
            raise DataError("give at least one partition to intersect")
        points = checked_latlon(latlon)
        tuples = torch.stack([part.assign(points) for part in parts], dim=1).numpy()  # (N, M)
        rows = np.flatnonzero((tuples >= 0).all(axis=1))
        if not len(rows):
            names = ", ".join(part.name for part in parts)
            raise DataError(f"no photo lies in all of: {names}; fit them on the same photos")
        _, first, code = np.unique(tuples[rows], axis=0, return_index=True, return_inverse=True)
        label = np.argsort(np.argsort(first))[code.reshape(-1)]  # (n,), by first appearance
        labels, counts = tuples[rows][np.sort(first)], np.bincount(label)
        order = rows[np.argsort(label, kind="stable")]
        means = class_means(points, order, np.cumsum(counts) - counts)
        return cls(
            name=name or f"{len(parts)} partitions intersected",
            means=means,
            centres=_centres(parts, labels, means),
            counts=torch.from_numpy(counts),
            n_photos=len(points),
            parts=tuple(parts),
            labels=torch.from_numpy(labels),
        )

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Fine class of each place (N, 2), int64 (N,); -1 where its tuple held no photo."""
        tuples = torch.stack([part.assign(latlon) for part in self.parts], dim=1)
        return torch.from_numpy(find_tuples(self.labels.numpy(), tuples.numpy()))

    def scores(self, probabilities: Sequence[Tensor], rule: str = "log") -> Tensor:
        """Probability of each fine class, by the votes of all parts.

        Parameters
        ----------
        probabilities : sequence of M Tensors, shapes (B, C_m)
            Softmax outputs, not logits.
        rule : "log" or "sum"

        Returns
        -------
        Tensor, shape (B, C)
            Rows sum to 1.

        Raises
        ------
        ValueError
            For another rule, shapes that do not fit, or rows that are no probabilities.
        """
        if rule not in RULES:
            raise ValueError(f"rule must be 'log' or 'sum', not {rule!r}")
        if len(probabilities) != len(self.parts):
            raise ValueError(f"{len(probabilities)} score tables for {len(self.parts)} partitions")
        total = None
        for part, given, column in zip(self.parts, probabilities, self.labels.T, strict=True):
            p = _checked_probabilities(given, part)
            # The least positive number stands in for zero: a part may doubt, but not forbid, alone.
            vote = p.clamp_min(torch.finfo(p.dtype).tiny).log() if rule == "log" else p
            vote = vote[:, column.to(p.device)]  # (B, C)
            total = vote if total is None else total + vote
        return torch.softmax(total, -1) if rule == "log" else total / total.sum(-1, keepdim=True)

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        return _intersection(self.parts, self.labels.numpy())

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """S2 cells of the fine classes: of two cells that overlap, the smaller one."""
        return self._cells

    def pieces(self) -> np.ndarray:
        """Number of connected pieces of each class, int64 (C,); cells that share an edge touch.

        A class whose only photos lie outside the cells of a merged part, within its reach, has no
        cell of its own and 0 pieces.
        """
        ids, label = self.cells()
        beyond = s2_cells.edge_neighbours(ids)
        at = find_cells(ids, beyond.ravel()).reshape(-1, 4)  # (4 n,) -> (n, 4)
        same = (at >= 0) & (label[at] == label[:, None])
        links = (np.nonzero(same)[0], at[same])
        graph = coo_array((np.ones(len(links[0])), links), shape=(len(ids), len(ids)))
        piece = connected_components(graph, directed=False)[1]
        first = np.unique(piece, return_index=True)[1]
        return np.bincount(label[first], minlength=len(self))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Own table, and the arrays of the parts under their number."""
        arrays = {"labels": self.labels, "counts": self.counts, "means": self.means}
        found = {name: tensor.numpy() for name, tensor in arrays.items()}
        for m, part in enumerate(self.parts):
            found |= {f"{m}_{name}": array for name, array in part.to_arrays().items()}
        return found

    def about(self) -> dict[str, Any]:
        """Return name, class, and the same of the parts."""
        return super().about() | {"parts": [part.about() for part in self.parts]}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Build from `to_arrays` and the mapping with the names."""
        parts = []
        for m, each in enumerate(about["parts"]):
            own = {n.removeprefix(f"{m}_"): a for n, a in arrays.items() if n.startswith(f"{m}_")}
            parts.append(Partition._from_parts(own, each, about["name"]))
        means = torch.from_numpy(arrays["means"])
        return cls(
            name=about["name"],
            means=means,
            centres=_centres(parts, arrays["labels"], means),
            counts=torch.from_numpy(arrays["counts"]),
            n_photos=about["n_photos"],
            parts=tuple(parts),
            labels=torch.from_numpy(arrays["labels"]),
        )


def find_tuples(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Row of `known` (C, M) that equals each row of `asked` (N, M), int64 (N,); -1 where none does.

    Column by column, pairs of (code so far, label) become new codes, so no number grows beyond
    C times the largest label.
    """
    code, at = np.zeros(len(known), np.int64), np.zeros(len(asked), np.int64)
    found = np.ones(len(asked), bool)
    for have, want in zip(known.T, asked.T, strict=True):
        base = int(have.max()) + 1
        found &= (want >= 0) & (want < base)
        table, code = np.unique(code * base + have, return_inverse=True)
        key = at * base + np.where(found, want, 0)
        at = np.minimum(np.searchsorted(table, key), len(table) - 1)
        found &= table[at] == key
    row = np.empty(len(known), np.int64)
    row[code.reshape(-1)] = np.arange(len(known))  # (C,)
    return np.where(found, row[at], -1)


def _intersection(parts: Sequence[Partition], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells that lie in a cell of every part, and the row of their labels."""
    covers = [part.cells() for part in parts]
    ids = np.unique(np.concatenate([cover for cover, _ in covers]))
    at = [find_cells(cover, ids) for cover, _ in covers]
    inside = np.all([a >= 0 for a in at], axis=0)
    tuples = [label[a[inside]] for a, (_, label) in zip(at, covers, strict=True)]
    row = find_tuples(labels, np.stack(tuples, axis=1))
    return ids[inside][row >= 0], row[row >= 0]


def _centres(parts: Sequence[Partition], labels: np.ndarray, means: Tensor) -> Tensor:
    """Centres of the classes' cells; the mean of its photos for a class without any."""
    ids, label = _intersection(parts, labels)
    have, label = np.unique(label, return_inverse=True)
    centres = means.clone()
    if len(have):
        centres[torch.from_numpy(have)] = cell_centres(ids, label.reshape(-1))
    return centres


def _checked_probabilities(given: Tensor, part: Partition) -> Tensor:
    p = torch.as_tensor(given)
    p = p.float() if p.element_size() < 4 or not p.is_floating_point() else p
    if p.ndim != 2 or p.shape[1] != len(part):
        raise ValueError(f"{part.name}: expected (B, {len(part)}) scores, not {tuple(p.shape)}")
    total = p.sum(-1)
    bad = ~(((total - 1).abs() <= _SUM_TOLERANCE) & (p >= 0).all(-1))  # NaN is bad too
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ValueError(
            f"{part.name}: row {row} sums to {float(total[row]):.4g} and its least score is "
            f"{float(p[row].min()):.4g}; give probabilities (a softmax), not logits"
        )
    return p
