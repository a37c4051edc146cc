"""One look for every figure of the course, and how figures reach the disk.

`STYLE` holds matplotlib settings meant for a projector: no text under 10 points, a colour-blind
safe cycle (Okabe and Ito, "Color Universal Design", 2008), the font that matplotlib itself brings.
Every plotting function of `geolab.figures` and `geolab.maps` draws inside `style()`; a notebook
that draws something of its own writes ``with figures.style(): ...``.

Errors have the same six colours everywhere, from blue (the street) to rust (another continent):
`ERROR_COLOURS`, cut at the five thresholds of the field.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geolab.data.storage import write_atomic

INK, QUIET, FAINT = "#1d2733", "#5b6875", "#c9d1d9"
"""Text and outlines; secondary text; grid lines."""

HIT, MISS, MARK = "#0072b2", "#d55e00", "#cc79a7"
"""Right within the threshold; wrong; a third thing to point at."""

PALETTE = (HIT, MISS, "#009e73", MARK, "#e69f00", "#56b4e9", "#5b6875", "#8c510a")

ERROR_COLOURS = ("#08519c", "#4292c6", "#9ecae1", "#fdae6b", "#e6550d", "#8c2d04")
"""Error up to 1, 25, 200, 750, 2500 km, and beyond."""

THRESHOLD_NAMES = ("street", "city", "region", "country", "continent")

DPI = 144

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.2,
    "lines.markersize": 7,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


@contextmanager
def style() -> Iterator[None]:
    """Draw with the look of the course inside this context."""
    with plt.rc_context(STYLE):
        yield
        # A notebook's backend loads with the first figure and then turns interactive mode on; the
        # context would turn it off again, and no later figure would be shown.
        interactive = plt.isinteractive()
    plt.interactive(interactive)


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a drawing function inside `style()` (a decorator)."""

    @functools.wraps(draw)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with style():
            return draw(*args, **kwargs)

    return run


def titled(text: str, synthetic: bool = False) -> str:
    """Title of a figure; synthetic data is always called synthetic.

    Examples
    --------
    >>> titled("Accuracy", synthetic=True)
    'Accuracy (synthetic TinyEarth)'
    """
    return f"{text} (synthetic TinyEarth)".strip() if synthetic else text


def headline(ax: Axes, text: str, synthetic: bool, *, pad: float | None = None) -> None:
    """Set the title; what says "synthetic" goes to a second line where the axes are narrow."""
    text = titled(text, synthetic)
    room = ax.get_position().width * ax.get_figure().get_figwidth() * 72 / (0.66 * 14)
    if len(text) > room:
        text = text.replace(" (synthetic", "\n(synthetic")
    ax.set_title(text, pad=pad)


def axes_or_new(ax: Axes | None, width: float = 8.0, height: float = 5.0) -> Axes:
    """Return the axes given, or those of a new figure of this size in inches."""
    return plt.subplots(figsize=(width, height))[1] if ax is None else ax


def error_colours(km: np.ndarray) -> list[str]:
    """Colour for each error in km (N,), by the threshold it stays within (``<=``).

    Examples
    --------
    >>> error_colours([1.0, 1.1]) == list(ERROR_COLOURS[:2])
    True
    """
    from geolab.metrics import THRESHOLDS_KM

    return [ERROR_COLOURS[i] for i in np.searchsorted(THRESHOLDS_KM, np.asarray(km, float))]


def error_labels() -> list[str]:
    """Legend texts that go with `ERROR_COLOURS`."""
    from geolab.metrics import THRESHOLDS_KM

    return [f"≤ {km:,} km" for km in THRESHOLDS_KM] + [f"> {THRESHOLDS_KM[-1]:,} km"]


def png_bytes(fig: Figure, *, dpi: int = DPI) -> bytes:
    """Figure as PNG without metadata: the same drawing gives the same bytes."""
    buffer = io.BytesIO()
    with style():
        fig.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def save_figure(fig: Figure | Axes, path: str | Path, *, dpi: int = DPI) -> Path:
    """Write a figure (or the figure of some axes) as PNG, atomically and free of metadata.

    Raises
    ------
    ValueError
        If `path` does not end in ``.png``.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"figures are written as PNG; give a name that ends in .png, not {path}")
    fig = fig.get_figure() if isinstance(fig, Axes) else fig
    return write_atomic(path, png_bytes(fig, dpi=dpi))
