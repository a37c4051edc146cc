"""Pointing game and cue ablation, on photos whose cues are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.cue_studies import cue_ablation, pointing_table
from geolab.data.errors import DataError
from geolab.data.loading import load
from geolab.data.tinyearth import Scene
from geolab.posterior import Posterior


@pytest.fixture(scope="module")
def photos():
    many = load("tinyearth", n=120)
    return many.select([i for i, view in enumerate(many["view"]) if view == "street"][:24])


def test_a_map_of_the_cue_hits_it_and_a_flat_one_is_chance(photos):
    size = 96
    masks = [Scene.from_row(row).cues(size) for row in photos.remove_columns("image")]
    name = "poles"
    maps = torch.full((len(photos), size, size), 1e-6)
    for i, cues in enumerate(masks):
        if name in cues:
            maps[i][torch.from_numpy(cues[name].mask)] = 1.0
    table = pointing_table(maps / maps.sum((1, 2), keepdim=True), photos, size=size)
    assert table.loc[name, "hit"].value == 100.0
    assert table.loc[name, "on_cue"] > 95
    flat = pointing_table(torch.full((len(photos), 8, 8), 1 / 64), photos, size=size)
    assert np.allclose(flat["on_cue"], flat["chance"], atol=1e-3)
    assert (flat["chance"] <= 20).all()


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


def test_a_locator_that_never_looks_needs_nothing(photos):
    def locate(images):
        n = len(images)
        return Posterior(torch.zeros(n, 1, 2).double(), torch.ones(n, 1).double())

    table = cue_ablation(locate, photos, ["vegetation"])
    assert table["score"].iloc[0].value == 0
    assert table["within_750"].iloc[0].value == 0


def test_bad_input(photos):
    with pytest.raises(ValueError, match="2 maps for 24 photos"):
        pointing_table(torch.ones(2, 8, 8), photos)
    with pytest.raises(ValueError, match="no cue 'glow'"):
        cue_ablation(lambda images: None, photos, ["glow"])
    with pytest.raises(DataError, match="scene_seed"):
        cue_ablation(lambda images: None, photos.remove_columns("scene_seed"))
