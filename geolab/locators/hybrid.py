r"""OSV-5M's best head: quadtree cells with a loss on every level, and a step inside the cell.

Astruc et al., CVPR 2024. On an embedding of D numbers stand, for each of C leaves of a quadtree, a
logit and an offset of two numbers.

**Hierarchical cross-entropy.** With p the softmax over leaves and M_d the 0/1 matrix of which leaf
lies in which box of depth d, the chance of a box is the sum of its leaves, and

.. math:: L_h = -\frac1L \sum_{d=1}^{L} \log (p M_d)_{\mathrm{true\ box\ of\ depth\ } d}

so that a leaf next door costs less than one across the world.

**Hybrid regression.** The answer is the centre of the best leaf plus its offset times half the
leaf's size. In training the offset of the *true* leaf is compared with where the photo lies in it,
in units of the leaf: (0, 0) is the centre, 1 the edge.

.. math:: L = L_h + \lVert o_{c} - u \rVert^2

The paper adds a contrastive loss between photos of a region, which trains the encoder; here the
encoder stays as it is, so it has no place. ``step=False`` answers with the leaf's mean instead.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.cells.quadtree import QuadtreePartition
from geolab.locators.head_network import HEAD_TRAINING
from geolab.metrics import errors_km
from geolab.posterior import Posterior
from geolab.training import Batch, History, TrainConfig, train

_BATCH = 4096
_FLOOR = 1e-12


@dataclass(frozen=True)
class HybridConfig:
    """How to train a hybrid head.

    Attributes
    ----------
    hierarchical : bool
        Loss on every depth; else on the leaves alone.
    step : bool
        Regress the place inside the leaf; else answer with the mean of its photos.
    train : TrainConfig
    """

    hierarchical: bool = True
    step: bool = True
    train: TrainConfig = field(default_factory=lambda: replace(HEAD_TRAINING, lr=3e-3))


class _Network(nn.Module):
    def __init__(self, features: Tensor, n_cells: int, *, step: bool) -> None:
        super().__init__()
        self.register_buffer("mean", features.mean(0))
        self.register_buffer("std", features.std(0, correction=0).clamp_min(1e-6))
        dim = features.shape[1]
        self.logits = nn.Linear(dim, n_cells)
        self.offsets = nn.Linear(dim, 2 * n_cells) if step else None
        if step:
            nn.init.zeros_(self.offsets.weight)
            nn.init.zeros_(self.offsets.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (b, C) and offsets (b, C, 2), or None without a step."""
        x = (features.float() - self.mean) / self.std
        offsets = self.offsets(x).unflatten(1, (-1, 2)) if self.offsets else None
        return self.logits(x), offsets


class HybridHead:
    """Leaf and place in it, from embeddings.

    Attributes
    ----------
    partition : QuadtreePartition
    history : History
    """

    partition: QuadtreePartition
    history: History

    def __init__(self, config: HybridConfig | None = None) -> None:
        self.config = config or HybridConfig()

    def fit(
        self,
        features: Tensor,
        places: Tensor,
        partition: QuadtreePartition,
        *,
        validation: tuple[Tensor, Tensor] | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> HybridHead:
        """Learn leaves and offsets.

        Parameters
        ----------
        features : Tensor, shape (N, D)
        places : Tensor, shape (N, 2)
            Degrees.
        validation : tuple of features and places, optional
            By whose median error the epoch is chosen.

        Raises
        ------
        ValueError
            If lengths differ or no photo lies in a leaf.
        """
        places = torch.as_tensor(places).double()
        if len(features) != len(places):
            raise ValueError(f"{len(features)} features, but {len(places)} places")
        self.partition = partition
        leaf = partition.assign(places)
        held = (leaf >= 0).nonzero()[:, 0]
        if not len(held):
            raise ValueError("no photo lies in a leaf: fit the quadtree on these photos")
        with torch.random.fork_rng([]):
            torch.manual_seed(self.config.train.seed)
            step = self.config.step
            self.model = _Network(features[held].float(), len(partition), step=step)
        inside = self._inside(places[held], leaf[held])

        def loss(network: nn.Module, batch: Batch) -> tuple[Tensor, int]:
            rows, device = batch.rows, self.model.mean.device
            own = held[rows.cpu()]
            logits, offsets = network(features[own].to(device))
            cells = leaf[own].to(device)
            lost = self._cell_loss(logits, cells)
            if offsets is not None:
                chosen = offsets[torch.arange(len(cells), device=device), cells]  # (b, 2)
                lost = lost + (chosen - inside[rows.cpu()].to(device)).square().sum()
            return lost, len(rows)

        setting = self.config.train
        self.history = train(
            self.model,
            len(held),
            loss,
            setting if validation else replace(setting, select=""),
            checkpoint=checkpoint,
            identity={
                "partition": partition.hash,
                "head": f"{self.config.hierarchical} {self.config.step}",
            },
            validate=(lambda _: self._figures(*validation)) if validation else None,
            name_of=lambda row: f"photo {int(held[row])}",
            progress=progress,
        )
        return self

    def _cell_loss(self, logits: Tensor, cells: Tensor) -> Tensor:
        """Sum over photos of the mean over depths, or of the leaves alone."""
        if not self.config.hierarchical:
            return F.cross_entropy(logits, cells, reduction="sum")
        return hierarchical_loss(logits, cells, self._membership(logits.device))

    def _membership(self, device: torch.device) -> list[Tensor]:
        deepest = int(self.partition.levels.max())
        return [self.partition.ancestors(d).to(device) for d in range(1, deepest + 1)] or [
            self.partition.ancestors(0).to(device)
        ]

    def _inside(self, places: Tensor, leaf: Tensor) -> Tensor:
        """Where photos lie in their leaf, float32 (n, 2): 0 is the middle, 1 the edge."""
        half = self._half()[leaf]
        return ((places - self.partition.centres[leaf]) / half).float()

    def _half(self) -> Tensor:
        boxes = torch.from_numpy(self.partition.boxes)
        return ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp_min(1e-9)  # (C, 2) degrees

    def _figures(self, features: Tensor, places: Tensor) -> dict[str, float]:
        said = self.locate_features(features).mode()
        km = errors_km(said.numpy(), torch.as_tensor(places).numpy())
        return {"median_km": float(np.median(km))}

    @torch.no_grad()
    def locate_features(self, features: Tensor, k: int = 32) -> Posterior:
        """Answer for features (N, D): the k likeliest leaves, each with its own step.

        Raises
        ------
        RuntimeError
            Before `fit`.
        """
        if not hasattr(self, "model"):
            raise RuntimeError("no head yet: call fit first")
        self.model.eval()
        k = min(k, len(self.partition))
        latlon, weight = [], []
        for block in features.split(_BATCH):
            logits, offsets = self.model(block.to(self.model.mean.device))
            best = logits.softmax(1).cpu().double().topk(k, dim=1)
            weight.append(best.values / best.values.sum(1, keepdim=True))
            latlon.append(self._points(best.indices, offsets))
        return Posterior(torch.cat(latlon), torch.cat(weight))

    def _points(self, leaves: Tensor, offsets: Tensor | None) -> Tensor:
        """Places of leaves (b, k) after their steps, kept inside the leaf: (b, k, 2) degrees."""
        if offsets is None:
            return self.partition.means[leaves]
        step = offsets.cpu().gather(1, leaves[..., None].expand(-1, -1, 2)).double().clamp(-1, 1)
        return self.partition.centres[leaves] + step * self._half()[leaves]


def hierarchical_loss(logits: Tensor, cells: Tensor, membership: list[Tensor]) -> Tensor:
    """Cross-entropy of boxes at several depths, mean over depths, sum over photos.

    Parameters
    ----------
    logits : Tensor, shape (b, C)
    cells : Tensor of int64, shape (b,)
        True leaf.
    membership : list of Tensor of int64, shape (C,)
        Box of each leaf, one for each depth: the columns of the 0/1 matrices.

    Returns
    -------
    Tensor, shape ()

    Examples
    --------
    >>> two = [torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2])]
    >>> round(hierarchical_loss(torch.zeros(1, 3), torch.tensor([0]), two).item(), 4)
    0.752
    """
    chance = logits.float().softmax(1)
    total = logits.new_zeros((), dtype=torch.float32)
    for box in membership:
        same = box[None] == box[cells][:, None]  # (b, C)
        total = total - (chance * same).sum(1).clamp_min(_FLOOR).log().sum()
    return total / len(membership)
