"""Charts of results: accuracy against distance, systems side by side, database size, calibration.

Numbers come from `geolab.metrics` and `geolab.evaluation`; nothing is computed here but what the
eye needs (an interval for a curve, a mean over seeds). Accuracies are in per cent, distances in km,
intervals are 95 % unless a label says otherwise. Every function takes and returns matplotlib axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from geolab.figures.style import (
    FAINT,
    HIT,
    INK,
    PALETTE,
    QUIET,
    THRESHOLD_NAMES,
    axes_or_new,
    headline,
    styled,
)
from geolab.intervals import Estimate, bootstrap_means, group_index
from geolab.metrics import THRESHOLDS_KM

_DASHES = ("-", "--", "-.", ":")
_PER_CENT = FuncFormatter(lambda value, _: f"{value:g}%")
_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")


@styled
def accuracy_curve(
    errors_km: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    *,
    groups: Sequence[object] | None = None,
    n_boot: int = 300,
    seed: int = 0,
    title: str = "How many photos are found, and how closely",
    synthetic: bool = False,
) -> Axes:
    """Share of photos within each distance, a line a system, the five thresholds marked.

    Parameters
    ----------
    errors_km : mapping of system to (N,) array
        Infinity is a miss.
    groups : N labels, optional
        Photographers; the shaded intervals resample them. All systems must have the same photos.
    """
    ax = axes_or_new(ax, 9, 5)
    km = np.geomspace(0.3, 20040, 160)
    for i, (system, errors) in enumerate(errors_km.items()):
        errors = np.asarray(errors, float)
        hits = 100.0 * (errors[:, None] <= km)  # (N, 160)
        index, n_groups = group_index(groups, len(errors))
        samples = bootstrap_means(hits, index, n_groups, n_boot=n_boot, seed=seed)
        low, high = np.quantile(samples, [0.025, 0.975], axis=0)
        colour, dashes = PALETTE[i % len(PALETTE)], _DASHES[i // len(PALETTE) % len(_DASHES)]
        ax.plot(km, hits.mean(0), color=colour, ls=dashes, label=f"{system}, n = {len(errors):,}")
        if n_groups > 1:
            ax.fill_between(km, low, high, color=colour, alpha=0.15, lw=0)
    _threshold_axis(ax)
    ax.set(ylim=(0, 100), ylabel="photos within that distance")
    ax.yaxis.set_major_formatter(_PER_CENT)
    ax.grid(axis="y")
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.92), frameon=True, edgecolor="none")
    headline(ax, title, synthetic)
    return ax


def _threshold_axis(ax: Axes) -> None:
    """Logarithmic km axis with a named line at each of the five thresholds."""
    ax.set_xscale("log")
    ax.set_xlim(0.3, 20040)
    ax.xaxis.set_major_locator(FixedLocator(THRESHOLDS_KM))
    ax.xaxis.set_major_formatter(_THOUSANDS)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", bottom=False)
    for km, name in zip(THRESHOLDS_KM, THRESHOLD_NAMES, strict=True):
        ax.axvline(km, color=FAINT, lw=1, zorder=0)
        ax.annotate(name, (km, 1), (-3, -4), xycoords=("data", "axes fraction"), va="top",
                    textcoords="offset points", ha="right", fontsize=10, color=QUIET)  # fmt: skip
    ax.set_xlabel("distance from the truth in km")


@styled
def threshold_bars(
    metrics: Mapping[str, Mapping[str, Estimate]],
    ax: Axes | None = None,
    *,
    title: str = "Within the five distances",
    synthetic: bool = False,
) -> Axes:
    """Grouped bars of the accuracy within 1, 25, 200, 750, 2500 km, with intervals.

    Parameters
    ----------
    metrics : mapping of system to figures
        Each with the keys ``within_1`` ... ``within_2500``; ``{row.system: row.metrics}``.
    """
    ax = axes_or_new(ax, 9, 5)
    width = 0.84 / len(metrics)
    where = np.arange(len(THRESHOLDS_KM))
    for i, (system, figures) in enumerate(metrics.items()):
        held = [figures[f"within_{t}"] for t in THRESHOLDS_KM]
        x = where + (i - (len(metrics) - 1) / 2) * width
        look = {"color": PALETTE[i % len(PALETTE)], "hatch": "//" * (i // len(PALETTE))}
        ax.bar(x, [e.value for e in held], 0.92 * width, label=system, **look)
        _whiskers(ax, x, held)
        for at, e in zip(x, held, strict=True):
            if width > 0.15:
                top = e.high if e.has_interval else e.value
                ax.text(at, top + 1, f"{e.value:.1f}" if e.value < 10 else f"{e.value:.0f}",
                        ha="center", va="bottom", fontsize=10)  # fmt: skip
    names = [f"{n}\n{t:,} km" for n, t in zip(THRESHOLD_NAMES, THRESHOLDS_KM, strict=True)]
    ax.set_xticks(where, names)
    ax.set(ylabel="photos within that distance")
    ax.set_ylim(0, min(112, 1.12 * ax.get_ylim()[1]))
    ax.yaxis.set_major_formatter(_PER_CENT)
    ax.grid(axis="y")
    ax.tick_params(axis="x", length=0)
    ax.legend(loc="upper left")
    headline(ax, title, synthetic)
    return ax


def _whiskers(ax: Axes, x: np.ndarray, held: Sequence[Estimate]) -> None:
    known = [i for i, e in enumerate(held) if e.has_interval]
    low = [max(0.0, held[i].value - held[i].low) for i in known]
    high = [max(0.0, held[i].high - held[i].value) for i in known]
    ax.errorbar(np.asarray(x)[known], [held[i].value for i in known], [low, high], fmt="none",
                ecolor=INK, elinewidth=1.3, capsize=2.5)  # fmt: skip


@styled
def size_curve(
    sizes: Sequence[int],
    accuracy: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    *,
    ylabel: str = "photos within 200 km",
    title: str = "Does more data help?",
    synthetic: bool = False,
) -> Axes:
    """Accuracy against the size of the database, logarithmic: mean and spread over seeds.

    Parameters
    ----------
    sizes : sequence of S counts
    accuracy : mapping of system to (S,) or (S, seeds) array
        Per cent. With seeds, the band runs from the lowest to the highest and each is a dot.
    """
    ax = axes_or_new(ax)
    sizes = np.asarray(sizes, float)
    for i, (system, values) in enumerate(accuracy.items()):
        values = np.asarray(values, float).reshape(len(sizes), -1)  # (S, seeds)
        colour, n_seeds = PALETTE[i % len(PALETTE)], values.shape[1]
        label = f"{system} (mean of {n_seeds} seeds)" if n_seeds > 1 else system
        ax.plot(sizes, values.mean(1), color=colour, marker="o", mec="white", label=label)
        if n_seeds > 1:
            ax.fill_between(sizes, values.min(1), values.max(1), color=colour, alpha=0.15, lw=0)
            ax.plot(sizes, values, color=colour, ls="none", marker=".", ms=5, alpha=0.5)
    ax.set(xscale="log", xlabel="photos in the database", ylabel=ylabel)
    ax.set_ylim(0, 1.08 * ax.get_ylim()[1])
    ax.xaxis.set_major_locator(FixedLocator(sizes))
    ax.xaxis.set_major_formatter(_THOUSANDS)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", bottom=False)
    ax.yaxis.set_major_formatter(_PER_CENT)
    ax.grid(axis="y")
    ax.legend(loc="upper left")
    headline(ax, title, synthetic)
    return ax


@styled
def leave_one_out(
    full: Estimate,
    without: Mapping[str, Estimate],
    alone: Mapping[str, Estimate] | None = None,
    ax: Axes | None = None,
    *,
    xlabel: str = "photos within 200 km",
    title: str = "Which descriptor carries what",
    synthetic: bool = False,
) -> Axes:
    """Accuracy with each descriptor left out, beside what it reaches alone, against all together.

    Parameters
    ----------
    full : Estimate
        All descriptors, per cent.
    without, alone : mapping of descriptor to Estimate
        The same without that one; with only that one. Sorted by what leaving out costs.
    """
    ax = axes_or_new(ax, 8.5, 1.6 + 0.6 * len(without))
    names = sorted(without, key=lambda name: -without[name].value)
    bars = [("all but this one", without, HIT, 0.2)]
    if alone is not None:
        bars.append(("this one alone", alone, "#e69f00", -0.2))
    for label, held, colour, shift in bars:
        y = np.arange(len(names)) + (shift if alone is not None else 0)
        values = [held[name] for name in names]
        ax.barh(y, [e.value for e in values], 0.36 if alone is not None else 0.6, color=colour,
                label=label)  # fmt: skip
        for at, e in zip(y, values, strict=True):
            if e.has_interval:
                ax.plot([e.low, e.high], [at, at], color=INK, lw=1.3)
    ax.axvline(full.value, color=INK, lw=1.5, ls="--", label=f"all together: {full.value:.1f}%")
    if full.has_interval:
        ax.axvspan(full.low, full.high, color=FAINT, alpha=0.6, lw=0, zorder=0)
    ax.set_yticks(np.arange(len(names)), names)
    ax.set_xlabel(xlabel)
    ax.set_xlim(0)
    ax.xaxis.set_major_formatter(_PER_CENT)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    headline(ax, title, synthetic, pad=32)
    return ax


@styled
def calibration_plot(
    held: Mapping[float, Estimate] | Mapping[str, Mapping[float, Estimate]],
    ax: Axes | None = None,
    *,
    n: int | None = None,
    title: str = "Does it know what it knows?",
    synthetic: bool = False,
) -> Axes:
    """How often the p-credible region holds the truth, against p.

    Parameters
    ----------
    held : mapping of level to Estimate, or of system to such a mapping
        From `geolab.metrics.calibration`: levels in (0, 1], per cent.
    n : int, optional
        Number of photos, for the axis.
    """
    ax = axes_or_new(ax, 5.8, 5.8)
    first = next(iter(held.values()))
    systems = {"": held} if isinstance(first, Estimate) else held
    ax.plot([0, 100], [0, 100], color=QUIET, lw=1.3, ls="--")
    ax.text(97, 3, "below the line:\noverconfident", ha="right", fontsize=10, color=QUIET)
    ax.text(3, 97, "above: cautious", va="top", fontsize=10, color=QUIET)
    for i, (system, figures) in enumerate(systems.items()):
        x = 100 * np.array(sorted(figures))
        values = [figures[p] for p in sorted(figures)]
        colour = PALETTE[i % len(PALETTE)]
        ax.plot(x, [e.value for e in values], marker="o", mec="white", color=colour, label=system)
        _whiskers(ax, x, values)
    ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal", xlabel="claimed: weight in the region")
    ax.set_ylabel("observed: truth in the region" + (f", n = {n:,}" if n else ""))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(_PER_CENT)
    ax.grid()
    if "" not in systems:
        ax.legend(loc="center left", bbox_to_anchor=(0, 0.78))
    headline(ax, title, synthetic)
    return ax
