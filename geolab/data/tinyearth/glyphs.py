"""Invented writing: strokes with the statistics of a writing system, never real letters.

Each script is described by the strokes its signs are made of on a 4 x 6 grid; a board gets a few
random signs. From afar what remains is what remains of real writing: bars on top, dense squares,
loops, a running base line with dots.
"""

from __future__ import annotations

from random import Random

from geolab.data.tinyearth.atlas import Colour
from geolab.data.tinyearth.camera import Canvas
from geolab.data.tinyearth.draws import pick, stream

Stroke = tuple[float, float, float, float]
#: strokes (x0, y0, x1, y1) on the 4 x 6 grid, number of strokes, loops (0..1), always drawn.
_STYLES: dict[str, tuple[tuple[Stroke, ...], int, float, tuple[Stroke, ...]]] = {
    "latin": (((0, 0, 0, 6), (0, 0, 3, 0), (0, 3, 3, 3), (0, 6, 3, 6), (0, 0, 3, 6)), 2, 0.25,
              ((0.5, 0, 0.5, 6),)),
    "cyrillic": (((3, 0, 3, 6), (0, 0, 3, 0), (0, 3, 3, 3), (0, 6, 3, 0), (0, 6, 4, 6)), 3, 0.0,
                 ((0, 0, 0, 6),)),
    "greek": (((0, 6, 2, 0), (2, 0, 4, 6), (0, 6, 4, 6), (0, 3, 4, 3), (2, 0, 2, 6)), 2, 0.35, ()),
    "arabic": (((3, 2, 3, 4), (1, 1, 1, 4), (0, 5.8, 0.8, 5.8), (2, 0.6, 2.6, 0.6)), 2, 0.0,
               ((-0.6, 4, 4.6, 4),)),
    "hebrew": (((3.5, 0, 3.5, 6), (0.5, 2, 0.5, 6), (0, 6, 4, 6)), 2, 0.0, ((0, 0, 3.5, 0),)),
    "thai": (((0.6, 1, 0.6, 6), (3.4, 1, 3.4, 6), (0.6, 1, 3.4, 1), (1, -1.4, 3, -1.4)), 2, 0.9,
             ()),
    "burmese": (((0, 5, 2, 6), (3.5, 2, 3.5, 6)), 1, 2.0, ()),
    "hangul": (((0, 0, 2.4, 0), (2.4, 0, 2.4, 2.6), (3.4, -0.4, 3.4, 4), (0, 4, 3, 4)), 2, 0.6,
               ((0, 6, 4, 6),)),
    "han": (((0, 0, 4, 0), (0, 2, 4, 2), (0, 4, 4, 4), (0, 6, 4, 6), (0, 0, 0, 6), (4, 0, 4, 6),
             (2, 2, 0, 6), (2, 2, 4, 6)), 5, 0.0, ((2, -0.4, 2, 6.2),)),
    "kana": (((0, 1, 4, 1), (2, 0, 1, 6), (0.5, 3.5, 3.5, 3), (3, 3, 0.5, 6), (3, 3, 4, 5.5),
              (0, 0, 4, 0), (0, 3, 4, 3), (0, 6, 4, 6)), 3, 0.2, ()),
    "devanagari": (((3, 0, 3, 6), (1, 3, 3, 3), (1, 3, 2, 5.5), (0.5, 1, 0.5, 4)), 2, 0.3,
                   ((-0.6, 0, 4.6, 0),)),
    "georgian": (((0.5, 0, 0.5, 3), (3.5, 1, 3.5, 6), (0.5, 6, 3.5, 6)), 1, 1.2, ()),
    "ethiopic": (((0.5, 2, 0.5, 6), (3.5, 2, 3.5, 6), (0.5, 2, 3.5, 2), (2, 0, 2, 6)), 3, 0.3, ()),
}  # fmt: skip


def _paint_sign(
    canvas: Canvas,
    left: float,
    top: float,
    unit: float,
    script: str,
    rng: Random,
    ink: Colour | int,
) -> None:
    """One sign in a cell 4 units wide and 6 high."""
    strokes, count, loops, always = _STYLES[script]
    width = max(1.0, unit * 0.75)
    chosen = (*always, *(pick(rng, strokes) for _ in range(count)))
    for x0, y0, x1, y1 in chosen:
        ends = (left + x0 * unit, top + y0 * unit, left + x1 * unit, top + y1 * unit)
        canvas.strip(*ends, width, ink)
    for _ in range(2):
        at, down = left + unit * (1 + 2 * rng.random()), top + unit * (1.2 + 3.4 * rng.random())
        if rng.random() * 2 < loops:
            _paint_loop(canvas, at, down, 1.3 * unit, ink)


def _paint_loop(canvas: Canvas, x: float, y: float, r: float, ink: Colour | int) -> None:
    """A small eight-cornered ring (ellipse outlines differ more between rasterisers)."""
    around = ((1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1), (0.7, -0.7))
    for (x0, y0), (x1, y1) in zip(around, around[1:] + around[:1], strict=True):
        canvas.strip(x + r * x0, y + r * y0, x + r * x1, y + r * y1, max(1.0, r * 0.45), ink)


def paint_text(
    canvas: Canvas,
    box: tuple[float, float, float, float],
    script: str,
    number: int,
    ink: Colour | int,
) -> None:
    """Fill a box of pixels (x0, y0, x1, y1) with one or two lines of invented writing."""
    x0, y0, x1, y1 = box
    if y1 - y0 < 6:
        canvas.strip(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, 1, ink)
        return
    rng = stream("text", script, number)
    lines = 2 if (y1 - y0) > 0.55 * (x1 - x0) else 1
    unit = (y1 - y0) / (lines * 8.5)
    for line in range(lines):
        left, top = x0 + unit, y0 + unit * (1.4 + 8.2 * line)
        while left + 4 * unit < min(x1, canvas.image.width):
            if left + 5 * unit > 0:
                _paint_sign(canvas, left, top, unit, script, rng, ink)
            left += (5.2 if rng.random() < 0.85 else 8.0) * unit
