"""The one source of an assignment: text, solution and demonstrations in a jupytext percent file.

`notebooks/assignments/aN_name.py` reads as a notebook. Its cells are

- tagged ``answer``: functions to write. The docstring is the specification; the lines between
  ``# SOLUTION`` and ``# END SOLUTION`` become ``raise NotImplementedError("name: write it, ...")``.
  A block around whole functions is left out altogether.
- tagged ``instructor``: for the lecturer only.
- all others: text, imports and demonstrations, the same for everyone.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from geolab.assignments.statements import DEFINITIONS, STUB, needed, part_of
from geolab.course.notebook import has_tag

ANSWER, INSTRUCTOR = "answer", "instructor"
BEGIN, END = "# SOLUTION", "# END SOLUTION"
_NAME = re.compile(r"(a\d+)(_[a-z0-9]+)+")


class SourceError(ValueError):
    """A source that no assignment can be built from; says which line to change."""


@dataclass(frozen=True)
class Source:
    """An assignment as its author wrote it.

    Attributes
    ----------
    path : Path
    nb : NotebookNode
        All cells, solved.
    """

    path: Path
    nb: NotebookNode

    @property
    def slug(self) -> str:
        """File name without ``.py``, such as "a1_spheres"."""
        return self.path.stem

    @property
    def name(self) -> str:
        """What it is called on the command line, such as "a1"."""
        return self.slug.partition("_")[0]

    @property
    def title(self) -> str:
        """First heading."""
        return self.nb.cells[0].source.split("\n")[0].lstrip("# ").strip()

    @property
    def questions(self) -> list[ast.FunctionDef]:
        """Public functions of the answer cells."""
        bodies = (ast.parse(cell.source).body for cell in self.nb.cells if has_tag(cell, ANSWER))
        return [
            statement
            for body in bodies
            for statement in body
            if isinstance(statement, ast.FunctionDef) and not statement.name.startswith("_")
        ]


def find_sources(folder: Path) -> list[Path]:
    """Sources ``aN_name.py`` of a folder, in order.

    Raises
    ------
    SourceError
        If there is none.
    """
    found = sorted(path for path in folder.glob("a*.py") if _NAME.fullmatch(path.stem))
    if not found:
        raise SourceError(f"no source aN_name.py in {folder}; give --source FOLDER")
    return found


def read_source(path: Path) -> Source:
    """Read a source and see that a student tree can be made from it.

    Raises
    ------
    SourceError
        If jupytext is missing, the first cell is no title, there is no answer cell, a public
        function of an answer cell has no solution block, or a block is not closed.
    """
    try:
        import jupytext
    except ModuleNotFoundError:
        raise SourceError("jupytext is missing. Run: pip install 'geolab[course]'") from None
    nb = jupytext.read(path, fmt="py:percent")
    source = Source(path, nb)
    if not nb.cells or not nb.cells[0].source.startswith("# "):
        raise SourceError(f"{path}: the first cell must be Markdown and begin with '# Title'")
    if not any(has_tag(cell, ANSWER) for cell in nb.cells):
        raise SourceError(f"{path}: no cell is tagged {ANSWER!r}")
    for cell in nb.cells:
        if has_tag(cell, ANSWER):
            _check_answer(path, cell.source)
        elif BEGIN in cell.source and not has_tag(cell, INSTRUCTOR):
            raise SourceError(f"{path}: a solution stands outside the cells tagged {ANSWER!r}")
    return source


def _check_answer(path: Path, text: str) -> None:
    blocks = _blocks(path, text.split("\n"))
    for function in ast.parse(text).body:
        if not isinstance(function, ast.FunctionDef) or function.name.startswith("_"):
            continue
        inside = [b for b in blocks if function.lineno <= b[0] + 1 <= function.end_lineno]
        if len(inside) != 1 or not ast.get_docstring(function):
            raise SourceError(
                f"{path}: {function.name} needs a docstring and one block {BEGIN} ... {END}"
            )


def _blocks(path: Path, lines: list[str]) -> list[tuple[int, int]]:
    """First and last line of each solution block, markers included, from 0."""
    marks = [(i, line.strip()) for i, line in enumerate(lines) if line.strip() in (BEGIN, END)]
    starts, stops = marks[::2], marks[1::2]
    closed = [m for _, m in starts] == [BEGIN] * len(stops) and [m for _, m in stops] == [
        END
    ] * len(starts)
    if not closed:
        raise SourceError(f"{path}: {BEGIN} and {END} must follow each other by turns")
    return [(start, stop) for (start, _), (stop, _) in zip(starts, stops, strict=True)]


def stubbed(text: str, path: Path = Path("source")) -> str:
    r"""Take the solution out of an answer cell.

    Examples
    --------
    >>> print(stubbed("def f(x):\n    # SOLUTION\n    return x\n    # END SOLUTION"))
    def f(x):
        raise NotImplementedError("f: write it, then run the check")
    """
    lines, functions = text.split("\n"), ast.parse(text).body
    for start, stop in reversed(_blocks(path, lines)):
        indent = lines[start][: -len(lines[start].lstrip())]
        owner = next((f for f in functions if f.lineno <= start + 1 <= f.end_lineno), None)
        lines[start : stop + 1] = (
            [f'{indent}raise NotImplementedError("{owner.name}: {STUB}")'] if owner else []
        )
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip()


def solved(text: str) -> str:
    """Take the markers out of an answer cell and keep the solution."""
    lines = [line for line in text.split("\n") if line.strip() not in (BEGIN, END)]
    return "\n".join(lines)


def answer_file(source: Source, *, solution: bool) -> str:
    """Code of the answer cells, with the imports and constants that they use."""
    parts = [
        part_of(i, cell.source)
        for i, cell in enumerate(source.nb.cells, 1)
        if cell.cell_type == "code"
    ]
    answers = {i for i, cell in enumerate(source.nb.cells, 1) if has_tag(cell, ANSWER)}
    statements = [s for part in parts for s in part.tree.body]
    roots = [s for part in parts if part.cell in answers for s in part.tree.body]
    kept = needed(statements, roots)
    others = [(p, s) for p in parts if p.cell not in answers for s in p.tree.body if s in kept]
    lines = [ast.get_source_segment(part.source, s) for part, s in others if not _is_def(s)]
    defined = [ast.get_source_segment(part.source, s) for part, s in others if _is_def(s)]
    change = solved if solution else stubbed
    bodies = [change(source.nb.cells[i - 1].source) for i in sorted(answers)]
    return "\n\n\n".join(["\n".join(lines), *defined, *bodies]) + "\n"


def _is_def(statement: ast.stmt) -> bool:
    return isinstance(statement, DEFINITIONS)


def notebook_for(source: Source, *, solution: bool) -> NotebookNode:
    """Notebook of the student, with stubs, or of the instructor, solved and with all cells."""
    cells = []
    for cell in source.nb.cells:
        if has_tag(cell, INSTRUCTOR) and not solution:
            continue
        new = nbformat.from_dict(cell)
        if has_tag(cell, ANSWER):
            new.source = solved(cell.source) if solution else stubbed(cell.source, source.path)
        cells.append(new)
    told = {"geolab": source.nb.metadata.get("geolab", {})}
    return nbformat.v4.new_notebook(cells=cells, metadata=told)
