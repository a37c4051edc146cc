"""PIGEON's head: labels, tasks, selection, files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geolab.cells import S2Partition
from geolab.data.errors import DataError
from geolab.locators.geocell_head import GeocellHead, HeadConfig, cell_spacing_km
from geolab.locators.multitask import Task, targets_of, task_loss, tasks_of
from geolab.locators.views import ViewPool, panorama_pixels
from geolab.metrics import errors_km
from geolab.training import TrainConfig

QUICK = TrainConfig(epochs=15, batch_size=64, lr=0.02)


def photos(n=400, dim=12, seed=0):
    """Features that know the place, up to noise."""
    rng = np.random.default_rng(seed)
    places = np.stack([rng.uniform(-60, 70, n), rng.uniform(-180, 180, n)], 1)
    turn = np.radians(places)
    basis = np.stack([np.sin(turn[:, 0]), np.cos(turn[:, 1]), np.sin(turn[:, 1])], 1)
    features = basis @ np.random.default_rng(9).normal(size=(3, dim))
    features = features + rng.normal(0, 0.05, features.shape)
    return torch.tensor(features).float() + 5, torch.tensor(places)


@pytest.fixture(scope="module")
def cells():
    return S2Partition.fit(photos()[1], 1, 40)


@pytest.mark.parametrize("tau", [None, "auto", 500.0])
@pytest.mark.parametrize("normalise", [True, False])
def test_learns(cells, tau, normalise):
    features, places = photos()
    head = GeocellHead(HeadConfig(tau, normalise, train=QUICK)).fit(features, places, cells)
    asked, truth = photos(200, seed=1)
    said = head.locate_features(asked)
    assert torch.allclose(said.weight.sum(1), torch.ones(200).double())
    blind = np.median(errors_km(np.zeros((200, 2)), truth.numpy()))
    assert np.median(errors_km(said.mode().numpy(), truth.numpy())) < blind / 2
    assert head.tau_km == {None: None, "auto": cell_spacing_km(cells)}.get(tau, tau)


def test_smoothing_spreads_the_answer(cells):
    features, places = photos()
    sharp, soft = (
        GeocellHead(HeadConfig(tau, train=QUICK))
        .fit(features, places, cells)
        .locate_features(features)
        for tau in (None, 3000.0)
    )
    assert soft.entropy().mean() > sharp.entropy().mean() + 0.2


def test_spacing_is_the_distance_of_neighbours():
    places = torch.tensor([[0.0, 179.5], [0.0, -179.5], [0.0, 170.0]]).double().repeat(9, 1)
    cells = S2Partition.fit(places, 0, 9)
    assert 100 < cell_spacing_km(cells) < 130


def test_best_epoch_is_kept(cells):
    features, places = photos()
    config = HeadConfig(None, train=replace(QUICK, select="median_km", patience=2, epochs=30))
    head = GeocellHead(config).fit(features, places, cells, validation=photos(150, seed=2))
    medians = [v["median_km"] for v in head.history.validation]
    asked, truth = photos(150, seed=2)
    km = errors_km(head.locate_features(asked).mode().numpy(), truth.numpy())
    assert float(torch.from_numpy(km).median()) == pytest.approx(min(medians), rel=1e-5)


def test_tasks_train_the_shared_layer_and_can_be_read(cells):
    features, places = photos()
    import datasets

    north = [("north" if lat > 0 else "south") for lat in places[:, 0].tolist()]
    table = datasets.Dataset.from_dict(
        {"climate": [*north[:-1], None], "temperature": (places[:, 0] * 0.5).tolist()}
    )
    tasks = tasks_of(table, ("climate", "temperature", "month"))
    assert [task.name for task in tasks] == ["climate", "temperature"]  # month is not there
    targets = targets_of(table, tasks)
    assert targets["climate"][-1].isnan()
    head = GeocellHead(HeadConfig(None, train=QUICK), tasks)
    head.fit(features, places, cells, targets=targets)
    identity = torch.eye(12)
    assert (head.model.shared.weight - identity).abs().max() > 0.01
    said = head.read(features)
    assert np.mean([a == b for a, b in zip(said["climate"][:-1], north[:-1], strict=True)]) > 0.9
    assert np.corrcoef(said["temperature"], places[:, 0])[0, 1] > 0.9


def test_task_loss_by_hand():
    tasks = (Task("climate", ("a", "b")), Task("elevation"))
    outputs = {"climate": torch.zeros(2, 2), "elevation": torch.tensor([[1.0], [5.0]])}
    nan = float("nan")
    targets = {"climate": torch.tensor([1.0, nan]), "elevation": torch.tensor([3.0, nan])}
    assert task_loss(outputs, targets, tasks) == pytest.approx(2 * np.log(2) + 8 * 4.0)


def test_nothing_to_learn():
    import datasets

    with pytest.raises(DataError, match="none of the columns"):
        tasks_of(datasets.Dataset.from_dict({"id": ["a"]}))
    with pytest.raises(DataError, match="no task 'mood'"):
        tasks_of(datasets.Dataset.from_dict({"id": ["a"]}), ("mood",))


@pytest.mark.parametrize("pooling", ["mean", "first", "attention"])
def test_views(cells, pooling):
    features, places = photos()
    views = features[:, None] + 0.3 * torch.randn(len(features), 4, 12)
    head = GeocellHead(HeadConfig(None, pooling=pooling, train=QUICK)).fit(views, places, cells)
    assert head.pooled(views).shape == (len(features), 12)
    assert head.probabilities(views[:5]).shape == (5, len(cells))


def test_attention_begins_as_the_mean():
    views = torch.randn(3, 4, 8)
    assert torch.allclose(ViewPool(8, "attention")(views), views.mean(1))
    with pytest.raises(ValueError, match="pooling"):
        ViewPool(8, "best")


def test_saved_and_refused_for_other_cells(cells, tmp_path):
    features, places = photos()
    head = GeocellHead(HeadConfig(None, train=replace(QUICK, epochs=1))).fit(
        features, places, cells
    )
    head.save(tmp_path)
    again = GeocellHead.load(tmp_path)
    assert torch.equal(again.probabilities(features), head.probabilities(features))
    other = S2Partition.fit(places, 1, 80)
    with pytest.raises(DataError, match=other.hash):
        GeocellHead.load(tmp_path, other)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(DataError):
        GeocellHead.load(tmp_path)


def test_bad_features(cells):
    features, places = photos()
    features[3, 0] = torch.inf
    with pytest.raises(ValueError, match="row 3"):
        GeocellHead().fit(features, places, cells)


def test_panoramas_need_tinyearth():
    import datasets

    with pytest.raises(DataError, match="views=1"):
        panorama_pixels(datasets.Dataset.from_dict({"id": ["a"]}), 32)


def test_panorama_of_a_photo():
    from geolab.data.loading import load

    few = load("tinyearth", n=3)
    pixels = panorama_pixels(few, 32)
    assert pixels.shape == (3, 4, 3, 32, 32)
    assert (pixels[:, 0] != pixels[:, 2]).any()
    assert torch.equal(pixels, panorama_pixels(few, 32, workers=2))
