"""Assignments: questions to code, and checks that explain what is wrong in a sentence.

A student works in a notebook or in `student.py` and asks, as often as wanted::

    from geolab.assignments import check

    check("a1", globals())                   # in a notebook: all questions
    check("a1.haversine_km", globals())      # or one
    geolab check a1                          # in a shell, in the folder of the assignment

A lecturer makes the folders for both sides with ``geolab assignments build``. The parts:

- `source`, `build`: one file with text and solution becomes a student tree and an instructor tree.
- `binding`: how an answer is reached, in a notebook, a file or a folder, through `adapters.py`.
- `session`, `report`: the checks (pytest files in `checks`) run, and what is said of them.
- `explain`, `expect`: what a check says when an answer is wrong.
"""

from __future__ import annotations

from typing import Any

__all__ = ["check"]


def check(name: str, namespace: dict[str, Any], *, seed: int | None = None) -> None:
    """Check an assignment, or a question of it, in a running notebook, and print what was found.

    Parameters
    ----------
    name : str
        "a1", or one question: "a1.haversine_km".
    namespace : dict
        ``globals()``.
    seed : int, optional
        Of what is drawn at random; $GEOLAB_CHECK_SEED or 0 if not given.

    Examples
    --------
    >>> check("a0", {})
    no assignment 'a0'; there are: a1, a2, a3, a4
    """
    from geolab.assignments.asking import print_check  # numpy and pytest only when asked

    print_check(name, namespace, seed)
