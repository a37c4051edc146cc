"""Pictures of paper tables. Axes in, axes out; published rows only, so nothing is synthetic."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from geolab.figures.style import FAINT, HIT, MARK, MISS, axes_or_new, headline, styled
from geolab.panels import COLUMNS
from geolab.papers.counts import half_width
from geolab.papers.panels import PaperTable, gaps

_NO_SYSTEM = ("Ceiling", "Chance", "Constant")


@styled
def by_year(made: PaperTable, column: str = "within_25", ax: Axes | None = None) -> Axes:
    """Published shares by year, with the interval of independent photos, coloured by citation.

    Parameters
    ----------
    made : PaperTable
    column : str
        A share, such as "within_25".
    """
    ax = axes_or_new(ax, 10, 5)
    held = [row for row in made.published if column in row.metrics]
    rows = [row for row in held if not row.system.startswith(_NO_SYSTEM)]
    value = np.array([row.metrics[column].value for row in rows])
    wide = np.array([half_width(v, made.paper.n) if made.paper.n else 0.0 for v in value])
    year = np.array([row.parameters["year"] for row in rows], np.float64)
    year += np.random.default_rng(0).uniform(-0.3, 0.3, len(rows))  # so that none hides another
    own = np.array([row.verified == "yes" for row in rows])
    for mask, colour, label in (
        (own, HIT, "read in the authors' own table"),
        (~own, MISS, "second hand, recomputed or in conflict"),
    ):
        if mask.any():
            ax.errorbar(year[mask], value[mask], wide[mask], fmt="o", color=colour, label=label)
    ax.set(xlabel="year", ylabel=COLUMNS[column].replace(" %", ", %"))
    ax.grid(axis="y")
    ax.legend(loc="upper left")
    headline(ax, f"{made.paper.title}: published, n = {made.paper.n or 'unknown'}", False)
    return ax


@styled
def conflict_bars(made: PaperTable, most: int = 12, ax: Axes | None = None) -> Axes:
    """Largest differences between two sources of one number, against the noise of n photos."""
    shown = gaps(made.conflicts, made.paper.n)[:most][::-1]
    ax = axes_or_new(ax, 9, 0.4 * len(shown) + 1.6)
    ax.barh([name for name, *_ in shown], [gap for _, gap, _ in shown], color=MARK)
    if made.paper.n:
        noise = half_width(50, made.paper.n)
        label = f"95 % of a share near 50 %, n = {made.paper.n:,}"
        ax.axvspan(-noise, noise, color=FAINT, alpha=0.6, zorder=0, label=label)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0))
    ax.axvline(0, color=FAINT)
    ax.set_xlabel("the other source minus this one, points")
    headline(ax, f"{made.paper.title}: where sources differ most", False, pad=34)
    return ax
