"""Behind everything: sky, sun, clouds, hills and tree line, and the ground plane in perspective."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from PIL import Image

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.camera import GROUND, SKY, Camera, Canvas
from geolab.data.tinyearth.cues import NUMBER
from geolab.data.tinyearth.draws import between, raw_bytes
from geolab.data.tinyearth.ground import colours_of, cue_numbers, lie_of_land
from geolab.data.tinyearth.layout import Layout, spot_stream
from geolab.data.tinyearth.look import Look
from geolab.data.tinyearth.spots import Spot
from geolab.data.tinyearth.stage import Stage

_HILL_STEPS = 48


def base_image(
    camera: Camera, layout: Layout, look: Look, mode: str, without: frozenset[str], paved: bool
) -> np.ndarray:
    """Sky above, ground below the horizon.

    Returns
    -------
    ndarray of uint8
        (size, size, 3) in mode "photo", (size, size) labels otherwise.
    """
    s, t, forward = camera.ground_grid()
    material = lie_of_land(s, t, layout, look, without, paved)
    if mode == "surface":
        sky = np.full((camera.horizon, camera.size), SKY, dtype=np.uint8)
        return np.concatenate([sky, np.full(material.shape, GROUND, dtype=np.uint8)])
    if mode == "cue":
        sky = np.full((camera.horizon, camera.size), NUMBER["light"], dtype=np.uint8)
        return np.concatenate([sky, cue_numbers(look)[material]])
    low = colours_of(material, s, t, layout, look, scale=6.0)
    fog = np.minimum(0.8, forward / np.float32(1000.0 * look.haze_km))
    fog = (fog * np.float32(256.0)).astype(np.int16)[:, None, None]  # (rows, 1, 1)
    low = np.clip(low, 0, 255).astype(np.int16)
    low += ((np.array(look.sky_low, dtype=np.int16) - low) * (fog >> 1)) >> 7
    return np.concatenate([_sky_rows(camera, look), np.clip(low, 0, 255).astype(np.uint8)])


def _sky_rows(camera: Camera, look: Look) -> np.ndarray:
    """Sky gradient, uint8 (horizon, size, 3): the low colour is reached at the horizon."""
    rows = np.arange(camera.horizon, dtype=np.int32)[:, None]
    share = rows * rows * 256 // max(1, (camera.horizon - 1) ** 2)  # (rows, 1)
    top, low = np.array(look.sky_top), np.array(look.sky_low)
    column = top + ((low - top) * share >> 8)  # (rows, 3)
    return np.repeat(column[:, None, :], camera.size, axis=1).astype(np.uint8)


def paint_clouds(stage: Stage, rng: Random) -> None:
    """Soft clouds: low-resolution noise, enlarged, used as a mask."""
    canvas, camera, look = stage.canvas, stage.camera, stage.look
    seed, lift = int(rng.random() * 2**32), between(rng, 0.0, 1.0)
    if canvas.mode != "photo" or camera.horizon < 8:
        return
    noise = raw_bytes(seed, (9, 7)).astype(np.int32) + raw_bytes(seed + 1, (9, 7))
    gain, floor = (60, 150) if look.overcast else (150, 250 + int(150 * lift))
    mask = np.clip((noise - floor) * gain // 100 + 20, 0, 190).astype(np.uint8)
    soft = Image.fromarray(mask).resize((camera.size, camera.horizon), Image.Resampling.BICUBIC)
    tone = mix(look.sky_low, (250, 250, 252) if not look.overcast else (146, 150, 158), 0.6)
    canvas.image.paste(tone, (0, 0), soft)


def paint_sun(stage: Stage, heading: float) -> None:
    """Disc of the sun where it stands, with a glow."""
    canvas, camera, look = stage.canvas, stage.camera, stage.look
    aside = (look.sun_azimuth - heading + 180.0) % 360.0 - 180.0
    if look.overcast or look.sun_height < -1.0 or abs(aside) > 60.0 or look.sun_height > 55.0:
        return
    x = camera.size / 2 + camera.focal * math.tan(math.radians(aside))
    rise = math.tan(math.radians(look.sun_height)) / math.cos(math.radians(aside))
    y, r = camera.horizon - camera.focal * rise, max(2.0, camera.focal * 0.035)
    for grow, share in ((2.6, 0.35), (1.7, 0.6), (1.0, 1.0)):
        colour = mix(look.sky_low, (255, 250, 224), share)
        ink = SKY if canvas.mode == "surface" else NUMBER["sun"]
        canvas.disc(x, y, r * grow, r * grow, colour if canvas.mode == "photo" else ink)


def _outline(spot: Spot, rough: float, name: str) -> list[float]:
    """Heights of a ridge around the horizon, 48 values in radians of elevation."""
    rng = spot_stream(name, spot)
    swell = [rng.random() for _ in range(8)]
    level = [0.0] * _HILL_STEPS
    for i in range(_HILL_STEPS):
        at = i / 6.0
        k, share = int(at), at - int(at)
        broad = swell[k % 8] * (1 - share) + swell[(k + 1) % 8] * share
        level[i] = rough * (0.35 + 0.65 * broad + 0.3 * (rng.random() - 0.5))
    return level


def _ridge(camera: Camera, heading: float, level: list[float]) -> list[tuple[int, int]]:
    """Outline of a ridge in pixels, left to right."""
    points = []
    for i in range(25):
        x = camera.size * i / 24.0
        angle = heading + math.degrees(math.atan((x - camera.size / 2) / camera.focal))
        at = (angle % 360.0) / 360.0 * _HILL_STEPS
        k, share = int(at), at - int(at)
        high = level[k % _HILL_STEPS] * (1 - share) + level[(k + 1) % _HILL_STEPS] * share
        points.append((math.floor(x + 0.5), math.floor(camera.horizon - camera.focal * high + 0.5)))
    return points


def paint_hills(stage: Stage, heading: float) -> None:
    """Far mountains, nearer hills and, where much grows, a tree line."""
    canvas, camera, spot, look = stage.canvas, stage.camera, stage.spot, stage.look
    low = camera.horizon
    foot = [(camera.size, low), (0, low)]
    if "relief" not in stage.without and spot.relief > 0.12:
        rough = 0.04 + 0.34 * spot.relief
        far = _ridge(camera, heading, _outline(spot, rough, "ridge"))
        canvas.polygon(far + foot, canvas.ink(_rock(spot, look), 480.0 * look.haze_km, "relief"))
        if spot.relief > 0.45 and spot.temperature - 5.0 * spot.relief < 8.0:
            _paint_caps(canvas, camera, far, look)
        near = _ridge(camera, heading, _outline(spot, 0.4 * rough, "hills"))
        tone = mix(look.ground, (60, 70, 60), 0.25)
        canvas.polygon(near + foot, canvas.ink(tone, 300.0 * look.haze_km, "relief"))
    if spot.plant_share > 0.4 and not {"vegetation"} & stage.without:
        line = _ridge(camera, heading, _outline(spot, 0.085 * spot.plant_share**2, "treeline"))
        tone = mix(look.leaf(spot.plant, 0.4), (40, 50, 50), 0.25)
        cue = "vegetation"
        canvas.polygon(line + foot, canvas.ink(tone, 160.0 * look.haze_km, cue))


def _rock(spot: Spot, look: Look) -> Colour:
    tone = mix((104, 104, 112), look.soil, 0.3)
    return mix(tone, look.leaf(spot.plant, 0.3), 0.5) if spot.plant_share > 0.4 else tone


def _paint_caps(canvas: Canvas, camera: Camera, ridge: list[tuple[int, int]], look: Look) -> None:
    """Snow on the upper third of the far ridge."""
    top = min(y for _, y in ridge)
    limit = camera.horizon - (camera.horizon - top) * 62 // 100
    capped = [(x, min(y, limit)) for x, y in ridge]
    under = [
        (x, min(limit, limit - (limit - y) // 3 + (i * 37 % 5))) for i, (x, y) in enumerate(capped)
    ]
    ink = canvas.ink((246, 248, 252), 350.0 * look.haze_km, "relief")
    canvas.polygon(capped + under[::-1], ink)
