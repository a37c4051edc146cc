"""Execute one notebook in a fresh kernel of this very Python.

nbclient does the work. Two things are ours: the kernel is the interpreter that runs the course,
whatever kernels are registered on the machine, and an error comes back as a value that names the
cell, so that the rest of the course goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from geolab.course.memory import Peak

OUT_VARIABLE = "GEOLAB_COURSE_OUT"
"""Environment variable that tells a notebook where maps and result rows go. Unset in Jupyter."""

MODELS_VARIABLE, ROWS_VARIABLE = "GEOLAB_COURSE_MODELS", "GEOLAB_COURSE_ROWS"
"""Folders that all notebooks of a build share: networks trained, rows that others recorded."""

KERNEL_ENV = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    # A progress bar is for a person who waits; on a page it is noise.
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


@dataclass(frozen=True)
class Failure:
    """Why a notebook stopped.

    Attributes
    ----------
    cell
        Position of the cell in the executed notebook, from 1; 0 when no cell ran.
    cell_id
        Its id, which is also its anchor on the page; empty when no cell ran.
    message
        One line: kind of error and its text.
    """

    cell: int
    cell_id: str
    message: str

    def __str__(self) -> str:
        """Return one line for a terminal."""
        return f"cell {self.cell}: {self.message}" if self.cell else self.message

    def as_dict(self) -> dict[str, str | int]:
        """Return the fields, for JSON."""
        return asdict(self)


class _ThisPython(KernelSpecManager):
    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class Kernels:
    """The kernels that run now, so that Ctrl-C can end them while threads wait for them."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._clients: set[NotebookClient] = set()

    def add(self, client: NotebookClient) -> None:
        """Remember a client while it runs."""
        self._clients.add(client)

    def discard(self, client: NotebookClient) -> None:
        """Forget a client that has ended."""
        self._clients.discard(client)

    def stop(self) -> None:
        """End every running kernel; their notebooks fail with a dead kernel."""
        self.stopping.set()
        for client in list(self._clients):
            if pid := kernel_pid(client):
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)


def kernel_pid(client: NotebookClient) -> int | None:
    """Return the process of a client's kernel; None before it starts and after it ends."""
    return getattr(getattr(client.km, "provisioner", None), "pid", None)


def execute(
    nb: NotebookNode,
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout: float,
    kernels: Kernels,
    on_cell: Callable[[int], None] = lambda done: None,
    peak: Peak | None = None,
) -> Failure | None:
    """Run all cells in place, up to the first error.

    Parameters
    ----------
    nb
        Notebook; outputs and the error are written into it.
    cwd
        Working folder of the kernel.
    env
        Environment variables beside the present ones and `KERNEL_ENV`.
    log
        File for what the kernel itself complains of; a dead kernel is quoted from there.
    timeout
        Seconds that one cell may take.
    kernels
        Where the kernel is registered while it runs.
    on_cell
        Called with the number of cells done.
    peak
        Where the kernel's memory is kept.

    Returns
    -------
    Failure or None
        None when every cell ran.
    """
    at = {"index": -1}

    def started(cell: NotebookNode, cell_index: int) -> None:
        if kernels.stopping.is_set():
            raise DeadKernelError("interrupted")
        at["index"] = cell_index
        on_cell(cell_index)

    client = NotebookClient(
        nb,
        timeout=max(1, int(timeout)),
        km=AsyncKernelManager(kernel_spec_manager=_ThisPython()),
        on_cell_start=started,
    )
    kernels.add(client)
    try:
        watching = (peak or Peak()).watching(lambda: kernel_pid(client))
        with open(log, "wb") as errors, watching:
            # nbclient ends only kernels that it made, unless told that this one is its own.
            client.execute(cleanup_kc=True, cwd=str(cwd), env=_kernel_env(env), stderr=errors)
    except CellExecutionError as error:
        return _failure(nb, at["index"], f"{error.ename}: {error.evalue}")
    except CellTimeoutError:
        note = f"the cell took longer than {timeout:g} s; shrink its knobs or raise --timeout"
        return _failure(nb, at["index"], f"CellTimeout: {note}", show=True)
    except RuntimeError as error:
        note = f"the kernel died ({error}), most often for want of memory; shrink the knobs"
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        note = "interrupted" if kernels.stopping.is_set() else ". ".join([note, *last])
        return _failure(nb, at["index"], f"DeadKernel: {note}", show=True)
    finally:
        kernels.discard(client)
    on_cell(len(nb.cells))
    return None


def _kernel_env(env: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **KERNEL_ENV, **env}


def _failure(nb: NotebookNode, index: int, message: str, *, show: bool = False) -> Failure:
    if index < 0:
        return Failure(0, "", message)
    cell = nb.cells[index]
    if show:
        name, text = message.split(": ", 1)
        cell.outputs.append(
            nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[message])
        )
    first_line = message.strip().splitlines()[0]
    return Failure(index + 1, cell.get("id", ""), first_line[:300])
