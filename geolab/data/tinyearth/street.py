"""Street photo: one painter's pass from far to near."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from geolab.data.tinyearth.backdrop import base_image, paint_clouds, paint_hills, paint_sun
from geolab.data.tinyearth.camera import Camera, Canvas
from geolab.data.tinyearth.draws import between, stream
from geolab.data.tinyearth.flora import paint_plant
from geolab.data.tinyearth.houses import house_distance, paint_house
from geolab.data.tinyearth.look import Look
from geolab.data.tinyearth.monuments import paint_landmark
from geolab.data.tinyearth.plain import PLAIN_VIEWS, paint_plain
from geolab.data.tinyearth.roadside import (
    paint_bollard,
    paint_car,
    paint_pole,
    paint_shadows,
    paint_sign,
    paint_wires,
)
from geolab.data.tinyearth.species import paint_animal
from geolab.data.tinyearth.stage import Stage

if TYPE_CHECKING:
    from geolab.data.tinyearth.scene import Scene

Job = tuple[float, Callable[[], None]]


def paint_street(
    scene: Scene, look: Look, size: int, fov: float | None, mode: str, without: frozenset[str]
) -> Image.Image:
    """Paint a scene on a canvas of `size` pixels; modes as in `camera.Canvas`."""
    moment = scene.moment
    if scene.view in PLAIN_VIEWS:
        return paint_plain(scene.view, size, mode, stream("plain", moment.key)).image
    layout = scene.layout
    camera = Camera(
        size=size,
        turn_deg=round(scene.heading - layout.bearing, 1),
        fov_deg=moment.fov_deg if fov is None else fov,
        horizon=int(size * moment.pitch),
        height=moment.height,
        offset=round(moment.aside * (layout.half_width + 0.5 * layout.walk), 2),
    )
    base = base_image(camera, layout, look, mode, without, scene.spot.density == 3)
    canvas = Canvas(base, mode, look.sky_low, look.haze_km)
    stage = Stage(canvas, camera, scene.spot, layout, look, without)
    paint_sun(stage, scene.heading)
    paint_clouds(stage, stream("clouds", moment.key, round(scene.heading * 10)))
    paint_hills(stage, scene.heading)
    paint_shadows(stage)
    for _, job in sorted(_jobs(scene, stage), key=lambda item: -item[0]):
        job()
    return canvas.image


def _jobs(scene: Scene, stage: Stage) -> list[Job]:
    """Things to paint, each with its distance in metres; erased cues are left out."""
    layout, keep = stage.layout, lambda name: name not in stage.without
    camera, jobs = stage.camera, []

    def far(s: float, t: float) -> float:
        return math.hypot(s, t - camera.offset)

    jobs += [
        (house_distance(camera, h), partial(paint_house, stage, h))
        for h in layout.buildings
        if camera.sees_block(h.s0 - 0.5, h.s1 + 0.5, h.t0 - 0.5, h.t1 + 0.5)
    ]
    if keep("vegetation"):
        jobs += [(far(p.s, p.t), partial(paint_plant, stage, p)) for p in layout.plants]
    if keep("drive_side"):
        jobs += [(far(c.s, c.t), partial(paint_car, stage, c)) for c in layout.cars]
    if keep("signs"):
        jobs += [(far(g.s, g.t), partial(paint_sign, stage, g)) for g in layout.signs]
    if keep("bollards"):
        jobs += [(far(s, t), partial(paint_bollard, stage, s, t)) for s, t in layout.bollards]
    if keep("poles"):
        jobs += [(far(s, t), partial(paint_pole, stage, s, t)) for s, t in layout.poles]
        jobs.append((6.0, partial(paint_wires, stage)))
    if layout.landmark and keep("landmark"):
        s, t, _ = layout.landmark
        jobs.append((far(s, t), partial(paint_landmark, stage, layout.landmark)))
    if scene.species and keep("animal"):
        jobs.append(_animal_job(scene, stage))
    return jobs


def _animal_job(scene: Scene, stage: Stage) -> Job:
    """The animal stands a few metres ahead, a little to one side."""
    rng = stream("animal", scene.moment.key)
    ahead, aside = between(rng, 4.5, 11.0), between(rng, -0.25, 0.25)
    camera = stage.camera
    right, forward = aside * ahead, ahead
    s = forward * camera.cosine - right * camera.sine
    t = forward * camera.sine + right * camera.cosine + camera.offset
    return 0.0, partial(paint_animal, stage, scene.species, s, t)
