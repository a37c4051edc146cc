r"""What a flow has to beat: one von Mises-Fisher density, or a mixture of a few, for each photo.

.. math:: p(x \mid photo) = \sum_k \pi_k\, c(\kappa_k)\, e^{\kappa_k(\mu_k \cdot x - 1)}

The trunk is the flow's; a learned start token stands where the flow has its point. Heads give a
direction (normalised), a concentration and a weight for each component.

Stability, where the released code has trouble: the normaliser is `geolab.vmf.log_vmf` (right from
kappa 0 to millions), the mixture is a log-sum-exp of *log* densities (not a logarithm of their
mean), and the concentration is learnt by its logarithm, held between 0.01 and 4 million (kernels of
3 km): a softplus needs thousands of steps to reach a city's concentration. Weights are learnt ten
times slower than directions: at the same speed all weight goes to whichever component happens to be
nearest, before the others have moved, and those never come back (the toy's two modes then keep one
component).
"""

from __future__ import annotations

import math
import os

import torch
from torch import Tensor, nn

from geolab import sphere
from geolab.flow.learning import FLOW_TRAINING
from geolab.flow.network import NetworkConfig, Trunk, checked_embedding
from geolab.flow.paths import unit_rows
from geolab.training import Batch, History, TrainConfig, train
from geolab.training.loop import Validate
from geolab.vmf import log_vmf, sample_vmf

_LOG_KAPPA = (math.log(0.01), math.log(4e6))
_SLOWER = 0.1


class VmfNetwork(nn.Module):
    """Mixture of von Mises-Fisher densities of an embedding.

    Parameters
    ----------
    dim : int
        Length of embeddings.
    n_components : int
    config : NetworkConfig, optional

    Raises
    ------
    ValueError
        If `n_components` is not positive.
    """

    def __init__(self, dim: int, n_components: int = 1, config: NetworkConfig | None = None):
        super().__init__()
        if n_components < 1:
            raise ValueError(f"a mixture needs at least one component, not {n_components}")
        self.config, self.n_components = config or NetworkConfig(), n_components
        width = self.config.width
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.start = nn.Parameter(torch.randn(width))
        self.photo = nn.Linear(dim, width)
        self.trunk = Trunk(self.config, 5 * n_components)
        with torch.no_grad():  # directions all over the sphere, so that components differ
            spread = torch.zeros(n_components, 5)
            spread[:, :3] = sphere.to_unit(sphere.fibonacci_grid(n_components)).float()
            spread[:, :3] *= 0.3
            self.trunk.leave.bias.copy_(spread.flatten())

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Directions (B, K, 3), concentrations (B, K) and log-weights (B, K)."""
        known = (checked_embedding(embedding, self.mean) - self.mean) / self.std
        told = self.photo(known)
        said = self.trunk(self.start.expand_as(told), told)
        said = said.view(len(told), self.n_components, 5)  # (B, 5 K) -> (B, K, 5)
        direction = nn.functional.normalize(said[..., :3], dim=-1, eps=1e-6)
        kappa = said[..., 3].clamp(*_LOG_KAPPA).exp()
        return direction, kappa, (_SLOWER * said[..., 4]).log_softmax(-1)

    def log_density(self, embedding: Tensor, xyz: Tensor) -> Tensor:
        """Log-density of unit vectors (B, M, 3), nats per steradian: (B, M)."""
        direction, kappa, weight = self(embedding)
        xyz = xyz.to(direction)
        parts = log_vmf(direction[:, None], kappa[:, None], xyz[:, :, None])  # (B, M, K)
        return (weight[:, None] + parts).logsumexp(-1)

    @torch.no_grad()
    def sample(self, embedding: Tensor, n: int, *, seed: int = 0) -> Tensor:
        """Draw `n` places for each photo: (B, n, 3) unit vectors."""
        direction, kappa, weight = (part.cpu() for part in self.eval()(embedding))
        generator = torch.Generator().manual_seed(seed)
        pick = torch.multinomial(weight.exp(), n, replacement=True, generator=generator)
        centre = direction.gather(1, pick[..., None].expand(*pick.shape, 3))
        return sample_vmf(centre, kappa.gather(1, pick), generator)


def learn_vmf(
    network: VmfNetwork,
    embedding: Tensor,
    xyz: Tensor,
    config: TrainConfig = FLOW_TRAINING,
    *,
    validation: tuple[Tensor, Tensor] | None = None,
    checkpoint: str | os.PathLike | None = None,
    progress: str = "",
) -> History:
    """Train a mixture in place by maximum likelihood, on embeddings (N, D) and places (N, 3).

    Parameters
    ----------
    validation : tuple of embeddings and places, optional
        On which "nll" is measured after each epoch.

    Raises
    ------
    ValueError
        If lengths disagree, or a row is not finite or has no direction (it is named).
    """
    if len(embedding) != len(xyz):
        raise ValueError(f"{len(embedding)} embeddings, but {len(xyz)} places")
    known = checked_embedding(embedding, network.mean)
    with torch.no_grad():
        network.mean.copy_(known.mean(0))
        network.std.copy_(known.std(0, correction=0).clamp_min(1e-6))
    places = unit_rows(xyz, "place").float()

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        return vmf_loss(model, embedding[batch.rows], places[batch.rows]), len(batch.rows)

    about = {"vmf": f"{network.n_components} {network.config} {known.shape[1]}"}
    return train(
        network,
        len(places),
        loss,
        config,
        checkpoint=checkpoint,
        identity=about,
        validate=_nll_on(network, *validation) if validation else None,
        progress=progress,
    )


def _nll_on(network: VmfNetwork, embedding: Tensor, xyz: Tensor) -> Validate:
    held = unit_rows(xyz, "place")[:, None]
    return lambda _: {"nll": -float(network.log_density(embedding, held).mean())}


def vmf_loss(model: nn.Module, embedding: Tensor, xyz: Tensor) -> Tensor:
    """Sum of the negative log-likelihoods of places (b, 3)."""
    direction, kappa, weight = model(embedding)
    xyz = xyz.to(direction)
    return -(weight + log_vmf(direction, kappa, xyz[:, None])).logsumexp(-1).sum()
