"""What the sea ends at: outlines where a copy is in the cache, populated places where not.

The kit carries no outline file. The 155,210 places of the gazetteer show the continents well
enough to read a map, offline and at once; after ``geolab fetch natural_earth`` every map draws the
public-domain outlines of Natural Earth instead. Nothing is ever downloaded from here.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull, cKDTree

from geolab import sphere
from geolab.data.gazetteer import load_gazetteer
from geolab.data.manifest import cached

# Natural Earth leaves the ISO code of these out (-99) in some editions.
_CODE_OF_NAME = {"France": "FR", "Norway": "NO", "Kosovo": "XK"}


@dataclass(frozen=True)
class Outline:
    """One country: ISO 3166 code of two letters ("" if unknown), name, rings of (lat, lon)."""

    country: str
    name: str
    rings: tuple[np.ndarray, ...]


def outlines(*, fine: bool = False) -> tuple[Outline, ...] | None:
    """Natural Earth's countries from the cache, or None if there is no copy.

    Parameters
    ----------
    fine : bool
        Prefer the 1:50m file, for regions; else 1:110m, for the world. Either stands in for the
        other.
    """
    folder = cached("natural_earth")
    wanted = ["ne_110m_admin_0_countries.json", "ne_50m_admin_0_countries.json"]
    found = [folder / name for name in wanted if (folder / name).is_file()] if folder else []
    return read_outlines(found[-1 if fine else 0]) if found else None


@functools.lru_cache(maxsize=4)
def read_outlines(path: Path) -> tuple[Outline, ...]:
    """Read a GeoJSON file of countries.

    Raises
    ------
    ValueError
        If the file is not GeoJSON with polygons; the message names it.
    """
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        return tuple(_outline(feature) for feature in features)
    except (KeyError, TypeError, IndexError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not GeoJSON with country polygons ({error}); "
            "delete it and run: geolab fetch natural_earth"
        ) from error


def _outline(feature: dict) -> Outline:
    properties, shape = feature["properties"], feature["geometry"]
    name = properties.get("NAME", "")
    codes = [properties.get(key, "") for key in ("ISO_A2", "ISO_A2_EH", "WB_A2")]
    good = [code for code in codes if len(str(code)) == 2 and str(code).isalpha()]
    polygons = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
    rings = tuple(np.array(ring, float)[:, 1::-1] for polygon in polygons for ring in polygon)
    return Outline(good[0] if good else _CODE_OF_NAME.get(name, ""), name, rings)


@functools.lru_cache(maxsize=1)
def place_dots() -> np.ndarray:
    """Positions of the gazetteer's places, (n, 2) degrees."""
    return load_gazetteer().places[["lat", "lon"]].to_numpy(float)


@functools.lru_cache(maxsize=1)
def land_triangles(cell_deg: float = 0.25) -> np.ndarray:
    """Land guessed from the places alone: triangles (n, 3, 2) in degrees that cover it.

    An alpha shape on the sphere (Edelsbrunner, Kirkpatrick and Seidel, "On the shape of a set of
    points in the plane", 1983) whose radius follows the local spacing of the places: of the
    Delaunay triangles of one place a cell, those are land whose circumcircle is small beside the
    distance to the third neighbour. Within one country wider gaps are bridged (deserts), between
    countries and among islands only narrow ones (straits). Good to look at, not to compute with.
    """
    latlon = place_dots()
    _, kept = np.unique(np.floor(latlon / cell_deg), axis=0, return_index=True)
    country = load_gazetteer().places["country"].to_numpy(str)[kept]
    _, country, counts = np.unique(country, return_inverse=True, return_counts=True)
    xyz = np.asarray(sphere.to_unit(latlon[kept]))
    corners = ConvexHull(xyz).simplices  # the hull of points on a sphere is their Delaunay mesh
    spacing_km = sphere.EARTH_RADIUS_KM * cKDTree(xyz).query(xyz, k=4)[0][:, 3]
    spacing_km = np.median(spacing_km[corners], axis=1)
    mine = country[corners]
    within = (mine == mine[:, :1]).all(axis=1)
    islands = counts[mine].min(axis=1) < 60  # and some small countries, which lose little
    factor = np.where(
        within, np.clip(spacing_km / 30, 1.3, 3.0), np.clip(spacing_km / 50, 1.0, 2.0)
    )
    widest_km = np.where(islands, 150.0, np.where(within, 700.0, 320.0))
    limit_km = np.clip(factor * spacing_km, 40.0, widest_km)
    return latlon[kept][corners[_circumradius_km(xyz[corners]) < limit_km]]


def _circumradius_km(triangles: np.ndarray) -> np.ndarray:
    """Radius of the circle through three unit vectors (n, 3, 3): abc / 4 area."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    sides = [np.linalg.norm(u - v, axis=1) for u, v in ((a, b), (b, c), (c, a))]
    twice_area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return sphere.EARTH_RADIUS_KM * np.prod(sides, axis=0) / (2 * twice_area + 1e-15)


def unwrap_lon(rings: np.ndarray) -> np.ndarray:
    """Longitudes (..., n) of rings without jumps; rings already cut at 180 degrees stay."""
    cut = (np.abs(rings) >= 180 - 1e-9).any(axis=-1, keepdims=True)
    return np.where(cut, rings, np.unwrap(rings, period=360, axis=-1))


def land_blocks(cell_deg: float = 1.0) -> list[list[list[float]]]:
    """Coarse land for the interactive map: closed rings, one for each run of cells in a row.

    Rings are lists of ``[lon, lat]``, GeoJSON's order; about 2,000 of them at one degree.
    """
    wide, high = round(360 / cell_deg), round(180 / cell_deg)
    raster = Image.new("1", (wide, high))
    pen = ImageDraw.Draw(raster)
    triangles = land_triangles()
    east = unwrap_lon(triangles[..., 1])
    for turn in (-360, 0, 360):
        page = np.stack([(east + turn + 180), triangles[..., 0] + 90], axis=-1) / cell_deg - 0.5
        for corners in page[(page[..., 0].max(1) > 0) & (page[..., 0].min(1) < wide)]:
            pen.polygon([tuple(corner) for corner in corners], fill=1)
    runs = np.diff(np.pad(np.asarray(raster, dtype=np.int8), ((0, 0), (1, 1))), axis=1)
    rings = []
    for row, first, stop in zip(*np.nonzero(runs == 1), np.nonzero(runs == -1)[1], strict=True):
        s, n = (round(float(r * cell_deg - 90), 3) for r in (row, row + 1))
        w, e = (round(float(c * cell_deg - 180), 3) for c in (first, stop))
        rings.append([[w, s], [e, s], [e, n], [w, n], [w, s]])
    return rings
