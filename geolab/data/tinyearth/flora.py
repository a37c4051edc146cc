"""Trees and shrubs, each a few shapes around its foot in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.camera import Canvas
from geolab.data.tinyearth.draws import between, stream
from geolab.data.tinyearth.layout import Plant
from geolab.data.tinyearth.stage import Stage, whole

_CUE = "vegetation"
_BARK: Colour = (86, 66, 50)


def paint_plant(stage: Stage, plant: Plant) -> None:
    """Paint one plant; nothing if it is out of sight."""
    canvas, look = stage.canvas, stage.look
    foot = stage.camera.stand(plant.s, plant.t)
    if foot is None:
        return
    x, y, scale, distance = foot
    rng, high = stream("plant", plant.number), plant.height * scale
    turn = rng.random()
    leaf = look.leaf(plant.kind, turn)
    light = -0.16 if turn < 0.5 else -0.3
    inks = tuple(
        canvas.ink(c, distance, _CUE)
        for c in (leaf, mix(leaf, (20, 26, 30), -light), mix(leaf, (230, 224, 170), 0.18), _BARK)
    )
    bare = look.season == "winter" and plant.kind in ("broadleaf", "birch")
    paint = _paint_bare if bare else _PAINTERS[plant.kind]
    paint(canvas, x, y, high, inks, rng)


Inks = tuple[Colour | int, ...]  # leaf, shaded leaf, lit leaf, bark


def _paint_conifer(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    canvas.box(x - 0.03 * h, y - 0.2 * h, x + 0.03 * h, y, inks[3])
    wide, tiers = between(rng, 0.2, 0.27) * h, 4
    for i in range(tiers):
        low, top = y - h * (0.1 + 0.2 * i), y - h * (0.45 + 0.185 * i)
        w = wide * (1.0 - 0.2 * i)
        points = [(x - w, low), (x, top), (x + w, low)]
        canvas.polygon(whole(points), inks[0])
        canvas.polygon(whole([(x + 0.25 * w, low), (x, top), (x + w, low)]), inks[1])


def _paint_broadleaf(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    canvas.box(x - 0.03 * h, y - 0.5 * h, x + 0.03 * h, y, inks[3])
    for shade, drop, count in ((1, 0.0, 3), (0, 0.04, 4), (2, 0.12, 2)):
        for _ in range(count):
            dx, dy = between(rng, -0.2, 0.2) * h, between(rng, 0.48, 0.78) * h
            r = between(rng, 0.14, 0.22) * h * (0.7 if shade == 2 else 1.0)
            canvas.disc(x + dx - drop * h, y - dy - drop * h, r, r * 0.9, inks[shade])


def _paint_birch(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    pale = inks[3] if isinstance(inks[3], int) else mix(inks[3], (236, 234, 228), 0.8)
    _paint_broadleaf(canvas, x, y, h, (*inks[:3], pale), rng)


def _paint_bare(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    canvas.box(x - 0.025 * h, y - 0.45 * h, x + 0.025 * h, y, inks[3])
    for _ in range(9):
        rise, lean = between(rng, 0.25, 0.5), between(rng, -0.28, 0.28)
        reach = between(rng, 0.3, 0.5)
        tip = (x + lean * h, y - (rise + reach) * h)
        canvas.strip(x, y - rise * h, *tip, max(1.0, 0.016 * h), inks[3])


def _paint_palm(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    lean = between(rng, -0.12, 0.12) * h
    canvas.strip(x, y, x + lean, y - 0.85 * h, max(1.0, 0.035 * h), inks[3])
    cx, cy = x + lean, y - 0.85 * h
    for i in range(9):
        angle = math.radians(20 * i + 10 + between(rng, -8, 8))
        dx, dy = math.cos(angle) * 0.34 * h, -math.sin(angle) * 0.17 * h
        tip = (cx + dx, cy + dy + 0.13 * h)
        middle = (cx + 0.55 * dx, cy + dy - 0.02 * h)
        points = [
            (cx, cy),
            (middle[0], middle[1] - 0.04 * h),
            tip,
            (middle[0], middle[1] + 0.04 * h),
        ]
        canvas.polygon(whole(points), inks[i % 2])


def _paint_acacia(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    for lean in (-0.22, 0.2):
        canvas.strip(x, y, x + lean * h, y - 0.62 * h, max(1.0, 0.03 * h), inks[3])
    for shade, lift in ((1, 0.0), (0, 0.05)):
        for _ in range(3):
            dx = between(rng, -0.3, 0.3) * h
            canvas.disc(x + dx, y - (0.66 + lift) * h, 0.3 * h, 0.075 * h, inks[shade])


def _paint_cypress(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    w = between(rng, 0.08, 0.12) * h
    canvas.disc(x, y - 0.5 * h, w, 0.48 * h, inks[0])
    canvas.disc(x + 0.35 * w, y - 0.45 * h, 0.6 * w, 0.4 * h, inks[1])


def _paint_olive(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    h = 0.62 * h
    canvas.strip(x, y, x + 0.06 * h, y - 0.5 * h, max(1.0, 0.09 * h), inks[3])
    for shade in (1, 0, 0, 2):
        dx, dy = between(rng, -0.28, 0.28) * h, between(rng, 0.5, 0.8) * h
        canvas.disc(x + dx, y - dy, 0.26 * h, 0.2 * h, inks[shade])


def _paint_shrub(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    for shade in (1, 0, 2):
        dx, r = between(rng, -0.5, 0.5) * h, between(rng, 0.35, 0.6) * h
        canvas.disc(x + dx, y - 0.4 * h, r, 0.42 * h, inks[shade])


def _paint_cactus(canvas: Canvas, x: float, y: float, h: float, inks: Inks, rng: Random) -> None:
    h, w = 0.55 * h, 0.06 * h
    canvas.box(x - w, y - h, x + w, y, inks[0])
    canvas.box(x + 0.4 * w, y - h, x + w, y, inks[1])
    for side, low, top in ((-1, between(rng, 0.3, 0.5), 0.8), (1, between(rng, 0.35, 0.55), 0.9)):
        arm = x + side * 4.2 * w
        canvas.box(min(x, arm), y - (low + 0.09) * h, max(x, arm), y - low * h, inks[0])
        canvas.box(arm - 0.7 * w, y - top * h, arm + 0.7 * w, y - low * h, inks[0])


_PAINTERS: dict[str, Callable[[Canvas, float, float, float, Inks, Random], None]] = {
    "conifer": _paint_conifer,
    "broadleaf": _paint_broadleaf,
    "birch": _paint_birch,
    "palm": _paint_palm,
    "acacia": _paint_acacia,
    "cypress": _paint_cypress,
    "olive": _paint_olive,
    "shrub": _paint_shrub,
    "cactus": _paint_cactus,
}
