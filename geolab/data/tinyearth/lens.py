"""The camera of a photographer, the moment of a photo, and the finishing of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from geolab.data.tinyearth.atlas import Colour, country_style, region_style
from geolab.data.tinyearth.draws import between, key, raw_bytes, stream
from geolab.data.tinyearth.look import Look, look_at, season_of, sun_position

if TYPE_CHECKING:
    from geolab.data.tinyearth.scene import Scene

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """Camera and chance of one photo.

    Attributes
    ----------
    key : int
        Key of the photo: weather, clouds and sensor noise hang on it.
    fov_deg, pitch, height, aside : float
        Field of view; row of the horizon as a share of the picture; metres above the road; steps
        to the right as a share of half the road.
    exposure, warmth : float
        Factors: brightness, and red over blue.
    noise : int
        Amplitude of the sensor noise.
    """

    key: int
    fov_deg: float
    pitch: float
    height: float
    aside: float
    exposure: float
    warmth: float
    noise: int

    @classmethod
    def of(cls, photographer: str, photo: int, *, tall: bool) -> Moment:
        """Moment of a photo: habits of the camera, then the shake of the hand."""
        own, rng = stream("camera", photographer), stream("moment", photo)
        fov = between(own, 58.0, 80.0)
        exposure, warmth = between(own, 0.92, 1.08), between(own, 0.95, 1.05)
        noise = int(between(own, 0, 7))
        low, high = (0.6, 0.74) if tall else (0.44, 0.6)
        return cls(
            key=photo,
            fov_deg=round(fov + between(rng, -3, 3), 1),
            pitch=round(between(rng, low, high), 3),
            height=round(between(rng, 1.4, 2.5), 2),
            aside=round(between(rng, -1.0, 1.0), 2),
            exposure=round(exposure * between(rng, 0.85, 1.15), 3),
            warmth=round(warmth * between(rng, 0.965, 1.035), 3),
            noise=noise,
        )

    def look(self, scene: Scene, without: frozenset[str]) -> Look:
        """Season, sun and weather of the scene."""
        rng = stream("weather", self.key)
        return look_at(scene.spot, scene.month, scene.hour, rng, without)


def finish(
    image: Image.Image, light: tuple[float, float, float], moment: Moment, heading: float
) -> Image.Image:
    """Halve a canvas and develop it: light, exposure, white balance, sensor noise."""
    small = image.reduce(2)
    gains = (light[0] * moment.warmth, light[1], light[2] / moment.warmth)
    factors = np.array([round(1000 * gain * moment.exposure) for gain in gains])  # thousandths
    table = np.minimum(255, (np.arange(256) * factors[:, None] + 500) // 1000)  # (3, 256)
    raw = np.asarray(small)
    pixels = np.stack([table[c].astype(np.int16).take(raw[..., c]) for c in range(3)], axis=-1)
    seed = key("grain", moment.key, round(heading * 10))
    grain = raw_bytes(seed, (2, *pixels.shape[:2])).astype(np.int16).sum(0) - 255
    pixels += (grain * moment.noise >> 8)[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


def cue_values(scene: Scene) -> dict[str, str | float]:
    """What every cue says at a scene, whether it is seen or not."""
    spot, layout = scene.spot, scene.layout
    country, region = country_style(spot.country), region_style(spot.country, spot.region)
    centre, dashed, edge = country.lines
    height, azimuth = sun_position(spot.lat, scene.month, scene.hour)
    look = scene.moment.look(scene, frozenset())
    return {
        "light": "overcast" if look.overcast else "clear",
        "sun": f"{height:.0f} deg high at azimuth {azimuth:.0f}",
        "relief": spot.relief,
        "ground": _hex(look.ground),
        "snow": look.snow,
        "water": "beside the road" if layout.water_t is not None else "none",
        "vegetation": f"{spot.plant} ({season_of(spot, scene.month)})",
        "drive_side": "left" if country.left else "right",
        "plates": f"{_hex(country.plate[0])}, {country.plate[2]}:1",
        "road_lines": f"{centre} {'dashed' if dashed else 'double'}, {edge or 'no'} edge",
        "bollards": f"{_hex(country.bollard[0])} with {_hex(country.bollard[1])}",
        "signs": _hex(country.board),
        "script": country.script,
        "poles": f"{region.pole_material}, {region.pole_arms} arms, {region.pole_height} m",
        "roofs": _hex(region.roof),
        "facades": _hex(region.wall),
        "landmark": scene.landmark,
        "animal": scene.species,
    }
