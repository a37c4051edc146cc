"""One system, several sources: where the published numbers differ.

Rows that mean the same system are found by the name before the first " (", which is where
`published.csv` says whose copy a row is. A copy that differs is a conflict. A run by somebody else
is not, but its gap to the paper says what a reader can hope to reproduce.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geolab.panels import COLUMNS, figure
from geolab.rows import Row

_SAME = {
    "Im2GPS 1-NN": "Im2GPS",
    "Img2Loc GPT-4V": "Img2Loc",
    "GeoCLIP package, stored top-1 of a third party": "GeoCLIP",
    "G3 (LLaVA)": "G3 (LLaVA)",
}
"""Names that the rule gets wrong: one system under two names, or two under one."""

_RUN_AGAIN = ("reproduc", "run by", "package")
TOLERANCE = {"median_km": 1.0, "mean_km": 1.0, "score": 1.0}
"""Differences up to here are rounding; for shares 0.05 points."""


@dataclass(frozen=True)
class Conflict:
    """Two rows of one system that differ.

    Attributes
    ----------
    system : str
    one, other : Row
        `one` is the row that the others are held against: the first that is no re-run.
    figures : tuple of str
        Names of the metrics that differ.
    run_again : bool
        Whether the other row is somebody's own run, not a copy of the same number.
    """

    system: str
    one: Row
    other: Row
    figures: tuple[str, ...]
    run_again: bool


def family(name: str) -> str:
    """Which system a row is about.

    >>> family("PIGEOTTO (as re-reported by GeoSURGE; conflicts with 14.8)"), family("base(L,m)")
    ('PIGEOTTO', 'base(L,m)')
    """
    if name in _SAME:
        return _SAME[name]
    plain = name.partition(" (")[0].removesuffix(" country->city")
    return _SAME.get(plain, plain)


def is_run_again(row: Row) -> bool:
    """Whether somebody else ran the system, by the row's name."""
    return any(word in row.system for word in _RUN_AGAIN)


def find_conflicts(rows: Sequence[Row]) -> list[Conflict]:
    """Pairs of rows of one benchmark that tell different numbers of one system.

    Parameters
    ----------
    rows : sequence of Row
        As `geolab.tables.published` gives them.

    Returns
    -------
    list of Conflict
        In the order of the rows; copies and re-runs of a system follow each other.
    """
    families: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        families.setdefault((row.benchmark, family(row.system)), []).append(row)
    found = []
    for (_, name), held in families.items():
        held = sorted(held, key=lambda row: (is_run_again(row), row.verified == "conflict"))
        for i, other in enumerate(held):
            for one in held[:i]:
                figures = differing(one, other)
                if figures:
                    found.append(Conflict(name, one, other, figures, is_run_again(other)))
                    break
    return found


def differing(one: Row, other: Row) -> tuple[str, ...]:
    """Metrics that both rows have and that differ by more than rounding."""
    shared = [name for name in COLUMNS if name in one.metrics and name in other.metrics]
    gaps = {name: abs(one.metrics[name].value - other.metrics[name].value) for name in shared}
    return tuple(name for name in shared if gaps[name] > TOLERANCE.get(name, 0.05) + 1e-9)


def describe(conflict: Conflict, reference: dict[str, str]) -> str:
    """Write one conflict as a line.

    Parameters
    ----------
    reference : dict of str to str
        Source to what cites it, such as "[3]".
    """
    pairs = [
        f"{COLUMNS[name]} {figure(name, conflict.one.metrics[name].value)} and "
        f"{figure(name, conflict.other.metrics[name].value)}"
        for name in conflict.figures
    ]
    kind = "run by others" if conflict.run_again else "two sources"
    cited = " and ".join(reference[row.source] for row in (conflict.one, conflict.other))
    return f"{conflict.system}, {kind} {cited}: {'; '.join(pairs)}"
