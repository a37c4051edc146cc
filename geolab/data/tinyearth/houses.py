"""Houses: walls towards the road, windows, roofs, shop boards."""

from __future__ import annotations

import math

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.camera import Camera, Canvas
from geolab.data.tinyearth.draws import stream
from geolab.data.tinyearth.glyphs import paint_text
from geolab.data.tinyearth.layout import Building, Layout
from geolab.data.tinyearth.look import Look
from geolab.data.tinyearth.stage import Stage

_GREY_WALL: Colour = (172, 172, 170)
_GREY_ROOF: Colour = (112, 112, 112)
_SHOP_BOARDS: tuple[Colour, ...] = ((190, 50, 44), (36, 90, 160), (240, 236, 224), (238, 190, 60))


def house_distance(camera: Camera, house: Building) -> float:
    """Distance used to paint houses from far to near: to the nearest corner, camera inside road."""
    s = min(max(0.0, house.s0), house.s1)
    t = house.t0 if house.t0 > 0 else house.t1
    return math.hypot(s, t - camera.offset) + 0.02 * abs(house.s0 + house.s1)


def _faces(house: Building) -> list[tuple[float, float, float, float, str]]:
    """Walls that the road can see: from (s, t) to (s, t), with the compass side of the house."""
    inner, outer = (house.t0, house.t1) if house.t0 > 0 else (house.t1, house.t0)
    walls = []
    if house.s0 > 0:
        walls.append((house.s0, inner, house.s0, outer, "-s"))
    if house.s1 < 0:
        walls.append((house.s1, inner, house.s1, outer, "+s"))
    walls.append((house.s0, inner, house.s1, inner, "-t" if house.t0 > 0 else "+t"))
    return walls


def _face_light(side: str, layout: Layout, look: Look) -> float:
    """How bright a wall is: 1 in full sun, 0.72 turned away, 0.86 under cloud."""
    if not look.shadows:
        return 0.86 if side.endswith("t") else 0.78
    turned = {"+s": 0.0, "-s": 180.0, "+t": 90.0, "-t": 270.0}[side]
    angle = math.radians(look.sun_azimuth - layout.bearing - turned)
    return round(0.84 + 0.16 * math.cos(angle), 3)


def paint_house(stage: Stage, house: Building) -> None:
    """Walls, windows, roof and, over some doors, a shop sign."""
    canvas, camera, look, without = stage.canvas, stage.camera, stage.look, stage.without
    wall = _GREY_WALL if "facades" in without else house.wall
    roof = _GREY_ROOF if "roofs" in without else mix(house.roof, (240, 244, 250), 0.8 * look.snow)
    if house.pitched:
        _paint_roof(canvas, camera, house, roof)
    for s0, t0, s1, t1, side in _faces(house):
        corners = [(s0, t0, 0.0), (s1, t1, 0.0), (s1, t1, house.height), (s0, t0, house.height)]
        pixels, distance = camera.polygon(corners)
        if not pixels:
            continue
        bright = _face_light(side, stage.layout, look)
        shaded = mix((0, 0, 0), wall, bright)
        canvas.polygon(pixels, canvas.ink(shaded, distance, "facades"))
        if house.pitched and side.endswith("s"):
            _paint_gable(canvas, camera, house, s0, shaded)
        if not house.pitched:
            _paint_parapet(canvas, camera, corners[2:], house.height, roof)
        _paint_windows(canvas, camera, house, (s0, t0, s1, t1), shaded)
        if house.shop and side.endswith("t") and "signs" not in without:
            _paint_shop(stage, house, (s0, t0, s1, t1))


def _ridge_height(house: Building) -> float:
    return house.height + min(4.5, 0.42 * abs(house.t1 - house.t0))


def _paint_roof(canvas: Canvas, camera: Camera, house: Building, roof: Colour) -> None:
    """The slope towards the road, and the far slope seen from above never shows."""
    inner = house.t0 if house.t0 > 0 else house.t1
    middle, top = (house.t0 + house.t1) / 2, _ridge_height(house)
    overhang = 0.4 if house.t0 > 0 else -0.4
    slope = [
        (house.s0 - 0.3, inner - overhang, house.height - 0.2),
        (house.s1 + 0.3, inner - overhang, house.height - 0.2),
        (house.s1 + 0.3, middle, top),
        (house.s0 - 0.3, middle, top),
    ]
    pixels, distance = camera.polygon(slope)
    canvas.polygon(pixels, canvas.ink(roof, distance, "roofs"))


def _paint_gable(canvas: Canvas, camera: Camera, house: Building, s: float, wall: Colour) -> None:
    middle, top = (house.t0 + house.t1) / 2, _ridge_height(house)
    triangle = [(s, house.t0, house.height), (s, middle, top), (s, house.t1, house.height)]
    pixels, distance = camera.polygon(triangle)
    canvas.polygon(pixels, canvas.ink(wall, distance, "facades"))


def _paint_parapet(
    canvas: Canvas, camera: Camera, upper: list[tuple[float, float, float]], z: float, roof: Colour
) -> None:
    """Edge of a flat roof in the roof's colour."""
    (s1, t1, _), (s0, t0, _) = upper
    band = [(s0, t0, z - 0.5), (s1, t1, z - 0.5), (s1, t1, z + 0.3), (s0, t0, z + 0.3)]
    pixels, distance = camera.polygon(band)
    canvas.polygon(pixels, canvas.ink(roof, distance, "roofs"))


def _cut(camera: Camera, wall: tuple[float, float, float, float]) -> tuple[float, float] | None:
    """Part of a wall in front of the camera, as shares of its length."""
    s0, t0, s1, t1 = wall
    near, far = camera.ahead(s0, t0)[1], camera.ahead(s1, t1)[1]
    if max(near, far) < 1.2:
        return None
    at = (1.2 - near) / (far - near) if near != far else 0.0
    return (at, 1.0) if near < 1.2 else (0.0, at) if far < 1.2 else (0.0, 1.0)


def _at(camera: Camera, wall: tuple[float, float, float, float], a: float) -> tuple[float, float]:
    """Right and forward of a point on a wall, `a` the share of its length."""
    s0, t0, s1, t1 = wall
    return camera.ahead(s0 + (s1 - s0) * a, t0 + (t1 - t0) * a)


def _upright(
    camera: Camera, left: tuple[float, float], right: tuple[float, float], z0: float, z1: float
) -> list[tuple[int, int]]:
    """Upright rectangle between two feet given as right and forward."""
    ends = ((left, z0), (right, z0), (right, z1), (left, z1))
    return [camera.pixel(r, f, z) for (r, f), z in ends]


def _paint_windows(
    canvas: Canvas,
    camera: Camera,
    house: Building,
    wall: tuple[float, float, float, float],
    shade: Colour,
) -> None:
    """A grid of windows and a door, only where a window is at least three pixels high."""
    part = _cut(camera, wall)
    if part is None or canvas.mode == "surface":
        return
    columns = max(1, int(math.hypot(wall[2] - wall[0], wall[3] - wall[1]) / 2.8))
    rng, glass = stream("windows", house.number), (58, 70, 86)
    edge = 0.6 * camera.size / camera.focal  # a little outside the picture
    wide, tint = 0.3 + 0.25 * rng.random(), 0.15 + 0.2 * rng.random()
    for column in range(columns):
        a, b = (column + 0.5 - wide / 2) / columns, (column + 0.5 + wide / 2) / columns
        if a < part[0] or b > part[1]:
            continue
        left, right = _at(camera, wall, a), _at(camera, wall, b)
        if 1.4 * camera.focal < 3.0 * left[1] or abs(left[0]) > edge * left[1]:
            continue
        ink = canvas.ink(mix(glass, shade, tint), left[1], "facades")
        for floor in range(house.rows):
            low = 3.1 * floor + (0.9 if floor or column % 3 else 0.0)
            canvas.polygon(_upright(camera, left, right, low, 3.1 * floor + 2.3), ink)


def _paint_shop(stage: Stage, house: Building, wall: tuple[float, float, float, float]) -> None:
    """Board over the ground floor, with upright writing when it faces the camera enough."""
    canvas, camera = stage.canvas, stage.camera
    part = _cut(camera, wall)
    if part is None:
        return
    a, b = max(0.12, part[0]), min(0.88, part[1])
    if b - a < 0.2:
        return
    board = _SHOP_BOARDS[house.number % 4]
    distance = camera.ahead((wall[0] + wall[2]) / 2, wall[1])[1]
    pixels = _upright(camera, _at(camera, wall, a), _at(camera, wall, b), 2.5, 3.3)
    canvas.polygon(pixels, canvas.ink(board, distance, "signs"))
    xs, ys = [x for x, _ in pixels], [y for _, y in pixels]
    if "script" in stage.without or max(xs) - min(xs) < 8:
        return
    y0, y1 = sorted(ys)[1], sorted(ys)[2]
    ink = canvas.ink((250, 250, 245) if house.number % 4 < 2 else (60, 40, 40), distance, "script")
    paint_text(canvas, (min(xs) + 1, y0, max(xs) - 1, y1), stage.country.script, house.number, ink)
