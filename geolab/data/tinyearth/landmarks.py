"""Landmarks: where they stand and what they look like.

A landmark belongs to one popular place and has a signature that nothing else shares: a family of
shape, proportions, tiers and two colours drawn from the hash of its name. Nearest neighbours can
win on it, as they do on real photographs of famous buildings. All of them are invented.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from geolab.data.tinyearth.atlas import Colour
from geolab.data.tinyearth.borders import sharing
from geolab.data.tinyearth.climate import EARTH_KM, unit_vectors
from geolab.data.tinyearth.draws import between, key, pick, stream

SHAPES = ("tower", "dome", "pyramid", "arch", "spire", "pagoda", "wheel", "column")
N_PLACES = 150
SIGHT_KM = 0.16


@dataclass(frozen=True)
class Landmark:
    """An invented landmark: position in degrees, sizes in metres, two colours, a shape family."""

    name: str
    lat: float
    lon: float
    shape: str
    height: float
    width: float
    tiers: int
    body: Colour
    accent: Colour


def popularity(population: np.ndarray, names: np.ndarray, countries: np.ndarray) -> np.ndarray:
    """How often people photograph each place, as integers (N,): size times a lasting fame.

    Population to the power 0.55, times what the country shares (`atlas.sharing`), times a Pareto
    factor (alpha 1.1, at most 120) that is hashed from the place itself: a few small places are
    famous, most large ones are not.
    """
    labels = enumerate(zip(names.tolist(), countries.tolist(), strict=True))
    turn = np.array([key("fame", c, n, row) >> 11 for row, (n, c) in labels]) / 2.0**53
    shared = np.array([sharing(country) for country in countries.tolist()])
    fame = np.minimum(120.0, (1.0 - turn) ** (-1 / 1.1))
    return np.round(100.0 * (population + 60.0) ** 0.55 * fame * shared).astype(np.int64)


def _colour(hue: float, saturation: float, value: float) -> Colour:
    return tuple(int(255 * c + 0.5) for c in colorsys.hsv_to_rgb(hue, saturation, value))


def make_landmark(number: int, lat: float, lon: float) -> Landmark:
    """Landmark of a number near a place: within about a kilometre of its centre."""
    rng = stream("landmark", number)
    shape = pick(rng, SHAPES)
    height = between(rng, 24, 56) * (1.5 if shape in ("tower", "spire", "column") else 1.0)
    share = between(rng, 0.2, 0.4) if shape in ("tower", "spire", "column") else 0.95
    hue = rng.random()
    return Landmark(
        name=f"{shape}-{number:04d}",
        lat=round(lat + between(rng, -0.009, 0.009), 6),
        lon=round(lon + between(rng, -0.009, 0.009), 6),
        shape=shape,
        height=round(height, 1),
        width=round(height * share * between(rng, 0.8, 1.3), 1),
        tiers=2 + int(rng.random() * 4),
        body=_colour(hue, between(rng, 0.05, 0.65), between(rng, 0.55, 0.95)),
        accent=_colour(
            hue + between(rng, 0.2, 0.8), between(rng, 0.3, 0.9), between(rng, 0.3, 0.9)
        ),
    )


@dataclass(frozen=True)
class LandmarkTable:
    """All landmarks with the row of the place each belongs to, and a search by position."""

    landmarks: tuple[Landmark, ...]
    place: tuple[int, ...]
    tree: cKDTree

    def near(self, xyz: np.ndarray) -> np.ndarray:
        """Index of the landmark in sight of each unit vector (N, 3), or -1 (N,)."""
        distance, index = self.tree.query(xyz)
        return np.where(distance * EARTH_KM < SIGHT_KM, index, -1)

    def by_place(self) -> dict[int, list[Landmark]]:
        """Landmarks of each place row that has any."""
        found: dict[int, list[Landmark]] = {}
        for row, landmark in zip(self.place, self.landmarks, strict=True):
            found.setdefault(row, []).append(landmark)
        return found


@lru_cache(maxsize=1)
def load_landmarks() -> LandmarkTable:
    """One to four landmarks at each of the most popular places (same world for every seed)."""
    from geolab.data.tinyearth.spots import place_popularity, places

    table, fame = places(), place_popularity()
    order = np.argsort(-fame, kind="stable")[:N_PLACES]
    made, rows = [], []
    for rank, row in enumerate(order):
        for _ in range(1 + (rank < N_PLACES // 2) + (rank < N_PLACES // 4) + (rank < 40)):
            made.append(make_landmark(len(made), table["lat"].iat[row], table["lon"].iat[row]))
            rows.append(int(row))
    lat, lon = np.array([[m.lat, m.lon] for m in made]).T
    return LandmarkTable(tuple(made), tuple(rows), cKDTree(unit_vectors(lat, lon)))
