r"""Negative log-likelihood in nats per steradian: one unit for every system of the kit.

A kilometre error judges one point. A likelihood judges the whole answer: how much probability did
the system put where the photo was taken? Systems answer in different currencies (cells, gallery
places, neighbours, samples), so each `Posterior` is first made a proper density on the sphere:

.. math:: p(x) = \frac{\varepsilon}{4\pi} + (1-\varepsilon) \sum_k w_k\, c(\kappa)\,
          e^{\kappa(\mu_k \cdot x - 1)}, \qquad \kappa = (R / \sigma)^2

a von Mises-Fisher kernel of angular deviation :math:`\sigma` (`sigma_km`) stands on each place, and
a share :math:`\varepsilon` (`floor`) is spread over the Earth. Both integrate to one, so p does.

    width = fit_width(held_answers, held_places)      # chosen on validation, never on test
    nll(answers, places, width).mean()                # nats per steradian; less is better

- A uniform density has :math:`\log 4\pi = 2.531`, whatever the truth (`UNIFORM_NLL`). What is above
  it misleads. A photo without an answer counts as uniform: silence says "anywhere".
- Without the floor a single photo far from all places costs thousands of nats and decides the
  mean. With it, no photo costs more than :math:`\log 4\pi - \log\varepsilon`.
- One width for a system is a choice. It serves a system of a few large cells badly, and says so:
  that is what a likelihood is for. Figures depend on the validation photos through it.

A density of the system's own (a flow, `geolab.flow.density`) needs no kernel and can be lower.

Sources: Fisher, "Dispersion on a sphere", 1953, for the kernel; Dufour, Picard, Kalogeiton and
Landrieu, "Around the World in 80 Timesteps", CVPR 2025, for likelihood as a figure of geolocation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.posterior import Posterior
from geolab.sphere import ArrayLike
from geolab.vmf import log_vmf_constant

UNIFORM_NLL = math.log(4 * math.pi)
"""Of a density that is the same everywhere, nats per steradian."""

SIGMAS_KM = tuple(float(x) for x in np.geomspace(3, 4000, 22).round(1))
FLOORS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.4, 0.7, 0.9, 1.0)
_BLOCK = 1 << 20  # pairs of place and point worked on at once


@dataclass(frozen=True)
class KernelWidth:
    """How a posterior becomes a density.

    Attributes
    ----------
    sigma_km : float
        Angular deviation of the kernel on each place.
    floor : float
        Share that is spread evenly over the Earth.

    Raises
    ------
    ValueError
        If `sigma_km` is not positive and finite, or `floor` is not between 0 and 1.
    """

    sigma_km: float = 200.0
    floor: float = 0.03

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma_km) and self.sigma_km > 0):
            raise ValueError(f"sigma_km must be positive, not {self.sigma_km}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor must be between 0 and 1, not {self.floor}")

    @property
    def kappa(self) -> float:
        """Concentration of the kernel, ``(R / sigma)**2``."""
        return (sphere.EARTH_RADIUS_KM / self.sigma_km) ** 2


def log_density(posterior: Posterior, latlon: ArrayLike, width: KernelWidth) -> Tensor:
    """Logarithm of each photo's density at some points.

    Parameters
    ----------
    posterior : Posterior
        Of B photos.
    latlon : array_like, shape (B, M, 2), or (M, 2) for the same points for all
        Degrees.

    Returns
    -------
    Tensor of float64, shape (B, M)
        Nats per steradian; minus infinity only without a floor.

    Raises
    ------
    ValueError
        If shapes disagree or a coordinate is not on Earth (its row is named).
    """
    points = sphere.to_unit(_points_for(posterior, latlon).double())  # (B, M, 3)
    kernels = _log_kernels(posterior, points, [width.sigma_km])[..., 0]
    return with_floor(kernels, width.floor)


def _points_for(posterior: Posterior, latlon: ArrayLike) -> Tensor:
    points = sphere.check_latlon(latlon).to(posterior.weight.device)
    points = points.expand(len(posterior), *points.shape) if points.ndim == 2 else points
    if points.ndim != 3 or len(points) != len(posterior):
        raise ValueError(f"{len(posterior)} answers, but points of shape {tuple(points.shape)}")
    return points


def with_floor(log_p: Tensor, floor: float) -> Tensor:
    """Mix a density with the uniform one: log-densities of any shape in and out.

    For systems with a density of their own; `fit_floor` chooses the share.
    """
    share = torch.tensor([floor, 1 - floor], dtype=torch.float64).log()  # log 0 is fine here
    even = torch.full_like(log_p, float(share[0]) - UNIFORM_NLL)
    return torch.logaddexp(even, float(share[1]) + log_p)


def fit_floor(log_p: Tensor, floors: Sequence[float] = (0.0, *FLOORS)) -> float:
    """Choose the share of the uniform density with the least mean NLL, on photos for choosing.

    Parameters
    ----------
    log_p : Tensor, shape (N,)
        Log-density of a system at the true places.

    Raises
    ------
    ValueError
        If there is no photo, or a value is NaN.
    """
    if not len(log_p) or not len(floors) or log_p.isnan().any():
        raise ValueError("a floor is chosen by log-densities: at least one, and none of them NaN")
    return min(floors, key=lambda floor: -float(with_floor(log_p.double(), floor).mean()))


def _log_kernels(posterior: Posterior, points: Tensor, sigmas_km: Sequence[float]) -> Tensor:
    """Logarithm of the kernels' weighted sum at unit vectors (B, M, 3): (B, M, S), in blocks."""
    kappas = torch.tensor([KernelWidth(sigma).kappa for sigma in sigmas_km], dtype=torch.float64)
    peaks = log_vmf_constant(kappas)
    k, m = posterior.support_size, points.shape[1]
    rows, columns = max(1, _BLOCK // (k * max(1, m))), max(1, _BLOCK // k)
    out = points.new_empty(*points.shape[:2], len(kappas))
    for i in range(0, len(points), rows):
        xyz = sphere.to_unit(posterior.latlon[i : i + rows].double())  # (b, K, 3)
        weight = posterior.weight[i : i + rows].double().log()
        for j in range(0, m, columns):
            some = points[i : i + rows, j : j + columns]
            chord = torch.cdist(some, xyz, compute_mode="donot_use_mm_for_euclid_dist").square()
            for s, (kappa, peak) in enumerate(zip(kappas.tolist(), peaks.tolist(), strict=True)):
                said = weight[:, None] - 0.5 * kappa * chord  # (b, c, K)
                out[i : i + rows, j : j + columns, s] = said.logsumexp(-1) + peak
    return out


def kernels_at(
    posterior: Posterior, latlon: ArrayLike, sigmas_km: Sequence[float] = SIGMAS_KM
) -> Tensor:
    """Log-density of each photo's kernels at one place, for several widths and without a floor.

    Parameters
    ----------
    posterior : Posterior
        Of B photos.
    latlon : array_like, shape (B, 2)
        Degrees: one place a photo, such as where it was taken.

    Returns
    -------
    Tensor of float64, shape (B, S)
        Nats per steradian. With `width_of`, all that a likelihood needs to be kept of an answer.

    Raises
    ------
    ValueError
        As `log_density`.
    """
    places = sphere.check_latlon(latlon).double()
    points = sphere.to_unit(_points_for(posterior, places[:, None]))  # (B, 2) -> (B, 1, 3)
    return _log_kernels(posterior, points, sigmas_km)[:, 0]


def width_of(
    kernels: Tensor, sigmas_km: Sequence[float] = SIGMAS_KM, floors: Sequence[float] = FLOORS
) -> KernelWidth:
    """Width and floor with the least mean NLL, from what `kernels_at` (N, S) gives for photos.

    Raises
    ------
    ValueError
        If there is nothing to choose by or from, or no width gives a finite likelihood.
    """
    if not kernels.numel() or not len(floors):
        raise ValueError("nothing to choose by: give at least one photo, one sigma and one floor")
    means = torch.stack([with_floor(kernels, floor).mean(0) for floor in floors])  # (F, S)
    floor, sigma = divmod(int(means.nan_to_num(-math.inf).argmax()), len(sigmas_km))
    if not means.isfinite().any():
        raise ValueError("no width gives a finite likelihood: allow a floor above 0")
    return KernelWidth(float(sigmas_km[sigma]), float(floors[floor]))


def nll(
    posterior: Posterior,
    truth: ArrayLike,
    width: KernelWidth,
    *,
    answered: Sequence[int] | None = None,
) -> Tensor:
    """Negative log-likelihood of each photo's true place.

    Parameters
    ----------
    posterior : Posterior
        Of B photos.
    truth : array_like, shape (N, 2)
        Degrees, for all photos.
    answered : sequence of B rows, optional
        Which rows of `truth` the posterior answers; all if not given. The others count as
        uniform, `UNIFORM_NLL`.

    Returns
    -------
    Tensor of float64, shape (N,)
        Nats per steradian.

    Raises
    ------
    ValueError
        If there are not as many answers as rows that are answered.

    Examples
    --------
    >>> anywhere = Posterior([[[0.0, 0.0]]], [[1.0]])
    >>> round(float(nll(anywhere, [[60.0, 10.0]], KernelWidth(200, floor=1.0))[0]), 3)
    2.531
    """
    places = sphere.check_latlon(truth, "truth").double()
    rows = torch.arange(len(places)) if answered is None else torch.as_tensor(answered).long()
    if len(rows) != len(posterior):
        raise ValueError(
            f"{len(posterior)} answers for {len(rows)} photos; say which rows they answer"
        )
    out = torch.full((len(places),), UNIFORM_NLL, dtype=torch.float64)
    if len(rows):
        out[rows] = -log_density(posterior, places[rows][:, None], width)[:, 0].cpu()
    return out


def fit_width(
    posterior: Posterior,
    truth: ArrayLike,
    *,
    sigmas_km: Sequence[float] = SIGMAS_KM,
    floors: Sequence[float] = FLOORS,
) -> KernelWidth:
    """Choose the width and the floor with the least mean NLL, on photos kept for choosing.

    Raises
    ------
    ValueError
        If there is no photo, no value to choose from, or as `log_density`.
    """
    if not len(posterior) or not len(sigmas_km):
        raise ValueError("nothing to choose by: give at least one photo, one sigma and one floor")
    return width_of(kernels_at(posterior, truth, sigmas_km), sigmas_km, floors)


def held_out_nll(
    held: Posterior, held_truth: ArrayLike, posterior: Posterior, truth: ArrayLike
) -> tuple[Tensor, KernelWidth]:
    """NLL of answers (N,), with the width that other photos chose, and that width.

    Parameters
    ----------
    held, held_truth
        Answers and places of the photos kept for choosing.
    posterior, truth
        Those to judge.
    """
    width = fit_width(held, held_truth)
    return nll(posterior, truth, width), width
