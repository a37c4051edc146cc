"""What a lecture is: a notebook with a title, one knob cell and a preview size.

A notebook says of itself, in its metadata::

    "geolab": {"summary": "One sentence.", "minutes": 6, "memory_gb": 2, "gpu": "not needed"}

`minutes` is the time at reader size on two cores and `memory_gb` the most that the kernel held
there, without a GPU; `gpu` is one of `GPU_NEEDS`. All sizes stand in
one cell tagged `parameters`, written as a reader would run them. The same cell's metadata holds
the values of the preview::

    "geolab": {"preview": {"n_photos": 1500}}

`with_preview` adds them as a cell of its own, right after the knobs, so that a reader of the page
sees which values were used. The tags are those of papermill.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

GPU_NEEDS = ("not needed", "helps", "needed")


class CourseError(ValueError):
    """A notebook, or a request for one, that the course can't work with; says what to change."""


@dataclass(frozen=True)
class About:
    """What the index says of a notebook.

    Attributes
    ----------
    title, summary
        First heading, and the sentence from the metadata.
    minutes
        Expected minutes at reader size on two cores; None when not stated.
    gpu
        One of `GPU_NEEDS`.
    memory_gb
        Memory that a reader's run needs, in GB (1e9 bytes); None when not stated.
    """

    title: str
    summary: str
    minutes: float | None
    gpu: str
    memory_gb: float | None = None


def find_notebooks(folder: Path, names: Iterable[str] = ()) -> list[Path]:
    """List lecture notebooks in teaching order.

    Parameters
    ----------
    folder
        Folder of `NN_name.ipynb` files; other files are left out.
    names
        Which ones: a number (`"01"` or `"1"`), a file name with or without `.ipynb`, or the
        beginning of one. None named means all.

    Raises
    ------
    CourseError
        If the folder holds no notebook, or a name fits none or several.
    """
    found = sorted(path for path in folder.glob("[0-9]*_*.ipynb") if path.is_file())
    if not found:
        raise CourseError(f"no notebooks named NN_name.ipynb in {folder}; give --notebooks FOLDER")
    chosen = {_pick(name, found) for name in names}
    return [path for path in found if path in chosen] if chosen else found


def _pick(name: str, found: list[Path]) -> Path:
    wanted = Path(name).name.removesuffix(".ipynb")
    wanted = f"{int(wanted):02d}_" if wanted.isdigit() else wanted
    exact = [path for path in found if path.stem == wanted]
    fits = exact or [path for path in found if path.stem.startswith(wanted)]
    if len(fits) != 1:
        stems = ", ".join(path.stem for path in fits or found)
        why = "fits several notebooks" if fits else "is no notebook of this course; there are"
        raise CourseError(f"{name!r} {why}: {stems}")
    return fits[0]


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook in format 4.

    Raises
    ------
    CourseError
        If the file is no notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, KeyError, AttributeError, nbformat.reader.NotJSONError) as error:
        raise CourseError(f"{path.name} is not a readable notebook: {error}") from error


def about(nb: NotebookNode, stem: str) -> About:
    """Return what a notebook says of itself, in its first heading and its metadata."""
    said = nb.metadata.get("geolab", {})
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    heading = re.search(r"^#\s+(.+)$", text, flags=re.MULTILINE)
    title = heading[1].strip() if heading else re.sub(r"^\d+_", "", stem).replace("_", " ")
    minutes, gpu = said.get("minutes"), said.get("gpu", GPU_NEEDS[0])
    return About(title, said.get("summary", ""), minutes, gpu, said.get("memory_gb"))


def has_tag(cell: NotebookNode, tag: str) -> bool:
    """Say whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def assigned_names(source: str) -> set[str]:
    r"""Return the names that a piece of Python assigns at its top level.

    >>> sorted(assigned_names("n_photos = 1500  # how many\nseed: int = 0"))
    ['n_photos', 'seed']
    """
    names = set()
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            parts = ast.walk(target) if target is not None else ()
            names |= {part.id for part in parts if isinstance(part, ast.Name)}
    return names


def with_preview(nb: NotebookNode, name: str) -> NotebookNode:
    """Return a copy of a notebook with the preview values set after its knob cell.

    Parameters
    ----------
    nb
        Notebook with at most one cell tagged `parameters`; without one, the copy is unchanged.
    name
        File name, for messages.

    Raises
    ------
    CourseError
        If there are several knob cells, the knobs are not plain Python, or a preview value has
        no knob.
    """
    nb = copy.deepcopy(nb)
    knobs = [i for i, cell in enumerate(nb.cells) if has_tag(cell, "parameters")]
    if len(knobs) > 1:
        raise CourseError(f"{name} has {len(knobs)} cells tagged 'parameters'; keep one")
    values = nb.cells[knobs[0]].metadata.get("geolab", {}).get("preview", {}) if knobs else {}
    if not values:
        return nb
    _check_knobs(nb.cells[knobs[0]].source, values, name)
    lines = ["# Preview size. `geolab course --full` runs the values above."]
    lines += [f"{key} = {value!r}" for key, value in values.items()]
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    cell["id"] = "injected-parameters"
    nb.cells.insert(knobs[0] + 1, cell)
    return nb


def _check_knobs(source: str, values: dict, name: str) -> None:
    try:
        known = assigned_names(source)
    except SyntaxError as error:
        raise CourseError(f"{name}: the knob cell must be plain Python: {error}") from error
    for key in values:
        if key not in known:
            raise CourseError(
                f"{name}: preview value {key!r} has no knob; the cell tagged 'parameters' sets "
                f"{', '.join(sorted(known)) or 'nothing'}. Rename one of the two."
            )
