"""One process or many: what ``torchrun`` tells, and sums over all of them."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """Number of this process, and how many there are."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """Sum over all processes; every one of them has to call it."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def agreed(self, value: Any) -> Any:
        """What the leading process says; every process has to call it."""
        if self.world == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0)
        return held[0]

    def wait(self) -> None:
        """Wait for the others."""
        if self.world > 1:
            dist.barrier()


def join(device: torch.device) -> Processes:
    """Join the processes that ``torchrun`` started; alone if it did not."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Processes()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # nccl talks over the current device
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return Processes(dist.get_rank(), world)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def pick_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu", "cuda", "cuda:1"; under torchrun each its own GPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")
