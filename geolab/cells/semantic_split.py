"""Splitting of geocells that hold too many photos: PIGEON's second pass.

A cell is split where its photos fall into clusters. For each pair (min_samples, xi), in order and
until nothing changes, a cell with more than `max_size` photos is clustered by OPTICS; clusters
under `min_size` count as noise, and

- one cluster and enough noise: the cluster is cut out of the cell, if the rest is not too large;
- two clusters: the photos between them go to the nearer cluster;
- three or more: the same, and the parent is gone.

Borders between the parts are those of the photos' Voronoi regions. The released code uses the
regions of the cluster *means* where there are three or more, so that a photo can lie outside its
own cell; here each photo lies in its own. Pieces that are cut off from the rest of their part go to
the part that they touch most. Haas et al., "PIGEON", CVPR 2024, geocell creation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, QhullError

from geolab import sphere
from geolab.cells.semantic_config import SemanticConfig
from geolab.kernels import optics


def split_large(latlon: np.ndarray, weight: np.ndarray, config: SemanticConfig) -> np.ndarray:
    """Part of each position of one cell.

    Parameters
    ----------
    latlon : (n, 2) array
        Different positions, degrees.
    weight : (n,) array of int
        Photos at each.

    Returns
    -------
    ndarray of int64, shape (n,)
        0 to the number of parts less one; all 0 where nothing could be split.
    """
    part = np.zeros(len(latlon), np.int64)
    edges: np.ndarray | None = None
    for min_samples, xi in config.passes:
        queue = _over(part, weight, config.max_size)
        while queue:
            number = queue.pop(0)
            rows = np.flatnonzero(part == number)
            inner = _clusters(latlon[rows], weight[rows], min_samples, xi, config)
            if inner is None:
                continue
            fresh = np.append(number, part.max() + np.arange(1, inner.max() + 1))
            part[rows] = fresh[inner]
            edges = touching(latlon) if edges is None else edges
            part = tidied(part, fresh, edges, weight, config.min_size)
            large = _over(part, weight, config.max_size)
            queue += [c for c in large if c in fresh and c not in queue]
    return np.unique(part, return_inverse=True)[1]


def _over(part: np.ndarray, weight: np.ndarray, max_size: int) -> list[int]:
    return np.flatnonzero(np.bincount(part, weights=weight) > max_size).tolist()


def _clusters(
    latlon: np.ndarray, weight: np.ndarray, min_samples: int, xi: float, config: SemanticConfig
) -> np.ndarray | None:
    """Split one cell once: its parts from 0, or None if there is nothing to split."""
    if (weight.sum() if config.paper else len(latlon)) < min_samples:
        return None
    found = _optics(latlon, weight, min_samples, xi, config.paper)
    sizes = np.bincount(found + 1, weights=weight)  # noise first
    real = [c for c in range(len(sizes) - 1) if sizes[c + 1] >= config.min_size]
    label = np.full(len(found), -1)
    for number, cluster in enumerate(real):
        label[found == cluster] = number
    noise = int(weight[label < 0].sum())
    if len(real) == 1:
        return label + 1 if config.min_size <= noise <= config.max_size else None
    if not real:
        return None
    return _filled(latlon, label)


def _optics(
    latlon: np.ndarray, weight: np.ndarray, min_samples: int, xi: float, paper: bool
) -> np.ndarray:
    """Clusters of positions on great circles; as released, of photos on a plane of degrees."""
    if not paper:
        return optics(latlon, min_samples, xi)
    from sklearn.cluster import OPTICS

    with np.errstate(divide="ignore", invalid="ignore"):  # photos at one position
        photos = np.repeat(latlon[:, ::-1], weight, axis=0)
        return OPTICS(min_samples=min_samples, xi=xi).fit(photos).labels_[weight.cumsum() - 1]


def _filled(latlon: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Give photos of no cluster to the cluster with the nearest mean."""
    xyz = sphere.to_unit(latlon).numpy()
    means = np.stack([xyz[label == c].mean(0) for c in range(label.max() + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    nearest = (xyz @ means.T).argmax(1)
    return np.where(label < 0, nearest, label)


def touching(latlon: np.ndarray) -> np.ndarray:
    """Pairs of positions whose Voronoi regions touch, (E, 2), in the plane at their middle."""
    base = sphere.to_unit(sphere.spherical_mean(torch.from_numpy(latlon)))
    flat = sphere.log_map(base, sphere.to_unit(latlon)).numpy()  # (n, 3), in a plane
    flat = flat @ np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:2].T  # (n, 2)
    order = np.argsort(flat[:, 0], kind="stable")
    chain = np.stack([order[:-1], order[1:]], axis=1)  # what is left of two, or of a line
    if len(latlon) < 4:
        return chain
    try:
        faces = Delaunay(flat).simplices
    except QhullError:
        return chain
    return np.unique(
        np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1),
        axis=0,
    )


def tidied(
    part: np.ndarray,
    touched: Sequence[int],
    edges: np.ndarray,
    weight: np.ndarray,
    min_size: int,
) -> np.ndarray:
    """Give pieces that are cut off from the largest piece of their part to the part they touch.

    A part is left as it is where it would fall under `min_size` photos.
    """
    part = part.copy()
    for number in touched:
        piece = _pieces(part == number, edges)
        sizes = np.bincount(piece[piece >= 0], weights=weight[piece >= 0])
        if len(sizes) < 2 or sizes.max() < min_size:
            continue
        for stray in np.flatnonzero(np.arange(len(sizes)) != sizes.argmax()):
            rows = piece == stray
            over = edges[rows[edges].sum(1) == 1]  # edges that leave the piece
            beside = part[np.where(rows[over[:, 0]], over[:, 1], over[:, 0])]
            beside = beside[np.isin(beside, touched) & (beside != number)]
            if len(beside):
                part[rows] = np.bincount(beside).argmax()
    return part


def _pieces(inside: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Connected piece of each position that is inside, -1 for the others."""
    kept = edges[inside[edges].all(1)]
    graph = coo_array((np.ones(len(kept)), tuple(kept.T)), shape=(len(inside),) * 2)
    label = connected_components(graph, directed=False)[1]
    out = np.full(len(inside), -1)
    out[inside] = np.unique(label[inside], return_inverse=True)[1]
    return out
