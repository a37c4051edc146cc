"""Make the folders of an assignment: one for students, one for the lecturer, from one source.

::

    student/a1_spheres/       a1_spheres.ipynb  student.py  adapters.py  README.md
    instructor/a1_spheres/    a1_spheres.ipynb  solution.py adapters.py  seeds.json  gradescope/

Each folder is written beside its place and moved there when it is complete. One that was changed
since the last build is kept in the folder `before`.
"""

from __future__ import annotations

import ast
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geolab.assignments import gradescope
from geolab.assignments.binding import ADAPTERS
from geolab.assignments.source import Source, SourceError, answer_file, notebook_for, read_source

N_HIDDEN = 3
_STUDENT_README = """\
# {title}

1. Work in `{slug}.ipynb`, or, if you prefer an editor, in `student.py`: the same questions.
2. Each question is a function. Its docstring is the specification.
3. Check as often as you like. In the notebook: `check("{name}", globals())`, or one question,
   `check("{name}.{first}", globals())`. In a shell: `geolab check {name}`.
4. The checks reach your answers through `adapters.py` only: who renames a function, mends it there.
5. Hand in the file that you worked in, and `adapters.py` if you changed it.
   It is graded by the same checks with other random numbers.
"""
_INSTRUCTOR_README = """\
# {title}: for the lecturer

- `{slug}.ipynb` and `solution.py` are solved; `geolab check {name} solution.py` gives full marks.
- `seeds.json` holds the seeds that students don't know. Grade a submission, or a folder, with
  `geolab check {name} FOLDER --json results.json {seeds}`.
- `gradescope/` is what Gradescope wants: zip its content, upload it as the autograder. `setup.sh`
  installs the kit from its repository, or from a wheel that you put beside it.
- A submission runs in the process that checks it. Look at the code of whoever has full marks.
"""


@dataclass(frozen=True)
class Built:
    """Folders of one assignment."""

    name: str
    student: Path
    instructor: Path
    n_questions: int


def build_assignments(
    sources: Sequence[Path], out: Path, *, hidden_seeds: Sequence[int] = ()
) -> list[Built]:
    """Write the student and the instructor tree of each source.

    Parameters
    ----------
    sources : sequence of Path
        Files ``aN_name.py``.
    out : Path
        Gets the folders `student` and `instructor`.
    hidden_seeds : sequence of int
        Seeds of the grading; those of an earlier build are kept, else new ones are drawn.

    Raises
    ------
    SourceError
        If a source is not as it has to be.
    """
    return [_build(read_source(path), out, hidden_seeds) for path in sources]


def _build(source: Source, out: Path, hidden_seeds: Sequence[int]) -> Built:
    student, instructor = out / "student" / source.slug, out / "instructor" / source.slug
    seeds = list(hidden_seeds) or _seeds_of(instructor) or _new_seeds()
    _write_tree(student, _student_files(source))
    _write_tree(instructor, _instructor_files(source, seeds))
    return Built(source.name, student, instructor, len(source.questions))


def _student_files(source: Source) -> dict[str, str]:
    words = {"title": source.title, "slug": source.slug, "name": source.name}
    about = f'"""{source.title}: your answers. Each docstring is a specification.\n\n'
    about += f'Check them with: geolab check {source.name}\n"""\n\n'
    files = {
        f"{source.slug}.ipynb": _notebook_text(source, solution=False),
        "student.py": about + answer_file(source, solution=False),
        ADAPTERS: adapters(source),
        "README.md": _STUDENT_README.format(first=source.questions[0].name, **words),
    }
    marked = [name for name, text in files.items() if "SOLUTION" in text]
    if marked:
        raise SourceError(f"{source.path}: a solution's mark would reach {', '.join(marked)}")
    return files


def _instructor_files(source: Source, seeds: Sequence[int]) -> dict[str, str]:
    words = {"title": source.title, "slug": source.slug, "name": source.name}
    options = " ".join(f"--seed {seed}" for seed in seeds)
    files = {
        f"{source.slug}.ipynb": _notebook_text(source, solution=True),
        "solution.py": f'"""{source.title}: solved."""\n\n' + answer_file(source, solution=True),
        ADAPTERS: adapters(source),
        "seeds.json": json.dumps({"public": 0, "hidden": list(seeds)}, indent=1) + "\n",
        "README.md": _INSTRUCTOR_README.format(seeds=options, **words),
    }
    graded = gradescope.files(source.name, seeds)
    return files | {f"gradescope/{name}": text for name, text in graded.items()}


def _notebook_text(source: Source, *, solution: bool) -> str:
    from geolab.course.bootstrap import bootstrap_cell
    from geolab.course.clean import cleaned_notebook

    nb = notebook_for(source, solution=solution)
    nb.cells.insert(1, bootstrap_cell())
    return cleaned_notebook(nb)


def adapters(source: Source) -> str:
    """Text of `adapters.py`: one function a question, by which alone the checks reach an answer."""
    functions = [_adapter(function) for function in source.questions]
    return (
        '"""The checks reach your answers through these functions only; see the README."""\n\n'
        "import student\n\n"
        f'ASSIGNMENT = "{source.name}"\n\n\n' + "\n\n\n".join(functions) + "\n"
    )


def _adapter(function: ast.FunctionDef) -> str:
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    passed = [*names, *(f"{a.arg}={a.arg}" for a in arguments.kwonlyargs)]
    first = (ast.get_docstring(function) or "").split("\n")[0]
    return (
        f"def {function.name}({ast.unparse(arguments)}):\n"
        f'    """{first}"""\n'
        f"    return student.{function.name}({', '.join(passed)})"
    )


def _new_seeds() -> list[int]:
    return [1 + secrets.randbelow(10**6) for _ in range(N_HIDDEN)]


def _seeds_of(folder: Path) -> list[int]:
    """Seeds of an earlier build, so that a second one grades as the first did."""
    try:
        return [int(s) for s in json.loads((folder / "seeds.json").read_text())["hidden"]]
    except (OSError, ValueError, KeyError):
        return []


def _write_tree(folder: Path, files: dict[str, str]) -> None:
    """Write a folder whole: a build that is cut off leaves the old one, never half of the new."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as made:
        new = Path(made) / "new"
        for name, text in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            if text.startswith("#!"):
                path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        if folder.exists() and not _same(folder, files):
            before = folder.parents[1] / "before" / folder.parent.name / folder.name
            before.parent.mkdir(parents=True, exist_ok=True)  # somebody may have worked in it
            shutil.rmtree(before, ignore_errors=True)
            os.replace(folder, before)
        elif folder.exists():
            os.replace(folder, Path(made) / "same")
        os.replace(new, folder)


def _same(folder: Path, files: dict[str, str]) -> bool:
    found = [path for path in folder.rglob("*") if path.is_file()]
    texts = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
    return texts == {name: text.encode() for name, text in files.items()}
