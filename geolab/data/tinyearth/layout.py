"""What stands at a spot: road, houses, plants, poles, signs, cars, in metres.

The layout depends on the spot alone (not on heading, size or camera), so a street photo, the four
views of a panorama and the aerial tile show the same things. Axes as in `camera`: `s` along the
road, `t` to its right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from geolab.data.tinyearth.atlas import (
    LINE_SCHEMES,
    PLATES,
    Colour,
    country_style,
    country_wall,
    mix,
    region_style,
)
from geolab.data.tinyearth.cues import probability
from geolab.data.tinyearth.draws import between, chance, pick, stream
from geolab.data.tinyearth.landmarks import Landmark
from geolab.data.tinyearth.spots import PLANTS, Spot

REACH_M = 70.0
Sight = tuple[float, float, Landmark] | None  # s, t of the landmark in sight
_PAINTS: tuple[Colour, ...] = (
    (235, 235, 235), (40, 42, 48), (150, 152, 158), (170, 40, 40), (50, 80, 150), (196, 190, 170),
)  # fmt: skip


@dataclass(frozen=True)
class Building:
    """A house: its corners, height, colours, and whether its roof is pitched."""

    s0: float
    s1: float
    t0: float
    t1: float
    height: float
    wall: Colour
    roof: Colour
    pitched: bool
    rows: int
    shop: bool
    number: int


@dataclass(frozen=True)
class Plant:
    """A tree or shrub: kind, height and a number that varies its drawing."""

    s: float
    t: float
    kind: str
    height: float
    number: int


@dataclass(frozen=True)
class Car:
    """A car: where, whether it drives along +s, its paint, its plate."""

    s: float
    t: float
    forward: bool
    paint: Colour
    plate: tuple[Colour, Colour, float]


@dataclass(frozen=True)
class Sign:
    """A board on a post, or over a shop, with strokes of a script."""

    s: float
    t: float
    board: Colour
    script: str
    number: int


@dataclass(frozen=True)
class Layout:
    """All that stands at a spot. Distances in metres, bearing in degrees from north."""

    bearing: float
    half_width: float
    paved: bool
    walk: float
    lines: tuple[str, bool, str] | None
    water_t: float | None
    striped: bool
    buildings: tuple[Building, ...]
    plants: tuple[Plant, ...]
    cars: tuple[Car, ...]
    signs: tuple[Sign, ...]
    poles: tuple[tuple[float, float], ...]
    bollards: tuple[tuple[float, float], ...]
    landmark: Sight


def spot_stream(name: str, spot: Spot) -> Random:
    """Random stream of a spot, to about a metre."""
    return stream(name, round(spot.lat * 1e5), round(spot.lon * 1e5))


def road_bearing(spot: Spot) -> float:
    """Bearing of the road at a spot, degrees in [0, 180)."""
    return round(180.0 * spot_stream("road", spot).random(), 1)


@lru_cache(maxsize=64)
def lay_out(spot: Spot) -> Layout:
    """Place everything at a spot."""
    style, rng = country_style(spot.country), spot_stream("layout", spot)
    built, bearing = spot.density >= 2, road_bearing(spot)
    half_width = round(between(rng, 2.6, 3.6) + (1.2 if spot.density == 3 else 0.0), 2)
    poor = style.zone in ("africa", "south") or spot.density == 0
    paved = chance(rng, 0.95 if built else 0.55 if poor else 0.88)
    walk = round(between(rng, 1.2, 2.6), 2) if built and chance(rng, 0.85) else 0.0
    lined = paved and chance(rng, probability("road_lines", spot.density))
    scheme = pick(rng, LINE_SCHEMES) if chance(rng, 0.1) else style.lines
    wet = spot.water > 1.0 - probability("water", spot.density)
    side, edge = (1.0 if chance(rng, 0.5) else -1.0), half_width + walk
    water_t = round(side * (edge + between(rng, 4, 25)), 2) if wet else None
    landmark = _sight(spot, bearing)
    buildings = _houses(spot, rng, edge, water_t, landmark)
    return Layout(
        bearing=bearing,
        half_width=half_width,
        paved=paved,
        walk=walk,
        lines=scheme if lined else None,
        water_t=water_t,
        striped=spot.land_cover == "cropland" and chance(rng, 0.7),
        buildings=buildings,
        plants=_plants(spot, rng, edge, water_t, buildings, landmark),
        cars=_cars(spot, rng, half_width),
        signs=_signs(spot, rng, edge),
        poles=_poles(spot, rng, edge),
        bollards=_bollards(spot, rng, half_width),
        landmark=landmark,
    )


def _sight(spot: Spot, bearing: float) -> Sight:
    """Landmark in sight in road coordinates; flat Earth is exact enough over 160 m."""
    if spot.landmark is None:
        return None
    north = (spot.landmark.lat - spot.lat) * 111_195.0
    east = (spot.landmark.lon - spot.lon) * 111_195.0 * math.cos(math.radians(spot.lat))
    sine, cosine = math.sin(math.radians(bearing)), math.cos(math.radians(bearing))
    s, t = north * cosine + east * sine, east * cosine - north * sine
    return round(s, 1), round(t, 1), spot.landmark


def _blocks(s: float, t: float, landmark: Sight) -> bool:
    """Whether a thing at (s, t) would stand in or before the landmark."""
    if landmark is None:
        return False
    ls, lt, what = landmark
    length = max(1.0, math.hypot(ls, lt))
    along, off = (s * ls + t * lt) / length, abs(s * lt - t * ls) / length
    return -5 < along < length + what.width and off < 6.0 + 0.75 * what.width


def _houses(
    spot: Spot, rng: Random, edge: float, water_t: float | None, landmark: Sight
) -> tuple[Building, ...]:
    """Rows of houses on both sides: closed in cities, loose in towns, rare in the country."""
    made = []
    for side in (-1.0, 1.0):
        s = -REACH_M + between(rng, 0, 8)
        while s < REACH_M and len(made) < 26:
            length = between(rng, 8, 16) if spot.density == 3 else between(rng, 7, 12)
            gap = (30.0, 14.0, 6.0, 0.4)[spot.density] * between(rng, 0.5, 1.6)
            stands = chance(rng, (0.03, 0.35, 0.85, 0.93)[spot.density])
            setback = edge + between(rng, *((12, 40), (5, 16), (2.5, 6), (0.2, 1))[spot.density])
            drowned = water_t is not None and side * water_t > 0 and setback + 9 > abs(water_t)
            hides = _blocks(s + length / 2, side * (setback + 4), landmark)
            if stands and not drowned and not hides:
                made.append(_house(spot, rng, s, s + length, side, setback))
            s += length + gap
    return tuple(made)


def _house(spot: Spot, rng: Random, s0: float, s1: float, side: float, setback: float) -> Building:
    """One house, its near wall `setback` metres from the centre line."""
    style, look = region_style(spot.country, spot.region), rng.random()
    floors = (1, 1, 2, 5)[spot.density] + int(rng.random() * (1, 2, 2, 6)[spot.density])
    wall = mix(country_wall(spot.country, rng.random()), style.wall, 0.5)
    plain = (205, 203, 198) if rng.random() < 0.5 else (176, 178, 180)
    wall = plain if look < 0.33 else wall
    roof = (110, 108, 106) if rng.random() < 0.25 else style.roof
    wall, roof = (mix(c, (128, 128, 128), between(rng, -0.18, 0.18)) for c in (wall, roof))
    pitched = rng.random() < style.pitched * (0.35 if spot.density == 3 else 1.0)
    near, far = setback, setback + between(rng, 7, 12)
    return Building(
        s0=round(s0, 2),
        s1=round(s1, 2),
        t0=round(near if side > 0 else -far, 2),
        t1=round(far if side > 0 else -near, 2),
        height=round(3.1 * floors, 1),
        wall=tuple(min(255, max(0, c)) for c in wall),
        roof=tuple(min(255, max(0, c)) for c in roof),
        pitched=pitched,
        rows=floors,
        shop=rng.random() < (0.0, 0.05, 0.25, 0.5)[spot.density],
        number=int(rng.random() * 1e6),
    )


def _plants(
    spot: Spot,
    rng: Random,
    edge: float,
    water_t: float | None,
    buildings: tuple[Building, ...],
    landmark: Sight,
) -> tuple[Plant, ...]:
    """Scatter plants off the road; one in six is of a kind other than the spot's own."""
    if not chance(rng, probability("vegetation", spot.density)):
        return ()
    bare = 0.3 if spot.land_cover in ("bare", "snow and ice") else 1.0
    thin = 0.45 if spot.land_cover in ("cropland", "grassland") else bare
    count = int(spot.plant_share * thin * (64, 46, 24, 12)[spot.density] + rng.random())
    kinds, made = tuple(PLANTS[spot.climate][1]), []
    for _ in range(count):
        kind = pick(rng, kinds) if chance(rng, 1 / 6) else spot.plant
        kind = (
            spot.plant if kind in ("cactus", "acacia") else kind
        )  # these two know their continent
        side, s = (1.0 if rng.random() < 0.5 else -1.0), between(rng, -REACH_M, REACH_M)
        t = side * (edge + 1.2 + 38.0 * rng.random() ** (3.0 if spot.density >= 2 else 2.0))
        height = between(rng, 0.6, 1.4) if kind == "shrub" else between(rng, 4.0, 11.0)
        plant = Plant(round(s, 2), round(t, 2), kind, round(height, 2), int(rng.random() * 1e6))
        inside = any(b.s0 - 1 < s < b.s1 + 1 and b.t0 - 1 < t < b.t1 + 1 for b in buildings)
        drowned = water_t is not None and side * water_t > 0 and abs(t) > abs(water_t) - 1
        if not inside and not drowned and math.hypot(s, t) > 4.5 and not _blocks(s, t, landmark):
            made.append(plant)
    return tuple(made)


def _cars(spot: Spot, rng: Random, half_width: float) -> tuple[Car, ...]:
    """Up to three cars, each on its lawful side."""
    style, made = country_style(spot.country), []
    lane = half_width * (-0.5 if style.left else 0.5)
    present = chance(rng, probability("drive_side", spot.density))
    for _ in range(1 + int(rng.random() * (3 if spot.density >= 2 else 2)) if present else 0):
        forward = chance(rng, 0.5)
        s = between(rng, 6, 42) * (1 if chance(rng, 0.5) else -1)
        plate = pick(rng, PLATES) if chance(rng, 1 / 6) else style.plate
        near = any(abs(s - car.s) < 6 and forward == car.forward for car in made)
        if not near:
            t = lane if forward else -lane
            made.append(Car(round(s, 2), round(t, 2), forward, pick(rng, _PAINTS), plate))
    return tuple(made)


def _signs(spot: Spot, rng: Random, edge: float) -> tuple[Sign, ...]:
    """One or two boards at the roadside, ahead or behind, on the side where drivers look."""
    style, made = country_style(spot.country), []
    side = -1.0 if style.left else 1.0
    present = chance(rng, probability("signs", spot.density))
    for direction in (1.0, -1.0) if present else ():
        script = "latin" if chance(rng, 0.1) else style.script
        board = pick(rng, ((20, 110, 70), (30, 80, 165), (240, 240, 236), (245, 200, 50)))
        board = board if chance(rng, 0.2) else style.board
        s, t = direction * between(rng, 6, 20), direction * side * (edge + between(rng, 0.5, 1.5))
        made.append(Sign(round(s, 2), round(t, 2), board, script, int(rng.random() * 1e6)))
    return tuple(made)


def _poles(spot: Spot, rng: Random, edge: float) -> tuple[tuple[float, float], ...]:
    """A line of poles along one side, (s, t) each."""
    present = chance(rng, probability("poles", spot.density))
    side, spacing = (1.0 if chance(rng, 0.5) else -1.0), between(rng, 22, 36)
    start, t = between(rng, 0, spacing), side * (edge + between(rng, 0.3, 2.5))
    steps = range(-3, 4) if present else ()
    return tuple((round(start + i * spacing, 2), round(t, 2)) for i in steps)


def _bollards(spot: Spot, rng: Random, half_width: float) -> tuple[tuple[float, float], ...]:
    """Bollards on both edges of the road, (s, t) each."""
    present = chance(rng, probability("bollards", spot.density))
    spacing, t = between(rng, 7, 14), half_width + between(rng, 0.4, 0.9)
    steps = range(-4, 5) if present else ()
    return tuple((round((i + 0.5) * spacing, 2), round(t * e, 2)) for i in steps for e in (-1, 1))
