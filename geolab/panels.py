"""How rows are grouped, marked and printed, whatever the output: screen, notebook or file.

Rows are split into panels within which numbers may be compared. A published number carries how sure
its citation is, and the mark is part of the system's name wherever the row is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from geolab.intervals import Estimate
from geolab.rows import MEASURED, Row

COLUMNS = {
    "within_1": "1 km %",
    "within_25": "25 km %",
    "within_200": "200 km %",
    "within_750": "750 km %",
    "within_2500": "2500 km %",
    "median_km": "median km",
    "mean_km": "mean km",
    "score": "score",
    "country": "country %",
    "region": "region %",
    "border": "border %",
    "nll": "nats / sr",
    "claimed_200": "claims 200 km %",
    "ece_200": "ECE 200 km",
    "train_s": "train s",
    "weights_m": "weights M",
}
"""Figures in the order of a table, with their headings."""

COSTS = ("train_s", "weights_m")
"""What a system took to train, beside what it reached."""

CLAIMS = ("nll", "claimed_200", "ece_200")
"""How sure a system is, against how right (`geolab.claims`)."""

SCREEN = tuple(name for name in COLUMNS if name not in ("mean_km", "region"))
"""What a screen shows; files and notebooks have all columns."""

WIDER = ("border", *CLAIMS, *COSTS)
"""Columns that need more than a screen of 100 characters."""

MARKS = {"second-hand": "†", "recomputed": "‡", "approximate": "≈", "conflict": "≠", "no": "?"}
MARK_MEANS = {
    "second-hand": "read in somebody else's table",
    "recomputed": "recomputed from per-image predictions",
    "approximate": "read off a figure",
    "conflict": "sources disagree",
    "no": "recalled, no source seen: not a fact",
}
SYNTHETIC = "synthetic photos, not comparable with published numbers"


@dataclass(frozen=True)
class Panel:
    """Rows that may be read against each other."""

    title: str
    rows: tuple[Row, ...]


def panels(rows: Iterable[Row]) -> list[Panel]:
    """Split rows so that each panel holds numbers that may be compared, in the order met.

    That is one benchmark, one list of photos, and never rendered photos beside real ones. Published
    rows know no list; they join the measured ones if that benchmark has one list here.
    """
    rows = list(rows)
    lists: dict[str, set[str]] = {}
    for row in rows:
        if row.benchmark_hash and not row.synthetic:
            lists.setdefault(row.benchmark, set()).add(row.benchmark_hash)
    split: dict[tuple[str, bool, str], list[Row]] = {}
    for row in rows:
        digest = row.benchmark_hash
        if not digest and not row.synthetic and len(lists.get(row.benchmark, ())) == 1:
            (digest,) = lists[row.benchmark]
        split.setdefault((row.benchmark, row.synthetic, digest), []).append(row)
    return [
        Panel(f"{name} ({SYNTHETIC})" if synthetic else name, tuple(held))
        for (name, synthetic, _), held in split.items()
    ]


def system_name(row: Row) -> str:
    """Name of the system with the mark that its citation needs."""
    mark = MARKS.get(row.verified)
    return f"{row.system} {mark}" if mark else row.system


def figure(name: str, value: float) -> str:
    """One number as a table prints it: per cent and km with the digits that mean something.

    Examples
    --------
    >>> figure("within_25", 37.04), figure("within_1", 0.00038), figure("median_km", 1234.5)
    ('37.0', '0.00038', '1,234')
    """
    if value in (float("inf"), float("-inf")) or value != value:
        return {"inf": "∞", "-inf": "-∞", "nan": "–"}[str(value)]
    if name in ("weights_m", "nll"):
        return f"{value:.2f}"
    if name in ("median_km", "mean_km", "score", "train_s"):
        return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:.2g}" if 0 < abs(value) < 0.1 else f"{value:.1f}"


def interval(name: str, estimate: Estimate) -> str:
    """Return the interval as "low–high", or "" where there is none."""
    if not estimate.has_interval:
        return ""
    ends = [_end(name, value) for value in (estimate.low, estimate.high)]
    return f"{ends[0]} to {ends[1]}" if "-" in "".join(ends) else "–".join(ends)


def _end(name: str, value: float) -> str:
    """End of an interval; decimals of a per cent above ten are noise."""
    whole = abs(value) >= 10 and np.isfinite(value)
    return f"{value:,.0f}" if whole else figure(name, value)


def count(row: Row) -> str:
    """Return n as printed, with the failures in it: ``"237"``, ``"300 (3 failed)"`` or ``"–"``."""
    if not row.n:
        return "–"
    return f"{row.n:,} ({row.failed} failed)" if row.failed else f"{row.n:,}"


def notes(panel: Panel) -> list[str]:
    """What has to be said under a panel for its numbers to be read right."""
    said = [
        f"{MARKS[v]} {MARK_MEANS[v]}" for v in MARKS if any(r.verified == v for r in panel.rows)
    ]
    ours = [row for row in panel.rows if row.source == MEASURED]
    if any(e.has_interval for row in ours for e in row.metrics.values()):
        fewest = min(row.n_groups for row in ours if row.n_groups)
        unit = "photos" if all(row.n_groups == row.n for row in ours) else "groups of photos"
        said.append(f"under a figure: its 95 % bootstrap interval, resampling {fewest:,} {unit}")
        if fewest < 10:
            said.append(f"with {fewest} groups the intervals are rough")
    if any(_never_or_always(row) for row in ours):
        said.append(
            "0 or 100 % of n: the bootstrap sees no spread; the true rate may be 3/n away, or more"
        )
    if any("border" in row.metrics for row in panel.rows):
        said.append(
            "border %: answers inside the polygon of the truth's country; country %: nearest towns "
            "in one country (geolab.borders)"
        )
    if any("nll" in row.metrics for row in panel.rows):
        said.append(
            "nats / sr: negative log-likelihood, 2.53 for a uniform guess, less is better; claims "
            "200 km %: what the system holds likely, beside 200 km %, what came true; ECE: how far "
            "apart the two are, in points (geolab.claims)"
        )
    if any(row.failed for row in ours):
        said.append("a failed photo is a miss: no threshold, score 0, 20,015 km in the mean")
    hashes = sorted({row.benchmark_hash for row in panel.rows if row.benchmark_hash})
    return said + [f"photo list sha256 {digest[:12]}" for digest in hashes]


def _never_or_always(row: Row) -> bool:
    """Whether a fraction is 0 or 100 % with an interval of no width."""
    fractions = [e for name, e in row.metrics.items() if not name.endswith("_km")]
    return any(e.has_interval and e.low == e.high and e.value in (0.0, 100.0) for e in fractions)
