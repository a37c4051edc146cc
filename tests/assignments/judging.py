"""Judge a solution, whole or with a function written anew, as a student's file would be."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from geolab.assignments.binding import Submission
from geolab.assignments.session import Outcome, run_checks
from geolab.assignments.source import Source, answer_file, notebook_for, read_source

SOURCES = Path(__file__).resolve().parents[2] / "notebooks" / "assignments"


@cache
def source_of(slug: str) -> Source:
    return read_source(SOURCES / f"{slug}.py")


@cache
def code_of(slug: str, solution: bool) -> str:
    return answer_file(source_of(slug), solution=solution)


def judge(
    slug: str,
    more: str = "",
    *,
    only: str | None = None,
    seeds: Sequence[int] = (0,),
    solution: bool = True,
) -> list[Outcome]:
    """Outcomes of solution or stubs, followed by code that replaces some of it."""
    names: dict[str, Any] = {}
    for code in (code_of(slug, solution), more):
        exec(compile(code, "student.py", "exec"), names)
    name = source_of(slug).name + (f".{only}" if only else "")
    return run_checks(name, Submission(names, "student.py"), seeds)


def solved_names(slug: str) -> list[str]:
    return [function.name for function in source_of(slug).questions]


def solution_lines(slug: str) -> list[str]:
    """Lines that only the solution has, long enough not to occur by chance."""
    stubs = code_of(slug, False)
    lines = [line.strip() for line in code_of(slug, True).split("\n")]
    found = [line for line in lines if len(line) > 24 and line not in stubs]
    assert len(found) >= len(solved_names(slug))
    return found


def run_notebook(slug: str) -> str:
    """Run the solved notebook's cells; return what they print."""
    names: dict[str, Any] = {"__name__": "notebook"}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for i, cell in enumerate(notebook_for(source_of(slug), solution=True).cells, 1):
            if cell.cell_type == "code":
                exec(compile(cell.source, f"{slug}, cell {i}", "exec"), names)
    return said.getvalue()
