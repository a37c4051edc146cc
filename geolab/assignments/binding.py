"""How the checks reach an answer: in a notebook that runs, a `.py`, a `.ipynb` or a folder.

The checks see one object, `answers`, and call ``answers.haversine_km(a, b)``. Behind it stands
`adapters.py` of the student's folder, where each question is one function that calls
``student.haversine_km(a, b)``; whoever renames a function changes that line. In that file
``import student`` means whatever is checked, notebook or file. Without the file, a question is the
student's function of the same name.

Of a notebook only definitions are run, and what they need: no plots, no downloads.
"""

from __future__ import annotations

import ast
import importlib.util
import linecache
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from geolab.assignments.explain import wrong
from geolab.assignments.statements import (
    Part,
    defining_parts,
    is_stub,
    notebook_parts,
    readable,
    written,
)

ADAPTERS = "adapters.py"


class SubmissionError(ValueError):
    """What was handed in can't be read; says what to change."""


@dataclass(frozen=True)
class Submission:
    """What is checked.

    Attributes
    ----------
    namespace : dict
        Names of the student's notebook or module.
    label : str
        What to call it: a file name, or "this notebook".
    adapters : Path, optional
        The student's `adapters.py`.
    notes : tuple of str
        What the student should know of the reading.
    """

    namespace: dict[str, Any]
    label: str
    adapters: Path | None = None
    notes: tuple[str, ...] = field(default=())


class Answers:
    """The student's functions, one attribute a question."""

    def __init__(self, functions: Mapping[str, Any], label: str) -> None:
        self._functions, self._label = functions, label

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not callable(self._functions.get(name)):
            _missing(name, self._label)
        return self._functions[name]


def _missing(name: str, label: str) -> None:
    cell = "run the cell that defines it" if label == "this notebook" else "keep the name"
    wrong(f"There is no function `{name}` in {label}: {cell}, or name yours in {ADAPTERS}.")


def answers_of(submission: Submission) -> Answers:
    """Bind the questions to the student's functions.

    Raises
    ------
    SubmissionError
        If `adapters.py` does not run.
    """
    if submission.adapters is None:
        return Answers(submission.namespace, submission.label)
    student = ModuleType("student")
    student.__dict__.update(submission.namespace)
    student.__dict__["__getattr__"] = lambda name: _missing(name, submission.label)
    with _as_student(student):
        return Answers(_run_file(submission.adapters, "adapters"), ADAPTERS)


@contextmanager
def _as_student(module: ModuleType) -> Iterator[None]:
    """Let ``import student`` mean this module, for as long as adapters are read."""
    before = sys.modules.get("student")
    sys.modules["student"] = module
    try:
        yield
    finally:
        if before is None:
            del sys.modules["student"]
        else:
            sys.modules["student"] = before


def from_namespace(name: str, namespace: dict[str, Any], folder: Path | None = None) -> Submission:
    """Take a running notebook, by its ``globals()``; `adapters.py` is sought in its folder."""
    adapters = (folder or Path.cwd()) / ADAPTERS
    return Submission(namespace, "this notebook", adapters if _is_for(adapters, name) else None)


def from_path(name: str, path: Path) -> Submission:
    """Read what was handed in.

    Parameters
    ----------
    name : str
        Of the assignment, such as "a1".
    path : Path
        A `.py`, a `.ipynb`, or a folder of them; of several files that with most written answers
        is taken.

    Raises
    ------
    SubmissionError
        If there is no such file, or it can't be read or run.
    """
    file, notes = (_choose(path), ()) if path.is_file() else _choose_in(name, path)
    adapters = file.parent / ADAPTERS
    namespace = _run_notebook(file) if file.suffix == ".ipynb" else _run_file(file, "student")
    found = adapters if _is_for(adapters, name) else None
    return Submission(namespace, file.name, found, notes)


def _choose(path: Path) -> Path:
    if path.suffix not in (".py", ".ipynb"):
        raise SubmissionError(f"{path}: give a .py, a .ipynb or the folder of the assignment")
    return path


def _choose_in(name: str, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """File of a folder with the most written answers, and a note on what was left aside."""
    if not folder.is_dir():
        raise SubmissionError(f"{folder}: no such file or folder")
    files = [*sorted(folder.glob(f"{name}*.ipynb")), *sorted(folder.glob("student.py"))]
    files = files or [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("solution.py"))]
    if not files:
        raise SubmissionError(
            f"{folder} holds no {name}_*.ipynb and no student.py; give the folder of the assignment"
        )
    done = {file: written(readable(file)) for file in files}
    file = max(files, key=done.__getitem__)
    others = [other.name for other in files if other != file and _has_answers(other)]
    note = f"{file.name} was checked; {', '.join(others)} has fewer answers and was not."
    return file, (note,) if others else ()


def _has_answers(path: Path) -> bool:
    functions = [s for s in readable(path) if isinstance(s, ast.FunctionDef)]
    return not all(is_stub(function) for function in functions)


def _is_for(adapters: Path, name: str) -> bool:
    """Whether a file is the adapters of this assignment and not of another in the same folder."""
    return adapters.is_file() and f"ASSIGNMENT = {name!r}".replace("'", '"') in adapters.read_text(
        encoding="utf-8"
    )


def _run_file(path: Path, module: str) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(module, path)
    made = importlib.util.module_from_spec(spec)
    linecache.checkcache(str(path))
    try:
        code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        exec(code, made.__dict__)
    except Exception as error:
        raise SubmissionError(_could_not(path.name, error)) from error
    return made.__dict__


def _run_notebook(path: Path) -> dict[str, Any]:
    """Run the definitions of a notebook, and what they need."""
    namespace: dict[str, Any] = {"__name__": "student", "__file__": str(path)}
    try:
        for part in defining_parts(notebook_parts(path)):
            _run_part(part, path, namespace)
    except Exception as error:
        raise SubmissionError(_could_not(path.name, error)) from error
    return namespace


def _run_part(part: Part, path: Path, namespace: dict[str, Any]) -> None:
    file = f"{path.name}, cell {part.cell}"
    linecache.cache[file] = (len(part.source), None, part.source.splitlines(True), file)
    exec(compile(part.tree, file, "exec"), namespace)


def _could_not(name: str, error: Exception) -> str:
    where = f" (line {error.lineno}: `{(error.text or '').strip()}`)" if _has_line(error) else ""
    said = error.msg if isinstance(error, SyntaxError) else error
    return f"{name} does not run: {type(error).__name__}: {said}{where}"


def _has_line(error: Exception) -> bool:
    return isinstance(error, SyntaxError) and error.lineno is not None
