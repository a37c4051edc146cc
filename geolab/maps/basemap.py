"""The static base map: sea, land, graticule, scale bar. Matplotlib only, offline always.

    ax = world(title="Where the photos are")           # the whole Earth, Equal Earth
    ax = world(extent=(35, -10, 60, 30))               # a region: south, west, north, east
    ax = world(extent=extent_around(latlon))           # a region that holds these places

Every layer of `geolab.maps.layers` draws on such axes, or makes them when given none.
"""

from __future__ import annotations

import math

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Polygon

from geolab import sphere
from geolab.figures.style import FAINT, INK, QUIET, headline, styled
from geolab.maps import land as land_of
from geolab.maps.projection import Projection

SEA, LAND, COAST, PLACES = "#f3f7fa", "#e1e2dc", "#aeb4b3", "#c0c2ba"

Extent = tuple[float, float, float, float]
HALO = [effects.withStroke(linewidth=3, foreground="white")]
"""White rim that keeps text readable on any background."""


@styled
def world(
    ax: Axes | None = None,
    *,
    projection: str | None = None,
    extent: Extent | None = None,
    central_lon: float = 0.0,
    land: str = "auto",
    graticule: bool = True,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """Draw the base map.

    Parameters
    ----------
    ax : Axes, optional
        Drawn over; a new figure if left out.
    projection : "equal_earth" or "equirectangular", optional
        By default Equal Earth for the world and, for a region, equirectangular with true shapes
        at its middle latitude.
    extent : (south, west, north, east), optional
        Degrees. ``west > east`` means a region across the antimeridian.
    central_lon : float
        Degrees; the middle of a world map.
    land : "auto", "outline", "dots" or "none"
        "auto" takes the outlines if they are in the cache and the gazetteer's places if not.
    graticule : bool
        Thin lines of latitude and longitude; a region has them labelled.
    synthetic : bool
        Whether the title says that the data is synthetic.

    Raises
    ------
    ValueError
        For an unknown projection or land, or an extent that is empty or not on Earth.
    FileNotFoundError
        For ``land="outline"`` without a copy in the cache.
    """
    to_page, box = _page(projection, extent, central_lon)
    if ax is None:
        _, ax = plt.subplots(figsize=_figure_size(box, 10.0 if extent is None else 8.0))
    _prepare(ax, to_page, box, whole=extent is None)
    if graticule:
        _draw_graticule(ax, extent)
    _draw_land(ax, land, fine=extent is not None)
    if title or synthetic:
        headline(ax, title, synthetic)
    return ax


def projection_of(ax: Axes | None) -> tuple[Axes, Projection]:
    """Return axes with a base map and their projection; a world map is drawn where none is."""
    if ax is None or not hasattr(ax, "geolab_projection"):
        ax = world(ax)
    return ax, ax.geolab_projection


def extent_around(latlon: np.ndarray, *, margin: float = 0.2, min_km: float = 200.0) -> Extent:
    """Extent that holds all places (n, 2), with a margin and at least `min_km` from side to side.

    Examples
    --------
    >>> [round(v, 1) for v in extent_around([[0, 179], [0, -179]], margin=0.0)]
    [-0.9, 179.0, 0.9, -179.0]
    """
    points = np.asarray(latlon, float).reshape(-1, 2)  # (n, 2)
    if not len(points) or not np.isfinite(points).all():
        raise ValueError("extent_around needs at least one place, and no NaN among them")
    lon = np.sort(points[:, 1])
    gaps = np.diff(np.concatenate([lon, lon[:1] + 360]))
    west = lon[(int(gaps.argmax()) + 1) % len(lon)]  # the map starts after the widest empty gap
    width, mid = 360 - gaps.max(), (points[:, 0].min() + points[:, 0].max()) / 2
    height = np.ptp(points[:, 0])
    need = math.degrees(min_km / sphere.EARTH_RADIUS_KM)
    pad_lat = max(height * margin, (need - height) / 2)
    pad_lon = max(width * margin, (need / max(0.05, math.cos(math.radians(mid))) - width) / 2)
    west, span = west - pad_lon, min(width + 2 * pad_lon, 359.9)
    south, north = max(points[:, 0].min() - pad_lat, -90), min(points[:, 0].max() + pad_lat, 90)
    return float(south), _wrap(west), float(north), _wrap(west + span)


def _wrap(lon: float) -> float:
    return float((lon + 180) % 360 - 180)


def _page(name: str | None, extent: Extent | None, central_lon: float) -> tuple[Projection, tuple]:
    """Projection and its rectangle (x0, y0, x1, y1) in Earth radii."""
    if extent is None:
        to_page = Projection(name or "equal_earth", central_lon)
        frame = to_page.frame()
        return to_page, (*frame.min(0), *frame.max(0))
    south, west, north, east = (float(v) for v in extent)
    span = (east - west) % 360 or 360.0
    if not (-90 <= south < north <= 90 and abs(west) <= 360 and abs(east) <= 360):
        raise ValueError(f"extent {extent} is not (south, west, north, east) in degrees")
    to_page = Projection(name or "equirectangular", _wrap(west + span / 2), (south + north) / 2)
    lat = np.linspace(south, north, 50)
    x, y = to_page.forward_unwrapped(lat, np.full(50, span / 2))
    return to_page, (-x.max(), y[0], x.max(), y[-1])


def _figure_size(box: tuple, side: float) -> tuple[float, float]:
    """Inches for a map of this shape whose longer side is `side`, with room for a title."""
    aspect = (box[3] - box[1]) / (box[2] - box[0])
    width = side if aspect <= 1 else max(side / aspect, 3.5)
    return width, max(width * aspect if aspect <= 1 else side, 2.5) + 0.45


def _prepare(ax: Axes, to_page: Projection, box: tuple, *, whole: bool) -> None:
    ax.geolab_projection = to_page
    x0, y0, x1, y1 = box
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]])
    frame = Polygon(to_page.frame() if whole else corners, fc=SEA, ec=QUIET, lw=0.9, zorder=0)
    ax.add_patch(frame)
    ax.geolab_frame = frame
    pad = 0.004 * (x1 - x0)
    ax.set(xlim=(x0 - pad, x1 + pad), ylim=(y0 - pad, y1 + pad), aspect="equal")
    ax.set_autoscale_on(False)
    ax.set_axis_off()


def _draw_graticule(ax: Axes, extent: Extent | None) -> None:
    to_page = ax.geolab_projection
    step = 30.0 if extent is None else _graticule_step(extent[2] - extent[0])
    meridian, parallel = np.linspace(-90, 90, 91), np.linspace(-180, 180, 181)
    east = np.arange(-180, 180, step)
    east = to_page.relative_lon(east)
    lines = [to_page.forward_unwrapped(meridian, np.full(91, lon)) for lon in east]
    lats = np.arange(-90 + step, 90, step)
    lines += [to_page.forward_unwrapped(np.full(181, lat), parallel) for lat in lats]
    drawn = LineCollection([np.stack(xy, 1) for xy in lines], colors=FAINT, lw=0.7, zorder=0.5)
    ax.add_collection(drawn, autolim=False)
    drawn.set_clip_path(ax.geolab_frame)
    if extent is not None:
        _label_graticule(ax, lats, east)


def _graticule_step(span_deg: float) -> float:
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)
    return float(next((s for s in steps if span_deg / s <= 5), 30))


def _label_graticule(ax: Axes, lats: np.ndarray, east: np.ndarray) -> None:
    to_page = ax.geolab_projection
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    style = {"fontsize": 10, "color": QUIET, "path_effects": HALO, "zorder": 3}
    for lat in lats:
        y = float(to_page.forward_unwrapped(lat, 0.0)[1])
        if y0 + 0.08 * (y1 - y0) < y < y1 - 0.04 * (y1 - y0):
            text = f" {abs(lat):g}°{'N' if lat > 0 else 'S' if lat < 0 else ''}"
            ax.text(x0 + 0.01 * (x1 - x0), y, text, va="center", **style)
    for lon in east:
        x = float(to_page.forward_unwrapped(np.degrees(y0), lon)[0])
        if x0 + 0.1 * (x1 - x0) < x < x1 - 0.04 * (x1 - x0):
            value = _wrap(lon + to_page.central_lon)
            side = "" if value in (0, -180) else "E" if value > 0 else "W"
            text = f"{abs(value):g}°{side}"
            ax.text(x, y1 - 0.01 * (y1 - y0), text, ha="center", va="top", **style)


def _draw_land(ax: Axes, land: str, *, fine: bool) -> None:
    if land not in ("auto", "outline", "dots", "none"):
        raise ValueError(f"land must be 'auto', 'outline', 'dots' or 'none', not {land!r}")
    found = land_of.outlines(fine=fine) if land in ("auto", "outline") else None
    if land == "outline" and found is None:
        raise FileNotFoundError("no outline file in the cache; run: geolab fetch natural_earth")
    if found is not None:
        draw_rings(ax, [ring for c in found for ring in c.rings], fc=LAND, ec=COAST, lw=0.6)
    elif land != "none":
        _draw_dots(ax)


def draw_rings(ax: Axes, rings: list[np.ndarray], *, zorder: float = 1.0, **look: object) -> None:
    """Fill closed rings of (lat, lon), also where they cross the edge of the map."""
    shapes = [page for ring in rings for page in page_copies(ax, np.asarray(ring, float)[None])[0]]
    _add_polygons(ax, shapes, zorder=zorder, **look)


def page_copies(ax: Axes, rings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rings (n, m, 2) in degrees on the page, once for each turn that the map shows.

    Returns the shapes (p, m, 2) in Earth radii and the row (p,) of the ring that each one shows.
    """
    to_page = ax.geolab_projection
    east = land_of.unwrap_lon(rings[..., 1]) - to_page.central_lon
    lon = np.concatenate([east + turn for turn in (-360, 0, 360)])  # (3 n, m)
    xy = to_page.forward_unwrapped(np.tile(rings[..., 0], (3, 1)), lon)
    page = np.stack(xy, axis=-1)
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    seen = ((page.max(axis=1) > low) & (page.min(axis=1) < high)).all(axis=1)
    seen &= (lon.max(axis=1) > -180 + 1e-9) & (lon.min(axis=1) < 180 - 1e-9)  # not beyond the edge
    return page[seen], np.flatnonzero(seen) % len(rings)


def _add_polygons(ax: Axes, shapes: object, **look: object) -> None:
    drawn = PolyCollection(shapes, **look)
    ax.add_collection(drawn, autolim=False)
    drawn.set_clip_path(ax.geolab_frame)


def _draw_dots(ax: Axes) -> None:
    """Land guessed from the places, its coast softened by 12 km, and the places as grey dots."""
    points_per_km = points_per_radius(ax) / sphere.EARTH_RADIUS_KM
    look = {"fc": LAND, "ec": LAND, "lw": max(0.6, 24 * points_per_km), "joinstyle": "round"}
    triangles = page_copies(ax, land_of.land_triangles())[0]
    _add_polygons(ax, triangles, zorder=1, rasterized=True, **look)
    latlon = land_of.place_dots()
    x, y = ax.geolab_projection.forward(latlon[:, 0], latlon[:, 1])
    size = min(max(8 * points_per_km, 0.55), 1.6) ** 2
    drawn = ax.scatter(x, y, s=size, c=PLACES, lw=0, zorder=1.1, rasterized=True)
    drawn.set_clip_path(ax.geolab_frame)


def points_per_radius(ax: Axes) -> float:
    """Typographic points that one Earth radius takes on the page, at the figure's present size."""
    fig = ax.get_figure()
    box = ax.get_position()
    width, height = np.array(fig.get_size_inches()) * 72
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    return min(box.width * width / (x1 - x0), box.height * height / (y1 - y0))


@styled
def scale_bar(ax: Axes) -> Axes:
    """Add a bar of a round number of km in the lower right, true at the map's middle latitude."""
    ax, to_page = projection_of(ax)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    km_per_x = sphere.EARTH_RADIUS_KM * _true_width(to_page, (y0 + y1) / 2)
    room = 0.25 * (x1 - x0) * km_per_x
    km = max(m * 10**e for e in range(5) for m in (1, 2, 5) if m * 10**e <= max(room, 1))
    right, low = x1 - 0.03 * (x1 - x0), y0 + 0.04 * (y1 - y0)
    left = right - km / km_per_x
    ax.plot([left, right], [low, low], color="white", lw=6, solid_capstyle="butt", zorder=8)
    ax.plot([left, right], [low, low], color=INK, lw=2.5, solid_capstyle="butt", zorder=8.1)
    where = " at the equator" if abs(y0 + y1) < 0.02 else ""
    middle = (left + right) / 2
    look = {"ha": "center", "va": "bottom", "fontsize": 11, "path_effects": HALO, "zorder": 8.1}
    ax.text(middle, low + 0.015 * (y1 - y0), f"{km:,} km{where}", **look)
    return ax


def _true_width(to_page: Projection, y: float) -> float:
    """Length on the ground, in Earth radii, of one unit of x at height `y` of the page."""
    lat = np.linspace(-90, 90, 1801)
    at = lat[np.abs(to_page.forward_unwrapped(lat, 0.0)[1] - y).argmin()]
    unit = float(to_page.forward_unwrapped(at, 1.0)[0])  # x of one degree east
    return math.radians(1.0) * math.cos(math.radians(at)) / unit
