"""PIGEON's head: labels, how an answer is read, selection, files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geolab import sphere
from geolab.cells import S2Partition
from geolab.data.errors import DataError
from geolab.locators.geocell_head import GeocellHead, HeadConfig, cell_spacing_km, crowding
from geolab.locators.multitask import Task
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


def quick_head(cells, **changed):
    features, places = photos()
    return GeocellHead(HeadConfig(**{"train": QUICK, **changed})).fit(features, places, cells)


@pytest.mark.parametrize("tau", [None, "auto", 500.0])
@pytest.mark.parametrize("normalise", [True, False])
def test_learns(cells, tau, normalise):
    head = quick_head(cells, tau_km=tau, normalise=normalise)
    asked, truth = photos(200, seed=1)
    said = head.locate_features(asked)
    assert torch.allclose(said.weight.sum(1), torch.ones(200).double())
    blind = np.median(errors_km(np.zeros((200, 2)), truth.numpy()))
    assert np.median(errors_km(said.mode().numpy(), truth.numpy())) < blind / 2
    assert head.tau_km == {None: None, "auto": cell_spacing_km(cells)}.get(tau, tau)


def test_smoothing_spreads_the_answer(cells):
    features, _ = photos()
    sharp, soft = (
        quick_head(cells, tau_km=tau).locate_features(features) for tau in (None, 3000.0)
    )
    assert soft.entropy().mean() > sharp.entropy().mean() + 0.2


def test_spacing_is_the_distance_of_neighbours():
    places = torch.tensor([[0.0, 179.5], [0.0, -179.5], [0.0, 170.0]]).double().repeat(9, 1)
    cells = S2Partition.fit(places, 0, 9)
    assert 100 < cell_spacing_km(cells) < 130


def test_crowding_by_hand(cells):
    km = sphere.great_circle_matrix(cells.means, cells.means).numpy()
    assert np.allclose(crowding(cells, 300.0).numpy(), np.exp(-km / 300.0).sum(1), rtol=1e-6)


def test_a_lonely_cell_does_not_beat_a_crowd():
    """Six photos in ten come from a crowd of cells; a blind head must answer there."""
    rng = np.random.default_rng(0)
    crowd = np.stack([rng.uniform(48, 50, 600), rng.uniform(2, 4, 600)], 1)
    lonely = np.stack([rng.uniform(-30, -29.9, 400), rng.uniform(20, 20.1, 400)], 1)
    places = torch.tensor(np.concatenate([crowd, lonely]))
    cells = S2Partition.fit(places, 1, 40)
    assert (cells.means[:, 0] > 0).sum() > 6  # a crowd it is
    blind = torch.zeros(len(places), 3)
    # no rising rate: the bias alone learns, and has to arrive
    train = replace(QUICK, epochs=40, lr=0.1, weight_decay=0.0)
    for normalise in (True, False):
        head = GeocellHead(HeadConfig(200.0, normalise, train=train)).fit(blind, places, cells)
        assert head.locate_features(blind[:1]).mode()[0, 0] > 0
        plain = head.model(blind[:1])[0].argmax(1)
        assert (cells.means[plain, 0] > 0).item() is not normalise  # what the correction is for


def test_best_epoch_is_kept(cells):
    features, places = photos()
    asked, truth = photos(150, seed=2)
    for select in ("median_km", "lost_points"):
        train = replace(QUICK, select=select, patience=2, epochs=30)
        head = GeocellHead(HeadConfig(None, train=train))
        head.fit(features, places, cells, validation=(asked, truth))
        seen = [figures[select] for figures in head.history.validation]
        km = errors_km(head.locate_features(asked).mode().numpy(), truth.numpy())
        # torch's median: the lower of the two middle ones
        kept = float(torch.from_numpy(km).median())
        kept = kept if select == "median_km" else 5000 - 5000 * np.exp(-km / 1492.7).mean()
        assert kept == pytest.approx(min(seen), rel=1e-5)


def test_deterministic_and_leaves_the_callers_numbers_alone(cells):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = quick_head(cells), quick_head(cells)
    assert torch.equal(torch.get_rng_state(), before)
    features, _ = photos()
    assert torch.equal(one.probabilities(features), other.probabilities(features))


def test_standardised_by_training_photos_alone(cells):
    features, places = photos()
    features[:, 3] = 7.0  # a feature that never changes
    far = (features + 100, places)
    head = GeocellHead(HeadConfig(train=QUICK)).fit(features, places, cells, validation=far)
    held = cells.assign(places) >= 0
    assert torch.allclose(head.model.mean, features[held].mean(0), atol=1e-5)
    assert head.probabilities(features).isfinite().all()
    assert torch.allclose(head.pooled(features), features, atol=1e-4)  # their own scale again


@pytest.mark.parametrize("pooling", ["mean", "first", "attention"])
def test_views(cells, pooling):
    features, places = photos()
    views = features[:, None] + 0.3 * torch.randn(len(features), 4, 12)
    head = GeocellHead(HeadConfig(None, pooling=pooling, train=QUICK)).fit(views, places, cells)
    assert head.pooled(views).shape == (len(features), 12)
    assert head.probabilities(views[:5]).shape == (5, len(cells))
    if pooling != "attention":
        joined = views.mean(1) if pooling == "mean" else views[:, 0]
        assert torch.allclose(head.pooled(views), joined, atol=1e-4)


def test_saved_and_refused_for_other_cells(cells, tmp_path):
    features, places = photos()
    head = quick_head(cells, tau_km=400.0, train=replace(QUICK, epochs=1))
    head.save(tmp_path)
    again = GeocellHead.load(tmp_path)
    assert torch.equal(again.probabilities(features), head.probabilities(features))
    assert again.config == head.config
    assert again.history.n_parameters == head.history.n_parameters
    other = S2Partition.fit(places, 1, 80)
    with pytest.raises(DataError) as told:
        GeocellHead.load(tmp_path, other)
    assert other.hash in str(told.value)
    assert cells.hash in str(told.value)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(DataError):
        GeocellHead.load(tmp_path)


def test_bad_input(cells):
    features, places = photos()
    with pytest.raises(ValueError, match="400 features, but 399 places"):
        GeocellHead().fit(features, places[1:], cells)
    with pytest.raises(ValueError, match="no targets for the task 'month'"):
        GeocellHead(tasks=[Task("month", ("1", "2"))]).fit(features, places, cells)
    with pytest.raises(ValueError, match="no validation photos"):
        GeocellHead().fit(features, places, cells, validation=(features[:0], places[:0]))
    with pytest.raises(ValueError, match="tau_km 0"):
        HeadConfig(0)
    with pytest.raises(RuntimeError, match="no head yet"):
        GeocellHead().probabilities(features)
    head = quick_head(cells, train=replace(QUICK, epochs=1))
    assert head.probabilities(features[:0]).shape == (0, len(cells))
    with pytest.raises(ValueError, match="7 numbers, the head was taught 12"):
        head.probabilities(features[:, :7])
    features[3, 0] = torch.inf
    with pytest.raises(ValueError, match="row 3"):
        GeocellHead().fit(features, places, cells)
    places[5] = torch.nan
    with pytest.raises(ValueError, match="row 5"):
        GeocellHead().fit(photos()[0], places, cells)
