"""The command line: `geolab COMMAND --help` says what each command does.

Everything heavy is imported inside the command that needs it, so help comes at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from geolab import __version__
from geolab.api_pages import docs
from geolab.assignments.commands import app as assignments_app
from geolab.assignments.commands import check
from geolab.learn_commands import ablation, embed, fail, pretrain
from geolab.papers.commands import PaperRequest, keep, score, show_paper
from geolab.play.command import play
from geolab.verify_command import verify

app = typer.Typer(
    help="Image geolocation: where on Earth was this photo taken, from its pixels alone?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"geolab {__version__}")
        raise typer.Exit


def _picture(path: Path) -> Path:
    """Refuse a map that is no PNG before minutes are spent on what it shows."""
    if path.suffix.lower() != ".png":
        raise typer.BadParameter(f"{path}: the map is a picture; give a name that ends in .png")
    return path


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Say where on Earth a photo was taken, from its pixels alone."""


@app.command()
def course(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Notebooks to build: 01, or the beginning of a name. All if not given."
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Reader size; preview size if not.")] = False,
    out: Annotated[Path, typer.Option(help="Where pages, figures, maps and the table go.")] = Path(
        "build/course"
    ),
    force: Annotated[bool, typer.Option("--force", help="Run unchanged notebooks too.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks run at the same time.")] = 1,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one cell may take.")] = 1800,
    notebooks: Annotated[
        Path | None, typer.Option(help="Folder of the notebooks.", show_default="the kit's")
    ] = None,
) -> None:
    """Run the notebooks and render them as a course that opens without a network.

    Unchanged notebooks are not run again. A notebook that fails is shown with its error, the others
    go on, and the command ends with status 1.
    """
    try:
        from geolab.course.terminal import build_in_terminal
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("geolab"):
            raise
        typer.echo(f"{error.name} is missing. Run: pip install 'geolab[course]'", err=True)
        raise typer.Exit(2) from None

    build_in_terminal(
        names or [], out, notebooks, full=full, force=force, jobs=jobs, timeout=timeout
    )


@app.command()
def table(
    benchmark: Annotated[
        str | None, typer.Option(help="CSV, folder, fetched data set or tinyearth.")
    ] = None,
    paper: Annotated[
        str | None, typer.Option(help="Published rows: im2gps, im2gps3k, yfcc4k, gws15k ...")
    ] = None,
    rows: Annotated[
        list[Path] | None, typer.Option(help="Measured rows (JSON) to stand beside a paper's.")
    ] = None,
    locator: Annotated[
        str | None, typer.Option(help="Systems, with commas, or all; im2gps if not given.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Like --benchmark; the benchmark itself, by turns, if not given."),
    ] = None,
    n: Annotated[int | None, typer.Option(min=1, help="Take so many photos, at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of sampling, systems and intervals.")] = 0,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
    map_: Annotated[
        Path, typer.Option("--map", callback=_picture, help="Write the error map here, as PNG.")
    ] = Path("build/table.png"),
) -> None:
    """Score a locator on a benchmark, or print a paper's table with our rows beside it.

    References that share a source or a place with a photo never answer it.
    """
    from geolab.papers.provenance import typed, write_environment
    from geolab.rows import write_rows
    from geolab.table_command import Request, draw_map, make_table
    from geolab.tables import print_table

    if (benchmark is None) == (paper is None):
        fail(ValueError("give --benchmark to measure, or --paper to read; geolab table --help"))
    command = typed()
    what = Request(
        benchmark or str(paper), locator or "im2gps", reference, n, seed, command=command
    )
    if paper:
        show_paper(PaperRequest(paper, rows or (), what if locator else None, json_, command))
        return
    try:
        made = make_table(what)
    except (ValueError, OSError) as error:
        fail(error)
    for line in made.about:
        typer.echo(line)
    print_table(made.rows)
    for line in made.findings:
        typer.echo(line)
    try:
        if json_:
            typer.echo(f"rows: {write_rows(made.rows, json_)}")
        typer.echo(f"map: {draw_map(made, map_)}")
        keep(made.rows)
        typer.echo(f"environment: {write_environment(json_ or map_, command)}")
    except (ValueError, OSError) as error:
        fail(error)


@app.command()
def locate(
    photos: Annotated[list[Path], typer.Argument(help="Your own photos; with --album a folder.")],
    reference: Annotated[
        str, typer.Option(help="Whose places can be named: CSV, folder, data set or tinyearth.")
    ] = "tinyearth",
    locator: Annotated[str, typer.Option(help="Which system.")] = "im2gps",
    top: Annotated[int, typer.Option(min=1, help="Cities to print for each photo.")] = 5,
    n: Annotated[int | None, typer.Option(min=1, help="Take so many references.")] = None,
    seed: Annotated[int, typer.Option(help="Of sampling and system.")] = 0,
    map_: Annotated[
        Path, typer.Option("--map", callback=_picture, help="Write the map here, as PNG.")
    ] = Path("build/locate.png"),
    album: Annotated[
        bool, typer.Option("--album", help="Photos of one trip: a page to confirm places on.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="Decisions of that page, to write into copies.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The album's page, or the copies.")] = None,
    replace_gps: Annotated[bool, typer.Option(help="Copies may lose a position they have.")] = (
        False
    ),
) -> None:
    """Say where photos may have been taken, to the city.

    The answer is only as good as the reference set, which is named with it. With --album the photos
    of a folder inform each other, and copies get the places that were confirmed by hand.
    """
    from geolab.locate_command import fit_references, lines, locate_photos
    from geolab.locators.table_systems import SINGLE

    try:
        if locator not in SINGLE:  # before minutes are spent on the references
            raise ValueError(f"no locator {locator!r}; there are: {', '.join(SINGLE)}")
        if album:
            from geolab.own_photos.command import album_command

            step = {"write": write, "out": out, "replace_gps": replace_gps}
            asked = {"reference": reference, "locator": locator, "n": n, "seed": seed, "top": top}
            for line in album_command(photos, **step, **asked):
                typer.echo(line)
            return
        if write or out or replace_gps:
            raise ValueError("--write, --out and --replace-gps go with --album")
        system, said = fit_references(reference, locator, n=n, seed=seed)
        located = locate_photos(photos, system, said, top=top, map_path=map_)
    except (ValueError, OSError) as error:
        fail(error)
    for line in lines(located, said):
        typer.echo(line)
    if all(photo.error for photo in located):
        raise typer.Exit(1)
    typer.echo(f"map: {map_}")


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets, models or assets.")] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Print what there is, with licence.")
    ] = False,
) -> None:
    """Download data sets and assets, verified, into the cache; $GEOLAB_MIRROR is asked first."""
    from geolab.data.errors import DataError
    from geolab.data.manifest import fetch as fetch_one
    from geolab.data.manifest import list_manifests, load_manifest
    from geolab.environment import without_home

    if list_ or not names:
        width = max(map(len, list_manifests()))
        for name in list_manifests():
            manifest = load_manifest(name)
            typer.echo(f"{name:<{width}}  {manifest.title}. Licence: {manifest.licence}.")
        raise typer.Exit
    failed = False
    for name in names:
        try:
            typer.echo(f"{name}: {without_home(fetch_one(name))}")
        except (DataError, OSError) as error:
            failed = True
            typer.secho(str(error), fg="red", err=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def bench(
    kernels: Annotated[
        list[str] | None,
        typer.Argument(help="haversine, topk, ... or descriptors. All if not given."),
    ] = None,
    big: Annotated[
        bool, typer.Option("--big", help="Also what needs gigabytes or minutes.")
    ] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the record here.")] = None,
) -> None:
    """Time the kernels beside the libraries that people use instead, and compare the answers.

    About five minutes on two cores. Ends with status 1 when answers differ.
    """
    from geolab.bench import run
    from geolab.bench.report import differs

    try:
        record = run(kernels or [], big=big, json=json_)
    except (ValueError, OSError) as error:
        fail(error)
    if any(map(differs, record["cases"])):
        raise typer.Exit(1)


@app.command()
def env(
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Print what a bug report needs: versions, processor, GPU, memory, cache folder."""
    from geolab.environment import report, text

    found = report()
    typer.echo(json.dumps(found, indent=1) if as_json else text(found))


for _command in (ablation, check, docs, embed, play, pretrain, score, verify):
    app.command()(_command)
app.add_typer(assignments_app, name="assignments")

if __name__ == "__main__":
    app()
