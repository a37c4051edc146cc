"""A small task that can be learnt: synthetic points in 8 dimensions, three classes."""

import torch
from torch import nn
from torch.nn import functional as F

from geolab.training import TrainConfig

N = 101  # no multiple of the batch: the last one is smaller
CONFIG = TrainConfig(
    epochs=3, batch_size=20, lr=1e-2, clip_norm=1.0, checkpoint_every=2, device="cpu", seed=3
)


def points():
    """Features (N, 8) and classes (N,)."""
    made = torch.Generator().manual_seed(0)
    y = torch.randint(3, (N,), generator=made)
    centre = 2 * torch.randn(3, 8, generator=made)
    return centre[y] + torch.randn(N, 8, generator=made), y


def network(dropout=0.0):
    """Always the same at the start."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))


def make_loss(fault=None):
    """Cross-entropy of points that each step moves a little; `fault(rows)` may raise."""
    x, y = points()

    def loss(model, batch):
        if fault is not None:
            fault(batch.rows)
        moved = x[batch.rows] + 0.1 * (batch.draws.repeat(1, 2) - 0.5)
        return F.cross_entropy(model(moved), y[batch.rows], reduction="sum"), len(batch.rows)

    return loss


def accuracy(model):
    """Share of points that get their class."""
    x, y = points()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def weights(model):
    """All of them in one row."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])
