"""Answers at the precision of a city, for photos whose place is nobody's business to the metre.

A place goes by the largest city within 25 km, so that a suburb takes the name of its city, or by
the nearest of at least 15,000 people where there is none. Coordinates keep one decimal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from geolab.posterior import Posterior
from geolab.sphere import EARTH_RADIUS_KM, to_unit

if TYPE_CHECKING:
    from geolab.data.gazetteer import Gazetteer

CITY_POPULATION = 15_000
CITY_KM = 25.0


@dataclass(frozen=True)
class City:
    """A place as it is printed: a city, a tenth of a degree, its share of the weight."""

    name: str
    region: str
    country: str
    lat: float
    lon: float
    weight: float

    def __str__(self) -> str:
        """Return one line for the screen."""
        where = ", ".join(part for part in (self.name, self.region, self.country) if part)
        return f"{self.weight:5.0%}  {where}  ({self.lat:.1f}, {self.lon:.1f})"


@lru_cache(maxsize=1)
def cities_only() -> Gazetteer:
    """Gazetteer of the cities with at least `CITY_POPULATION` people."""
    from geolab.data.gazetteer import Gazetteer, load_gazetteer

    every = load_gazetteer()
    large = every.places[every.places["population"] >= CITY_POPULATION].reset_index(drop=True)
    return Gazetteer(large, every.country_names)


def city_rows(latlon: np.ndarray) -> np.ndarray:
    """Row in `cities_only` of each place (N, 2): the largest within `CITY_KM`, else the nearest.

    The largest, so that a suburb goes by the name of its city.
    """
    gazetteer = cities_only()
    people = gazetteer.places["population"].to_numpy()
    xyz = to_unit(gazetteer.places[["lat", "lon"]].to_numpy(float)).numpy()
    chord = 2 * math.sin(CITY_KM / (2 * EARTH_RADIUS_KM))
    around = cKDTree(xyz).query_ball_point(to_unit(latlon).numpy(), chord)
    rows = gazetteer.nearest(latlon)
    for i, near in enumerate(around):
        if near:
            rows[i] = max(near, key=lambda row: (people[row], -row))
    return rows


def coarse(posterior: Posterior) -> Posterior:
    """Round the places of an answer to a tenth of a degree: about a city."""
    return Posterior(posterior.latlon.double().mul(10).round().div(10), posterior.weight)


def cities_of(answer: Posterior, top: int = 5) -> tuple[City, ...]:
    """Add up the weight of a one-row answer by city, best first.

    Parameters
    ----------
    answer : Posterior with one row
    top : int
        How many cities to keep.
    """
    points, weight = answer.latlon[0].double().cpu().numpy(), answer.weight[0].cpu().numpy()
    points, weight = points[weight > 0], weight[weight > 0]
    gazetteer = cities_only()
    city = city_rows(points)
    total = {int(row): float(weight[city == row].sum()) for row in np.unique(city)}
    best = sorted(total, key=lambda row: (-total[row], row))[:top]
    return tuple(_city(gazetteer, row, total[row]) for row in best)


def _city(gazetteer: Gazetteer, row: int, weight: float) -> City:
    """One city of the gazetteer with its weight."""
    place = gazetteer.places.iloc[row]
    return City(
        name=str(place["name"]),
        region=str(place["region"]),
        country=gazetteer.country_name(str(place["country"])),
        lat=round(float(place["lat"]), 1),
        lon=round(float(place["lon"]), 1),
        weight=weight,
    )
