"""One paper table for screen, notebook and file.

    paper_table("im2gps3k")                            # in a notebook: shows itself
    print_paper(paper_table("im2gps3k", my_rows))      # in a terminal

Published rows carry their year before the name, and behind it what was read where: a number in
brackets for the source, a mark for how sure the citation is. Rows that nobody has seen a source for
are left out and counted. Our own rows stand in panels of their own, synthetic ones apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from geolab.panels import COLUMNS, figure
from geolab.papers.catalogue import Paper, availability, find_paper, is_fetched
from geolab.papers.conflicts import Conflict, describe, find_conflicts
from geolab.papers.counts import by_luck, decimals_of, half_width, is_possible, n_possible
from geolab.rows import MEASURED, Row, read_rows
from geolab.tables import print_table, published, results_path, table

if TYPE_CHECKING:
    from geolab.tables import ResultsTable

SHARES = tuple(name for name in COLUMNS if name.startswith("within_"))


@dataclass(frozen=True)
class Section:
    """A heading, perhaps a table, and lines below it."""

    heading: str
    rows: tuple[Row, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """Published rows, their sources and conflicts, and measured rows apart from them.

    Attributes
    ----------
    paper : Paper
    published : tuple of Row
        With a source that somebody has seen.
    left_out : int
        Rows without one.
    conflicts : tuple of Conflict
    ours : tuple of Row
    """

    paper: Paper
    published: tuple[Row, ...]
    left_out: int
    conflicts: tuple[Conflict, ...]
    ours: tuple[Row, ...]

    def sections(self) -> list[Section]:
        """All that is shown, top to bottom."""
        reference = references(self.published)
        title = f"{self.paper.title}: published"
        parts = [Section(title, cited(self.published, reference), tuple(self._notes(reference)))]
        if self.conflicts:
            lines = [describe(conflict, reference) for conflict in self.conflicts]
            parts.append(Section("Where sources differ", lines=tuple(lines)))
        if counted := arithmetic(self.paper, self.published, reference):
            parts.append(Section("What the figures say of n", lines=tuple(counted)))
        parts.append(Section("Photos", lines=tuple(availability(self.paper))))
        return [*parts, *self._measured()]

    def _notes(self, reference: dict[str, str]) -> list[str]:
        """Sources, remarks, and what was left out."""
        lines = [f"{number} {source}" for source, number in reference.items()]
        remarks: dict[str, list[str]] = {}
        for row in self.published:
            remarks.setdefault(row.note, []).append(row.system)
        for remark, systems in remarks.items():
            if remark:
                who = systems[0] if len(systems) == 1 else f"{len(systems)} rows"
                lines.append(f"{who}: {remark}")
        if self.left_out:
            lines.append(
                f"left out, because nobody saw a source: {self.left_out} of the rows known"
            )
        return lines

    def _measured(self) -> list[Section]:
        """Our rows by kind, or what to type to get some."""
        if not self.ours:
            return [Section("Measured by us: nothing yet", lines=tuple(next_action(self.paper)))]
        parts = []
        for synthetic, heading in ((False, "Measured by us"), (True, "Measured by us, synthetic")):
            rows = tuple(row for row in self.ours if row.synthetic == synthetic)
            lines = [provenance(row) + self._other_list(row) for row in rows]
            if rows:
                parts.append(Section(heading, rows, tuple(lines)))
        return parts

    def _other_list(self, row: Row) -> str:
        """Warn where a real row is not on the list of the paper."""
        if row.synthetic or not self.paper.n or row.n == self.paper.n:
            return ""
        return f"; ATTENTION: n is not the table's {self.paper.n:,}, so this is another list"

    def _repr_html_(self) -> str:
        return "\n".join(_html(section) for section in self.sections())

    html = _repr_html_

    def markdown(self) -> str:
        """Return everything as Markdown."""
        return "\n\n".join(_markdown(section) for section in self.sections()) + "\n"


def paper_table(name: str, rows: Iterable[Row] = ()) -> PaperTable:
    """Gather a table of the literature.

    Parameters
    ----------
    name : str
        One of `geolab.papers.catalogue.PAPERS`.
    rows : iterable of Row, optional
        Measured ones, to be shown in a panel of their own.

    Raises
    ------
    ValueError
        Unknown name; the message lists those that are there.
    """
    paper = find_paper(name)
    known = published(paper.benchmark)
    everything = published(paper.benchmark, unverified=True)
    left_out = len(everything) - len(known)
    return PaperTable(paper, tuple(known), left_out, tuple(find_conflicts(known)), tuple(rows))


def references(rows: Sequence[Row]) -> dict[str, str]:
    """Number of each source, in the order met."""
    sources = dict.fromkeys(row.source for row in rows)
    return {source: f"[{i}]" for i, source in enumerate(sources, 1)}


def cited(rows: Sequence[Row], reference: dict[str, str]) -> tuple[Row, ...]:
    """Rows with year and source in the name."""
    names = [f"{r.parameters['year']} {r.system} {reference[r.source]}" for r in rows]
    return tuple(replace(row, system=name) for row, name in zip(rows, names, strict=True))


def arithmetic(paper: Paper, rows: Sequence[Row], reference: dict[str, str]) -> list[str]:
    """What n alone says of the figures: their noise, and which of them n photos cannot give."""
    if not paper.n:
        return ["n is not published: no interval can be given, not even a rough one"]
    lines = [
        f"n = {paper.n:,}: one photo is {100 / paper.n:.2g} points; a share near 50 % has a 95 % "
        f"interval of ± {half_width(50, paper.n):.1f} points if photos were independent, and a "
        "wider one as they are not"
    ]
    for row in rows:
        shares = [row.metrics[name].value for name in SHARES if name in row.metrics]
        if not shares or row.verified == "recomputed":
            continue
        decimals = decimals_of(shares)
        if by_luck(paper.n, decimals) >= 1:
            continue
        odd = [f"{s:g}" for s in shares if not is_possible(s, paper.n, decimals)]
        others = [m for m in paper.other_n if n_possible(shares, m) == len(shares)]
        if odd:
            lines.append(
                f"{row.system} {reference[row.source]}: not a share of {paper.n:,} photos: "
                f"{', '.join(odd)}" + "".join(f"; all fit n = {m:,}" for m in others)
            )
    if len(lines) > 1:
        lines.append(
            "such a figure has another n, is a mean of runs, or a slip: it cannot say which"
        )
    return [*lines, *_told_apart(paper, rows)]


def _told_apart(paper: Paper, rows: Sequence[Row]) -> list[str]:
    """How many rows with two decimals or more fit each n that is in use."""
    copied = [row for row in rows if row.verified != "recomputed"]  # those have our own n
    fine = [[r.metrics[s].value for s in SHARES if s in r.metrics] for r in copied]
    fine = [shares for shares in fine if shares and decimals_of(shares) >= 2]
    if not fine or not paper.other_n:
        return []
    fits = {m: sum(n_possible(s, m) == len(s) for s in fine) for m in (paper.n, *paper.other_n)}
    said = ", ".join(f"n = {m:,} fits {k}" for m, k in fits.items())
    return [f"of {len(fine)} rows with two decimals, in all their figures: {said}"]


def provenance(row: Row) -> str:
    """What it takes to repeat a measured row: n, command, seed, weights, list of photos."""
    parts = [f"n = {row.n:,}", f"seed {row.seed}"]
    if weights := row.parameters.get("weights"):
        parts.append(f"weights {weights}")
    if digest := row.parameters.get("predictions_sha256"):
        parts.append(f"predictions sha256 {digest[:12]}")
    if row.benchmark_hash:
        parts.append(f"photo list sha256 {row.benchmark_hash[:12]}")
    if row.source != MEASURED:
        parts.append(row.source)
    return f"{row.system}: {', '.join(parts)}" + (f"; {row.command}" if row.command else "")


def next_action(paper: Paper) -> list[str]:
    """What to type for rows of our own."""
    if paper.name == "pigeon-ablation":
        rows = f"geolab table --paper {paper.name} --rows ablation.json"
        return ["geolab ablation --json ablation.json", f"{rows}   (synthetic, a panel of its own)"]
    if not paper.manifest:
        return ["There are no photos to measure on."]
    table_line = f"geolab table --paper {paper.name} --locator clip --reference YOUR.csv"
    score_line = f"geolab score predictions.csv --benchmark {paper.manifest}"
    if is_fetched(paper):
        return [f"The photos' table is here. Run: {table_line}", f"or: {score_line}"]
    return [
        "Once the photos' table is where it belongs (see above):",
        table_line,
        score_line,
        f"geolab table --paper {paper.name} --rows rows.json, for rows that are measured already",
    ]


def kept_path() -> Path:
    """Where ``geolab table`` and ``geolab score`` keep their rows."""
    return Path("build") / "papers" / "rows.json"


def measured_rows(paper: Paper, given: Sequence[Path] = ()) -> list[Row]:
    """Rows of the files given; without any, those on this benchmark that were kept before.

    Raises
    ------
    ValueError, OSError
        A file that is absent or holds no rows.
    """
    if given:
        return [row for path in given for row in read_rows(path)]
    names = {paper.name, paper.manifest, paper.benchmark} - {""}
    held: dict[tuple[str, str, str], Row] = {}
    for path in (results_path(), kept_path()):
        for row in read_rows(path) if path.exists() else []:
            if row.benchmark.partition(",")[0] in names and not row.synthetic:
                held[row.system, row.benchmark, row.benchmark_hash] = row
    return list(held.values())


def print_paper(made: PaperTable) -> None:
    """Print all sections; tables at least 120 characters wide."""
    for section in made.sections():
        print(f"\n{section.heading}")
        if section.rows:
            print_table(section.rows, width=120, columns=tuple(COLUMNS))
        for line in section.lines:
            print(f"  {line}")


def _shown(rows: Sequence[Row]) -> ResultsTable:
    return table(rows, [name for name in COLUMNS if any(name in row.metrics for row in rows)])


def _html(section: Section) -> str:
    body = _shown(section.rows).html() if section.rows else ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in section.lines)
    return f"<h4>{escape(section.heading)}</h4>{body}" + (f"<ul>{lines}</ul>" if lines else "")


def _markdown(section: Section) -> str:
    body = [_shown(section.rows).markdown()] if section.rows else []
    lines = ["\n".join(f"- {line}" for line in section.lines)] if section.lines else []
    return "\n\n".join([f"### {section.heading}", *body, *lines])


def gaps(conflicts: Sequence[Conflict], n: int) -> list[tuple[str, float, float]]:
    """Conflicts about shares as numbers: what, difference in points, and in photos of n.

    Returns
    -------
    list of (str, float, float)
        Largest first.
    """
    found = []
    for c in conflicts:
        for name in (name for name in c.figures if name in SHARES):
            gap = c.other.metrics[name].value - c.one.metrics[name].value
            said = figure(name, c.one.metrics[name].value)
            found.append((f"{c.system}, {COLUMNS[name]} {said}", gap, abs(gap) * n / 100))
    return sorted(found, key=lambda item: -abs(item[1]))
