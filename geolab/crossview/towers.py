r"""Two small vision transformers, one for each view, and how they learn to agree.

A street strip and a polar aerial tile (`polar`) go through their own convolutional stem and
attention blocks to unit vectors. They are trained on pairs, all others of the batch being wrong:

- "infonce": symmetric cross-entropy of scaled cosines with label smoothing 0.1 and a learnt scale
  (Sample4Geo, Deuser et al., ICCV 2023);
- "triplet": the soft-margin triplet loss over all wrong pairs of the batch, both directions,

.. math:: \log\left(1 + e^{\alpha (d_{pos} - d_{neg})}\right)

  on squared distances with alpha 10 (SAFA, NeurIPS 2019, and the hashing papers).

**Hard negatives** (Sample4Geo): a batch holds groups of places that are mistaken for one another.
At first these are neighbours on the map, after `refresh` epochs the most similar by the towers
themselves; of a pool, some are drawn at random.

**Field of view**: a share of the strips is narrowed at random while training, so that a phone's
photo can be asked too. A heading is assumed known; `turn` trains with random ones instead.

Two things decide whether this trains at all: each picture is normalised by its own mean and
deviation, and the stem is convolutional. Patches cut straight from pixels stayed at chance.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from sklearn.neighbors import BallTree
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.crossview.polar import narrowed, polar_transform, turned
from geolab.crossview.scenes import Pairs
from geolab.kernels import topk
from geolab.training import Batch, History, TrainConfig, train

_BLOCK = 512


@dataclass(frozen=True)
class TowerConfig:
    """Shape of the towers and how they learn.

    Attributes
    ----------
    width, depth, heads, dim : int
        Of the transformer; `dim` is the length of the embedding.
    loss : {"infonce", "triplet"}
    alpha : float
        Of the triplet loss.
    narrow : float
        Share of the street strips that are narrowed to 180 degrees while training.
    turn : bool
        Turn the strips by a random heading while training.
    group : int
        Places of a batch that are mistaken for one another; 1 for batches at random.
    pool : int
        Of how many most similar places the group is drawn.
    refresh : int
        Epochs between two looks for hard negatives; the first ones are neighbours on the map.
    """

    width: int = 128
    depth: int = 2
    heads: int = 4
    dim: int = 256
    loss: Literal["infonce", "triplet"] = "infonce"
    alpha: float = 10.0
    narrow: float = 0.5
    turn: bool = False
    group: int = 1
    pool: int = 32
    refresh: int = 4
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=12, batch_size=128, lr=1e-3, clip_norm=1.0)
    )

    def __post_init__(self) -> None:
        if self.loss not in ("infonce", "triplet"):
            raise ValueError(f"loss {self.loss!r} must be infonce or triplet")
        if self.group < 1 or self.train.batch_size % self.group:
            raise ValueError(
                f"group {self.group} must divide the batch of {self.train.batch_size} places"
            )


class Tower(nn.Module):
    """Strips in, unit vectors out."""

    def __init__(self, config: TowerConfig, height: int, width: int) -> None:
        super().__init__()
        w = config.width
        self.stem = nn.Sequential(
            nn.Conv2d(3, w // 4, 3, 2, 1), nn.GroupNorm(4, w // 4), nn.GELU(),
            nn.Conv2d(w // 4, w // 2, 3, 2, 1), nn.GroupNorm(4, w // 2), nn.GELU(),
            nn.Conv2d(w // 2, w, 3, 2, 1),
        )  # fmt: skip
        grid = math.ceil(height / 8) * math.ceil(width / 8)
        self.place = nn.Parameter(torch.randn(1, grid, w) * 0.02)
        layer = nn.TransformerEncoderLayer(
            w,
            config.heads,
            2 * w,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(grid * (w // 8))
        self.squeeze = nn.Linear(w, w // 8)
        self.out = nn.Linear(grid * (w // 8), config.dim)

    def forward(self, strips: Tensor) -> Tensor:
        """Embed: uint8 or float (b, 3, H, W) -> (b, dim), unit length."""
        x = strips.float()
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1.0)
        tokens = self.stem(x).flatten(2).transpose(1, 2)  # (b, w, h', w') -> (b, h'w', w)
        tokens = self.squeeze(self.blocks(tokens + self.place))  # keeps where each token stands
        return F.normalize(self.out(self.norm(tokens.flatten(1))).float(), dim=-1)


class Towers(nn.Module):
    """A tower for the street, one for the map, and the learnt scale of their cosines."""

    def __init__(self, config: TowerConfig, height: int, width: int) -> None:
        super().__init__()
        self.config, self.size = config, (height, width)
        self.street, self.aerial = Tower(config, height, width), Tower(config, height, width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, street: Tensor, polar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings of both views and the scale."""
        return (
            self.street(street),
            self.aerial(polar),
            self.log_scale.clamp(max=math.log(100)).exp(),
        )

    @torch.no_grad()
    def embed(self, street: Tensor | None = None, aerial: Tensor | None = None) -> Tensor:
        """Embed street strips, or aerial tiles (polar-transformed here): float32 (N, dim)."""
        if (street is None) == (aerial is None):
            raise ValueError("give street strips or aerial tiles, one of the two")
        tower, given = (self.street, street) if aerial is None else (self.aerial, aerial)
        self.eval()
        device, out = self.log_scale.device, []
        for block in given.split(_BLOCK):
            block = block if aerial is None else polar_transform(block, *self.size)
            out.append(tower(block.to(device)).cpu())
        return torch.cat(out) if out else torch.empty(0, self.config.dim)


def soft_margin_triplet(street: Tensor, aerial: Tensor, alpha: float) -> Tensor:
    """Mean soft-margin triplet loss over all wrong pairs, both directions: (B, D) twice -> ()."""
    distance = 2 - 2 * street @ aerial.T  # squared, (B, B)
    right = distance.diagonal()
    wrong = ~torch.eye(len(right), dtype=torch.bool, device=right.device)
    to_aerial = F.softplus(alpha * (right[:, None] - distance))[wrong]
    to_street = F.softplus(alpha * (right[None] - distance))[wrong]
    return (to_aerial.mean() + to_street.mean()) / 2


def symmetric_infonce(
    street: Tensor, aerial: Tensor, scale: Tensor, smoothing: float = 0.1
) -> Tensor:
    """Symmetric cross-entropy of scaled cosines: (B, D) twice -> ()."""
    logits = scale * street @ aerial.T
    target = torch.arange(len(logits), device=logits.device)
    sides = (F.cross_entropy(x, target, label_smoothing=smoothing) for x in (logits, logits.T))
    return sum(sides) / 2


def fit_towers(
    pairs: Pairs,
    config: TowerConfig | None = None,
    *,
    checkpoint: str | os.PathLike | None = None,
    progress: str = "",
) -> tuple[Towers, History]:
    """Train two towers on pairs.

    Parameters
    ----------
    pairs : Pairs
        At least two.
    checkpoint : path, optional
        As in `geolab.training.train`.

    Returns
    -------
    towers, history

    Raises
    ------
    ValueError
        If there are fewer than two pairs, or hard negatives are asked of places that are unknown.
    """
    config = config or TowerConfig()
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} pairs are too few to tell one place from another")
    if config.group > 1 and not torch.isfinite(pairs.places).all():
        raise ValueError("hard negatives begin with neighbours on the map: places are unknown")
    height, width = pairs.street.shape[-2:]
    with torch.random.fork_rng([]):
        torch.manual_seed(config.train.seed)
        towers = Towers(config, height, width)
    polar = polar_transform(pairs.aerial, height, width)
    hard = _HardNegatives(pairs, polar, config) if config.group > 1 else None
    # with hard negatives the loop draws groups: as many places a step and an epoch as without
    setting = replace(config.train, batch_size=config.train.batch_size // config.group)
    n = max(1, len(pairs) // config.group)
    history = train(
        towers, n, _loss_of(pairs.street, polar, config, hard), setting,
        checkpoint=checkpoint, progress=progress, validate=hard.refresh if hard else None,
    )  # fmt: skip
    return towers, history


def _loss_of(
    street: Tensor, polar: Tensor, config: TowerConfig, hard: _HardNegatives | None
) -> Callable[[nn.Module, Batch], tuple[Tensor, int]]:
    """Loss of one step, for the loop."""

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        rows = batch.rows.cpu()
        rows = hard.grouped(rows, batch.draws.cpu()) if hard else rows
        seen = _augmented(street[rows], rows, batch, config)
        device = batch.rows.device
        s, a, scale = model(seen.to(device), polar[rows].to(device))
        if config.loss == "triplet":
            value = soft_margin_triplet(s, a, config.alpha)
        else:
            value = symmetric_infonce(s, a, scale)
        return value * len(rows), len(rows)

    return loss


def _augmented(strips: Tensor, rows: Tensor, batch: Batch, config: TowerConfig) -> Tensor:
    """Some strips narrowed, and turned if asked; numbers come from the batch's own draws."""
    rng = torch.Generator().manual_seed(int(batch.draws[0, 0].item() * 2**31))
    if config.turn:
        strips = turned(strips, 360 * torch.rand(len(rows), generator=rng))
    chosen = torch.rand(len(rows), generator=rng) < config.narrow
    return torch.where(chosen[:, None, None, None], narrowed(strips, 180.0), strips)


class _HardNegatives:
    """Places that are mistaken for one another, looked for again after some epochs."""

    def __init__(self, pairs: Pairs, polar: Tensor, config: TowerConfig) -> None:
        self.pairs, self.polar, self.config = pairs, polar, config
        self.k = min(config.pool + 1, len(pairs))
        radians = np.radians(pairs.places.numpy())  # float64, for metres
        near = BallTree(radians, metric="haversine").query(radians, self.k, return_distance=False)
        self.table = _others(torch.from_numpy(near))
        self.epoch = 0

    def grouped(self, groups: Tensor, draws: Tensor) -> Tensor:
        """A place of each group and some of its neighbours, none twice: (g,) -> (<= g group,)."""
        within = (draws[:, 0] * self.config.group).long()  # any place of the group may lead it
        rows = (groups * self.config.group + within).clamp(max=len(self.table) - 1)
        table = self.table[rows]  # (g, pool)
        rng = torch.Generator().manual_seed(int(draws[0, 1].item() * 2**31))
        order = torch.rand(table.shape, generator=rng).argsort(1)[:, : self.config.group - 1]
        return torch.cat([rows, table.gather(1, order).flatten()]).unique()

    def refresh(self, model: nn.Module) -> dict[str, float]:
        """After each epoch; looks again every `refresh` epochs."""
        self.epoch += 1
        if self.epoch % self.config.refresh:
            return {}
        towers = getattr(model, "module", model)
        street = towers.embed(street=self.pairs.street)
        with torch.no_grad():
            device = towers.log_scale.device
            parts = [towers.aerial(b.to(device)).cpu() for b in self.polar.split(_BLOCK)]
        self.table = _others(topk(street, torch.cat(parts), self.k)[1])
        towers.train()
        return {}


def _others(neighbours: Tensor) -> Tensor:
    """Drop each row's own number from its neighbours: (N, k) -> (N, k - 1)."""
    own = torch.arange(len(neighbours))[:, None]
    order = (neighbours == own).int().sort(dim=1, stable=True).indices  # itself last
    return neighbours.gather(1, order)[:, :-1].long()
