"""Toy worlds of assignment 4, and what its common faults would give on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geolab import sphere

Faults = dict[str, Any]


@dataclass(frozen=True)
class Toy:
    """Training photos in clusters: features (N, 16), places (N, 2), points of 8 cells (8, 2)."""

    features: Tensor
    places: Tensor
    cell_points: Tensor
    clusters: list[list[Tensor]]


def toy(seed: int) -> Toy:
    """Eight cells far apart with 1 to 4 streets of 4 to 8 photos each, but cell 5 has none."""
    rng = np.random.default_rng(seed)
    points = sphere.fibonacci_grid(8)
    clusters: list[list[Tensor]] = [[] for _ in range(8)]
    features, places, n = [], [], 0
    for cell in range(8):
        for _ in range(0 if cell == 5 else rng.integers(1, 5)):
            m = int(rng.integers(4, 9))
            places.append(
                points[cell].numpy() + rng.uniform(-1.5, 1.5, 2) + rng.normal(0, 0.1, (m, 2))
            )
            features.append(rng.normal(0, 1, 16) + rng.normal(0, 0.4, (m, 16)))
            clusters[cell].append(torch.arange(n, n + m))
            n += m
    seen = torch.from_numpy(np.concatenate(features)).float()
    return Toy(seen, torch.from_numpy(np.concatenate(places)), points, clusters)


def queries(world: Toy, seed: int, n: int) -> tuple[Tensor, Tensor]:
    """Photos near known ones (n, 16), and chances of the cells (n, 8) that often prefer another."""
    rng = np.random.default_rng(seed + 1)
    like = world.features[torch.from_numpy(rng.integers(0, len(world.features), n))]
    asked = like + torch.from_numpy(rng.normal(0, 0.4, like.shape)).float()
    return asked, torch.from_numpy(rng.normal(0, 1, (n, 8))).float().softmax(1)


def street_places(seed: int) -> Tensor:
    """Three streets at 65 degrees north, one of them on both sides of 180, and lone photos."""
    rng = np.random.default_rng(seed)
    north = np.array([[0.0, 0.0], [0.5, 1.6], [-0.6, -1.4]]) + rng.uniform(-0.05, 0.05, (3, 2))
    near = north.repeat(9, 0) + rng.normal(0, [0.004, 0.01], (27, 2))
    lone = rng.uniform([-1.5, -3.0], [1.5, 3.0], (4, 2))
    points = np.concatenate([near, lone]) + np.array([65.0, 180.0])
    points[:, 1] = (points[:, 1] + 180) % 360 - 180
    return torch.from_numpy(points[rng.permutation(len(points))])


def in_order(labels: Any) -> np.ndarray:
    """Number clusters by their first photo, so that names don't matter; noise stays -1."""
    labels, names = np.asarray(labels).astype(int), {-1: -1}
    return np.array([names.setdefault(label, len(names) - 1) for label in labels.tolist()])


def of_clusters(places: Tensor) -> Faults:
    """Labels of one cell, numbered in order."""
    from sklearn.cluster import OPTICS

    def found(points: Any, metric: str) -> np.ndarray:
        return in_order(OPTICS(min_samples=3, xi=0.15, metric=metric).fit(points).labels_)

    km = sphere.great_circle_matrix(places, places).numpy()
    right = found(km, "precomputed")
    kept = np.where(right < 0, right.max() + 1, right)
    line = "A street that crosses the date line falls apart: "
    degrees = line + "distances are of degrees, so 179.9 and -179.9 are 360 apart."
    return {
        degrees: found(places.numpy(), "minkowski"),
        degrees + " ": found(places.numpy(), "euclidean"),  # the same, rounded elsewhere
        line + "metric='haversine' wants radians and got degrees.": (
            found(places.numpy(), "haversine")
        ),
        "Noise is a cluster of its own here; its label is -1.": kept,
    }


def draw_clusters(places: Tensor, got: np.ndarray, right: np.ndarray) -> Any:
    """Draw clusters of one cell twice, as found and as they are; made-up places."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained")
    for ax, labels, title in zip(axes, (got, right), ("yours", "right"), strict=True):
        colours = np.where(labels < 0, 8, labels % 7)
        ax.scatter(places[:, 1] % 360, places[:, 0], c=colours, cmap="Set1", vmin=0, vmax=8)
        ax.set(title=f"{title} (synthetic; grey: noise)", xlabel="longitude, 0 to 360")
    return fig


def of_prototypes(features: Tensor, labels: Tensor, right: Tensor) -> Faults:
    """Prototypes (Q, D) of labels with noise."""
    counts = torch.bincount(labels[labels >= 0])[:, None]
    total = right * counts
    noise = features[labels < 0]
    last = right.clone()
    last[-1] = (total[-1] + noise.sum(0)) / (counts[-1] + len(noise))
    return {
        "Noise is counted as the last cluster: label -1 is an index of the last row.": last,
        "These are sums; divide each by the number of its photos.": total,
        "The sums are divided by the number of all photos, not of the cluster's.": (
            total / len(features)
        ),
        "Prototypes are brought to unit length; the mean stays as it is.": (
            torch.nn.functional.normalize(right, dim=1)
        ),
        "These are medians; a prototype is a mean.": torch.stack(
            [features[labels == q].median(0).values for q in range(len(right))]
        ),
    }


def scores(chances: Tensor, distances: Tensor, temperature: float) -> Tensor:
    """Right scores (B, K) in float64."""
    known = distances.isfinite().any(1, keepdim=True)
    exponent = torch.where(known, -distances.double() / temperature, 0.0)
    return chances * exponent.softmax(1)


def of_scores(p: Tensor, d: Tensor, t: float) -> Faults:
    """Scores (B, K), finite distances."""
    right = scores(p, d, t)
    p, d = p.double(), d.double()
    return {
        "The distances are multiplied by the temperature; divide: warm means that distances "
        "matter less.": p * (-d * t).softmax(1),
        "The farthest prototype gets the largest share: a minus sign is missing.": (
            p * (d / t).softmax(1)
        ),
        "The chances of the cells are forgotten.": (-d / t).softmax(1),
        "The distances are forgotten.": p,
        "The softmax runs over the photos (dim=0); the cells of one photo compete (dim=1).": (
            p * (-d / t).softmax(0)
        ),
        "The shares are not divided by their sum.": p * (-d / t).exp(),
        "Scores are made to sum to 1; only the shares do, before the chances come in.": (
            right / right.sum(1, keepdim=True)
        ),
        "The distance is squared.": p * (-(d**2) / t).softmax(1),
        "The chances stand in the exponent too.": (p.log() - d / t).softmax(1),
    }


def place(
    world: Toy,
    query: Tensor,
    chances: Tensor,
    top_k: int,
    temperature: float,
    max_km: float,
    fault: str = "",
) -> Tensor:
    """Right place of a photo (2,), or that of a fault."""
    if fault == "top_k":
        top_k = len(chances)
    best = chances.sort(descending=True, stable=True).indices[:top_k]
    found = [_of_cell(world, query, cell, fault) for cell in best.tolist()]
    distances = torch.tensor([[distance for distance, _ in found]])
    p = chances[best][None]
    score = scores(torch.ones_like(p) if fault == "chance" else p, distances, temperature)[0]
    winner = 0 if fault == "distance" else int(score.argmax())
    answer = found[winner][1]
    too_far = sphere.great_circle_km(world.cell_points[best[0]], answer) > max_km
    if fault == "stay" or not too_far:
        return answer
    return world.cell_points[best[0]] if fault == "point" else found[0][1]


def _of_cell(world: Toy, query: Tensor, cell: int, fault: str) -> tuple[float, Tensor]:
    """Distance to the nearest prototype of a cell, and the place that it stands for."""
    groups = world.clusters[cell]
    if not groups:
        return math.inf, world.cell_points[cell]
    gaps = torch.stack([(world.features[rows].mean(0) - query).norm() for rows in groups])
    at = int(gaps.argmax() if fault == "prototype" else gaps.argmin())
    to = (world.features[groups[at]] - query).norm(dim=1)
    if fault == "mean":
        return float(gaps[at]), sphere.spherical_mean(world.places[groups[at]])
    row = groups[at][to.argmax() if fault == "member" else to.argmin()]
    return float(gaps[at]), world.places[row]


PLACE_FAULTS = {
    "prototype": "In each cell the farthest prototype is taken; the nearest one competes.",
    "member": "The place is that of the least similar photo of the winning cluster: the fault of "
    "the released code.",
    "mean": "The place is the mean of the winning cluster; it has to be one of its photos.",
    "chance": "The nearest prototype wins whatever its cell's chance; multiply by the chance.",
    "distance": "The most probable cell wins whatever the distances.",
    "top_k": "All cells compete; only the top_k most probable may.",
    "stay": "max_km has no effect: where the answer is too far from the point of the most probable "
    "cell (not of the winner), that cell wins.",
    "point": "When the answer is too far, you answer with the most probable cell's point; it "
    "answers with its refined place.",
}


def best_rows(asked: Tensor, base: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Right scores and rows (Q, k), by whole matrices in float64."""
    whole = asked.double().numpy() @ base.double().numpy().T
    order = np.argsort(-whole, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(whole, order, 1), order


def of_rows(asked: Tensor, base: Tensor, k: int, rows: int) -> Faults:
    """Indices (Q, k) of a search in blocks."""
    full = len(base) // rows * rows
    n = len(base)
    right = best_rows(asked, base, k)[1]
    return {
        f"The last block is dropped: {n} rows in blocks of {rows} end with {n - full} more.": (
            best_rows(asked, base[:full], k)[1] if full >= k else right * 0 - 1
        ),
        f"Indices count within the block: add the block's first row ({rows}, {2 * rows}, ...).": (
            right % rows
        ),
        "These are the smallest products; the largest are asked for.": (
            best_rows(-asked, base, k)[1]
        ),
        "Distances are compared, not inner products.": np.argsort(
            torch.cdist(asked.double(), base.double()).numpy(), axis=1, kind="stable"
        )[:, :k],
        "The k best come in another order: best first.": right[:, ::-1],
    }
