r"""The von Mises-Fisher density: the Gaussian of the sphere.

.. math:: p(x) = \frac{\kappa}{2\pi(1 - e^{-2\kappa})}\, e^{\kappa(\mu \cdot x - 1)}

Concentration 0 is uniform; for large ones the angle's deviation is :math:`1/\sqrt\kappa` radians.

Source: R. Fisher, "Dispersion on a sphere", Proceedings of the Royal Society A 217, 1953.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from geolab import sphere


def log_vmf(mean: Tensor, kappa: Tensor, xyz: Tensor) -> Tensor:
    r"""Logarithm of the von Mises-Fisher density, nats per steradian.

    .. math:: \log p = \log\frac{\kappa}{2\pi(1 - e^{-2\kappa})} - \frac{\kappa}{2}|x - \mu|^2

    The chord in the place of :math:`\mu \cdot x - 1` keeps its digits in float32, and the
    normaliser is right from 0 (uniform) to millions.

    Parameters
    ----------
    mean, xyz : Tensor, shapes that broadcast to (..., 3)
        Unit vectors.
    kappa : Tensor, shape (...)
        Not negative.

    Examples
    --------
    >>> up = torch.tensor([0.0, 0.0, 1.0])
    >>> round(float(log_vmf(up, torch.tensor(0.0), -up)), 3)  # log(1 / 4 pi)
    -2.531
    """
    return log_vmf_constant(kappa) - 0.5 * kappa * (xyz - mean).square().sum(-1)


def log_vmf_constant(kappa: Tensor) -> Tensor:
    """Logarithm of the density at the mean; value and gradient are finite from 0 upwards."""
    small = kappa < 1e-2
    safe = torch.where(small, torch.ones_like(kappa), kappa)
    u = 2 * kappa
    series = torch.log1p(u / 2 + u**2 / 12) - math.log(4 * math.pi)  # u / (1 - exp(-u))
    plain = safe.log() - math.log(2 * math.pi) - torch.log(-torch.expm1(-2 * safe))
    return torch.where(small, series, plain)


def sample_vmf(mean: Tensor, kappa: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one unit vector (..., 3) for each mean (..., 3) and concentration (...), exactly.

    On the sphere in three dimensions the distribution function of the cosine can be inverted
    (Ulrich, 1984; Jakob, "Numerically stable sampling of the von Mises-Fisher distribution", 2012).
    """
    u = torch.rand(kappa.shape, generator=generator, dtype=torch.float64)
    turn = 2 * math.pi * torch.rand(kappa.shape, generator=generator, dtype=torch.float64)
    k, centre = kappa.double().clamp_min(1e-9), normalize(mean.double(), dim=-1)
    below = -torch.log(u + (1 - u) * torch.exp(-2 * k)) / k  # 1 - cosine, in [0, 2]
    angle = 2 * torch.asin((below / 2).clamp(0, 1).sqrt())
    axis = torch.zeros_like(centre).scatter(-1, centre.abs().argmin(-1, keepdim=True), 1.0)
    first = normalize(torch.linalg.cross(centre, axis, dim=-1), dim=-1)
    second = torch.linalg.cross(centre, first, dim=-1)
    away = turn.cos()[..., None] * first + turn.sin()[..., None] * second
    return sphere.exp_map(centre, angle[..., None] * away).float()
