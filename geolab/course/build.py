"""Build the course: run what has changed, render everything, write the index.

A notebook is run again when it, its preview values, the package (this subpackage apart) or the
Python underneath has changed, or when its last run failed. Rendering is cheap and always done.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from geolab.computed import PACKAGE, own_models, package_hash
from geolab.course.index import publish
from geolab.course.memory import Peak
from geolab.course.notebook import CourseError, read_notebook, with_preview
from geolab.course.run import (
    MODELS_VARIABLE,
    OUT_VARIABLE,
    ROWS_VARIABLE,
    Failure,
    Kernels,
    execute,
)
from geolab.course.scrub import path_scrubber, scrub_outputs
from geolab.course.state import Entry, read_entry, rows_path, save_run
from geolab.course.web_assets import put_leaflet

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Options:
    """How to build.

    Attributes
    ----------
    full
        Reader size; preview size otherwise.
    force
        Run unchanged notebooks too.
    jobs
        Notebooks run at the same time; cores are shared among them.
    timeout
        Seconds that one cell may take.
    """

    full: bool = False
    force: bool = False
    jobs: int = 1
    timeout: float = 1800.0


@dataclass(frozen=True)
class Outcome:
    """How the build of one notebook went.

    Attributes
    ----------
    entry
        What the index shows of it.
    fresh
        Whether it was run now; False when it was unchanged.
    outside
        Addresses that its page or maps would load from a network; known when all are rendered.
    """

    entry: Entry
    fresh: bool
    outside: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every cell ran."""
        return self.entry.error is None


def build_course(
    chosen: Sequence[Path],
    out: Path,
    options: Options = Options(),
    *,
    course: Sequence[Path] = (),
    on_cell: Callable[[str, int, int], None] = lambda stem, done, total: None,
    on_done: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run and render notebooks, and write the index of the whole course.

    Parameters
    ----------
    chosen
        Notebooks to build, in order.
    out
        Build folder; made if needed.
    options
        Size, reuse, parallel runs, time limit.
    course
        All notebooks that the index lists; those chosen if not given.
    on_cell, on_done
        Called from other threads: with name, cells done and cells in all; and with an outcome.

    Returns
    -------
    list of Outcome
        In the order of `chosen`. A failed notebook has an error, and a page that shows it.

    Raises
    ------
    KeyboardInterrupt
        After the running kernels are ended and what is finished is published.
    """
    from geolab.environment import report

    out.mkdir(parents=True, exist_ok=True)
    put_leaflet()
    kernels, pool = Kernels(), ThreadPoolExecutor(max(1, options.jobs))

    def one(path: Path) -> Outcome:
        outcome = _build_one(path, out, options, kernels, on_cell)
        on_done(outcome)
        return outcome

    try:
        futures = [pool.submit(one, path) for path in chosen]
        while wait(futures, timeout=0.5).not_done:
            pass
    except KeyboardInterrupt:
        kernels.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(out / ".staging", ignore_errors=True)
        entries = [read_entry(path, out) for path in course or chosen]
        outside = publish(entries, out, report())
    outcomes = [future.result() for future in futures]
    return [replace(each, outside=outside[each.entry.stem]) for each in outcomes]


def _build_one(
    path: Path,
    out: Path,
    options: Options,
    kernels: Kernels,
    on_cell: Callable[[str, int, int], None],
) -> Outcome:
    size = "reader" if options.full else "preview"
    former = read_entry(path, out)
    try:
        nb = read_notebook(path)
        nb = nb if options.full else with_preview(nb, path.name)
    except CourseError as error:
        note = nbformat.v4.new_markdown_cell(f"# {former.about.title}")
        nb = nbformat.v4.new_notebook(cells=[note])
        failed = replace(former, fingerprint="-", size=size, error=Failure(0, "", str(error)))
        save_run(nb, failed, out)
        return Outcome(failed, fresh=True)
    fingerprint = _fingerprint(nb)
    if not options.force and _is_current(former, fingerprint, out):
        return Outcome(former, fresh=False)
    staging = out.resolve() / ".staging" / path.stem
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    began, peak = time.perf_counter(), Peak()
    error = execute(
        nb,
        cwd=path.resolve().parent,
        env=_kernel_env(staging, out.resolve(), options.jobs),
        log=staging / ".kernel.log",
        timeout=options.timeout,
        kernels=kernels,
        on_cell=lambda done: on_cell(path.stem, done, len(nb.cells)),
        peak=peak,
    )
    took = {"seconds": time.perf_counter() - began, "peak_gb": peak.n_bytes / 1e9}
    entry = replace(former, fingerprint=fingerprint, size=size, error=error, **took)
    if kernels.stopping.is_set():
        return Outcome(entry, fresh=True)  # an interrupted run leaves no trace
    return Outcome(_keep(nb, entry, former, staging, out), fresh=True)


def _kernel_env(staging: Path, out: Path, jobs: int) -> dict[str, str]:
    env = {OUT_VARIABLE: str(staging), "IPYTHONDIR": str(staging / ".ipython")}
    env[MODELS_VARIABLE] = str(_models(out))
    env[ROWS_VARIABLE] = str(rows_path("any", out).parent)
    if jobs > 1:
        share = str(max(1, (os.cpu_count() or 1) // jobs))
        env |= {name: share for name in _THREADS if name not in os.environ}
    return env


def _models(out: Path) -> Path:
    """Folder of trained networks for this state of the package; those of other states go."""
    folder = own_models(out / "models")
    for old in folder.parent.glob("*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def _keep(nb: NotebookNode, entry: Entry, former: Entry, staging: Path, out: Path) -> Entry:
    """Move what a run wrote from staging into the build folder, then write the notebook."""
    scrub = path_scrubber({staging: "build/course", entry.path.parent: ".", PACKAGE.parent: "."})
    scrub_outputs(nb.cells, scrub)
    error = entry.error and replace(entry.error, message=scrub(entry.error.message))
    rows, files = rows_path(entry.stem, out), []
    rows.unlink(missing_ok=True)
    if (staging / "results.json").exists():
        rows.parent.mkdir(exist_ok=True)
        os.replace(staging / "results.json", rows)
    for written in sorted(path for path in staging.rglob("*") if path.is_file()):
        name = written.relative_to(staging).as_posix()
        if name.startswith(".") or written.suffix in {".lock", ".part", ".tmp"}:
            continue
        if written.suffix == ".html":
            written.write_text(scrub(written.read_text(encoding="utf-8")), encoding="utf-8")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(written, out / name)
        files.append(name)
    for name in set(former.files) - set(files):
        (out / name).unlink(missing_ok=True)
    kept = replace(entry, error=error, files=tuple(files))
    save_run(nb, kept, out)
    return kept


def _is_current(entry: Entry, fingerprint: str, out: Path) -> bool:
    complete = all((out / name).exists() for name in entry.files)
    return entry.fingerprint == fingerprint and entry.error is None and complete


def _fingerprint(nb: NotebookNode) -> str:
    """Hash all that decides what a run gives: cells, package, Python and the main libraries."""
    cells = [(cell.cell_type, cell.source) for cell in nb.cells]
    text = json.dumps([cells, sys.version, _versions(), package_hash()])
    return hashlib.sha256(text.encode()).hexdigest()


def _versions() -> list[str]:
    return [metadata.version(name) for name in ("numpy", "torch", "matplotlib", "datasets")]
