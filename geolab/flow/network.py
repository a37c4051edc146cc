"""The network of a flow: an MLP whose layers are steered by the photo and by time (AdaLN).

Of a point in R3 it makes a velocity in R3. The photo's embedding and the time are added up to a
condition; from it every block takes a shift, a scale and a gate (Peebles and Xie, "Scalable
diffusion models with transformers", ICCV 2023). The last layer of each block starts at zero, so an
untrained block changes nothing.

The paper's size, width 512, 12 blocks, embeddings of 1,024 numbers, has 36,034,563 weights:

>>> with torch.device("meta"):
...     sum(p.numel() for p in FlowNetwork(1024, NetworkConfig(512, 12)).parameters())
36034563

The condition does not know the point, so its part is computed once for all points of a photo.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class NetworkConfig:
    """Size of a network.

    Attributes
    ----------
    width, depth : int
        Numbers a layer (a multiple of 8), and blocks.
    expansion : int
        Of the hidden layer in each block.

    Raises
    ------
    ValueError
        If a size is not positive, or `width` no multiple of 8.
    """

    width: int = 128
    depth: int = 4
    expansion: int = 4

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.expansion) < 1 or self.width % 8:
            raise ValueError("width, depth and expansion must be positive, width a multiple of 8")


class Block(nn.Module):
    """Residual block: norm, shift and scale by the condition, MLP, gate."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.width * config.expansion
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.steer = nn.Linear(width, 3 * width)
        self.grow, self.shrink = nn.Linear(width, hidden), nn.Linear(hidden, width)
        nn.init.zeros_(self.shrink.weight)
        nn.init.zeros_(self.shrink.bias)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """Change h (..., W) as the condition (..., W), already through SiLU, says."""
        scale, shift, gate = self.steer(condition).chunk(3, dim=-1)
        inner = self.norm(h) * (1 + scale) + shift
        return h + gate * self.shrink(F.gelu(self.grow(inner)))


class Trunk(nn.Module):
    """Blocks and a last steered layer: hidden numbers to `n_out` numbers."""

    def __init__(self, config: NetworkConfig, n_out: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.steer = nn.Linear(config.width, 2 * config.width)
        self.leave = nn.Linear(config.width, n_out)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """Numbers (..., n_out) of h (..., W) under a condition (..., W)."""
        condition = F.silu(condition)
        for block in self.blocks:
            h = block(h, condition)
        scale, shift = self.steer(condition).chunk(2, dim=-1)
        return self.leave(self.norm(h) * (1 + scale) + shift)


class FlowNetwork(nn.Module):
    """Velocity (or noise) at points, for embeddings of D numbers.

    Parameters
    ----------
    dim : int
        D.
    config : NetworkConfig, optional

    Attributes
    ----------
    mean, std : buffers (D,)
        What embeddings are standardised by. Zero stands for "no photo" *after* that.
    """

    def __init__(self, dim: int, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        width = self.config.width
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.enter = nn.Linear(3, width)
        self.photo = nn.Linear(dim, width)
        self.time = nn.Sequential(nn.Linear(width // 4, width), nn.SiLU(), nn.Linear(width, width))
        self.trunk = Trunk(self.config, 3)

    def forward(self, xyz: Tensor, g: Tensor, condition: Tensor) -> Tensor:
        """Velocity at each point.

        Parameters
        ----------
        xyz : Tensor, shape (B, 3) or (B, M, 3)
        g : Tensor, shape (B,) or ()
            Time, 0 for noise and 1 for data.
        condition : Tensor, shape (B, D)
            From `standardise`; zeros for "no photo".
        """
        told = self.photo(condition) + self.time(fourier(g, self.config.width // 4))  # (B, W)
        told = told[:, None] if xyz.ndim == 3 else told  # (B, W) -> (B, 1, W)
        return self.trunk(self.enter(xyz), told)

    def standardise(self, embedding: Tensor) -> Tensor:
        """Condition (B, D) of embeddings (B, D), on the network's device.

        Raises
        ------
        ValueError
            If they have another length, or one is not finite (its row is named).
        """
        return (checked_embedding(embedding, self.mean) - self.mean) / self.std

    @torch.no_grad()
    def fit_scale(self, embedding: Tensor) -> None:
        """Take mean and deviation from training embeddings (N, D)."""
        known = checked_embedding(embedding, self.mean)
        self.mean.copy_(known.mean(0))
        self.std.copy_(known.std(0, correction=0).clamp_min(1e-6))


def checked_embedding(embedding: Tensor, mean: Tensor) -> Tensor:
    """Embeddings (B, D) as float32 on the device of `mean`; refuse what does not fit."""
    if embedding.ndim != 2 or embedding.shape[1] != len(mean):
        raise ValueError(
            f"embeddings must have shape (B, {len(mean)}), not {tuple(embedding.shape)}: take the "
            "encoder and feature that the network was taught with"
        )
    bad = (~embedding.isfinite()).any(1).nonzero()
    if len(bad):
        raise ValueError(f"embedding row {int(bad[0])} is not finite: embed the photo again")
    return embedding.to(mean.device, torch.float32)


def fourier(g: Tensor, width: int) -> Tensor:
    """Sines and cosines of 1,000 g, (..., width), with mean square one.

    Examples
    --------
    >>> fourier(torch.tensor([0.0, 0.5]), 32).square().mean(-1)
    tensor([1.0000, 1.0000])
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=g.device) / half
    rate = torch.exp(-math.log(10_000.0) * steps)
    angle = 1000.0 * g.float()[..., None] * rate
    return math.sqrt(2.0) * torch.cat([angle.sin(), angle.cos()], dim=-1)


def drop_condition(condition: Tensor, draws: Tensor, share: float) -> Tensor:
    """Replace conditions (B, D) by zeros where a uniform draw (B,) is below `share`."""
    return condition * (draws >= share).to(condition)[:, None]
