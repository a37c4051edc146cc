"""Merging of administrative areas until each holds enough photos: PIGEON's first pass.

Within a country, never across a border: take a small cell at random, look for neighbours in this
order and stop at the first kind that there is, join it with the largest of them:

1. small, same region    2. any, same region    3. small, other region    4. any, other region
5. any, with shapes blown up further

A cell without neighbours stays as it is: an island, or a country of one area. Haas et al.,
"PIGEON", CVPR 2024, geocell creation.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from geolab import sphere
from geolab.cells.areas import Areas, nearest_row
from geolab.cells.semantic_config import SemanticConfig

Graph = dict[int, set[int]]


def graph_of(pairs: np.ndarray) -> Graph:
    """Neighbours of each number in pairs (E, 2); a number is no neighbour of itself."""
    graph: Graph = defaultdict(set)
    for one, other in pairs[pairs[:, 0] != pairs[:, 1]].tolist():
        graph[one].add(other)
        graph[other].add(one)
    return graph


def group_areas(
    areas: Areas, held: np.ndarray, weight: np.ndarray, config: SemanticConfig
) -> np.ndarray:
    """Hand out empty areas, then merge small ones.

    Parameters
    ----------
    held : (S,) array of int
        Area of each position.
    weight : (S,) array of int
        Photos at each.

    Returns
    -------
    ndarray of int64, shape (A,)
        Group of each area: the number of one of its areas.
    """
    counts = np.bincount(held, weights=weight, minlength=len(areas)).astype(np.int64)
    taken = _adopted(areas, counts, by_country=not config.paper)
    # Two cells that meet only in a country without photos are no neighbours.
    home = (areas.country == areas.country[taken]) | config.paper
    near, far = (taken[pairs[home[pairs].all(1)]] for pairs in (areas.near, areas.far))
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


def merge_small(
    counts: np.ndarray,
    country: np.ndarray,
    region: np.ndarray,
    near: np.ndarray,
    far: np.ndarray,
    min_size: int,
    seed: int,
) -> np.ndarray:
    """Join cells with fewer than `min_size` photos to neighbours of their country.

    Parameters
    ----------
    counts : (M,) array of int
    country, region : (M,) arrays of str
    near, far : (E, 2) arrays of int
        Neighbours, and those of blown-up shapes.
    seed : int
        Of the order; each country draws its own numbers, so countries do not depend on each other.

    Returns
    -------
    ndarray of int64, shape (M,)
        Number of the cell that each has become part of: the smallest number in it.
    """
    owner = np.arange(len(counts))
    graphs = graph_of(near), graph_of(far)
    for name in np.unique(country):
        inside = np.flatnonzero(country == name)
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        for joined in _Country(inside, counts, region, graphs).merged(min_size, rng):
            owner[joined] = min(joined)
    return owner


class _Country:
    """The cells of one country while they merge; a cell is known by the number it began with."""

    def __init__(
        self, inside: np.ndarray, counts: np.ndarray, region: np.ndarray, graphs: tuple
    ) -> None:
        cells = inside.tolist()
        own = set(cells)
        self.count = {c: int(counts[c]) for c in cells}
        self.region = {c: region[c] for c in cells}
        self.parts = {c: [c] for c in cells}
        self.graphs = [{c: graph[c] & own for c in cells} for graph in graphs]

    def merged(self, min_size: int, rng: np.random.Generator) -> Iterable[list[int]]:
        """Merge to the end; return the cells joined into each."""
        alone: set[int] = set()
        while True:
            small = sorted(c for c, n in self.count.items() if n < min_size and c not in alone)
            if not small:
                return self.parts.values()
            cell = small[int(rng.integers(len(small)))]
            found = self._partners(cell, min_size)
            if found:
                self._join(cell, max(sorted(found), key=self.count.__getitem__))
            else:
                alone.add(cell)

    def _partners(self, cell: int, min_size: int) -> set[int]:
        """Neighbours of the first kind that there is."""
        near, far = (graph[cell] for graph in self.graphs)
        same = {c for c in near if self.region[c] == self.region[cell]}
        for group in (same, near - same):
            small = {c for c in group if self.count[c] < min_size}
            if small or group:
                return small or group
        return far

    def _join(self, cell: int, other: int) -> None:
        """Let `cell` take in `other`."""
        self.count[cell] += self.count.pop(other)
        self.parts[cell] += self.parts.pop(other)
        del self.region[other]
        for graph in self.graphs:
            for neighbour in graph.pop(other):
                graph[neighbour].discard(other)
                if neighbour != cell:
                    graph[neighbour].add(cell)
                    graph[cell].add(neighbour)
