"""How to train, and what one step is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

N_DRAWS = 4
"""Uniform numbers that each row of a batch gets for its augmentation."""


@dataclass(frozen=True)
class Batch:
    """What one process works on in one step.

    Attributes
    ----------
    rows : Tensor of int64, shape (b,)
    draws : Tensor, shape (b, 4)
        Uniform in [0, 1), each row's own: the same numbers whatever the number of processes.
    """

    rows: Tensor
    draws: Tensor


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    epochs, batch_size : int
        The batch is the global one, all processes together.
    lr : float
        Peak learning rate; parameter groups may have their own.
    optimizer : {"adamw", "sgd", "adagrad"}
        Sgd has momentum 0.9.
    schedule : {"cosine", "constant", "halving"}
        After a linear warm-up over the share `warmup` of all steps.
    halve_at : tuple of int
        Epochs after which "halving" halves the rate.
    clip_norm : float
        Longest gradient; 0 for no limit.
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto" is float32 on a CPU; bfloat16 on a GPU of compute capability 8 or more, else float16
        with a loss scale.
    select : str
        Name of a validation figure to make small. The weights of its best epoch are kept, and
        training stops after `patience` epochs without a better one. "" keeps the last weights.
    checkpoint_every : int
        Steps between checkpoints; 0 for one an epoch.
    device : str
        "auto" is the GPU if there is one.
    """

    epochs: int = 10
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.01
    optimizer: Literal["adamw", "sgd", "adagrad"] = "adamw"
    schedule: Literal["cosine", "constant", "halving"] = "cosine"
    warmup: float = 0.1
    halve_at: tuple[int, ...] = ()
    clip_norm: float = 0.0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    select: str = ""
    patience: int = 3
    checkpoint_every: int = 0
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}")
        if min(self.epochs, self.batch_size, self.patience) < 1:
            raise ValueError("epochs, batch_size and patience must be at least 1")
        if not (self.lr > 0 and 0 <= self.warmup < 1):
            raise ValueError("lr must be positive and warmup at least 0 and below 1")

    def rate(self, step: int, n_steps: int, per_epoch: int) -> float:
        """Return the factor on the learning rate at a step.

        Examples
        --------
        >>> [round(TrainConfig().rate(s, 100, 10), 2) for s in (0, 9, 99)]
        [0.1, 1.0, 0.0]
        """
        rising = round(self.warmup * n_steps)
        if step < rising:
            return (step + 1) / rising
        if self.schedule == "cosine":
            done = (step - rising) / max(1, n_steps - rising)
            return 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "halving":
            return 0.5 ** sum(step >= epoch * per_epoch for epoch in self.halve_at)
        return 1.0


_CHOICES = {
    "optimizer": ("adamw", "sgd", "adagrad"),
    "schedule": ("cosine", "constant", "halving"),
    "precision": ("auto", "float32", "bfloat16", "float16"),
}


def make_optimizer(groups: list[dict], config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimizer; a group without "lr" gets the configuration's."""
    common = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, **common)
    kind = {"adamw": torch.optim.AdamW, "adagrad": torch.optim.Adagrad}[config.optimizer]
    return kind(groups, **common)


def autocast_dtype(config: TrainConfig, device: torch.device) -> torch.dtype:
    """Return the dtype of the forward pass on a device."""
    if config.precision != "auto":
        return getattr(torch, config.precision)
    if device.type != "cuda":
        return torch.float32
    modern = torch.cuda.get_device_capability(device)[0] >= 8
    return torch.bfloat16 if modern else torch.float16
