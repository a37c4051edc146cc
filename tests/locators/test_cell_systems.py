"""What `geolab table` asks of systems that learn cells: one fold, end to end, with one epoch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from geolab.locators import cell_systems
from geolab.locators.cell_systems import CELL_SYSTEMS, CellSystems, fit_cell_systems, training_for
from geolab.locators.clip_systems import CLIP_SYSTEMS
from geolab.locators.planet import CPU_TRAINING
from geolab.locators.table_systems import SINGLE, SYSTEMS, fit_locator, fit_systems, named_systems
from geolab.training import TrainConfig
from tests.locators.conftest import PLACES, make_photos

N, N_ASKED, BROKEN, LOST = 48, 8, 3, 5
QUICK = TrainConfig(epochs=1, batch_size=16, lr=1e-3, clip_norm=1.0, device="cpu")
ALL_NAMES = [
    "PlaNet, centre",
    "PlaNet, mean",
    "album average",
    "album plain",
    "album repeated",
    "kNN 47 + density 445 km",
    "CPlaNet, 3 sets, sum",
    "CPlaNet, 3 sets, log",
    "ISN base, fine",
    "ISN base, f*",
    "ISN scene head, f*",
    "ISN x 3, f*",
]


def with_columns(photos, prefix):
    """Two trips a place, and all three scenes."""
    n = len(photos)
    photos = photos.add_column("sequence", [f"{prefix}{i % 4}-{i // 4 % 2}" for i in range(n)])
    photos = photos.add_column("captured_at", [f"2020-01-01T10:{i:02d}:00" for i in range(n)])
    return photos.add_column(
        "scene", [("indoor", "natural", "urban")[i // 4 % 3] for i in range(n)]
    )


@pytest.fixture(scope="module", autouse=True)
def _one_epoch():
    """Small enough for a test: one epoch for all, fewer partitions, a short album state."""
    small = {
        "AlbumConfig": {"hidden": 8, "train": QUICK},
        "CPlaNetConfig": {"mixes": (0.0, 0.5), "train": QUICK},
        "ISNConfig": {"tune": QUICK},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell_systems, "training_for", lambda n, seed: replace(QUICK, seed=seed))
        for name, defaults in small.items():
            patch.setattr(cell_systems, name, partial(getattr(cell_systems, name), **defaults))
        yield


@pytest.fixture(scope="module")
def references():
    return with_columns(make_photos(N, broken=(BROKEN,)), "r")


@pytest.fixture(scope="module")
def queries():
    return with_columns(make_photos(N_ASKED, seed=1, broken=(LOST,)), "q")


@pytest.fixture(scope="module")
def systems(references):
    return fit_cell_systems(CELL_SYSTEMS, references, 0)


@pytest.fixture(scope="module")
def said(systems, queries):
    return systems.answer(queries, np.arange(N))


def test_every_system_answers_every_photo_that_can_be_read(said):
    assert list(said.points) == ALL_NAMES
    for name, points in said.points.items():
        assert points.shape == (N_ASKED, 2), name
        assert np.flatnonzero(np.isnan(points).any(1)).tolist() == [LOST], name
    assert said.notes == {}


def test_what_could_not_be_read_is_named(said, queries):
    assert list(said.failures) == [queries["id"][LOST]]


def test_every_row_has_its_cost(said):
    assert list(said.costs) == list(said.seconds) == ALL_NAMES
    cost = said.costs
    weights = {name: cost[name].n_parameters for name in ALL_NAMES}
    planet = weights["PlaNet, mean"]
    assert planet == weights["PlaNet, centre"] == weights["album average"]
    assert weights["kNN 47 + density 445 km"] == planet
    assert weights["album plain"] > planet
    assert weights["ISN x 3, f*"] == 4 * weights["ISN base, f*"]
    for later in ("album plain", "CPlaNet, 3 sets, log"):  # they stand on PlaNet
        assert cost[later].seconds > cost["PlaNet, mean"].seconds
    for name in ALL_NAMES:
        assert said.seconds[name] > cost[name].seconds > 0


def test_only_the_references_of_the_fold_answer(systems, queries):
    """Nothing but the second place is left to learn from."""
    rows = np.arange(1, N, 4)
    only = CellSystems(("planet", "knn"), systems.references, systems.pixels, 0)
    answered = only.answer(queries, rows)
    assert list(answered.points) == ["PlaNet, centre", "PlaNet, mean", "kNN 12 + density 445 km"]
    for name in ("PlaNet, mean", "kNN 12 + density 445 km"):
        good = np.delete(answered.points[name], LOST, 0)
        assert np.abs(good - PLACES[1]).max() < 0.11, name


@pytest.mark.parametrize("lacks", ["references", "queries"])
def test_missing_columns_are_noted_and_the_others_go_on(systems, queries, lacks):
    plain = {"references": systems.references, "queries": queries}
    plain[lacks] = plain[lacks].remove_columns(["sequence", "scene"])
    some = CellSystems(("planet", "album", "isn"), plain["references"], systems.pixels, 0)
    answered = some.answer(plain["queries"], np.arange(N))
    assert "columns sequence and captured_at" in answered.notes["album"]
    assert not any(name.startswith("album") for name in answered.points)
    scenes = [name for name in answered.points if name.startswith("ISN")]
    if lacks == "references":
        assert "column scene" in answered.notes["isn"]
        assert scenes == ["ISN base, fine", "ISN base, f*"]
    else:  # a query's scene is for the router to say
        assert "isn" not in answered.notes
        assert len(scenes) == 4
    assert some.notes == answered.notes


def test_the_same_fold_is_answered_alike(systems, queries):
    only = CellSystems(("planet",), systems.references, systems.pixels, 3)
    one, other = (only.answer(queries, np.arange(N)) for _ in range(2))
    np.testing.assert_array_equal(one.points["PlaNet, mean"], other.points["PlaNet, mean"])


def test_references_are_read_once_and_without_pictures(systems, references):
    assert "image" not in systems.references.column_names
    assert systems.pixels.good.sum() == N - 1
    assert list(systems.pixels.unreadable) == [references["id"][BROKEN]]
    assert systems.pixels.values.dtype == torch.uint8


def test_unknown_names_are_answered_with_the_known_ones(references):
    with pytest.raises(ValueError, match="no system 'oracle'; there are: planet, album"):
        fit_cell_systems(["planet", "oracle"], references, 0)
    with pytest.raises(ValueError, match=r"no locator 'oracle'; there are: im2gps.*or all"):
        named_systems("planet,oracle")
    with pytest.raises(ValueError, match="no locator 'album'; there are: im2gps, planet, knn"):
        fit_locator("album", references)  # it needs more than single photos
    assert "album" not in SINGLE


def test_names_come_with_commas_or_all_together():
    assert named_systems("all") == SYSTEMS
    assert SYSTEMS[: 1 + len(CELL_SYSTEMS + CLIP_SYSTEMS)] == (
        "im2gps",
        *CELL_SYSTEMS,
        *CLIP_SYSTEMS,
    )
    assert named_systems("knn,planet,knn") == ("knn", "planet")
    with pytest.raises(ValueError, match="no locator ''"):
        named_systems("planet,")


def test_systems_that_share_a_network_are_trained_together(references, monkeypatch):
    monkeypatch.setattr("geolab.locators.table_systems.fit_im2gps", lambda *given: given[1:])
    fitted = fit_systems("isn,im2gps,planet", references, 7, 20)
    assert fitted[0] == (7, 20)
    assert (fitted[1].names, fitted[1].seed) == (("planet", "isn"), 7)
    assert len(fitted) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [("planet", "PlaNet, mean"), ("knn", "kNN 47"), ("cplanet", "CPlaNet"), ("isn", "ISN x 3")],
)
def test_a_locator_for_single_photos_is_fitted_on_everything(
    name, said, references, images, monkeypatch
):
    monkeypatch.setattr("geolab.locators.table_systems.training_for", lambda n, seed: QUICK)
    locator = fit_locator(name, references)
    assert locator.name.startswith(said)
    assert len(locator.locate(images(2))) == 2


def test_few_photos_are_seen_more_often():
    assert training_for(10**6, 4) == replace(CPU_TRAINING, seed=4)
    steps = [training_for(n, 0).epochs * n / CPU_TRAINING.batch_size for n in (3000, 6000, 12000)]
    assert min(steps) > 0.6 * max(steps)
    assert training_for(1, 0).epochs == 30
