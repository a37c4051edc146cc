"""A density on the sphere as cells of equal area: its integral, its mass, its posterior.

Points of a Fibonacci grid stand for equal areas. Where one of them holds much of the mass (a city
seen from 700 km) the grid is too coarse; there, and around it, the points of a grid `refine` times
as fine take over. Between the two the area is shared out smoothly: an edge would cost a per cent.

    grid = density_grid(lambda places: log_density(network, embedding, to_unit(places)[None])[0])
    grid.integral                    # 1 within a per cent, or the density is none
    grid.posterior().mode()          # cells and mass, as every system of the kit answers
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from geolab import sphere
from geolab.posterior import Posterior


@dataclass(frozen=True)
class DensityGrid:
    """Values of one density.

    Attributes
    ----------
    latlon : Tensor, shape (K, 2)
        Degrees.
    log_p : Tensor of float64, shape (K,)
        Nats per steradian.
    area_sr : Tensor of float64, shape (K,)
        Steradians that each point stands for.
    """

    latlon: Tensor
    log_p: Tensor
    area_sr: Tensor

    @property
    def mass(self) -> Tensor:
        """Probability of each cell, (K,); sums to `integral`, not to one."""
        return self.log_p.exp() * self.area_sr

    @property
    def integral(self) -> float:
        """Integral over the sphere, which is 1 for a density."""
        return float(self.mass.sum())

    @property
    def entropy(self) -> float:
        """Differential entropy in nats (per steradian)."""
        mass = self.mass
        return float(-(mass * self.log_p).nan_to_num(0.0).sum() / mass.sum())

    def posterior(self) -> Posterior:
        """Cells with their mass, normalised: a Posterior of one photo."""
        return Posterior.from_votes(self.latlon, self.mass[None])


def density_grid(
    log_p: Callable[[Tensor], Tensor],
    n: int = 1000,
    *,
    refine: int = 16,
    share: float = 0.03,
    near: Tensor | None = None,
) -> DensityGrid:
    """Evaluate a density over the sphere.

    Parameters
    ----------
    log_p : callable
        Places (K, 2) in degrees to log-densities (K,).
    n : int
        Points of the coarse grid.
    refine : int
        Fine points for each coarse one; 1 for a plain Fibonacci grid.
    share : float
        A coarse point with more mass, or more of `near`, is refined together with its neighbours.
    near : Tensor, shape (S, 2), optional
        Samples of the density, so that no peak between two points is missed.

    Raises
    ------
    ValueError
        If `n` or `refine` is not positive, or a value is NaN or infinite (its place is named).
    """
    if n < 1 or refine < 1:
        raise ValueError(f"n and refine must be at least 1, not {n} and {refine}")
    coarse = sphere.fibonacci_grid(n)
    values = _asked(log_p, coarse)
    area = torch.full_like(values, 4 * math.pi / n)
    heavy = _heavy(coarse, values.exp() * area, share, near) if refine > 1 else None
    if heavy is None or not heavy.any():
        return DensityGrid(coarse, values, area)
    fine = sphere.fibonacci_grid(n * refine)
    given_up, taken = _fine_share(coarse, coarse[heavy], n), _fine_share(fine, coarse[heavy], n)
    kept, used = given_up < 1, taken > 0
    there = taken[used] * 4 * math.pi / (n * refine)
    return DensityGrid(
        torch.cat([coarse[kept], fine[used]]),
        torch.cat([values[kept], _asked(log_p, fine[used])]),
        torch.cat([((1 - given_up) * area)[kept], there]),
    )


def _heavy(coarse: Tensor, mass: Tensor, share: float, near: Tensor | None) -> Tensor:
    """Which coarse points hold too much: (n,) bool."""
    heavy = mass > share
    if near is not None and len(near):
        seen = torch.bincount(_nearest(coarse, near.double().cpu()), minlength=len(coarse))
        heavy = heavy | (seen > share * len(near))
    return heavy


def _fine_share(points: Tensor, heavy: Tensor, n: int) -> Tensor:
    """Share of the area at some points (P, 2) that the fine grid has: 1 near a heavy point, (P,).

    It falls to 0 smoothly, between one and three steps of the coarse grid, so that neither sum
    sees an edge.
    """
    step_km = sphere.EARTH_RADIUS_KM * math.sqrt(4 * math.pi / n)
    km = torch.cat([sphere.great_circle_matrix(p, heavy).amin(1) for p in points.split(4096)])
    x = ((3 - km / step_km) / 2).clamp(0, 1)
    return x * x * x * (10 - 15 * x + 6 * x * x)


def _nearest(coarse: Tensor, points: Tensor) -> Tensor:
    """Row of the nearest coarse point of each point."""
    towards = sphere.to_unit(coarse).T
    return torch.cat([(sphere.to_unit(p) @ towards).argmax(1) for p in points.split(4096)])


def _asked(log_p: Callable[[Tensor], Tensor], latlon: Tensor) -> Tensor:
    values = log_p(latlon).double().cpu()
    bad = (values.isnan() | (values == math.inf)).nonzero()
    if len(bad):
        row = int(bad[0])
        raise ValueError(f"the density at {latlon[row].tolist()} is {float(values[row])}")
    return values
