"""Country accuracy by political border, as PIGEON's tables count it.

Haas et al., CVPR 2024: an answer is right if the polygon that holds the *true* place holds the
answer too. A true place in no polygon, on a coast that the layer simplifies, belongs to the nearest
one. An answer at sea is wrong, however near the shore; read distances beside it.

This is another question than `geolab.regions.same_place`, which compares the nearest towns, and
both have a column of their own: ``border`` here, ``country`` there. Polygons are Natural Earth's
(``geolab fetch natural_earth``) or a file given; without them there is no such column.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from geolab.cells.polygon_areas import PolygonAreas, polygon_areas
from geolab.data.manifest import cached
from geolab.sphere import check_latlon

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
        If a true place is not on Earth.
    """
    import shapely

    path = path or borders_path()
    if path is None:
        return None
    countries = _layer(Path(path))
    home = countries.area_of(check_latlon(np.asarray(truth, dtype=float)))
    answer = np.asarray(predicted, dtype=float)
    known = np.isfinite(answer).all(1)
    inside = np.zeros(len(answer), dtype=bool)
    points = shapely.points(answer[known][:, ::-1])  # (lon, lat)
    inside[known] = shapely.contains_properly(countries.shapes[home[known]], points)
    return inside


@lru_cache(maxsize=4)
def _layer(path: Path) -> PolygonAreas:
    return polygon_areas(path)
