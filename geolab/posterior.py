"""The one answer type: weighted places on the sphere.

Neighbours with votes, geocells with probabilities, prototypes with scores, samples of a flow, a
language model's guesses: every system of the field ends in a set of places and a weight for each.
`Posterior` holds that for a batch of photos, and what people want to know is derived from it here,
once for all systems: a point (mode, density mode, best expected score), a credible region, and
how localizable the photo is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from geolab import sphere
from geolab.kernels import density_vote
from geolab.sphere import ArrayLike

GEOGUESSR_SCALE_KM = 1492.7
"""Decay length of the GeoGuessr score on the world map (PIGEON, evaluation)."""

_BLOCK = 1 << 21  # support pairs worked on at once


@dataclass(frozen=True)
class Posterior:
    """Weighted places for each of B photos.

    Parameters
    ----------
    latlon : array_like, shape (B, K, 2) or (K, 2)
        Degrees. A support (K, 2) that all photos share is expanded without a copy.
    weight : array_like, shape (B, K)
        Not negative, each row sums to 1.

    Raises
    ------
    ValueError
        If shapes disagree, a coordinate is not on Earth, or a row of weights is negative, not
        finite or does not sum to 1. The message names the row and the value.

    Examples
    --------
    >>> paris, milan, rome = [48.86, 2.35], [45.46, 9.19], [41.89, 12.48]
    >>> post = Posterior([[paris, milan, rome]], [[0.4, 0.25, 0.35]])
    >>> post.mode().tolist()  # the likeliest place is Paris
    [[48.86, 2.35]]
    >>> post.best_score().tolist()  # the one to bet on is Milan: it is far from nothing
    [[45.46, 9.19]]
    """

    latlon: Tensor
    weight: Tensor

    def __post_init__(self) -> None:
        latlon = sphere.check_latlon(self.latlon, "latlon")
        weight = torch.as_tensor(self.weight)
        weight = weight if weight.is_floating_point() else weight.to(torch.float64)
        weight = weight.float() if weight.element_size() < 4 else weight  # half sums too coarsely
        if weight.ndim != 2:
            raise ValueError(f"weight must have shape (B, K), not {tuple(weight.shape)}")
        if latlon.ndim == 2:
            latlon = latlon.expand(len(weight), *latlon.shape)  # (K, 2) -> (B, K, 2)
        if latlon.shape != (*weight.shape, 2):
            raise ValueError(
                f"latlon {tuple(latlon.shape)} and weight {tuple(weight.shape)} do not fit: "
                "expected (B, K, 2) and (B, K)"
            )
        _check_weight(weight)
        object.__setattr__(self, "latlon", latlon)
        object.__setattr__(self, "weight", weight)

    @classmethod
    def from_votes(cls, latlon: ArrayLike, votes: ArrayLike) -> Posterior:
        """Normalise votes (B, K) that are not negative; a row of zeros becomes uniform.

        >>> Posterior.from_votes([[48.86, 2.35], [41.89, 12.48]], [[3, 1], [0, 0]]).weight.tolist()
        [[0.75, 0.25], [0.5, 0.5]]
        """
        votes = torch.as_tensor(votes)
        votes = votes if votes.is_floating_point() else votes.to(torch.float64)
        total = votes.sum(-1, keepdim=True)
        uniform = torch.full_like(votes, 1.0 / max(1, votes.shape[-1]))
        return cls(latlon, torch.where(total > 0, votes / total.where(total > 0, 1.0), uniform))

    @classmethod
    def from_logits(cls, latlon: ArrayLike, logits: Tensor) -> Posterior:
        """Softmax of scores (B, K), taken in float32 at least.

        >>> Posterior.from_logits([[48.9, 2.4], [41.9, 12.5]], torch.zeros(1, 2)).weight.tolist()
        [[0.5, 0.5]]
        """
        return cls(
            latlon, torch.softmax(logits.float() if logits.element_size() < 4 else logits, -1)
        )

    @classmethod
    def cat(cls, parts: list[Posterior]) -> Posterior:
        """Join batches. Shorter supports are filled up with places of weight zero.

        Raises
        ------
        ValueError
            If `parts` is empty.

        >>> one, two = Posterior([[[0, 0]]], [[1]]), Posterior([[[0, 0], [1, 1]]], [[0.5, 0.5]])
        >>> Posterior.cat([one, two]).weight.tolist()
        [[1.0, 0.0], [0.5, 0.5]]
        """
        if not parts:
            raise ValueError("Posterior.cat needs at least one part")
        width = max(part.support_size for part in parts)
        latlon = torch.cat([_widen(part.latlon, width, repeat=True) for part in parts])
        return cls(latlon, torch.cat([_widen(part.weight, width, repeat=False) for part in parts]))

    def __len__(self) -> int:
        """Return the number of photos, B."""
        return len(self.weight)

    def __getitem__(self, rows: slice | Tensor | list | int) -> Posterior:
        """Return some of the photos; a single index keeps the batch axis."""
        rows = [rows] if isinstance(rows, int) else rows
        return Posterior(self.latlon[rows], self.weight[rows])

    @property
    def support_size(self) -> int:
        """Number of places for each photo, K."""
        return self.weight.shape[1]

    def _pick(self, index: Tensor) -> Tensor:
        """Support points at `index` (B,) -> (B, 2)."""
        return self.latlon[torch.arange(len(self), device=index.device), index]

    def mode(self) -> Tensor:
        """Place with the largest weight, (B, 2); the first of equals."""
        return self._pick(self.weight.argmax(-1))

    def mean(self) -> Tensor:
        """Weighted spherical mean, (B, 2); between two modes it can lie at sea.

        >>> Posterior([[[0, 10], [0, 30]]], [[0.5, 0.5]]).mean().round().tolist()
        [[0.0, 20.0]]
        """
        return sphere.spherical_mean(self.latlon, self.weight)

    def density_mode(self, sigma_km: float) -> Tensor:
        """Support point with the most weight around it, (B, 2).

        A Gaussian of great-circle distance with deviation `sigma_km` stands on every place
        (Vo, Jacobs and Hays, "Revisiting IM2GPS", 2017, on the sphere instead of a raster).

        Raises
        ------
        ValueError
            If `sigma_km` is not positive.
        """
        if not len(self):
            return self.mode()
        return self._pick(density_vote(self.latlon, self.weight, sigma_km)[0])

    def best_score(self, scale_km: float = GEOGUESSR_SCALE_KM) -> Tensor:
        """Support point that maximises the expected GeoGuessr score, (B, 2)."""
        return self._pick(self._gather_weight(lambda km: torch.exp(-km / scale_km)).argmax(-1))

    def _gather_weight(self, kernel: Callable[[Tensor], Tensor]) -> Tensor:
        """For each place the kernel-weighted sum over all places, (B, K), in blocks."""
        xyz = sphere.to_unit(self.latlon.double())
        weight = self.weight.double()
        rows = max(1, _BLOCK // max(1, self.support_size**2))
        cols = max(1, _BLOCK // max(1, rows * self.support_size))
        out = torch.empty_like(weight)
        for i in range(0, len(self), rows):
            some, w = xyz[i : i + rows], weight[i : i + rows]
            for j in range(0, self.support_size, cols):
                km = sphere.chord_to_km(some[:, j : j + cols, None], some[:, None])  # (b, c, K)
                out[i : i + rows, j : j + cols] = torch.einsum("bck,bk->bc", kernel(km), w)
        return out

    def entropy(self) -> Tensor:
        """Entropy of the weights in nats, (B,). Depends on how finely the support is cut.

        >>> round(float(Posterior([[[0, 0], [1, 1]]], [[0.5, 0.5]]).entropy()), 3)  # log 2
        0.693
        """
        return -torch.xlogy(self.weight, self.weight).sum(-1)

    def localizability(self, sigma_km: float = 100.0) -> Tensor:
        """How far the answer is from "anywhere", in bits, (B,).

        Every place is blurred by a von Mises-Fisher kernel of angular deviation `sigma_km`, which
        gives a density p, and the result is ``E[log2 p] + log2(4 pi)``: 0 for a uniform answer, one
        more for each halving of the plausible area, whatever the support. (After the localizability
        of "Around the World in 80 Timesteps", 2024, in bits.) The area that answers to L bits is
        ``2**-L`` times 510 million km2.
        """
        kappa = (sphere.EARTH_RADIUS_KM / sigma_km) ** 2
        peak = math.log(2 * kappa) - math.log1p(-math.exp(-2 * kappa))  # relative to uniform
        share = self._gather_weight(
            lambda km: torch.exp(-2 * kappa * torch.sin(km / (2 * sphere.EARTH_RADIUS_KM)) ** 2)
        )
        log_p = torch.log(share.clamp_min(1e-300)) + peak
        return (self.weight.double() * log_p).sum(-1) / math.log(2)

    def credible(self, p: float) -> Tensor:
        """Smallest set of places that holds at least `p` of the weight: a mask (B, K).

        Raises
        ------
        ValueError
            If `p` is not in (0, 1].

        >>> Posterior([[[0, 0], [1, 1], [2, 2]]], [[0.2, 0.5, 0.3]]).credible(0.6).tolist()
        [[False, True, True]]
        """
        if not 0 < p <= 1:
            raise ValueError(f"p must be in (0, 1], not {p}")
        weight, order = self.weight.double().sort(dim=-1, descending=True, stable=True)
        before = weight.cumsum(-1) - weight
        inside = (before < p - 1e-9) & (weight > 0)
        return torch.zeros_like(inside).scatter(-1, order, inside)

    def sorted(self) -> Posterior:
        """Return the same answer with the places in order of weight, the first of equals first."""
        order = self.weight.argsort(dim=-1, descending=True, stable=True)
        latlon = self.latlon.gather(1, order[..., None].expand(*order.shape, 2))
        return Posterior(latlon, self.weight.gather(1, order))

    def top(self, k: int) -> Posterior:
        """Return the `k` heaviest places, weights scaled to sum to 1 again.

        Raises
        ------
        ValueError
            If `k` is not between 1 and K.

        >>> Posterior([[[0, 0], [1, 1], [2, 2]]], [[0.2, 0.5, 0.3]]).top(1).latlon.tolist()
        [[[1.0, 1.0]]]
        """
        if not 1 <= k <= self.support_size:
            raise ValueError(f"k must be between 1 and {self.support_size}, not {k}")
        ordered = self.sorted()
        return Posterior.from_votes(ordered.latlon[:, :k], ordered.weight[:, :k])


def _check_weight(weight: Tensor) -> None:
    if weight.shape[1] == 0:
        raise ValueError("a posterior needs at least one place for each photo (K >= 1)")
    bad = ~torch.isfinite(weight) | (weight < 0)
    if bad.any():
        row, col = torch.nonzero(bad)[0].tolist()
        raise ValueError(f"weight row {row}, place {col} is {weight[row, col].item()}")
    total = weight.double().sum(-1)
    off = (total - 1).abs() > 1e-3
    if off.any():
        row = int(torch.nonzero(off)[0])
        raise ValueError(
            f"weight row {row} sums to {total[row].item():.6g}, not 1; "
            "use Posterior.from_votes to normalise"
        )


def _widen(values: Tensor, width: int, *, repeat: bool) -> Tensor:
    """Fill axis 1 up to `width`, with copies of the last entry or with zeros."""
    missing = width - values.shape[1]
    if not missing:
        return values
    filler = values[:, -1:] if repeat else torch.zeros_like(values[:, -1:])
    return torch.cat([values, filler.expand(len(values), missing, *values.shape[2:])], dim=1)
