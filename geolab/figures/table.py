"""Results table as a figure, for slides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from geolab.figures.style import INK, QUIET, axes_or_new, headline, styled
from geolab.metrics import THRESHOLDS_KM
from geolab.rows import Row

_FIGURES = [f"within_{t}" for t in THRESHOLDS_KM] + ["median_km"]
_HEADS = ["system", "n"] + [f"{t:,} km" for t in THRESHOLDS_KM] + ["median"]
_RIGHT = [0.0, 0.40, *np.linspace(0.5, 0.86, 5), 1.0]
"""Right end of each column; the first starts at the left."""


@styled
def table_figure(
    rows: Sequence[Row],
    ax: Axes | None = None,
    *,
    title: str = "",
    synthetic: bool | None = None,
) -> Axes:
    """Systems down; per cent within the five distances and the median across, with intervals.

    Parameters
    ----------
    rows : sequence of `geolab.evaluation.Row`
        The best of each column is bold; photos without an answer are told below n.
    synthetic : bool, optional
        By default taken from the rows.

    Raises
    ------
    ValueError
        If there is no row, or if rendered and real photos stand in one table.
    """
    kinds = {bool(row.synthetic) for row in rows}
    if len(kinds) != 1:
        raise ValueError("table_figure needs rows, all synthetic or all real; draw two tables")
    ax = axes_or_new(ax, 11, 0.7 + 0.55 * (len(rows) + 1))
    ax.set(xlim=(0, 1), ylim=(len(rows) + 0.5, -0.5))
    ax.set_axis_off()
    best = _best(rows)
    for c, (head, x) in enumerate(zip(_HEADS, _RIGHT, strict=True)):
        side = "left" if c == 0 else "right"
        ax.text(x, 0, head, ha=side, va="center", fontweight="bold")
        for r, row in enumerate(rows):
            upper, lower = _cell(row, c)
            weight = "bold" if c > 1 and best[r, c - 2] else "normal"
            at = r + (0.85 if lower else 1)
            ax.text(x, at, upper, ha=side, va="center", fontweight=weight)
            ax.text(x, r + 1.2, lower, ha=side, va="center", fontsize=10, color=QUIET)
    for y, width in ((-0.5, 1.6), (0.5, 1.0), (len(rows) + 0.5, 1.6)):
        ax.axhline(y, color=INK, lw=width, clip_on=False)
    headline(ax, title, kinds == {True} if synthetic is None else synthetic)
    return ax


def _best(rows: Sequence[Row]) -> np.ndarray:
    """Whether each figure is the best of its column: bool (rows, 6)."""
    value = np.array([[row.metrics[key].value for key in _FIGURES] for row in rows])
    value[:, :-1] *= -1  # accuracies: the higher, the better; the median is an error
    return value == np.nanmin(value, axis=0)


def _cell(row: Row, column: int) -> tuple[str, str]:
    """Text of one cell and the smaller line below it."""
    if column == 0:
        return row.system, ""
    if column == 1:
        return f"{row.n:,}" if row.n else "–", f"{row.failed:,} failed" if row.failed else ""
    key = _FIGURES[column - 2]
    e = row.metrics[key]
    digits, unit = (0, " km") if key == "median_km" else (1, "")
    interval = f"{e.low:,.{digits}f} – {e.high:,.{digits}f}" if e.has_interval else ""
    return f"{e.value:,.{digits}f}{unit}", interval
