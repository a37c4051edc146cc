"""Along the road: cars, poles with wires, signs, bollards, and the shadows of things."""

from __future__ import annotations

import math
from itertools import pairwise

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.camera import GROUND, Canvas
from geolab.data.tinyearth.draws import between
from geolab.data.tinyearth.glyphs import paint_text
from geolab.data.tinyearth.layout import Car, Sign, spot_stream
from geolab.data.tinyearth.stage import Stage

Box = tuple[float, float, float, float, float, float]  # s0, s1, t0, t1, z0, z1


def paint_shadows(stage: Stage) -> None:
    """Shadows of plants and poles, away from the sun; those of cars under them."""
    canvas, camera, look, layout = stage.canvas, stage.camera, stage.look, stage.layout
    if canvas.mode == "surface" or not look.shadows:
        return
    ink = mix(look.ground, (30, 34, 50), 0.45) if look.snow < 0.5 else (150, 166, 196)
    length = min(3.0, 1.0 / max(0.2, math.tan(math.radians(look.sun_height))))
    away = math.radians(look.sun_azimuth + 180.0 - layout.bearing)
    ds, dt = math.cos(away) * length, math.sin(away) * length
    things = (
        []
        if "vegetation" in stage.without
        else [(p.s, p.t, p.height, 0.17 * p.height) for p in layout.plants]
    )
    if "poles" not in stage.without:
        things += [(s, t, stage.region.pole_height, 0.18) for s, t in layout.poles]
    for s, t, height, half in things:
        if camera.ahead(s, t)[1] < 1.5:
            continue
        ws, wt = -dt / length * half, ds / length * half
        tip_s, tip_t = s + ds * height, t + dt * height
        corners = [(s + 0.3 * ws, t + 0.3 * wt, 0.0), (tip_s + ws, tip_t + wt, 0.0)]
        corners += [(tip_s - ws, tip_t - wt, 0.0), (s - 0.3 * ws, t - 0.3 * wt, 0.0)]
        canvas.polygon(camera.polygon(corners)[0], canvas.flat_ink(ink, "sun"))


def _paint_box(stage: Stage, box: Box, colour: Colour, cue: str) -> None:
    """The sides of a box that face the camera, and its top if seen from above."""
    s0, s1, t0, t1, z0, z1 = box
    here = stage.camera.offset
    faces = []
    if z1 < stage.camera.height:
        faces.append(([(s0, t0, z1), (s1, t0, z1), (s1, t1, z1), (s0, t1, z1)], 1.08))
    if here < t0 or here > t1:
        t = t0 if here < t0 else t1
        faces.append(([(s0, t, z0), (s1, t, z0), (s1, t, z1), (s0, t, z1)], 0.8))
    if s0 > 0 or s1 < 0:
        s = s0 if s0 > 0 else s1
        faces.append(([(s, t0, z0), (s, t1, z0), (s, t1, z1), (s, t0, z1)], 0.92))
    for corners, bright in faces:
        pixels, distance = stage.camera.polygon(corners)
        tone = tuple(min(255, int(c * bright)) for c in colour)
        stage.canvas.polygon(pixels, stage.canvas.ink(tone, distance, cue))


def paint_car(stage: Stage, car: Car) -> None:
    """Body, cabin, wheels, lamps (white in front, red behind) and plate."""
    camera, canvas = stage.camera, stage.canvas
    s0, s1, t0, t1 = car.s - 2.1, car.s + 2.1, car.t - 0.85, car.t + 0.85
    if max(camera.ahead(s, t)[1] for s in (s0, s1) for t in (t0, t1)) < 1.5:
        return
    dark = [(s0, t0, 0.0), (s1, t0, 0.0), (s1, t1, 0.0), (s0, t1, 0.0)]
    shade = canvas.flat_ink((48, 48, 54), "drive_side")
    canvas.polygon(camera.polygon(dark)[0], GROUND if canvas.mode == "surface" else shade)
    _paint_box(stage, (s0, s1, t0 + 0.05, t1 - 0.05, 0.12, 0.35), (30, 30, 32), "drive_side")
    cabin = -0.25 if car.forward else 0.25
    rear = (s0 + 0.9 + cabin, s1 - 1.1 + cabin, t0 + 0.1, t1 - 0.1, 0.9, 1.45)
    _paint_box(stage, (s0, s1, t0, t1, 0.3, 0.9), car.paint, "drive_side")
    _paint_box(stage, rear, (66, 76, 90), "drive_side")
    _paint_box(stage, (*rear[:4], 1.4, 1.5), car.paint, "drive_side")
    _paint_car_end(stage, car, s0 if car.s > 0 else s1)


def _paint_car_end(stage: Stage, car: Car, s: float) -> None:
    """Lamps and plate on the end that faces the camera."""
    tail = car.forward == (car.s > 0)
    lamp = (214, 30, 30) if tail else (255, 250, 226)
    for t in (car.t - 0.62, car.t + 0.62):
        _patch(stage, s, t, 0.24, 0.6, 0.8, lamp, "drive_side")
    if "plates" in stage.without or spot_stream("plate", stage.spot).random() > 0.85:
        return
    body, text, ratio = car.plate
    high = 0.15 if ratio > 3.9 else 0.22
    _patch(stage, s, car.t, high * ratio / 2, 0.38, 0.38 + high, body, "plates")
    _patch(
        stage, s, car.t, 0.38 * high * ratio, 0.38 + 0.3 * high, 0.38 + 0.7 * high, text, "plates"
    )


def _patch(
    stage: Stage, s: float, t: float, half: float, z0: float, z1: float, colour: Colour, cue: str
) -> None:
    """Small upright rectangle across the road; at least one pixel."""
    a, b = stage.camera.ahead(s, t - half), stage.camera.ahead(s, t + half)
    if min(a[1], b[1]) < 1.2:
        return
    (x0, y0), (x1, y1) = stage.camera.pixel(*a, z1), stage.camera.pixel(*b, z0)
    ink = stage.canvas.ink(colour, (a[1] + b[1]) / 2, cue)
    stage.canvas.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1), ink)


def paint_pole(stage: Stage, s: float, t: float) -> None:
    """One utility pole: its region's material, height and arms."""
    foot = stage.camera.stand(s, t, reach=1.5)
    if foot is None:
        return
    x, y, scale, distance = foot
    style, canvas = stage.region, stage.canvas
    rng = spot_stream("pole-tint", stage.spot)
    tint = mix(
        style.pole_colour,
        (60, 60, 60) if rng.random() < 0.5 else (220, 220, 220),
        between(rng, 0.0, 0.2),
    )
    ink = canvas.ink(tint, distance, "poles")
    top = y - style.pole_height * scale
    canvas.box(x - 0.14 * scale, top, x + 0.14 * scale, y, ink)
    for i in range(style.pole_arms):
        z = top + (0.3 + 0.75 * i) * scale
        half = (1.0 - 0.18 * i) * scale
        canvas.box(x - half, z, x + half, z + 0.14 * scale, ink)
    if style.transformer:
        grey = canvas.ink((150, 154, 160), distance, "poles")
        canvas.box(x + 0.1 * scale, top + 2.4 * scale, x + 0.7 * scale, top + 3.5 * scale, grey)
    if style.pole_material == "steel":
        light = canvas.ink(mix(tint, (250, 250, 250), 0.4), distance, "poles")
        canvas.box(x - 0.14 * scale, top, x - 0.02 * scale, y, light)


def paint_wires(stage: Stage) -> None:
    """Two or three sagging wires from pole to pole."""
    camera, canvas, style = stage.camera, stage.canvas, stage.region
    poles = stage.layout.poles
    for (s0, t0), (s1, t1) in pairwise(poles):
        for lift, side in ((0.3, -0.85), (0.3, 0.85), (0.9, 0.0))[: 1 + style.pole_arms]:
            z = style.pole_height - lift
            mid = ((s0 + s1) / 2, (t0 + t1) / 2 + side, z - 0.9)
            for a, b in (((s0, t0 + side, z), mid), (mid, (s1, t1 + side, z))):
                ends = [(*camera.ahead(p[0], p[1]), p[2]) for p in (a, b)]
                if min(ends[0][1], ends[1][1]) < 1.5:
                    continue
                distance = (ends[0][1] + ends[1][1]) / 2
                (x0, y0), (x1, y1) = (camera.pixel(*end) for end in ends)
                ink = canvas.ink((44, 44, 48), distance, "poles")
                canvas.strip(x0, y0, x1, y1, max(1.0, 0.03 * camera.focal / distance), ink)


def paint_sign(stage: Stage, sign: Sign) -> None:
    """A board on a post, written on the side that faces the traffic."""
    foot = stage.camera.stand(sign.s, sign.t, reach=2.0)
    if foot is None:
        return
    x, y, scale, distance = foot
    canvas, grey = stage.canvas, (150, 152, 156)
    canvas.box(
        x - 0.06 * scale, y - 2.9 * scale, x + 0.06 * scale, y, canvas.ink(grey, distance, "signs")
    )
    half, low, top = 1.05 * scale, y - 1.75 * scale, y - 3.05 * scale
    pale = sum(sign.board) > 480
    rim: Colour = (40, 40, 44) if pale else (240, 240, 240)
    canvas.box(x - half, top, x + half, low, canvas.ink(rim, distance, "signs"))
    inset = 0.07 * scale
    box = (x - half + inset, top + inset, x + half - inset, low - inset)
    canvas.box(*box, canvas.ink(sign.board, distance, "signs"))
    if "script" not in stage.without:
        paint_text(canvas, box, sign.script, sign.number, canvas.ink(rim, distance, "script"))


def paint_bollard(stage: Stage, s: float, t: float) -> None:
    """One bollard in its country's design."""
    foot = stage.camera.stand(s, t, reach=0.5)
    if foot is None or foot[3] > 45.0:
        return
    x, y, scale, distance = foot
    body, band, width, rounded = stage.country.bollard
    canvas: Canvas = stage.canvas
    half, ink = width / 2 * scale, canvas.ink(body, distance, "bollards")
    canvas.box(x - half, y - 0.95 * scale, x + half, y, ink)
    if rounded:
        canvas.disc(x, y - 0.95 * scale, half, half, ink)
    stripe = canvas.ink(band, distance, "bollards")
    canvas.box(x - half, y - 0.85 * scale, x + half, y - 0.58 * scale, stripe)
