"""Further tasks: targets, losses, and that they reach the weights they share with the cells."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch

from geolab.cells import S2Partition
from geolab.data.errors import DataError
from geolab.locators.geocell_head import GeocellHead, HeadConfig
from geolab.locators.multitask import TASKS, WEIGHTS, Task, targets_of, task_loss, tasks_of
from geolab.training import TrainConfig

from .test_geocell_head import QUICK, photos

NAN = float("nan")


@pytest.fixture(scope="module")
def learnt():
    """Photos with columns, their cells, and the tasks that the columns can teach."""
    features, places = photos()
    north = ["north" if lat > 0 else "south" for lat in places[:, 0].tolist()]
    table = datasets.Dataset.from_dict(
        {"climate": [*north[:-1], None], "temperature": (places[:, 0] * 0.5).tolist()}
    )
    cells = S2Partition.fit(places, 1, 40)
    return features, places, cells, table, tasks_of(table, ("climate", "temperature", "month"))


def test_a_missing_column_leaves_its_task_out(learnt):
    *_, table, tasks = learnt
    assert [task.name for task in tasks] == ["climate", "temperature"]
    assert targets_of(table, tasks)["climate"][-1].isnan()


def test_tasks_reach_the_shared_layer(learnt):
    features, places, cells, table, tasks = learnt
    head = GeocellHead(HeadConfig(None, train=TrainConfig(epochs=1, lr=1e-3)), tasks)
    head.fit(features, places, cells, targets=targets_of(table, tasks))
    head.model.zero_grad()
    task_loss(head.model(features)[1], targets_of(table, tasks), tasks).backward()
    assert head.model.shared.weight.grad.abs().max() > 1e-3  # from the tasks alone
    assert head.model.cells.weight.grad is None


def test_tasks_change_the_cells_and_can_be_read(learnt):
    features, places, cells, table, tasks = learnt
    config = HeadConfig(None, train=QUICK)
    targets = targets_of(table, tasks)
    head = GeocellHead(config, tasks).fit(features, places, cells, targets=targets)
    silent = {name: torch.full_like(values, NAN) for name, values in targets.items()}
    alone = GeocellHead(config, tasks).fit(features, places, cells, targets=silent)
    gap = (head.probabilities(features) - alone.probabilities(features)).abs().max()
    assert gap > 0.01  # same network, same seed: what the tasks teach
    said = head.read(features)
    north = list(table["climate"])
    assert np.mean([a == b for a, b in zip(said["climate"], north, strict=True)]) > 0.9
    assert np.corrcoef(said["temperature"], places[:, 0])[0, 1] > 0.9


def test_loss_by_hand():
    tasks = (Task("climate", ("a", "b")), Task("elevation"), Task("month", ("1", "2", "3", "4")))
    outputs = {"climate": torch.zeros(2, 2), "elevation": torch.tensor([[1.0], [5.0]])}
    outputs["month"] = torch.zeros(2, 4)
    targets = {"climate": torch.tensor([1.0, NAN]), "elevation": torch.tensor([3.0, NAN])}
    targets["month"] = torch.tensor([NAN, NAN])
    assert task_loss(outputs, targets, tasks) == pytest.approx(2 * np.log(2) + 8 * 4.0)
    targets["month"] = torch.tensor([NAN, 2.0])
    expected = 2 * np.log(2) + 8 * 4.0 + np.log(4)
    assert task_loss(outputs, targets, tasks) == pytest.approx(expected)


def test_published_weights():
    assert {WEIGHTS[n] for n in ("elevation", "population", "precipitation", "temperature")} == {8}
    assert (WEIGHTS["climate"], WEIGHTS["month"]) == (2, 1)


def test_a_row_that_asks_nothing_teaches_nothing():
    tasks = (Task("climate", ("a", "b")), Task("elevation"))
    outputs = {"climate": torch.randn(3, 2), "elevation": torch.randn(3, 1)}
    for out in outputs.values():
        out.requires_grad_()
    targets = {"climate": torch.tensor([0.0, NAN, 1.0]), "elevation": torch.tensor([NAN, NAN, 2.0])}
    task_loss(outputs, targets, tasks).backward()
    assert (outputs["climate"].grad[1] == 0).all()
    assert (outputs["elevation"].grad[:2] == 0).all()
    assert (outputs["elevation"].grad[2] != 0).all()


def test_numbers_are_standardised_by_training_photos():
    metres = [0.0, 100.0, 900.0, 4000.0]
    (task,) = tasks_of(datasets.Dataset.from_dict({"elevation": [*metres, None]}), ("elevation",))
    logs = np.log(np.array(metres) + 408)
    assert (task.mean, task.std) == pytest.approx((logs.mean(), logs.std()), rel=1e-5)
    encoded = task.encode([8000.0, None, -500.0])  # other photos: scaled as the training's are
    assert encoded[0].item() == pytest.approx((np.log(8408) - logs.mean()) / logs.std(), rel=1e-4)
    assert encoded[1:].isnan().all()  # unknown, and below what the logarithm takes
    assert task.decode(encoded[:1, None])[0].item() == pytest.approx(8000, rel=1e-3)


def test_temperature_has_no_logarithm():
    table = datasets.Dataset.from_dict({"temperature": [-20.0, 0.0, 20.0]})
    (task,) = tasks_of(table, ("temperature",))
    assert task.encode([0.0, -20.0]).tolist() == pytest.approx([0.0, -(1.5**0.5)], rel=1e-5)


def test_classes_that_training_photos_lack_ask_nothing():
    (task,) = tasks_of(datasets.Dataset.from_dict({"month": [1, 3, None]}), ("month",))
    assert task.classes == ("1", "3")  # a column with gaps may come as float: 1.0 is January too
    assert task.encode([3, 1.0])[:2].tolist() == [1.0, 0.0]
    assert task.encode([2, None, ""]).isnan().all()


def test_bad_columns():
    with pytest.raises(DataError, match="none of the columns"):
        tasks_of(datasets.Dataset.from_dict({"id": ["a"]}))
    with pytest.raises(DataError, match="none of the columns month"):
        tasks_of(datasets.Dataset.from_dict({"month": [4, 4]}), ("month",))
    with pytest.raises(DataError, match="no task 'mood'"):
        tasks_of(datasets.Dataset.from_dict({"id": ["a"]}), ("mood",))
    with pytest.raises(DataError, match="row 1: elevation 'high'"):
        tasks_of(datasets.Dataset.from_dict({"elevation": ["3", "high"]}), ("elevation",))
    assert len(TASKS) == 7
