"""Semantic geocells: cells that follow borders, as PIGEON cuts the Earth.

Haas, Skreta, Alberti and Finn, "PIGEON: predicting image geolocations", CVPR 2024. Signs, roofs and
road lines change at borders, so cells should too:

1. every area of the lowest level (county, district) that holds photos begins as a cell; the others
   go to the nearest cell of their country;
2. cells with fewer than `min_size` photos are merged with neighbours, own region first, never
   across a national border (`semantic_merge`);
3. cells with more than `max_size` are split where their photos cluster (`semantic_split`).

    cells = SemanticPartition.fit(latlon, gazetteer_areas(), scaled_semantic(len(latlon)))
    cells.names[3]; cells.report()

A place belongs to the cell of its area; where a group of areas was split, to the cell of the
nearest training photo there, by great circle. So every training photo lies in the cell that counts
it, two photos or photos on a line need no special care, and neither does the antimeridian. The
result does not depend on the order of the photos. Every place on Earth has a cell: a country
without photos belongs to the cells nearest to its areas.

OPTICS takes time with the square of the positions in one group of areas, for each of the passes: on
one core 5,000 take 0.4 s, 10,000 1.1 s, 20,000 5 s (numba; three times that without). A saved
partition holds the positions of its photos, 32 bytes each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import shapely
import torch
from scipy.sparse import coo_array
from scipy.spatial import cKDTree
from torch import Tensor

from geolab import sphere
from geolab.cells.areas import Areas, areas_from_arrays
from geolab.cells.cover import cover, covered_centres
from geolab.cells.partition import Partition, checked_latlon, class_means
from geolab.cells.polygon_areas import PolygonAreas
from geolab.cells.semantic_config import (
    PIGEON_CELLS,
    PIGEOTTO_CELLS,
    SemanticConfig,
    scaled_semantic,
)
from geolab.cells.semantic_merge import group_areas
from geolab.cells.semantic_split import split_large
from geolab.data.gazetteer import load_gazetteer
from geolab.sphere import ArrayLike

__all__ = [
    "PIGEON_CELLS",
    "PIGEOTTO_CELLS",
    "SemanticConfig",
    "SemanticPartition",
    "scaled_semantic",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class SemanticPartition(Partition):
    """Cells made of administrative areas; made by `SemanticPartition.fit`.

    Attributes
    ----------
    areas : Areas
    config : SemanticConfig
        What it was fitted with.
    group : ndarray of int64, shape (A,)
        What each area was merged into.
    seeds, seed_group, seed_cell : ndarray, shapes (S, 2), (S,), (S,)
        Different positions of the training photos, degrees, their groups and their cells.
    names : tuple of str
        For each class, area and country of most of its photos; numbered where an area was split.
    """

    areas: Areas
    config: SemanticConfig
    group: np.ndarray
    seeds: np.ndarray
    seed_group: np.ndarray
    seed_cell: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        latlon: ArrayLike,
        areas: Areas,
        config: SemanticConfig = PIGEON_CELLS,
        *,
        name: str = "",
    ) -> Self:
        """Cut the Earth by training photos.

        Parameters
        ----------
        latlon : array_like, shape (N, 2)
            Degrees; training photos only.
        areas : Areas

        Raises
        ------
        DataError
            If there are no photos, or a coordinate is not on Earth.
        """
        seeds, photo, weight = _positions(checked_latlon(latlon))
        area = areas.area_of(seeds)
        group = group_areas(areas, area, weight, config)
        cell = _split_groups(seeds, group[area], weight, config)
        order = np.lexsort((photo, cell[photo]))  # sums in one order, whatever the input's
        counts = np.bincount(cell, weights=weight).astype(np.int64)
        means = class_means(seeds[photo], order, np.cumsum(counts) - counts)
        made = cls(
            name=name or f"semantic {config.min_size}/{config.max_size}",
            means=means,
            centres=means,
            counts=torch.from_numpy(counts),
            n_photos=len(photo),
            areas=areas,
            config=config,
            group=group,
            seeds=seeds,
            seed_group=group[area],
            seed_cell=cell,
            names=_names(areas, area, cell, weight),
        )
        return replace(made, centres=covered_centres(*made.cells(), means))

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Class of each place (N, 2), int64 (N,); every place on Earth has one.

        At equal distances the search decides, always alike.
        """
        points = checked_latlon(latlon)
        wanted = self.group[self.areas.area_of(points)]
        return torch.from_numpy(self.seed_cell[self._tree.query(_apart(points, wanted))[1]])

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(_apart(self.seeds, self.seed_group))

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """S2 cells that tell the classes apart near photos and the gazetteer's places."""
        return self._cover

    @cached_property
    def _cover(self) -> tuple[np.ndarray, np.ndarray]:
        known = load_gazetteer().places[["lat", "lon"]].to_numpy(float)
        places = np.concatenate([self.seeds, known])
        return cover(lambda points: self.assign(points).numpy(), places)

    def report(self) -> dict[str, Any]:
        """What was made, and which cells break the limits.

        Returns
        -------
        dict
            Numbers of ``cells``, ``groups`` of areas, ``areas`` with photos and ``photos``;
            ``smallest``, ``median`` and ``largest`` cell; ``below`` the minimum and ``above`` the
            maximum: tuples of (class, name, photos). Below are islands and countries with few
            photos, which have nobody to merge with; above, photos without clusters.
        """
        counts = self.counts.tolist()
        rows = [(c, name, n) for c, (name, n) in enumerate(zip(self.names, counts, strict=True))]
        return {
            "cells": len(self),
            "groups": len(np.unique(self.seed_group)),
            "areas": len(np.unique(self.areas.area_of(self.seeds))),
            "photos": self.n_photos,
            "smallest": min(counts),
            "median": float(np.median(counts)),
            "largest": max(counts),
            "below": tuple(row for row in rows if row[2] < self.config.min_size),
            "above": tuple(row for row in rows if row[2] > self.config.max_size),
        }

    def to_geojson(self) -> dict[str, Any]:
        """As every partition, with names; the polygons of the areas where they have any."""
        if isinstance(self.areas, PolygonAreas):
            made = {"type": "FeatureCollection", "features": self._polygon_features()}
        else:
            made = super().to_geojson()
        for feature, name in zip(made["features"], self.names, strict=True):
            count = feature["properties"]["count"]
            text = f"{name}: {count:,} photo" + "s" * (count != 1)
            feature["properties"] |= {"name": name, "label": text}
        return made

    def _polygon_features(self) -> list[dict[str, Any]]:
        shapes: dict[int, Any] = {}
        for number in np.unique(self.seed_group):
            mine = self.seed_group == number
            members = np.flatnonzero(self.group == number)
            shapes |= self.areas.outlines(members, self.seeds[mine], self.seed_cell[mine])
        return [
            {
                "type": "Feature",
                "properties": {"cell": c, "count": n, "value": float(np.log1p(n))},
                "geometry": shapely.geometry.mapping(shapes[c]),
            }
            for c, n in enumerate(self.counts.tolist())
        ]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All arrays, those of the areas included."""
        own = {name: getattr(self, name) for name in _ARRAYS}
        counted = {name: getattr(self, name).numpy() for name in _TENSORS}
        return own | counted | {"names": np.array(self.names)} | self.areas.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Undo `to_arrays`.

        Raises
        ------
        DataError
            If it was made with another gazetteer than the installed one.
        """
        config = about["config"]
        passes = tuple((n, xi) for n, xi in config["passes"])
        return cls(
            name=about["name"],
            n_photos=about["n_photos"],
            config=SemanticConfig(**{**config, "passes": passes}),
            areas=areas_from_arrays(arrays),
            names=tuple(arrays["names"].tolist()),
            **{name: arrays[name] for name in _ARRAYS},
            **{name: torch.from_numpy(arrays[name]) for name in _TENSORS},
        )

    def about(self) -> dict[str, Any]:
        """Return name, class and settings, as JSON can hold them."""
        return super().about() | {"config": asdict(self.config)}


_ARRAYS = ("group", "seeds", "seed_group", "seed_cell")
_TENSORS = ("means", "centres", "counts")


def _positions(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Different positions (S, 2) in order, which of them each photo has, and photos at each."""
    lon = np.where(np.abs(points[:, 0]) == 90, 0.0, points[:, 1])  # one pole, one antimeridian
    points = np.stack([points[:, 0], np.where(lon == -180, 180.0, lon)], axis=1) + 0.0
    seeds, photo, weight = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    return seeds, photo.ravel(), weight


def _apart(latlon: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Unit vectors with a fourth coordinate (n, 4) that keeps groups further apart than any two."""
    return np.column_stack([sphere.to_unit(latlon).numpy(), 4.0 * group])


def _split_groups(
    seeds: np.ndarray, group: np.ndarray, weight: np.ndarray, config: SemanticConfig
) -> np.ndarray:
    """Cell of each position: parts of each group, numbered through."""
    cell, n_cells = np.empty(len(seeds), np.int64), 0
    order = np.argsort(group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        part = split_large(seeds[rows], weight[rows], config)
        cell[rows] = n_cells + part
        n_cells += int(part.max()) + 1
    return cell


def _names(areas: Areas, area: np.ndarray, cell: np.ndarray, weight: np.ndarray) -> tuple[str, ...]:
    """Name of each cell, after the area with most of its photos."""
    held = coo_array((weight, (cell, area)), shape=(cell.max() + 1, len(areas))).tocsr()
    most = np.asarray(held.argmax(axis=1)).ravel()
    plain = [f"{areas.label[a]}, {areas.country[a]}" for a in most]
    total, seen, out = Counter(plain), Counter(), []
    for name in plain:
        seen[name] += 1
        out.append(f"{name} ({seen[name]})" if total[name] > 1 else name)
    return tuple(out)
