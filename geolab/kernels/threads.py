"""Rows of a matrix shared out among threads, for compiled loops that release the interpreter lock.

A pool is made for each call and costs about 0.1 ms. It outlives nothing, so a process that forks
(a `DataLoader` with workers) inherits no dead thread.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def for_rows(work: Callable[[int, int], object], n_rows: int, rows_each: int) -> None:
    """Call ``work(start, stop)`` for all rows, on as many threads as torch uses.

    Parameters
    ----------
    work : callable
        Handles rows ``start`` to ``stop`` and touches no others.
    n_rows, rows_each : int
        How many rows there are, and how many to hand out at a time.
    """
    work(0, 0)  # compile here: imports made by another thread can wait for ours for ever
    starts = iter(range(0, n_rows, rows_each))

    def drain() -> None:
        for start in starts:
            work(start, min(n_rows, start + rows_each))

    helpers = min(torch.get_num_threads(), -(-n_rows // rows_each)) - 1
    if helpers < 1:
        drain()
        return
    with ThreadPoolExecutor(helpers) as pool:
        others = [pool.submit(drain) for _ in range(helpers)]
        drain()
        for other in others:
            other.result()
