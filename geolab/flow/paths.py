r"""What a flow is taught: paths from noise to a place, and their speed.

Time g runs from 0 (noise) to 1 (data). Three processes share one network:

======== ========================================== ===========================================
name     point :math:`x_g`                          target
======== ========================================== ===========================================
sphere   :math:`Exp_e(g\,Log_e(y))`, e uniform      :math:`-\theta\sin(g\theta)\,e +
                                                    \cos(g\theta)\,Log_e(y)`
flow     :math:`(1-g)\,e + g\,y`, e Gaussian in R3  :math:`y - e`
ddpm     :math:`\sqrt g\,y + \sqrt{1-g}\,e`         :math:`e`
======== ========================================== ===========================================

The first is Riemannian flow matching (Chen and Lipman, ICLR 2024) on the sphere. Its target is the
derivative of the point in g, in closed form: :math:`\theta` is the angle between noise and place,
the point runs along their great circle, and the target is tangent there, always of length
:math:`\theta`. The other two live in R3 and are foils: their samples are put on the sphere at the
end only.

**Degenerate pairs.** Antipodes have no shortest path; one of all great circles is chosen, the same
each time, and the target is finite and tangent. Noise with a probability of zero never makes one;
data by hand does. A vector of length zero, or one that is not finite, is an error that names its
row. All of it is computed in float64: in float32 an antipode's direction would be rounding noise.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from geolab import sphere

Process = Literal["sphere", "flow", "ddpm"]
PROCESSES = ("sphere", "flow", "ddpm")
ScheduleName = Literal["sigmoid", "linear"]
START, END = -7.0, 3.0
"""Ends of the logistic curve in every released experiment of the paper."""


def schedule(t: Tensor, kind: ScheduleName = "sigmoid") -> Tensor:
    """Time g of data (1) and noise (0) at t from 0 (data) to 1 (noise).

    The sigmoid spends about half of all t within 2 % of the data, where a place is decided.

    Raises
    ------
    ValueError
        If there is no such schedule.

    Examples
    --------
    >>> [round(float(schedule(torch.tensor(t))), 3) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    [1.0, 0.989, 0.876, 0.347, 0.0]
    """
    if kind == "linear":
        return 1 - t
    if kind != "sigmoid":
        raise ValueError(f"no schedule {kind!r}; there are: sigmoid, linear")
    low, high = (1 / (1 + math.exp(-x)) for x in (START, END))
    return (high - torch.sigmoid(t * (END - START) + START)) / (high - low)


def schedule_rate(t: Tensor, kind: ScheduleName = "sigmoid") -> Tensor:
    """Derivative of `schedule` in t; never positive."""
    if kind == "linear":
        return -torch.ones_like(t)
    low, high = (1 / (1 + math.exp(-x)) for x in (START, END))
    s = torch.sigmoid(t * (END - START) + START)
    return -(END - START) * s * (1 - s) / (high - low)


def steps_from_noise(n: int, kind: ScheduleName = "sigmoid") -> Tensor:
    """Times (n + 1,) float64 from exactly 0 to exactly 1, as the schedule spaces them.

    Raises
    ------
    ValueError
        If there is not at least one step.
    """
    if n < 1:
        raise ValueError(f"a path needs at least one step, not {n}")
    g = schedule(torch.linspace(1, 0, n + 1, dtype=torch.float64), kind)
    g[0], g[-1] = 0.0, 1.0
    return g


def unit_rows(xyz: Tensor, name: str = "xyz") -> Tensor:
    """Normalise vectors (..., 3) to float64 unit vectors.

    Raises
    ------
    ValueError
        If one is not finite or shorter than 1e-6, where its direction would be rounding noise; the
        first such row is named.
    """
    wide = xyz.double()
    length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    bad = ~(length.isfinite() & (length > 1e-6)).squeeze(-1)
    if bad.any():
        row = tuple(torch.nonzero(bad)[0].tolist())
        where = row[0] if len(row) == 1 else row
        raise ValueError(
            f"{name} row {where} is {wide[row].tolist()}, which is no direction: places are unit "
            "vectors, and a sample that is not finite means weights that are not"
        )
    return wide / length


def uniform_on_sphere(draws: Tensor) -> Tensor:
    """Turn uniform numbers (..., 2) in [0, 1) into unit vectors (..., 3), even by area.

    Archimedes: the height of a point is uniform.
    """
    z = 2 * draws[..., 0] - 1
    lon = 2 * math.pi * draws[..., 1]
    flat = (1 - z * z).clamp_min(0).sqrt()
    return torch.stack([flat * lon.cos(), flat * lon.sin(), z], dim=-1)


def sphere_path(noise: Tensor, place: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Point on the great circle from noise to place, and the tangent target there.

    Parameters
    ----------
    noise, place : Tensor, shape (..., 3)
        Not necessarily normalised.
    g : Tensor, shape (...)
        In [0, 1].

    Returns
    -------
    point, target : Tensor, shape (..., 3)
        In the dtype of `place`.

    Raises
    ------
    ValueError
        If a vector has no direction (its row is named), or g is outside [0, 1].

    Examples
    --------
    >>> e, y = torch.eye(3)[0], torch.eye(3)[1]
    >>> x, u = sphere_path(e, y, torch.tensor(0.5))
    >>> round(float(u.norm()), 4), round(abs(float((x * u).sum())), 6)
    (1.5708, 0.0)
    """
    g = _checked_time(g).double()[..., None]
    start, end = unit_rows(noise, "noise"), unit_rows(place, "place")
    away = sphere.log_map(start, end)
    theta = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
    target = -theta * torch.sin(g * theta) * start + torch.cos(g * theta) * away
    return sphere.exp_map(start, g * away).to(place.dtype), target.to(place.dtype)


def flat_path(noise: Tensor, place: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Point on the chord from Gaussian noise to the place, and its constant speed; as above."""
    g = _checked_time(g).to(place.dtype)[..., None]
    place = unit_rows(place, "place").to(place.dtype)
    return (1 - g) * noise + g * place, place - noise


def ddpm_path(noise: Tensor, place: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy place with signal share g (the alpha-bar of DDPM), and the noise in it; as above."""
    g = _checked_time(g).to(place.dtype)[..., None]
    place = unit_rows(place, "place").to(place.dtype)
    return g.sqrt() * place + (1 - g).sqrt() * noise, noise


def on_path(process: Process, noise: Tensor, place: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Point and target of a process; see the module's table.

    Raises
    ------
    ValueError
        If there is no such process, or as `sphere_path`.
    """
    known = {"sphere": sphere_path, "flow": flat_path, "ddpm": ddpm_path}
    return known[checked_process(process)](noise, place, g)


def checked_process(process: str) -> str:
    """Refuse a name that is no process."""
    if process not in PROCESSES:
        raise ValueError(f"no process {process!r}; there are: {', '.join(PROCESSES)}")
    return process


def to_tangent(xyz: Tensor, vector: Tensor) -> Tensor:
    """Take out of vectors (..., 3) what points along the unit vectors `xyz` (..., 3)."""
    return vector - (vector * xyz).sum(-1, keepdim=True) * xyz


def _checked_time(g: Tensor) -> Tensor:
    if not ((g >= 0) & (g <= 1)).all():
        raise ValueError("g must lie in [0, 1], 0 for noise and 1 for data")
    return g
