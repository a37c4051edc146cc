"""The ground plane, pixel by pixel, for street photos and aerial tiles alike.

Both views ask the same two questions of the same road coordinates: what lies at (s, t), and which
colour has it. So the road, its lines, the pavement, the water and the furrows agree in both.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from geolab.data.tinyearth.atlas import Colour, mix
from geolab.data.tinyearth.cues import NUMBER
from geolab.data.tinyearth.draws import raw_bytes
from geolab.data.tinyearth.layout import Layout
from geolab.data.tinyearth.look import Look

BASE, FURROW, PAVING, WALK, ROAD, CENTRE, EDGE, WATER, SNOW = range(9)
_INKS: dict[str, Colour] = {"white": (232, 232, 228), "yellow": (236, 184, 40), "": (0, 0, 0)}
_TEXTURE = 128


@lru_cache(maxsize=1)
def texture() -> np.ndarray:
    """Grain of the ground, the same everywhere: int16 (128, 128) in -24..24, wraps around."""
    grain = np.zeros((_TEXTURE, _TEXTURE), dtype=np.int16)
    for step, strength in ((1, 3), (4, 3), (16, 2)):
        coarse = raw_bytes(step, (_TEXTURE // step, _TEXTURE // step)).astype(np.int16) - 128
        grain += np.kron(coarse, np.ones((step, step), dtype=np.int16)) * strength // 42
    return grain


def lie_of_land(
    s: np.ndarray, t: np.ndarray, layout: Layout, look: Look, without: frozenset[str], paved: bool
) -> np.ndarray:
    """Material at road coordinates.

    Parameters
    ----------
    s, t : ndarray of float32, shape (rows, columns)
        Metres along the road and to the right of its centre line.
    layout, look : Layout, Look
    without : frozenset of str
        Erased cues.
    paved : bool
        Whether the ground between the houses is paved (cities).

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
        One of the constants of this module.
    """
    off = np.abs(t)
    half, edge = layout.half_width, layout.half_width + layout.walk
    base = BASE if look.snow < 0.5 else SNOW
    material = np.full(s.shape, PAVING if paved else base, dtype=np.uint8)
    if layout.striped and base == BASE:
        material[(np.floor(t * np.float32(0.7)).astype(np.int32) & 1) == 1] = FURROW
    if layout.water_t is not None and "water" not in without:
        side = np.float32(1.0 if layout.water_t > 0 else -1.0)
        material[t * side > abs(layout.water_t)] = WATER
    if layout.walk:
        material[off < edge] = WALK
    snowed = look.snow > 0.85 and not paved
    material[off < half] = SNOW if snowed and not layout.paved else ROAD
    if layout.lines and "road_lines" not in without and not snowed:
        _draw_lines(material, s, off, layout)
    return material


def _draw_lines(material: np.ndarray, s: np.ndarray, off: np.ndarray, layout: Layout) -> None:
    """Paint centre and edge lines into the materials, in place."""
    _, dashed, edge_ink = layout.lines
    centre = off < 0.11
    if dashed:
        centre &= (np.floor(s / np.float32(4.0)).astype(np.int32) & 1) == 0
    else:
        centre = (off > 0.07) & (off < 0.22)  # a double line
    material[centre] = CENTRE
    if edge_ink:
        inner = layout.half_width - 0.35
        material[(off > inner) & (off < inner + 0.18)] = EDGE


def palette(layout: Layout, look: Look) -> np.ndarray:
    """Colour of each material, int16 (9, 3)."""
    dusted = min(0.75, look.snow)
    white: Colour = (236, 240, 246)
    ground = mix(look.ground, white, dusted)
    road = (112, 112, 115) if layout.paved else mix(look.soil, (90, 80, 70), 0.25)
    centre, _, edge = layout.lines or ("", False, "")
    water = mix(look.sky_top, (40, 84, 104), 0.5)
    colours = (
        ground,
        mix(mix(look.soil, (60, 50, 40), 0.25), white, dusted),
        mix(mix((150, 146, 140), look.soil, 0.2), white, 0.6 * dusted),
        mix((176, 172, 166), white, 0.6 * dusted),
        mix(road, white, 0.4 * dusted),
        _INKS[centre],
        _INKS[edge],
        water if look.snow < 0.9 else (206, 220, 230),
        white,
    )
    return np.array(colours, dtype=np.int16)


def cue_numbers(look: Look) -> np.ndarray:
    """Number of the cue that each material shows, uint8 (9,); 0 where none."""
    ground = "snow" if look.snow > 0.2 else "ground"
    shown = (ground, ground, "", "", "", "road_lines", "road_lines", "water", "snow")
    return np.array([NUMBER.get(name, 0) for name in shown], dtype=np.uint8)


def colours_of(
    material: np.ndarray, s: np.ndarray, t: np.ndarray, layout: Layout, look: Look, scale: float
) -> np.ndarray:
    """Colour the materials and add grain.

    Parameters
    ----------
    material, s, t : ndarray, shape (rows, columns)
    layout, look : Layout, Look
    scale : float
        Grains a metre.

    Returns
    -------
    ndarray of int16, shape (rows, columns, 3)
        Not clipped.
    """
    step = np.float32(scale)
    across = (t * step).astype(np.int32) & (_TEXTURE - 1)
    along = (s * step).astype(np.int32) & (_TEXTURE - 1)
    grain = texture().ravel().take(along * _TEXTURE + across)  # (rows, columns)
    rough = np.array([2, 2, 1, 1, 1, 0, 0, 1, 1], dtype=np.int16).take(material)
    return palette(layout, look).take(material, axis=0) + (grain * rough >> 1)[..., None]
