r"""What a system claims, against what came true: likelihood and calibration of a table's row.

Kilometres judge the point of an answer. Two more figures judge the rest of it:

- **nats per steradian** (`nll`): negative log-likelihood of the true place, in one unit for cells,
  neighbours, galleries and samples alike (`geolab.likelihood`). Knowing nothing costs 2.531; more
  than that misleads. Its kernel is chosen by one half of the photographers for the other half, and
  the other way round, so that no photo chooses the width it is judged by.
- **claims 200 km %** (`claimed_200`): the probability that the answer puts within 200 km of its
  point, on average. It may be read beside "200 km %", the share of photos for which that was true:
  a system that claims 60 % and reaches 20 % is three times too sure. **ECE** (`ece_200`) compares
  the two for photos of like confidence, in ten bins of equal size:

  .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N} \left| \overline{\mathrm{claimed}}_b -
            \mathrm{reached}_b \right|

  (Naeini, Cooper and Hauskrecht, AAAI 2015.) It cannot be negative, so few photos show some ECE
  even for a perfect system; its interval shares that fault.

A photo without an answer counts as a uniform density, and claims nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from geolab import sphere
from geolab.intervals import Estimate, bootstrap_means, group_index, resamples, with_interval
from geolab.likelihood import SIGMAS_KM, UNIFORM_NLL, kernels_at, width_of, with_floor
from geolab.metrics import uniform_chance
from geolab.posterior import Posterior
from geolab.sphere import ArrayLike

CLAIM_KM = 200.0
N_BINS = 10
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Claims:
    """What has to be kept of the answers for N photos; NaN where there is none.

    Attributes
    ----------
    kernels : ndarray of float64, shape (N, S)
        Log-density of the kernels at the truth, for each of `geolab.likelihood.SIGMAS_KM`.
    mass : ndarray of float64, shape (N,)
        Probability within 200 km of the point that was answered.
    """

    kernels: np.ndarray
    mass: np.ndarray

    @classmethod
    def none(cls, n: int) -> Claims:
        """Claims of n photos that nobody answered yet."""
        return cls(np.full((n, len(SIGMAS_KM)), np.nan), np.full(n, np.nan))

    def put(self, rows: np.ndarray, said: Claims) -> None:
        """Fill in some photos."""
        self.kernels[rows], self.mass[rows] = said.kernels, said.mass

    def __getitem__(self, rows: np.ndarray) -> Claims:
        """Return some of the photos."""
        return Claims(self.kernels[rows], self.mass[rows])


def claims_of(posterior: Posterior, points: np.ndarray, truth: np.ndarray) -> Claims:
    """What answers claim.

    Parameters
    ----------
    posterior : Posterior
        Of N photos.
    points : ndarray, shape (N, 2)
        Point that was answered, degrees; NaN for a photo without an answer.
    truth : ndarray, shape (N, 2)
        Degrees.

    Returns
    -------
    Claims

    Raises
    ------
    ValueError
        If there are not as many answers as photos.
    """
    if not len(posterior) == len(points) == len(truth):
        raise ValueError(f"{len(posterior)} answers, {len(points)} points, {len(truth)} places")
    claims, rows = Claims.none(len(truth)), np.flatnonzero(~np.isnan(points).any(1))
    block = max(1, _BLOCK // posterior.support_size)
    for some in np.array_split(rows, -(-len(rows) // block) or 1):
        if len(some):
            answers = posterior[torch.from_numpy(some)]
            kernels = kernels_at(answers, truth[some]).numpy(force=True)
            claims.put(some, Claims(kernels, _mass(answers, points[some])))
    return claims


def _mass(posterior: Posterior, points: np.ndarray) -> np.ndarray:
    """Probability within `CLAIM_KM` of points (b, 2): (b,)."""
    places = posterior.latlon.double().cpu()
    km = sphere.great_circle_km(torch.from_numpy(points).double()[:, None], places)  # (b, K)
    return ((km <= CLAIM_KM) * posterior.weight.double().cpu()).sum(1).clamp(max=1).numpy()


def judge(
    claims: Claims,
    errors_km: np.ndarray,
    *,
    groups: Sequence[object] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Columns of a row: ``nll``, ``claimed_200`` and ``ece_200``, with 95 % intervals.

    Parameters
    ----------
    claims : Claims
        Of N photos.
    errors_km : ndarray, shape (N,)
        Infinite where there is no answer.
    groups : sequence of N labels, optional
        Photographers, who are resampled, and never on both sides of the choice of a width.

    Returns
    -------
    dict of str to Estimate
        Without ``nll`` where one half has no answer to choose a width by.
    """
    index, n_groups = group_index(groups, len(errors_km))
    how = {"n_boot": n_boot, "seed": seed}
    out = {}
    lost = crossed_nll(claims.kernels, index, seed)
    if lost is not None:
        out["nll"] = nll_estimate(lost, groups=index.tolist(), **how)
    mass, hit = np.nan_to_num(claims.mass), (errors_km <= CLAIM_KM).astype(float)
    means = bootstrap_means(100 * mass[:, None], index, n_groups, **how)[:, 0]
    out["claimed_200"] = with_interval(100 * mass.mean(), means, n_groups)
    out["ece_200"] = _ece(mass, hit, index, n_groups, **how)
    return out


def crossed_nll(kernels: np.ndarray, index: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """NLL of N photos, each with the width that the other half of the groups chose.

    Parameters
    ----------
    kernels : ndarray, shape (N, S)
        NaN for a photo without an answer, which counts as `UNIFORM_NLL`.
    index : ndarray of int64, shape (N,)
        Group of each photo.

    Returns
    -------
    ndarray of float64, shape (N,), or None
        None if a half has no answer.
    """
    order = np.random.default_rng(seed).permutation(index.max() + 1)
    half = np.isin(index, order[: len(order) // 2])  # (N,)
    answered = ~np.isnan(kernels).any(1)
    out = np.full(len(kernels), UNIFORM_NLL)
    for side in (half, ~half):
        chosen, judged = side & answered, ~side & answered
        if not chosen.any():
            return None
        width = width_of(torch.from_numpy(kernels[chosen]))
        column = torch.from_numpy(kernels[judged, SIGMAS_KM.index(width.sigma_km)])
        out[judged] = -with_floor(column, width.floor).numpy()
    return out


def nll_estimate(
    values: ArrayLike,
    *,
    groups: Sequence[object] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Mean of NLLs (N,) with its 95 % interval, by photographers where they are given.

    Raises
    ------
    ValueError
        If there is no value, or one is NaN or infinite (its row is named).
    """
    held = np.asarray(values, dtype=np.float64)
    if held.ndim != 1 or not len(held):
        raise ValueError(f"values must be a list of at least one figure, not shape {held.shape}")
    bad = np.flatnonzero(~np.isfinite(held))
    if len(bad):
        raise ValueError(f"values row {bad[0]} is {held[bad[0]]}: give the density a floor")
    index, n_groups = group_index(groups, len(held))
    samples = bootstrap_means(held[:, None], index, n_groups, n_boot=n_boot, seed=seed)
    return with_interval(held.mean(), samples[:, 0], n_groups)


def _ece(
    mass: np.ndarray, hit: np.ndarray, index: np.ndarray, n_groups: int, *, n_boot: int, seed: int
) -> Estimate:
    """Expected calibration error in points, bins fixed by the photos as they are."""
    edges = np.unique(np.quantile(mass, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, mass, side="right")  # (N,): equal claims share a bin
    gaps = np.zeros((n_groups, len(edges) + 1))
    np.add.at(gaps, (index, bins), mass - hit)
    sizes = np.bincount(index, minlength=n_groups)
    drawn = resamples(n_groups, n_boot, seed)
    samples = np.concatenate([np.abs(c @ gaps).sum(1) / (c @ sizes) for c in drawn])
    value = np.abs(gaps.sum(0)).sum() / len(mass)
    return with_interval(100 * value, 100 * samples, n_groups)


def chance_claims() -> dict[str, Estimate]:
    """Columns of the uniform density, in closed form: it claims what it reaches."""
    return {
        "nll": Estimate(UNIFORM_NLL),
        "claimed_200": Estimate(100 * float(uniform_chance(CLAIM_KM))),
        "ece_200": Estimate(0.0),
    }
