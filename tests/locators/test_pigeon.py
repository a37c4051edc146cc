"""PIGEON put together: every part can be left out, and the answer stays an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geolab.cells import PIGEON_CELLS, PIGEOTTO_CELLS
from geolab.data.errors import DataError
from geolab.data.loading import load
from geolab.encoders.clip import load_clip
from geolab.locators.baselines import places_of
from geolab.locators.geocell_head import HeadConfig
from geolab.locators.multitask import PIGEON_TASKS, PIGEOTTO_TASKS
from geolab.locators.pigeon import PIGEON, PIGEOTTO, Pigeon, PigeonConfig, make_cells
from geolab.locators.protonet import PIGEON_REFINER
from geolab.training import TrainConfig

QUICK = HeadConfig("auto", train=TrainConfig(epochs=3, batch_size=64, lr=0.01))


@pytest.fixture(scope="module")
def photos():
    return load("tinyearth", n=260)


@pytest.fixture(scope="module")
def clip():
    return load_clip()


@pytest.fixture(scope="module")
def features(clip, photos):
    return clip.embed_photos(photos, "tokens")


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"refine": None},
        {"cells": "naive"},
        {"cells": "s2", "refine": None},
        {"tasks": ("climate", "temperature")},
        {"head": replace(QUICK, tau_km=None)},
        {"head": replace(QUICK, tau_km=75.0, normalise=False)},
    ],
)
def test_parts_can_be_left_out(photos, features, parts):
    config = PigeonConfig(**{"head": QUICK, **parts})
    pigeon = Pigeon(None, config).fit_features(features, places_of(photos), photos=photos)
    said = pigeon.locate_features(features[:30])
    assert torch.allclose(said.weight.sum(1), torch.ones(30).double())
    assert said.mode().isfinite().all()
    assert (pigeon.refiner is None) == ("refine" in parts)


def test_the_answer_is_the_refiners(photos, features):
    places = places_of(photos)
    pigeon = Pigeon(None, PigeonConfig(head=QUICK)).fit_features(features, places)
    pooled = pigeon.head.pooled(features)
    refined = pigeon.refiner.refine(pooled, pigeon.head.probabilities(features))
    assert torch.equal(pigeon.locate_features(features).mode(), refined.mode())
    plain = pigeon.without_refinement().locate_features(features)
    assert torch.equal(plain.mode(), pigeon.head.locate_features(features).mode())
    assert pigeon.config.refine is not None  # the first one kept its own


def test_four_views(photos):
    views = torch.randn(len(photos), 4, 16)
    config = PigeonConfig(views=4, head=QUICK)
    pigeon = Pigeon(None, config).fit_features(views, places_of(photos))
    assert len(pigeon.locate_features(views[:5])) == 5
    with pytest.raises(ValueError, match="one photo is one view"):
        pigeon.locate([photos[0]["image"]])


@pytest.mark.slow
def test_photos_in_answer_out(clip, photos):
    pigeon = Pigeon(clip, PigeonConfig(head=QUICK)).fit(photos, validation=photos.select(range(40)))
    images = photos.select(range(3))["image"]
    assert pigeon.locate(list(images)).mode().shape == (3, 2)
    four = Pigeon(clip, PigeonConfig(views=4, head=QUICK)).fit(photos.select(range(60)))
    assert four.name == "PIGEON, 4 views"


def test_published_settings():
    assert (PIGEON.cells, PIGEON.views, PIGEON.head.tau_km) == (PIGEON_CELLS, 4, 75.0)
    assert (PIGEOTTO.cells, PIGEOTTO.views, PIGEOTTO.head.tau_km) == (PIGEOTTO_CELLS, 1, 65.0)
    assert not PIGEON.head.normalise
    refiner = PIGEON.refine
    assert refiner == PIGEON_REFINER
    assert (refiner.min_samples, refiner.xi, refiner.top_k) == (3, 0.15, 5)
    assert (refiner.temperature, refiner.max_km) == (1.6, 1000.0)
    assert (PIGEOTTO.refine.top_k, PIGEOTTO.refine.temperature) == (40, 0.6)
    assert PIGEOTTO.refine.max_km == np.inf
    assert not PIGEON.tune
    assert not PIGEOTTO.tune  # or the published temperatures would not be used
    assert (PIGEON.tasks, PIGEOTTO.tasks) == (PIGEON_TASKS, PIGEOTTO_TASKS)


def test_cells_by_name(photos):
    places = places_of(photos)
    for kind in ("semantic", "naive", "s2", PIGEON_CELLS):
        assert len(make_cells(places, kind)) > 3
    with pytest.raises(ValueError, match="cells 'round'"):
        PigeonConfig(cells="round")
    with pytest.raises(ValueError, match="views"):
        PigeonConfig(views=3)


def test_a_partition_given_is_used(photos, features):
    places = places_of(photos)
    cells = make_cells(places, "s2")
    pigeon = Pigeon(None, PigeonConfig(cells, head=QUICK, refine=None))
    assert pigeon.fit_features(features, places).partition is cells


def test_temperature_as_given_or_tuned(photos, features):
    places = places_of(photos)
    given = PigeonConfig(head=QUICK, tune=False)
    kept = Pigeon(None, given).fit_features(features, places, validation=(features, places))
    assert kept.refiner.config == PIGEON_REFINER
    tuned = Pigeon(None, replace(given, tune=True)).fit_features(features, places)
    scale = tuned.refiner.distance_scale(features)
    assert tuned.refiner.config.temperature == pytest.approx(0.1 * scale, rel=1e-4)


def test_the_whole_distribution_is_answered(photos, features):
    places = places_of(photos)
    pigeon = Pigeon(None, PigeonConfig(head=QUICK)).fit_features(features, places)
    said, chances = pigeon.locate_features(features[:20]), pigeon.head.probabilities(features[:20])
    k = PIGEON_REFINER.top_k
    assert said.support_size == k + len(pigeon.partition)
    top = chances.topk(k, dim=1)
    assert torch.allclose(said.weight[:, :k].sum(1), top.values.sum(1).double(), atol=1e-6)
    rest = chances.scatter(1, top.indices, 0.0).double()
    assert torch.allclose(said.weight[:, k:], rest, atol=1e-6)
    assert (said.weight.argmax(1) < k).all()


@pytest.mark.parametrize("refine", [None, PIGEON_REFINER])
def test_saved(photos, features, clip, tmp_path, refine):
    config = PigeonConfig(head=QUICK, refine=refine, tasks=("climate",))
    pigeon = Pigeon(clip, config).fit_features(features, places_of(photos), photos=photos)
    again = Pigeon.load(pigeon.save(tmp_path), clip)
    said, told = again.locate_features(features[:9]), pigeon.locate_features(features[:9])
    assert torch.equal(said.weight, told.weight)
    assert torch.equal(said.latlon, told.latlon)
    assert again.head.read(features[:5]) == pigeon.head.read(features[:5])
    assert len(again.locate([photos[0]["image"]])) == 1


def test_what_load_refuses(photos, features, clip, tmp_path):
    places = places_of(photos)
    pigeon = Pigeon(clip, PigeonConfig(head=QUICK)).fit_features(features, places)
    pigeon.save(tmp_path)
    torch.manual_seed(1)
    other = load_clip(weights="random")
    with pytest.raises(DataError) as told:
        Pigeon.load(tmp_path, other)
    assert clip.weights_hash in str(told.value)
    assert other.weights_hash in str(told.value)
    others = Pigeon(None, PigeonConfig("naive", head=QUICK)).fit_features(features, places)
    others.refiner.save(tmp_path / "protonet.npz", others.partition.hash)
    with pytest.raises(DataError) as told:
        Pigeon.load(tmp_path)
    assert others.partition.hash in str(told.value)
    assert pigeon.partition.hash in str(told.value)
    (tmp_path / "pigeon.json").write_text("{")
    with pytest.raises(DataError, match=r"pigeon\.json"):
        Pigeon.load(tmp_path)


def test_what_is_missing_is_said(photos, features):
    with pytest.raises(ValueError, match="give photos="):
        Pigeon(None, PigeonConfig(tasks=("climate",))).fit_features(features, places_of(photos))
    with pytest.raises(RuntimeError, match="not fitted"):
        Pigeon(None).locate_features(features)
    with pytest.raises(ValueError, match="no encoder"):
        Pigeon(None).fit(photos)
