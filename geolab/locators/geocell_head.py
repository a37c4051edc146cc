r"""PIGEON's head: one linear layer over geocells, on an embedding that stays as it is.

Haas, Skreta, Alberti and Finn, CVPR 2024. Photos are embedded once; what is trained is a layer from
the embedding to the cells, with labels that fall off with distance (`geolab.kernels`):

.. math:: y_i \propto \exp\!\left(-\frac{d(g_i, x) - \min_j d(g_j, x)}{\tau}\right)

`tau_km=None` is one-hot: with S2 cells that is the linear probe of CLIP. Rows of y sum to one;
``normalise=False`` is the paper's form, where photos in dense regions weigh more. tau has to follow
the cells (`cell_spacing_km`): 75 km over a few large cells is one-hot again.

Several views of one place, (N, V, D), are pooled first (`geolab.locators.views`).

**Further tasks** (`multitask`) are linear heads too. On features that do not change they could not
reach the cells; so with tasks a square linear layer, begun as the identity, stands between features
and heads, and all heads train it. PIGEON lets the tasks into the encoder's last block instead
(`fine_tune`).

Features are standardised by their training mean and deviation, which are kept with the weights.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab import sphere
from geolab.cells import Partition
from geolab.data.errors import DataError
from geolab.kernels import smoothed_cross_entropy
from geolab.locators.multitask import Task, task_loss
from geolab.locators.views import Pooling, ViewPool
from geolab.metrics import errors_km
from geolab.posterior import Posterior
from geolab.training import Batch, History, TrainConfig, load_weights, save_weights, train
from geolab.training.checkpoint import read_about

HEAD_TRAINING = TrainConfig(
    epochs=30, batch_size=256, lr=3e-3, weight_decay=0.01, select="median_km", patience=6
)
"""Seconds on two cores for 15,000 embeddings."""


@dataclass(frozen=True)
class HeadConfig:
    """How to train a head.

    Attributes
    ----------
    tau_km : float, "auto" or None
        Width of the labels; "auto" is the spacing of the cells, None is one-hot.
    normalise : bool
        Whether labels of a photo sum to one; False as in the paper.
    pooling : {"mean", "first", "attention"}
        Of several views.
    train : TrainConfig
        ``select="median_km"`` needs validation photos; without them the last weights are kept.
    """

    tau_km: float | Literal["auto"] | None = "auto"
    normalise: bool = True
    pooling: Pooling = "mean"
    train: TrainConfig = field(default_factory=lambda: HEAD_TRAINING)


class HeadNetwork(nn.Module):
    """Pool, standardise, shared layer where there are tasks, and the heads."""

    def __init__(self, dim: int, n_cells: int, tasks: Sequence[Task], pooling: Pooling) -> None:
        super().__init__()
        self.pool = ViewPool(dim, pooling)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.shared = nn.Linear(dim, dim) if tasks else nn.Identity()
        if tasks:
            nn.init.eye_(self.shared.weight)
            nn.init.zeros_(self.shared.bias)
        self.cells = nn.Linear(dim, n_cells)
        nn.init.zeros_(self.cells.weight)
        nn.init.zeros_(self.cells.bias)
        self.tasks = nn.ModuleDict({task.name: nn.Linear(dim, task.width) for task in tasks})

    def forward(self, features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores of the cells (b, C) and of the tasks, for features (b, D) or (b, V, D)."""
        pooled = self.pool((features - self.mean) / self.std)
        shared = self.shared(pooled)
        return self.cells(shared), {name: head(shared) for name, head in self.tasks.items()}


def cell_spacing_km(partition: Partition) -> float:
    """Median distance of a cell's mean to the nearest other mean: the tau that fits the cells."""
    km = sphere.great_circle_matrix(partition.means, partition.means)  # (C, C)
    if len(km) < 2:
        return 0.0
    return float(km.fill_diagonal_(torch.inf).amin(1).median())


class GeocellHead:
    """Classifier of cells on embeddings.

    Attributes
    ----------
    partition : Partition
    model : HeadNetwork
    history : History
    tau_km : float or None
        As used.
    """

    partition: Partition
    model: HeadNetwork
    history: History

    def __init__(self, config: HeadConfig = HeadConfig(), tasks: Sequence[Task] = ()) -> None:
        self.config, self.tasks = config, tuple(tasks)
        self.tau_km: float | None = None

    def fit(
        self,
        features: Tensor,
        places: Tensor,
        partition: Partition,
        *,
        targets: Mapping[str, Tensor] | None = None,
        validation: tuple[Tensor, Tensor] | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> GeocellHead:
        """Learn the cells.

        Parameters
        ----------
        features : Tensor, shape (N, D) or (N, V, D)
        places : Tensor, shape (N, 2)
            Degrees.
        targets : mapping of str to Tensor, shape (N,)
            Of the tasks, see `geolab.locators.multitask.targets_of`.
        validation : tuple of features and places, optional
            For the median error after each epoch, by which the weights are chosen.

        Raises
        ------
        ValueError
            If a feature is not finite (its row is named), or no photo lies in a cell.
        """
        features, places = _checked(features), torch.as_tensor(places).double()
        cells = partition.assign(places)
        held = (cells >= 0).nonzero()[:, 0]
        if not len(held):
            raise ValueError("no photo lies in a cell: fit the partition on these photos")
        self._begin(features[held], partition)
        wanted = dict(targets or {})

        def loss(network: nn.Module, batch: Batch) -> tuple[Tensor, int]:
            rows = held[batch.rows]
            device = next(network.parameters()).device
            scores, said = network(features[rows].to(device))
            lost = self._cell_loss(scores, cells[rows].to(device), places[rows].to(device))
            if self.tasks:
                asked = {name: values[rows].to(device) for name, values in wanted.items()}
                lost = lost + task_loss(said, asked, self.tasks)
            return lost, len(rows)

        config = self.config.train if validation else _unselected(self.config.train)
        self.history = train(
            self.model,
            len(held),
            loss,
            config,
            checkpoint=checkpoint,
            identity=self._identity(),
            validate=self._median_on(*validation) if validation else None,
            name_of=lambda row: f"photo {int(held[row])}",
            progress=progress,
        )
        return self

    def _begin(self, features: Tensor, partition: Partition) -> None:
        config = self.config
        self.partition = partition
        self.tau_km = cell_spacing_km(partition) if config.tau_km == "auto" else config.tau_km
        torch.manual_seed(config.train.seed)
        self.model = HeadNetwork(features.shape[-1], len(partition), self.tasks, config.pooling)
        flat = features.flatten(0, -2)  # (N, V, D) -> (N V, D)
        self.model.mean.copy_(flat.mean(0))
        self.model.std.copy_(flat.std(0).clamp_min(1e-6) if len(flat) > 1 else torch.tensor(1.0))

    def _cell_loss(self, scores: Tensor, cells: Tensor, places: Tensor) -> Tensor:
        if not self.tau_km:
            return F.cross_entropy(scores, cells, reduction="sum")
        points = self.partition.means.to(scores.device)
        rule = {"normalise": self.config.normalise, "reduction": "sum"}
        return smoothed_cross_entropy(scores, places, points, self.tau_km, **rule)

    def _median_on(self, features: Tensor, places: Tensor):
        def validate(_: nn.Module) -> dict[str, float]:
            said = self.partition.means[self.probabilities(features).argmax(1)]
            km = torch.from_numpy(errors_km(said.numpy(), torch.as_tensor(places).numpy()))
            return {"median_km": float(km.median())}

        return validate

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor:
        """Chances of the cells for features (N, D) or (N, V, D): (N, C) float32."""
        model = self._fitted().eval()
        device = model.mean.device
        parts = [model(block.to(device))[0].softmax(1).cpu() for block in features.split(4096)]
        return torch.cat(parts) if parts else torch.empty(0, len(self.partition))

    @torch.no_grad()
    def pooled(self, features: Tensor) -> Tensor:
        """Views (N, V, D) joined as the head joins them, in the features' own scale: (N, D)."""
        model = self._fitted().eval()
        return model.pool((features - model.mean.cpu()) / model.std.cpu())

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for features: all cells, at the means of their photos."""
        return Posterior.from_votes(self.partition.means, self.probabilities(features).double())

    @torch.no_grad()
    def read(self, features: Tensor) -> dict[str, list[str] | Tensor]:
        """What the further heads say, by task."""
        said = self._fitted().eval()(features)[1]
        return {task.name: task.decode(said[task.name]) for task in self.tasks}

    def _fitted(self) -> HeadNetwork:
        if not hasattr(self, "model"):
            raise RuntimeError("no head yet: call fit or GeocellHead.load first")
        return self.model

    def _identity(self) -> dict[str, str]:
        cells = self.partition
        names = ",".join(task.name for task in self.tasks)
        made = f"tau {self.tau_km}, {self.config.pooling}, tasks {names}, {self.config.normalise}"
        return {"partition": f"{cells.name} {cells.hash}", "head": made}

    def save(self, folder: str | os.PathLike) -> Path:
        """Write weights, partition and configuration into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        dim = self._fitted().mean.numel()
        self.partition.save(folder / "partition.npz")
        config = {**asdict(self.config), "train": None, "tau_km": self.tau_km}
        about = {"kind": "GeocellHead", "identity": self._identity(), "config": config, "dim": dim}
        about["tasks"] = [asdict(task) for task in self.tasks]
        save_weights(folder / "weights.safetensors", self.model, about)
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike, partition: Partition | None = None) -> GeocellHead:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If a file is damaged, or the weights were made for another partition: both are named.
        """
        path = Path(folder) / "weights.safetensors"
        about = read_about(path)
        if about.get("kind") != "GeocellHead":
            raise DataError(f"{path} holds {about.get('kind')!r}, not a GeocellHead")
        tasks = [Task(**{**t, "classes": tuple(t["classes"])}) for t in about["tasks"]]
        head = cls(HeadConfig(**{**about["config"], "train": HEAD_TRAINING}), tasks)
        head.partition = partition or Partition.load(Path(folder) / "partition.npz")
        head.tau_km = about["config"]["tau_km"]
        n_cells, pooling = len(head.partition), head.config.pooling
        head.model = HeadNetwork(about["dim"], n_cells, tasks, pooling)
        load_weights(path, head.model, head._identity())
        head.model.eval()
        return head


def _checked(features: Tensor) -> Tensor:
    bad = (~features.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
    return features.float()


def _unselected(config: TrainConfig) -> TrainConfig:
    """Without validation photos nothing can be selected by."""
    from dataclasses import replace

    return replace(config, select="")
