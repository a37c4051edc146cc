"""Names to places, offline: countries, cities and quarters, with everything that shares a name.

`gazetteer_atlas` knows the 155,210 places of GeoNames; it has few quarters of cities, so that a
neighbourhood is found only where GeoNames lists it as a place near its city. `invented_atlas` is a
small world whose names mean nothing, for experiments that need every level.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from geolab import sphere

_ALIASES = {
    "usa": "US", "u s a": "US", "us": "US", "united states of america": "US", "america": "US",
    "uk": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB",
    "russia": "RU", "south korea": "KR", "north korea": "KP", "czech republic": "CZ",
    "vietnam": "VN", "laos": "LA", "iran": "IR", "syria": "SY", "bolivia": "BO", "turkey": "TR",
    "venezuela": "VE", "tanzania": "TZ", "moldova": "MD", "taiwan": "TW", "brunei": "BN",
    "ivory coast": "CI", "cape verde": "CV", "macedonia": "MK", "swaziland": "SZ", "burma": "MM",
    "holland": "NL", "the netherlands": "NL", "uae": "AE", "palestine": "PS", "kosovo": "XK",
}  # fmt: skip
NEAR_CITY_KM = 40.0


def plain(name: str) -> str:
    """Name without case, accents and punctuation, for comparing.

    Examples
    --------
    >>> plain("  São-Tomé & Príncipe ")
    'sao tome principe'
    """
    bare = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+", bare.casefold())) or name.strip().casefold()


@dataclass(frozen=True)
class Atlas:
    """Places by name.

    Attributes
    ----------
    places : DataFrame
        Columns ``name``, ``country`` (code), ``lat``, ``lon``, ``population``, and ``parent``: row
        of the city that a quarter belongs to, -1 for cities.
    countries : dict of str to str
        Code by plain name.
    """

    places: pd.DataFrame
    countries: dict[str, str]

    @cached_property
    def _rows(self) -> dict[str, np.ndarray]:
        names = self.places["name"].map(plain)
        return {name: rows.to_numpy() for name, rows in names.groupby(names).groups.items()}

    @cached_property
    def _by_country(self) -> dict[str, np.ndarray]:
        order = self.places.sort_values("population", ascending=False, kind="stable")
        cities = order[order["parent"] < 0]
        return {code: rows.index.to_numpy() for code, rows in cities.groupby("country")}

    @cached_property
    def latlon(self) -> np.ndarray:
        """Degrees, float64 (N, 2)."""
        return self.places[["lat", "lon"]].to_numpy(float)

    def country(self, name: str | None) -> str | None:
        """Code of a country by name or code; None for one that does not exist."""
        if not name:
            return None
        key = plain(name)
        if key in self.countries:
            return self.countries[key]
        code = _ALIASES.get(key, name.strip().upper())
        return code if code in self._by_country else None

    def cities(self, name: str | None, country: str | None) -> np.ndarray:
        """Rows of all cities of a name, largest first; in a country, where one is given.

        "Paris, France" is tried whole, then up to its first comma.
        """
        for key in _keys(name):
            rows = self._rows.get(key, np.empty(0, int))
            rows = rows[self.places["parent"].to_numpy()[rows] < 0]
            if country:
                rows = rows[self.places["country"].to_numpy()[rows] == country]
            if len(rows):
                people = self.places["population"].to_numpy()[rows]
                return rows[np.argsort(-people, kind="stable")]
        return np.empty(0, int)

    def quarters(self, name: str | None, city: int) -> np.ndarray:
        """Rows of the places of a name that belong to a city, or lie within 40 km of it."""
        for key in _keys(name):
            rows = self._rows.get(key, np.empty(0, int))
            if not len(rows):
                continue
            parent = self.places["parent"].to_numpy()[rows]
            km = sphere.great_circle_km(self.latlon[rows], self.latlon[city]).numpy()
            rows = rows[(parent == city) | ((parent < 0) & (km <= NEAR_CITY_KM) & (rows != city))]
            if len(rows):
                return rows
        return np.empty(0, int)

    def largest(self, country: str, n: int) -> np.ndarray:
        """Rows of the largest places of a country, at most n."""
        return self._by_country[country][:n]

    @cached_property
    def world(self) -> np.ndarray:
        """Row of the largest place of each country."""
        return np.array([rows[0] for rows in self._by_country.values()])


def _keys(name: str | None) -> list[str]:
    if not name:
        return []
    whole, first = plain(name), plain(name.split(",")[0])
    return [whole] if whole == first else [whole, first]


@lru_cache(maxsize=1)
def gazetteer_atlas() -> Atlas:
    """Atlas of GeoNames, once a process."""
    from geolab.data.gazetteer import load_gazetteer

    known = load_gazetteer()
    places = known.places[["name", "country", "lat", "lon", "population"]].reset_index(drop=True)
    countries = {plain(name): code for code, name in known.country_names.items()}
    return Atlas(places.assign(parent=-1), countries)


def invented_atlas(
    n_countries: int = 30, n_cities: int = 12, n_quarters: int = 8, *, shared: float = 0.15, seed=0
) -> Atlas:
    """Invent a world: countries with cities with quarters, some names shared across countries.

    Parameters
    ----------
    shared : float
        Share of the cities that bear a name which other countries use too.
    """
    rng = np.random.default_rng(seed)
    middles = sphere.uniform_points(n_countries, seed).numpy()
    common = [_word(rng) for _ in range(max(1, round(n_cities * shared * 3)))]
    quarter_names = [
        _word(rng) for _ in range(max(1, 3 * n_quarters))
    ]  # as every town has a market
    rows, countries = [], {}
    for c, (lat, lon) in enumerate(middles):
        code = f"{chr(65 + c // 26)}{chr(65 + c % 26)}"
        countries[plain(_word(rng) + "ia")] = code
        around = rng.uniform(0, 360, n_cities), 600 * np.sqrt(rng.random(n_cities))
        cities = _around((lat, lon), *around)
        for at in cities:
            name = str(rng.choice(common)) if rng.random() < shared else _word(rng) + "ton"
            row = len(rows)
            rows.append((name, code, *at, int(10 ** rng.uniform(4, 6.5)), -1))
            for spot in _around(at, rng.uniform(0, 360, n_quarters), rng.uniform(1, 9, n_quarters)):
                rows.append((str(rng.choice(quarter_names)), code, *spot, 0, row))
    names = ["name", "country", "lat", "lon", "population", "parent"]
    return Atlas(pd.DataFrame(rows, columns=names), countries)


def _around(middle: tuple[float, float], bearing: np.ndarray, km: np.ndarray) -> np.ndarray:
    return sphere.destination(np.tile(np.asarray(middle, float), (len(km), 1)), bearing, km).numpy()


def _word(rng: np.random.Generator) -> str:
    parts = rng.choice(list("bdfgklmnprstvz"), 3), rng.choice(list("aeiou"), 3)
    return "".join(c + v for c, v in zip(*parts, strict=True)).capitalize()
