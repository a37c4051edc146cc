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

A place belongs to the cell of its area; where an area was split, to the cell of the nearest
training photo there. Nothing is computed in the plane of longitudes and latitudes, so the
antimeridian needs no care. The result does not depend on the order of the photos.

OPTICS takes time with the square of the photos in one area: 10,000 at one place are 10 s on one
core. For millions of photos, fit on a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.cells.areas import Areas, areas_from_arrays, nearest_row
from geolab.cells.cover import cover
from geolab.cells.partition import Partition, cell_centres, checked_latlon, class_means
from geolab.cells.semantic_merge import merge_small
from geolab.cells.semantic_split import split_large
from geolab.data.gazetteer import load_gazetteer
from geolab.sphere import ArrayLike

Passes = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class SemanticConfig:
    """Limits and clustering of semantic geocells.

    Attributes
    ----------
    min_size, max_size : int
        Photos in a cell; a cell may stay below (islands) or above (photos without clusters).
    passes : tuple of (min_samples, xi)
        OPTICS runs of the split.
    paper : bool
        As released: OPTICS on degrees, and empty areas may go to a cell of another country.
    seed : int
        Of the order of merging.

    Raises
    ------
    ValueError
        If the limits do not rise.
    """

    min_size: int = 30
    max_size: int = 60
    passes: Passes = ((8, 0.05), (10, 0.025), (15, 0.015))
    paper: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.min_size <= self.max_size:
            raise ValueError(
                f"min_size {self.min_size} and max_size {self.max_size} must rise from 1"
            )


PIGEON_CELLS = SemanticConfig()
"""100,000 Street View locations, 2,203 cells."""
PIGEOTTO_CELLS = SemanticConfig(1000, 2000, ((300, 0.05), (400, 0.005), (1000, 0.0001)))
"""4.5 million photos, 2,076 cells."""


def scaled_semantic(n_photos: int, n_cells: int = 400, **changed: Any) -> SemanticConfig:
    """Limits for about `n_cells` cells: at most 2 N / C photos, at least half of that.

    Both published settings have twice as many photos in the largest cell as in the smallest, and
    ask OPTICS for a quarter to a half of the smallest.

    Examples
    --------
    >>> scaled_semantic(15_000).min_size, scaled_semantic(15_000).passes[0]
    (38, (10, 0.05))
    """
    low = max(4, round(n_photos / n_cells))
    shares = ((0.27, 0.05), (0.33, 0.025), (0.5, 0.015))
    passes = tuple((max(3, round(share * low)), xi) for share, xi in shares)
    return SemanticConfig(low, 2 * low, passes, **changed)


@dataclass(frozen=True, eq=False, kw_only=True)
class SemanticPartition(Partition):
    """Cells made of administrative areas; made by `SemanticPartition.fit`.

    Attributes
    ----------
    areas : Areas
    group : ndarray of int64, shape (A,)
        What each area was merged into.
    seeds, seed_group, seed_cell : ndarray, shapes (S, 2), (S,), (S,)
        Different positions of the training photos, degrees, their groups and their cells.
    min_size : int
    """

    areas: Areas
    group: np.ndarray
    seeds: np.ndarray
    seed_group: np.ndarray
    seed_cell: np.ndarray
    min_size: int

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
        points = checked_latlon(latlon)
        seeds, first_photo, weight = np.unique(
            points, axis=0, return_inverse=True, return_counts=True
        )
        group = _groups(areas, areas.area_of(seeds), weight, config)
        of_seed = group[areas.area_of(seeds)]
        cell = np.empty(len(seeds), np.int64)
        n_cells = 0
        for number in np.unique(of_seed):
            rows = np.flatnonzero(of_seed == number)
            part = split_large(seeds[rows], weight[rows], config)
            cell[rows] = n_cells + part
            n_cells += part.max() + 1
        classes = cell[first_photo.ravel()]
        order = np.lexsort((first_photo.ravel(), classes))  # sums in one order
        start = np.searchsorted(classes[order], np.arange(n_cells))
        return cls(
            name=name or f"semantic {config.min_size}/{config.max_size}",
            means=class_means(points, order, start),
            centres=cell_centres(*cover(seeds, cell)),
            counts=torch.from_numpy(np.bincount(classes, minlength=n_cells)),
            n_photos=len(points),
            areas=areas,
            group=group,
            seeds=seeds,
            seed_group=of_seed,
            seed_cell=cell,
            min_size=config.min_size,
        )

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Class of each place (N, 2), int64 (N,); every place on Earth has one."""
        points = checked_latlon(latlon)
        wanted = self.group[self.areas.area_of(points)]
        xyz, seeds = sphere.to_unit(points).numpy(), sphere.to_unit(self.seeds).numpy()
        out = np.empty(len(points), np.int64)
        for number in np.unique(wanted):
            here, mine = wanted == number, np.flatnonzero(self.seed_group == number)
            out[here] = self.seed_cell[mine[nearest_row(seeds[mine], xyz[here])]]
        return torch.from_numpy(out)

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """S2 cells that tell the classes apart at photos and at the gazetteer's places."""
        places = load_gazetteer().places[["lat", "lon"]].to_numpy(float)
        known = np.concatenate([self.seed_cell, self.assign(places).numpy()])
        return cover(np.concatenate([self.seeds, places]), known)

    @property
    def names(self) -> list[str]:
        """Area and country of most photos of each class."""
        area = self.areas.area_of(self.seeds)
        order = np.argsort(self.seed_cell, kind="stable")
        most = [
            np.bincount(rows).argmax()
            for rows in np.split(area[order], np.flatnonzero(np.diff(self.seed_cell[order])) + 1)
        ]
        return [f"{self.areas.label[a]}, {self.areas.country[a]}" for a in most]

    def report(self) -> dict[str, int]:
        """How many cells and areas there are, and how many cells are below the minimum."""
        return {
            "cells": len(self),
            "groups of areas": len(np.unique(self.group)),
            "below the minimum": int((self.counts < self.min_size).sum()),
            "largest": int(self.counts.max()),
        }

    def to_geojson(self) -> dict[str, Any]:
        """As every partition, with the name of the area in each label."""
        made = super().to_geojson()
        for feature, name in zip(made["features"], self.names, strict=True):
            feature["properties"]["label"] = f"{name}: {feature['properties']['count']:,} photos"
        return made

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All arrays, those of the areas included."""
        own = {name: getattr(self, name) for name in _ARRAYS}
        counted = {name: getattr(self, name).numpy() for name in _TENSORS}
        return own | counted | self.areas.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Undo `to_arrays`."""
        tensors = {name: torch.from_numpy(arrays[name]) for name in _TENSORS}
        known = {"name": about["name"], "n_photos": about["n_photos"]}
        own = {name: arrays[name] for name in _ARRAYS}
        areas = areas_from_arrays(arrays)
        return cls(areas=areas, min_size=about["min_size"], **known, **own, **tensors)

    def about(self) -> dict[str, Any]:
        """Return name, class and settings, as JSON can hold them."""
        return super().about() | {"min_size": self.min_size}


_ARRAYS = ("group", "seeds", "seed_group", "seed_cell")
_TENSORS = ("means", "centres", "counts")


def _groups(
    areas: Areas, held: np.ndarray, weight: np.ndarray, config: SemanticConfig
) -> np.ndarray:
    """Group of each area after merging: (A,), the number of one of its areas."""
    counts = np.bincount(held, weights=weight, minlength=len(areas)).astype(np.int64)
    taken = _adopted(areas, counts, by_country=not config.paper)
    near, far = (taken[pairs] for pairs in (areas.near, areas.far))
    live = np.flatnonzero(counts)
    row = np.full(len(areas), -1)
    row[live] = np.arange(len(live))
    joined = merge_small(
        counts[live],
        areas.country[live],
        areas.region[live],
        row[near],
        row[far],
        config.min_size,
        config.seed,
    )
    return live[joined][row[taken]]


def _adopted(areas: Areas, counts: np.ndarray, *, by_country: bool) -> np.ndarray:
    """Area with photos that each area belongs to: itself, or the nearest, in its country if any."""
    xyz = sphere.to_unit(areas.centre).numpy()
    live = np.flatnonzero(counts)
    taken = live[nearest_row(xyz[live], xyz)]
    taken[live] = live
    if by_country:
        for country in np.unique(areas.country[live]):
            own, all_of = live[areas.country[live] == country], areas.country == country
            taken[all_of] = own[nearest_row(xyz[own], xyz[all_of])]
        taken[live] = live
    return taken
