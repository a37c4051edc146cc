"""From noise to places: Euler steps along the field a network has learnt.

On the sphere a step walks along a great circle (the exponential map), from noise that is uniform
on the sphere. The released sampler starts from a Gaussian that is not normalised, where the network
was never trained. In R3 the steps are straight (flow) or those of DDPM, and what comes out is put
on the sphere at the end.

**Guidance** ``w`` moves further away from what the network says without the photo,
``(1 + w) v(photo) - w v(no photo)``. It sharpens, and so it is no longer calibrated: on the toy's
broad scene w = 2 makes the answer less than half as wide as the truth. Say so on the map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.flow.network import FlowNetwork
from geolab.flow.paths import (
    Process,
    ScheduleName,
    checked_process,
    steps_from_noise,
    to_tangent,
    unit_rows,
)

_POINTS = 1 << 16  # moved at once


@dataclass(frozen=True)
class SamplerConfig:
    """How to sample.

    Attributes
    ----------
    process : {"sphere", "flow", "ddpm"}
        The one that the network was taught.
    steps : int
        The paper takes 250; a small network changes little beyond 16.
    guidance : float
        0 for a calibrated answer.
    schedule : {"sigmoid", "linear"}
        How time is cut into steps.
    churn : float
        Of "ddpm": 1 adds new noise at each step (DDPM), 0 adds none (DDIM).
    """

    process: Process = "sphere"
    steps: int = 32
    guidance: float = 0.0
    schedule: ScheduleName = "sigmoid"
    churn: float = 1.0

    def __post_init__(self) -> None:
        checked_process(self.process)
        steps_from_noise(self.steps, self.schedule)


@torch.no_grad()
def sample(
    network: FlowNetwork,
    embedding: Tensor,
    n: int,
    config: SamplerConfig | None = None,
    *,
    seed: int = 0,
) -> Tensor:
    """Draw places.

    Parameters
    ----------
    embedding : Tensor, shape (B, D)
        As they come from the encoder.
    n : int
        Places for each photo.
    seed : int
        Photos get different noise, the same whatever is asked in the same call.

    Returns
    -------
    Tensor of float32, shape (B, n, 3)
        Unit vectors, on the network's device.

    Raises
    ------
    ValueError
        If embeddings do not fit the network, or a sample is not finite (its row is named).
    """
    config, condition = config or SamplerConfig(), network.standardise(embedding)
    rows = max(1, _POINTS // max(1, n))
    parts = []
    for first in range(0, len(condition), rows):
        some = condition[first : first + rows]
        start = _noise(config.process, first, len(some), n, seed).to(some.device)
        last = start
        for last in _walk(network, some, start, config, seed):  # noqa: B007
            pass
        parts.append(unit_rows(last, "sample").float())
    return torch.cat(parts) if parts else condition.new_zeros(0, n, 3)


@torch.no_grad()
def trajectories(
    network: FlowNetwork,
    embedding: Tensor,
    n: int,
    config: SamplerConfig | None = None,
    *,
    seed: int = 0,
) -> Tensor:
    """As `sample`, but every step: (steps + 1, B, n, 3), noise first; in R3 not on the sphere."""
    config, condition = config or SamplerConfig(), network.standardise(embedding)
    start = _noise(config.process, 0, len(condition), n, seed).to(condition.device)
    return torch.stack([start, *_walk(network, condition, start, config, seed)])


def _noise(process: Process, first: int, b: int, n: int, seed: int) -> Tensor:
    """Noise (b, n, 3) of the photos from row `first` on; each row has its own generator."""
    parts = []
    for row in range(first, first + b):
        drawn = np.random.default_rng([seed, row]).standard_normal((n, 3))
        parts.append(torch.from_numpy(drawn))
    noise = torch.stack(parts) if parts else torch.zeros(0, n, 3, dtype=torch.float64)
    return (unit_rows(noise, "noise") if process == "sphere" else noise).float()


def _walk(
    network: FlowNetwork, condition: Tensor, x: Tensor, config: SamplerConfig, seed: int
) -> Iterator[Tensor]:
    """Points after each step."""
    network.eval()
    times = steps_from_noise(config.steps, config.schedule).tolist()
    fresh = torch.Generator().manual_seed(seed)
    for now, then in pairwise(times):
        if config.process == "ddpm":
            now = max(now, 1e-4)  # at 0 there is no signal to scale up
        v = guided(network, x, now, condition, config.guidance)
        if config.process == "sphere":
            step = (then - now) * to_tangent(x, v)
            x = torch.nn.functional.normalize(sphere.exp_map(x, step), dim=-1)
        elif config.process == "flow":
            x = x + (then - now) * v
        else:
            x = _ddpm_step(x, v, now, then, config.churn, fresh)
        yield x


def guided(
    network: FlowNetwork, xyz: Tensor, g: float, condition: Tensor, guidance: float
) -> Tensor:
    """Velocity at points (B, M, 3) at time g with guidance; not projected."""
    time = torch.tensor(g, dtype=torch.float32, device=xyz.device)
    with_photo = network(xyz, time, condition)
    if not guidance:
        return with_photo
    without = network(xyz, time, torch.zeros_like(condition))
    return (1 + guidance) * with_photo - guidance * without


def _ddpm_step(
    x: Tensor, noise: Tensor, now: float, then: float, churn: float, fresh: torch.Generator
) -> Tensor:
    """One step of Ho, Jain and Abbeel, 2020 (Song et al., 2021, for `churn`); now < then."""
    place = (x - (1 - now) ** 0.5 * noise) / now**0.5
    place = place / torch.linalg.vector_norm(place, dim=-1, keepdim=True).clamp_min(1.0)
    noise = (x - now**0.5 * place) / (1 - now) ** 0.5  # agrees with the clipped place
    sigma = churn * ((1 - then) / (1 - now) * (1 - now / then)) ** 0.5
    drawn = torch.randn(x.shape, generator=fresh).to(x)
    kept = max(0.0, 1 - then - sigma**2) ** 0.5
    return then**0.5 * place + kept * noise + sigma * drawn
