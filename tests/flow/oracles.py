"""Networks that know the answer, so that samplers can be tested without training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geolab import sphere
from geolab.flow.network import FlowNetwork, NetworkConfig


class Oracle(nn.Module):
    """Says what a perfect network would for photos whose embedding is their place (B, 3)."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def standardise(self, embedding: Tensor) -> Tensor:
        return embedding.float()

    def forward(self, xyz: Tensor, g: Tensor, condition: Tensor) -> Tensor:
        place = condition[:, None].expand_as(xyz)
        left = float(1 - g)
        if self.process == "sphere":
            return sphere.log_map(xyz.double(), place.double()).float() / left
        if self.process == "flow":
            return (place - xyz) / left
        return (xyz - float(g) ** 0.5 * place) / left**0.5


class Field(nn.Module):
    """Any field of R3, the same at all times."""

    def __init__(self, field) -> None:
        super().__init__()
        self.field = field

    def standardise(self, embedding: Tensor) -> Tensor:
        return embedding.float()

    def forward(self, xyz: Tensor, g: Tensor, condition: Tensor) -> Tensor:
        return self.field(xyz)


def wild_network(seed: int = 0, dim: int = 4, *, still: bool = True) -> FlowNetwork:
    """An untrained network whose field is far from nothing; `still` for the same at all times."""
    torch.manual_seed(seed)
    network = FlowNetwork(dim, NetworkConfig(32, 2, 2))
    for name, weight in network.named_parameters():
        if "shrink.weight" in name:
            nn.init.normal_(weight, std=0.2)
        if name == "trunk.leave.weight":
            nn.init.normal_(weight, std=0.1)
    if still:  # what has not been trained shakes a thousand times on the way
        nn.init.zeros_(network.time[2].weight)
    return network.eval()
