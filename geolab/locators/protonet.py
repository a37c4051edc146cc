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
1.6 changes next to nothing. Tune T, or leave it at a tenth of `ProtoNet.distance_scale`.

**The released code** takes the *least* similar photo of the winning cluster (an argmax of distances
where an argmin was meant). ``member="farthest"`` is that; a photo that is asked for itself then
misses itself.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.errors import DataError
from geolab.kernels import PrototypeTable, prototype_scores
from geolab.locators.clusters import Clusters, alike_members, cluster_cells
from geolab.locators.protonet_config import PIGEON_REFINER, PIGEOTTO_REFINER, ProtoConfig
from geolab.metrics import errors_km, geoguessr_score
from geolab.posterior import Posterior

__all__ = ["PIGEON_REFINER", "PIGEOTTO_REFINER", "ProtoConfig", "ProtoNet", "best_cells"]

_FILE = {"kind": "geolab-protonet", "version": 1}


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
            If shapes disagree, a feature is not finite, a place is not on Earth or a cell has no
            point (the row is named).
        """
        if not len(features) == len(places) == len(cells):
            raise ValueError(f"{len(features)} features, {len(places)} places, {len(cells)} cells")
        bad = ((cells < -1) | (cells >= len(cell_points))).nonzero()
        if len(bad):
            row = int(bad[0])
            raise ValueError(
                f"cells row {row} is {int(cells[row])}, and there are {len(cell_points)} cells"
            )
        self.features = self.ready(features)
        self.places = sphere.check_latlon(places, "places").double()
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
        means = total / sizes[:, None].clamp_min(1)
        self.table = PrototypeTable(self._scaled(means), held.offsets)
        xyz = torch.zeros(len(sizes), 3, dtype=torch.float64)
        xyz.index_add_(0, owner, sphere.to_unit(self.places[held.members]))
        self._means = sphere.to_latlon(xyz) if len(sizes) else torch.empty(0, 2).double()

    def _scaled(self, vectors: Tensor) -> Tensor:
        return torch.nn.functional.normalize(vectors, dim=1) if self.config.unit else vectors

    def ready(self, features: Tensor) -> Tensor:
        """Embeddings as they are compared: float32, of unit length if the configuration says so.

        Raises
        ------
        ValueError
            If a row is not finite; it is named.
        """
        bad = (~features.isfinite()).any(1).nonzero()
        if len(bad):
            raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
        return self._scaled(features.float())

    def reconfigured(self, **changes: object) -> ProtoNet:
        """Return the same prototypes, choosing otherwise.

        Raises
        ------
        ValueError
            If a change asks for other prototypes.
        """
        made = {"min_samples", "xi", "unit"} & set(changes)
        if made:
            raise ValueError(f"{', '.join(sorted(made))} makes other prototypes: fit again")
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

        Raises
        ------
        ValueError
            If shapes disagree, or a row is not finite (it is named).
        """
        features = self.ready(features)
        if chances.shape != (len(features), len(self.cell_points)):
            raise ValueError(
                f"chances are {tuple(chances.shape)}, not one for each of {len(features)} photos "
                f"and {len(self.cell_points)} cells"
            )
        top, cells = best_cells(chances.float(), self.config.top_k)
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
        photo, cluster = asked[:, 0], nearest[nearest >= 0]
        if self.config.member == "mean":
            points[photo, asked[:, 1]] = self._means[cluster]
            return points
        least = self.config.member == "farthest"
        rows = alike_members(self.clusters, self.features, features, photo, cluster, least=least)
        points[photo, asked[:, 1]] = self.places[rows]
        return points

    def tuned(
        self,
        features: Tensor,
        chances: Tensor,
        places: Tensor,
        temperatures: Sequence[float] | None = None,
    ) -> ProtoNet:
        """Choose T on validation photos: the smallest median error, then the best score.

        Parameters
        ----------
        temperatures : sequence of float, optional
            By default shares, 0.01 to 2, of the median distance from a photo to a prototype.

        Raises
        ------
        ValueError
            If there is no temperature or no photo to choose by.
        """
        if temperatures is None:
            temperatures = [share * self.distance_scale(features) for share in _SHARES]
        if not (len(temperatures) and len(features)):
            raise ValueError(f"{len(temperatures)} temperatures, {len(features)} photos: give some")
        truth = torch.as_tensor(places).numpy()

        def error(temperature: float) -> tuple[float, float]:
            said = self.reconfigured(temperature=temperature).refine(features, chances).mode()
            km = errors_km(said.numpy(), truth)
            return float(np.median(km)), -float(geoguessr_score(km).mean())

        return self.reconfigured(temperature=min(temperatures, key=error))

    def distance_scale(self, features: Tensor) -> float:
        """Median distance between photos and prototypes: the unit that T should have.

        1 where there is nothing to measure: no prototypes, or embeddings that are all equal.
        """
        some = self.table.vectors[:: max(1, len(self.table.vectors) // 500)]
        apart = torch.cdist(self.ready(features[:500]), some)
        return float(apart.median()) or 1.0 if apart.numel() else 1.0

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


def best_cells(chances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Chances and numbers (B, k) of the best cells, best first; of equals the lower number.

    `torch.topk` promises no order of equals, and picks any of those that tie for the last place.

    Examples
    --------
    >>> best_cells(torch.full((1, 8), 0.125), 3)[1]
    tensor([[0, 1, 2]])
    """
    k = min(k, chances.shape[1])
    top, cells = chances.topk(k, dim=1)
    tied = (chances >= top[:, -1:]).sum(1) > k
    if tied.any():
        cells[tied] = chances[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
    cells = cells.sort(dim=1).values
    top, order = chances.gather(1, cells).sort(dim=1, descending=True, stable=True)
    return top, cells.gather(1, order)
