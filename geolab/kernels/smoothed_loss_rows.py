"""What lies under `geolab.kernels.smoothed_loss`: the checks, and rows of logits on each path.

Everything that the loss needs to know besides the logits is a `Rule`; `rows` turns some rows of
logits into losses and, in place if wanted, into gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from geolab import sphere
from geolab.kernels import haversine
from geolab.kernels.dispatch import choose

_COMPILE_FROM = 1 << 18  # logits from which compiling for some seconds can pay
_BLOCK_TORCH = 1 << 17  # logits at a time on the plain path: six arrays of at most 1 MB
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Rule:
    """How labels are made: float64 unit vectors u (B, 3) and v (C, 3), and the settings."""

    u: Tensor
    v: Tensor
    target: Tensor  # (B,) int64 for one-hot labels, (0,) for smoothed ones
    tau: float
    normalise: bool
    radius_km: float
    scale: float
    path: str

    def part(self, rows: slice) -> Rule:
        """Return the rule for some of the photos."""
        return replace(self, u=self.u[rows], target=self.target[rows])


def make_rule(logits, latlon, cells, tau, normalise, target, reduction, radius_km, backend) -> Rule:
    """Check every argument of the public functions and gather them.

    Raises
    ------
    ValueError
        As documented there.
    """
    if logits.ndim != 2 or logits.dtype not in _DTYPES:
        raise ValueError(
            f"logits must be floating of shape (B, C), not {logits.dtype} {tuple(logits.shape)}"
        )
    if 0 in logits.shape:
        raise ValueError(f"logits are empty, shape {tuple(logits.shape)}: the loss has no mean")
    if tau is not None and not (math.isfinite(tau) and tau > 0):
        raise ValueError(f"tau must be positive km, or None for one-hot labels, not {tau}")
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
    u = _unit(latlon, "latlon", len(logits), logits.device)
    v = _unit(cells, "cells", logits.shape[1], logits.device)
    target = _one_hot(target, tau, u, v)
    single = logits.dtype != torch.float64
    large = logits.numel() >= _COMPILE_FROM or backend == "numba"
    path = choose(backend, logits, numba=single and large, triton=single)
    scale = 1 / len(logits) if reduction == "mean" else 1.0
    tau = 1.0 if tau is None else max(tau, 1e-6)  # below a millimetre only the nearest cell counts
    return Rule(u, v, target, tau, normalise or len(target) > 0, radius_km, scale, path)


def _unit(latlon, name: str, count: int, device: torch.device) -> Tensor:
    """Unit vectors (count, 3) of checked coordinates."""
    if isinstance(latlon, Tensor) and latlon.device != device:
        raise ValueError(f"{name} is on {latlon.device}, the logits are on {device}")
    points = sphere.check_latlon(latlon, name)
    if tuple(points.shape) != (count, 2):
        raise ValueError(
            f"{name} must be ({count}, 2) to fit the logits, not {tuple(points.shape)}"
        )
    return sphere.to_unit(points.detach().double()).to(device)


def _one_hot(target: Tensor | None, tau: float | None, u: Tensor, v: Tensor) -> Tensor:
    """Check targets (B,), or find the nearest cells; empty where labels are smoothed."""
    if tau is not None:
        if target is not None:
            raise ValueError("target is for one-hot labels (tau=None); smoothing needs latlon only")
        return torch.empty(0, dtype=torch.int64, device=u.device)
    if target is None:
        return torch.cat([(part @ v.T).argmax(dim=1) for part in u.split(1 + (1 << 19) // len(v))])
    if tuple(target.shape) != (len(u),) or target.dtype != torch.int64 or target.device != u.device:
        raise ValueError(
            f"target must be int64 of shape ({len(u)},) on {u.device}, "
            f"not {target.dtype} {tuple(target.shape)} on {target.device}"
        )
    if target.min() < 0 or target.max() >= len(v):
        raise ValueError(f"target must lie in 0..{len(v) - 1}; the cells are {len(v)}")
    return target.contiguous()


def rows(logits: Tensor, rule: Rule, loss: Tensor, grad: Tensor) -> None:
    """Losses (b,) float64 and, unless `grad` is empty, gradients of contiguous logits (b, C).

    `grad` may be `logits` itself. float16 and bfloat16 are for the Triton path only.
    """
    if rule.path == "triton":
        from geolab.kernels import smoothed_loss_triton

        smoothed_loss_triton.run(logits, rule, loss, grad)
    elif rule.path == "numba":
        from geolab.kernels import smoothed_loss_numba

        settings = (rule.tau, rule.normalise, rule.radius_km, rule.scale)
        smoothed_loss_numba.run(logits, rule.u, rule.v, rule.target, settings, loss, grad)
    else:
        for some in slices(len(logits), max(1, _BLOCK_TORCH // logits.shape[1])):
            part = grad[some] if grad.numel() else grad
            _plain_rows(logits[some], rule.part(some), loss[some], part)


def slices(n: int, each: int) -> list[slice]:
    """Cut n rows into blocks."""
    return [slice(i, min(n, i + each)) for i in range(0, n, each)]


def _plain_rows(z: Tensor, rule: Rule, loss: Tensor, grad: Tensor) -> None:
    label = _plain_label(z, rule)  # (b, C)
    total = label.sum(dim=1)
    e = z - z.amax(dim=1, keepdim=True)
    product = (label * e).sum(dim=1)
    partition = e.exp_().sum(dim=1)
    weight = 1 / total if rule.normalise else torch.ones_like(total)
    loss.copy_(weight * (total * partition.log() - product))
    if grad.numel():
        down = weight * rule.scale
        e.mul_((down * total / partition)[:, None])
        torch.addcmul(e, label, down[:, None], value=-1, out=grad)


def _plain_label(z: Tensor, rule: Rule) -> Tensor:
    """Unnormalised labels in the dtype of z (b, C)."""
    if len(rule.target):
        return torch.zeros_like(z).scatter_(1, rule.target[:, None], 1.0)
    km = torch.empty_like(z)
    if z.dtype == torch.float64:
        for i in range(len(z)):
            km[i] = sphere.chord_to_km(rule.u[i], rule.v, radius_km=rule.radius_km)
    else:
        haversine.fill(rule.u, rule.v, km, rule.radius_km)
    return km.sub_(km.amin(dim=1, keepdim=True)).mul_(-1 / rule.tau).exp_()
