"""What is drawn on a base map: photos, errors, votes (heat maps are in `geolab.maps.heat`).

    ax = points(latlon)                                         # makes its own world map
    ax = error_arrows(predicted, truth, world(title="Errors"))  # or draws on the one given

Every function takes and returns matplotlib axes. Coordinates are (lat, lon) in degrees. Colours
are safe for the colour-blind; what colour says, shape or text says too.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from geolab.figures.style import (
    ERROR_COLOURS,
    HIT,
    INK,
    MARK,
    PALETTE,
    error_colours,
    error_labels,
    headline,
    styled,
)
from geolab.maps.basemap import projection_of
from geolab.maps.projection import circle_path, great_circle_path

TRUTH, GUESS = "#009e73", INK


@styled
def points(
    latlon: np.ndarray,
    ax: Axes | None = None,
    *,
    colour: object = HIT,
    size: float = 12.0,
    alpha: float = 0.7,
    marker: str = "o",
    label: str | None = None,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """Places as dots.

    Parameters
    ----------
    latlon : (N, 2) array
        Degrees; rows with NaN are left out.
    colour : colour or N colours
    size : float
        Area in square points, as matplotlib's scatter has it.
    label : str, optional
        Entry in the legend.
    """
    ax, to_page = projection_of(ax)
    latlon = np.asarray(latlon, float).reshape(-1, 2)
    x, y = to_page.forward(latlon[:, 0], latlon[:, 1])
    rim = {"lw": 0.5, "edgecolors": "white"} if len(x) < 2000 else {"lw": 0}
    drawn = ax.scatter(x, y, s=size, c=colour, alpha=alpha, marker=marker, label=label, zorder=4,
                       rasterized=len(x) > 2000, **rim)  # fmt: skip
    drawn.set_clip_path(ax.geolab_frame)
    return finish(ax, title, synthetic, labelled=label is not None)


def pin(ax: Axes, latlon: np.ndarray, marker: str, colour: str, label: str) -> Line2D:
    """Mark one place; returns the legend's handle, which tells when the place is out of view."""
    x, y = ax.geolab_projection.forward(latlon[0], latlon[1])
    look = {"marker": marker, "ms": 17 if marker == "*" else 11, "mfc": colour, "mec": "white"}
    look |= {"mew": 1.2, "ls": "none", "label": label}
    (drawn,) = ax.plot(float(x), float(y), zorder=6, **look)
    drawn.set_clip_path(ax.geolab_frame)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    if not (x0 <= x <= x1 and y0 <= y <= y1):
        look["label"] += " (outside)"
    return Line2D([], [], **look)


@styled
def error_arrows(
    predicted: np.ndarray,
    truth: np.ndarray,
    ax: Axes | None = None,
    *,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """Great circles from the truth (dot) to the answer (arrow head), coloured by their length.

    Parameters
    ----------
    predicted, truth : (N, 2) arrays
        Degrees. A NaN answer draws a cross at the truth: a photo without an answer is shown too.
    """
    from geolab.metrics import errors_km

    ax, to_page = projection_of(ax)
    predicted, truth = (np.asarray(p, float).reshape(-1, 2) for p in (predicted, truth))
    km = errors_km(predicted, truth)
    colours = np.array(error_colours(km))
    for i in np.argsort(-km):  # short ones on top
        if np.isfinite(km[i]):
            _arrow(ax, great_circle_path(truth[i], predicted[i]), colours[i])
    x, y = to_page.forward(truth[:, 0], truth[:, 1])
    failed = ~np.isfinite(km)
    ax.scatter(x[~failed], y[~failed], s=16, c=colours[~failed], ec="white", lw=0.5, zorder=5)
    ax.scatter(x[failed], y[failed], s=40, c=INK, marker="x", lw=1.5, zorder=5)
    extra = [Line2D([], [], color=INK, marker="x", ls="none", label=f"no answer: {failed.sum()}")]
    legend(ax, _error_handles(km) + extra * bool(failed.any()), title=f"error, n = {len(km)}")
    return finish(ax, title, synthetic)


def _arrow(ax: Axes, path: np.ndarray, colour: str) -> None:
    """Draw one great circle, whole on the map, with a head at its end if it is long enough."""
    pieces = ax.geolab_projection.project_line(path)
    lines = LineCollection(pieces, colors=[colour], lw=1.1, alpha=0.75, zorder=3)
    ax.add_collection(lines, autolim=False)
    lines.set_clip_path(ax.geolab_frame)
    tip = pieces[-1]
    length = np.linalg.norm(np.diff(tip, axis=0), axis=1).sum()
    if length > 0.02 * np.diff(ax.get_xlim())[0]:
        look = {"arrowstyle": "-|>", "color": colour, "lw": 0, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", tip[-1], tip[-2], arrowprops=look | {"mutation_scale": 11}, zorder=3.5)


def _error_handles(km: np.ndarray) -> list[Line2D]:
    """Legend of the error colours, with how many of the errors are in each class."""
    colours = error_colours(km[np.isfinite(km)])
    pairs = zip(ERROR_COLOURS, error_labels(), strict=True)
    return [Line2D([], [], color=c, lw=4, label=f"{t}: {colours.count(c)}") for c, t in pairs]


@styled
def votes(
    neighbours: np.ndarray,
    modes: np.ndarray,
    ax: Axes | None = None,
    *,
    bandwidth_km: float | None = None,
    truth: np.ndarray | None = None,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """Where a query's neighbours lie, and the modes that mean-shift found among them, by rank.

    Parameters
    ----------
    neighbours : (K, 2) array
        Degrees.
    modes : (M, 2) array
        Degrees, best first; the first ten are numbered.
    bandwidth_km : float, optional
        Radius of the kernel, drawn as a circle around each mode.
    """
    modes = np.asarray(modes, float).reshape(-1, 2)[:10]
    ax = points(neighbours, ax, colour=HIT, size=22, alpha=0.55)
    to_page = ax.geolab_projection
    if bandwidth_km is not None:
        circles = [circle_path(mode, bandwidth_km) for mode in modes]
        pieces = [piece for circle in circles for piece in to_page.project_line(circle)]
        rims = LineCollection(pieces, colors=INK, lw=1.2, zorder=4.5)
        ax.add_collection(rims, autolim=False)
        rims.set_clip_path(ax.geolab_frame)
    for rank, mode in reversed(list(enumerate(modes, start=1))):
        _number(ax, mode, str(rank))
    look = {"marker": "o", "ls": "none", "mec": "white"}
    handles = [
        Line2D([], [], **look, mfc=HIT, ms=6, label=f"neighbours, k = {len(neighbours)}"),
        Line2D([], [], **look, mfc=MARK, ms=11, label="modes by rank"),
    ]
    if truth is not None:
        handles.append(pin(ax, np.asarray(truth, float), "*", TRUTH, "truth"))
    legend(ax, handles)
    return finish(ax, title, synthetic)


@styled
def circles(
    centre: np.ndarray,
    radii_km: Sequence[float],
    ax: Axes | None = None,
    *,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """Circles of equal great-circle distance around one place, each named by its radius.

    Parameters
    ----------
    centre : (2,) array
        Degrees.
    radii_km : sequence of float
    """
    ax, to_page = projection_of(ax)
    handles = []
    for i, radius in enumerate(radii_km):
        colour = PALETTE[i % len(PALETTE)]
        pieces = to_page.project_line(circle_path(np.asarray(centre, float), radius))
        rim = LineCollection(pieces, colors=colour, lw=2, zorder=4)
        ax.add_collection(rim, autolim=False)
        rim.set_clip_path(ax.geolab_frame)
        handles.append(Line2D([], [], color=colour, lw=2, label=f"{radius:,g} km"))
    legend(ax, handles)
    return finish(ax, title, synthetic)


def _number(ax: Axes, latlon: np.ndarray, text: str) -> None:
    x, y = (float(v) for v in ax.geolab_projection.forward(latlon[0], latlon[1]))
    ax.plot(x, y, marker="o", ms=14, mfc=MARK, mec="white", mew=1.2, zorder=5, clip_on=True)
    rim = [effects.withStroke(linewidth=2, foreground="white")]
    ax.text(x, y, text, ha="center", va="center_baseline", fontsize=10, fontweight="bold",
            zorder=5.1, path_effects=rim, clip_on=True)  # fmt: skip


def legend(ax: Axes, handles: list[Line2D], title: str | None = None) -> None:
    """Legend in the lower left, over the emptiest ocean of a world map."""
    box = ax.legend(handles=handles, loc="lower left", title=title, fontsize=10, title_fontsize=10,
                    frameon=True, framealpha=0.88, edgecolor="none", borderpad=0.5)  # fmt: skip
    box.set_zorder(9)
    ax.geolab_legend = handles, title


def finish(ax: Axes, title: str, synthetic: bool, *, labelled: bool = False) -> Axes:
    """Set legend and title, which is left alone if there is nothing to say.

    Labelled dots are added to what the legend already explains.
    """
    if labelled:
        look = {"ls": "none", "ms": 7, "mec": "white"}
        drawn = [h for h in ax.get_legend_handles_labels()[0] if hasattr(h, "get_facecolor")]
        dots = [Line2D([], [], **look, marker=h.get_paths()[0], mfc=h.get_facecolor()[0],
                       label=h.get_label()) for h in drawn]  # fmt: skip
        before, heading = getattr(ax, "geolab_legend", ([], None))
        new = {h.get_label() for h in dots}
        legend(ax, [h for h in before if h.get_label() not in new] + dots, heading)
    if title or (synthetic and not ax.get_title(loc="left")):
        headline(ax, title, synthetic)
    return ax
