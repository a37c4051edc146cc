"""Classes grown from small cells by merging neighbours that look alike (CPlaNet, 2018).

1. Leaves are the S2 cells of one level that hold a photo.
2. Leaves are linked: with the leaves across their four edges; with their neighbours in the Delaunay
   triangulation on the sphere (the convex hull of the leaves' centres), so that gaps are bridged;
   and along the Hilbert curve wherever a leaf is still cut off. The graph is connected.
3. The cheapest link is merged, again and again, until `n_classes` regions are left. A link costs

       (alpha * visual / typical visual + (1 - alpha) * km / typical km + 0.01)
           * (photos / mean) ** size

   where `visual` is the Euclidean distance of the regions' mean features, `km` the great circle
   between their mean places, "typical" the median over the first graph, `photos` the two regions'
   together and `mean` the photos a class will have. Without the size term (``size=0``) one region
   may swallow the others; the 0.01 lets it count between regions that look the same.

Other values of `alpha` give other classes; several such partitions are intersected by
`geolab.cells.CombinatorialPartition`. The source leaves the formula open; this one is ours.

Reference: Seo, Weyand, Sim, Han, "CPlaNet: enhancing image geolocalization by combinatorial
partitioning of maps" (ECCV 2018).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from geolab import sphere
from geolab.cells import s2_cells

_FLOOR = 0.01  # equal looks cost nothing, and nothing times the size term is nothing


@dataclass(frozen=True)
class MergeConfig:
    """How leaves become classes.

    Parameters
    ----------
    n_classes : int
        Regions that are left.
    leaf_level : int
        Level of the leaves: 14 (0.3 km2) for millions of photos, 6 to 9 for some thousands.
    alpha : float
        Share of the visual distance, 0 (geography alone) to 1.
    size : float
        Power of the size term; 0 leaves it out.
    reach_km : float, optional
        An unseen place in no leaf goes to the nearest one within this distance. By default twice
        the side of a leaf.
    """

    n_classes: int
    leaf_level: int = 14
    alpha: float = 0.5
    size: float = 1.0
    reach_km: float | None = None

    def __post_init__(self) -> None:
        if self.n_classes < 1 or not 0 <= self.alpha <= 1 or self.size < 0:
            raise ValueError(f"{self}: give n_classes >= 1, 0 <= alpha <= 1 and size >= 0")


def leaf_links(leaves: np.ndarray) -> np.ndarray:
    """Links of a connected graph over leaves, int64 (E, 2), each once with the lower row first.

    Parameters
    ----------
    leaves : uint64 (L,)
        Distinct cells of one level, increasing.
    """
    n = len(leaves)
    beyond = s2_cells.edge_neighbours(leaves)
    at = np.minimum(np.searchsorted(leaves, beyond), n - 1)
    touch = np.argwhere(leaves[at] == beyond)
    touch[:, 1] = at[touch[:, 0], touch[:, 1]]
    links = _unique_links(np.concatenate([touch, _delaunay(leaves)]))
    graph = coo_array((np.ones(len(links)), links.T), shape=(n, n))
    piece = connected_components(graph, directed=False)[1]
    chain = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    return _unique_links(np.concatenate([links, chain[piece[:-1] != piece[1:]]]))


def _delaunay(leaves: np.ndarray) -> np.ndarray:
    """Edges of the hull of the leaves' centres; all pairs where there are too few for a hull."""
    xyz = sphere.to_unit(s2_cells.centre(leaves)).numpy()
    if len(leaves) < 5:
        return np.stack(np.triu_indices(len(leaves), k=1), axis=1)
    try:
        corner = ConvexHull(xyz).simplices
    except QhullError:  # all on one circle
        return np.zeros((0, 2), np.int64)
    return np.concatenate([corner[:, [0, 1]], corner[:, [1, 2]], corner[:, [0, 2]]])


def _unique_links(links: np.ndarray) -> np.ndarray:
    links = np.sort(links.astype(np.int64).reshape(-1, 2), axis=1)  # (E, 2)
    return np.unique(links[links[:, 0] != links[:, 1]], axis=0)


class _Regions:
    """State of the merging: the regions alive, their sums, their links."""

    def __init__(
        self,
        xyz: np.ndarray,
        features: np.ndarray,
        counts: np.ndarray,
        links: np.ndarray,
        config: MergeConfig,
    ) -> None:
        self.xyz, self.features, self.counts = xyz, features, counts.astype(float)
        self.root = np.arange(len(counts))
        self.near: list[set[int]] = [set() for _ in counts]
        for a, b in links.tolist():
            self.near[a].add(b)
            self.near[b].add(a)
        self.config = config
        self.mean = max(1.0, float(counts.sum()) / config.n_classes)
        visual, km = self.distances(links[:, 0], links[:, 1])
        # What is zero almost everywhere (one place, one look) must not be divided by zero.
        self.typical = [float(np.median(d[d > 0])) if (d > 0).any() else 1.0 for d in (visual, km)]

    def distances(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Visual and great-circle distance of regions a and b (E,)."""
        na, nb = self.counts[a][:, None], self.counts[b][:, None]
        visual = np.linalg.norm(self.features[a] / na - self.features[b] / nb, axis=1)
        u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (self.xyz[a], self.xyz[b]))
        near, far = np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1)
        return visual, 2 * sphere.EARTH_RADIUS_KM * np.arctan2(near, far)

    def cost(self, a: np.ndarray, b: np.ndarray) -> list[float]:
        """Cost of merging a and b (E,)."""
        visual, km = self.distances(a, b)
        alpha, total = self.config.alpha, self.counts[a] + self.counts[b]
        mix = alpha * visual / self.typical[0] + (1 - alpha) * km / self.typical[1] + _FLOOR
        return (mix * (total / self.mean) ** self.config.size).tolist()

    def merge(self, a: int, b: int) -> None:
        """Let a take b in; the links of b become those of a."""
        for x in (self.xyz, self.features, self.counts):
            x[a] += x[b]
        self.root[b] = a
        for other in self.near[b]:
            self.near[other].discard(b)
            if other != a:
                self.near[other].add(a)
                self.near[a].add(other)
        self.near[b] = set()

    def labels(self) -> np.ndarray:
        """Root of each leaf."""
        root = self.root
        while (root[root] != root).any():
            root = root[root]
        return root


def merge_regions(
    latlon: np.ndarray,
    counts: np.ndarray,
    links: np.ndarray,
    config: MergeConfig,
    features: np.ndarray | None = None,
) -> np.ndarray:
    """Merge linked leaves until `config.n_classes` regions are left.

    Parameters
    ----------
    latlon : (L, 2) array
        Places of the leaves, degrees.
    counts : (L,) array of int
        Photos in each, at least 1.
    links : (E, 2) array of int
        Each pair once.
    features : (L, D) array, optional
        Mean visual feature of each leaf; needed unless ``config.alpha`` is 0.

    Returns
    -------
    ndarray of int64, shape (L,)
        Region of each leaf, 0 to n - 1. There are more than `n_classes` only if the graph falls
        into more pieces.

    Examples
    --------
    >>> place, links = [[0, 0], [0, 1], [0, 10], [0, 11]], [[0, 1], [1, 2], [2, 3]]
    >>> merge_regions(place, [1, 1, 1, 1], links, MergeConfig(2, alpha=0)).tolist()
    [0, 0, 1, 1]
    """
    counts, links = np.asarray(counts), np.asarray(links, np.int64).reshape(-1, 2)  # (E, 2)
    features = np.zeros((len(counts), 1)) if features is None else np.asarray(features, float)
    xyz = sphere.to_unit(torch.from_numpy(np.asarray(latlon, float))).numpy()
    state = _Regions(xyz * counts[:, None], features * counts[:, None], counts, links, config)
    heap, age, left = [], np.zeros(len(counts), np.int64), len(counts)
    _push(heap, state, links[:, 0], links[:, 1], age)
    while left > config.n_classes and heap:
        _, a, b, seen = heapq.heappop(heap)
        if state.root[a] != a or state.root[b] != b or seen != age[a] + age[b]:
            continue  # a region of this link has changed since: its new cost is further down
        if len(state.near[a]) < len(state.near[b]):
            a, b = b, a
        state.merge(a, b)
        age[a] += age[b] + 1
        left -= 1
        others = np.array(sorted(state.near[a]), np.int64)
        _push(heap, state, np.minimum(a, others), np.maximum(a, others), age)
    return np.unique(state.labels(), return_inverse=True)[1].reshape(-1)  # (L,)


def _push(heap: list, state: _Regions, a: np.ndarray, b: np.ndarray, age: np.ndarray) -> None:
    """Add links (E,) with their cost and the ages of their regions, which tell if it is stale."""
    seen = (age[a] + age[b]).tolist()
    for entry in zip(state.cost(a, b), a.tolist(), b.tolist(), seen, strict=True):
        heapq.heappush(heap, entry)
