"""Reading a layer of administrative polygons: formats, columns, repairs, refusals.

Whatever comes out of `read_layer` is valid, has longitude first and lies between -180 and 180.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely

from geolab.data.errors import DataError
from geolab.data.gazetteer import load_gazetteer

COLUMNS = (
    ("GID_0", "GID_1", "GID_2", "NAME_2"),  # GADM, admin-2
    ("GID_0", "GID_1", "GID_1", "NAME_1"),  # GADM, admin-1
    ("shapeGroup", "shapeGroup", "shapeID", "shapeName"),  # geoBoundaries
    ("adm0_a3", "region", "adm1_code", "name"),  # Natural Earth, admin-1
    ("ADM0_A3", "ADM0_A3", "ADM0_A3", "NAME"),  # Natural Earth, admin-0: its ISO_A2 has gaps
)
"""Columns of country, region, area and name, in the layers that are known."""
_WORLD = shapely.box(-180, -90, 180, 90)
_ON_LAND_KM = 50.0


class Layer(NamedTuple):
    """Rows of a layer: texts (A,), valid polygons (A,), and what was repaired."""

    country: np.ndarray
    region: np.ndarray
    label: np.ndarray
    shapes: np.ndarray
    notes: tuple[str, ...]


def read_layer(
    path: str | os.PathLike, columns: Sequence[str] | None = None, layer: str | None = None
) -> Layer:
    """Read, join rows of one area, repair; see `geolab.cells.polygon_areas` for parameters."""
    path = Path(path)
    rows, shapes = _read(path, layer)
    chosen = _columns(rows, columns, path)
    country, region, code, label = (
        np.array([_text(row.get(column)) for row in rows]) for column in chosen
    )
    label = np.where(label == "", code, label)
    shapes, notes = _repaired(shapes, label, path)
    _refuse_swapped(shapes, rows, path)
    keys = [f"{c}\t{r}\t{a}" if a else f"row {n}" for n, (c, r, a) in
            enumerate(zip(country, region, code, strict=True))]  # fmt: skip
    _, first, area = np.unique(keys, return_index=True, return_inverse=True)
    if len(first) < len(rows):
        parts = [shapes[area == number] for number in range(len(first))]
        joined = np.array([shapely.union_all(part) for part in parts])
    else:
        joined = shapes[first]
    return Layer(country[first], region[first], label[first], joined, notes)


def _text(value: Any) -> str:
    """Text of a cell of a table; "" where there is none."""
    return "" if value is None or value != value else str(value)


def _read(path: Path, layer: str | None) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Properties and shapes of a layer; None where a geometry can't be read."""
    if not path.exists():
        raise FileNotFoundError(f"no file {path}: give a layer of polygons")
    if path.suffix.lower() in (".json", ".geojson"):
        try:
            held = json.loads(path.read_text("utf-8"))["features"]
            rows = [feature["properties"] or {} for feature in held]
            texts = [json.dumps(feature["geometry"]) for feature in held]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no GeoJSON of areas ({error!r}): export it again") from None
        return rows, np.asarray(shapely.from_geojson(texts, on_invalid="ignore"), dtype=object)
    try:
        import geopandas
    except ImportError as error:
        raise ImportError(f"{path} needs geopandas: pip install 'geolab[geo]'") from error
    try:
        frame = geopandas.read_file(path, **({"layer": layer} if layer else {}))
    except Exception as error:  # each engine has errors of its own
        raise DataError(f"{path} is no layer that geopandas can read: {error}") from None
    frame = frame if frame.crs is None else frame.to_crs(4326)
    return frame.drop(columns=frame.geometry.name).to_dict("records"), frame.geometry.to_numpy()


def _columns(rows: list[dict], given: Sequence[str] | None, path: Path) -> Sequence[str]:
    if not rows:
        raise DataError(f"{path} holds no areas: give a layer of polygons")
    there = set().union(*rows)
    for known in [[*given, given[-1]][:4]] if given else COLUMNS:
        if set(known) <= there:
            return known
    wanted = f"no columns {', '.join(given)}" if given else "no known columns of country and area"
    raise DataError(
        f"{path}: {wanted} among {', '.join(sorted(there)[:12])}; give columns=(country, region, "
        "area, name)"
    )


def _repaired(
    shapes: np.ndarray, names: np.ndarray, path: Path
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Valid polygons within the world's box; what was done is told."""
    fixed, notes = shapely.force_2d(shapes), []
    latitude = shapely.bounds(fixed)[:, [1, 3]]
    beyond = np.flatnonzero(np.abs(np.nan_to_num(latitude)).max(1) > 90 + 1e-6)
    if len(beyond):
        row = beyond[0]
        raise DataError(
            f"{path}: {names[row]!r} reaches latitude {latitude[row].tolist()}: polygons want "
            "longitude first, in degrees. Swap the coordinates (or transform to EPSG:4326)"
        )
    for row in _jumping(fixed):
        fixed[row] = _unwrapped(fixed[row], names[row], path)
        notes.append(f"{names[row]}: jumps over 180 degrees, cut there")
    for row in np.flatnonzero(~shapely.is_valid(fixed) & ~shapely.is_missing(fixed)):
        notes.append(f"{names[row]}: {shapely.is_valid_reason(fixed[row])}, repaired")
        fixed[row] = _with_area(shapely.make_valid(fixed[row]))
    gone = shapely.is_missing(fixed) | shapely.is_empty(fixed) | ~(shapely.area(fixed) > 0)
    if gone.any():
        raise DataError(
            f"{path}: nothing is left of the polygon of {names[gone.argmax()]!r} after repair: "
            "mend or drop it"
        )
    for row in np.flatnonzero(np.abs(shapely.bounds(fixed)[:, [0, 2]]).max(1) > 180):
        fixed[row] = within_world(fixed[row])
        notes.append(f"{names[row]}: reaches beyond 180 degrees, cut there")
    return fixed, tuple(notes)


def _jumping(shapes: np.ndarray) -> np.ndarray:
    """Rows with a ring that steps from one side of the map to the other."""
    wide = np.flatnonzero(np.diff(shapely.bounds(shapes)[:, [0, 2]], axis=1)[:, 0] > 180)
    return np.array([row for row in wide if _jumps(shapes[row])], dtype=np.int64)


def _jumps(shape: Any) -> bool:
    """Whether longitude leaps; the full 360 along a pole, as Antarctica's, is no leap."""
    for ring in shapely.get_rings(shape):
        step = np.abs(np.diff(shapely.get_coordinates(ring)[:, 0]))
        if ((step > 180) & (step < 359.9)).any():
            return True
    return False


def _unwrapped(shape: Any, name: str, path: Path) -> Any:
    """Carry the western part of each leaping polygon to beyond 180 degrees."""
    parts = [
        shapely.transform(part, lambda xy: np.where(xy < [0, -999], np.add(xy, [360, 0]), xy))
        if _jumps(part)
        else part
        for part in shapely.get_parts(shape)
    ]
    if any(_jumps(part) for part in parts):
        raise DataError(
            f"{path}: {name!r} goes round a pole without touching it: close its ring along 180 "
            "degrees and the pole"
        )
    return shapely.multipolygons(parts)


def _with_area(shape: Any) -> Any:
    """Only what has an area."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return shapely.union_all(parts[shapely.area(parts) > 0])


def within_world(shape: Any) -> Any:
    """Bring what lies beyond 180 degrees back to the other side."""
    turns = [shapely.transform(shape, lambda xy, turn=turn: np.add(xy, [turn, 0]))
             for turn in (-360, 0, 360)]  # fmt: skip
    return _with_area(shapely.union_all(shapely.intersection(turns, _WORLD)))


def _refuse_swapped(shapes: np.ndarray, rows: list[dict], path: Path) -> None:
    """Compare what the areas are called with what the gazetteer knows there.

    A layer that lies at the same place when turned, as Nigeria alone does, passes.
    """
    if np.abs(shapely.total_bounds(shapes)[[0, 2]]).max() > 90 + 1e-6:
        return  # no latitude
    corners, of = shapely.get_coordinates(shapes, return_index=True)
    some = np.unique(np.linspace(0, len(of) - 1, 500).astype(int))
    inside = shapely.get_coordinates(shapely.point_on_surface(shapes[of[some]]))
    lonlat = inside + np.linspace(0, 0.9, len(some))[:, None] * (corners[some] - inside)
    texts = [{_text(value).casefold() for value in rows[row].values()} for row in of[some]]
    given, turned = _agreement(lonlat[:, ::-1], texts), _agreement(lonlat, texts)
    what, by = ("where their names say", 0) if max(given[0], turned[0]) > 0 else ("on land", 1)
    if turned[by] > given[by] + 0.1:
        raise DataError(
            f"{path}: its coordinates are (latitude, longitude). Read that way {turned[by]:.0%} of "
            f"its points lie {what}, as given {given[by]:.0%}. Swap them"
        )


def _agreement(latlon: np.ndarray, texts: list[set[str]]) -> tuple[float, float]:
    """Share of points near a place that their texts name, and share on land."""
    gazetteer = load_gazetteer()
    found = gazetteer.lookup(latlon)
    names = zip(*(found[k] for k in ("country", "region", "county", "name")), strict=True)
    near = [
        any(w and w.casefold() in text for w in (*name, gazetteer.country_name(name[0])))
        for name, text in zip(names, texts, strict=True)
    ]
    return float(np.mean(near)), float(np.mean(found["km"] < _ON_LAND_KM))
