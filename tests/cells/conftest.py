"""Synthetic photos around the world's places."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.data import load_gazetteer


def photos_around_places(n: int, seed: int = 0) -> np.ndarray:
    """`n` synthetic positions (n, 2), more of them where more people live."""
    rng = np.random.default_rng(seed)
    places = load_gazetteer().places
    weight = places["population"].to_numpy(float) ** 0.7 + 50
    rows = rng.choice(len(places), n, p=weight / weight.sum())
    latlon = places[["lat", "lon"]].to_numpy(float)[rows] + rng.normal(0, 0.05, (n, 2))
    latlon[:, 1] = (latlon[:, 1] + 180) % 360 - 180
    return np.clip(latlon, [-90, -180], [90, 180])


@pytest.fixture(scope="session")
def photos():
    return photos_around_places(50_000)
