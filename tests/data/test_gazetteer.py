"""The gazetteer: nearest place by great circle, not in degree space."""

from __future__ import annotations

import numpy as np
import pytest

from geolab import sphere
from geolab.data.gazetteer import load_gazetteer


@pytest.fixture(scope="module")
def gazetteer():
    return load_gazetteer()


def test_size_and_columns(gazetteer):
    places = gazetteer.places
    assert len(places) > 100_000
    assert places["country"].nunique() > 240
    assert places["region"].nunique() > 3000
    assert places[["lat", "lon"]].notna().all().all()
    assert load_gazetteer() is gazetteer


def test_known_places(gazetteer):
    found = gazetteer.lookup([[48.8584, 2.2945], [-33.8568, 151.2153], [64.1466, -21.9426]])
    assert found["country"].tolist() == ["FR", "AU", "IS"]
    assert found["region"][0] == "Île-de-France"
    assert (found["km"] < 10).all()
    assert gazetteer.country_name("IS") == "Iceland"
    assert gazetteer.country_name("XX") == "XX"


def test_nearest_equals_brute_force_where_degrees_fail(gazetteer):
    latlon = sphere.uniform_points(50, 7)
    latlon[:10, 0] = 80.0
    latlon[10:20, 1] = 179.999
    places = gazetteer.places[["lat", "lon"]].to_numpy()
    best = sphere.great_circle_matrix(latlon, places).min(dim=1).values.numpy()
    np.testing.assert_allclose(gazetteer.lookup(latlon)["km"], best, atol=1e-3)


def test_coordinates_off_the_earth_are_refused(gazetteer):
    with pytest.raises(ValueError, match="row 0"):
        gazetteer.nearest([[100.0, 10.0]])
