"""Pictures of wrong answers, for checks of any assignment."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from geolab.cells import s2_cells
from geolab.figures.style import HIT, INK, MISS, axes_or_new, styled

YOURS, RIGHT = MISS, HIT


@styled
def lost_digits(got: np.ndarray, right: np.ndarray, unit: str) -> Axes:
    """Histogram of computed distances (N,) beside the one that they all should be."""
    ax = axes_or_new(None, 7.0, 2.8)
    finite = got[np.isfinite(got)]
    ax.hist(finite, bins=60, range=(0, max(3 * right.mean(), 1e-9)), color=YOURS, label="yours")
    ax.axvline(right.mean(), color=RIGHT, lw=3, label=f"right: {right.mean():.3g} {unit}")
    title = f"{len(got)} pairs {right.mean():.3g} {unit} apart"
    ax.set(xlabel=f"computed distance, {unit}", ylabel="pairs", title=title)
    ax.legend()
    return ax


def mean_map(places: np.ndarray, got: np.ndarray, right: np.ndarray) -> Axes:
    """World map of places (N, 2), of the mean that came out (2,) and of the right one (2,)."""
    from geolab import maps

    ax = maps.world(title="A mean of places")
    maps.points(places, ax, colour=INK, size=14, label="places")
    maps.points(right, ax, colour=RIGHT, size=160, marker="*", label="right mean")
    return maps.points(got, ax, colour=YOURS, size=110, marker="X", label="yours")


def modes_map(places: np.ndarray, got: np.ndarray, right: np.ndarray) -> Axes:
    """World map of matches (K, 2), of the modes that came out (M, 2) and of the right ones."""
    from geolab import maps

    ax = maps.world(title="Matches and modes")
    maps.points(places, ax, colour=INK, size=12, label="matches")
    maps.points(right, ax, colour=RIGHT, size=160, marker="*", label="right modes")
    return maps.points(got, ax, colour=YOURS, size=80, marker="X", label="yours")


@styled
def cells_compared(got: np.ndarray, right: np.ndarray) -> Axes:
    """S2 cells, uint64 (C,): those in both lists, those too many and those that are missing."""
    ax = axes_or_new(None, 8.0, 4.2)
    groups = {"in both": np.intersect1d(got, right), "yours alone": np.setdiff1d(got, right)}
    groups["missing"] = np.setdiff1d(right, got)
    looks = [("0.85", "0.6"), (YOURS, YOURS), (RIGHT, RIGHT)]
    for (name, ids), (face, edge) in zip(groups.items(), looks, strict=True):
        if not len(ids):
            continue
        outlines = [outline for part, _ in s2_cells.rings(ids) for outline in part[..., ::-1]]
        label = f"{name}: {len(ids)}"
        ax.add_collection(
            PolyCollection(outlines, facecolor=face, edgecolor=edge, alpha=0.6, label=label)
        )
    ax.autoscale_view()
    ax.set(
        xlabel="longitude, degrees", ylabel="latitude, degrees", title="Your cells and the rule's"
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


@styled
def labels_map(places: np.ndarray, bad: np.ndarray, ids: np.ndarray) -> Axes:
    """Places (N, 2) over cells, uint64 (C,); those with a wrong class, (N,) bool, stand out."""
    ax = cells_compared(ids, ids)
    ax.scatter(*places[~bad].T[::-1], s=4, color=INK, label="right class", zorder=3)
    ax.scatter(*places[bad].T[::-1], s=14, color=YOURS, label="wrong class", zorder=4)
    ax.set_title("Places and their classes")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax
