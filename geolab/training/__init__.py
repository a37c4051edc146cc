"""One training loop for every network of the kit: classifiers, albums, towers.

    def loss(model, batch):                       # batch.rows (b,) and batch.draws (b, 4)
        scores = model(pixels[batch.rows])
        lost = cross_entropy(scores, cells[batch.rows], reduction="sum")
        return lost, len(batch.rows)              # a sum, and how many it sums over

    history = train(model, len(pixels), loss, TrainConfig(epochs=5), checkpoint="run.pt")

- The order of rows comes from (seed, epoch), all chance of a step from (seed, step): a run that
  was cut off at any step and goes on ends with the same bits as one that was not (on a CPU).
- ``torchrun --nproc-per-node 2 script.py`` runs the same code: each process takes every second row
  of each *global* batch with the draws of these rows, and gradients are weighted so that their sum
  is the one of one process. Weights agree to rounding (1e-5 in the tests); with dropout or batch
  normalisation they agree in distribution only, as each process has its own.
- Ctrl-C ends the step, writes the checkpoint and is passed on. A second one stops at once.
- A loss, a gradient or a weight that is not finite stops the run; the last good checkpoint stays.
"""

from geolab.training.checkpoint import load_weights, save_weights
from geolab.training.config import Batch, TrainConfig
from geolab.training.history import History
from geolab.training.loop import train
from geolab.training.run_state import TrainingError

__all__ = [
    "Batch",
    "History",
    "TrainConfig",
    "TrainingError",
    "load_weights",
    "save_weights",
    "train",
]
