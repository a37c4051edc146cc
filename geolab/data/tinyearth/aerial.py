"""Aerial tile: the same layout seen from straight above, north up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from geolab.data.tinyearth.atlas import Colour, mix, region_style
from geolab.data.tinyearth.camera import Canvas
from geolab.data.tinyearth.ground import colours_of, lie_of_land
from geolab.data.tinyearth.layout import Building, Layout, Plant
from geolab.data.tinyearth.look import Look
from geolab.data.tinyearth.stage import whole

if TYPE_CHECKING:
    from geolab.data.tinyearth.scene import Scene


@dataclass(frozen=True)
class Plan:
    """Map projection of a tile: pixels a metre, and the bearing of the road."""

    size: int
    scale: float
    cosine: float
    sine: float

    @classmethod
    def of(cls, layout: Layout, size: int, span_m: float) -> Plan:
        """Plan of a layout on a square of `span_m` metres."""
        angle = math.radians(layout.bearing)
        return cls(size, size / span_m, round(math.cos(angle), 7), round(math.sin(angle), 7))

    def pixel(self, s: float, t: float) -> tuple[float, float]:
        """Road coordinates to pixels (x right = east, y down = south)."""
        east, north = s * self.sine + t * self.cosine, s * self.cosine - t * self.sine
        return self.size / 2 + east * self.scale, self.size / 2 - north * self.scale

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Road coordinates of all pixels, float32 (size, size) each."""
        step = np.float32(1.0 / self.scale)
        line = (np.arange(self.size, dtype=np.float32) + np.float32(0.5 - self.size / 2)) * step
        east, north = line[None, :], -line[:, None]
        sine, cosine = np.float32(self.sine), np.float32(self.cosine)
        return north * cosine + east * sine, east * cosine - north * sine


def paint_aerial(
    scene: Scene, look: Look, size: int, span_m: float, without: frozenset[str]
) -> Image.Image:
    """Paint the tile on a canvas of `size` pixels."""
    layout = scene.layout
    plan = Plan.of(layout, size, span_m)
    s, t = plan.grid()
    material = lie_of_land(s, t, layout, look, without, scene.spot.density == 3)
    base = np.clip(colours_of(material, s, t, layout, look, scale=2.0), 0, 255).astype(np.uint8)
    canvas = Canvas(base, "photo", look.sky_low, 1e6)
    if look.shadows:
        _paint_shadows(canvas, plan, layout, look, without)
    if "drive_side" not in without:
        for car in layout.cars:
            _paint_rectangle(
                canvas, plan, (car.s - 2.1, car.s + 2.1, car.t - 0.85, car.t + 0.85), car.paint
            )
            ahead = 0.2 if car.forward else -0.2
            cabin = (car.s + ahead - 1.0, car.s + ahead + 0.4, car.t - 0.75, car.t + 0.75)
            _paint_rectangle(canvas, plan, cabin, (56, 64, 76))
    for house in layout.buildings:
        _paint_roof(canvas, plan, house, look, without)
    if "vegetation" not in without:
        for plant in layout.plants:
            _paint_crown(canvas, plan, plant, look)
    if "poles" not in without:
        _paint_poles(canvas, plan, scene)
    if layout.landmark and "landmark" not in without:
        _paint_landmark(canvas, plan, layout)
    return canvas.image


def _paint_rectangle(
    canvas: Canvas, plan: Plan, box: tuple[float, float, float, float], colour: Colour
) -> None:
    s0, s1, t0, t1 = box
    corners = [plan.pixel(*corner) for corner in ((s0, t0), (s1, t0), (s1, t1), (s0, t1))]
    canvas.polygon(whole(corners), colour)


def _paint_shadows(
    canvas: Canvas, plan: Plan, layout: Layout, look: Look, without: frozenset[str]
) -> None:
    """Shadows of houses and plants, away from the sun."""
    ink = mix(look.ground, (30, 34, 50), 0.45) if look.snow < 0.5 else (150, 166, 196)
    length = min(3.0, 1.0 / max(0.2, math.tan(math.radians(look.sun_height))))
    away = math.radians(look.sun_azimuth + 180.0 - layout.bearing)
    ds, dt = math.cos(away) * length, math.sin(away) * length
    for house in layout.buildings:
        for share in (0.5, 1.0):
            shift_s, shift_t = ds * house.height * share * 0.6, dt * house.height * share * 0.6
            box = (house.s0 + shift_s, house.s1 + shift_s, house.t0 + shift_t, house.t1 + shift_t)
            _paint_rectangle(canvas, plan, box, ink)
    for plant in layout.plants if "vegetation" not in without else ():
        x, y = plan.pixel(plant.s + 0.6 * ds * plant.height, plant.t + 0.6 * dt * plant.height)
        canvas.disc(x, y, *(2 * (0.22 * plant.height * plan.scale,)), ink)


def _paint_roof(
    canvas: Canvas, plan: Plan, house: Building, look: Look, without: frozenset[str]
) -> None:
    """Two slopes, or a flat roof with a rim."""
    roof = (112, 112, 112) if "roofs" in without else house.roof
    roof = mix(roof, (240, 244, 250), 0.8 * look.snow)
    middle = (house.t0 + house.t1) / 2
    if house.pitched:
        _paint_rectangle(canvas, plan, (house.s0, house.s1, house.t0, middle), roof)
        dark = mix(roof, (0, 0, 0), 0.18)
        _paint_rectangle(canvas, plan, (house.s0, house.s1, middle, house.t1), dark)
        return
    rim = (house.s0, house.s1, house.t0, house.t1)
    _paint_rectangle(canvas, plan, rim, mix(roof, (0, 0, 0), 0.22))
    inner = (house.s0 + 0.5, house.s1 - 0.5, house.t0 + 0.5, house.t1 - 0.5)
    _paint_rectangle(canvas, plan, inner, roof)


def _paint_crown(canvas: Canvas, plan: Plan, plant: Plant, look: Look) -> None:
    """A crown from above: wide for broad leaves, narrow for conifers and cypresses."""
    wide = {"conifer": 0.2, "cypress": 0.11, "palm": 0.3, "acacia": 0.38, "cactus": 0.08}
    radius = wide.get(plant.kind, 0.3) * plant.height * plan.scale
    leaf = look.leaf(plant.kind, 0.4)
    x, y = plan.pixel(plant.s, plant.t)
    canvas.disc(x, y, radius, radius, mix(leaf, (20, 26, 30), 0.25))
    canvas.disc(x - 0.2 * radius, y - 0.2 * radius, 0.7 * radius, 0.7 * radius, leaf)


def _paint_poles(canvas: Canvas, plan: Plan, scene: Scene) -> None:
    """Poles as dots, wires between them."""
    style = region_style(scene.spot.country, scene.spot.region)
    points = [plan.pixel(s, t) for s, t in scene.layout.poles]
    for (x0, y0), (x1, y1) in pairwise(points):
        canvas.strip(x0, y0, x1, y1, 1, (70, 70, 74))
    for x, y in points:
        radius = max(1.0, 0.35 * plan.scale)
        canvas.disc(x, y, radius, radius, style.pole_colour)


def _paint_landmark(canvas: Canvas, plan: Plan, layout: Layout) -> None:
    s, t, what = layout.landmark
    x, y = plan.pixel(s, t)
    radius = 0.5 * what.width * plan.scale
    canvas.disc(x, y, radius, radius, what.body)
    canvas.disc(x, y, 0.5 * radius, 0.5 * radius, what.accent)
