"""Commands about other people's numbers: `geolab table --paper` and `geolab score`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geolab.learn_commands import fail

if TYPE_CHECKING:
    from geolab.rows import Row
    from geolab.table_command import Request


@dataclass(frozen=True)
class PaperRequest:
    """What ``geolab table --paper`` was asked for.

    Attributes
    ----------
    name : str
    rows : sequence of Path
        Files of measured rows.
    measure : Request, optional
        Run these systems on the benchmark first.
    json : Path, optional
    command : str
    """

    name: str
    rows: Sequence[Path]
    measure: Request | None
    json: Path | None
    command: str


def show_paper(request: PaperRequest) -> None:
    """Print a table of the literature, ours beside it, and write rows and environment."""
    from geolab.papers.catalogue import find_paper
    from geolab.papers.panels import measured_rows, paper_table, print_paper
    from geolab.papers.provenance import write_environment
    from geolab.rows import write_rows

    try:
        paper = find_paper(request.name)
        if request.measure:
            _measure(request)
        made = paper_table(paper.name, measured_rows(paper, request.rows))
        print_paper(made)
        beside = request.json or Path("build") / "papers" / f"{paper.name}.json"
        if request.json:
            typer.echo(f"rows: {write_rows([*made.published, *made.ours], request.json)}")
        typer.echo(f"environment: {write_environment(beside, request.command)}")
    except (ValueError, OSError) as error:
        fail(error)


def _measure(request: PaperRequest) -> None:
    """Run systems on a benchmark whose photos are there, and keep their rows."""
    from geolab.papers.catalogue import find_paper
    from geolab.papers.truth import require_fetched
    from geolab.table_command import make_table

    require_fetched(find_paper(request.name))
    made = make_table(request.measure)
    for line in (*made.about, *made.findings):
        typer.echo(line)
    keep(made.rows)


def keep(rows: Sequence[Row]) -> None:
    """Keep measured rows for a later ``geolab table --paper``, but never synthetic ones."""
    from geolab.papers.panels import kept_path
    from geolab.tables import record

    real = [row for row in rows if not row.synthetic]
    if real:
        record(real, kept_path())


def score(
    predictions: Annotated[Path, typer.Argument(help="CSV: id or file name, lat, lon.")],
    benchmark: Annotated[
        str, typer.Option(help="im2gps, im2gps3k, yfcc4k, osv5m, tinyearth, or a truth.csv.")
    ],
    system: Annotated[str, typer.Option(help="Name for the table; the file's if empty.")] = "",
    n: Annotated[
        int | None, typer.Option(min=100, help="Size of the shared TinyEarth set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of TinyEarth and of the intervals.")] = 0,
    photo: Annotated[str | None, typer.Option(help="Column that names the photo.")] = None,
    latitude: Annotated[str | None, typer.Option(help="Column of the latitude.")] = None,
    longitude: Annotated[str | None, typer.Option(help="Column of the longitude.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Score a file of predictions, anybody's, by one metric and one n.

    A photo without an answer is a miss. Prints the author's own n and another radius beside it.
    """
    from geolab.evaluation import Options
    from geolab.papers.predictions import read_predictions
    from geolab.papers.provenance import typed, write_environment
    from geolab.papers.score import report, score_predictions
    from geolab.papers.truth import load_truth
    from geolab.rows import write_rows
    from geolab.tables import print_table

    try:
        read = read_predictions(predictions, photo=photo, lat=latitude, lon=longitude)
        truth = load_truth(benchmark, n=n, seed=seed)
        options, command = Options(seed=seed), typed()
        made = score_predictions(read, truth, system=system, options=options, command=command)
        for line in made.about:
            typer.echo(line)
        rows = [row for row in (made.row, made.answered) if row]
        print_table(rows)
        for line in report(made):
            typer.echo(line)
        keep([made.row])
        if json_:
            typer.echo(f"rows: {write_rows(rows, json_)}")
        beside = json_ or Path("build") / "papers" / "score.json"
        typer.echo(f"environment: {write_environment(beside, command)}")
    except (ValueError, OSError) as error:
        fail(error)
