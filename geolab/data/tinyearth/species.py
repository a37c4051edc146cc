"""Animals: where they live, and how to paint them.

Ranges are a few caps on the sphere, drawn loosely after the real ones: for lessons, not for
biology. One species, the dromedary, also has an introduced population far outside its native
range (as the real one has in Australia), so that a lesson can look for animals out of place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.camera import Canvas
from geolab.data.tinyearth.climate import EARTH_KM, unit_vectors
from geolab.data.tinyearth.stage import Stage, whole

Cap = tuple[float, float, float]  # lat, lon, radius in km


@dataclass(frozen=True)
class Species:
    """A species: ranges as caps, and a body plan in shares of its height in metres."""

    name: str
    native: tuple[Cap, ...]
    height: float
    colour: Colour
    length: float
    leg: float
    neck: float
    marks: str
    introduced: tuple[Cap, ...] = ()


SPECIES: tuple[Species, ...] = (
    Species("reindeer", ((67, 22, 900), (67, 100, 2600), (66, -145, 1300), (65, -75, 1200)),
            1.5, (140, 122, 104), 1.2, 0.5, 0.25, "antlers"),
    Species("moose", ((61, 15, 700), (59, 70, 2300), (56, -105, 2200)),
            2.1, (84, 62, 48), 1.1, 0.55, 0.2, "antlers"),
    Species("bison", ((46, -106, 1100),), 1.8, (78, 56, 40), 1.3, 0.35, 0.0, "hump"),
    Species("llama", ((-16, -70, 1000), (-29, -67, 600)),
            1.7, (226, 212, 186), 0.8, 0.45, 0.5, "ears"),
    Species("capybara", ((-16, -56, 1500), (-31, -58, 500)),
            0.9, (150, 108, 70), 1.5, 0.3, 0.0, "plain"),
    Species("elephant", ((-5, 30, 1900), (-21, 27, 900), (4, 15, 900)),
            3.2, (124, 120, 120), 1.2, 0.4, 0.0, "trunk"),
    Species("zebra", ((-6, 34, 1300), (-22, 24, 1100)),
            1.6, (236, 234, 228), 1.2, 0.45, 0.3, "stripes"),
    Species("dromedary", ((25, 8, 2300), (23, 46, 1400), (5, 45, 700)),
            2.2, (206, 168, 116), 1.0, 0.5, 0.4, "hump", introduced=((-25, 133, 1250),)),
    Species("tiger", ((22, 80, 1000), (3, 101, 800), (46, 135, 500)),
            1.1, (224, 140, 60), 1.7, 0.4, 0.0, "stripes"),
    Species("yak", ((33, 88, 1200), (47, 95, 800)), 1.7, (52, 42, 40), 1.2, 0.25, 0.0, "hump"),
    Species("kangaroo", ((-27, 134, 2100),), 1.6, (170, 122, 92), 0.6, 0.3, 0.3, "upright"),
    Species("penguin", ((-50, -70, 800), (-34, 19, 350), (-44, 171, 700), (-38, 145, 350)),
            1.0, (36, 40, 50), 0.45, 0.06, 0.0, "upright"),
)  # fmt: skip
_BY_NAME = {species.name: species for species in SPECIES}


def species_table() -> pd.DataFrame:
    """Ranges of all species, one row a cap.

    Returns
    -------
    DataFrame
        ``species``, ``status`` ("native" or "introduced"), ``lat``, ``lon`` (degrees, centre of
        the cap) and ``radius_km``.

    Examples
    --------
    >>> table = species_table()
    >>> sorted(table[table.status == "introduced"].species.unique())
    ['dromedary']
    """
    rows = [
        (species.name, status, *cap)
        for species in SPECIES
        for status, caps in (("native", species.native), ("introduced", species.introduced))
        for cap in caps
    ]
    return pd.DataFrame(rows, columns=["species", "status", "lat", "lon", "radius_km"])


def find_species(name: str) -> Species:
    """Species of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in _BY_NAME:
        raise ValueError(f"no species named {name!r}; there are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


@lru_cache(maxsize=1)
def _caps() -> list[tuple[str, str, float, float, float, float]]:
    """Name, status, centre as a unit vector, squared radius as a chord of the unit sphere."""
    table = species_table()
    centres = unit_vectors(table["lat"].to_numpy(float), table["lon"].to_numpy(float))
    chord = (table["radius_km"].to_numpy() / EARTH_KM) ** 2
    return list(zip(table["species"], table["status"], *centres.T.tolist(), chord, strict=True))


def species_here(lat: float, lon: float) -> dict[str, str]:
    """Species that live at a point, with their status.

    Examples
    --------
    >>> species_here(-25.0, 133.0)
    {'dromedary': 'introduced', 'kangaroo': 'native'}
    """
    x, y, z = unit_vectors(np.array([lat]), np.array([lon]))[0].tolist()
    return {
        name: status
        for name, status, cx, cy, cz, reach in _caps()
        if (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < reach
    }


def paint_animal(stage: Stage, name: str, s: float, t: float) -> None:
    """Paint an animal, seen from its side, at road coordinates."""
    foot = stage.camera.stand(s, t, reach=3.0)
    if foot is None:
        return
    x, y, scale, distance = foot
    kind, canvas = find_species(name), stage.canvas
    inks = tuple(
        canvas.ink(c, distance, "animal")
        for c in (kind.colour, mix(kind.colour, (20, 20, 24), 0.45), (238, 236, 230), (24, 22, 24))
    )
    h = kind.height * scale
    if kind.marks == "upright":
        _paint_upright(canvas, x, y, h, kind, inks)
    else:
        _paint_quadruped(canvas, x, y, h, kind, inks)


Inks = tuple[Colour | int, ...]  # coat, shade, pale, dark


def _paint_quadruped(
    canvas: Canvas, x: float, y: float, h: float, kind: Species, inks: Inks
) -> None:
    """Legs, body, neck, head, and the marks of the species; it looks to the right."""
    body = h * (1.0 - kind.leg) * (1.0 - 0.35 * (kind.neck > 0))
    half, mid = 0.5 * kind.length * h, y - kind.leg * h - 0.5 * body
    for at in (-0.8, -0.55, 0.55, 0.8):
        canvas.box(x + at * half - 0.04 * h, mid, x + at * half + 0.04 * h, y, inks[1])
    canvas.disc(x, mid, half, 0.55 * body, inks[0])
    hx, hy = x + 1.1 * half, mid - 0.2 * body - kind.neck * h
    canvas.strip(x + 0.75 * half, mid, hx, hy, max(1.0, 0.16 * h), inks[0])
    canvas.disc(hx + 0.04 * h, hy, 0.17 * h, 0.11 * h, inks[0])
    canvas.disc(hx + 0.1 * h, hy - 0.03 * h, 0.02 * h, 0.02 * h, inks[3])
    canvas.strip(x - half, mid - 0.2 * body, x - 1.15 * half, mid + 0.4 * body, 0.04 * h, inks[1])
    _paint_marks(canvas, (x, mid, half, body), (hx, hy, h), kind.marks, inks)


def _paint_marks(
    canvas: Canvas,
    body: tuple[float, float, float, float],
    head: tuple[float, float, float],
    marks: str,
    inks: Inks,
) -> None:
    (x, mid, half, deep), (hx, hy, h) = body, head
    if marks == "stripes":
        for i in range(-4, 5):
            at = x + i * 0.19 * half
            canvas.box(at, mid - 0.45 * deep, at + 0.07 * half, mid + 0.35 * deep, inks[3])
    elif marks == "hump":
        canvas.disc(x - 0.05 * half, mid - 0.5 * deep, 0.4 * half, 0.3 * deep, inks[0])
    elif marks == "trunk":
        canvas.strip(hx + 0.14 * h, hy, hx + 0.2 * h, hy + 0.5 * h, 0.07 * h, inks[0])
        canvas.disc(hx - 0.06 * h, hy + 0.02 * h, 0.13 * h, 0.18 * h, inks[1])
        canvas.strip(hx + 0.12 * h, hy + 0.12 * h, hx + 0.3 * h, hy + 0.2 * h, 0.03 * h, inks[2])
    elif marks in ("antlers", "ears"):
        rise = 0.42 if marks == "antlers" else 0.16
        for lean in (-0.2, 0.14) if marks == "antlers" else (-0.03, 0.05):
            tip = (hx + lean * h, hy - rise * h)
            canvas.strip(hx, hy - 0.06 * h, *tip, max(1.0, 0.035 * h), inks[1])
            if marks == "antlers":
                end = (tip[0] + 0.12 * h, tip[1] + 0.1 * h)
                canvas.strip(*tip, *end, max(1.0, 0.03 * h), inks[1])


def _paint_upright(canvas: Canvas, x: float, y: float, h: float, kind: Species, inks: Inks) -> None:
    """Kangaroos and penguins."""
    wide = 0.5 * kind.length * h
    if kind.name == "kangaroo":
        canvas.strip(x - 0.2 * h, y - 0.25 * h, x - 0.75 * h, y - 0.03 * h, 0.1 * h, inks[0])
        canvas.box(x - 0.15 * h, y - 0.06 * h, x + 0.3 * h, y, inks[1])
        canvas.strip(x + 0.12 * h, y - 0.6 * h, x + 0.3 * h, y - 0.45 * h, 0.06 * h, inks[1])
    canvas.disc(x, y - 0.4 * h, wide, 0.4 * h, inks[0])
    if kind.name == "penguin":
        canvas.disc(x + 0.25 * wide, y - 0.38 * h, 0.6 * wide, 0.32 * h, inks[2])
    canvas.disc(x + 0.06 * h, y - 0.85 * h, 0.15 * h, 0.13 * h, inks[0])
    beak = [(x + 0.17 * h, y - 0.9 * h), (x + 0.34 * h, y - 0.83 * h), (x + 0.17 * h, y - 0.78 * h)]
    canvas.polygon(whole(beak), inks[0] if kind.name == "kangaroo" else inks[1])
    if kind.name == "kangaroo":
        for lean in (-0.04, 0.06):
            canvas.strip(x + 0.03 * h, y - 0.95 * h, x + lean * h, y - 1.12 * h, 0.06 * h, inks[0])
