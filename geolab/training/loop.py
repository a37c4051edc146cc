"""The loop: rows in, weights out. See `geolab.training` for what it promises."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from geolab.training.config import TrainConfig, autocast_dtype, make_optimizer
from geolab.training.estimate import announcing
from geolab.training.history import History
from geolab.training.interrupt import noted_interrupt
from geolab.training.processes import Processes, join, pick_device
from geolab.training.run_state import RunState
from geolab.training.step import Loss, NotFiniteError, Setting, batch_at, explained, one_step

Validate = Callable[[nn.Module], dict[str, float]]


def train(
    model: nn.Module,
    n: int,
    loss_fn: Loss,
    config: TrainConfig,
    *,
    checkpoint: str | os.PathLike | None = None,
    identity: Mapping[str, str] | None = None,
    validate: Validate | None = None,
    groups: list[dict[str, Any]] | None = None,
    name_of: Callable[[int], str] = str,
    progress: str = "",
) -> History:
    """Train a model in place.

    Parameters
    ----------
    model : nn.Module
        Moved to the device, and left there, in evaluation mode.
    n : int
        Rows to train on.
    loss_fn : callable
        ``(model, Batch) -> (sum of losses, number that it sums over)``. The model given is wrapped
        when there are several processes: call it, do not reach into it.
    checkpoint : path, optional
        Written as the configuration says. A run that finds one goes on from it; a finished one
        returns at once.
    identity : mapping of str to str, optional
        What the weights belong to; a checkpoint with another one is refused.
    validate : callable, optional
        ``model -> figures`` after each epoch; with several processes the first one's count.
    groups : list of dict, optional
        Parameter groups with their own "lr"; all parameters that learn if not given.
    name_of : callable
        Name of a row, for messages.
    progress : str
        Title of a progress bar, in a terminal or a notebook; none if empty.

    Raises
    ------
    TrainingError
        If a loss, a gradient or a weight is not finite; the message names the step, its first rows
        and the last good checkpoint.
    DataError
        If the checkpoint is damaged or belongs to something else.
    KeyboardInterrupt
        At the end of the step in which Ctrl-C was pressed, after writing the checkpoint.
    ValueError
        If there are no rows, or `validate` does not return the figure to select by.
    """
    if n < 1:
        raise ValueError("no rows to train on")
    device = pick_device(config.device)
    setting = Setting(config, n, join(device), device, autocast_dtype(config, device))
    model.to(device)
    with _alone(checkpoint, setting.processes):
        run = _begin(model, setting, checkpoint, identity, groups)
        bar = _bar(progress if setting.processes.leads else "", run.step, setting.n_steps)
        forked = [device] if device.type == "cuda" else []
        model.train()
        try:
            with torch.random.fork_rng(forked):  # steps seed it; the caller's stays as it was
                _sit(run, loss_fn, setting, validate, name_of, bar)
        finally:
            bar.close()
            model.eval()
    if run.best is not None:
        model.load_state_dict(run.best)
    return run.history


def _alone(checkpoint: str | os.PathLike | None, processes: Processes) -> AbstractContextManager:
    """Let one run at a time have a checkpoint: who comes second waits, and finds it finished."""
    if checkpoint is None or processes.world > 1:
        return nullcontext()
    Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{checkpoint}.lock")


def _begin(
    model: nn.Module,
    setting: Setting,
    checkpoint: str | os.PathLike | None,
    identity: Mapping[str, str] | None,
    groups: list[dict[str, Any]] | None,
) -> RunState:
    """Make the state of a run, or read it from its checkpoint."""
    groups = groups or [{"params": [p for p in model.parameters() if p.requires_grad]}]
    optimizer = make_optimizer(groups, setting.config)
    scaler = torch.amp.GradScaler(setting.device.type, enabled=setting.dtype == torch.float16)
    learn = [p for group in optimizer.param_groups for p in group["params"]]
    history = History(n_rows=setting.n, n_parameters=sum(p.numel() for p in learn))
    about = dict(identity or {}) | {"training": _training_of(setting)}
    path = Path(checkpoint) if checkpoint is not None else None
    run = RunState(model, optimizer, scaler, history, path, about)
    run.load()
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    return run


def _sit(
    run: RunState,
    loss_fn: Loss,
    setting: Setting,
    validate: Validate | None,
    name_of: Callable[[int], str],
    bar: Any,
) -> None:
    """Train from where the run is to its end."""
    config, processes = setting.config, setting.processes
    model = DistributedDataParallel(run.model) if processes.world > 1 else run.model
    began, before = time.perf_counter(), run.history.seconds
    resumes = "each epoch is saved, so it can be interrupted" if run.path else ""
    title = getattr(bar, "desc", "") or "training"  # a bar that is switched off has none
    tell = announcing(title, setting.n_steps - run.step, resumes=resumes)
    with noted_interrupt() as noted:
        while run.step < setting.n_steps and not _patience_is_over(run.history, config):
            _set_rate(run, setting)
            try:
                value = one_step(run, model, loss_fn, batch_at(run.step, setting), setting)
            except NotFiniteError as error:
                raise explained(error, run, setting, name_of) from None
            run.history.losses.append(value)
            run.step += 1
            bar.update()
            if processes.leads:
                tell()
            ended = run.step % setting.per_epoch == 0
            if ended and validate is not None:
                _validate(run, validate, setting)
            run.history.seconds = before + time.perf_counter() - began
            every = config.checkpoint_every
            due = ended or bool(every and run.step % every == 0)
            if (due or noted.asked) and processes.leads:
                run.save()
            if noted.asked:
                raise KeyboardInterrupt  # not waiting: the others may be gone
            if due:
                processes.wait()


def _set_rate(run: RunState, setting: Setting) -> None:
    factor = setting.config.rate(run.step, setting.n_steps, setting.per_epoch)
    for group in run.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def _training_of(setting: Setting) -> str:
    """Everything that changes the weights, in one line; how often to save does not."""
    silent = ("checkpoint_every", "device")
    names = [f.name for f in fields(setting.config) if f.name not in silent]
    told = [f"{name}={getattr(setting.config, name)}" for name in names]
    return f"n={setting.n} " + " ".join(told)


def _validate(run: RunState, validate: Validate, setting: Setting) -> None:
    """Ask for figures, and keep the weights if they are the best so far."""
    run.model.eval()
    with torch.no_grad():
        figures = {name: float(value) for name, value in validate(run.model).items()}
    run.model.train()
    figures = setting.processes.agreed(figures)
    run.history.validation.append(figures)
    select = setting.config.select
    if not select:
        return
    if select not in figures:
        raise ValueError(f"select={select!r}, but validate returns {', '.join(figures)}")
    seen = [held[select] for held in run.history.validation]
    finite = [value for value in seen if math.isfinite(value)]
    if finite and seen[-1] <= min(finite):
        run.history.best_epoch = len(seen) - 1
        run.best = {k: v.detach().cpu().clone() for k, v in run.model.state_dict().items()}


def _patience_is_over(history: History, config: TrainConfig) -> bool:
    waited = len(history.validation) - 1 - history.best_epoch
    return bool(config.select) and history.best_epoch >= 0 and waited >= config.patience


def _bar(title: str, step: int, n_steps: int) -> Any:
    from tqdm.auto import tqdm

    # None asks tqdm to be quiet where the output is no terminal, a log file say.
    quiet = None if title else True
    return tqdm(desc=title, initial=step, total=n_steps, unit="step", disable=quiet)
