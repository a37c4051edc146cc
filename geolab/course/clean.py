"""Keep notebooks small and comparable in git: no outputs, no counts, the same metadata for all.

    python -m geolab.course.clean notebooks/*.ipynb            # rewrite
    python -m geolab.course.clean --check notebooks/*.ipynb    # only tell which would change

nbconvert's two cleaning steps do the work. Of the metadata stay tags, what is under `geolab`, and
`cellView`, by which Colab folds a cell; a cell's id is made from its text, so it changes when the
cell does and at no other time.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearMetadataPreprocessor, ClearOutputPreprocessor
from nbformat import NotebookNode

from geolab.course.notebook import read_notebook
from geolab.data.storage import write_atomic

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def cleaned(path: Path) -> str:
    """Return the text that a notebook file should have.

    Raises
    ------
    geolab.course.notebook.CourseError
        If the file is no notebook.
    """
    return cleaned_notebook(read_notebook(path))


def cleaned_notebook(nb: NotebookNode) -> str:
    """Return the text that the file of a notebook should have."""
    nb, _ = ClearOutputPreprocessor().preprocess(nb, {})
    keep = {
        "preserve_nb_metadata_mask": {"geolab"},
        "preserve_cell_metadata_mask": {"tags", "geolab", "cellView"},
    }
    nb, _ = ClearMetadataPreprocessor(**keep).preprocess(nb, {})
    nb.metadata["kernelspec"] = dict(_KERNEL)
    nb.metadata["language_info"] = {"name": "python"}
    nb.nbformat, nb.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in nb.cells:
        cell.source = "\n".join(line.rstrip() for line in cell.source.strip("\n").split("\n"))
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return nbformat.writes(nb) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Clean the notebooks named on the command line; 1 if `--check` finds an unclean one."""
    return rewrite(arguments, cleaned, "Strip outputs and normalise notebooks.", "cleaned")


def rewrite(
    arguments: Sequence[str] | None, wanted: Callable[[Path], str], about: str, done: str
) -> int:
    """Give the notebooks of a command line the text that `wanted` says; with `--check`, only tell.

    Parameters
    ----------
    arguments : sequence of str, optional
        The process's own if not given.
    wanted : callable
        File to the text that it should have.
    about, done : str
        What the command does, and the word for a file that it was done to.

    Returns
    -------
    int
        Exit status: 1 if `--check` found a file that differs.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="tell, don't write")
    asked = parser.parse_args(arguments)
    texts = {path: wanted(path) for path in asked.notebooks}
    other = {p: text for p, text in texts.items() if text != p.read_text(encoding="utf-8")}
    for path, text in other.items():
        print(f"{path}: {f'not {done}' if asked.check else done}")
        if not asked.check:
            write_atomic(path, text)
    return int(asked.check and bool(other))


if __name__ == "__main__":
    sys.exit(main())
