"""One place at one moment: `Scene`, from which every picture of it is painted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from geolab.data.tinyearth import cues as cue_names
from geolab.data.tinyearth.aerial import paint_aerial
from geolab.data.tinyearth.atlas import country_style
from geolab.data.tinyearth.draws import key
from geolab.data.tinyearth.layout import Layout, lay_out
from geolab.data.tinyearth.lens import MONTHS, Moment, cue_values, finish
from geolab.data.tinyearth.look import Look
from geolab.data.tinyearth.plain import PLAIN_VIEWS
from geolab.data.tinyearth.species import find_species
from geolab.data.tinyearth.spots import Spot, country_name, spot_at
from geolab.data.tinyearth.street import paint_street

VIEWS = ("street", "landmark", "animal", *PLAIN_VIEWS)


@dataclass(frozen=True)
class CueSight:
    """A cue in one picture.

    Attributes
    ----------
    value : str or float
        What the cue says here, whether seen or not.
    visible : bool
        Whether any pixel shows it.
    boxes : tuple of (x0, y0, x1, y1)
        Bounding boxes of its connected parts, in shares of the picture (0 to 1).
    mask : ndarray of bool, shape (size, size)
        Pixels that show it, even in part; things in front of it left out.
    """

    value: str | float
    visible: bool
    boxes: tuple[tuple[float, float, float, float], ...]
    mask: np.ndarray = field(repr=False, compare=False)


@dataclass(frozen=True)
class Scene:
    """A synthetic scene.

    Attributes
    ----------
    lat, lon : float
        Degrees; rounded to 1e-6.
    month : int
        1 to 12.
    heading : float or None
        Compass bearing in degrees. None looks along the road, or at the landmark in view
        "landmark".
    hour : float
        Local solar time.
    seed : int
        Weather and camera shake of this photo; what stands there does not depend on it.
    view : str
        "street", "landmark", "animal", or a view without cues: "indoor", "closeup", "sky".
    species : str
        Animal in the picture, "" for none.
    photographer : str
        Whose camera: field of view, exposure, white balance, sensor noise.
    spot : Spot or None
        What geography says about the place; looked up when None.

    Raises
    ------
    ValueError
        If month, hour, view, species or coordinates are impossible.

    Examples
    --------
    >>> Scene(64.13, -21.9, month=7).street(96).size
    (96, 96)
    """

    lat: float
    lon: float
    month: int = 7
    heading: float | None = None
    hour: float = 12.0
    seed: int = 0
    view: str = "street"
    species: str = ""
    photographer: str = ""
    spot: Spot | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise ValueError(f"no view {self.view!r}; the views are {', '.join(VIEWS)}")
        if not 1 <= self.month <= 12 or not 0 <= self.hour < 24:
            raise ValueError(f"month {self.month} or hour {self.hour} is not on the calendar")
        if self.species:
            find_species(self.species)
        for name, digits in (("lat", 6), ("lon", 6), ("hour", 3)):
            object.__setattr__(self, name, round(float(getattr(self, name)), digits))
        if self.spot is None:
            object.__setattr__(self, "spot", spot_at(self.lat, self.lon))
        heading = self._default_heading() if self.heading is None else self.heading
        object.__setattr__(self, "heading", round(float(heading) % 360.0, 1))

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Scene:
        """Scene of a row of the TinyEarth data set: paints the same picture again."""
        clock = str(row["captured_at"])
        return cls(
            lat=row["latitude"],
            lon=row["longitude"],
            month=int(row["month"]),
            heading=row["heading"],
            hour=int(clock[11:13]) + int(clock[14:16]) / 60,
            seed=int(row["scene_seed"]),
            view=row["view"],
            species=row["species"],
            photographer=row["photographer"],
        )

    def turned(self, degrees: float) -> Scene:
        """The same scene looked at in another direction: clockwise by `degrees`."""
        return replace(self, heading=self.heading + degrees)

    def _default_heading(self) -> float:
        """Along the road, or towards the landmark."""
        if self.view == "landmark" and self.layout.landmark:
            s, t, _ = self.layout.landmark
            return self.layout.bearing + math.degrees(math.atan2(t, s))
        return self.layout.bearing

    @property
    def layout(self) -> Layout:
        """What stands here, in metres."""
        return lay_out(self.spot)

    @property
    def landmark(self) -> str:
        """Name of the landmark within sight, or ""."""
        return self.spot.landmark.name if self.spot.landmark else ""

    @cached_property
    def moment(self) -> Moment:
        """Camera, weather and light of this photo."""
        where = (round(self.lat * 1e6), round(self.lon * 1e6), round(self.hour * 1000))
        photo = key("photo", self.seed, self.month, *where, self.photographer)
        return Moment.of(self.photographer, photo, tall=self.view == "landmark")

    def street(
        self, size: int = 256, *, fov: float | None = None, without: Iterable[str] = ()
    ) -> Image.Image:
        """Street photo.

        Parameters
        ----------
        size : int
            Width and height in pixels.
        fov : float, optional
            Horizontal field of view in degrees; the photographer's own by default.
        without : iterable of str
            Cues to erase, see `cue_table`.

        Returns
        -------
        PIL.Image.Image
            RGB, size x size.

        Raises
        ------
        ValueError
            If a cue is unknown or the size is under 8 pixels.
        """
        erased = cue_names.check_names(frozenset(without))
        plain = self.view in PLAIN_VIEWS
        look = self.moment.look(self, erased)
        image = self._paint(size, fov, "photo", erased, look)
        light = (1.0, 1.0, 1.0) if plain else look.light
        return finish(image, light, self.moment, self.heading)

    def _paint(
        self, size: int, fov: float | None, mode: str, without: frozenset[str], look: Look
    ) -> Image.Image:
        if size < 8:
            raise ValueError(f"size {size} is too small; ask for 8 pixels or more")
        return paint_street(self, look, 2 * size, fov, mode, without)

    def panorama(self, size: int = 256, *, without: Iterable[str] = ()) -> list[Image.Image]:
        """Four photos of 90 degrees each, at heading + 0, 90, 180 and 270."""
        scenes = [self.turned(turn) for turn in (0, 90, 180, 270)]
        return [scene.street(size, fov=90.0, without=without) for scene in scenes]

    def aerial(
        self, size: int = 256, *, span_m: float = 100.0, without: Iterable[str] = ()
    ) -> Image.Image:
        """North-up tile of the same spot from above, `span_m` metres wide, RGB."""
        erased = cue_names.check_names(frozenset(without))
        look = self.moment.look(self, erased)
        image = paint_aerial(self, look, 2 * size, span_m, erased)
        return finish(image, look.light, self.moment, 0.0)

    def surfaces(self, size: int = 256, *, fov: float | None = None) -> np.ndarray:
        """Label map of the street photo, uint8 (size, size): 0 ground, 1 vertical, 2 sky."""
        return self._labels(size, fov, "surface")[::2, ::2].copy()

    def _labels(self, size: int, fov: float | None, mode: str) -> np.ndarray:
        look = self.moment.look(self, frozenset())
        return np.asarray(self._paint(size, fov, mode, frozenset(), look))

    def cues(self, size: int = 256, *, fov: float | None = None) -> dict[str, CueSight]:
        """Every cue of the street photo: its value, and where it is drawn.

        A view without cues has none: the dictionary is empty.
        """
        if self.view in PLAIN_VIEWS:
            return {}
        labels = self._labels(size, fov, "cue")
        sights = {}
        for name, value in cue_values(self).items():
            shown = labels == cue_names.NUMBER[name]
            mask = shown.reshape(size, 2, size, 2).any((1, 3))  # (2 size, 2 size) -> (size, size)
            parts = ndimage.find_objects(ndimage.label(mask)[0])
            boxes = tuple(
                (x.start / size, y.start / size, x.stop / size, y.stop / size) for y, x in parts
            )
            sights[name] = CueSight(value, bool(boxes), boxes, mask)
        return sights

    def caption(self) -> str:
        """Three sentences of the kind that PIGEON's captions are made of."""
        return caption(self.spot, self.month, self.view, self.species)


def caption(spot: Spot, month: int, view: str, species: str) -> str:
    """Caption of a photo: what, where, when, climate, side of the road; says it is synthetic."""
    region = f", {spot.region}" if spot.region else ""
    where = f"{spot.city}{region}, {country_name(spot.country)}"
    side = "left" if country_style(spot.country).left else "right"
    return (
        f"A synthetic {species or view} photo taken near {where}, in {MONTHS[month - 1]}. "
        f"The climate is {spot.climate}. Cars drive on the {side}."
    )
