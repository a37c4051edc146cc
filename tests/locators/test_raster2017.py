"""The raster of 2017: the toy cases that show what a rectangle does to a sphere.

Distances in the toy cases are FLANN's, squared; true ones are their square roots, so the released
exponent 10 is 20 here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.locators.knn_density import KnnDensity, KnnDensityConfig, inverse_power
from geolab.locators.raster2017 import raster2017
from geolab.metrics import errors_km

PARIS, ROME, LONDON = (48.85, 2.35), (41.90, 12.49), (51.5, -0.12)
TOYS = {
    "one better match in Paris, three in Rome": (
        [PARIS, ROME, ROME, ROME],
        [0.50, 0.54, 0.54, 0.55],
        ROME,
        ROME,
    ),
    "four on both sides of the 180th meridian": (
        [(-17, 179.9), (-17, 179.9), (-17, -179.9), (-17, -178.9), LONDON, LONDON, LONDON],
        [0.5] * 7,
        (-89.9, -179.9),
        (-17, 179.9),
    ),
    "four far north within 20 degrees of longitude": (
        [(69.6, 10), (69.6, 16), (69.6, 23), (69.6, 30), (0, 0), (0, 0.5), (0, 1)],
        [0.5] * 7,
        (0, 0),
        (69.6, 16),
    ),
    "the best match at longitude -180": (
        [(0, -180), (10, 100)],
        [0.1, 0.9],
        (10, 100),
        (0, -180),
    ),
}


def weights_of(squared):
    return inverse_power(torch.tensor([squared]).sqrt(), 20)


@pytest.mark.parametrize("case", TOYS)
def test_toy_cases_as_released(case):
    places, squared, released, _ = TOYS[case]
    said = raster2017(np.array(places, float), weights_of(squared)[0].numpy())
    assert errors_km(said[None], np.array([released], float))[0] < 120


@pytest.mark.parametrize("case", TOYS)
def test_toy_cases_on_the_sphere(case):
    places, squared, _, wanted = TOYS[case]
    latlon = torch.tensor([places], dtype=torch.float64)
    config = KnnDensityConfig(k=len(places))
    said = KnnDensity(None, config).vote(torch.tensor([squared]).sqrt(), latlon).mode().numpy()
    assert errors_km(said, np.array([wanted], float))[0] < 300
    config = KnnDensityConfig(k=len(places), mode="raster2017")
    flat = KnnDensity(None, config).vote(torch.tensor([squared]).sqrt(), latlon)
    np.testing.assert_array_equal(
        flat.mode()[0].numpy(), raster2017(latlon[0].numpy(), weights_of(squared)[0].numpy())
    )


def test_the_exponent_is_that_of_squared_distances():
    """With distances taken for squared ones the single match in Paris would win."""
    places, squared, *_ = TOYS["one better match in Paris, three in Rome"]
    wrong = inverse_power(torch.tensor([squared]), 20)[0].numpy()
    assert raster2017(np.array(places), wrong).tolist() == list(PARIS)


def test_the_empty_second_window_answers_the_first_cell_of_the_raster():
    places, squared, *_ = TOYS["four on both sides of the 180th meridian"]
    said = raster2017(np.array(places, float), weights_of(squared)[0].numpy())
    np.testing.assert_allclose(said, [-89.9, -179.9])


def test_latitude_minus_90_falls_out_as_longitude_minus_180_does():
    places = np.array([[-90.0, 10.0], [30.0, 20.0]])
    assert raster2017(places, np.array([100.0, 1.0])).tolist() == [30.0, 20.0]


def test_the_first_neighbour_in_rank_within_100_km_is_taken_not_the_nearest():
    places = np.array([[10.55, 20.05], [10.0, 20.0], [10.02, 20.0], [10.01, 20.01]])
    weights = np.array([0.1, 1.0, 1.0, 1.0])
    assert raster2017(places, weights).tolist() == [10.55, 20.05]
    assert raster2017(places, weights, snap_km=20).tolist() == [10.0, 20.0]
    peak = raster2017(places, weights, snap_km=0)
    assert peak.tolist() not in places.tolist()
    assert errors_km(peak[None], places[1:2])[0] < 30


def test_one_place_answers_itself_within_a_tenth_of_a_degree():
    rng = np.random.default_rng(0)
    inside = rng.uniform([-68, -158], [68, 158], (10, 2))
    for place in inside:
        said = raster2017(place[None], np.ones(1), snap_km=0)
        assert np.abs(said - place).max() <= 0.1 + 1e-9


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"expected \(K, 2\)"):
        raster2017(np.zeros((2, 2)), np.ones(3))
    with pytest.raises(ValueError, match=r"expected \(K, 2\)"):
        raster2017(np.zeros((0, 2)), np.zeros(0))
