"""Results tables: ours and the field's, on screen, in a notebook and in a file.

    >>> rows = published("im2gps-237")
    >>> "PlaNet" in table(rows).markdown()
    True

Rows are split into panels, one for each benchmark, and synthetic photos never share a panel with
published numbers: a rendered world says nothing about how a method does on the real one.

A published number carries how sure its citation is, and the mark is part of the system's name
wherever the row is shown:

========== === ==================================================================================
yes            read in the authors' own table, README or model card
second-hand †  read in somebody else's table
recomputed ‡   computed from per-image predictions
approximate ≈  read off a figure
conflict   ≠   sources disagree
no         ?   recalled, no source seen: not a fact; only given when asked for
========== === ==================================================================================
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from geolab.intervals import Estimate
from geolab.panels import (
    COLUMNS,
    SCREEN,
    WIDER,
    Panel,
    count,
    figure,
    interval,
    notes,
    panels,
    system_name,
)
from geolab.rows import Row, read_rows, write_rows

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def published(benchmark: str | None = None, *, unverified: bool = False) -> list[Row]:
    """Published numbers of the field, with their sources.

    Parameters
    ----------
    benchmark : str, optional
        "im2gps-237", "im2gps3k", "yfcc4k", "yfcc26k", "gws15k", "osv5m-test", "pigeon-holdout", ...
        All if not given.
    unverified : bool
        Whether to add rows that nobody has seen a source for. They are marked "?".

    Returns
    -------
    list of Row
        By year within a benchmark. `source` cites, `verified` says how sure, n is 0 where unknown.

    Raises
    ------
    KeyError
        If there is no such benchmark; the message lists those that are there.
    """
    text = resources.files("geolab").joinpath("published.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    known = list(dict.fromkeys(line["benchmark"] for line in lines))
    if benchmark is not None and benchmark not in known:
        raise KeyError(f"no published numbers for {benchmark!r}; there are: {', '.join(known)}")
    wanted = [line for line in lines if benchmark in (None, line["benchmark"])]
    return [_published_row(line) for line in wanted if unverified or line["verified"] != "no"]


def _published_row(line: dict[str, str]) -> Row:
    """Turn one line of the CSV into a row without intervals, none being published."""
    return Row(
        system=line["system"],
        benchmark=line["benchmark"],
        n=int(line["n"] or 0),
        failed=0,
        metrics={name: Estimate(float(line[name])) for name in COLUMNS if line.get(name)},
        parameters={"year": int(line["year"])},
        source=line["source"],
        verified=line["verified"],
        note=line["note"],
    )


@dataclass(frozen=True)
class ResultsTable:
    """Rows ready to be shown: `_repr_html_` in a notebook, `__rich__` in a terminal."""

    rows: tuple[Row, ...]
    columns: tuple[str, ...]

    def _repr_html_(self) -> str:
        return "\n".join(_panel_html(panel, self.columns) for panel in panels(self.rows))

    html = _repr_html_

    def __rich__(self) -> Group:
        """Build one rich table a panel; intervals stand under their figures."""
        from rich.console import Group

        return Group(*[_panel_rich(panel, self.columns) for panel in panels(self.rows)])

    def markdown(self) -> str:
        """Return the panels as Markdown tables with their notes."""
        return "\n\n".join(_panel_markdown(panel, self.columns) for panel in panels(self.rows))

    def csv(self) -> str:
        """Return one line a row, with columns for the ends of each interval."""
        return _csv(self.rows, self.columns)


def table(rows: Iterable[Row], columns: Sequence[str] | None = None) -> ResultsTable:
    """Make a table of rows; the last expression of a notebook cell shows it.

    Parameters
    ----------
    rows : iterable of Row
    columns : sequence of str, optional
        Names in `COLUMNS`; all that some row has if not given.
    """
    held = tuple(rows)
    if columns is None:
        columns = [name for name in COLUMNS if any(name in row.metrics for row in held)]
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise KeyError(f"no column {unknown[0]!r}; choose from {', '.join(COLUMNS)}")
    return ResultsTable(held, tuple(columns))


def _cells(row: Row, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Figure and interval of each column, "–" where the row has none."""
    empty = Estimate(float("nan"))
    held = [(name, row.metrics.get(name, empty)) for name in columns]
    return [(figure(name, e.value), interval(name, e)) for name, e in held]


def _panel_rich(panel: Panel, columns: Sequence[str]) -> Table:
    """One rich table. Names go in as `Text`: "[L] kNN" is a system, not markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(panel.title, style="bold"), caption="\n".join(notes(panel)))
    drawn.box, drawn.padding, drawn.pad_edge = box.SIMPLE_HEAD, 0, False
    drawn.caption_justify = drawn.title_justify = "left"
    drawn.add_column("system", min_width=16, overflow="fold")
    for heading in ("n", *(COLUMNS[name] for name in columns)):
        drawn.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    for row in panel.rows:
        cells = [
            Text.assemble(value, (f"\n{ends}" if ends else "", "dim"))
            for value, ends in _cells(row, columns)
        ]
        drawn.add_row(Text(system_name(row)), Text(count(row).replace(" (", "\n(")), *cells)
    return drawn


def _panel_markdown(panel: Panel, columns: Sequence[str]) -> str:
    """One Markdown table, intervals in brackets."""
    lines = [f"**{panel.title}**", ""]
    lines.append("| " + " | ".join(["system", "n", *(COLUMNS[name] for name in columns)]) + " |")
    lines.append("| --- |" + " ---: |" * (1 + len(columns)))
    for row in panel.rows:
        cells = [f"{v} [{ends}]" if ends else v for v, ends in _cells(row, columns)]
        name = system_name(row).replace("|", "\\|")
        lines.append(f"| {name} | {count(row)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(panel))]).rstrip()


def _panel_html(panel: Panel, columns: Sequence[str]) -> str:
    """One HTML table; everything that comes from a row is escaped."""
    heads = "".join(f"<th>{escape(h)}</th>" for h in ("n", *(COLUMNS[name] for name in columns)))
    body = []
    for row in panel.rows:
        cells = "".join(
            f"<td>{value}" + (f"<br><small>{ends}</small>" if ends else "") + "</td>"
            for value, ends in _cells(row, columns)
        )
        name = f'<th scope="row" title="{escape(row.source)}">{escape(system_name(row))}</th>'
        body.append(f"<tr>{name}<td>{escape(count(row))}</td>{cells}</tr>")
    below = "".join(f"<p><small>{escape(note)}</small></p>" for note in notes(panel))
    return (
        f'<table class="geolab"><caption>{escape(panel.title)}</caption>'
        f"<thead><tr><th>system</th>{heads}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>{below}"
    )


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """One line a row, full precision, with the ends of each interval beside its figure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    about = ["benchmark", "system", "n", "failed"]
    ends = [f"{name}{end}" for name in columns for end in ("", "_low", "_high")]
    writer.writerow([*about, *ends, "synthetic", "verified", "source", "note"])
    for row in rows:
        held = [row.metrics.get(name, Estimate(float("nan"))) for name in columns]
        numbers = [x for e in held for x in (e.value, e.low, e.high)]
        cells = ["" if x != x else repr(float(x)) for x in numbers]
        tail = [row.synthetic, row.verified, row.source, row.note]
        writer.writerow([row.benchmark, system_name(row), row.n or "", row.failed, *cells, *tail])
    return out.getvalue()


def print_table(rows: Iterable[Row], *, width: int = 100, columns: Sequence[str] = SCREEN) -> None:
    """Print those of `columns` that some row has, at least `width` characters wide."""
    from rich.console import Console

    held = tuple(rows)
    columns = [name for name in columns if any(name in row.metrics for row in held)]
    console = Console()
    more = sum(name in columns for name in WIDER)  # a column that does not fit would be dropped
    console.width = max(width + 9 * more, console.width)
    console.print(table(held, columns))


def results_path() -> Path:
    """Where `record` keeps rows: results.json in $GEOLAB_COURSE_OUT, or in build/course."""
    return Path(os.environ.get("GEOLAB_COURSE_OUT") or Path("build") / "course") / "results.json"


def record(rows: Iterable[Row], path: Path | None = None) -> Path:
    """Keep rows for the results table of the course, or in a file of their own.

    A row replaces the one of the same system and benchmark, so a notebook can be run again.

    Returns
    -------
    Path
        The file, which other notebooks may be writing at the same time.
    """
    from filelock import FileLock

    path = path or results_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        held = {(r.system, r.benchmark): r for r in (read_rows(path) if path.exists() else [])}
        held |= {(r.system, r.benchmark): r for r in rows}
        return write_rows(list(held.values()), path)
