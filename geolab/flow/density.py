r"""How likely is a place? The density of a flow, exactly, by integrating a divergence.

A flow carries the uniform density to the answer's. Followed back from a place at g = 1 to its noise
at g = 0, what the field spreads or gathers on the way is the change of the density:

.. math:: \log p(y) = -\log 4\pi - \int_0^1 \mathrm{div}\, f(x_g, g)\, dg

**Which divergence?** That of the *tangent* field on the sphere. The network knows nothing of the
sphere; extended constant along the radius, :math:`\tilde f(x) = P(n)\,net(n)` with
:math:`n = x/|x|` and :math:`P = I - n n^\top`, its ambient trace is the surface divergence. Two
directional derivatives along a tangent basis :math:`t_1, t_2` suffice:

.. math:: \mathrm{div}\, f = t_1 \cdot J t_1 + t_2 \cdot J t_2 - 2\, n \cdot net(n)

J being the network's own Jacobian; the last term comes from the turning of the tangent plane.
``divergence="raw"`` is the fault of the released code: the trace of the full 3 x 3 Jacobian of the
network. It is a number, it goes up for likely places, and it is no density: its integral over the
sphere is not one. That integral (`geolab.flow.grid`) is the test that finds it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from geolab import sphere
from geolab.flow.network import FlowNetwork
from geolab.flow.paths import ScheduleName, schedule, schedule_rate, to_tangent, unit_rows
from geolab.flow.sampler import guided

Divergence = Literal["tangent", "raw"]
Field = Callable[[Tensor, float], Tensor]
_POINTS = 1 << 14  # followed at once


def log_density(
    network: FlowNetwork,
    embedding: Tensor,
    xyz: Tensor,
    *,
    steps: int = 16,
    guidance: float = 0.0,
    cut: ScheduleName = "sigmoid",
    divergence: Divergence = "tangent",
) -> Tensor:
    """Logarithm of the density at some places.

    Parameters
    ----------
    network : FlowNetwork
        Taught the process "sphere".
    embedding : Tensor, shape (B, D)
    xyz : Tensor, shape (B, M, 3)
        Unit vectors.
    steps : int
        Of the method of Runge and Kutta, four evaluations each.
    guidance : float
        Keep 0: a guided field has a density too, but not the one that was learnt.
    cut : {"sigmoid", "linear"}
        How time is cut into steps.
    divergence : {"tangent", "raw"}

    Returns
    -------
    Tensor of float64, shape (B, M)
        Nats per steradian, on the CPU.

    Raises
    ------
    ValueError
        If shapes disagree, a place has no direction (its row is named), or there is no such
        divergence.
    """
    if divergence not in ("tangent", "raw"):
        raise ValueError(f"divergence {divergence!r} must be 'tangent' or 'raw'")
    if xyz.ndim != 3 or len(xyz) != len(embedding):
        raise ValueError(f"places must be (B, M, 3) for {len(embedding)} photos")
    condition = network.eval().standardise(embedding)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    places = unit_rows(xyz, "place").float().to(condition.device)
    rows = max(1, _POINTS // max(1, xyz.shape[1]))
    out = torch.empty(xyz.shape[:2], dtype=torch.float64)
    for i in range(0, len(places), rows):
        for j in range(0, xyz.shape[1], _POINTS):
            some = places[i : i + rows, j : j + _POINTS]

            def field(x: Tensor, g: float, told: Tensor = condition[i : i + rows]) -> Tensor:
                return guided(network, x, g, told, guidance)

            out[i : i + rows, j : j + _POINTS] = _follow_back(
                field, some, times, cut, divergence
            ).cpu()
    return out


@torch.no_grad()
def _follow_back(
    field: Field, x: Tensor, times: Tensor, cut: ScheduleName, kind: Divergence
) -> Tensor:
    """Integrate from data to noise by Runge and Kutta; log-density of (b, m, 3): (b, m).

    Steps are even in the schedule's t, not in g: near the data the divergence grows as 1 / (1 - g)
    and the sigmoid's rate falls with 1 - g, so what is summed changes little from step to step.
    Points between are put back on the sphere, as the field is the same all along a radius.
    """
    total = torch.zeros(x.shape[:2], dtype=torch.float64, device=x.device)
    step = float(times[1] - times[0])

    def speed(y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        g, rate = float(schedule(t, cut).clamp(0, 1)), float(schedule_rate(t, cut))
        v, spread = velocity_and_divergence(lambda z: field(z, g), y, kind)
        return rate * v, rate * spread

    for t in times[:-1]:
        v1, d1 = speed(x, t)
        v2, d2 = speed(normalize(x + 0.5 * step * v1, dim=-1), t + 0.5 * step)
        v3, d3 = speed(normalize(x + 0.5 * step * v2, dim=-1), t + 0.5 * step)
        v4, d4 = speed(normalize(x + step * v3, dim=-1), (t + step).clamp_max(1))
        x = normalize(x + step / 6 * (v1 + 2 * v2 + 2 * v3 + v4), dim=-1)
        total += step / 6 * (d1 + 2 * d2 + 2 * d3 + d4).double()
    return total - math.log(4 * math.pi)


def velocity_and_divergence(
    field: Callable[[Tensor], Tensor], xyz: Tensor, kind: Divergence = "tangent"
) -> tuple[Tensor, Tensor]:
    """Tangent velocity (..., 3) and divergence (...) of a field of R3 at unit vectors (..., 3).

    Parameters
    ----------
    field : callable
        Points (..., 3) to vectors (..., 3), each from its own point alone.
    kind : {"tangent", "raw"}
    """
    basis = tangent_basis(xyz)
    if kind == "raw":
        basis = torch.cat([basis, xyz[None]])

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        value, change = torch.func.jvp(field, (xyz,), (direction,))
        return value, (direction * change).sum(-1)

    with warnings.catch_warnings():  # torch's own rules for jvp use what torch has retired
        warnings.filterwarnings("ignore", "`torch.jit")
        # The value is the same for all directions: vmap computes it once.
        value, slopes = torch.func.vmap(along, out_dims=(None, 0))(basis)
    spread = slopes.sum(0)
    if kind == "tangent":
        spread = spread - 2 * (value * xyz).sum(-1)
    return to_tangent(xyz, value), spread


def tangent_basis(xyz: Tensor) -> Tensor:
    """Two unit vectors at right angles to each other and to `xyz` (..., 3): (2, ..., 3)."""
    axis = torch.zeros_like(xyz).scatter(-1, xyz.abs().argmin(-1, keepdim=True), 1.0)
    first = normalize(torch.linalg.cross(xyz, axis, dim=-1), dim=-1)
    return torch.stack([first, torch.linalg.cross(xyz, first, dim=-1)])


def density_at(network: FlowNetwork, embedding: Tensor, latlon: Tensor, **how) -> Tensor:
    """`log_density` at places (B, 2) or (B, M, 2) in degrees: (B,) or (B, M)."""
    places = sphere.to_unit(sphere.check_latlon(latlon))
    single = places.ndim == 2
    said = log_density(network, embedding, places[:, None] if single else places, **how)
    return said[:, 0] if single else said
