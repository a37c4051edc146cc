"""`geolab course` as a person sees it: a bar, a line for each notebook, a status for a script."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from geolab.course.build import Options, Outcome, build_course
from geolab.course.notebook import CourseError, find_notebooks
from geolab.course.render import minutes
from geolab.data.errors import DataError


def build_in_terminal(
    names: Sequence[str],
    out: Path,
    notebooks: Path | None,
    *,
    full: bool,
    force: bool,
    jobs: int,
    timeout: float,
) -> None:
    """Build the course with a progress bar.

    Parameters
    ----------
    names, out, notebooks
        Which notebooks (all if empty), the build folder, and the folder of the notebooks, which
        is found beside the package or in the working folder if not given.
    full, force, jobs, timeout
        As in `geolab.course.build.Options`.

    Raises
    ------
    typer.Exit
        With status 1 if a notebook failed, 2 if the request makes no sense, 130 after Ctrl-C.
    """
    # A kernel that is ended by force leaves a poll behind; that is no news.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    console = Console(highlight=False, soft_wrap=True)
    try:
        folder = notebooks or notebooks_folder()
        course, chosen = find_notebooks(folder), find_notebooks(folder, names)
    except CourseError as error:
        console.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(2) from None
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    # A log file gets the lines only.
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    watch = _Watch(bar, console, len(chosen))
    options = Options(full, force, jobs, timeout)
    try:
        with bar:
            outcomes = build_course(
                chosen, out, options, course=course, on_cell=watch.cell, on_done=watch.done
            )
    except KeyboardInterrupt:
        console.print(f"[yellow]Stopped. What is finished is in {escape(str(out))}.[/yellow]")
        raise typer.Exit(130) from None
    except DataError as error:  # such as a full disk
        console.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(1) from None
    for outcome in outcomes:
        for address in outcome.outside:
            console.print(f"[yellow]{outcome.entry.stem} would load {escape(address)}[/yellow]")
    console.print(f"{escape(str(out / 'index.html'))}")
    if not all(outcome.ok for outcome in outcomes):
        raise typer.Exit(1)


def notebooks_folder() -> Path:
    """Find the notebooks: beside the package in a checkout, else in the working folder."""
    beside = Path(__file__).resolve().parents[2] / "notebooks"
    return beside if beside.is_dir() else Path("notebooks")


class _Watch:
    def __init__(self, bar: Progress, console: Console, n_notebooks: int) -> None:
        self.bar, self.console, self.n_notebooks, self.n_done = bar, console, n_notebooks, 0
        self.all = bar.add_task("course", total=n_notebooks)
        self.tasks: dict[str, int] = {}

    def cell(self, stem: str, done: int, total: int) -> None:
        if stem not in self.tasks:
            self.tasks[stem] = self.bar.add_task(stem, total=total)
        self.bar.update(self.tasks[stem], completed=done)

    def done(self, outcome: Outcome) -> None:
        entry = outcome.entry
        self.n_done += 1
        self.bar.advance(self.all)
        if entry.stem in self.tasks:
            self.bar.remove_task(self.tasks[entry.stem])
        said = f"[red]failed[/red] {escape(str(entry.error))}" if entry.error else "ran"
        said = said if outcome.fresh else "unchanged"
        took = f" {minutes(entry.seconds)}, {entry.peak_gb:.1f} GB" if outcome.fresh else ""
        self.console.print(f"{self.n_done}/{self.n_notebooks} {entry.stem}: {said}{took}")
