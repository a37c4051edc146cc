"""Photos without a geographic cue: rooms, plates of food, flowers, the bare sky.

About one photo in eight is one of these. Everything in them is drawn from the photo's own stream,
nothing from where it was taken, so no method can place them but by luck: the honest answer to such
a photo is a wide posterior.
"""

from __future__ import annotations

import colorsys
import math
from random import Random

import numpy as np

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.camera import SKY, VERTICAL, Canvas
from geolab.data.tinyearth.draws import between, pick, raw_bytes
from geolab.data.tinyearth.stage import whole

PLAIN_VIEWS = ("indoor", "closeup", "sky")


def _any_colour(rng: Random, low: float, high: float, saturation: float) -> Colour:
    """Random colour of a brightness range and a largest saturation."""
    hue, value = rng.random(), between(rng, low, high)
    parts = colorsys.hsv_to_rgb(hue, saturation * rng.random(), value)
    return tuple(int(255 * part + 0.5) for part in parts)


def paint_plain(view: str, size: int, mode: str, rng: Random) -> Canvas:
    """Paint one of the plain views on a fresh canvas of `size` pixels."""
    tone = _any_colour(rng, 0.45, 0.9, 0.35)
    ground = np.zeros((size, size, 3) if mode == "photo" else (size, size), dtype=np.uint8)
    if mode == "photo":
        ground[:] = tone
    elif mode == "surface":
        ground[:] = SKY if view == "sky" else VERTICAL
    canvas = Canvas(ground, mode, (255, 255, 255), 1e6)
    if mode == "photo":
        {"indoor": _paint_room, "closeup": _paint_closeup, "sky": _paint_sky}[view](
            canvas, size, tone, rng
        )
    return canvas


def _paint_room(canvas: Canvas, size: int, wall: Colour, rng: Random) -> None:
    """Back wall, floor, ceiling, a window, a picture, a table, a lamp."""
    left, right = int(size * between(rng, 0.05, 0.3)), int(size * between(rng, 0.7, 0.95))
    top, low = int(size * between(rng, 0.05, 0.25)), int(size * between(rng, 0.62, 0.8))
    floor = _any_colour(rng, 0.3, 0.7, 0.5)
    canvas.polygon([(0, size), (left, low), (right, low), (size, size)], floor)
    canvas.polygon([(0, 0), (left, top), (right, top), (size, 0)], mix(wall, (255, 255, 255), 0.4))
    canvas.polygon([(0, 0), (left, top), (left, low), (0, size)], mix(wall, (0, 0, 0), 0.18))
    canvas.polygon([(size, 0), (right, top), (right, low), (size, size)], mix(wall, (0, 0, 0), 0.1))
    wide, high = right - left, low - top
    x, y = left + between(rng, 0.08, 0.55) * wide, top + between(rng, 0.12, 0.3) * high
    canvas.box(x - 3, y - 3, x + 0.33 * wide + 3, y + 0.45 * high + 3, (238, 236, 230))
    canvas.box(x, y, x + 0.33 * wide, y + 0.45 * high, (226, 236, 246))
    canvas.box(x + 0.16 * wide, y, x + 0.18 * wide, y + 0.45 * high, (238, 236, 230))
    px = left + (0.72 if x < left + 0.3 * wide else 0.1) * wide
    canvas.box(px, y, px + 0.18 * wide, y + 0.2 * high, _any_colour(rng, 0.3, 0.9, 0.9))
    tx, ty, cloth = size * between(rng, 0.2, 0.7), size * between(rng, 0.7, 0.84), floor
    wood = mix(_any_colour(rng, 0.3, 0.8, 0.6), cloth, 0.2)
    for dx in (-0.24, 0.22):
        canvas.box(tx + dx * size, ty, tx + (dx + 0.03) * size, ty + 0.2 * size, wood)
    canvas.box(tx - 0.27 * size, ty, tx + 0.27 * size, ty + 0.05 * size, wood)
    canvas.disc(tx, ty - 0.06 * size, 0.06 * size, 0.07 * size, _any_colour(rng, 0.5, 1.0, 0.8))


def _paint_closeup(canvas: Canvas, size: int, tone: Colour, rng: Random) -> None:
    """A plate with food, or a flower, over a plain ground."""
    x, y, r = (
        size * between(rng, low, high) for low, high in ((0.4, 0.6), (0.42, 0.6), (0.26, 0.4))
    )
    if rng.random() < 0.5:
        canvas.disc(x, y, 1.1 * r, 1.0 * r, (236, 234, 230))
        canvas.disc(x, y, 0.85 * r, 0.77 * r, (222, 220, 216))
        for _ in range(9):
            dx, dy = between(rng, -0.5, 0.5) * r, between(rng, -0.45, 0.45) * r
            size_ = between(rng, 0.12, 0.3) * r
            canvas.disc(x + dx, y + dy, size_, 0.8 * size_, _any_colour(rng, 0.4, 0.95, 0.9))
        return
    petals, colour = pick(rng, (5, 6, 8, 12)), _any_colour(rng, 0.7, 1.0, 0.9)
    canvas.strip(x, y, x + 0.1 * r, size, 0.08 * r, (74, 120, 60))
    for i in range(petals):
        angle = 2 * math.pi * i / petals
        tips = [
            (x + r * spread * math.cos(angle + turn), y + r * spread * math.sin(angle + turn))
            for spread, turn in (
                (0.1, 0.0),
                (0.75, -1.6 / petals),
                (1.0, 0.0),
                (0.75, 1.6 / petals),
            )
        ]
        canvas.polygon(whole(tips), mix(colour, (255, 255, 255), 0.25 * (i % 2)))
    canvas.disc(x, y, 0.24 * r, 0.24 * r, _any_colour(rng, 0.5, 0.9, 0.9))


def _paint_sky(canvas: Canvas, size: int, tone: Colour, rng: Random) -> None:
    """Clouds from below; the light is any light."""
    blue, seed = mix((70, 130, 205), tone, 0.45), int(rng.random() * 2**32)
    canvas.box(0, 0, size, size, blue)
    for i, byte in enumerate(raw_bytes(seed, (14, 4)).astype(int)):
        x, y, w, h = (int(v) / 255 for v in byte)
        white = mix(blue, (250, 250, 250), 0.3 + 0.05 * i)
        canvas.disc(x * size, y * size, (0.08 + 0.16 * w) * size, (0.04 + 0.07 * h) * size, white)
