r"""PIGEON's head: one linear layer over geocells, on an embedding that stays as it is.

Haas, Skreta, Alberti and Finn, CVPR 2024. Photos are embedded once; what is trained is a layer from
the embedding to the cells, with labels that fall off with distance (`geolab.kernels`):

.. math:: y_i \propto \exp\!\left(-\frac{d(g_i, x) - \min_j d(g_j, x)}{\tau}\right)

`tau_km=None` is one-hot: with S2 cells that is the linear probe of CLIP. Rows of y sum to one;
``normalise=False`` is the paper's form, where photos in dense regions weigh more. tau has to follow
the cells (`cell_spacing_km`): 75 km over a few large cells is one-hot again.

**How an answer is read.** Where rows sum to one, a photo in a crowd of cells gives each of them a
small share, a photo in a lonely cell gives all to it: the largest share is then too often a lonely
cell, and the more so the larger tau is. So shares are multiplied by the crowding of their cell
(`crowding`) before they are compared, which makes them what the paper's form learns: the expected
closeness of each cell. On 15,421 synthetic photos, 336 cells and tau 164 km the score of 2,864
others was 1,505 points from the plain shares, 1,751 from the corrected ones, and 1,780 from the
paper's form.

**Which epoch is kept**: the one with the least median error on validation photos, not the one that
names most cells (a cell may be wrong by a metre). The mean GeoGuessr score is measured beside it,
as "lost_points", and can choose instead.

Several views of one place, (N, V, D), are pooled first (`geolab.locators.views`).

**Further tasks** (`multitask`) are linear heads too. On features that do not change they could not
reach the cells; so with tasks a linear layer, added to what it is given, stands between features
and heads, and all heads train it. PIGEON lets the tasks into the encoder's last block instead
(`fine_tune`).

Features are standardised by their training mean and deviation, which are kept with the weights.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.cells import Partition
from geolab.data.errors import DataError
from geolab.kernels import smoothed_cross_entropy
from geolab.locators.head_network import (
    HEAD_TRAINING,
    HeadConfig,
    HeadNetwork,
    cell_spacing_km,
    crowding,
)
from geolab.locators.multitask import Task, task_loss
from geolab.metrics import errors_km, geoguessr_score
from geolab.posterior import Posterior
from geolab.training import Batch, History, TrainConfig, load_weights, save_weights, train
from geolab.training.checkpoint import read_about
from geolab.training.loop import Validate

__all__ = [
    "HEAD_TRAINING",
    "GeocellHead",
    "HeadConfig",
    "HeadNetwork",
    "cell_spacing_km",
    "crowding",
]
_BATCH = 4096


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

    def __init__(self, config: HeadConfig | None = None, tasks: Sequence[Task] = ()) -> None:
        self.config, self.tasks = config or HeadConfig(), tuple(tasks)
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
            By which the weights are chosen after each epoch.

        Raises
        ------
        ValueError
            If lengths disagree, a task has no targets, a feature is not finite (its row is named),
            or no photo lies in a cell.
        """
        features, places = _checked(features), torch.as_tensor(places).double()
        wanted = self._asked(targets or {}, len(features), len(places))
        cells = partition.assign(places)
        held = (cells >= 0).nonzero()[:, 0]
        if not len(held):
            raise ValueError("no photo lies in a cell: fit the partition on these photos")
        self._begin(features[held], partition)

        def loss(network: nn.Module, batch: Batch) -> tuple[Tensor, int]:
            rows = held[batch.rows]
            device = self.model.mean.device
            scores, said = network(features[rows].to(device))
            lost = self._cell_loss(scores, cells[rows].to(device), places[rows].to(device))
            if self.tasks:
                asked = {name: values[rows].to(device) for name, values in wanted.items()}
                lost = lost + task_loss(said, asked, self.tasks)
            return lost, len(rows)

        config = self.config.train
        self.history = train(
            self.model,
            len(held),
            loss,
            config if validation else replace(config, select=""),
            checkpoint=checkpoint,
            identity=self._identity(),
            validate=self._figures_on(*validation) if validation else None,
            name_of=lambda row: f"photo {int(held[row])}",
            progress=progress,
        )
        return self

    def _asked(self, targets: Mapping[str, Tensor], n: int, n_places: int) -> dict[str, Tensor]:
        """Targets of the tasks, once their lengths are known to fit."""
        missing = [task.name for task in self.tasks if task.name not in targets]
        if missing:
            raise ValueError(f"no targets for the task {missing[0]!r}: give targets=")
        lengths = {"places": n_places} | {name: len(values) for name, values in targets.items()}
        for name, length in lengths.items():
            if length != n:
                raise ValueError(f"{n} features, but {length} {name}")
        return {task.name: targets[task.name] for task in self.tasks}

    def _begin(self, features: Tensor, partition: Partition) -> None:
        config = self.config
        tau = cell_spacing_km(partition) if config.tau_km == "auto" else config.tau_km
        with torch.random.fork_rng([]):  # seeded; the caller's random numbers stay as they were
            torch.manual_seed(config.train.seed)
            model = HeadNetwork(features.shape[-1], len(partition), self.tasks, config.pooling)
        flat = features.flatten(0, -2)  # (N, D) or (N, V, D) -> (N V, D)
        model.mean.copy_(flat.mean(0))
        model.std.copy_(flat.std(0, correction=0).clamp_min(1e-6))
        self._settle(partition, tau or None, model)

    def _settle(self, partition: Partition, tau: float | None, model: HeadNetwork) -> None:
        """Take cells, width and network, and how shares are made comparable."""
        self.partition, self.tau_km, self.model = partition, tau, model
        even = torch.zeros(len(partition))
        spread = tau is not None and self.config.normalise
        self._log_crowding = crowding(partition, tau).log().float() if spread else even

    def _cell_loss(self, scores: Tensor, cells: Tensor, places: Tensor) -> Tensor:
        if self.tau_km is None:
            return F.cross_entropy(scores, cells, reduction="sum")
        points = self.partition.means.to(scores.device)
        rule = {"normalise": self.config.normalise, "reduction": "sum"}
        return smoothed_cross_entropy(scores, places, points, self.tau_km, **rule)

    def _figures_on(self, features: Tensor, places: Tensor) -> Validate:
        features, truth = _checked(features), torch.as_tensor(places).numpy()
        if not len(features):
            raise ValueError("there are no validation photos: give some, or no validation")

        def validate(_: nn.Module) -> dict[str, float]:
            said = self.partition.means[self.probabilities(features).argmax(1)]
            km = errors_km(said.numpy(), truth)
            median = float(torch.from_numpy(km).median())
            return {"median_km": median, "lost_points": 5000 - float(geoguessr_score(km).mean())}

        return validate

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor:
        """Weight of each cell for features (N, D) or (N, V, D): (N, C) float32, rows sum to 1.

        One-hot labels make it the chance of the cell, smoothed ones its expected closeness.
        """
        model = self._fitted(features)
        offset = self._log_crowding.to(model.mean.device)
        blocks = features.float().split(_BATCH) if len(features) else ()
        parts = [(model(x.to(offset.device))[0] + offset).softmax(1).cpu() for x in blocks]
        return torch.cat(parts) if parts else torch.empty(0, len(self.partition))

    @torch.no_grad()
    def pooled(self, features: Tensor) -> Tensor:
        """Views (N, V, D) joined as the head joins them, in the features' own scale: (N, D)."""
        model = self._fitted(features)
        x = (features.float().to(model.mean.device) - model.mean) / model.std
        return (model.pool(x) * model.std + model.mean).cpu()

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for features: all cells, at the means of their photos."""
        return Posterior.from_votes(self.partition.means, self.probabilities(features).double())

    @torch.no_grad()
    def read(self, features: Tensor) -> dict[str, list[str] | Tensor]:
        """What the further heads say, by task."""
        model = self._fitted(features)
        said = model(features.float().to(model.mean.device))[1]
        return {task.name: task.decode(said[task.name].cpu()) for task in self.tasks}

    def _fitted(self, features: Tensor | None = None) -> HeadNetwork:
        if not hasattr(self, "model"):
            raise RuntimeError("no head yet: call fit or GeocellHead.load first")
        dim = self.model.mean.numel()
        if features is not None and features.shape[-1] != dim:
            raise ValueError(
                f"features have {features.shape[-1]} numbers, the head was taught {dim}: take the "
                "encoder and feature that it was fitted with"
            )
        return self.model.eval()

    def _identity(self) -> dict[str, str]:
        cells = self.partition
        names = ",".join(task.name for task in self.tasks)
        made = f"tau {self.tau_km}, {self.config.pooling}, tasks {names}, {self.config.normalise}"
        return {"partition": f"{cells.name} {cells.hash}", "head": made}

    def save(self, folder: str | os.PathLike) -> Path:
        """Write weights, partition and configuration into a folder."""
        folder = Path(folder)
        dim = self._fitted().mean.numel()
        folder.mkdir(parents=True, exist_ok=True)
        self.partition.save(folder / "partition.npz")
        about = {"kind": "GeocellHead", "identity": self._identity(), "dim": dim}
        about |= {"config": asdict(self.config), "tau_km": self.tau_km}
        about["tasks"] = [asdict(task) for task in self.tasks]
        kept = {"seconds": self.history.seconds, "n_parameters": self.history.n_parameters}
        save_weights(folder / "weights.safetensors", self.model, about | {"history": kept})
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
        held = about["config"]["train"]
        schedule = TrainConfig(**{**held, "halve_at": tuple(held["halve_at"])})
        head = cls(HeadConfig(**{**about["config"], "train": schedule}), tasks)
        cells = partition or Partition.load(Path(folder) / "partition.npz")
        model = HeadNetwork(about["dim"], len(cells), tasks, head.config.pooling)
        head._settle(cells, about["tau_km"], model)
        load_weights(path, model, head._identity())
        head.history = History(**about["history"])
        return head


def _checked(features: Tensor) -> Tensor:
    bad = (~features.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
    return features.float()
