"""Merging of administrative areas until each holds enough photos: PIGEON's first pass.

Within a country, never across a border: take a small cell at random, look for neighbours in this
order and stop at the first kind that there is, join it with the largest of them:

1. small, same region    2. any, same region    3. small, other region    4. any, other region
5. any, with shapes blown up further

A cell without neighbours stays as it is: an island, or a country of one area. Haas et al.,
"PIGEON", CVPR 2024, geocell creation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

Graph = dict[int, set[int]]


def graph_of(pairs: np.ndarray) -> Graph:
    """Neighbours of each number in pairs (E, 2); a number is no neighbour of itself."""
    graph: Graph = defaultdict(set)
    for one, other in pairs[pairs[:, 0] != pairs[:, 1]].tolist():
        graph[one].add(other)
        graph[other].add(one)
    return graph


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
        Of the order; each country has its own numbers, so countries do not depend on each other.

    Returns
    -------
    ndarray of int64, shape (M,)
        Number of the cell that each has become part of: the smallest number in it.
    """
    owner = np.arange(len(counts))
    graphs = graph_of(near), graph_of(far)
    for number, name in enumerate(np.unique(country)):
        inside = np.flatnonzero(country == name)
        rng = np.random.default_rng([seed, number])
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
                alone.clear()  # who had nobody may have a neighbour's neighbour now
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
