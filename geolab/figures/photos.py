"""Figures made of photographs: contact sheets and neighbour strips.

A neighbour strip shows a query and the photos that a system found most alike, each with its place
and how far it lies from the query, as the talks on im2gps showed them: one look tells whether the
descriptor matched a place, a kind of scene, or nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from geolab import sphere
from geolab.figures.style import HIT, INK, MISS, QUIET, styled, titled

Photo = Image.Image | np.ndarray
"""A PIL image or an (H, W, 3) uint8 array."""


@styled
def photo_grid(
    photos: Sequence[Photo | None],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 8,
    row_labels: Sequence[str] | None = None,
    size: float = 1.4,
    title: str = "",
    synthetic: bool = False,
) -> Figure:
    """Contact sheet.

    Parameters
    ----------
    photos : sequence of N photos
        None draws an empty frame: a photo that could not be read is still seen to be missing.
    captions : N texts, optional
    columns : int
        Photos in a row.
    row_labels : texts, optional
        One for each row, at its left.
    size : float
        Width and height of one photo in inches.

    Raises
    ------
    ValueError
        If there is no photo, or the captions do not fit.
    """
    if not len(photos):
        raise ValueError("photo_grid needs at least one photo")
    if captions is not None and len(captions) != len(photos):
        raise ValueError(f"{len(captions)} captions for {len(photos)} photos")
    columns = min(columns, len(photos))
    rows = -(-len(photos) // columns)
    left = 1.5 if row_labels is not None else 0.1
    texts = [_wrapped(caption, int(11 * size)) for caption in captions or []]
    below = 0.08 + max((0.1 + 0.17 * (1 + text.count("\n")) for text in texts), default=0.0)
    heading = titled(title, synthetic)
    sheet = _Sheet(rows, columns, size, size * _shape(photos), below, left, heading)
    for i, photo in enumerate(photos):
        ax = sheet.add(i // columns, i % columns)
        _show(ax, photo)
        if texts:
            _caption(ax, texts[i])
        if row_labels is not None and i % columns == 0:
            look = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
            label = textwrap.fill(row_labels[i // columns], 14)
            ax.annotate(label, (0, 0.5), (-8, 0), ha="right", **look)
    return sheet.fig


@styled
def neighbour_strips(
    queries: Sequence[Photo],
    neighbours: Sequence[Sequence[Photo]],
    query_latlon: np.ndarray,
    neighbour_latlon: np.ndarray,
    *,
    threshold_km: float = 200.0,
    names: Sequence[Sequence[str]] | None = None,
    size: float = 1.6,
    title: str = "",
    synthetic: bool = False,
) -> Figure:
    """One row a query: the photo, then its k nearest with distance and place.

    A neighbour within `threshold_km` has a blue frame and a tick, any other an orange frame and a
    cross, so that the figure can be read without colour.

    Parameters
    ----------
    queries : sequence of B photos
    neighbours : B sequences of k photos
    query_latlon : (B, 2) array
        Degrees; NaN where the truth is not known, and then no distance is shown.
    neighbour_latlon : (B, k, 2) array
        Degrees.
    names : B sequences of 1 + k texts, optional
        Place of the query and of each neighbour; from the gazetteer if left out.

    Raises
    ------
    ValueError
        If shapes disagree.
    """
    query_latlon = np.asarray(query_latlon, float).reshape(-1, 2)  # (B, 2)
    neighbour_latlon = np.asarray(neighbour_latlon, float)
    shape = (len(queries), len(neighbours[0]) if len(neighbours) else 0, 2)
    if len(query_latlon) != len(queries) or neighbour_latlon.shape != shape:
        raise ValueError(
            f"{shape[0]} queries with {shape[1]} neighbours each need query_latlon {(shape[0], 2)} "
            f"and neighbour_latlon {shape}, not {query_latlon.shape}, {neighbour_latlon.shape}"
        )
    km = np.asarray(sphere.great_circle_km(query_latlon[:, None], neighbour_latlon))  # (B, k)
    rows, k = km.shape
    shape = _shape([*queries, *(photo for row in neighbours for photo in row)])
    sheet = _Sheet(rows, k + 1, size, size * shape, 0.72, 0.1, titled(title, synthetic))
    for b in range(rows):
        everywhere = np.concatenate([query_latlon[b : b + 1], neighbour_latlon[b]])
        places = names[b] if names is not None else place_names(everywhere)
        ax = sheet.add(b, 0)
        _show(ax, queries[b], frame=INK)
        _caption(ax, _wrapped(f"query\n{places[0]}", int(10 * size)), weight="bold")
        for j in range(k):
            ax = sheet.add(b, j + 1)
            hit, known = km[b, j] <= threshold_km, np.isfinite(km[b, j])
            mark = f"{'✓' if hit else '✗'} {_distance(km[b, j])}\n" if known else ""
            _show(ax, neighbours[b][j], frame=(HIT if hit else MISS) if known else QUIET)
            _caption(ax, _wrapped(mark + places[j + 1], int(11 * size)))
    return sheet.fig


def place_names(latlon: np.ndarray) -> list[str]:
    """Nearest place and country of each point (N, 2), as text; "unknown" for NaN.

    Examples
    --------
    >>> place_names([[48.8584, 2.2945]])[0].endswith("France")
    True
    """
    from geolab.data.gazetteer import load_gazetteer

    gazetteer = load_gazetteer()
    latlon = np.asarray(latlon, float).reshape(-1, 2)  # (N, 2)
    known = np.isfinite(latlon).all(axis=1)
    found = gazetteer.lookup(np.where(known[:, None], latlon, 0.0))
    texts = [
        f"{name}, {gazetteer.country_name(country)}"
        for name, country in zip(found["name"], found["country"], strict=True)
    ]
    return [text if ok else "unknown" for text, ok in zip(texts, known, strict=True)]


def _distance(km: float) -> str:
    """Distance as a person would say it: 340 m, 8.2 km, 1,105 km."""
    if km < 1:
        return f"{1000 * km:.0f} m"
    return f"{km:.1f} km" if km < 10 else f"{km:,.0f} km"


class _Sheet:
    """Figure with cells of one size, given in inches, and a title above them."""

    def __init__(
        self,
        rows: int,
        columns: int,
        wide: float,
        high: float,
        below: float,
        left: float,
        title: str,
    ) -> None:
        self.step = wide + 0.1, high + below
        self.cell, self.left = (wide, high), left
        self.top = 0.5 if title else 0.1
        self.size = left + columns * self.step[0], self.top + rows * self.step[1]
        self.fig = plt.figure(figsize=self.size, layout="none")
        self.fig.text(0.1 / self.size[0], 1 - 0.1 / self.size[1], title, va="top", fontsize=14,
                      fontweight="bold")  # fmt: skip

    def add(self, row: int, column: int) -> Axes:
        """Axes of one cell."""
        x = self.left + column * self.step[0]
        y = self.size[1] - self.top - row * self.step[1] - self.cell[1]
        (wide, high), (width, height) = self.cell, self.size
        return self.fig.add_axes((x / width, y / height, wide / width, high / height))


def _shape(photos: Sequence[Photo | None]) -> float:
    """Height of a cell by its width, from the usual shape of the photos."""
    shapes = [np.asarray(photo).shape for photo in photos if photo is not None]
    return float(np.clip(np.median([h / w for h, w, *_ in shapes] or [1.0]), 0.6, 1.0))


def _show(ax: Axes, photo: Photo | None, *, frame: str | None = None) -> None:
    """Fit one photo into its cell, whole, with a frame if a colour is given."""
    ax.set(xticks=[], yticks=[])
    ax.patch.set_visible(False)
    ax.spines[:].set_visible(photo is None)
    if photo is None:
        ax.text(0.5, 0.5, "no photo", ha="center", va="center", fontsize=10, color=QUIET)
        return
    pixels = np.asarray(photo)
    height, width = pixels.shape[:2]
    ax.imshow(pixels, interpolation="lanczos")
    rim = {"fc": "none", "ec": frame or QUIET, "lw": 3.5 if frame else 0.6}
    ax.add_patch(Rectangle((-0.5, -0.5), width, height, clip_on=False, joinstyle="miter", **rim))
    ax.set_adjustable("datalim")  # the axes keep the cell's shape, the photo lies in their middle


def _wrapped(text: str, width: int) -> str:
    """Text in at most three lines of about `width` characters."""
    lines = [row for part in text.split("\n") for row in textwrap.wrap(part, width) or [""]]
    if len(lines) > 3:
        lines = [*lines[:2], lines[2][: width - 1] + "…"]
    return "\n".join(lines)


def _caption(ax: Axes, text: str, *, weight: str = "normal") -> None:
    look = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    ax.annotate(text, (0.5, 0), (0, -5), ha="center", fontsize=10, fontweight=weight, **look)
