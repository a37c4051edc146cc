"""One step: its rows, its chance, its update. The same for one process and for many."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from geolab.training.config import N_DRAWS, Batch, TrainConfig
from geolab.training.processes import Processes
from geolab.training.run_state import RunState, TrainingError

Loss = Callable[[nn.Module, Batch], tuple[Tensor, Tensor | int]]


@dataclass(frozen=True)
class Setting:
    """What does not change from step to step."""

    config: TrainConfig
    n: int
    processes: Processes
    device: torch.device
    dtype: torch.dtype

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch; the last batch may be smaller."""
        return math.ceil(self.n / self.config.batch_size)

    @property
    def n_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.per_epoch


def global_rows(step: int, setting: Setting) -> Tensor:
    """Rows of all processes at a step."""
    epoch, at = divmod(step, setting.per_epoch)
    size = setting.config.batch_size
    return _order(setting.n, setting.config.seed, epoch)[at * size : (at + 1) * size]


def batch_at(step: int, setting: Setting) -> Batch:
    """Rows of this process at a step: every world-th of the global batch, with their draws.

    Where the batch has fewer rows than there are processes, those without one get the first row,
    since not every layer can work on nothing; `one_step` counts it once.

    Sets torch's own generator too, for dropout; there each process has its own numbers.
    """
    seed, processes = setting.config.seed, setting.processes
    rows = global_rows(step, setting)
    draws = torch.rand(len(rows), N_DRAWS, generator=_generator(seed, 1, step))
    mine = slice(processes.rank, None, processes.world) if processes.rank < len(rows) else slice(1)
    torch.manual_seed(_mixed(seed, 2 + processes.rank, step))
    return Batch(rows[mine], draws[mine])


def one_step(run: RunState, model: nn.Module, loss_fn: Loss, batch: Batch, s: Setting) -> float:
    """Do one update; return the mean loss of the global batch.

    Raises
    ------
    TrainingError
        If the loss or its gradient is not finite; no weight has changed then.
    """
    run.optimizer.zero_grad(set_to_none=True)
    with torch.autocast(s.device.type, dtype=s.dtype, enabled=s.dtype != torch.float32):
        total, count = loss_fn(model, batch)
    if s.processes.rank >= len(global_rows(run.step, s)):
        total, count = total * 0, 0  # this row is another's
    weight = torch.as_tensor(count, dtype=torch.float64, device=s.device).clone()
    n_items = s.processes.total(weight).clamp_min(1)
    value = float(s.processes.total(total.detach().double().clone()) / n_items)
    if not math.isfinite(value):
        raise NotFiniteError("loss", value)
    # DDP averages over processes; the batch's mean is the sum over all, by all items.
    run.scaler.scale(total * (s.processes.world / n_items).to(total.dtype)).backward()
    run.scaler.unscale_(run.optimizer)
    held = [p for group in run.optimizer.param_groups for p in group["params"]]
    norm = float(nn.utils.clip_grad_norm_(held, s.config.clip_norm or math.inf))
    if not (math.isfinite(norm) or run.scaler.is_enabled()):  # the scaler skips such a step itself
        raise NotFiniteError("gradient", norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    return value


class NotFiniteError(ArithmeticError):
    """Which number it was, and its value."""


def explained(
    error: NotFiniteError, run: RunState, setting: Setting, name_of: Callable[[int], str]
) -> TrainingError:
    """Say where a number stopped being finite, what is kept, and what to do."""
    what, value = error.args
    epoch, at = divmod(run.step, setting.per_epoch)
    rows = ", ".join(name_of(row) for row in global_rows(run.step, setting)[:5].tolist())
    return TrainingError(
        f"the {what} became {value} in epoch {epoch + 1}, batch {at + 1} of {setting.per_epoch} "
        f"(step {run.step}, first rows: {rows}); {run.kept()}. Fix: look at these rows, lower lr, "
        "or set clip_norm"
    )


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=_generator(seed, 0, epoch))


def _mixed(*numbers: int) -> int:
    """Mix a few small numbers into one seed of 63 bits."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 6364136223846793005 + number + 1442695040888963407) % (1 << 63)
    return mixed


def _generator(*numbers: int) -> torch.Generator:
    return torch.Generator().manual_seed(_mixed(*numbers))
