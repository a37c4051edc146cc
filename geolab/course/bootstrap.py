"""Colab: the first cell of every notebook, the badge under its title, and the command for both.

    python -m geolab.course.bootstrap notebooks/*.ipynb            # write or renew them
    python -m geolab.course.bootstrap --check notebooks/*.ipynb    # only tell which are not current

Colab brings nine tenths of what the kit needs. The cell installs the kit at its own tag and the
few packages that Colab lacks, all with ``--no-deps``: torch, numpy and the rest stay as they are,
so nothing moves under the running kernel and nothing large is loaded. Elsewhere the cell does
nothing. Both texts come from `[project.urls]` and the version; run the command after a change of
either.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from geolab import __version__
from geolab.course.address import colab_address, repository_address, version_tag

if TYPE_CHECKING:
    from nbformat import NotebookNode

TAG = "bootstrap"
"""Tag of the cell; pages and slides leave it out."""

ON_TOP = ("open_clip_torch", "ftfy", "reverse_geocode")
"""What Colab lacks of the kit's dependencies, and of theirs."""

_CELL = """\
# @title On Colab, run this first; elsewhere it does nothing {{ display-mode: "form" }}
import sys

if "google.colab" in sys.modules:
    %pip install -q --no-deps "geolab @ git+{address}@{tag}"
    %pip install -q --no-deps {on_top}
    from geolab.course.bootstrap import ready

    ready()"""
_BADGE = re.compile(r"^\[!\[Open in Colab\].*\n+", re.MULTILINE)
# Compiled against each other: when one moves under the kernel, the others fail in odd ways.
_LOADED = {"numpy": "numpy", "scipy": "scipy", "pandas": "pandas", "torch": "torch"}
_LOADED |= {"pillow": "PIL", "scikit-learn": "sklearn", "pyarrow": "pyarrow"}


def bootstrap_source() -> str:
    """Return the text of the cell, the same for every notebook of this version.

    >>> len([line for line in bootstrap_source().splitlines() if line]) <= 8
    True
    """
    return _CELL.format(address=repository_address(), tag=version_tag(), on_top=" ".join(ON_TOP))


def bootstrap_cell() -> NotebookNode:
    """Return the cell, folded to its title in Colab."""
    import nbformat

    return nbformat.v4.new_code_cell(
        bootstrap_source(), metadata={"tags": [TAG], "cellView": "form"}
    )


def badge(stem: str) -> str:
    """Return the badge that opens a notebook in Colab, at this version's tag, as Markdown."""
    return f"[![Open in Colab](images/open_in_colab.svg)]({colab_address(stem)})"


def without_badge(source: str) -> str:
    r"""Drop the badge from Markdown; a page has a link of its own.

    >>> without_badge("# Title\n\n[![Open in Colab](x.svg)](https://a.org)\n\nText")
    '# Title\n\nText'
    """
    return _BADGE.sub("", source)


def with_bootstrap(nb: NotebookNode, stem: str) -> NotebookNode:
    """Return a copy of a lecture whose badge and first code cell are current.

    Parameters
    ----------
    nb
        Notebook that begins with a Markdown cell whose first line is the title.
    stem
        File name without `.ipynb`, for the badge.

    Raises
    ------
    ValueError
        If the first cell is no title.
    """
    import copy

    from geolab.course.notebook import has_tag

    nb = copy.deepcopy(nb)
    if not nb.cells or not nb.cells[0].source.startswith("# "):
        raise ValueError(f"{stem}: the first cell must be Markdown and begin with '# Title'")
    title, _, rest = without_badge(nb.cells[0].source + "\n").partition("\n")
    nb.cells[0].source = f"{title}\n\n{badge(stem)}\n\n{rest.strip()}".strip()
    others = [cell for cell in nb.cells[1:] if not has_tag(cell, TAG)]
    nb.cells = [nb.cells[0], bootstrap_cell(), *others]
    return nb


def current(path: Path) -> str:
    """Return the text that a notebook file should have, clean and with a current first cell."""
    from geolab.course.clean import cleaned_notebook
    from geolab.course.notebook import read_notebook

    return cleaned_notebook(with_bootstrap(read_notebook(path), path.stem))


def ready() -> None:
    """Say, in Colab, what is there; and what is to be done if something is wrong."""
    from geolab.environment import report

    here = report()
    print(f"geolab {__version__} is ready: {here['gpu']}, {here['memory_gib']} GiB of memory.")
    if not here["gpus"]:
        print("Every notebook runs without a GPU. To get one: Runtime, Change runtime type.")
    for line in complaints():
        print(line)


def complaints() -> list[str]:
    """List what would make a notebook fail later on: packages that are missing or have moved."""
    said = []
    if lacking := missing():
        said.append(f"Missing: {', '.join(lacking)}. Run: %pip install {' '.join(lacking)}")
    if moved := moved_packages():
        names = ", ".join(f"{name} {old} to {new}" for name, (old, new) in moved.items())
        said.append(f"Changed under the running kernel: {names}. Runtime, Restart session, go on.")
    return said


def missing() -> list[str]:
    """List the kit's dependencies, and what `ON_TOP` adds, that are not installed."""
    lines = [line for line in metadata.requires("geolab") or [] if "extra ==" not in line]
    names = [re.match(r"[\w.-]+", line)[0] for line in lines]
    return [name for name in dict.fromkeys([*names, *ON_TOP]) if _version(name) is None]


def moved_packages() -> dict[str, tuple[str, str]]:
    """Packages whose files are of another version than what this kernel has loaded.

    Returns
    -------
    dict
        Name to the version loaded and the version on disk.
    """
    moved = {}
    for name, module in _LOADED.items():
        loaded = getattr(sys.modules.get(module), "__version__", None)
        found = _version(name)
        if loaded and found and _release(loaded) != _release(found):
            moved[name] = (str(loaded), found)
    return moved


def _release(version: str) -> str:
    return str(version).split("+")[0]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Renew the notebooks named on the command line; 1 if `--check` finds one that is old."""
    from geolab.course.clean import rewrite

    return rewrite(arguments, current, "Write Colab's first cell and the badge.", "renewed")


if __name__ == "__main__":
    sys.exit(main())
