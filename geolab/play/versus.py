"""People beside models: who stands where, who wins how often, and the paper's figure.

PIGEON (Haas, Skreta, Alberti and Finn, CVPR 2024, figure 4) sets the distribution of its errors in
458 matches beside those of players of three leagues. `plot_players` draws the same for your own
players, with the mean points and their 95 % intervals: after five rounds those are wide, and who is
better is not yet known. `plot_paper` draws the paper's medians, which are of other photos and
belong beside no number of yours.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from geolab.data.errors import DataError
from geolab.figures.style import FAINT, HIT, INK, MISS, QUIET, axes_or_new, headline, styled
from geolab.metrics import THRESHOLDS_KM, paired_difference, summarise

_COLOURS = {"human": MISS, "simulated": QUIET, "model": HIT}
_LEAST_KM = 1.0
_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")
_FEW = 5


def standings(results: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Median error and mean points of every player, the best first.

    Parameters
    ----------
    results
        As `geolab.play.read_results` gives it.
    n_boot, seed
        Of the bootstrap over rounds.

    Returns
    -------
    DataFrame
        ``player``, ``kind``, ``rounds``, ``median_km``, ``score`` (mean points of a round, 0 to
        5000) and the ends of its 95 % interval, ``score_low`` and ``score_high``.

    Raises
    ------
    DataError
        If there is no guess.
    """
    if not len(results):
        raise DataError("no guesses. Fix: play a round, then download")
    rows = []
    for (player, kind), own in results.groupby(["player", "kind"], sort=False):
        figures = summarise(own["km"].to_numpy(), n_boot=n_boot, seed=seed)
        score = figures["score"]
        values = (figures["median_km"].value, score.value, score.low, score.high)
        rows.append((player, kind, len(own), *values))
    names = ["player", "kind", "rounds", "median_km", "score", "score_low", "score_high"]
    table = pd.DataFrame(rows, columns=names)
    return table.sort_values("score", ascending=False, ignore_index=True)


def duels(results: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Every player against every model, on the rounds that both have guessed.

    Returns
    -------
    DataFrame
        ``player``, ``model``, ``rounds``, ``won`` and ``lost`` (nearer, farther), ``difference``
        (mean points of a round, player minus model) and its 95 % interval, ``low`` and ``high``,
        from a bootstrap over rounds in pairs.
    """
    at = ["game", "round"]
    models = results[results["kind"] == "model"]
    rows = []
    for player, own in results[results["kind"] != "model"].groupby("player", sort=False):
        for model, other in models.groupby("player", sort=False):
            both = own[[*at, "km"]].merge(other[[*at, "km"]], on=at, suffixes=("", "_model"))
            if not len(both):
                continue
            mine, its = both["km"].to_numpy(), both["km_model"].to_numpy()
            gap = paired_difference(mine, its, n_boot=n_boot, seed=seed)["score"]
            won, lost = int((mine < its).sum()), int((mine > its).sum())
            rows.append((player, model, len(both), won, lost, gap.value, gap.low, gap.high))
    names = ["player", "model", "rounds", "won", "lost", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=names)


@styled
def plot_players(
    results: pd.DataFrame,
    axes: tuple[Axes, Axes] | None = None,
    *,
    title: str = "People and models on the same photos",
    seed: int = 0,
) -> tuple[Axes, Axes]:
    """Distribution of the errors of every player and model, and the mean points, best on top.

    A dot is a round, a box holds the middle half, a thin line nine in ten, the thick line is the
    median; players with fewer than
    five rounds have dots and a median only.

    Returns
    -------
    tuple of Axes
        Errors in km on a logarithmic axis; points with 95 % intervals.

    Raises
    ------
    DataError
        If there is no guess, or real and synthetic photos are mixed.
    """
    table = standings(results, seed=seed)
    kinds = set(results["synthetic"])
    if len(kinds) > 1:
        raise DataError(
            "results of real and of synthetic photos do not belong in one figure. Fix: plot "
            "results[results['synthetic']] and the others apart"
        )
    if axes is None:
        size = (11, 1.9 + 0.62 * len(table))
        axes = tuple(plt.subplots(1, 2, sharey=True, width_ratios=[1.9, 1], figsize=size)[1])
    y = np.arange(len(table))[::-1]
    for row, at in zip(table.itertuples(), y, strict=True):
        own = results[(results["player"] == row.player) & (results["kind"] == row.kind)]
        _draw_errors(axes[0], own["km"].to_numpy(), at, _COLOURS[row.kind], seed)
        _draw_score(axes[1], row, at)
    axes[0].set_yticks(y, [_label(row) for row in table.itertuples()])
    axes[0].tick_params(axis="y", length=0)
    axes[0].set_ylim(-0.6, len(table) - 0.4)
    _km_axis(axes[0])
    axes[1].set(xlim=(0, 5000), xlabel="points of a round: mean, 95 % interval")
    axes[1].xaxis.set_major_formatter(_THOUSANDS)
    axes[1].tick_params(axis="y", length=0, labelleft=False)
    axes[1].grid(axis="x")
    headline(axes[0], title, bool(kinds.pop()))
    return axes


def _label(row: object) -> str:
    """Player, what kind, how many rounds."""
    note = {"human": "", "model": "", "simulated": " (simulated)"}[row.kind]
    said = row.player if "simulated" in row.player else row.player + note
    return f"{said}\nn = {row.rounds}"


def _draw_errors(ax: Axes, km: np.ndarray, at: float, colour: str, seed: int) -> None:
    shown = np.maximum(km, _LEAST_KM)
    jitter = np.random.default_rng(seed).uniform(-0.16, 0.16, len(shown))
    ax.scatter(shown, at + jitter, s=22, color=colour, alpha=0.55, lw=0, zorder=3)
    if len(shown) >= _FEW:
        low, q1, q3, high = np.quantile(shown, [0.05, 0.25, 0.75, 0.95])
        ax.plot([low, high], [at, at], color=colour, lw=1.6, zorder=2)
        ax.barh(at, q3 - q1, 0.5, left=q1, fc="white", ec=colour, lw=1.8, zorder=2)
    middle = float(np.median(km))
    ax.plot([max(middle, _LEAST_KM)] * 2, [at - 0.25, at + 0.25], color=INK, lw=2.6, zorder=4)
    text = f"{middle:,.0f} km" if middle >= 10 else f"{middle:.1f} km"
    ax.annotate(text, (max(middle, _LEAST_KM), at + 0.3), (0, 1), textcoords="offset points",
                ha="center", va="bottom", fontsize=11, fontweight="bold")  # fmt: skip


def _draw_score(ax: Axes, row: object, at: float) -> None:
    ax.barh(at, row.score, 0.5, color=_COLOURS[row.kind], alpha=0.85)
    end = row.score
    if np.isfinite(row.score_low):
        end = row.score_high
        ax.plot([row.score_low, row.score_high], [at, at], color=INK, lw=1.6)
    inside = end > 3900
    ax.annotate(f"{row.score:,.0f}", (0 if inside else end, at), (6, 0), va="center", fontsize=11,
                textcoords="offset points", color="white" if inside else INK)  # fmt: skip


def _km_axis(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_xlim(_LEAST_KM * 0.8, 25_000)
    ax.xaxis.set_major_locator(LogLocator())
    ax.xaxis.set_major_formatter(_THOUSANDS)
    ax.xaxis.set_minor_formatter(NullFormatter())
    for km in THRESHOLDS_KM:
        ax.axvline(km, color=FAINT, lw=1, zorder=0)
    ax.set_xlabel("distance from the truth in km (logarithmic)")


@styled
def plot_paper(ax: Axes | None = None) -> Axes:
    """PIGEON's figure 4 as published: median error in duels on real photos, model and leagues."""
    from geolab.tables import published

    rows = [row for row in published("geoguessr-duels") if "median_km" in row.metrics]
    rows = sorted(rows, key=lambda row: row.metrics["median_km"].value)
    ax = axes_or_new(ax, 9, 1.6 + 0.5 * len(rows))
    y = np.arange(len(rows))[::-1]
    values = [row.metrics["median_km"].value for row in rows]
    colours = [_COLOURS["human" if "Human" in row.system else "model"] for row in rows]
    ax.barh(y, values, 0.6, color=colours)
    for at, value in zip(y, values, strict=True):
        ax.annotate(
            f"{value:,.0f} km", (value, at), (5, 0), textcoords="offset points", va="center"
        )
    ax.set_yticks(y, [row.system for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.set(xscale="log", xlim=(10, 10_000), xlabel="median error in km (logarithmic)")
    ax.xaxis.set_major_formatter(_THOUSANDS)
    ax.xaxis.set_minor_formatter(NullFormatter())
    headline(ax, "Published: 458 duels on real photos (PIGEON, fig. 4)", False)
    return ax
