"""Who took the photos: photographers with a home, outings and trips, as on a photo-sharing site.

* A photographer takes a heavy-tailed number of photos (Pareto, alpha 1.25, 4 to 250).
* They come in sequences. Most stay within an hour of home; some go a few hundred kilometres; one
  in four goes anywhere people like to go. Stops follow the popularity of places, which is heavy
  tailed too, so landmarks of famous towns recur and most of the Earth is never seen.
* Photos within a sequence follow one another by minutes at a stop and by hours between stops.

The table is built photographer by photographer, so the first m rows of a world of n photos are
the world of m photos with the same seed.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
import pandas as pd

from geolab.data.tinyearth.borders import sharing
from geolab.data.tinyearth.climate import unit_vectors
from geolab.data.tinyearth.draws import between, chance, key, pareto, pick, stream
from geolab.data.tinyearth.landmarks import Landmark, load_landmarks
from geolab.data.tinyearth.look import sun_position
from geolab.data.tinyearth.species import species_here
from geolab.data.tinyearth.spots import place_popularity, place_tree, places

KM_PER_DEGREE = 111.195
#: kind of outing: share, median distance from home (km), median hop between stops (km).
_OUTINGS = {"local": (0.46, 14.0, 12.0), "regional": (0.24, 220.0, 30.0), "far": (0.3, 0.0, 45.0)}
_PLAIN_SHARES = (("indoor", 0.085), ("closeup", 0.03), ("sky", 0.012))


@dataclass(frozen=True)
class _World:
    """Arrays of places that every draw needs."""

    lat: np.ndarray
    lon: np.ndarray
    population: np.ndarray
    fame: np.ndarray
    fame_sum: np.ndarray
    home_sum: np.ndarray
    landmarks: dict[int, list[Landmark]]


@lru_cache(maxsize=1)
def _world() -> _World:
    table, fame = places(), place_popularity()
    population = table["population"].to_numpy()
    shared = np.array([sharing(country) for country in table["country"].tolist()])
    homes = np.round((population + 100.0) ** 0.8 * shared).astype(np.int64)
    return _World(
        lat=table["lat"].to_numpy(float),
        lon=table["lon"].to_numpy(float),
        population=population,
        fame=fame,
        fame_sum=np.cumsum(fame),
        home_sum=np.cumsum(homes),
        landmarks=load_landmarks().by_place(),
    )


def _draw_place(rng: Random, total: np.ndarray) -> int:
    """Row of a place from running integer sums of weights."""
    return int(np.searchsorted(total, int(rng.random() * int(total[-1])), side="right"))


def _step(lat: float, lon: float, bearing_rad: float, km: float) -> tuple[float, float]:
    """Walk `km` on a flat map; exact enough for the hops of a trip, and kept off the poles."""
    north = km / KM_PER_DEGREE * math.cos(bearing_rad)
    east = km / KM_PER_DEGREE * math.sin(bearing_rad) / max(0.1, math.cos(math.radians(lat)))
    return min(85.0, max(-85.0, lat + north)), (lon + east + 180.0) % 360.0 - 180.0


def _hop(rng: Random, row: int, median_km: float) -> int:
    """A place about `median_km` away: of the ten nearest to a point there, by squared fame."""
    world = _world()
    km = median_km * math.exp(between(rng, -0.9, 0.9))
    lat, lon = _step(world.lat[row], world.lon[row], between(rng, 0, 2 * math.pi), km)
    near = place_tree().query(unit_vectors(np.array([lat]), np.array([lon]))[0], k=10)[1]
    return pick(rng, near.tolist(), [fame * fame for fame in world.fame[near].tolist()])


def _famous(rng: Random) -> int:
    """A place that has landmarks, by popularity times its root: the famous draw crowds."""
    world = _world()
    rows = tuple(world.landmarks)
    return pick(rng, rows, [int(world.fame[row]) ** 1.5 for row in rows])


@dataclass(frozen=True)
class _Outing:
    """One sequence: where it starts, how far it hops, when it begins."""

    start: int
    hop_km: float
    begin: dt.datetime
    photos: int


def _plan_outing(rng: Random, home: int, left: int) -> _Outing:
    """Choose kind, first stop, date and length."""
    kind = pick(rng, tuple(_OUTINGS), [share for share, _, _ in _OUTINGS.values()])
    _, away_km, hop_km = _OUTINGS[kind]
    if kind == "far":
        start = _famous(rng) if chance(rng, 0.9) else _draw_place(rng, _world().fame_sum)
    else:
        start = _hop(rng, home, away_km)
    day = dt.datetime(2010, 1, 1) + dt.timedelta(days=int(rng.random() * 5113))
    begin = day + dt.timedelta(minutes=int(between(rng, 8.5 * 60, 15 * 60)))
    return _Outing(start, hop_km, begin, min(left, int(pareto(rng, 4.0, 1.3, 40.0))))


def _photo_at(rng: Random, row: int, next_row: int) -> tuple[float, float, str]:
    """Position and view of a photo at a stop, or on the road to the next one."""
    world = _world()
    lat, lon, view = world.lat[row], world.lon[row], "street"
    own = world.landmarks.get(row, [])
    if own and chance(rng, 0.75):
        target = own[int(len(own) * rng.random() ** 3)]  # the first is the most photographed
        lat, lon = _step(
            target.lat, target.lon, between(rng, 0, 2 * math.pi), between(rng, 0.03, 0.12)
        )
        view = "landmark"
    elif chance(rng, 0.24) and abs(world.lon[next_row] - lon) < 2 and next_row != row:
        share = between(rng, 0.25, 0.75)  # out in the country, between two places on land
        lat = lat + (world.lat[next_row] - lat) * share
        lon = lon + (world.lon[next_row] - lon) * share
    else:
        spread_km = 0.4 + min(4.0, math.sqrt(world.population[row]) / 350.0)
        away = -spread_km * math.log(1.0 - 0.98 * rng.random())
        lat, lon = _step(lat, lon, between(rng, 0, 2 * math.pi), away)
    mark = rng.random()
    for plain, share in _PLAIN_SHARES:
        mark -= share
        if mark < 0:
            view = plain
            break
    return round(lat, 6), round(lon, 6), view


def _turn_of(rng: Random, view: str) -> float:
    """Degrees to turn away from the road (or from the landmark)."""
    wobble = 9.0 if view == "landmark" else 20.0
    turn = wobble * (rng.random() + rng.random() - 1.0)
    about = rng.random()
    if view == "landmark":
        return turn
    return turn + (0.0 if about < 0.42 else 180.0 if about < 0.84 else 360.0 * rng.random())


def _clock(rng: Random, now: dt.datetime, hopped: bool) -> dt.datetime:
    """Next time of day: minutes at a stop, hours between stops; nights are skipped."""
    minutes = between(rng, 40, 240) if hopped else between(rng, 2, 45)
    later = now + dt.timedelta(minutes=round(minutes))
    if later.hour >= 19 or later.hour < 7:
        night = later if later.hour < 7 else later + dt.timedelta(days=1)
        later = night.replace(hour=8, minute=int(between(rng, 0, 60)))
    return later


def _daylight(lat: float, when: dt.datetime) -> dt.datetime:
    """Move most photos of short days to the light: nobody shows night photos of nothing."""
    if sun_position(lat, when.month, when.hour + when.minute / 60)[0] < -4.0:
        return when.replace(hour=11 + when.minute % 3)
    return when


def _sequence(rng: Random, outing: _Outing) -> list[dict]:
    """Photos of one outing, in order of time."""
    rows, stop, now = [], outing.start, outing.begin
    ahead = _hop(rng, stop, outing.hop_km)
    for _ in range(outing.photos):
        lat, lon, view = _photo_at(rng, stop, ahead)
        here = sorted(species_here(lat, lon)) if chance(rng, 0.09) and view == "street" else []
        species = pick(rng, here) if here else ""
        when = _daylight(lat, now)
        rows.append(
            {
                "latitude": lat,
                "longitude": lon,
                "view": "animal" if species else view,
                "species": species,
                "month": when.month,
                "captured_at": when.strftime("%Y-%m-%dT%H:%M:00"),
                "turn": round(_turn_of(rng, view), 1),
            }
        )
        hopped = chance(rng, 0.35)
        if hopped:
            stop, ahead = ahead, _hop(rng, ahead, outing.hop_km)
        now = _clock(rng, now, hopped)
    return rows


def _photographer(seed: int, number: int) -> list[dict]:
    """All photos of one photographer, sequence by sequence."""
    rng = stream("photographer", seed, number)
    left = int(pareto(rng, 4.0, 1.25, 250.0))
    home, rows, trip = _draw_place(rng, _world().home_sum), [], 0
    while left > 0:
        outing = _plan_outing(rng, home, left)
        name = f"{key('sequence', seed, number, trip):016x}"
        for row in _sequence(rng, outing):
            rows.append({**row, "sequence": name, "photographer": f"p{seed}-{number:05d}"})
        left, trip = left - outing.photos, trip + 1
    return rows


def plan_photos(n: int, seed: int) -> pd.DataFrame:
    """Plan n photos: where, when, by whom, of what.

    Parameters
    ----------
    n : int
        Number of photos.
    seed : int
        Which crowd of photographers. The world itself does not depend on it.

    Returns
    -------
    DataFrame
        ``latitude``, ``longitude`` (degrees), ``view``, ``species``, ``month``, ``captured_at``
        (local solar time, ISO 8601), ``turn`` (degrees away from road or landmark), ``sequence``,
        ``photographer`` and ``scene_seed``. Rows of a sequence are consecutive and in time order.

    Raises
    ------
    ValueError
        If n is not positive.
    """
    if n < 1:
        raise ValueError(f"n is {n}; ask for at least one photo")
    rows: list[dict] = []
    number = 0
    while len(rows) < n:
        rows += _photographer(seed, number)
        number += 1
    table = pd.DataFrame(rows[:n])
    table["scene_seed"] = [key("photo", seed, i) % 2**31 for i in range(n)]
    return table


def plan_album(seed: int, length: int) -> pd.DataFrame:
    """Plan one trip of a given length: the same columns as `plan_photos`, one sequence."""
    rng = stream("album", seed)
    outing = _Outing(_draw_place(rng, _world().fame_sum), 45.0, dt.datetime(2015, 1, 1), length)
    days = dt.timedelta(days=int(rng.random() * 3650), hours=9)
    outing = _Outing(outing.start, outing.hop_km, outing.begin + days, length)
    table = pd.DataFrame(_sequence(rng, outing))
    table["sequence"], table["photographer"] = f"{key('album', seed):016x}", f"a{seed}"
    table["scene_seed"] = [key("album", seed, i) % 2**31 for i in range(length)]
    return table
