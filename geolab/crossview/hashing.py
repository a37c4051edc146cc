r"""Embeddings to binary codes: learned hash heads, random hyperplanes and ITQ.

A code of b bits takes b / 8 bytes and is compared by counting bits (`geolab.kernels.hamming_topk`).
Three ways to make one, all by the sign of b numbers:

- `random_hyperplanes` (LSH, Charikar, STOC 2002): b random projections. The share of equal bits
  estimates the angle, ever better with b. Nothing is learnt.
- `itq` (Gong and Lazebnik, CVPR 2011): the b strongest principal directions, turned so that signs
  lose least; no more bits than dimensions.
- `fit_hash_heads`: a small network for each view, z, relaxed to u = tanh(beta z) with beta rising
  from 1 to 10, trained to match pairs:

.. math:: L = \mathrm{InfoNCE}(u_s, u_a) + 0.1\,\overline{(|u| - 1)^2} + 0.1\,\overline{\bar u^2}

  (matching, sharpness, balance of each bit over the batch).

Features are centred by the mean of what was fitted, each view by its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.crossview.towers import symmetric_infonce
from geolab.training import Batch, History, TrainConfig, train

_SHARP, _BALANCE = 0.1, 0.1
_BETA = (1.0, 10.0)
_ITQ_STEPS = 50


@dataclass(frozen=True)
class Hasher:
    """Linear or learnt maps from the features of each view to b numbers, whose signs are the code.

    Attributes
    ----------
    bits : int
    street, aerial : nn.Module
        Features (N, D) -> (N, bits).
    name : str
    """

    bits: int
    street: nn.Module
    aerial: nn.Module
    name: str

    @torch.no_grad()
    def signs(self, *, street: Tensor | None = None, aerial: Tensor | None = None) -> Tensor:
        """Codes as +1 and -1, float32 (N, bits); zero counts as +1."""
        if (street is None) == (aerial is None):
            raise ValueError("give street or aerial features, one of the two")
        z = self.street(street) if aerial is None else self.aerial(aerial)
        return torch.where(z >= 0, 1.0, -1.0)


class _Linear(nn.Module):
    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.mean, self.matrix = mean, matrix

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) @ self.matrix


def pack(signs: Tensor) -> np.ndarray:
    """Pack codes to bytes: (N, bits) of +1 and -1 -> uint8 (N, ceil(bits / 8)).

    Unused bits of the last byte are zero; give `n_bits` to `hamming_topk`.

    Examples
    --------
    >>> pack(torch.tensor([[1.0, -1, -1, -1, -1, -1, -1, 1, 1, -1]]))
    array([[129, 128]], dtype=uint8)
    """
    return np.packbits(signs.numpy() > 0, axis=1)


def _check_bits(bits: int, limit: int | None = None) -> None:
    if bits < 1:
        raise ValueError(f"a code of {bits} bits says nothing; ask for 1 or more")
    if limit is not None and bits > limit:
        raise ValueError(
            f"ITQ can't make {bits} bits of {limit} dimensions; ask for {limit} or fewer"
        )


def random_hyperplanes(street: Tensor, aerial: Tensor, bits: int, *, seed: int = 0) -> Hasher:
    """LSH: signs of random projections, the same for both views.

    Parameters
    ----------
    street, aerial : Tensor, shape (N, D)
        Features whose means centre the projections.

    Raises
    ------
    ValueError
        If `bits` is under 1.
    """
    _check_bits(bits)
    rng = torch.Generator().manual_seed(seed)
    matrix = torch.randn(street.shape[1], bits, generator=rng)
    views = (_Linear(view.mean(0), matrix) for view in (street, aerial))
    return Hasher(bits, *views, name="random hyperplanes")


def itq(street: Tensor, aerial: Tensor, bits: int, *, seed: int = 0) -> Hasher:
    """ITQ on the features of both views together.

    Raises
    ------
    ValueError
        If `bits` is under 1 or above the number of dimensions.
    """
    _check_bits(bits, street.shape[1])
    both = torch.cat([street - street.mean(0), aerial - aerial.mean(0)])
    values, vectors = torch.linalg.eigh(both.T @ both)
    main = vectors[:, values.argsort(descending=True)[:bits]]  # (D, bits)
    projected = both @ main
    rng = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(bits, bits, generator=rng))[0]
    for _ in range(_ITQ_STEPS):
        codes = torch.where(projected @ turn >= 0, 1.0, -1.0)
        u, _, vt = torch.linalg.svd(codes.T @ projected)
        turn = (u @ vt).T
    views = (_Linear(view.mean(0), main @ turn) for view in (street, aerial))
    return Hasher(bits, *views, name="ITQ")


@dataclass(frozen=True)
class HashConfig:
    """How hash heads learn.

    Attributes
    ----------
    hidden : int
        Width of their one hidden layer; 0 for none.
    """

    hidden: int = 512
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=12, batch_size=256, lr=2e-3, clip_norm=1.0)
    )


class _Head(nn.Module):
    def __init__(self, mean: Tensor, bits: int, hidden: int) -> None:
        super().__init__()
        dim = len(mean)
        self.register_buffer("mean", mean.clone())
        deep = (nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, bits))
        self.net = nn.Sequential(*(deep if hidden else (nn.Linear(dim, bits),)))

    def forward(self, features: Tensor) -> Tensor:
        scaled = (features - self.mean) * math.sqrt(features.shape[-1])
        return self.net(scaled)


class _Heads(nn.Module):
    def __init__(self, street: Tensor, aerial: Tensor, bits: int, hidden: int) -> None:
        super().__init__()
        self.street = _Head(street.mean(0), bits, hidden)
        self.aerial = _Head(aerial.mean(0), bits, hidden)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.register_buffer("step", torch.zeros(()))

    def forward(self, street: Tensor, aerial: Tensor, n_steps: int) -> Tensor:
        """Loss of a batch; beta rises with the steps taken."""
        share = float(self.step) / max(1, n_steps)
        beta = _BETA[0] + (_BETA[1] - _BETA[0]) * min(1.0, share)
        if self.training:
            self.step += 1
        u, v = (torch.tanh(beta * z) for z in (self.street(street), self.aerial(aerial)))
        scale = self.log_scale.clamp(max=math.log(100)).exp()
        match = symmetric_infonce(F.normalize(u, dim=1), F.normalize(v, dim=1), scale, 0.0)
        sharp = sum(((w.abs() - 1) ** 2).mean() for w in (u, v)) / 2
        balance = sum((w.mean(0) ** 2).mean() for w in (u, v)) / 2
        return match + _SHARP * sharp + _BALANCE * balance


def fit_hash_heads(
    street: Tensor, aerial: Tensor, bits: int, config: HashConfig | None = None
) -> tuple[Hasher, History]:
    """Train a hash head for each view on the embeddings of pairs.

    Parameters
    ----------
    street, aerial : Tensor, shape (N, D)
        Row i of both is one place.
    bits : int
        Any number; no multiple of eight is needed.

    Raises
    ------
    ValueError
        If `bits` is under 1 or the views differ in length.
    """
    config = config or HashConfig()
    _check_bits(bits)
    if street.shape != aerial.shape:
        raise ValueError(f"views must pair: {tuple(street.shape)} and {tuple(aerial.shape)}")
    with torch.random.fork_rng([]):
        torch.manual_seed(config.train.seed)
        heads = _Heads(street, aerial, bits, config.hidden)
    n_steps = config.train.epochs * math.ceil(len(street) / config.train.batch_size)

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        rows = batch.rows
        s, a = street.to(rows.device)[rows], aerial.to(rows.device)[rows]
        return model(s, a, n_steps) * len(rows), len(rows)

    history = train(heads, len(street), loss, config.train)
    heads.cpu()
    return Hasher(bits, heads.street, heads.aerial, "learned"), history
