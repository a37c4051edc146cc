"""What borders decide: the look of countries and regions.

Driving side and writing system are facts (`borders`). The rest is invented and shared on purpose.
Each country belongs to one of eleven style zones; a zone has a handful of road-line schemes,
plates, bollards, wall and roof colours, and a country draws from them by a fixed hash. About 245
countries so share 4 line schemes, 6 plates and 10 bollards: no single cue names the country,
several together narrow it down. A region adds its own utility pole and shifts its country's wall
and roof colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from geolab.data.tinyearth.borders import LEFT_DRIVING, SCRIPT, ZONE
from geolab.data.tinyearth.draws import between, chance, pick, stream

Colour = tuple[int, int, int]

#: centre line colour, centre line dashed, edge line colour ("" none).
LINE_SCHEMES = (
    ("white", True, "white"),
    ("white", True, ""),
    ("yellow", False, "white"),
    ("yellow", True, "white"),
)
#: plate colour, character colour, width over height.
PLATES: tuple[tuple[Colour, Colour, float], ...] = (
    ((245, 245, 240), (20, 20, 30), 4.6),
    ((245, 245, 240), (30, 60, 160), 2.0),
    ((250, 205, 40), (20, 20, 20), 4.6),
    ((250, 205, 40), (20, 20, 20), 2.0),
    ((20, 70, 170), (240, 240, 240), 3.2),
    ((30, 110, 60), (240, 240, 240), 2.2),
)
#: body colour, band colour, width in metres, round top.
BOLLARDS: tuple[tuple[Colour, Colour, float, bool], ...] = (
    ((240, 240, 240), (30, 30, 30), 0.22, False),
    ((240, 240, 240), (210, 40, 40), 0.22, False),
    ((240, 240, 240), (240, 150, 30), 0.20, True),
    ((250, 200, 30), (30, 30, 30), 0.24, False),
    ((225, 225, 230), (40, 90, 190), 0.20, True),
    ((210, 50, 45), (245, 245, 245), 0.26, False),
    ((60, 60, 65), (230, 200, 60), 0.24, True),
    ((150, 110, 75), (240, 240, 240), 0.24, False),
    ((240, 240, 240), (30, 130, 80), 0.22, True),
    ((245, 140, 30), (245, 245, 245), 0.18, True),
)
_WALLS: dict[str, tuple[Colour, ...]] = {
    "nordic": ((150, 48, 40), (235, 226, 205), (196, 168, 96), (92, 112, 132)),
    "northwest": ((164, 92, 70), (226, 214, 190), (192, 178, 160), (138, 70, 58)),
    "mediterranean": ((240, 234, 220), (226, 188, 140), (212, 160, 116), (238, 214, 170)),
    "east": ((196, 190, 176), (214, 186, 140), (168, 166, 164), (150, 170, 160)),
    "arid": ((214, 186, 142), (198, 160, 116), (232, 216, 186), (186, 146, 110)),
    "south": ((226, 160, 130), (120, 176, 190), (232, 206, 120), (206, 132, 150)),
    "southeast": ((224, 214, 190), (130, 176, 150), (216, 180, 110), (188, 150, 120)),
    "eastasia": ((206, 202, 194), (178, 176, 172), (226, 220, 208), (160, 140, 120)),
    "anglo": ((222, 218, 208), (172, 120, 96), (176, 186, 192), (206, 190, 160)),
    "latin": ((226, 130, 96), (240, 200, 110), (110, 170, 180), (222, 120, 140)),
    "africa": ((204, 150, 104), (186, 120, 84), (226, 206, 170), (140, 160, 130)),
}
#: roof colour and roof shape (share of pitched roofs).
_ROOFS: dict[str, tuple[tuple[Colour, ...], float]] = {
    "nordic": (((70, 66, 68), (120, 50, 44), (60, 84, 70)), 0.95),
    "northwest": (((96, 84, 80), (150, 78, 56), (84, 88, 98)), 0.9),
    "mediterranean": (((196, 104, 66), (186, 120, 84), (208, 132, 92)), 0.65),
    "east": (((130, 62, 50), (110, 116, 110), (90, 110, 130)), 0.7),
    "arid": (((206, 180, 140), (190, 164, 130), (222, 206, 176)), 0.06),
    "south": (((190, 176, 160), (176, 90, 66), (150, 150, 152)), 0.25),
    "southeast": (((178, 84, 54), (60, 110, 130), (160, 70, 60)), 0.85),
    "eastasia": (((74, 82, 96), (96, 98, 104), (60, 70, 90)), 0.7),
    "anglo": (((104, 96, 92), (124, 108, 96), (84, 90, 98)), 0.8),
    "latin": (((190, 98, 66), (170, 166, 160), (200, 120, 80)), 0.45),
    "africa": (((160, 160, 160), (150, 92, 66), (176, 150, 116)), 0.6),
}
_BOARDS: tuple[Colour, ...] = ((20, 110, 70), (30, 80, 165), (240, 240, 236), (245, 200, 50))
#: pole material by zone: shares of wood, concrete, steel.
_POLES = {
    "nordic": (8, 1, 1),
    "northwest": (5, 3, 2),
    "mediterranean": (4, 5, 1),
    "east": (4, 6, 0),
    "arid": (3, 4, 3),
    "south": (1, 7, 2),
    "southeast": (0, 9, 1),
    "eastasia": (0, 9, 1),
    "anglo": (9, 0, 1),
    "latin": (4, 5, 1),
    "africa": (7, 1, 2),
}
_POLE_COLOURS: tuple[Colour, ...] = ((112, 84, 60), (176, 172, 164), (128, 138, 146))


@dataclass(frozen=True)
class CountryStyle:
    """What a country fixes (colours in 0..255)."""

    left: bool
    script: str
    zone: str
    lines: tuple[str, bool, str]
    plate: tuple[Colour, Colour, float]
    bollard: tuple[Colour, Colour, float, bool]
    board: Colour


@dataclass(frozen=True)
class RegionStyle:
    """What a region fixes: its utility pole and its leaning in walls and roofs."""

    pole_material: str
    pole_colour: Colour
    pole_arms: int
    pole_height: float
    transformer: bool
    wall: Colour
    roof: Colour
    pitched: float
    window_rows: int


@lru_cache(maxsize=512)
def country_style(country: str) -> CountryStyle:
    """Style of a country code; unknown codes get the style of the zone "africa" by hash.

    Examples
    --------
    >>> country_style("JP").left, country_style("JP").script, country_style("AR").left
    (True, 'kana', False)
    """
    zone, rng = ZONE.get(country, "africa"), stream("country", country)
    american = zone in ("latin", "anglo") and country not in ("AU", "NZ")
    european = zone in ("nordic", "northwest", "mediterranean", "east")
    shares = (1, 1, 6, 5) if american else (5, 4, 0, 0) if european else (4, 4, 2, 2)
    lines = pick(rng, LINE_SCHEMES, shares)
    plate = pick(rng, PLATES, (8, 0, 2, 0, 0, 0) if european else (3, 4, 2, 3, 1, 2))
    board = pick(rng, _BOARDS, (6, 2, 2, 1) if american else (2, 4, 3, 2))
    return CountryStyle(
        left=country in LEFT_DRIVING,
        script=SCRIPT.get(country, "latin"),
        zone=zone,
        lines=lines,
        plate=plate,
        bollard=pick(rng, BOLLARDS),
        board=board,
    )


@lru_cache(maxsize=8192)
def region_style(country: str, region: str) -> RegionStyle:
    """Style of a region: a hash of its name over its country's zone."""
    zone, rng = country_style(country).zone, stream("region", country, region)
    material = pick(rng, (0, 1, 2), _POLES[zone])
    roofs, pitched = _ROOFS[zone]
    tint = tuple(int(between(rng, 40, 235)) for _ in range(3))
    return RegionStyle(
        pole_material=("wood", "concrete", "steel")[material],
        pole_colour=_POLE_COLOURS[material],
        pole_arms=1 + int(rng.random() * 3),
        pole_height=round(between(rng, 6.5, 10.0), 1),
        transformer=chance(rng, 0.35),
        wall=mix(pick(rng, _WALLS[zone]), tint, 0.12),
        roof=mix(pick(rng, roofs), tint, 0.12),
        pitched=pitched,
        window_rows=2 + int(rng.random() * 3),
    )


def country_wall(country: str, turn: float) -> Colour:
    """One of the country's wall colours; `turn` in [0, 1) chooses."""
    palette = _WALLS[country_style(country).zone]
    return palette[int(turn * len(palette))]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two colours: `share` of the second, rounded to integers.

    Examples
    --------
    >>> mix((0, 0, 0), (100, 50, 10), 0.5)
    (50, 25, 5)
    """
    (r0, g0, b0), (r1, g1, b1) = first, second
    red, green, blue = r0 + (r1 - r0) * share, g0 + (g1 - g0) * share, b0 + (b1 - b0) * share
    return int(red + 0.5), int(green + 0.5), int(blue + 0.5)
