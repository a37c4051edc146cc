"""Curves of a figure against one knob: cells, bandwidth, album length, number of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from geolab.figures.style import axes_or_new, headline, styled


@styled
def sweep_curve(
    knob: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str = "within, %",
    log: bool = False,
    mark: float | None = None,
    ticks: Sequence[str] | None = None,
    title: str = "",
    synthetic: bool = False,
) -> Axes:
    """Lines over the values of a knob.

    Parameters
    ----------
    knob : sequence of V numbers
    curves : mapping of label to V numbers
        NaN leaves a gap.
    log : bool
        Logarithmic knob.
    mark : float, optional
        Value to mark with a dotted line, such as the paper's.
    ticks : V texts, optional
        Instead of the numbers under the axis.

    Raises
    ------
    ValueError
        If a curve has another number of values than the knob.
    """
    wrong = [name for name, values in curves.items() if len(values) != len(knob)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} has {len(curves[wrong[0]])} values for {len(knob)} knobs")
    ax = axes_or_new(ax, 7, 3.2)
    for name, values in curves.items():
        ax.plot(knob, values, "o-", label=name)
    if log:
        ax.set_xscale("log")
    if mark is not None:
        ax.axvline(mark, ls=":", color="grey")
    if ticks is not None:
        ax.set_xticks(list(knob), list(ticks))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(axis="y")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))  # beside the lines, never on them
    headline(ax, title, synthetic)
    return ax
