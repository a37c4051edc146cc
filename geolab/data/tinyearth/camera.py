"""Projection and canvas: from metres along and across a road to integer pixels.

Axes: `s` metres along the road, `t` metres to the right of its centre line, `z` metres up. The
camera stands at s = 0. All drawing uses integer pixel coordinates on a canvas of twice the wanted
size, so that pictures are the same on every machine.

One canvas draws three kinds of picture with the same calls: "photo" (colours), "surface" (0 ground,
1 vertical, 2 sky) and "cue" (the number of the cue that is seen in each pixel).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from geolab.data.tinyearth.atlas import Colour
from geolab.data.tinyearth.cues import NUMBER

GROUND, VERTICAL, SKY = 0, 1, 2
NEAR_M = 0.7
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """Pinhole camera on a road.

    Attributes
    ----------
    size : int
        Width and height of the canvas in pixels.
    turn_deg : float
        Heading minus bearing of the road, degrees.
    fov_deg : float
        Horizontal field of view.
    horizon : int
        Row of the horizon.
    height, offset : float
        Metres above the ground, and to the right of the centre line.
    """

    size: int
    turn_deg: float
    fov_deg: float
    horizon: int
    height: float
    offset: float
    focal: float = field(init=False)
    cosine: float = field(init=False)
    sine: float = field(init=False)

    def __post_init__(self) -> None:
        angle = math.radians(self.turn_deg)
        focal = 0.5 * self.size / math.tan(math.radians(self.fov_deg) / 2)
        object.__setattr__(self, "focal", round(focal, 4))
        object.__setattr__(self, "cosine", round(math.cos(angle), 7))
        object.__setattr__(self, "sine", round(math.sin(angle), 7))

    def ahead(self, s: float, t: float) -> tuple[float, float]:
        """Metres to the right of the camera and in front of it."""
        t -= self.offset
        return t * self.cosine - s * self.sine, s * self.cosine + t * self.sine

    def pixel(self, right: float, forward: float, z: float) -> tuple[int, int]:
        """Pixel of a point in front of the camera."""
        scale = self.focal / forward
        x = self.size * 0.5 + right * scale
        return math.floor(x + 0.5), math.floor(self.horizon + (self.height - z) * scale + 0.5)

    def stand(
        self, s: float, t: float, reach: float = 8.0
    ) -> tuple[float, float, float, float] | None:
        """Foot of an upright thing: x, y, pixels a metre, distance (m); None if out of sight.

        `reach` is how far the thing extends to its sides, in metres.
        """
        right, forward = self.ahead(s, t)
        if forward < 1.5:
            return None
        scale = self.focal / forward
        x = self.size * 0.5 + right * scale
        if not -reach * scale < x < self.size + reach * scale:
            return None
        return x, self.horizon + self.height * scale, scale, forward

    def sees_block(self, s0: float, s1: float, t0: float, t1: float) -> bool:
        """Whether any part of an upright block may be in the picture (never wrongly no)."""
        corners = [self.ahead(s, t) for s in (s0, s1) for t in (t0, t1)]
        ahead = [(r, f) for r, f in corners if f > 0.0]
        if not ahead:
            return False
        if len(ahead) < 4:
            return True
        edge = 0.55 * self.size / self.focal
        return min(r - edge * f for r, f in ahead) < 0.0 < max(r + edge * f for r, f in ahead)

    def polygon(self, points: Sequence[Point]) -> tuple[list[tuple[int, int]], float]:
        """Clip a polygon at the near plane and project it: pixels, mean distance (m)."""
        seen = [(*self.ahead(s, t), z) for s, t, z in points]
        kept = seen if min(f for _, f, _ in seen) >= NEAR_M else _clip(seen)
        if len(kept) < 3:
            return [], 0.0
        distance = sum(f for _, f, _ in kept) / len(kept)
        return [self.pixel(r, max(f, NEAR_M), z) for r, f, z in kept], distance

    def ground_grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Road coordinates of the pixels below the horizon.

        Returns
        -------
        s, t : ndarray of float32, shape (rows, size)
        forward : ndarray of float32, shape (rows,)
            Distance of each row in metres.
        """
        rows = np.arange(self.size - self.horizon, dtype=np.float32) + np.float32(0.5)
        forward = np.float32(self.focal * self.height) / rows
        ratio = np.arange(self.size, dtype=np.float32) + np.float32(0.5 - self.size / 2)
        right = forward[:, None] * (ratio / np.float32(self.focal))[None, :]  # (rows, size)
        cosine, sine = np.float32(self.cosine), np.float32(self.sine)
        s = forward[:, None] * cosine - right * sine
        return s, forward[:, None] * sine + right * cosine + np.float32(self.offset), forward


def _clip(seen: list[Point]) -> list[Point]:
    """Part of a polygon (right, forward, z) in front of the near plane."""
    kept: list[Point] = []
    for (r0, f0, z0), (r1, f1, z1) in zip(seen, seen[1:] + seen[:1], strict=True):
        if f0 >= NEAR_M:
            kept.append((r0, f0, z0))
        if (f0 >= NEAR_M) != (f1 >= NEAR_M):
            share = (NEAR_M - f0) / (f1 - f0)
            kept.append((r0 + (r1 - r0) * share, NEAR_M, z0 + (z1 - z0) * share))
    return kept


class Canvas:
    """An image being painted, with haze, in one of three modes: "photo", "surface" or "cue"."""

    def __init__(self, base: np.ndarray, mode: str, haze: Colour, haze_km: float) -> None:
        self.image = Image.fromarray(base)
        self.draw = ImageDraw.Draw(self.image)
        self.mode, self.haze, self.haze_m = mode, haze, 1000.0 * haze_km

    def ink(self, colour: Colour, distance: float, cue: str = "") -> Colour | int:
        """Fill for a vertical thing: its colour through the haze, or its label."""
        if self.mode == "photo":
            fog = min(218, int(256.0 * distance / self.haze_m))  # in 256ths, at most 0.85
            (r, g, b), (hr, hg, hb) = colour, self.haze
            return r + ((hr - r) * fog >> 8), g + ((hg - g) * fog >> 8), b + ((hb - b) * fog >> 8)
        return VERTICAL if self.mode == "surface" else NUMBER.get(cue, 0)

    def flat_ink(self, colour: Colour, cue: str = "") -> Colour | int:
        """Fill for a thing that lies on the ground."""
        if self.mode == "photo":
            return colour
        return GROUND if self.mode == "surface" else NUMBER.get(cue, 0)

    def polygon(self, points: Sequence[tuple[int, int]], ink: Colour | int) -> None:
        """Fill a polygon of pixels; fewer than three points draw nothing."""
        if len(points) > 2:
            self.draw.polygon(points, fill=ink)

    def box(self, x0: float, y0: float, x1: float, y1: float, ink: Colour | int) -> None:
        """Fill an upright rectangle, at least one pixel wide and high."""
        left, top = math.floor(x0 + 0.5), math.floor(y0 + 0.5)
        right, low = max(left, math.floor(x1 - 0.5)), max(top, math.floor(y1 - 0.5))
        self.draw.rectangle((left, top, right, low), fill=ink)

    def disc(self, x: float, y: float, rx: float, ry: float, ink: Colour | int) -> None:
        """Fill an ellipse around a centre."""
        left, top = math.floor(x - rx + 0.5), math.floor(y - ry + 0.5)
        right, low = max(left, math.floor(x + rx + 0.5)), max(top, math.floor(y + ry + 0.5))
        self.draw.ellipse((left, top, right, low), fill=ink)

    def strip(
        self, x0: float, y0: float, x1: float, y1: float, w: float, ink: Colour | int
    ) -> None:
        """Fill a straight strip `w` pixels wide (one pixel: a line)."""
        if w < 1.5:
            ends = tuple(math.floor(v + 0.5) for v in (x0, y0, x1, y1))
            self.draw.line(ends, fill=ink)
            return
        length = max(1e-6, math.hypot(x1 - x0, y1 - y0))
        dx, dy = (y1 - y0) / length * w / 2, (x0 - x1) / length * w / 2
        corners = ((x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy))
        self.polygon([(math.floor(x + 0.5), math.floor(y + 0.5)) for x, y in corners], ink)
