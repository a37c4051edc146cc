"""Error by country: where a system works and where it does not.

    table = country_medians(errors, country_codes)     # n and median_km, a DataFrame
    ax = country_error(table)                          # the same as a map

Small n makes extreme medians, so every country carries its n and those with few photos are pale.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from geolab.data.gazetteer import load_gazetteer
from geolab.figures.style import ERROR_COLOURS, INK, error_colours, error_labels, headline, styled
from geolab.maps import land
from geolab.maps.basemap import COAST, HALO, draw_rings, projection_of
from geolab.maps.layers import legend


def country_medians(errors_km: np.ndarray, country: np.ndarray) -> pd.DataFrame:
    """Median error and number of photos by country.

    Parameters
    ----------
    errors_km : (N,) array
        Infinity is a photo without an answer, and counts.
    country : (N,) array of str
        ISO 3166 codes of two letters; photos without one ("" or missing) are left out.

    Returns
    -------
    DataFrame
        Index `country`; columns ``n`` and ``median_km``; most photos first.

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> country_medians([10.0, 30.0, 5.0], ["FR", "FR", "IS"]).loc["FR"].tolist()
    [2.0, 20.0]
    """
    if len(errors_km) != len(country):
        raise ValueError(f"{len(errors_km)} errors for {len(country)} countries; give one each")
    frame = pd.DataFrame({"country": list(country), "km": np.asarray(errors_km, float)})
    frame = frame[frame["country"].notna() & (frame["country"] != "")]
    table = frame.groupby("country")["km"].agg(n="size", median_km="median").reset_index()
    table = table.sort_values(["n", "country"], ascending=[False, True], kind="stable")
    return table.set_index("country")


@styled
def country_error(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    min_n: int = 5,
    title: str = "Median error by country",
    synthetic: bool = False,
) -> Axes:
    """Colour each country by its median error and write its n on it where there is room.

    Parameters
    ----------
    table : DataFrame
        From `country_medians`.
    min_n : int
        Countries with fewer photos are pale and not labelled.

    Notes
    -----
    Filled outlines if Natural Earth is in the cache, coloured gazetteer places if not.
    """
    ax, _ = projection_of(ax)
    colours = dict(zip(table.index, error_colours(table["median_km"]), strict=True))
    faint = {code for code, n in table["n"].items() if n < min_n}
    found = land.outlines()
    if found is None:
        _colour_places(ax, colours, faint)
    else:
        for outline in (o for o in found if o.country in colours):
            alpha = 0.35 if outline.country in faint else 1.0
            draw_rings(ax, list(outline.rings), zorder=1.5, fc=colours[outline.country],
                       ec=COAST, lw=0.6, alpha=alpha)  # fmt: skip
    _label_counts(ax, table[~table.index.isin(faint)])
    handles = [Patch(fc=c, label=t) for c, t in zip(ERROR_COLOURS, error_labels(), strict=True)]
    handles.append(Patch(fc=ERROR_COLOURS[3], alpha=0.35, label=f"pale: n < {min_n}"))
    legend(ax, handles, title="median error (figures: n)")
    headline(ax, title, synthetic)
    return ax


def _colour_places(ax: Axes, colours: dict[str, str], faint: set[str]) -> None:
    codes = load_gazetteer().places["country"].to_numpy()
    latlon = land.place_dots()
    for code, colour in colours.items():
        mine = latlon[codes == code]
        x, y = ax.geolab_projection.forward(mine[:, 0], mine[:, 1])
        drawn = ax.scatter(x, y, s=3.5, c=colour, lw=0, zorder=1.5, rasterized=True,
                           alpha=0.35 if code in faint else 1.0)  # fmt: skip
        drawn.set_clip_path(ax.geolab_frame)


def _label_counts(ax: Axes, table: pd.DataFrame) -> None:
    """Write n at the middle of each country, most photos first, skipping where it would overlap."""
    places = load_gazetteer().places
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    taken: list[tuple[float, float]] = []
    for code, n in table["n"].items():
        mine = places[places["country"] == code]
        if mine.empty:
            continue
        lat, lon = mine["lat"].median(), mine["lon"].median()
        x, y = (float(v) for v in ax.geolab_projection.forward(lat, lon))
        clash = any(abs(x - a) < 0.035 * (x1 - x0) and abs(y - b) < 0.04 * (y1 - y0)
                    for a, b in taken)  # fmt: skip
        if not clash and x0 < x < x1 and y0 < y < y1:
            taken.append((x, y))
            ax.text(x, y, f"{n:,}", ha="center", va="center", fontsize=10, color=INK,
                    fontweight="bold", path_effects=HALO, zorder=5)  # fmt: skip
