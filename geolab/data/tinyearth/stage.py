"""What every painter is handed: the canvas, and all that decides how to paint on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from geolab.data.tinyearth.atlas import CountryStyle, RegionStyle, country_style, region_style
from geolab.data.tinyearth.camera import Camera, Canvas
from geolab.data.tinyearth.layout import Layout
from geolab.data.tinyearth.look import Look
from geolab.data.tinyearth.spots import Spot


@dataclass(frozen=True)
class Stage:
    """Canvas, camera and the facts of one picture."""

    canvas: Canvas
    camera: Camera
    spot: Spot
    layout: Layout
    look: Look
    without: frozenset[str]

    @property
    def country(self) -> CountryStyle:
        """Style of the country."""
        return country_style(self.spot.country)

    @property
    def region(self) -> RegionStyle:
        """Style of the region."""
        return region_style(self.spot.country, self.spot.region)


def whole(points: list[tuple[float, float]]) -> list[tuple[int, int]]:
    """Round points to whole pixels, halves up."""
    return [(math.floor(x + 0.5), math.floor(y + 0.5)) for x, y in points]
