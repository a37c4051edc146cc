"""What a run leaves behind, besides weights."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class History:
    """Record of a run; it goes on where a checkpoint left it.

    Attributes
    ----------
    losses : list of float
        Mean loss of each step, over the global batch.
    validation : list of dict
        What `validate` returned after each epoch.
    seconds : float
        All sittings together.
    n_rows, n_parameters : int
        Rows trained on, and weights that learn.
    best_epoch : int
        Epoch whose weights were kept; -1 if the last ones were.
    resumed_at : int
        Step at which this sitting began.
    """

    losses: list[float] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    n_rows: int = 0
    n_parameters: int = 0
    best_epoch: int = -1
    resumed_at: int = 0

    def epoch_means(self, per_epoch: int) -> list[float]:
        """Mean loss of each epoch of `per_epoch` steps."""
        parts = [self.losses[i : i + per_epoch] for i in range(0, len(self.losses), per_epoch)]
        return [sum(part) / len(part) for part in parts]
