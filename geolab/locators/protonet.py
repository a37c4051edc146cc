r"""ProtoNet refinement: from the best geocells to a place inside one of them.

Haas, Skreta, Alberti and Finn, "PIGEON", CVPR 2024, hierarchical guess refinement. Within each cell
the training photos are clustered by OPTICS on great-circle distances; a cluster's prototype is the
mean of its embeddings. For a photo with embedding e and its K best cells with chances P_k:

.. math:: s_k = -\min_j \lVert e - p_{kj} \rVert, \qquad
          \hat k = \arg\max_k \; P_k \, \operatorname{softmax}_k (s_k / T)

The answer is the place of the most similar photo in the winning cluster. If it is further than
`max_km` from the first guess, the most probable cell wins after all, with *its* refined place.

    net = ProtoNet(ProtoConfig()).fit(features, places, cells, cell_points)
    net = net.tuned(held_features, held_chances, held_places)      # T has the unit of the embedding
    net.refine(features, chances)                                  # a Posterior over K places

Photos of no cluster never become an answer; a cell without prototypes loses. T has the unit of the
distances, so PIGEON's 1.6 does not carry over: between unit vectors all distances are within 2, and
1.6 changes next to nothing.

**The released code** takes the *least* similar photo of the winning cluster (an argmax of distances
where an argmin was meant). ``member="farthest"`` is that; a photo that is asked for itself then
misses itself.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.errors import DataError
from geolab.kernels import PrototypeTable, prototype_scores
from geolab.locators.clusters import Clusters, cluster_cells
from geolab.metrics import errors_km
from geolab.posterior import Posterior

_FILE = {"kind": "geolab-protonet", "version": 1}


@dataclass(frozen=True)
class ProtoConfig:
    """How to cluster, and how to choose.

    Attributes
    ----------
    min_samples, xi : int, float
        OPTICS within a cell.
    top_k : int
        Cells that compete.
    temperature : float
        T, in the unit of the embedding's distances.
    max_km : float
        Longest way from the first guess to the refined place.
    member : {"nearest", "mean", "farthest"}
        Place of a cluster: its most similar photo, the mean of its photos, or the released fault.
    """

    min_samples: int = 3
    xi: float = 0.15
    top_k: int = 5
    temperature: float = 1.6
    max_km: float = 1000.0
    member: Literal["nearest", "mean", "farthest"] = "nearest"

    def __post_init__(self) -> None:
        if self.member not in ("nearest", "mean", "farthest"):
            raise ValueError(f"member {self.member!r} must be nearest, mean or farthest")
        if self.top_k < 1 or not self.temperature > 0:
            raise ValueError(f"top_k {self.top_k} must be at least 1, temperature positive")


PIGEON_REFINER = ProtoConfig()
PIGEOTTO_REFINER = ProtoConfig(100, 0.1, 40, 0.6, math.inf)
"""Published settings; its first two numbers are the defaults of the released file."""


class ProtoNet:
    """Refiner of cell probabilities.

    Attributes
    ----------
    clusters : Clusters
    table : PrototypeTable
    features, places : Tensor, shapes (N, D), (N, 2)
        Of the training photos.
    cell_points : Tensor, shape (C, 2)
        First guess of each cell.
    """

    clusters: Clusters
    table: PrototypeTable
    features: Tensor
    places: Tensor
    cell_points: Tensor

    def __init__(self, config: ProtoConfig = PIGEON_REFINER) -> None:
        self.config = config

    def fit(self, features: Tensor, places: Tensor, cells: Tensor, cell_points: Tensor) -> ProtoNet:
        """Cluster training photos and take the mean embedding of each cluster.

        Parameters
        ----------
        features : Tensor, shape (N, D)
            The embedding that the cells were learnt on, views averaged.
        places : Tensor, shape (N, 2)
        cells : Tensor of int64, shape (N,)
            -1 for photos in no cell.
        cell_points : Tensor, shape (C, 2)

        Raises
        ------
        ValueError
            If shapes disagree or a feature is not finite (its row is named).
        """
        if not len(features) == len(places) == len(cells):
            raise ValueError(f"{len(features)} features, {len(places)} places, {len(cells)} cells")
        self.features, self.places = _finite(features), torch.as_tensor(places).double()
        self.cell_points = torch.as_tensor(cell_points).double()
        self.clusters = cluster_cells(
            self.places, cells, len(self.cell_points), self.config.min_samples, self.config.xi
        )
        self._prepare()
        return self

    def _prepare(self) -> None:
        held = self.clusters
        sizes = held.ends.diff()
        owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        total = torch.zeros(len(sizes), self.features.shape[1])
        total.index_add_(0, owner, self.features[held.members])
        self.table = PrototypeTable(total / sizes[:, None].clamp_min(1), held.offsets)
        xyz = torch.zeros(len(sizes), 3, dtype=torch.float64)
        xyz.index_add_(0, owner, sphere.to_unit(self.places[held.members]))
        self._means = sphere.to_latlon(xyz) if len(sizes) else torch.empty(0, 2).double()

    def reconfigured(self, **changes: object) -> ProtoNet:
        """Return the same prototypes, choosing otherwise."""
        other = copy.copy(self)
        other.config = replace(self.config, **changes)
        return other

    def refine(self, features: Tensor, chances: Tensor) -> Posterior:
        """Choose among the best cells of each photo.

        Parameters
        ----------
        features : Tensor, shape (B, D)
        chances : Tensor, shape (B, C)
            Probabilities of the cells.

        Returns
        -------
        Posterior
            Over the K refined places; its mode is the answer, after the rule of the longest way.
        """
        features = _finite(features)
        k = min(self.config.top_k, chances.shape[1])
        top, cells = chances.float().topk(k, dim=1)
        found = prototype_scores(features, cells, top, self.table, self.config.temperature)
        points = self._points(features, cells, found.nearest)  # (B, K, 2)
        scores = found.scores.double()
        guess = self.cell_points[cells[:, 0]]  # first guess: the most probable cell's
        refined = points[torch.arange(len(points)), found.winner]
        far = sphere.great_circle_km(guess, refined) > self.config.max_km
        first = torch.where(far, 0, found.winner)
        scores.scatter_(1, first[:, None], scores.amax(1, keepdim=True) * (1 + 1e-9) + 1e-300)
        return Posterior.from_votes(points, scores)

    def _points(self, features: Tensor, cells: Tensor, nearest: Tensor) -> Tensor:
        """Place of each candidate (B, K, 2): of its nearest cluster, or of the cell without one."""
        points = self.cell_points[cells]
        asked = (nearest >= 0).nonzero()  # (M, 2): photo and column
        if not len(asked):
            return points
        cluster = nearest[nearest >= 0]
        if self.config.member == "mean":
            points[asked[:, 0], asked[:, 1]] = self._means[cluster]
            return points
        points[asked[:, 0], asked[:, 1]] = self.places[self._members(features, asked, cluster)]
        return points

    def _members(self, features: Tensor, asked: Tensor, cluster: Tensor) -> Tensor:
        """Row of the chosen training photo of each cluster asked for, (M,); ties: the first."""
        held, out = self.clusters, []
        for rows in torch.arange(len(cluster)).split(8192):
            first, size = held.ends[cluster[rows]], held.ends.diff()[cluster[rows]]
            owner = torch.repeat_interleave(torch.arange(len(rows)), size)  # (T,)
            within = torch.arange(len(owner)) - (size.cumsum(0) - size)[owner]
            member = held.members[first[owner] + within]
            gap = (self.features[member] - features[asked[rows, 0][owner]]).square().sum(1)
            gap = -gap if self.config.member == "farthest" else gap
            best = torch.full((len(rows),), torch.inf).scatter_reduce(0, owner, gap, "amin")
            place = torch.where(gap == best[owner], within, len(owner))
            least = torch.full_like(size, len(owner)).scatter_reduce(0, owner, place, "amin")
            out.append(held.members[first + least])
        return torch.cat(out)

    def tuned(
        self,
        features: Tensor,
        chances: Tensor,
        places: Tensor,
        temperatures: Sequence[float] | None = None,
    ) -> ProtoNet:
        """Choose T on validation photos: the smallest median error, then the best mean.

        Parameters
        ----------
        temperatures : sequence of float, optional
            By default shares, 0.01 to 2, of the median distance from a photo to a prototype.
        """
        if temperatures is None:
            temperatures = [share * self.distance_scale(features) for share in _SHARES]
        truth = torch.as_tensor(places).numpy()

        def error(temperature: float) -> tuple[float, float]:
            said = self.reconfigured(temperature=temperature).refine(features, chances).mode()
            km = errors_km(said.numpy(), truth)
            return float(np.median(km)), float(km.mean())

        return self.reconfigured(temperature=min(temperatures, key=error))

    def distance_scale(self, features: Tensor) -> float:
        """Median distance between photos and prototypes: the unit that T should have."""
        some = self.table.vectors[:: max(1, len(self.table.vectors) // 500)]
        return float(torch.cdist(features[:500].float(), some).median()) if len(some) else 1.0

    def save(self, path: str | PathLike, partition_hash: str = "") -> Path:
        """Write prototypes, members and training embeddings to one .npz file."""
        held = self.clusters
        arrays = {"offsets": held.offsets, "ends": held.ends, "members": held.members}
        arrays |= {k: getattr(self, k) for k in ("features", "places", "cell_points")}
        about = {"config": asdict(self.config), "partition": partition_hash}
        return save_arrays(path, {k: v.numpy() for k, v in arrays.items()}, about=about, **_FILE)

    @classmethod
    def load(cls, path: str | PathLike, partition_hash: str = "") -> ProtoNet:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is damaged, or was made for another partition: both hashes are shown.
        """
        arrays, about = load_arrays(path, **_FILE)
        if about["partition"] != partition_hash:
            raise DataError(
                f"{path} was made for partition {about['partition']!r}, not {partition_hash!r}: "
                "fit the prototypes again"
            )
        net = cls(ProtoConfig(**about["config"]))
        held = {name: torch.from_numpy(array) for name, array in arrays.items()}
        net.clusters = Clusters(held["offsets"], held["ends"], held["members"])
        net.features, net.places = held["features"], held["places"]
        net.cell_points = held["cell_points"]
        net._prepare()
        return net


_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


def _finite(features: Tensor) -> Tensor:
    bad = (~features.isfinite()).any(1).nonzero()
    if len(bad):
        raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
    return features.float()
