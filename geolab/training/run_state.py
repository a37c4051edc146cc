"""What a run is made of, and its way to disk and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from geolab.training.checkpoint import read_state, write_state
from geolab.training.history import History


class TrainingError(RuntimeError):
    """Training cannot go on; what was learnt before is kept."""


@dataclass
class RunState:
    """Model, optimizer and how far they are; all of it but the model's class is in a checkpoint.

    No state of a random generator is here, since every step draws from (seed, step) anew.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    history: History
    path: Path | None
    identity: dict[str, str]
    step: int = 0
    best: dict[str, Tensor] | None = None

    def save(self) -> None:
        """Write the checkpoint, if there is to be one; never over a good one with a bad one.

        Raises
        ------
        TrainingError
            If a weight is not finite; the file stays as it was.
        """
        if self.path is None:
            return
        for name, weight in self.model.named_parameters():
            if not torch.isfinite(weight).all():
                raise TrainingError(
                    f"weight {name} is not finite after step {self.step}; {self.kept()}. "
                    "Fix: lower lr, or set clip_norm"
                )
        parts = ("model", "optimizer", "scaler")
        state = {name: getattr(self, name).state_dict() for name in parts}
        plain = {"history": asdict(self.history), "identity": self.identity}
        write_state(self.path, state | plain | {"step": self.step, "best": self.best})

    def load(self) -> None:
        """Go on from the checkpoint, if there is one.

        Raises
        ------
        DataError
            If it is damaged, or was made for something else.
        """
        if self.path is None or not self.path.exists():
            return
        state = read_state(self.path, self.identity)
        for name in ("model", "optimizer", "scaler"):
            getattr(self, name).load_state_dict(state[name])
        self.history = History(**state["history"])
        self.step = self.history.resumed_at = state["step"]
        self.best = state["best"]

    def kept(self) -> str:
        """Say where the last good weights are, for a message."""
        if self.path is None:
            return "no checkpoint was asked for"
        if not self.path.exists():
            return f"no checkpoint was due yet at {self.path}"
        return f"the last good checkpoint is {self.path}"
