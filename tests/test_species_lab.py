"""Ranges, masses and flags of animals out of place."""

import numpy as np
import pytest
import torch

from geolab.posterior import Posterior
from geolab.species_lab import (
    compare,
    flagged,
    in_range,
    nearest_record_km,
    range_mass,
    range_p_values,
    synthetic_observations,
)

OUTBACK, SAHARA = [-25.0, 133.0], [25.0, 8.0]


@pytest.fixture(scope="module")
def seen():
    return synthetic_observations(4, 5, species=["dromedary", "moose"], size=16, seed=1)


def test_observations_lie_in_their_ranges(seen):
    table = seen.table
    assert table.groupby(["species", "status"]).size().to_dict() == {
        ("dromedary", "introduced"): 5,
        ("dromedary", "native"): 4,
        ("moose", "native"): 4,
    }
    for row in table.itertuples():
        assert in_range(np.array([[row.lat, row.lon]]), row.species, row.status)[0]
    assert [image.size for image in seen.images] == [(16, 16)] * 13


def test_ranges():
    assert in_range(np.array([SAHARA, OUTBACK]), "dromedary").tolist() == [True, False]
    assert in_range(np.array([OUTBACK]), "dromedary", "introduced").tolist() == [True]
    assert in_range(np.array([OUTBACK]), "moose", "introduced").tolist() == [False]


def test_mass_is_weight_inside():
    answer = Posterior([[SAHARA, OUTBACK], [SAHARA, [60.0, 15.0]]], [[0.2, 0.8], [0.5, 0.5]])
    assert range_mass(answer, ["dromedary", "moose"]).tolist() == pytest.approx([0.2, 0.5])


def test_p_values_are_of_the_own_species():
    held = Posterior([[SAHARA, OUTBACK]] * 40, torch.tensor([[0.9, 0.1]] * 20 + [[0.1, 0.9]] * 20))
    species = ["dromedary"] * 20 + ["kangaroo"] * 20
    asked = Posterior([[SAHARA, OUTBACK]] * 2, [[0.1, 0.9], [0.1, 0.9]])
    p = range_p_values(held, species, asked, ["dromedary", "kangaroo"])
    assert p.tolist() == pytest.approx([1 / 21, 1.0])


def test_flags_need_a_place_outside(seen):
    p = np.full(len(seen), 1e-4)
    flags = flagged(p, seen.latlon, seen.table["species"].tolist(), 0.05)
    assert flags.tolist() == (seen.table["status"] == "introduced").tolist()
    assert not flagged(np.ones(len(seen)), seen.latlon, seen.table["species"].tolist(), 0.05).any()


def test_the_baseline_is_a_distance(seen):
    km = nearest_record_km(np.array([OUTBACK]), ["dromedary"], seen)
    assert km[0] > 6000
    own = seen.table[seen.table["status"] == "native"].iloc[:1]
    at = own[["lat", "lon"]].to_numpy(float)
    assert nearest_record_km(at, own["species"].tolist(), seen)[0] < 0.01
    assert np.isinf(nearest_record_km(at, ["yak"], seen)[0])


def test_scores_are_compared_with_intervals():
    rng = np.random.default_rng(0)
    introduced = np.arange(200) < 10
    perfect, useless = introduced.astype(float), rng.random(200)
    table = compare({"perfect": perfect, "useless": useless, "flat": np.zeros(200)}, introduced)
    by = table.set_index("score")
    assert by["auroc"]["perfect"].value == 1.0
    assert by["recall"]["perfect"].value == 1.0
    assert by["auroc"]["flat"].value == 0.5
    assert by["recall"]["flat"].value == pytest.approx(0.05)
    assert by["auroc"]["useless"].low < 0.5 < by["auroc"]["useless"].high + 0.2
    with pytest.raises(ValueError, match="both kinds"):
        compare({"x": perfect}, np.zeros(200, bool))
