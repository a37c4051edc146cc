"""Geocells on the map, as PlaNet's figure shows them: large at sea, small in the cities.

    cell_figure(partition)                     # map, levels, sizes
    cell_map(partition, world(extent=...))     # a region
    interactive(cells=partition.to_geojson())  # folium, see geolab.maps.webmap

Colour is the number of training photos on a logarithmic scale. All cells are one collection of
polygons, so ten thousand take about a second.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from geolab.cells import s2_cells
from geolab.cells.partition import Partition
from geolab.figures.style import HIT, INK, PALETTE, headline, styled
from geolab.maps.basemap import page_copies, projection_of, world
from geolab.maps.layers import finish
from geolab.sphere import EARTH_RADIUS_KM

COUNTS = LinearSegmentedColormap.from_list(
    "counts", ["#fff3c4", "#fdb863", "#e66101", "#b2182b", "#4d004b"]
)
"""From few photos to many; pale to dark, so it reads in grey too."""

_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,g}")


@styled
def cell_map(
    partition: Partition,
    ax: Axes | None = None,
    *,
    colour: str = "count",
    colour_bar: bool = True,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """Cells of a partition, coloured by their number of training photos.

    Parameters
    ----------
    partition : Partition
        Any with `cells` and `counts`.
    ax : Axes, optional
        With a base map (`world`); a map of the Earth if left out.
    colour : "count" or "class"
        "class" takes eight colours in turn, which shows the shape of classes of many small cells.
    colour_bar : bool
        Whether a scale stands below the map.
    title : str
        By default name, number of cells and of photos.

    Returns
    -------
    Axes
        Its collection of polygons is called "cells" (``get_label``).
    """
    if colour not in ("count", "class"):
        raise ValueError(f"colour must be 'count' or 'class', not {colour!r}")
    ax, _ = projection_of(ax)
    ids, label = partition.cells()
    shapes, classes = [], [np.zeros(0, np.int64)]
    for outline, row in s2_cells.rings(ids):
        page, of = page_copies(ax, outline)
        shapes += list(page)
        classes.append(label[row[of]])
    drawn = PolyCollection(
        shapes, **_outline(len(shapes), single=len(ids) == len(partition)), alpha=0.72, zorder=2,
        label="cells", rasterized=len(shapes) > 2000,
    )  # fmt: skip
    _fill(drawn, partition, np.concatenate(classes), colour)
    ax.add_collection(drawn, autolim=False)
    drawn.set_clip_path(ax.geolab_frame)
    if colour == "count" and colour_bar:
        _colour_bar(ax, drawn)
    return finish(ax, title or _summary(partition), synthetic)


def _outline(n: int, *, single: bool) -> dict[str, object]:
    """Dark outlines where a class is one cell; patches of many small cells need their colour."""
    if single:
        return {"edgecolors": INK, "linewidths": float(np.clip(30 / np.sqrt(max(n, 1)), 0.15, 0.6))}
    return {"edgecolors": "face", "linewidths": 0.7}


def _fill(drawn: PolyCollection, partition: Partition, classes: np.ndarray, colour: str) -> None:
    """Colour by the count of each polygon's class, or by the class itself."""
    if colour == "class":
        drawn.set_facecolor([PALETTE[c % len(PALETTE)] for c in classes])
        return
    counts = partition.counts.numpy()
    drawn.set(array=counts[classes], cmap=COUNTS, norm=_norm(counts))


def _norm(counts: np.ndarray) -> LogNorm:
    low, high = max(1, int(counts.min())), int(counts.max())
    return LogNorm(low, max(high, low + 1))


def _colour_bar(ax: Axes, drawn: PolyCollection) -> None:
    bar = ax.get_figure().colorbar(
        drawn, ax=ax, orientation="horizontal", shrink=0.5, aspect=40, pad=0.03
    )
    bar.set_label("training photos in the cell", fontsize=11)
    low, high = drawn.norm.vmin, drawn.norm.vmax
    steps = (1, 3) if high > 30 * low else (1, 2, 3, 4, 5, 7)
    ticks = [m * 10**e for e in range(9) for m in steps if low <= m * 10**e <= high]
    bar.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks], minor=False)
    bar.set_ticks([], minor=True)
    bar.outline.set_visible(False)


def _summary(partition: Partition) -> str:
    n = int(partition.counts.sum())
    return f"{partition.name}: {len(partition):,} cells, {n:,} photos"


@styled
def cell_histograms(
    partition: Partition, axes: tuple[Axes, Axes] | None = None, *, synthetic: bool = False
) -> tuple[Axes, Axes]:
    """Levels of the S2 cells, and sizes of the classes in km2 on a logarithmic scale.

    Parameters
    ----------
    partition : Partition
    axes : pair of Axes, optional
        For the levels and the sizes; a new figure if left out.
    """
    left, right = plt.subplots(1, 2, figsize=(10, 3.4))[1] if axes is None else axes
    ids, _ = partition.cells()
    level, number = np.unique(s2_cells.level_of(ids), return_counts=True)
    left.bar(level, number, color=HIT, width=0.8)
    left.set_xlim(level.min() - 1.5, level.max() + 1.5)
    left.set(xlabel="S2 level (each halves the side)", ylabel="S2 cells")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    headline(left, "Levels", synthetic)
    area = partition.area_km2()
    area = area[area > 0]  # a class of an intersection may have no cell of its own
    right.hist(area, bins=_size_bins(area), color=HIT, rwidth=0.9)
    middle = float(np.median(area))
    right.axvline(middle, color=INK, lw=1.5, ls="--")
    right.margins(y=0.16)
    right.set(xscale="log", xlabel="km²", ylabel="classes")
    side = {"ha": "left"} if middle < np.sqrt(area.min() * area.max()) else {"ha": "right"}
    right.text(middle, 0.985, f"  median {_round(middle)} km²  ", va="top", fontsize=11, **side,
               transform=right.get_xaxis_transform())  # fmt: skip
    headline(right, "Sizes", synthetic)
    for ax in (left, right):
        ax.grid(axis="y")
        ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.yaxis.set_major_formatter(_THOUSANDS)
    return left, right


def _size_bins(area: np.ndarray) -> np.ndarray:
    """Edges between the mean areas of S2's levels, each four times the last: a bar is a level."""
    edge = 4 * np.pi * EARTH_RADIUS_KM**2 / 6 * 2 / 4.0 ** np.arange(33)[::-1]
    low = max(0, int(np.searchsorted(edge, area.min(), side="right")) - 1)
    high = min(len(edge) - 1, int(np.searchsorted(edge, area.max())))
    return edge[low : max(high, low + 1) + 1]


def _round(value: float) -> str:
    """Two digits that count: "1,500", "0.29"."""
    return f"{float(f'{value:.2g}'):,g}" if value < 1e15 else f"{value:.2g}"


@styled
def cell_figure(
    partition: Partition, *, colour: str = "count", title: str = "", synthetic: bool = False
) -> Figure:
    """Map, histogram of levels and histogram of sizes in one figure, as PlaNet shows its cells.

    Parameters
    ----------
    colour : "count" or "class"
        As in `cell_map`.
    title : str
        Over the map; by default name, number of cells and of photos.
    """
    fig = plt.figure(figsize=(10, 9))
    grid = fig.add_gridspec(2, 2, height_ratios=[2.3, 1])
    ax = fig.add_subplot(grid[0, :])
    cell_map(partition, world(ax), colour=colour, title=title, synthetic=synthetic)
    cell_histograms(partition, (fig.add_subplot(grid[1, 0]), fig.add_subplot(grid[1, 1])))
    return fig
