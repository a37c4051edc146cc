r"""How much an answer says, what that is worth, and whether a set of answers looks like the world.

- `localizability`: :math:`L = E[\log_2 p] + \log_2 4\pi` bits, 0 for "anywhere", one more for each
  halving of the plausible area (`equivalent_area_km2`). The released code divides by :math:`4\pi`
  instead of adding its logarithm: a scale, not a normalisation.
- `risk_coverage`: answer the surest photos only, and see what the error becomes.
- `set_metrics`: precision, recall, density and coverage of a *set* of answers against the set of
  true places (Kynkäänniemi et al., NeurIPS 2019; Naeem et al., ICML 2020), by great-circle
  distance. **They look at the map of all answers, never at one photo's error.** Answers dealt to
  the wrong photos score exactly the same: a system that does not look at the photo can have them
  all near 1. `shuffled` makes that counter-example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.sphere import EARTH_RADIUS_KM, ArrayLike, check_latlon

EARTH_AREA_KM2 = 4 * math.pi * EARTH_RADIUS_KM**2


def localizability(log_p: Tensor) -> Tensor:
    """Bits of each photo from log-densities (B, M) of samples of its *own* answer: (B,).

    Raises
    ------
    ValueError
        If there are no samples, or a value is not finite (its row is named).

    Examples
    --------
    >>> localizability(torch.zeros(1, 3)).round(decimals=2)
    tensor([3.6500], dtype=torch.float64)
    """
    values = torch.as_tensor(log_p).double()
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"log_p must be (B, M) with M >= 1, not {tuple(values.shape)}")
    bad = (~values.isfinite()).any(1).nonzero()
    if len(bad):
        raise ValueError(f"row {int(bad[0])} of log_p is not finite")
    return (values + math.log(4 * math.pi)).mean(1) / math.log(2)


def equivalent_area_km2(bits: ArrayLike | float) -> Tensor:
    """Area over which an even answer would have so many bits.

    Examples
    --------
    >>> f"{float(equivalent_area_km2(10.0)):,.0f}"  # about Spain
    '498,111'
    """
    return EARTH_AREA_KM2 * torch.exp2(-torch.as_tensor(bits, dtype=torch.float64))


@dataclass(frozen=True)
class RiskCoverage:
    """Error of the photos that are answered, as fewer and fewer are.

    Attributes
    ----------
    coverage : ndarray, shape (N,)
        Share answered, from 1 / N (the surest alone) to 1.
    risk : ndarray, shape (N,)
        Mean loss of those.
    threshold : ndarray, shape (N,)
        Least confidence that is answered: "refuse below".
    """

    coverage: np.ndarray
    risk: np.ndarray
    threshold: np.ndarray

    @property
    def area(self) -> float:
        """Mean risk over all coverages; less is better, and random confidence gives the mean."""
        return float(self.risk.mean())

    def at(self, coverage: float) -> float:
        """Risk when at least this share is answered."""
        return float(self.risk[min(np.searchsorted(self.coverage, coverage), len(self.risk) - 1)])


def risk_coverage(confidence: ArrayLike, loss: ArrayLike) -> RiskCoverage:
    """Sort photos by confidence and accumulate their loss.

    Photos of equal confidence are answered together: each gets the mean loss of them all, so that
    the order of the file decides nothing.

    Parameters
    ----------
    confidence, loss : array_like, shape (N,)
        Such as bits, and kilometres or 5,000 less the score.

    Raises
    ------
    ValueError
        If lengths disagree, there is no photo, or a value is NaN or an infinite loss (the row is
        named: give misses a finite loss).

    Examples
    --------
    >>> curve = risk_coverage([3.0, 1.0, 2.0], [10.0, 90.0, 20.0])
    >>> curve.risk.tolist(), curve.at(0.6)
    ([10.0, 15.0, 40.0], 15.0)
    """
    sure = np.asarray(confidence, dtype=np.float64)
    lost = np.asarray(loss, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != lost.shape or not len(sure):
        raise ValueError(f"confidence {sure.shape} and loss {lost.shape} must be (N,) with N >= 1")
    bad = np.flatnonzero(np.isnan(sure) | ~np.isfinite(lost))
    if len(bad):
        raise ValueError(f"row {bad[0]}: confidence {sure[bad[0]]}, loss {lost[bad[0]]}")
    order = np.argsort(-sure, kind="stable")
    _, tie = np.unique(-sure[order], return_inverse=True)
    even = np.bincount(tie, lost[order]) / np.bincount(tie)
    n = np.arange(1, len(sure) + 1)
    return RiskCoverage(n / len(sure), np.cumsum(even[tie]) / n, sure[order])


@dataclass(frozen=True)
class SetMetrics:
    """Two sets of places compared.

    Attributes
    ----------
    precision, recall, density, coverage : float
        Share of answers near true places; share of true places near answers; how many true
        neighbourhoods an answer lies in, over k (may exceed 1); share of true neighbourhoods with
        an answer.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def set_metrics(
    answers: ArrayLike, truth: ArrayLike, *, k: int = 3, chunks: int = 20, seed: int = 0
) -> SetMetrics:
    """Compare one answer a photo with the true places, as sets.

    Parameters
    ----------
    answers, truth : array_like, shape (N, 2)
        Degrees; the order of either does not matter but for the chunks.
    k : int
        Neighbours that make a neighbourhood, itself not counted.
    chunks : int
        Both sets are shuffled together and cut; figures are means over the chunks, as in the
        paper. Chunks with too few photos are not made: there may be fewer of them.

    Raises
    ------
    ValueError
        If lengths disagree, there are not more than k photos, or a coordinate is not on Earth.
    """
    said, real = check_latlon(answers, "answers"), check_latlon(truth, "truth")
    if said.shape != real.shape or said.ndim != 2:
        raise ValueError(f"answers {tuple(said.shape)} and truth {tuple(real.shape)} must be alike")
    if not 1 <= k < len(said):
        raise ValueError(f"{len(said)} photos have no {k} neighbours: k must be below their number")
    order = np.random.default_rng(seed).permutation(len(said))
    parts = np.array_split(order, max(1, min(chunks, len(said) // (k + 1))))
    rows = [_one_chunk(said[part].double(), real[part].double(), k) for part in parts]
    return SetMetrics(*np.mean(rows, axis=0).tolist())


def _one_chunk(said: Tensor, real: Tensor, k: int) -> tuple[float, float, float, float]:
    across = sphere.great_circle_matrix(real, said)  # (N, M)
    near_real = across <= _reach_km(real, k)[:, None]
    near_said = across <= _reach_km(said, k)[None]
    return (
        float(near_real.any(0).double().mean()),
        float(near_said.any(1).double().mean()),
        float(near_real.double().sum(0).mean() / k),
        float(near_real.any(1).double().mean()),
    )


def _reach_km(places: Tensor, k: int) -> Tensor:
    """Distance of each place to its k-th neighbour, (N,)."""
    km = sphere.great_circle_matrix(places, places).fill_diagonal_(math.inf)
    return km.kthvalue(k, dim=1).values


def shuffled(answers: ArrayLike, seed: int = 0) -> Tensor:
    """Deal answers (N, 2) to other photos: the same set, and no photo has been looked at."""
    places = check_latlon(answers, "answers")
    return places[torch.from_numpy(np.random.default_rng(seed).permutation(len(places)))]


def refuse_below(bits: ArrayLike, least: float) -> np.ndarray:
    """Which photos to answer, (N,) bool: those with at least so many bits."""
    return np.asarray(bits, dtype=np.float64) >= least
