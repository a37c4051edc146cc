"""Season, sun and weather: the colours of sky, ground and leaves at a spot in a month.

`look_at` gathers them once for a picture. Geography decides the mean, the photo's own stream the
weather of the moment. The sun follows the textbook formula for solar height and azimuth, in local
solar time: at noon it stands in the south north of the tropics, in the north south of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.cues import probability
from geolab.data.tinyearth.draws import between, chance
from geolab.data.tinyearth.spots import Spot

#: growing season, resting season, two soils between which the soil field moves.
_GROUND: dict[str, tuple[Colour, Colour, Colour, Colour]] = {
    "tropical rainforest": ((62, 118, 46), (70, 120, 50), (168, 86, 52), (124, 96, 66)),
    "tropical monsoon": ((76, 132, 52), (138, 142, 74), (176, 94, 58), (146, 122, 88)),
    "savanna": ((134, 148, 66), (202, 174, 98), (186, 102, 62), (188, 150, 98)),
    "hot desert": ((226, 196, 142), (226, 196, 142), (206, 136, 88), (236, 216, 172)),
    "cold desert": ((190, 172, 138), (178, 164, 138), (166, 140, 116), (206, 194, 164)),
    "hot steppe": ((184, 166, 94), (210, 180, 122), (190, 124, 84), (214, 192, 142)),
    "cold steppe": ((172, 164, 98), (184, 168, 122), (158, 134, 100), (192, 178, 140)),
    "mediterranean": ((124, 142, 72), (196, 174, 112), (178, 128, 84), (206, 190, 152)),
    "humid subtropical": ((92, 142, 60), (150, 144, 92), (172, 110, 74), (124, 104, 80)),
    "oceanic": ((84, 144, 60), (106, 136, 74), (112, 92, 70), (136, 118, 92)),
    "humid continental": ((102, 144, 66), (150, 138, 98), (104, 88, 70), (140, 122, 94)),
    "subarctic": ((96, 112, 62), (132, 122, 88), (96, 86, 74), (132, 120, 102)),
    "tundra": ((128, 128, 80), (140, 122, 86), (58, 56, 58), (140, 128, 108)),
    "ice cap": ((232, 238, 244), (236, 242, 248), (220, 230, 240), (240, 246, 250)),
}
_BARE = {"bare": 0.85, "cropland": 0.35, "shrubland": 0.45}
_LEAVES: dict[str, Colour] = {
    "conifer": (38, 74, 50), "broadleaf": (70, 116, 48), "palm": (78, 134, 56),
    "acacia": (112, 124, 56), "cypress": (42, 76, 46), "olive": (122, 138, 96),
    "shrub": (128, 124, 78), "cactus": (76, 120, 76), "birch": (138, 152, 66),
}  # fmt: skip
_DECIDUOUS = ("broadleaf", "birch")
_AUTUMN: tuple[Colour, ...] = ((204, 132, 42), (188, 78, 40), (214, 172, 58))
_WHITE: Colour = (238, 242, 248)


@dataclass(frozen=True)
class Look:
    """Colours of one picture. Angles in degrees, colours 0..255, light as factors."""

    sun_height: float
    sun_azimuth: float
    overcast: bool
    sky_top: Colour
    sky_low: Colour
    haze_km: float
    ground: Colour
    soil: Colour
    snow: float
    season: str
    light: tuple[float, float, float]

    @property
    def shadows(self) -> bool:
        """Whether the sun throws shadows."""
        return not self.overcast and self.sun_height > 3.0

    def leaf(self, kind: str, turn: float) -> Colour:
        """Leaf colour of a plant; `turn` in [0, 1) varies it. Bare crowns are grey-brown."""
        colour = _LEAVES[kind]
        if kind in _DECIDUOUS and self.season == "winter":
            colour = (122, 108, 94)
        elif kind in _DECIDUOUS and self.season == "autumn":
            colour = _AUTUMN[int(turn * 997) % 3]
        colour = mix(
            colour, (30, 50, 20) if turn < 0.5 else (190, 190, 110), 0.24 * abs(turn - 0.5)
        )
        return mix(colour, _WHITE, 0.55 * self.snow)


def sun_position(lat: float, month: int, hour: float) -> tuple[float, float]:
    """Height and azimuth of the sun in degrees, mid-month, in local solar time.

    Examples
    --------
    >>> sun_position(50.0, 6, 12.0), sun_position(-35.0, 6, 12.0)
    ((63.3, 180.0), (31.7, 0.0))
    """
    day = 15 + 30.4 * (month - 1)
    tilt = math.radians(23.44) * math.sin(2 * math.pi * (284 + day) / 365)
    phi, turn = math.radians(lat), math.radians(15.0 * (hour - 12.0))
    east = -math.cos(tilt) * math.sin(turn)
    north = math.sin(tilt) * math.cos(phi) - math.cos(tilt) * math.cos(turn) * math.sin(phi)
    up = math.sin(tilt) * math.sin(phi) + math.cos(tilt) * math.cos(turn) * math.cos(phi)
    azimuth = math.degrees(math.atan2(east, north)) % 360.0
    height = math.degrees(math.atan2(up, math.hypot(east, north)))
    return round(height, 1), round(azimuth, 1) % 360.0


def season_of(spot: Spot, month: int) -> str:
    """Season of deciduous leaves: "winter", "autumn" or "summer" (also spring)."""
    warm = spot.month_temperature(month)
    falling = month in ((9, 10, 11) if spot.lat > 0 else (3, 4, 5))
    if spot.temperature - spot.amplitude > 12.0:
        return "summer"
    if warm < 4.5:
        return "winter"
    return "autumn" if falling and warm < 14.0 else "summer"


def _growing(spot: Spot, month: int) -> bool:
    """Whether the grass is green: warm months, wet tropical summers, wet mediterranean winters."""
    summer = (4 <= month <= 9) == (spot.lat > 0)
    if spot.climate == "mediterranean":
        return not summer
    if spot.temperature - spot.amplitude > 12.0:
        return summer or spot.climate in ("tropical rainforest", "humid subtropical")
    return spot.month_temperature(month) > 5.0


def _ground_colours(spot: Spot, month: int, rng: Random) -> tuple[Colour, Colour]:
    """Ground and bare soil."""
    growing, resting, soil_a, soil_b = _GROUND[spot.climate]
    soil = mix(soil_a, soil_b, spot.soil)
    cover = growing if _growing(spot, month) else resting
    jitter = tuple(int(between(rng, -9, 10)) for _ in range(3))
    share = _BARE.get(spot.land_cover, 0.15)
    ground = tuple(c + j for c, j in zip(mix(cover, soil, share), jitter, strict=True))
    return ground, soil


def _snow(spot: Spot, month: int, rng: Random) -> float:
    """Share of the ground under snow: full below -4 C, none above +1 C."""
    falls = chance(rng, probability("snow", spot.density))
    share = (1.0 - spot.month_temperature(month)) / 5.0 + between(rng, -0.15, 0.15)
    wet = min(1.0, spot.precipitation / 250.0)
    return round(min(1.0, max(0.0, share * wet)), 2) if falls else 0.0


def _sky(spot: Spot, height: float, overcast: bool, rng: Random) -> tuple[Colour, Colour]:
    """Colours at the zenith side and at the horizon."""
    dry = max(0.0, 1.0 - spot.precipitation / 600.0)
    wet = min(1.0, spot.precipitation / 2200.0)
    north = min(1.0, abs(spot.lat) / 70.0)
    top = mix(mix((58, 122, 206), (96, 146, 200), wet), (132, 172, 208), 0.55 * north)
    low = mix(mix((186, 212, 234), (214, 222, 226), wet), (226, 210, 176), 0.6 * dry)
    if overcast:
        grey = int(between(rng, 168, 214))
        top, low = (grey, grey + 4, grey + 8), (grey + 28, grey + 30, grey + 30)
    evening = min(1.0, max(0.0, (11.0 - height) / 16.0)) * (0.35 if overcast else 1.0)
    top, low = mix(top, (84, 96, 148), evening), mix(low, (250, 188, 132), evening)
    night = min(1.0, max(0.0, -height / 8.0))
    return mix(top, (22, 28, 58), night), mix(low, (104, 84, 104), night)


def look_at(spot: Spot, month: int, hour: float, rng: Random, without: frozenset[str]) -> Look:
    """Gather season, sun and weather; erased cues get neutral values."""
    height, azimuth = sun_position(spot.lat, month, hour)
    cloudy = 0.12 + 0.38 * min(1.0, spot.precipitation / 1500.0)
    overcast = chance(rng, cloudy)
    ground, soil = _ground_colours(spot, month, rng)
    snow = _snow(spot, month, rng)
    sky_top, sky_low = _sky(spot, height, overcast, rng)
    warm = min(1.0, max(0.0, (22.0 - height) / 24.0)) * (0.3 if overcast else 1.0)
    dark = 1.0 - 0.55 * min(1.0, max(0.0, (1.0 - height) / 12.0))
    cold = 0.03 if overcast or snow > 0.5 else -0.01
    strength = dark * (0.94 if overcast else 1.03)
    light = (1 + 0.07 * warm - cold, 1 - 0.04 * warm, 1 - 0.18 * warm + cold)
    haze_km = between(rng, 0.25, 0.7) * (0.7 if spot.precipitation > 1600 else 1.0)
    if "light" in without:
        sky_top, sky_low, light, strength = (96, 146, 200), (206, 216, 226), (1.0, 1.0, 1.0), 1.0
    if "ground" in without:
        ground, soil = (128, 132, 112), (140, 130, 116)
    return Look(
        sun_height=-90.0 if "sun" in without else height,
        sun_azimuth=azimuth,
        overcast=overcast,
        sky_top=sky_top,
        sky_low=sky_low,
        haze_km=round(haze_km, 3),
        ground=ground,
        soil=soil,
        snow=0.0 if "snow" in without else snow,
        season=season_of(spot, month),
        light=tuple(round(strength * c, 3) for c in light),
    )
