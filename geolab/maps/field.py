"""A number for every place: a wave, a likeness, a probability, painted on the map.

lat, lon = field_grid(90)                              # the whole Earth
ax = field_map(values, lat, lon, cmap="RdBu", title="One wave")
lat, lon = field_grid(90, extent=(-27, 166, -8, -166))  # a region, here across the antimeridian
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from geolab.figures.style import INK, styled
from geolab.maps import land as land_of
from geolab.maps.basemap import Extent, draw_rings, projection_of, world
from geolab.maps.layers import finish


def field_grid(rows: int, extent: Extent | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes (rows,) and longitudes (2 rows,), evenly spaced, for `field_map`.

    Parameters
    ----------
    extent : (south, west, north, east), optional
        Degrees; the whole Earth if not given. Longitudes go on beyond 180 where the region does;
        `geolab.sphere.wrap_lon` brings them back.

    Examples
    --------
    >>> [values.round(1).tolist() for values in field_grid(2, (-20, 170, -10, -170))]
    [[-20.0, -10.0], [170.0, 176.7, 183.3, 190.0]]
    """
    south, west, north, east = extent or (-90.0, -180.0, 90.0, 180.0)
    span = (east - west) % 360 or 360.0
    return np.linspace(south, north, rows), np.linspace(west, west + span, 2 * rows)


@styled
def field_map(
    values: np.ndarray,
    lat: np.ndarray,
    lon: np.ndarray,
    ax: Axes | None = None,
    *,
    extent: Extent | None = None,
    cmap: str = "viridis",
    limits: tuple[float, float] | None = None,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """Paint a field over the base map, and coasts (or places, where there are none) over it.

    Parameters
    ----------
    values : (R, C) array
    lat, lon : (R,) and (C,) arrays
        Degrees, as `field_grid` makes them.
    extent : (south, west, north, east), optional
        Region to draw, on axes that have no map yet.
    limits : (low, high), optional
        Values of the ends of the colour map; the least and the greatest if not given.

    Raises
    ------
    ValueError
        If `values` is not of shape (R, C).
    """
    values = np.asarray(values, float)
    if values.shape != (len(lat), len(lon)):
        raise ValueError(f"values {values.shape} for {len(lat)} latitudes, {len(lon)} longitudes")
    if extent is not None and not hasattr(ax, "geolab_projection"):
        ax = world(ax, extent=extent)
    ax, to_page = projection_of(ax)
    east = np.asarray(lon, float) - to_page.central_lon
    east -= 360 * np.round(east.mean() / 360)  # the turn that the map shows
    x, y = to_page.forward_unwrapped(*np.meshgrid(lat, east, indexing="ij"))
    low, high = limits or (np.nanmin(values), np.nanmax(values))
    mesh = ax.pcolormesh(x, y, values, cmap=cmap, vmin=low, vmax=high, zorder=2,
                         shading="gouraud", rasterized=True)  # fmt: skip
    mesh.set_clip_path(ax.geolab_frame)
    _draw_land_over(ax, fine=extent is not None)
    return finish(ax, title, synthetic)


def _draw_land_over(ax: Axes, *, fine: bool) -> None:
    """Mark where land is, on top of what was painted."""
    if (found := land_of.outlines(fine=fine)) is not None:
        rings = [ring for country in found for ring in country.rings]
        draw_rings(ax, rings, zorder=3, fc="none", ec=INK, lw=0.5, alpha=0.7)
        return
    places = land_of.place_dots()[:: 1 if fine else 20]  # all of them would hide the field
    x, y = ax.geolab_projection.forward(places[:, 0], places[:, 1])
    look = {"s": 4 if fine else 0.5, "c": INK, "alpha": 0.5, "lw": 0}
    ax.scatter(x, y, zorder=3, rasterized=True, **look).set_clip_path(ax.geolab_frame)
