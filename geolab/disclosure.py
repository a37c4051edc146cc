"""How coarse an answer should be: how often it is right, and how many people live in it.

An answer about a stranger's photo need not be as fine as the system can make it. Each `LEVELS` is
one way to say less. Coarsening works on the whole `Posterior`: weights are added up by region,
country or continent and the heaviest is named, which is another area than that of the best point
for some photos.

The second figure is after **k-anonymity** (Sweeney, "k-anonymity: a model for protecting privacy",
2002): a place that k people share hides each among k. People are those of the gazetteer's places
(GeoNames), so read k as a size, not as a census: quarters of some cities are listed beside them,
hamlets are missing, and residents are not those who were there that day. All people of a town stand
at its centre, which is rough for a circle of 1 km: no more than `CROWDED` per km2 are counted. And
k holds for one answer alone: two answers about one person intersect.

    told = disclose(answers, truth)
    told["country"].right.mean(), np.median(told["country"].people)
    finest(told, 100_000)                # for each photo the finest level with that many people
    finest(told, 100_000, sure=0.5)      # ... that the system itself believes
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from geolab.country_groups import continents
from geolab.data.gazetteer import load_gazetteer
from geolab.evaluation import point_of
from geolab.metrics import errors_km
from geolab.posterior import Posterior
from geolab.sphere import EARTH_RADIUS_KM, ArrayLike, check_latlon, great_circle_km, to_unit

LEVELS = ("1 km", "25 km", "region", "country", "continent")
"""From fine to coarse. The first two are circles around the best point."""
CROWDED = 20_000
"""People per km2 that no circle exceeds; about what lives in Paris."""
_CIRCLES = {"1 km": 1.0, "25 km": 25.0}


@dataclass(frozen=True)
class Told:
    """Answers to one level.

    Attributes
    ----------
    right : ndarray of bool, shape (N,)
        Whether the photo was taken in what is named.
    people : ndarray of int64, shape (N,)
        Who live in it.
    belief : ndarray of float64, shape (N,)
        Weight of the answer that lies in it.
    """

    right: np.ndarray
    people: np.ndarray
    belief: np.ndarray


def disclose(answers: Posterior, truth: ArrayLike) -> dict[str, Told]:
    """Say each answer at every level.

    Parameters
    ----------
    answers : Posterior with N rows
    truth : array_like, shape (N, 2)
        Degrees.

    Returns
    -------
    dict
        `Told` for each of `LEVELS`.

    Raises
    ------
    ValueError
        If there are not as many truths as answers.
    """
    points = point_of(answers)
    km, theirs = errors_km(points, truth), areas(truth)
    away = great_circle_km(points[:, None], answers.latlon.double().cpu()).numpy()  # (N, K)
    weight = answers.weight.double().cpu().numpy()
    out = {
        level: Told(km <= radius, people_within(points, radius), (weight * (away <= radius)).sum(1))
        for level, radius in _CIRCLES.items()
    }
    inside = areas(answers.latlon.double().cpu())
    for level, named in heaviest_areas(answers).items():
        belief = (weight * (inside[level] == named[:, None])).sum(1)
        out[level] = Told(named == theirs[level], people_in(level, named), belief)
    return out


def finest(told: Mapping[str, Told], enough: int, sure: float = 0.0) -> np.ndarray:
    """Index into `LEVELS` of the finest level that may be told, (N,).

    Parameters
    ----------
    told : mapping
        From `disclose`.
    enough : int
        People who have to live in what is named.
    sure : float
        Belief that the system has to have in it.

    Returns
    -------
    ndarray of int
        The coarsest level for answers that no level fits.

    Examples
    --------
    >>> people = {"1 km": [3, 3], "25 km": [900, 3]} | dict.fromkeys(LEVELS[2:], [9, 9])
    >>> yes, all_ = np.ones(2, bool), np.ones(2)
    >>> told = {level: Told(yes, np.array(n), all_) for level, n in people.items()}
    >>> finest(told, 100).tolist()
    [1, 4]
    """
    every = [told[level] for level in LEVELS]
    fits = np.stack([(one.people >= enough) & (one.belief >= sure) for one in every])
    return np.where(fits.any(0), fits.argmax(0), len(LEVELS) - 1)


def areas(latlon: ArrayLike) -> dict[str, np.ndarray]:
    """Region, country and continent of the nearest place of the gazetteer.

    Parameters
    ----------
    latlon : array_like, shape (..., 2)
        Degrees.

    Returns
    -------
    dict of ndarray of str, each of shape (...)
        A region is called ``country/region``; places without one share ``country/``.

    Examples
    --------
    >>> {level: str(name) for level, name in areas([48.86, 2.35]).items()}
    {'region': 'FR/Île-de-France', 'country': 'FR', 'continent': 'Europe'}
    """
    rows = load_gazetteer().nearest(latlon)
    return {level: names[rows] for level, names in _areas_of_places().items()}


def heaviest_areas(answers: Posterior) -> dict[str, np.ndarray]:
    """Name of the area with the most weight, (N,) for each of region, country and continent."""
    weight = answers.weight.double().cpu().numpy()
    named = areas(answers.latlon.double().cpu())
    return {level: _heaviest(names, weight) for level, names in named.items()}


def people_within(points: ArrayLike, radius_km: float) -> np.ndarray:
    """People of the places within `radius_km` of points (N, 2), at most `CROWDED`: (N,) int64.

    Raises
    ------
    ValueError
        If the radius is not between 0 and 10,000 km.
    """
    if not 0 <= radius_km <= 10_000:
        raise ValueError(f"radius_km must be between 0 and 10,000, not {radius_km}")
    tree, people = _tree_and_people()
    chord = 2 * math.sin(radius_km / (2 * EARTH_RADIUS_KM))
    near = tree.query_ball_point(to_unit(check_latlon(points).double()).numpy(), chord)
    most = int(CROWDED * math.pi * radius_km**2)
    return np.array([min(people[rows].sum(), most) for rows in near], np.int64)


def people_in(level: str, names: np.ndarray) -> np.ndarray:
    """People of areas by their names as `areas` gives them, int64, as many as names.

    Raises
    ------
    ValueError
        If the level is not region, country or continent, or an area is unknown.
    """
    every = _areas_of_places()
    if level not in every:
        raise ValueError(f"level must be one of {', '.join(every)}, not {level!r}")
    known, index = np.unique(every[level], return_inverse=True)
    total = np.zeros(len(known), np.int64)
    np.add.at(total, index.reshape(-1), _tree_and_people()[1])
    at = np.searchsorted(known, names).clip(max=len(known) - 1)
    if (bad := known[at] != names).any():
        raise ValueError(f"no {level} is called {np.asarray(names)[bad].flat[0]!r}")
    return total[at]


def _heaviest(names: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Name with the most weight in each row, (N, K) -> (N,); the first by alphabet of equals."""
    known, index = np.unique(names, return_inverse=True)
    index = index.reshape(names.shape)  # flat in some versions of numpy
    rows = (np.bincount(i, w, len(known)).argmax() for i, w in zip(index, weight, strict=True))
    return known[np.fromiter(rows, np.int64, len(names))]


@lru_cache(maxsize=1)
def _areas_of_places() -> dict[str, np.ndarray]:
    places, continent = load_gazetteer().places, continents()
    country = places["country"].to_numpy(str)
    by_country = {code: continent.get(code, "unknown") for code in np.unique(country).tolist()}
    return {
        "region": np.char.add(np.char.add(country, "/"), places["region"].to_numpy(str)),
        "country": country,
        "continent": np.array([by_country[code] for code in country.tolist()]),
    }


@lru_cache(maxsize=1)
def _tree_and_people() -> tuple[cKDTree, np.ndarray]:
    places = load_gazetteer().places
    xyz = to_unit(places[["lat", "lon"]].to_numpy(float)).numpy()
    return cKDTree(xyz), places["population"].to_numpy(np.int64)
