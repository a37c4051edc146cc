"""Country accuracy by political border, as PIGEON's tables count it.

Haas et al., CVPR 2024: an answer is right if the polygon that holds the *true* place holds the
answer too. A true place in no polygon, on a coast that the layer simplifies, belongs to the nearest
one. An answer at sea is wrong, however near the shore, and so is one on the border itself; read
distances beside it.

This is another question than `geolab.regions.same_place`, which compares the nearest towns, and
both have a column of their own: ``border`` here, ``country`` there. Polygons are Natural Earth's
(``geolab fetch natural_earth``) or a file given; without them there is no such column. Layers
differ along the coast: `Row.parameters` says which one was used.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely

from geolab.cells.polygon_areas import PolygonAreas, polygon_areas
from geolab.data.manifest import cached
from geolab.sphere import check_latlon

_SEAM = 1e-6  # degrees, 0.1 m: how far from 180 degrees and the poles a place is looked up
_LAYERS = ("ne_50m_admin_0_countries.json", "ne_110m_admin_0_countries.json")


def borders_path() -> Path | None:
    """Natural Earth's countries in the cache, the finer layer first; None if there is no copy."""
    folder = cached("natural_earth")
    found = [folder / name for name in _LAYERS if (folder / name).is_file()] if folder else []
    return found[0] if found else None


def same_country(
    predicted: object, truth: object, path: str | os.PathLike | None = None
) -> np.ndarray | None:
    """Whether answer and truth lie within one country's polygon.

    Parameters
    ----------
    predicted, truth : array_like, shape (N, 2)
        Degrees; an answer of NaN is wrong.
    path : path, optional
        A layer of countries; Natural Earth's copy in the cache if not given.

    Returns
    -------
    ndarray of bool, shape (N,), or None
        None if no layer is at hand.

    Raises
    ------
    DataError
        If the file given is no layer of countries.
    ValueError
        If shapes differ, or a place is not on Earth (the row is named).
    """
    path = path or borders_path()
    if path is None:
        return None
    answer, places = np.asarray(predicted, float), np.asarray(truth, float)
    if answer.shape != places.shape or places.ndim != 2:
        raise ValueError(f"predicted is {answer.shape}, truth {places.shape}: both must be (N, 2)")
    known = ~np.isnan(answer).any(axis=1)
    check_latlon(np.where(known[:, None], answer, 0.0), "predicted")
    inside = np.zeros(len(answer), dtype=bool)
    if known.any():
        countries = _layer(Path(path))
        distinct, which = np.unique(check_latlon(places, "truth"), axis=0, return_inverse=True)
        home = countries.area_of(distinct)[which.reshape(-1)]
        inside[known] = _strictly_inside(countries.shapes[home[known]], answer[known])
    return inside


def _strictly_inside(shapes: np.ndarray, latlon: np.ndarray) -> np.ndarray:
    """Whether each polygon holds its place, (N,); layers are cut at 180 degrees, countries not."""
    lat, lon = latlon.T
    lat = np.clip(lat, _SEAM - 90, 90 - _SEAM)  # a pole is an edge of the map, no border
    east = np.clip(lon, _SEAM - 180, 180 - _SEAM)
    west = np.where(np.abs(lon) > 180 - _SEAM, -east, east)  # beyond the cut
    inside = shapely.contains_properly(shapes, shapely.points(east, lat))
    return inside & shapely.contains_properly(shapes, shapely.points(west, lat))


@lru_cache(maxsize=4)
def _layer(path: Path) -> PolygonAreas:
    areas = polygon_areas(path)
    shapely.prepare(areas.shapes)
    return areas
