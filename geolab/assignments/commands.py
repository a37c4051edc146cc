"""Commands: `geolab check` for everyone, `geolab assignments build` for the lecturer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from geolab.learn_commands import fail

app = typer.Typer(
    help="Make the folders of the assignments, for students and for the lecturer.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Keep `build` a command of its own, although it is the only one."""


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(help="a1, a2 ...; all if not given.")] = None,
    out: Annotated[Path, typer.Option(help="Gets the folders student and instructor.")] = Path(
        "build/assignments"
    ),
    source: Annotated[
        Path | None, typer.Option(help="Folder of the sources.", show_default="the kit's")
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="A hidden seed; repeat it. Drawn if not given, kept if built before."),
    ] = None,
) -> None:
    """Write student folders with stubs, and instructor folders with solutions and a grader."""
    from geolab.course.terminal import notebooks_folder

    try:
        from geolab.assignments.build import build_assignments
        from geolab.assignments.source import SourceError, find_sources
    except ModuleNotFoundError as error:
        fail(ValueError(f"{error.name} is missing. Run: pip install 'geolab[course]'"))
    try:
        found = find_sources(source or notebooks_folder() / "assignments")
        chosen = [path for path in found if not names or path.stem.split("_")[0] in names]
        if unknown := set(names or []) - {path.stem.split("_")[0] for path in found}:
            raise SourceError(f"no assignment {', '.join(sorted(unknown))} in {found[0].parent}")
        made = build_assignments(chosen, out, hidden_seeds=seed or ())
    except (ValueError, OSError) as error:
        fail(error)
    for one in made:
        typer.echo(f"{one.name}: {one.n_questions} questions, {one.student}, {one.instructor}")


def check(
    name: Annotated[str, typer.Argument(help="a1, or one question: a1.haversine_km.")],
    path: Annotated[Path, typer.Argument(help="Your folder, .py or .ipynb.")] = Path(),
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write the points here, as Gradescope reads them.")
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="Of what is drawn at random; repeat it. $GEOLAB_CHECK_SEED or 0."),
    ] = None,
    pictures: Annotated[Path, typer.Option(help="Where pictures of wrong answers go.")] = Path(
        "build/check"
    ),
) -> None:
    """Check an assignment: points, and a sentence for each answer that is wrong.

    Ends with status 1 when points are missing.
    """
    from geolab.assignments import asking, binding, report
    from geolab.data.storage import write_atomic

    try:
        submission = binding.from_path(name.partition(".")[0], path)
        seeds = seed or asking.seeds_of(None)
        outcomes, said = asking.checked(name, submission, seeds, pictures)
    except (ValueError, OSError) as error:
        if json_:
            refused = {"score": 0, "output": str(error)}
            write_atomic(json_, json.dumps(refused, indent=1) + "\n")
        fail(error)
    typer.echo(said)
    if json_:
        found = report.to_json(outcomes, submission.notes)
        write_atomic(json_, json.dumps(found, indent=1) + "\n")
    earned, possible = report.totals(outcomes)
    if earned < possible:
        raise typer.Exit(1)
