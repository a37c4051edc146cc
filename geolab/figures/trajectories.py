"""A flow at work: points that move over a globe, as a still, a GIF or a page.

    paths = trajectories(network, embedding, 400)[:, 0]         # (steps + 1, 400, 3), noise first
    trajectory_stills(paths, synthetic=True)                    # a row of globes
    animate(paths, "flow.gif", synthetic=True)                  # or "flow.html"

The globe is orthographic: the Earth as seen from far away. Points on the other side shine through,
small and pale, so that none gets lost. Land comes from the same outlines as every map of the kit.
The page holds its pictures itself and loads nothing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Circle

from geolab import sphere
from geolab.data.storage import write_atomic
from geolab.figures.style import FAINT, HIT, QUIET, headline, styled
from geolab.maps import land as land_of
from geolab.maps.basemap import COAST, LAND, SEA

_LOOK = "body{font:16px sans-serif;margin:1rem auto;max-width:30rem} img{max-width:100%}"
_ICONS = {
    "fa-minus": "−", "fa-plus": "+", "fa-fast-backward": "⏮", "fa-step-backward": "⏪",
    "fa-play fa-flip-horizontal": "◀", "fa-pause": "⏸", "fa-play": "▶", "fa-step-forward": "⏩",
    "fa-fast-forward": "⏭",
}  # fmt: skip


def view_from(centre: Sequence[float]) -> np.ndarray:
    """Rotation (3, 3) of unit vectors so that `centre` (lat, lon) faces the reader.

    Rows are right, up and towards the reader.

    Examples
    --------
    >>> (view_from((0, 0)) @ [1, 0, 0]).round(6).tolist()
    [0.0, 0.0, 1.0]
    """
    lat, lon = np.radians(np.asarray(sphere.check_latlon([centre], "centre"), float)[0])
    east = [-np.sin(lon), np.cos(lon), 0.0]
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    out = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    return np.array([east, north, out])


@styled
def globe(
    ax: Axes | None = None, *, centre: Sequence[float] = (35.0, -45.0), title: str = "",
    synthetic: bool = False,
) -> Axes:  # fmt: skip
    """Draw an empty globe, seen from above `centre`.

    Raises
    ------
    ValueError
        If `centre` is not on Earth.
    """
    view = view_from(centre)
    ax = plt.subplots(figsize=(5, 5.2))[1] if ax is None else ax
    ax.set(aspect="equal", xlim=(-1.02, 1.02), ylim=(-1.02, 1.02))
    ax.axis("off")
    ax.add_patch(Circle((0, 0), 1, fc=SEA, ec="none"))
    ax.add_collection(_land(view), autolim=False)
    ax.add_collection(LineCollection(_graticule(view), colors=FAINT, linewidths=0.6))
    ax.add_patch(Circle((0, 0), 1, fc="none", ec=QUIET, lw=1.2, zorder=1.5))
    headline(ax, title, synthetic)
    return ax


def _land(view: np.ndarray) -> PolyCollection:
    """Land in front: outlines where a copy is in the cache, else the triangles of the places."""
    found = land_of.outlines()
    if found is None:
        corners = np.asarray(sphere.to_unit(land_of.land_triangles())) @ view.T  # (n, 3, 3)
        seen = corners[(corners[..., 2] > 0).all(1)][..., :2]
        return PolyCollection(seen, fc=LAND, ec=LAND, lw=0.8)
    rings = [np.asarray(sphere.to_unit(ring)) @ view.T for c in found for ring in c.rings]
    return PolyCollection(
        [_to_the_edge(r) for r in rings if (r[:, 2] > 0).any()], fc=LAND, ec=COAST, lw=0.5
    )


def _to_the_edge(ring: np.ndarray) -> np.ndarray:
    """Bring corners behind the globe to its rim: (n, 3) -> (n, 2)."""
    flat = ring[:, :2]
    rim = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    return np.where(ring[:, 2:] > 0, flat, rim)


def _graticule(view: np.ndarray) -> list[np.ndarray]:
    """Every 30 degrees, in pieces that lie in front."""
    along, up = np.linspace(-180, 180, 121), np.linspace(-90, 90, 91)
    lines = [np.stack([np.full(121, lat), along], 1) for lat in (-60, -30, 0, 30, 60)]
    lines += [np.stack([up, np.full(91, lon)], 1) for lon in range(-180, 180, 30)]
    pieces = []
    for line in lines:
        turned = np.asarray(sphere.to_unit(line.astype(float))) @ view.T
        front = np.flatnonzero(turned[:, 2] > 0)
        for run in np.split(front, np.flatnonzero(np.diff(front) > 1) + 1):
            pieces.append(turned[run, :2])
    return pieces


def _checked_paths(paths: object) -> np.ndarray:
    """Paths (T, n, 3) as unit vectors; points of R3 are put on the sphere."""
    values = np.asarray(paths, dtype=np.float64)
    if values.ndim != 3 or values.shape[2] != 3 or min(values.shape) < 1:
        raise ValueError(f"paths must be (T, n, 3) unit vectors, not {values.shape}")
    length = np.linalg.norm(values, axis=2, keepdims=True)
    bad = np.argwhere(~(np.isfinite(length[..., 0]) & (length[..., 0] > 0)))
    if len(bad):
        step, point = bad[0]
        raise ValueError(f"paths step {step}, point {point} is {values[step, point]}: no direction")
    return values / length


@styled
def trajectory_stills(
    paths: object,
    *,
    centre: Sequence[float] = (35.0, -45.0),
    n_stills: int = 4,
    colour: str = HIT,
    title: str = "From noise to places",
    synthetic: bool = False,
) -> np.ndarray:
    """Show a row of globes, from noise to the answer, with the way gone since the last one.

    Parameters
    ----------
    paths : array_like, shape (T, n, 3)
        Unit vectors, noise first.

    Returns
    -------
    ndarray of Axes, shape (n_stills,)

    Raises
    ------
    ValueError
        If paths have another shape, or a point has no direction (step and point are named).
    """
    turned = _checked_paths(paths) @ view_from(centre).T
    at = np.linspace(0, len(turned) - 1, n_stills).round().astype(int)
    fig, axes = plt.subplots(1, n_stills, figsize=(3.4 * n_stills, 4.0), squeeze=False)
    for i, (ax, step) in enumerate(zip(axes[0], at, strict=True)):
        globe(ax, centre=centre, title=f"step {step} of {len(turned) - 1}")
        if i:
            gone = np.moveaxis(turned[at[i - 1] : step + 1], 0, 1)  # (n, t, 3)
            front = gone[(gone[..., 2] > 0).all(1)][..., :2]
            ax.add_collection(LineCollection(front, colors=colour, linewidths=0.6, alpha=0.35))
        _dots(ax, turned[step], colour)
    fig.suptitle(f"{title} (synthetic)" if synthetic else title, x=0.01, ha="left", weight="bold")
    return axes[0]


def _dots(ax: Axes, points: np.ndarray, colour: str) -> list:
    """Points (n, 3) in the reader's axes: solid in front, pale behind."""
    front = points[:, 2] > 0
    behind = ax.scatter(*points[~front, :2].T, s=4, c=QUIET, alpha=0.35, lw=0, zorder=2)
    ahead = ax.scatter(*points[front, :2].T, s=12, c=colour, alpha=0.8, lw=0, zorder=3)
    return [behind, ahead]


@styled
def animate(
    paths: object,
    path: str | Path,
    *,
    centre: Sequence[float] = (35.0, -45.0),
    colour: str = HIT,
    fps: int = 12,
    hold: int = 10,
    pixels: int = 420,
    title: str = "From noise to places",
    synthetic: bool = False,
) -> Path:
    """Write an animation.

    Parameters
    ----------
    paths : array_like, shape (T, n, 3)
        Unit vectors, noise first.
    path : path
        Ends in ".gif", or in ".html" for a page with buttons that loads nothing.
    fps, hold : int
        Frames a second, and how often a GIF repeats the last one.
    pixels : int
        Width.

    Raises
    ------
    ValueError
        If the name ends in something else, or as `trajectory_stills`.
    """
    path = Path(path)
    if path.suffix not in (".gif", ".html"):
        raise ValueError(f"an animation is a .gif or a .html, not {path}")
    turned = _checked_paths(paths) @ view_from(centre).T
    if path.suffix == ".gif":  # a page stops by itself
        turned = np.concatenate([turned, np.repeat(turned[-1:], hold, axis=0)])
    fig, ax = plt.subplots(figsize=(pixels / 100, pixels / 100 * 1.06), dpi=100)
    try:
        globe(ax, centre=centre)
        _freeze(ax)
        headline(ax, f"{title} (synthetic)" if synthetic else title, synthetic=False)
        shown: list = []

        def draw(frame: int) -> list:
            while shown:
                shown.pop().remove()
            shown.extend(_dots(ax, turned[frame], colour))
            return shown

        film = FuncAnimation(fig, draw, frames=len(turned), interval=1000 / fps)
        data = _gif(film, fps) if path.suffix == ".gif" else _page(film, fps)
    finally:
        plt.close(fig)
    return write_atomic(path, data)


def _freeze(ax: Axes) -> None:
    """Replace the globe by its own picture: 80,000 triangles are drawn once, not in each frame."""
    fig = ax.figure
    fig.canvas.draw()
    box = ax.get_window_extent()
    whole = np.asarray(fig.canvas.buffer_rgba())[::-1]  # rows from below
    left, low, right, top = (round(v) for v in box.extents)
    picture = whole[low:top, left:right].copy()
    for drawn in [*ax.patches, *ax.collections]:
        drawn.remove()
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    ax.imshow(picture, origin="lower", extent=(x0, x1, y0, y1), interpolation="none", zorder=0)


def _gif(film: FuncAnimation, fps: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "film.gif"
        film.save(made, writer=PillowWriter(fps=fps))
        return made.read_bytes()


def _page(film: FuncAnimation, fps: int) -> str:
    """Matplotlib's page without what it would load: its icons become letters."""
    html = film.to_jshtml(fps=fps, default_mode="once")
    html = re.sub(r"<link[^>]*>", "", html)
    for name, letter in _ICONS.items():
        html = re.sub(rf'<i class="fa {name}"></i>', letter, html)
    head = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Trajectories</title>'
    look = f'<meta name="viewport" content="width=device-width"><style>{_LOOK}</style>'
    return f"{head}{look}</head><body>{html}</body></html>"
