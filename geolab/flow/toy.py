"""Four synthetic scenes whose true density is known: the smallest honest experiment.

| scene | truth | what it asks for |
| --- | --- | --- |
| city | one narrow spot | sharpness |
| snowy fir | Norway and Alberta, evenly | two answers, not one between them |
| tropics | a ridge along the equator | a shape that is no circle |
| anywhere | uniform | to say nothing |

A photo's embedding is its scene's direction plus noise, 32 numbers. Every step of training sees new
photos. Since the truth is known, so is the least NLL anyone can reach: `truth_nll`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from geolab import sphere
from geolab.encoders.shards import one_thread
from geolab.flow.baselines import VmfNetwork, vmf_loss
from geolab.flow.learning import FlowRule, flow_loss
from geolab.flow.network import FlowNetwork, NetworkConfig
from geolab.training import Batch, History, TrainConfig, train
from geolab.training.step import Loss
from geolab.vmf import log_vmf, sample_vmf

SCENES = ("city", "snowy fir", "tropics", "anywhere")
DIM = 32
_CENTRES = {
    "city": [[48.9, 2.3]],
    "snowy fir": [[60.0, 9.0], [55.0, -114.0]],
    "tropics": [[0.0, float(lon)] for lon in range(-15, 46, 15)],
    "anywhere": [[0.0, 0.0]],
}
_KAPPA = {"city": 2000.0, "snowy fir": 150.0, "tropics": 35.0, "anywhere": 0.0}
_NOISE = 0.3
TOY_TRAINING = TrainConfig(
    epochs=1, batch_size=512, lr=4e-3, weight_decay=0.0, clip_norm=1.0, warmup=0.05, device="cpu"
)

TOY_NETWORK = NetworkConfig(96, 4, 2)
TOY_STEPS = 3000
"""Less than a minute, on one thread: networks this small gain little from a second one."""


@dataclass(frozen=True)
class Photos:
    """Synthetic photos.

    Attributes
    ----------
    scene : Tensor of int64, shape (n,)
        Rows of `SCENES`.
    embedding : Tensor, shape (n, 32)
    xyz : Tensor, shape (n, 3)
        Unit vectors of the places.
    """

    scene: Tensor
    embedding: Tensor
    xyz: Tensor


def draw_photos(scene: Tensor, generator: torch.Generator) -> Photos:
    """Draw a photo of each scene (n,)."""
    centres, kappa, count = _tables()
    u = torch.rand(len(scene), generator=generator)
    pick = (u * count[scene]).long()
    xyz = sample_vmf(centres[scene, pick], kappa[scene], generator)
    noise = _NOISE * torch.randn(len(scene), DIM, generator=generator)
    return Photos(scene, scene_directions()[scene] + noise, xyz)


def scene_directions() -> Tensor:
    """Embedding of each scene without noise, (4, 32)."""
    return torch.randn(len(SCENES), DIM, generator=torch.Generator().manual_seed(99))


def fixed_photos(n: int = 1000, seed: int = 12345) -> Photos:
    """`n` photos of each scene, in order: one fixed draw for all systems."""
    generator = torch.Generator().manual_seed(seed)
    return draw_photos(torch.arange(len(SCENES)).repeat_interleave(n), generator)


def _tables() -> tuple[Tensor, Tensor, Tensor]:
    """Centres (4, 5, 3) filled up with the first, concentrations (4,) and counts (4,)."""
    count = torch.tensor([len(_CENTRES[name]) for name in SCENES])
    filled = [(_CENTRES[name] + 5 * _CENTRES[name][:1])[:5] for name in SCENES]
    kappa = torch.tensor([_KAPPA[name] for name in SCENES], dtype=torch.float64)
    return sphere.to_unit(torch.tensor(filled, dtype=torch.float64)), kappa, count


def true_log_density(scene: str, xyz: Tensor) -> Tensor:
    """Log-density of a scene at unit vectors (..., 3), nats per steradian: (...)."""
    centres = sphere.to_unit(torch.tensor(_CENTRES[scene], dtype=torch.float64))
    kappa = torch.tensor(_KAPPA[scene], dtype=torch.float64)
    parts = log_vmf(centres, kappa, xyz.double()[..., None, :])  # (..., K)
    return parts.logsumexp(-1) - math.log(len(centres))


def truth_nll(photos: Photos) -> Tensor:
    """NLL of each photo under the truth, (n,): nobody does better in the mean."""
    out = torch.empty(len(photos.scene), dtype=torch.float64)
    for row, name in enumerate(SCENES):
        mine = photos.scene == row
        out[mine] = -true_log_density(name, photos.xyz[mine])
    return out


def learn_toy_flow(
    steps: int = TOY_STEPS,
    *,
    rule: FlowRule | None = None,
    network: NetworkConfig = TOY_NETWORK,
    config: TrainConfig = TOY_TRAINING,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
) -> tuple[FlowNetwork, History]:
    """Train a flow on scenes drawn anew at every step."""
    rule = rule or FlowRule()
    model = _seeded(lambda: FlowNetwork(DIM, network), seed)

    def loss(_: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        photos = _fresh(batch)
        return flow_loss(model, photos.embedding, photos.xyz, batch.draws, rule), len(batch.rows)

    return model, _train(
        model, loss, steps, replace(config, seed=seed), checkpoint, f"{rule} {network}"
    )


def learn_toy_vmf(
    n_components: int = 1,
    steps: int = TOY_STEPS,
    *,
    network: NetworkConfig = TOY_NETWORK,
    config: TrainConfig = TOY_TRAINING,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
) -> tuple[VmfNetwork, History]:
    """Train a mixture of von Mises-Fisher densities on the same scenes."""
    model = _seeded(lambda: VmfNetwork(DIM, n_components, network), seed)

    def loss(_: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        photos = _fresh(batch)
        return vmf_loss(model, photos.embedding, photos.xyz), len(batch.rows)

    return model, _train(
        model, loss, steps, replace(config, seed=seed), checkpoint, f"{n_components} {network}"
    )


def _fresh(batch: Batch) -> Photos:
    """New photos for a step; the loop has seeded torch for it."""
    generator = torch.Generator().manual_seed(int(torch.randint(1 << 62, ())))
    return draw_photos(batch.rows % len(SCENES), generator)


def _seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Make a network whose weights the seed decides."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return make()


def _train(
    model: nn.Module,
    loss: Loss,
    steps: int,
    config: TrainConfig,
    checkpoint: str | os.PathLike | None,
    made: str,
) -> History:
    """Train on as many rows as make one epoch of `steps`."""
    n, about = steps * config.batch_size, {"toy": made}
    with one_thread():
        return train(model, n, loss, config, checkpoint=checkpoint, identity=about)
