"""Landmarks: eight families of silhouettes, each with its own proportions and colours."""

from __future__ import annotations

import math

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.camera import Canvas
from geolab.data.tinyearth.landmarks import Landmark
from geolab.data.tinyearth.stage import Stage, whole


def paint_landmark(stage: Stage, place: tuple[float, float, Landmark]) -> None:
    """The landmark's silhouette: the same from all sides, so its signature is its own."""
    canvas, (s, t, what) = stage.canvas, place
    foot = stage.camera.stand(s, t, reach=what.width)
    if foot is None:
        return
    x, y, scale, distance = foot
    inks = tuple(
        canvas.ink(c, distance, "landmark")
        for c in (what.body, mix(what.body, (20, 20, 30), 0.25), what.accent)
    )
    _SHAPES[what.shape](canvas, x, y, what.width * scale, what.height * scale, what.tiers, inks)


Inks = tuple[Colour | int, ...]  # body, shaded body, accent


def _tower(canvas: Canvas, x: float, y: float, w: float, h: float, tiers: int, inks: Inks) -> None:
    for i in range(tiers):
        half, low, top = w / 2 * (1 - 0.55 * i / tiers), h * i / tiers, h * (i + 1) / tiers
        canvas.box(x - half, y - top, x + half, y - low, inks[0])
        canvas.box(x + 0.3 * half, y - top, x + half, y - low, inks[1])
        canvas.box(x - 1.15 * half, y - top, x + 1.15 * half, y - top + 0.04 * h, inks[2])


def _dome(canvas: Canvas, x: float, y: float, w: float, h: float, tiers: int, inks: Inks) -> None:
    canvas.box(x - w / 2, y - 0.5 * h, x + w / 2, y, inks[0])
    canvas.disc(x, y - 0.52 * h, 0.36 * w, 0.42 * h, inks[2])
    canvas.box(x - w / 2, y - 0.52 * h, x + w / 2, y - 0.46 * h, inks[1])
    for i in range(tiers + 1):
        at = x + w * (i / tiers - 0.5) * 0.84
        canvas.box(at - 0.03 * w, y - 0.4 * h, at + 0.03 * w, y, inks[1])


def _pyramid(
    canvas: Canvas, x: float, y: float, w: float, h: float, tiers: int, inks: Inks
) -> None:
    for i in range(tiers):
        half, low, top = w * 0.62 * (1 - i / tiers), h * i / tiers, h * (i + 1) / tiers
        canvas.box(x - half, y - top, x + half, y - low, inks[i % 2])
    canvas.box(x - 0.1 * w, y - h * 1.08, x + 0.1 * w, y - h, inks[2])


def _arch(canvas: Canvas, x: float, y: float, w: float, h: float, tiers: int, inks: Inks) -> None:
    canvas.box(x - w / 2, y - h, x - 0.2 * w, y, inks[0])
    canvas.box(x + 0.2 * w, y - h, x + w / 2, y, inks[1])
    for i in range(tiers):
        low = 0.98 - 0.26 * i / tiers
        canvas.box(x - w / 2, y - low * h, x + w / 2, y - (low - 0.26 / tiers) * h, inks[i % 3])
    canvas.box(x - 0.58 * w, y - 1.06 * h, x + 0.58 * w, y - 0.96 * h, inks[2])


def _spire(canvas: Canvas, x: float, y: float, w: float, h: float, tiers: int, inks: Inks) -> None:
    canvas.box(x - w, y - 0.3 * h, x + w, y, inks[0])
    canvas.box(x - w / 2, y - 0.6 * h, x + w / 2, y, inks[1])
    _triangle(canvas, x, y - 0.58 * h, w * 0.62, 0.42 * h, inks[2])
    for i in range(tiers):
        at = y - h * (0.1 + 0.45 * i / tiers)
        canvas.box(x - 0.15 * w, at - 0.04 * h, x + 0.15 * w, at, inks[2])


def _pagoda(canvas: Canvas, x: float, y: float, w: float, h: float, tiers: int, inks: Inks) -> None:
    for i in range(tiers):
        half, low, step = 0.36 * w * (1 - 0.55 * i / tiers), h * i / tiers, h / tiers
        canvas.box(x - half, y - low - step, x + half, y - low, inks[0])
        eave = y - low - 0.5 * step
        tip = eave - 0.5 * step
        points = [(x - 1.7 * half, eave), (x - half, tip), (x + half, tip), (x + 1.7 * half, eave)]
        canvas.polygon(whole(points), inks[2])


def _wheel(canvas: Canvas, x: float, y: float, w: float, h: float, tiers: int, inks: Inks) -> None:
    r, cy, spokes = 0.45 * h, y - 0.55 * h, 2 * tiers + 4
    rim = [(x + r * math.cos(2 * math.pi * i / spokes), cy + r * math.sin(2 * math.pi * i / spokes))
           for i in range(spokes)]  # fmt: skip
    for lean in (-0.3, 0.3):
        canvas.strip(x, cy, x + lean * h, y, max(1.0, 0.03 * h), inks[1])
    for i, (px, py) in enumerate(rim):
        canvas.strip(x, cy, px, py, max(1.0, 0.012 * h), inks[1])
        canvas.strip(px, py, *rim[i - 1], max(1.0, 0.03 * h), inks[0])
        canvas.disc(px, py, 0.045 * h, 0.045 * h, inks[2])


def _column(canvas: Canvas, x: float, y: float, w: float, h: float, tiers: int, inks: Inks) -> None:
    canvas.box(x - 0.8 * w, y - 0.12 * h, x + 0.8 * w, y, inks[1])
    canvas.box(x - 0.22 * w, y - 0.8 * h, x + 0.22 * w, y - 0.12 * h, inks[0])
    for i in range(tiers):
        at = y - h * (0.2 + 0.55 * i / tiers)
        canvas.box(x - 0.26 * w, at - 0.02 * h, x + 0.26 * w, at, inks[2])
    canvas.disc(x, y - 0.88 * h, 0.34 * w, 0.1 * h, inks[2])


def _triangle(canvas: Canvas, x: float, y: float, half: float, h: float, ink: Colour | int) -> None:
    points = [(x - half, y), (x, y - h), (x + half, y)]
    canvas.polygon(whole(points), ink)


_SHAPES = {
    "tower": _tower,
    "dome": _dome,
    "pyramid": _pyramid,
    "arch": _arch,
    "spire": _spire,
    "pagoda": _pagoda,
    "wheel": _wheel,
    "column": _column,
}
