"""How a run is remembered: in the metadata of the executed notebook, nowhere else.

The executed notebook is written last and in one step, so what it says of itself is true: a run
that was cut short leaves the former one standing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from geolab.course.notebook import About, CourseError, about, read_notebook
from geolab.course.run import Failure
from geolab.data.storage import write_atomic

_KEY = "geolab_run"


@dataclass(frozen=True)
class Entry:
    """What is known of one notebook of the course.

    Attributes
    ----------
    path
        The notebook in the source tree.
    about
        Title, sentence, expected minutes, GPU need.
    fingerprint
        Of what was run; empty if it has not been run.
    size
        "preview" or "reader".
    seconds
        Measured time of the run.
    peak_gb
        Most memory that its kernel held, in GB (1e9 bytes); 0 when not measured.
    error
        Why it stopped; None if every cell ran.
    files
        What the notebook wrote, paths inside the build folder.
    """

    path: Path
    about: About
    fingerprint: str = ""
    size: str = "preview"
    seconds: float = 0.0
    error: Failure | None = None
    files: tuple[str, ...] = ()
    peak_gb: float = 0.0

    @property
    def stem(self) -> str:
        """File name without `.ipynb`."""
        return self.path.stem

    @property
    def ran(self) -> bool:
        """Whether it has been run, to the end or not."""
        return bool(self.fingerprint)

    @property
    def maps(self) -> list[str]:
        """Interactive maps, pages of their own."""
        return [name for name in self.files if name.startswith("maps/") and name.endswith(".html")]


def executed_path(stem: str, out: Path) -> Path:
    """Return where the executed notebook lies."""
    return out / "notebooks" / f"{stem}.ipynb"


def rows_path(stem: str, out: Path) -> Path:
    """Return where the result rows of one notebook lie."""
    return out / "rows" / f"{stem}.json"


def read_entry(path: Path, out: Path) -> Entry:
    """Read what is known of a notebook: from its source, and from its last run if there is one."""
    try:
        said = about(read_notebook(path), path.stem)
    except CourseError:
        said = About(path.stem, "", None, "not needed")
    executed = executed_path(path.stem, out)
    try:
        run = read_notebook(executed).metadata.get(_KEY, {}) if executed.exists() else {}
    except CourseError:
        run = {}
    if not run:
        return Entry(path, said)
    error = Failure(**run["error"]) if run["error"] else None
    files = tuple(run["files"])
    peak = run.get("peak_gb", 0.0)
    return Entry(path, said, run["fingerprint"], run["size"], run["seconds"], error, files, peak)


def save_run(nb: NotebookNode, entry: Entry, out: Path) -> None:
    """Write an executed notebook with what is to be remembered of its run."""
    nb.metadata[_KEY] = {
        "fingerprint": entry.fingerprint,
        "size": entry.size,
        "seconds": round(entry.seconds, 2),
        "peak_gb": round(entry.peak_gb, 2),
        "error": entry.error.as_dict() if entry.error else None,
        "files": list(entry.files),
    }
    write_atomic(executed_path(entry.stem, out), nbformat.writes(nb) + "\n")
