"""The partition that merging leaves gives; the merging itself is in `geolab.cells.region_merge`.

config = MergeConfig(n_classes=64, leaf_level=8, alpha=0.5)
cells = MergedPartition.fit(latlon, config, features=embeddings)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from geolab import sphere
from geolab.cells import s2_cells
from geolab.cells.partition import (
    Partition,
    cell_centres,
    checked_latlon,
    class_means,
    find_cells,
)
from geolab.cells.region_merge import MergeConfig, leaf_links, merge_regions
from geolab.data.errors import DataError
from geolab.kernels.s2 import s2_cell_ids
from geolab.sphere import ArrayLike


@dataclass(frozen=True, eq=False, kw_only=True)
class MergedPartition(Partition):
    """Classes that are sets of S2 cells of one level; made by `MergedPartition.fit`.

    Attributes
    ----------
    leaves : ndarray of uint64, shape (L,)
        Cells that held a training photo, increasing.
    leaf_class : ndarray of int64, shape (L,)
    reach_km : float
        How far outside the leaves a place still gets the class of the nearest one.
    """

    leaves: np.ndarray
    leaf_class: np.ndarray
    reach_km: float

    @classmethod
    def fit(
        cls,
        latlon: ArrayLike,
        config: MergeConfig,
        features: ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Grow classes from the photos; no photo is discarded.

        Parameters
        ----------
        latlon : array_like, shape (N, 2)
            Degrees.
        features : array_like, shape (N, D), optional
            Visual feature of each photo; needed unless ``config.alpha`` is 0.

        Raises
        ------
        DataError
            For no photos, a row that is not on Earth, features that are missing, not finite or do
            not fit, or fewer leaves than classes.
        """
        points = checked_latlon(latlon)
        features = _checked_features(features, len(points), config.alpha)
        leaf = s2_cell_ids(points[:, 0], points[:, 1], config.leaf_level)
        order = np.argsort(leaf, kind="stable")
        leaves, start, counts = np.unique(leaf[order], return_index=True, return_counts=True)
        if len(leaves) < config.n_classes:
            raise DataError(
                f"{len(points):,} photos fill {len(leaves):,} cells of level {config.leaf_level}, "
                f"too few for {config.n_classes:,} classes; give fewer, or a higher leaf_level"
            )
        places = class_means(points, order, start).numpy()
        mean_features = np.add.reduceat(features[order], start, axis=0) / counts[:, None]
        region = merge_regions(places, counts, leaf_links(leaves), config, mean_features)
        label = region[np.searchsorted(leaves, leaf)]  # (N,)
        first = np.unique(label, return_index=True)[1]
        number = np.argsort(np.argsort(first))  # by first appearance
        reach = config.reach_km
        if reach is None:
            reach = 2 * np.sqrt(s2_cells.area_km2(leaves).mean())
        return cls(
            name=name or f"merged {config.n_classes} alpha {config.alpha:g}",
            **_class_table(points, number[label], leaves, number[region]),
            n_photos=len(points),
            leaves=leaves,
            leaf_class=number[region],
            reach_km=float(reach),
        )

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Class of each place (N, 2), int64 (N,).

        A place in no leaf takes the class of the leaf with the nearest centre within `reach_km`,
        else -1.
        """
        points = np.asarray(latlon, dtype=float).reshape(-1, 2)  # (N, 2), also when N is 0
        at = find_cells(self.leaves, s2_cell_ids(points[:, 0], points[:, 1]))
        outside = np.flatnonzero(at < 0)
        if len(outside):
            xyz = sphere.to_unit(torch.from_numpy(points[outside]))
            nearest = self._tree.query(xyz.numpy())[1]
            km = sphere.chord_to_km(xyz, torch.from_numpy(self._tree.data[nearest])).numpy()
            at[outside] = np.where(km <= self.reach_km, nearest, -1)
        return torch.from_numpy(np.where(at >= 0, self.leaf_class[at], -1))

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(sphere.to_unit(s2_cells.centre(self.leaves)).numpy())

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Leaves and their classes."""
        return self.leaves, self.leaf_class

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Leaves, their classes, counts, means, reach."""
        return {
            "leaves": self.leaves,
            "leaf_class": self.leaf_class,
            "counts": self.counts.numpy(),
            "means": self.means.numpy(),
            "reach_km": np.array([self.reach_km]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Build from `to_arrays` and the mapping with the name."""
        return cls(
            name=about["name"],
            means=torch.from_numpy(arrays["means"]),
            centres=cell_centres(arrays["leaves"], arrays["leaf_class"]),
            counts=torch.from_numpy(arrays["counts"]),
            n_photos=about["n_photos"],
            leaves=arrays["leaves"],
            leaf_class=arrays["leaf_class"],
            reach_km=float(arrays["reach_km"][0]),
        )


def _class_table(
    points: np.ndarray, label: np.ndarray, leaves: np.ndarray, leaf_class: np.ndarray
) -> dict[str, Tensor]:
    """Means, centres and counts of the classes."""
    order = np.argsort(label, kind="stable")
    counts = np.bincount(label)
    return {
        "means": class_means(points, order, np.cumsum(counts) - counts),
        "centres": cell_centres(leaves, leaf_class),
        "counts": torch.from_numpy(counts),
    }


def _checked_features(features: ArrayLike | None, n: int, alpha: float) -> np.ndarray:
    if features is None:
        if alpha > 0:
            raise DataError(f"alpha = {alpha:g} weighs features: give them, or set alpha=0")
        return np.zeros((n, 1))
    features = np.asarray(features, dtype=float)
    if features.ndim != 2 or len(features) != n:
        raise DataError(f"features {features.shape} do not fit {n:,} photos; expected ({n}, D)")
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        raise DataError(f"features row {int(np.flatnonzero(bad)[0])} is not finite; drop the photo")
    return features
