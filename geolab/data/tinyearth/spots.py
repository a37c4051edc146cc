"""Everything that geography says about a spot: place names, climate, cover, landmark in sight.

A `Spot` is all that the painter knows about where it stands. `describe` makes many at once from
coordinates; the data-set builder sends spots to its workers, which then need no gazetteer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from geolab.data.tinyearth.climate import (
    CLIMATES,
    EARTH_KM,
    climate_at,
    month_temperature,
    unit_vectors,
)
from geolab.data.tinyearth.draws import field
from geolab.data.tinyearth.landmarks import Landmark, load_landmarks, popularity

if TYPE_CHECKING:
    pass

DENSITY = ("wild", "village", "town", "city")
#: How much grows, and what: share of the ground with trees, then kinds with weights.
PLANTS: dict[str, tuple[float, dict[str, float]]] = {
    "tropical rainforest": (1.0, {"broadleaf": 5, "palm": 5}),
    "tropical monsoon": (0.85, {"broadleaf": 3, "palm": 7}),
    "savanna": (0.55, {"acacia": 6, "palm": 3, "shrub": 1}),
    "hot desert": (0.15, {"shrub": 6, "palm": 2, "cactus": 2}),
    "cold desert": (0.1, {"shrub": 1}),
    "hot steppe": (0.28, {"acacia": 4, "shrub": 5, "cactus": 1}),
    "cold steppe": (0.15, {"shrub": 6, "cypress": 2}),
    "mediterranean": (0.45, {"cypress": 4, "olive": 5, "palm": 1}),
    "humid subtropical": (0.7, {"broadleaf": 7, "conifer": 2, "palm": 1}),
    "oceanic": (0.65, {"broadleaf": 8, "conifer": 2}),
    "humid continental": (0.75, {"broadleaf": 5, "conifer": 5}),
    "subarctic": (0.75, {"conifer": 9, "birch": 1}),
    "tundra": (0.08, {"shrub": 1}),
    "ice cap": (0.0, {"shrub": 1}),
}
_AMERICAS = (-170.0, -30.0)


@dataclass(frozen=True)
class Spot:
    """A place on Earth as TinyEarth knows it (synthetic but for names, position, population)."""

    lat: float
    lon: float
    country: str
    region: str
    county: str
    city: str
    population: int
    climate: str
    elevation: float
    relief: float
    temperature: float
    amplitude: float
    precipitation: float
    dry_summer: float
    density: int
    plant: str
    plant_share: float
    soil: float
    land_cover: str
    water: float
    landmark: Landmark | None

    def month_temperature(self, month: int) -> float:
        """Synthetic mean temperature of a month in degrees Celsius."""
        return month_temperature(self.lat, month, self.temperature, self.amplitude)


@lru_cache(maxsize=1)
def places() -> pd.DataFrame:
    """The gazetteer's table of places."""
    return _gazetteer().places


def _gazetteer():
    # Imported late: painting a known Spot needs no gazetteer (nor the torch that it loads).
    from geolab.data.gazetteer import load_gazetteer

    return load_gazetteer()


@lru_cache(maxsize=1)
def place_popularity() -> np.ndarray:
    """Popularity of every place (int64), see `landmarks.popularity`."""
    table = places()
    columns = (table[name].to_numpy() for name in ("population", "name", "country"))
    return popularity(*columns)


def country_name(code: str) -> str:
    """English name of a country code."""
    return _gazetteer().country_name(code)


@lru_cache(maxsize=1)
def place_tree() -> cKDTree:
    """Search tree over the unit vectors of `places`."""
    table = places()
    return cKDTree(unit_vectors(table["lat"].to_numpy(), table["lon"].to_numpy()))


def _density(xyz: np.ndarray) -> np.ndarray:
    """0 wild, 1 village, 2 town, 3 city (N,): people of the ten nearest places, less with distance.

    Ten, because a metropolis is often a dozen districts, each listed as a place of its own.
    """
    chord, row = place_tree().query(xyz, k=10)  # (N, 10) each
    weight = 1.0 / (1.0 + (chord * EARTH_KM / 2.5) ** 2)
    people = places()["population"].to_numpy()[row]
    return np.digitize((people * weight).sum(-1), [2500.0, 14000.0, 250000.0])


def _plant(climate: str, turn: float, lon: float) -> str:
    """Kind that leads at a spot: `turn` in [0, 1] walks through the climate's weights."""
    kinds = dict(PLANTS[climate][1])
    if not _AMERICAS[0] < lon < _AMERICAS[1]:
        kinds.pop("cactus", None)  # cacti are native to the Americas only
    if "acacia" in kinds and not (-20.0 < lon < 55.0 or lon > 112.0):
        kinds["broadleaf"] = kinds.pop("acacia")  # flat crowns: Africa and Australia
    mark = turn * sum(kinds.values())
    for kind, weight in kinds.items():
        mark -= weight
        if mark < 0:
            return kind
    return next(reversed(kinds))


def _spread(noise: np.ndarray) -> np.ndarray:
    """Stretch a value-noise field, which crowds around one half, towards a uniform one."""
    return np.clip((noise - 0.5) * 1.9 + 0.5, 0.0, 0.999)


def _land_cover(climate: str, density: int, turn: float, farmed: float) -> str:
    if density >= 2:
        return "urban"
    if climate == "ice cap":
        return "snow and ice"
    if climate in ("hot desert", "cold desert"):
        return "bare" if turn < 0.7 else "shrubland"
    if climate == "tundra":
        return "grassland" if turn < 0.7 else "bare"
    if farmed > 0.45 and climate not in ("subarctic", "tropical rainforest"):
        return "cropland"
    if PLANTS[climate][0] >= 0.6:
        return "forest" if turn < 0.6 else "grassland"
    return "shrubland" if turn < 0.5 else "grassland"


def describe(lat: np.ndarray, lon: np.ndarray) -> list[Spot]:
    """Describe points: names of the nearest place, synthetic climate, cover, landmark in sight.

    Parameters
    ----------
    lat, lon : array_like, shape (N,)
        Degrees; rounded to 1e-6.

    Returns
    -------
    list of Spot, length N

    Raises
    ------
    ValueError
        If a coordinate is not on Earth.
    """
    lat, lon = np.round(np.asarray(lat, float), 6), np.round(np.asarray(lon, float), 6)
    found = _gazetteer().lookup(np.stack([lat, lon], axis=-1))  # (N,) each
    xyz, sky = unit_vectors(lat, lon), climate_at(lat, lon)
    density = _density(xyz)
    turns = {
        name: _spread(field(xyz, km, name))
        for name, km in (("plant", 130), ("soil", 220), ("cover", 25), ("farm", 60), ("water", 15))
    }
    table = load_landmarks()
    seen = [None if i < 0 else table.landmarks[i] for i in table.near(xyz)]
    climates = [CLIMATES[i] for i in sky["climate"]]
    return [
        Spot(
            lat=float(lat[i]),
            lon=float(lon[i]),
            country=str(found["country"][i]),
            region=str(found["region"][i]),
            county=str(found["county"][i]),
            city=str(found["name"][i]),
            population=int(found["population"][i]),
            climate=climates[i],
            **{name: float(sky[name][i]) for name in sky if name != "climate"},
            density=int(density[i]),
            plant=_plant(climates[i], turns["plant"][i], lon[i]),
            plant_share=PLANTS[climates[i]][0],
            soil=round(float(turns["soil"][i]), 3),
            land_cover=_land_cover(climates[i], density[i], turns["cover"][i], turns["farm"][i]),
            water=round(float(turns["water"][i]), 3),
            landmark=seen[i],
        )
        for i in range(len(lat))
    ]


@lru_cache(maxsize=1024)
def spot_at(lat: float, lon: float) -> Spot:
    """The spot at one point (degrees), as `describe` gives it."""
    return describe(np.array([lat]), np.array([lon]))[0]
