"""Administrative areas from polygons: Natural Earth, geoBoundaries, GADM, or a layer of your own.

    areas = polygon_areas("ne_50m_admin_1_states_provinces.json")
    areas = polygon_areas("gadm_410.gpkg", columns=("GID_0", "GID_1", "GID_2", "NAME_2"))
    areas.notes                                        # what was repaired

GeoJSON needs nothing more; GeoPackage and the rest go through geopandas
(``pip install 'geolab[geo]'``). A place inside an area or on its border belongs to the first
polygon that covers it; a place in none, at sea, to the polygon whose border is nearest on the
sphere. Rings that cross themselves are repaired, with a note; a polygon of which nothing is left is
refused by name, and so is a layer with swapped coordinates (`geolab.cells.polygon_layer`).

Millions of corners cost time and memory, and all polygons go into the file of a partition: simplify
a layer first. GADM may not be passed on, nor used commercially; Natural Earth is in the public
domain. Real GADM and geoBoundaries files have not been run here, only small ones laid out alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import shapely
import torch
from scipy.spatial import cKDTree

from geolab import sphere
from geolab.cells.areas import Areas, unique_pairs
from geolab.cells.polygon_layer import read_layer, within_world

_INFLATE, _FAR = 1.01, 1.01**3
_STEP = 0.25  # degrees between the points of a border that stand for it


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
    def _borders(self) -> tuple[cKDTree, np.ndarray]:
        """Points of all borders as unit vectors, and whose they are."""
        xyz, of = _border_points(self.shapes, _STEP)
        return cKDTree(xyz), of

    def _find(self, latlon: np.ndarray) -> np.ndarray:
        points = shapely.points(latlon[:, ::-1])
        asked, found = self._tree.query(points, predicate="covered_by")
        out = np.full(len(latlon), len(self))
        np.minimum.at(out, asked, found)
        lost = out == len(self)
        if lost.any():
            tree, of = self._borders
            out[lost] = of[tree.query(sphere.to_unit(latlon[lost]).numpy())[1]]
        return out

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Polygons as well-known binary, one after the other."""
        wkb = shapely.to_wkb(self.shapes)
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
        shapes = shapely.from_wkb([whole[a:b] for a, b in zip(starts, ends, strict=True)])
        texts = {k: arrays[f"areas_{k}"] for k in ("country", "region", "label", "near", "far")}
        name = arrays["areas_name"].item()
        return cls(name=name, centre=_centres(shapes), shapes=np.asarray(shapes), **texts)

    def outlines(self, members: np.ndarray, seeds: np.ndarray, label: np.ndarray) -> dict[int, Any]:
        """Polygon of each label: the areas `members`, shared out by nearest seed.

        Parameters
        ----------
        members : (m,) array of int
            Areas.
        seeds : (n, 2) array
            Degrees.
        label : (n,) array of int

        Returns
        -------
        dict of int to shapely geometry
            In (longitude, latitude). Borders between seeds are straight in longitude, shrunk by
            the cosine of the latitude: near enough to draw, while places are found on the sphere.
        """
        if len(np.unique(label)) == 1:
            return {int(label[0]): shapely.union_all(self.shapes[members])}
        lat0, lon0 = sphere.spherical_mean(torch.from_numpy(seeds)).tolist()
        shrink = np.array([max(0.05, np.cos(np.radians(lat0))), 1.0])
        whole = shapely.union_all([_beside(part, lon0) for part in
                                   shapely.get_parts(self.shapes[members])])  # fmt: skip
        flat = shapely.transform(whole, lambda xy: (xy - [lon0, 0]) * shrink)
        turned = (seeds[:, 1] - lon0 + 180) % 360 - 180
        points = np.stack([turned, seeds[:, 0]], axis=1) * shrink
        cells = shapely.get_parts(
            shapely.voronoi_polygons(shapely.multipoints(points), extend_to=flat.envelope)
        )
        at, of = shapely.STRtree(cells).query_nearest(shapely.points(points), all_matches=False)
        cell_label = np.full(len(cells), -1)
        cell_label[of] = label[at]
        out = {}
        for number in np.unique(label).tolist():
            part = shapely.intersection(shapely.union_all(cells[cell_label == number]), flat)
            back = shapely.transform(part, lambda xy: xy / shrink + [lon0, 0])
            out[number] = within_world(back)
        return out


def polygon_areas(
    path: str | os.PathLike,
    *,
    columns: Sequence[str] | None = None,
    layer: str | None = None,
    name: str = "",
) -> PolygonAreas:
    """Read a layer of areas.

    Parameters
    ----------
    path : path
        GeoJSON (``.json``, ``.geojson``), or anything that geopandas reads.
    columns : sequence of str, optional
        Country, region, area and, if there is a fourth, name; recognised for Natural Earth,
        geoBoundaries and GADM. Rows with the same first three are one area.
    layer : str, optional
        Of a file with several.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is no such layer, a polygon is beyond repair, or coordinates are swapped.
    ImportError
        If geopandas is needed and missing.
    """
    read = read_layer(path, columns, layer)
    return PolygonAreas(
        name=name or Path(path).name,
        centre=_centres(read.shapes),
        near=_neighbours(read.shapes, _INFLATE),
        far=_neighbours(read.shapes, _FAR),
        **read._asdict(),
    )


def _border_points(shapes: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners, and points between them no more than `step` degrees apart; and their shapes."""
    corners, of = shapely.get_coordinates(shapely.segmentize(shapes, step), return_index=True)
    return sphere.to_unit(corners[:, ::-1].copy()).numpy(), of


def _centres(shapes: np.ndarray) -> np.ndarray:
    """Mean of each polygon's border on the sphere, (A, 2) degrees: right across 180 too."""
    xyz, of = _border_points(shapes, 1.0)
    total = np.stack([np.bincount(of, weights=column) for column in xyz.T], axis=1)
    return sphere.to_latlon(torch.from_numpy(total)).numpy()


def _neighbours(shapes: np.ndarray, factor: float) -> np.ndarray:
    """Pairs that touch when one is blown up by `factor` and the other by one per cent."""
    tree = shapely.STRtree(_blown(shapes, _INFLATE))
    asked = _blown(shapes, factor)
    turned = shapely.transform(asked, lambda xy: np.add(xy, [360, 0]))  # across 180 degrees
    pairs = [tree.query(each, predicate="intersects").T for each in (asked, turned)]
    return unique_pairs(np.concatenate(pairs))


def _blown(shapes: np.ndarray, factor: float) -> np.ndarray:
    """Scale each part of each shape about the part's own middle."""
    parts, of = shapely.get_parts(shapes, return_index=True)
    middle = shapely.get_coordinates(shapely.centroid(parts))
    corners = np.repeat(middle, shapely.get_num_coordinates(parts), axis=0)
    blown = shapely.transform(parts, lambda xy: corners + factor * (xy - corners))
    return np.array([shapely.multipolygons(group) for group in
                     np.split(blown, np.flatnonzero(np.diff(of)) + 1)])  # fmt: skip


def _beside(part: Any, lon0: float) -> Any:
    """Move a polygon by whole turns until its middle is within 180 degrees of `lon0`."""
    turns = np.round((lon0 - shapely.centroid(part).x) / 360)
    return shapely.transform(part, lambda xy: np.add(xy, [360 * turns, 0]))
