r"""Exact search over several descriptors at once.

Each family of descriptors has a distance of its own, on a scale of its own. To let all of them
speak with about one voice, im2gps divides the distances of a family f by their standard deviation
and adds them up:

.. math:: d(q, x) = \sum_f d_f(q_f, x_f) / \sigma_f

The deviations come from random pairs of reference photos, once, and are stored with the index.
Taken per query instead, two queries' distances could not be compared, nor a threshold set.

Search is exhaustive, as in the paper, in blocks of queries; equal distances go to the smaller
index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from geolab.encoders.im2gps.distances import distance_matrix, paired_distances
from geolab.encoders.im2gps.one_thread import one_thread
from geolab.sphere import ArrayLike, check_latlon

_QUERIES_AT_ONCE = 64
_PAIRS_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class DescriptorIndex:
    """Reference photos: descriptors, places, names, and the scale of each distance.

    Make one with `build_index`.

    Attributes
    ----------
    features : dict of str to Tensor (N, D_f) float32
    kinds : dict of str to str
        Distance of each family, as `distance_matrix` names it.
    sigma : dict of str to float
        Standard deviation of each family's distance.
    latlon : Tensor, shape (N, 2), float64
    ids : tuple of str
    """

    features: Mapping[str, Tensor] = field(repr=False)
    kinds: Mapping[str, str]
    sigma: Mapping[str, float]
    latlon: Tensor = field(repr=False)
    ids: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        """Return the number of reference photos."""
        return len(self.ids)

    def subset(self, rows: Sequence[int] | np.ndarray | Tensor) -> DescriptorIndex:
        """Keep some references, in the order given; the scales stay as they were learnt."""
        rows = torch.as_tensor(np.asarray(rows), dtype=torch.int64)
        features = {name: values[rows] for name, values in self.features.items()}
        ids = tuple(self.ids[row] for row in rows.tolist())
        return DescriptorIndex(features, self.kinds, self.sigma, self.latlon[rows], ids)

    def distances(
        self, queries: Mapping[str, Tensor], families: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """Scaled distances of each family, (Q, N) float32; add them up for the combined one.

        Raises
        ------
        ValueError
            If a family is missing in the queries or in the index.
        """
        out = {}
        for family in families or self.features:
            if family not in self.features or family not in queries:
                side = "index" if family not in self.features else "queries"
                raise ValueError(f"family {family!r} is missing in the {side}; describe it first")
            raw = distance_matrix(queries[family], self.features[family], self.kinds[family])
            out[family] = raw.div_(self.sigma[family])
        return out

    def blocks(
        self, queries: Mapping[str, Tensor], families: Sequence[str] | None = None
    ) -> Iterator[tuple[slice, dict[str, Tensor]]]:
        """Yield (rows of the queries, their scaled distances), a few queries at a time."""
        n_queries = len(next(iter(queries.values())))
        for start in range(0, n_queries, _QUERIES_AT_ONCE):
            rows = slice(start, min(start + _QUERIES_AT_ONCE, n_queries))
            some = {name: values[rows] for name, values in queries.items()}
            yield rows, self.distances(some, families)

    def search(
        self, queries: Mapping[str, Tensor], k: int, families: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Find the k nearest references of each query by the combined distance.

        Returns
        -------
        distances : Tensor, shape (Q, k), float32
            Ascending.
        indices : Tensor, shape (Q, k), int64

        Raises
        ------
        ValueError
            If k is not between 1 and the number of references.
        """
        check_k(k, len(self))
        with one_thread():
            found = [
                nearest(torch.stack(list(parts.values())).sum(0), k)
                for _, parts in self.blocks(queries, families)
            ]
        if not found:
            return torch.empty(0, k), torch.empty(0, k, dtype=torch.int64)
        distances, indices = zip(*found, strict=True)
        return torch.cat(distances), torch.cat(indices)


def build_index(
    features: Mapping[str, Tensor],
    kinds: Mapping[str, str],
    latlon: ArrayLike,
    ids: Sequence[str],
    *,
    n_pairs: int = 100_000,
    seed: int = 0,
) -> DescriptorIndex:
    """Check the parts and learn the scale of each distance.

    Parameters
    ----------
    features : mapping of family to Tensor (N, D_f)
    kinds : mapping of family to "l2", "l1" or "chi2"
    latlon : array_like, shape (N, 2)
        Degrees.
    ids : sequence of N str
    n_pairs, seed : int
        Random pairs of references that the scales are learnt from (all pairs if there are no more).

    Raises
    ------
    ValueError
        If there are no references, or counts differ, or a descriptor or coordinate is not finite.
    """
    places = check_latlon(latlon).double()
    if not features or not len(ids):
        raise ValueError("an index needs at least one family and one reference photo")
    for family, values in features.items():
        if len(values) != len(ids) or len(places) != len(ids):
            raise ValueError(
                f"{len(ids)} ids, {len(places)} places and {len(values)} descriptors of {family!r}"
            )
    left, right = _random_pairs(len(ids), n_pairs, seed)
    with one_thread():
        sigma = {f: _spread(features[f], left, right, kinds[f]) for f in features}
    return DescriptorIndex(dict(features), dict(kinds), sigma, places, tuple(map(str, ids)))


def _random_pairs(n: int, n_pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `n_pairs` random pairs of different photos; every pair once if there are no more."""
    if n < 2 or n * (n - 1) // 2 <= n_pairs:
        return np.triu_indices(n, k=1)
    rng = np.random.default_rng(seed)
    left = rng.integers(n, size=n_pairs)
    return left, (left + rng.integers(1, n, size=n_pairs)) % n


def _spread(values: Tensor, left: np.ndarray, right: np.ndarray, kind: str) -> float:
    """Return the standard deviation of the pairs' distances; 1 where there is none."""
    if not len(left):
        return 1.0
    parts = [
        paired_distances(values[left[start:stop]], values[right[start:stop]], kind)
        for start, stop in _spans(len(left))
    ]
    deviation = float(torch.cat(parts).double().std(correction=0))
    return deviation if deviation > 1e-9 else 1.0


def _spans(n: int) -> list[tuple[int, int]]:
    return [(start, start + _PAIRS_AT_ONCE) for start in range(0, n, _PAIRS_AT_ONCE)]


def check_k(k: int, n: int) -> None:
    """Refuse to look for more neighbours than there are.

    Raises
    ------
    ValueError
        If k is not between 1 and n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k = {k} neighbours of {n} references; set k between 1 and {n}")


def nearest(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k smallest entries of each row, ascending; of equals the first column.

    Examples
    --------
    >>> nearest(torch.tensor([[2.0, 1.0, 1.0, 1.0]]), 2)[1].tolist()
    [[1, 2]]
    """
    value, index = distances.topk(k, dim=1, largest=False)
    # topk picks any of the equals at the border: rows where it had a choice are sorted whole.
    border = value.amax(1, keepdim=True)
    chosen = (distances == border).sum(1) != (value == border).sum(1)
    if chosen.any():
        some, order = distances[chosen].sort(dim=1, stable=True)
        value[chosen], index[chosen] = some[:, :k], order[:, :k]
    index, order = index.sort(dim=1)
    value, order = value.gather(1, order).sort(dim=1, stable=True)
    return value, index.gather(1, order)
