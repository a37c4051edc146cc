"""Pointing game and cue ablation, on photos whose cues are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.cue_studies import (
    MAX_SHARE,
    cue_ablation,
    cue_masks,
    pointing_game,
    pointing_table,
)
from geolab.data.errors import DataError
from geolab.data.loading import load
from geolab.data.tinyearth import Scene
from geolab.encoders.attention import upsampled
from geolab.posterior import Posterior


@pytest.fixture(scope="module")
def photos():
    many = load("tinyearth", n=120)
    return many.select([i for i, view in enumerate(many["view"]) if view == "street"][:24])


def _squares(*corners, side=2, size=8):
    made = np.zeros((len(corners), size, size), bool)
    for mask, (y, x) in zip(made, corners, strict=True):
        mask[y : y + side, x : x + side] = True
    return made


def test_pointing_game_counts_by_hand():
    """Maps of two patches by two over masks of eight pixels by eight."""
    masks = _squares((0, 0), (0, 6), (6, 0), (6, 6))
    maps = torch.zeros(4, 2, 2)
    maps[0, 0, 0] = maps[1, 0, 1] = maps[2, 1, 0] = 1.0
    maps[3, 0, 0] = 1.0  # the one that is wrong
    game = pointing_game(maps, masks, ["ann", "ann", "bob", "cy"])
    assert game["hit"].value == 75
    assert game["hit"].low < 75 < game["hit"].high
    assert game["chance"] == pytest.approx(100 * 4 / 64)
    assert game["shuffled"] == pytest.approx(100 * 1 / 12)  # map 3 on mask 0, of twelve pairs
    smooth = upsampled(maps, 8).numpy()
    on = [m[k].sum() / m.sum() for m, k in zip(smooth, masks, strict=True)]
    assert game["on_cue"] == pytest.approx(100 * np.mean(on), rel=1e-5)


def test_a_map_that_always_points_to_the_middle_beats_chance_and_not_the_others():
    masks = _squares((3, 3), (3, 3), (3, 3), (0, 0))
    maps = torch.from_numpy(_squares((3, 3)).astype(np.float32)).expand(4, -1, -1)
    game = pointing_game(maps, masks)
    assert game["hit"].value == game["shuffled"] == 75
    assert game["chance"] == pytest.approx(6.25)


def test_equal_maxima_share_the_hit():
    masks = _squares((0, 0), (2, 5))
    for side in (1, 3, 8):
        game = pointing_game(torch.full((2, side, side), 1 / 3), masks)
        assert game["hit"].value == pytest.approx(game["chance"], rel=1e-4)
        assert game["on_cue"] == pytest.approx(game["chance"], rel=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m, k: (m[:1], k), "1 maps for 2 masks"),
        (lambda m, k: (m[:0], k[:0]), "0 maps for 0 masks"),
        (lambda m, k: (m * torch.tensor([1, torch.nan]).view(2, 1, 1), k), "map 1 is"),
        (lambda m, k: (m * torch.tensor([1, 0]).view(2, 1, 1), k), "map 1 is"),
        (lambda m, k: (m - torch.eye(4) * 1.5, k), "map 0 is"),
        (lambda m, k: (m, k & np.array([True, False])[:, None, None]), "mask 1 is empty"),
    ],
)
def test_pointing_game_refuses_what_is_no_map_and_no_mask(change, said):
    with pytest.raises(ValueError, match=said):
        pointing_game(*change(torch.ones(2, 4, 4), _squares((0, 0), (1, 1))))


def test_masks_are_those_of_the_scene(photos):
    found = cue_masks(photos, ["poles", "sun"], size=64)
    assert set().union(*found) == {"poles", "sun"}
    for row, masks in zip(photos.remove_columns("image"), found, strict=True):
        sights = Scene.from_row(row).cues(64)
        for name in ("poles", "sun"):
            assert (name in masks) == sights[name].visible
            assert name not in masks or (masks[name] == sights[name].mask).all()


def test_a_map_of_the_cue_hits_it_and_a_flat_one_is_chance(photos):
    size, name = 96, "poles"
    masks = cue_masks(photos, size=size)
    maps = torch.full((len(photos), size, size), 1e-6)
    for i, cues in enumerate(masks):
        if name in cues:
            maps[i][torch.from_numpy(cues[name])] = 1.0
    table = pointing_table(maps / maps.sum((1, 2), keepdim=True), photos, size=size)
    assert table.loc[name, "hit"].value == pytest.approx(100)
    assert table.loc[name, "on_cue"] > 95
    assert table.loc[name, "shuffled"] < 50
    assert table.loc[name, "n"] == sum(name in cues for cues in masks)
    flat = pointing_table(torch.full((len(photos), 8, 8), 1 / 64), photos, size=size)
    assert np.allclose(flat["on_cue"], flat["chance"], atol=1e-3)
    assert np.allclose([e.value for e in flat["hit"]], flat["chance"], atol=1e-2)
    assert (flat["chance"] <= 100 * MAX_SHARE).all()
    assert "light" not in flat.index


def test_a_locator_that_reads_one_colour_needs_the_cue_that_has_it(photos):
    """It answers right if the photo is the one it knows, pixel by pixel, and Null Island if not."""
    truth = {
        np.asarray(Scene.from_row(row).street(96)).tobytes(): (row["latitude"], row["longitude"])
        for row in photos.remove_columns("image")
    }

    def locate(images):
        points = [truth.get(np.asarray(image).tobytes(), (0.0, 0.0)) for image in images]
        return Posterior(
            torch.tensor(points).double()[:, None], torch.ones(len(points), 1).double()
        )

    table = cue_ablation(locate, photos, ["vegetation", "poles"])
    assert (table["n"] >= 5).all()
    assert all(estimate.value < -1000 for estimate in table["score"])
    assert all(estimate.value > 1000 for estimate in table["median_km"])
    shown = cue_masks(photos, ["vegetation", "poles"])
    assert table["n"].to_dict() == {c: sum(c in seen for seen in shown) for c in table.index}


def test_what_erasing_changes_is_paired(photos):
    """Every photo without its cue lies a degree further off: the interval has no width."""
    truth = {}
    for row in photos.remove_columns("image"):
        scene, here = Scene.from_row(row), (row["latitude"], row["longitude"])
        step = -1 if here[0] > 0 else 1
        away = [(here[0] + step * far, here[1]) for far in (2, 3)]
        truth[np.asarray(scene.street(96)).tobytes()] = away[0]
        truth[np.asarray(scene.street(96, without={"vegetation"})).tobytes()] = away[1]

    def locate(images):
        points = [truth[np.asarray(image).tobytes()] for image in images]
        return Posterior(
            torch.tensor(points).double()[:, None], torch.ones(len(points), 1).double()
        )

    change = cue_ablation(locate, photos, ["vegetation"]).loc["vegetation"]
    degree = np.pi / 180 * 6371.0
    for end in ("value", "low", "high"):
        assert getattr(change["median_km"], end) == pytest.approx(degree, abs=1e-3)
    assert change["score"].value < 0
    assert change["score"].high < 0


def test_a_locator_that_never_looks_needs_nothing(photos):
    def locate(images):
        n = len(images)
        return Posterior(torch.zeros(n, 1, 2).double(), torch.ones(n, 1).double())

    table = cue_ablation(locate, photos, ["vegetation"])
    assert table["score"].iloc[0].value == 0
    assert table["within_750"].iloc[0].value == 0
    assert table["median_km"].iloc[0].value == 0


def test_a_cue_of_few_photos_is_left_out(photos):
    seen = [i for i, masks in enumerate(cue_masks(photos, ["poles"])) if masks][:4]
    few = photos.select(seen)
    assert "poles" not in pointing_table(torch.ones(4, 2, 2), few).index
    none = cue_ablation(lambda images: Posterior(torch.zeros(1, 2).double(),
                        torch.ones(len(images), 1).double()), few, ["poles"])  # fmt: skip
    assert list(none.columns) == ["n", "score", "within_750", "median_km"]
    assert len(none) == 0


def test_bad_input(photos):
    with pytest.raises(ValueError, match="2 maps for 24 photos"):
        pointing_table(torch.ones(2, 8, 8), photos)
    for study in (
        lambda: cue_ablation(lambda images: None, photos, ["glow"]),
        lambda: pointing_table(torch.ones(24, 8, 8), photos, ["glow"]),
        lambda: cue_masks(photos, ["glow"]),
    ):
        with pytest.raises(ValueError, match=r"no cue named \['glow'\]"):
            study()
    with pytest.raises(DataError, match="scene_seed"):
        cue_ablation(lambda images: None, photos.remove_columns("scene_seed"))
