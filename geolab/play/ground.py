"""The map of the game as numbers: land, borders, names of countries and cities, in one small JSON.

Outlines are Natural Earth's if a copy is in the cache, else they are guessed from the gazetteer's
places, as on every other map of the kit (`geolab.maps.land`). A guessed border runs half way from
town to town of two countries: good to find one's way by, not to settle a dispute.

Lines are in fiftieths of a degree, the first point whole and the others as steps, (lon, lat). The
map is cut at 168.5 degrees west, in the Bering Strait, where next to nothing lies.
"""

from __future__ import annotations

import functools

import numpy as np
import shapely

from geolab import sphere
from geolab.data.gazetteer import load_gazetteer
from geolab.maps import land

UNITS_PER_DEGREE = 50
CUT_LON = -168.5
_COAST_DEG, _SIMPLE_DEG, _ISLAND_DEG = 0.12, 0.06, 0.16
_BRIDGE_DEG = 0.22  # narrower strips of the mesh run across straits
_SEAS = (
    (42, 51),
    (43, 34),
    (36, 18),
    (20, 38.5),
    (27, 51),
    (60, -87),
    (62, 20),
    (25, -90),
    (17, -75),
)
_HUDSON_BAY = [
    (-80, 51.5),
    (-82.5, 55),
    (-92, 57),
    (-94.5, 59),
    (-92, 63),
    (-87, 64),
    (-79, 62.5),
    (-78, 59),
    (-77, 56),
    (-79, 52),
]
_COASTAL = ("GL", "IS")  # countries with towns around an empty middle
_CITY_PEOPLE = 600_000


@functools.lru_cache(maxsize=1)
def ground() -> dict:
    """Everything that the map draws beneath the pins.

    Returns
    -------
    dict
        ``land`` and ``borders``: lists of lines ``[x, y, dx, dy, ...]``; ``countries`` and
        ``cities``: lists of ``[name, lat, lon, people]``, the largest first; ``outline``: where
        the lines are from.
    """
    found = land.outlines()
    shape, lines = _natural_earth(found) if found else _guessed()
    shape = shape.simplify(_SIMPLE_DEG)
    rings = [ring for part in _parts(shape) for ring in (part.exterior, *part.interiors)]
    merged = shapely.line_merge(shapely.multilinestrings(lines)).simplify(_SIMPLE_DEG)
    countries, cities = _labels()
    return {
        "land": [_steps(ring) for ring in rings],
        "borders": [_steps(line) for line in _parts(merged)],
        "countries": countries,
        "cities": cities,
        "outline": "Natural Earth" if found else "guessed from towns (GeoNames)",
    }


def turned(lon: np.ndarray) -> np.ndarray:
    """Longitudes of shapes (n, m), unwrapped and moved so that each lies east of the cut.

    Examples
    --------
    >>> turned(np.array([[179.0, -179.0], [-170.0, -169.0]]))
    array([[179., 181.],
           [190., 191.]])
    """
    east = land.unwrap_lon(lon)
    middle = (east.min(axis=1, keepdims=True) + east.max(axis=1, keepdims=True)) / 2
    return east - 360 * np.floor((middle - CUT_LON) / 360)


def _natural_earth(found: tuple[land.Outline, ...]) -> tuple[shapely.Geometry, list]:
    """Union of all countries, and the borders that two of them share."""
    shapes, edges = [], []
    for country in found:
        polygons = []
        for ring in country.rings:
            xy = np.stack([turned(ring[None, :, 1])[0], ring[:, 0]], axis=1)
            polygons.append(shapely.make_valid(shapely.Polygon(xy)))
        # A ring inside another is a hole (Lesotho's), which an even-odd union leaves open.
        shapes.append(functools.reduce(shapely.symmetric_difference, polygons))
        edges.append(shapely.boundary(shapes[-1]))
    whole = shapely.union_all(shapes)
    inner = shapely.difference(shapely.union_all(edges), shapely.boundary(whole).buffer(0.01))
    return whole, [line for line in _parts(inner) if line.geom_type == "LineString"]


def _guessed() -> tuple[shapely.Geometry, list]:
    """Land and borders from the mesh of towns."""
    triangles = land.land_triangles()
    mesh = np.stack([turned(triangles[..., 1]), triangles[..., 0]], axis=-1)  # (n, 3, 2) lon, lat
    whole = shapely.make_valid(shapely.coverage_union_all(shapely.polygons(mesh)))
    whole = shapely.union_all([_without_gaps(part) for part in _parts(whole)])
    whole = shapely.difference(whole, shapely.Polygon(_HUDSON_BAY))
    whole = whole.buffer(-_BRIDGE_DEG, quad_segs=2).buffer(_BRIDGE_DEG + _COAST_DEG, quad_segs=2)
    towns = land.place_dots()
    _, kept = np.unique(np.floor(4 * towns), axis=0, return_index=True)
    dots = shapely.points(turned(towns[kept, 1:])[:, 0], towns[kept, 0])
    shapely.prepare(whole)
    alone = dots[~shapely.contains(whole, dots)]
    islands = shapely.buffer(alone, _ISLAND_DEG, quad_segs=3)
    whole = shapely.union_all([whole, *islands, *_hulls()])
    return whole, _between(mesh, _country_of(triangles))


def _without_gaps(part: shapely.Geometry) -> shapely.Geometry:
    """Fill the holes that are no sea: land without towns, such as the Sahara."""
    if part.geom_type != "Polygon":
        return part
    seas = shapely.points([(lon, lat) for lat, lon in _SEAS])
    holes = [ring for ring in part.interiors if shapely.contains(shapely.Polygon(ring), seas).any()]
    return shapely.Polygon(part.exterior, holes)


def _hulls() -> list[shapely.Geometry]:
    places = load_gazetteer().places
    towns = [places.loc[places["country"] == code, ["lon", "lat"]] for code in _COASTAL]
    return [shapely.MultiPoint(some.to_numpy(float)).convex_hull for some in towns]


def _country_of(triangles: np.ndarray) -> np.ndarray:
    """Number of the country of each corner: (n, 3, 2) degrees -> (n, 3)."""
    gazetteer = load_gazetteer()
    _, number = np.unique(gazetteer.places["country"].to_numpy(str), return_inverse=True)
    return number[gazetteer.nearest(triangles.reshape(-1, 2))].reshape(-1, 3)  # (3 n,) -> (n, 3)


def _between(mesh: np.ndarray, country: np.ndarray) -> list[shapely.Geometry]:
    """Borders in a mesh of triangles (n, 3, 2): from middle to middle of edges that cross one."""
    lines = []
    for corners, codes in zip(mesh, country, strict=True):
        crossed = [(i, (i + 1) % 3) for i in range(3) if codes[i] != codes[(i + 1) % 3]]
        middles = [corners[list(pair)].mean(axis=0) for pair in crossed]
        if len(middles) == 3:
            centre = corners.mean(axis=0)
            lines += [shapely.LineString([middle, centre]) for middle in middles]
        elif middles:
            lines.append(shapely.LineString(middles))
    return lines


def _labels() -> tuple[list, list]:
    """Countries and large cities with their people, the largest first."""
    gazetteer = load_gazetteer()
    places = gazetteer.places
    countries, cities = [], []
    for code, towns in places.groupby("country"):
        latlon = towns[["lat", "lon"]].to_numpy(float)
        middle = sphere.spherical_mean(latlon)
        # The middle of a bent country may lie in another; the name goes to the nearest town.
        nearest = int(sphere.great_circle_km(latlon, middle).argmin())
        people = int(towns["population"].sum())
        countries.append([gazetteer.country_name(str(code)), *latlon[nearest].round(2), people])
        largest = towns.nlargest(1, "population")
        many = towns[towns["population"] >= _CITY_PEOPLE]
        chosen = many if len(many) else largest
        cities += chosen[["name", "lat", "lon", "population"]].to_numpy(object).tolist()
    named = [[n, round(float(a), 2), round(float(o), 2), int(p)] for n, a, o, p in cities]
    names = _map_names([country[0] for country in countries])
    plain = [
        [name, float(a), float(o), p] for name, (_, a, o, p) in zip(names, countries, strict=True)
    ]
    return sorted(plain, key=lambda c: -c[3]), sorted(named, key=lambda c: -c[3])


def _map_names(names: list[str]) -> list[str]:
    """Country names as a map has them, without what ISO 3166 puts behind a comma.

    Examples
    --------
    >>> _map_names(["Iran, Islamic Republic of", "Congo", "Congo, Republic of the"])
    ['Iran', 'Congo', 'Republic of the Congo']
    """
    short = [name.partition(",")[0] for name in names]
    turned_round = [" ".join(reversed(name.split(", ", 1))) for name in names]
    pairs = zip(short, turned_round, strict=True)
    return [full.removeprefix("The ") if short.count(brief) > 1 else brief for brief, full in pairs]


def _parts(shape: shapely.Geometry) -> list:
    """Return the simple shapes of a collection, or the shape itself; empty ones are left out."""
    return [part for part in shapely.get_parts(shape) if not part.is_empty]


def _steps(line: shapely.Geometry) -> list[int]:
    """Line as whole numbers: first point, then steps."""
    xy = np.rint(shapely.get_coordinates(line)[:, :2] * UNITS_PER_DEGREE).astype(int)
    return np.concatenate([xy[:1], np.diff(xy, axis=0)]).ravel().tolist()  # (m, 2) -> (2 m,)
