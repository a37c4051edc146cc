"""Administrative areas from polygons: Natural Earth, geoBoundaries, GADM, or a layer of your own.

    areas = polygon_areas("ne_50m_admin_1_states_provinces.json")
    areas = polygon_areas("gadm_410.gpkg", columns=("GID_0", "GID_1", "GID_2"))

GeoJSON needs nothing more; GeoPackage and the rest go through geopandas. A place on a border or
inside belongs to the first polygon that covers it; a place in none, at sea, to the polygon with the
nearest corner on the sphere. Rings that cross themselves are repaired, with a note; a polygon of
which nothing is left is refused by name, and so is a layer with swapped coordinates.

GADM may not be passed on and not be used commercially; Natural Earth is in the public domain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import shapely

from geolab import sphere
from geolab.cells.areas import Areas, nearest_row, unique_pairs
from geolab.data.errors import DataError
from geolab.data.gazetteer import load_gazetteer

COLUMNS = (
    ("GID_0", "GID_1", "GID_2", "NAME_2"),  # GADM, admin-2
    ("GID_0", "GID_1", "GID_1", "NAME_1"),  # GADM, admin-1
    ("shapeGroup", "shapeGroup", "shapeID", "shapeName"),  # geoBoundaries
    ("iso_a2", "region", "adm1_code", "name"),  # Natural Earth, admin-1
    ("ISO_A2", "ISO_A2", "ADM0_A3", "NAME"),  # Natural Earth, admin-0
    ("iso_a2", "iso_a2", "adm0_a3", "name"),
)
"""Columns of country, region, area and name, in the layers that are known."""
_INFLATE, _FAR = 1.01, 1.03
_ON_LAND_KM = 100.0


@dataclass(frozen=True, eq=False, kw_only=True)
class PolygonAreas(Areas):
    """Areas with polygons; made by `polygon_areas`.

    Attributes
    ----------
    shapes : ndarray of shapely geometry, shape (A,)
        In (longitude, latitude), none across 180 degrees.
    """

    shapes: np.ndarray

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.shapes)

    @cached_property
    def _corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of all polygons as unit vectors, and whose they are."""
        corners, of = shapely.get_coordinates(self.shapes, return_index=True)
        return sphere.to_unit(corners[:, ::-1].copy()).numpy(), of

    def _find(self, latlon: np.ndarray) -> np.ndarray:
        points = shapely.points(latlon[:, ::-1])
        asked, found = self._tree.query(points, predicate="covered_by")
        out = np.full(len(latlon), len(self))
        np.minimum.at(out, asked, found)
        lost = out == len(self)
        if lost.any():
            corners, of = self._corners
            out[lost] = of[nearest_row(corners, sphere.to_unit(latlon[lost]).numpy())]
        return out

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Polygons as well-known binary, one after the other."""
        wkb = [shapely.to_wkb(shape) for shape in self.shapes]
        texts = {f"areas_{k}": getattr(self, k) for k in ("country", "region", "label")}
        return texts | {
            "areas_kind": np.array("polygons"),
            "areas_name": np.array(self.name),
            "areas_near": self.near,
            "areas_far": self.far,
            "areas_wkb": np.frombuffer(b"".join(wkb), np.uint8),
            "areas_ends": np.cumsum([len(part) for part in wkb]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Undo `to_arrays`."""
        whole, ends = arrays["areas_wkb"].tobytes(), arrays["areas_ends"]
        starts = np.append(0, ends[:-1])
        shapes = np.array([shapely.from_wkb(whole[a:b]) for a, b in zip(starts, ends, strict=True)])
        texts = {k: arrays[f"areas_{k}"] for k in ("country", "region", "label", "near", "far")}
        name = arrays["areas_name"].item()
        return cls(name=name, centre=_centres(shapes), shapes=shapes, **texts)


def polygon_areas(
    path: str | os.PathLike, *, columns: Sequence[str] | None = None, name: str = ""
) -> PolygonAreas:
    """Read a layer of areas.

    Parameters
    ----------
    path : path
        GeoJSON (``.json``, ``.geojson``), or anything that geopandas reads.
    columns : sequence of str, optional
        Country, region, area and, if there is a fourth, name; recognised for Natural Earth,
        geoBoundaries and GADM.

    Raises
    ------
    DataError
        If the file is no such layer, a polygon is beyond repair, or coordinates are swapped.
    ImportError
        If geopandas is needed and missing.
    """
    path = Path(path)
    rows, shapes = _read(path)
    country, region, code, label = _columns(rows, columns, path)
    names = [str(row.get(label) or row.get(code)) for row in rows]
    shapes, notes = _repaired(shapes, names, path)
    return PolygonAreas(
        name=name or path.name,
        country=np.array([str(row.get(country)) for row in rows]),
        region=np.array([str(row.get(region)) for row in rows]),
        label=np.array(names),
        centre=_centres(shapes),
        near=_neighbours(shapes, _INFLATE),
        far=_neighbours(shapes, _FAR),
        shapes=shapes,
        notes=notes,
    )


def _read(path: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Properties and shapes of a layer."""
    if path.suffix.lower() in (".json", ".geojson"):
        try:
            held = json.loads(path.read_text("utf-8"))["features"]
            shapes = shapely.from_geojson([json.dumps(f["geometry"]) for f in held])
        except (ValueError, KeyError, TypeError, shapely.errors.GEOSException) as error:
            raise DataError(f"{path} is no GeoJSON of areas ({error}): export it again") from None
        return [feature["properties"] for feature in held], np.asarray(shapes)
    try:
        import geopandas
    except ImportError as error:
        raise ImportError(f"{path} needs geopandas: pip install 'geolab[geo]'") from error
    frame = geopandas.read_file(path).to_crs(4326)
    return frame.drop(columns="geometry").to_dict("records"), frame.geometry.to_numpy()


def _columns(rows: list[dict], given: Sequence[str] | None, path: Path) -> Sequence[str]:
    if not rows:
        raise DataError(f"{path} holds no areas")
    there = set(rows[0])
    for known in [[*given, given[-1]][:4]] if given else COLUMNS:
        if set(known) <= there:
            return known
    raise DataError(
        f"{path}: no columns for country, region and area among {sorted(there)[:12]}; name them "
        "with columns="
    )


def _repaired(
    shapes: np.ndarray, names: list[str], path: Path
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Valid polygons within the world's box; what was done is told."""
    if _swapped(shapes):
        raise DataError(
            f"{path}: its coordinates are (latitude, longitude), or not on Earth; polygons want "
            "longitude first. Swap them and try again"
        )
    fixed, notes = shapes.copy(), []
    for row in np.flatnonzero(~shapely.is_valid(shapes)):
        fixed[row] = _polygons_of(shapely.make_valid(shapes[row]))
        notes.append(f"{names[row]}: {shapely.is_valid_reason(shapes[row])}, repaired")
    empty = np.flatnonzero(shapely.is_empty(fixed) | (shapely.area(fixed) == 0))
    if len(empty):
        raise DataError(
            f"{path}: nothing is left of the polygon {names[empty[0]]!r} after repair: mend or "
            "drop it"
        )
    wide = np.flatnonzero(np.abs(shapely.bounds(fixed)[:, [0, 2]]).max(1) > 180)
    for row in wide:
        fixed[row] = _within_world(fixed[row])
        notes.append(f"{names[row]}: crosses 180 degrees, split there")
    return fixed, tuple(notes)


def _swapped(shapes: np.ndarray) -> bool:
    """Whether latitudes leave the Earth, or corners would lie on land only if swapped."""
    corners = shapely.get_coordinates(shapes)
    if np.abs(corners[:, 1]).max() > 90.000001:
        return True
    some = corners[:: max(1, len(corners) // 500)]
    as_given, turned = (
        np.mean(load_gazetteer().lookup(np.clip(points, -90, 90))["km"] < _ON_LAND_KM)
        for points in (some[:, ::-1], some)
    )
    return bool(turned > as_given + 0.2)


def _polygons_of(shape: Any) -> Any:
    """Only what has an area."""
    parts = [p for p in shapely.get_parts(shape) if shapely.area(p) > 0]
    return shapely.union_all([q for p in parts for q in shapely.get_parts(p)])


def _within_world(shape: Any) -> Any:
    """Bring what lies beyond 180 degrees back to the other side."""
    parts = []
    for turn in (-360, 0, 360):
        moved = shapely.transform(shape, lambda xy, turn=turn: xy + np.array([turn, 0]))
        parts.append(shapely.intersection(moved, shapely.box(-180, -90, 180, 90)))
    return shapely.union_all(parts)


def _centres(shapes: np.ndarray) -> np.ndarray:
    """Mean of each polygon's corners on the sphere, (A, 2) degrees: right across 180 too."""
    corners, of = shapely.get_coordinates(shapes, return_index=True)
    xyz = sphere.to_unit(corners[:, ::-1].copy()).numpy()
    total = np.stack([np.bincount(of, weights=column) for column in xyz.T], axis=1)
    norm = np.linalg.norm(total, axis=1, keepdims=True)
    return np.stack([np.degrees(np.arcsin((total / norm)[:, 2])),
                     np.degrees(np.arctan2(total[:, 1], total[:, 0]))], axis=1)  # fmt: skip


def _neighbours(shapes: np.ndarray, factor: float) -> np.ndarray:
    """Pairs of shapes that touch when blown up about their middles; across 180 degrees too."""
    blown = np.array([_blown(shape, factor) for shape in shapes])
    turned = shapely.transform(blown, lambda xy: xy + np.array([360, 0]))
    tree = shapely.STRtree(blown)
    pairs = [tree.query(asked, predicate="intersects").T for asked in (blown, turned)]
    return unique_pairs(np.concatenate(pairs))


def _blown(shape: Any, factor: float) -> Any:
    """Scale each part of a shape about its own middle."""
    parts = []
    for part in shapely.get_parts(shape):
        middle = shapely.get_coordinates(shapely.centroid(part))[0]
        parts.append(shapely.transform(part, lambda xy, m=middle: m + factor * (xy - m)))
    return shapely.multipolygons(parts)
