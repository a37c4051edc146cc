"""Say how long work will take, as soon as its first steps have been measured.

A loop calls what `announcing` returns after each of its steps::

    tell = announcing("training", 2000)
    for step in range(2000):
        ...
        tell()          # after three steps: "training: 2,000 steps at 8.1 a second, about 4.1 min"
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

LONG_S = 30.0
"""Shorter work is not announced."""


def announcing(
    what: str,
    n: int,
    *,
    unit: str = "steps",
    n_measured: int = 3,
    resumes: str = "",
    say: Callable[[str], None] = print,
    clock: Callable[[], float] = time.perf_counter,
) -> Callable[[], None]:
    """Return a function to be called after each step; it speaks once, if the work is long.

    Parameters
    ----------
    what
        Name of the work.
    n
        Steps that are to be made.
    n_measured
        Steps that are measured; where there are more than two, the first, which warms up, is not.
    resumes
        What an interruption would leave, as a clause.
    say
        Where the line goes. Nothing is said where progress bars are switched off, as
        ``TQDM_DISABLE`` does for the pages of the course.

    Examples
    --------
    >>> ticks = iter([0.0, 9.0, 10.0, 11.0])
    >>> tell = announcing("training", 100, clock=lambda: next(ticks))
    >>> tell(), tell(), tell()
    training: 100 steps at 1.0 a second, about 1.6 min to go
    (None, None, None)
    """
    quiet = os.environ.get("TQDM_DISABLE", "") not in ("", "0")
    at = [clock()]

    def tell() -> None:
        if quiet or len(at) > n_measured:
            return
        at.append(clock())
        if len(at) <= n_measured:
            return
        first = 1 if n_measured > 2 else 0
        each = (at[-1] - at[first]) / (n_measured - first)
        left = each * (n - n_measured)
        if left >= LONG_S:
            rate = f"{1 / each:,.1f} a second" if each <= 1 else f"{each:,.1f} s each"
            line = f"{what}: {n:,} {unit} at {rate}, about {left / 60:.1f} min to go"
            say(f"{line}; {resumes}" if resumes else line)

    return tell
