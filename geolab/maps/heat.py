"""A posterior as a heat map, the picture that a single point cannot give.

ax = heat_map(posterior[3], truth=truth[3])        # makes its own world map
ax = heat_map(posterior[3], world(extent=extent_around(truth[3:4], min_km=1000)))
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

from geolab import sphere
from geolab.figures.style import INK, QUIET, styled
from geolab.maps.basemap import projection_of
from geolab.maps.density import cell_area_km2, density_per_km2, region_levels
from geolab.maps.layers import GUESS, TRUTH, finish, legend, pin
from geolab.posterior import Posterior

HEAT = LinearSegmentedColormap.from_list(
    "geolab_heat",
    [(1, 0.86, 0.5, 0), (1, 0.72, 0.3, 0.75), (0.9, 0.35, 0.12, 0.9), (0.45, 0.05, 0.2, 0.95)],
)


@styled
def heat_map(
    posterior: Posterior,
    ax: Axes | None = None,
    *,
    truth: np.ndarray | None = None,
    sigma_km: float | None = None,
    shares: tuple[float, ...] = (0.5, 0.9),
    support: bool = False,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """One answer as a density on the map, with its mode and the regions that hold most of it.

    Parameters
    ----------
    posterior : Posterior with one row
        ``posterior[i]`` of a batch.
    truth : (2,) array, optional
    sigma_km : float, optional
        Width of the kernel; by default a 60th of the map's height, 280 km on a world map. The
        regions are those of the smoothed density, so they are at least that wide.
    shares : tuple of float
        Draw the smallest regions that hold these shares; solid line first, then dashed. On a
        regional map they are shares of what is in view, and the legend says so.
    support : bool
        Draw the places themselves too, as large as their weight.

    Raises
    ------
    ValueError
        If the posterior has not exactly one row.
    """
    if len(posterior) != 1:
        raise ValueError(f"heat_map draws one photo's answer, not {len(posterior)}: posterior[i]")
    ax, _ = projection_of(ax)
    latlon, weight = np.asarray(posterior.latlon[0].cpu()), np.asarray(posterior.weight[0].cpu())
    if sigma_km is None:
        sigma_km = np.diff(ax.get_ylim())[0] * sphere.EARTH_RADIUS_KM / 60
    handles = _draw_density(ax, latlon, weight, sigma_km, shares)
    if support:
        _draw_support(ax, latlon, weight)
    mode = np.asarray(posterior.mode()[0].cpu())
    handles.append(pin(ax, mode, "X", GUESS, "mode"))
    if truth is not None:
        handles.append(pin(ax, np.asarray(truth, float), "*", TRUTH, "truth"))
    legend(ax, handles)
    return finish(ax, title, synthetic)


def _draw_density(
    ax: Axes, latlon: np.ndarray, weight: np.ndarray, sigma_km: float, shares: tuple[float, ...]
) -> list[Line2D]:
    """Shade the density over the visible part of the map; returns the legend's handles."""
    to_page = ax.geolab_projection
    lat_edges, east_edges = _grid_edges(ax)
    lat, east = (edges[:-1] + np.diff(edges) / 2 for edges in (lat_edges, east_edges))
    grid = np.stack(np.meshgrid(lat, east + to_page.central_lon, indexing="ij"), axis=-1)
    density = density_per_km2(latlon, weight, grid, sigma_km)
    x, y = to_page.forward_unwrapped(*np.meshgrid(lat, east, indexing="ij"))
    if density.max() <= 0:
        return []  # all of the answer lies outside this region
    mesh = ax.pcolormesh(x, y, density / density.max(), cmap=HEAT, vmin=0, vmax=1, zorder=2,
                         shading="gouraud", rasterized=True)  # fmt: skip
    mesh.set_clip_path(ax.geolab_frame)
    area = cell_area_km2(lat_edges, east_edges)
    levels = region_levels(density, area, shares)
    seen = float((density * area).sum())
    whole = "" if seen > 0.99 else f" of the {seen:.0%} in view"
    handles = []
    for share, level, dashes in zip(shares, levels, ("-", "--", ":", "-.") * 9, strict=False):
        rim = ax.contour(x, y, density, levels=[level], colors=INK, linewidths=1.3,
                         linestyles=dashes, zorder=3)  # fmt: skip
        rim.set_clip_path(ax.geolab_frame)
        handles.append(
            Line2D([], [], color=INK, lw=1.3, ls=dashes, label=f"holds {share:.0%}{whole}")
        )
    return handles


def _grid_edges(ax: Axes, rows: int = 180) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a grid over the map: latitudes, and degrees east of its centre."""
    to_page = ax.geolab_projection
    lat = np.linspace(-90, 90, 3601)
    y = to_page.forward_unwrapped(lat, 0.0)[1]
    seen = lat[(y >= ax.get_ylim()[0]) & (y <= ax.get_ylim()[1])]
    half = min(180.0, ax.get_xlim()[1] / to_page.forward_unwrapped(0.0, 1.0)[0])
    return np.linspace(seen[0], seen[-1], rows + 1), np.linspace(-half, half, 2 * rows + 1)


def _draw_support(ax: Axes, latlon: np.ndarray, weight: np.ndarray) -> None:
    x, y = ax.geolab_projection.forward(latlon[:, 0], latlon[:, 1])
    size = 4 + 60 * weight / weight.max()
    drawn = ax.scatter(x, y, s=size, fc="none", ec=QUIET, lw=0.8, zorder=3)
    drawn.set_clip_path(ax.geolab_frame)
