"""Who pays for the errors, drawn: a dot and an interval for each group of photos.

One axes shows one system, with its groups from the best to the worst. Every dot carries its figure
and every name its number of photos, so no legend and no grid has to be read. Groups with too few
photos stand below in words, without a dot: whoever sees a dot ranks it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from geolab.fairness import GroupError
from geolab.figures.style import HIT, INK, QUIET, axes_or_new, headline, styled
from geolab.intervals import Estimate
from geolab.metrics import MISS_KM
from geolab.panels import COLUMNS
from geolab.panels import figure as printed


@styled
def group_dots(
    groups: Sequence[GroupError],
    ax: Axes | None = None,
    *,
    figure: str = "within_200",
    overall: Estimate | None = None,
    ranked: bool = True,
    n_listed: int = 12,
    title: str = "Who pays for the errors",
    synthetic: bool = False,
) -> Axes:
    """Dot plot of one figure by group, with 95 % intervals.

    Parameters
    ----------
    groups : sequence of GroupError
        From `geolab.fairness`.
    figure : str
        A key of `GroupError.metrics`.
    overall : Estimate, optional
        The figure of all photos: a line to compare with.
    ranked : bool
        Best first; the order given if False, as income groups want it.
    n_listed : int
        Groups with too few photos that are named under the axes; the others are counted.

    Raises
    ------
    ValueError
        If there is no group, or the figure is not known.
    """
    if not groups or figure not in groups[0].metrics:
        known = ", ".join(groups[0].metrics) if groups else "none: there is no group"
        raise ValueError(f"no figure {figure!r}; there are: {known}")
    held = [group for group in groups if group.enough]
    if ranked:
        better = -1 if not figure.endswith("_km") else 1
        held.sort(key=lambda group: better * group.metrics[figure].value)
    ax = axes_or_new(ax, 8.5, 1.9 + 0.36 * max(1, len(held)))
    values = [group.metrics[figure] for group in held]
    for row, value in enumerate(values):
        _dot(ax, row, value, figure)
    if overall is not None:
        _line_for_all(ax, overall, figure)
    ax.set_yticks(np.arange(len(held)), [f"{group.name}, n = {group.n:,}" for group in held])
    ax.set_ylim(max(len(held), 1) - 0.4, -1.1 if overall else -0.6)
    _value_axis(ax, figure, [*values, *([overall] if overall else [])])
    _say_too_few(ax, groups, n_listed)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    headline(ax, title, synthetic)
    return ax


def _value_axis(ax: Axes, figure: str, values: Sequence[Estimate]) -> None:
    """Per cent from 0, kilometres on a logarithmic axis."""
    km = figure.endswith("_km")
    seen = [min(end, MISS_KM) for v in values for end in (v.value, v.high) if end == end] or [1.0]
    low = [min(end, MISS_KM) for v in values for end in (v.value, v.low) if end == end] or [1.0]
    if km:
        ax.set_xscale("log")
        ax.set_xlim(max(1.0, 0.8 * min(low)), 1.9 * max(seen))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(0, 1.14 * max(*seen, 1e-9))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _tick(x, figure)))
    ax.set_xlabel(_axis_name(figure), loc="left")


def _dot(ax: Axes, row: int, value: Estimate, figure: str) -> None:
    """Interval, dot and number of one group; an infinite median stands at half the Earth."""
    at = right = min(value.value, MISS_KM)
    if value.has_interval:
        right = min(value.high, MISS_KM)
        ax.plot([value.low, right], [row, row], color=HIT, lw=2.2, solid_capstyle="butt")
    ax.plot([at], [row], "o", color=HIT, mec="white", ms=9, zorder=3)
    ax.annotate(
        printed(figure, value.value),
        (max(right, at), row),
        (8, 0),
        textcoords="offset points",
        va="center",
        fontsize=11,
        color=INK,
        bbox={"fc": "white", "ec": "none", "pad": 1},
    )


def _line_for_all(ax: Axes, overall: Estimate, figure: str) -> None:
    ax.axvline(overall.value, color=QUIET, lw=1.3, ls="--", zorder=0)
    ax.annotate(
        f"all photos: {printed(figure, overall.value)}",
        (overall.value, -0.75),
        (5, 0),
        textcoords="offset points",
        va="center",
        fontsize=11,
        color=QUIET,
    )


def _say_too_few(ax: Axes, groups: Sequence[GroupError], n_listed: int) -> None:
    """Name the groups that are not ranked under the axes, the largest first."""
    small = sorted((group for group in groups if not group.enough), key=lambda group: -group.n)
    if not small:
        return
    named = ", ".join(f"{group.name} {group.n:,}" for group in small[:n_listed])
    more = len(small) - n_listed
    rest = f" and {more} more with {sum(g.n for g in small[n_listed:]):,}" if more > 0 else ""
    said = f"too few photos or photographers, not ranked: {named}{rest}"
    room = int(ax.get_position().width * ax.get_figure().get_figwidth() * 72 / 5.6)
    text = textwrap.fill(said, max(30, room))
    ax.annotate(
        text,
        (0, 0),
        (0, -44),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top",
        fontsize=10.5,
        color=QUIET,
    )


def _axis_name(figure: str) -> str:
    if figure.startswith("within_"):
        return f"photos within {int(figure.removeprefix('within_')):,} km, with 95 % interval"
    return f"{COLUMNS.get(figure, figure)}, with 95 % interval"


def _tick(value: float, figure: str) -> str:
    return f"{value:g}%" if figure.startswith("within_") else f"{value:,.0f}"
