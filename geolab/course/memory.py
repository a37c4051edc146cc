"""The most memory that a kernel held while it ran, its children included.

A thread looks at it while a block runs::

    peak = Peak()
    with peak.watching(lambda: kernel_pid):
        ...
    peak.n_bytes
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

INTERVAL_S = 0.2
"""Seconds between two looks. A shorter peak of a child may be missed; of the kernel on Linux none,
as the system keeps its own record."""


class Peak:
    """Largest resident memory seen, in bytes.

    Attributes
    ----------
    n_bytes : int
        0 before anything was seen.
    """

    def __init__(self) -> None:
        self.n_bytes = 0

    @contextmanager
    def watching(self, pid: Callable[[], int | None]) -> Iterator[None]:
        """Look at a process, several times a second, while the block runs.

        Parameters
        ----------
        pid
            Gives its id, or None as long as it has not started.
        """
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(INTERVAL_S):
                if (found := pid()) is not None:
                    self.n_bytes = max(self.n_bytes, resident_bytes(found))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its children; of the process itself the highest so far.

    Where the system keeps no record (other than Linux), it is the present one. A process that is
    gone has 0.

    >>> import os
    >>> resident_bytes(os.getpid()) > 1e6
    True
    """
    try:
        process = psutil.Process(pid)
        total = max(_high_water(pid), process.memory_info().rss)
        children = process.children(recursive=True)
    except psutil.Error:
        return 0
    for child in children:
        try:
            total += child.memory_info().rss
        except psutil.Error:  # it ended while we looked
            continue
    return total


def _high_water(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(lines[0][1]) if lines else 0
