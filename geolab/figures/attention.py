"""Figures about what a network looks at: maps over photos, and what erasing a cue changes.

The maps come from `geolab.encoders.attention`, the table of changes from `geolab.cue_studies`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from geolab.figures.photos import Photo, _caption, _Sheet, _show, _wrapped
from geolab.figures.style import INK, MISS, PALETTE, QUIET, axes_or_new, headline, styled, titled

Boxes = Mapping[str, Sequence[tuple[float, float, float, float]]]
"""Name to boxes (x0, y0, x1, y1) in shares of the picture, as `CueSight.boxes` holds them."""

CHANGES = {
    "score": "change of the GeoGuessr score in points",
    "within_750": "change of the share within 750 km in per cent points",
    "median_km": "change of the median error in km",
}
"""Columns of `geolab.cue_studies.cue_ablation`, and what the axis says."""


@styled
def attention_panel(
    photos: Sequence[Photo],
    maps: Mapping[str, np.ndarray],
    boxes: Sequence[Boxes] | None = None,
    captions: Sequence[str] | None = None,
    *,
    size: float = 1.9,
    title: str = "Where it looks",
    synthetic: bool = False,
) -> Figure:
    """Photos in the first row, a row for each kind of map below, laid over the darkened photo.

    Every map is scaled to its own maximum: brightness compares places in a photo, not photos.

    Parameters
    ----------
    photos : sequence of N photos
        A map belongs to the square middle of its photo, which is what CLIP is shown.
    maps : mapping of label to (N, g, g) array or Tensor
        Not negative.
    boxes : N mappings, optional
        Boxes to draw on the photo and the maps, of one colour for each name.
    captions : N texts, optional
    size : float
        Width of a photo in inches.

    Raises
    ------
    ValueError
        If there is no photo, or the maps, boxes or captions do not fit the photos.

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 128, np.uint8)
    >>> len(attention_panel([grey, grey], {"rollout": np.ones((2, 4, 4))}).axes)
    4
    """
    held = {label: np.asarray(values, float) for label, values in maps.items()}
    _check_panel(photos, held, boxes, captions)
    names = list(dict.fromkeys(name for some in boxes or [] for name in some))
    colours = {name: PALETTE[1:][i % (len(PALETTE) - 1)] for i, name in enumerate(names)}
    foot = 0.45 if captions is not None or colours else 0.08
    heading = titled(title, synthetic)
    sheet = _Sheet(1 + len(held), len(photos), size, size, foot, 1.2, heading)
    for row, label in enumerate(["photo", *held]):
        for i, photo in enumerate(photos):
            ax = sheet.add(row, i)
            _show(ax, photo if row == 0 else _darkened(photo))
            if row:
                _lay_over(ax, held[label][i], photo)
            if boxes is not None:
                _draw_boxes(ax, boxes[i], photo, colours)
            if i == 0:
                look = {"xycoords": "axes fraction", "textcoords": "offset points"}
                text = _wrapped(label, 11)
                ax.annotate(text, (0, 0.5), (-8, 0), ha="right", va="center", **look)
            if row == 0 and captions is not None:
                _caption(ax, _wrapped(captions[i], int(11 * size)))
    if colours:
        keys = [Patch(fc="none", ec=colour, lw=2, label=name) for name, colour in colours.items()]
        sheet.fig.legend(handles=keys, loc="lower center", ncols=len(keys), fontsize=11)
    return sheet.fig


def _check_panel(
    photos: Sequence[Photo],
    maps: Mapping[str, np.ndarray],
    boxes: Sequence[Boxes] | None,
    captions: Sequence[str] | None,
) -> None:
    n = len(photos)
    if not n:
        raise ValueError("attention_panel needs at least one photo")
    for label, values in maps.items():
        if values.ndim != 3 or len(values) != n:
            raise ValueError(f"{label!r} has shape {values.shape}; {n} photos need ({n}, g, g)")
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"{label!r} has values that are negative or not finite")
    for what, given in (("boxes", boxes), ("captions", captions)):
        if given is not None and len(given) != n:
            raise ValueError(f"{len(given)} {what} for {n} photos")


def _darkened(photo: Photo) -> np.ndarray:
    """Grey and dark, so that colour belongs to the map alone."""
    grey = np.asarray(photo, float)[..., :3].mean(-1, keepdims=True)
    return np.repeat(0.55 * grey, 3, -1).astype(np.uint8)


def _lay_over(ax: Axes, values: np.ndarray, photo: Photo) -> None:
    """One map over the square middle of a photo; where it is low the photo shows."""
    height, width = np.asarray(photo).shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2 - 0.5, (height - side) / 2 - 0.5
    share = values / values.max() if values.max() > 0 else values
    colours = colormaps["inferno"](share)
    colours[..., 3] = 0.8 * share
    extent = (left, left + side, top + side, top)
    ax.imshow(colours, extent=extent, interpolation="bilinear", zorder=2)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _draw_boxes(ax: Axes, boxes: Boxes, photo: Photo, colours: Mapping[str, str]) -> None:
    height, width = np.asarray(photo).shape[:2]
    for name, places in boxes.items():
        for x0, y0, x1, y1 in places:
            corner = (x0 * width - 0.5, y0 * height - 0.5)
            rim = {"fc": "none", "ec": colours[name], "lw": 1.4, "zorder": 3}
            ax.add_patch(Rectangle(corner, (x1 - x0) * width, (y1 - y0) * height, **rim))


@styled
def cue_bars(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    measure: str = "score",
    title: str = "What is lost without each cue",
    synthetic: bool = True,
) -> Axes:
    """Bar for each cue that was erased, with its interval; pale where the interval holds 0.

    Parameters
    ----------
    table : DataFrame
        From `geolab.cue_studies.cue_ablation`; its order is kept, from the top.
    measure : {"score", "within_750", "median_km"}
    synthetic : bool
        True unless said otherwise: only a painted world can leave a cue out.

    Raises
    ------
    ValueError
        If there is no such measure, or the table is empty.
    """
    if measure not in CHANGES:
        raise ValueError(f"no measure {measure!r}; there are: {', '.join(CHANGES)}")
    if not len(table):
        raise ValueError("the table has no cue: take more photos, each cue needs five that show it")
    ax = axes_or_new(ax, 8, 1.5 + 0.36 * len(table))
    values = list(table[measure])
    sure = [e.has_interval and (e.low > 0 or e.high < 0) for e in values]
    y = np.arange(len(values))
    colours = [MISS if known else "#f2c9ac" for known in sure]
    ax.barh(y, [e.value for e in values], 0.66, color=colours)
    for at, e in zip(y, values, strict=True):
        if e.has_interval:
            ax.plot([e.low, e.high], [at, at], color=INK, lw=1.4)
    ax.axvline(0, color=QUIET, lw=1.2)
    names = [f"{cue}, n = {n:,}" for cue, n in zip(table.index, table["n"], strict=True)]
    ax.set_yticks(y, names)
    ax.set_xlabel(CHANGES[measure])
    ax.invert_yaxis()
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    keys = [Patch(fc=MISS), Patch(fc="#f2c9ac")]
    ax.legend(keys, ["interval leaves out 0", "interval holds 0"], loc="best")
    headline(ax, title, synthetic)
    return ax
