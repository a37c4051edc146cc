"""Ask for a check: from a notebook, and from `geolab check`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geolab.assignments.binding import Submission, SubmissionError, from_namespace
from geolab.assignments.report import PICTURES, save_pictures, text
from geolab.assignments.session import CheckError, Outcome, run_checks

SEED_VARIABLE = "GEOLAB_CHECK_SEED"


def print_check(name: str, namespace: dict[str, Any], seed: int | None = None) -> None:
    """Do what `geolab.assignments.check` says."""
    try:
        submission = from_namespace(name.partition(".")[0], namespace)
        outcomes = run_checks(name, submission, seeds_of(seed))
    except (CheckError, SubmissionError) as error:
        print(error)
        return
    pictures = save_pictures(outcomes, PICTURES)
    print(text(name, outcomes, submission.label, submission.notes, pictures))
    _show(list(pictures.values()))


def seeds_of(seed: int | None) -> list[int]:
    """Seed given, that of the environment, or 0."""
    return [int(os.environ.get(SEED_VARIABLE, 0)) if seed is None else seed]


def checked(
    name: str, submission: Submission, seeds: Sequence[int], pictures: Path = PICTURES
) -> tuple[list[Outcome], str]:
    """Outcomes of a submission, and the report of them."""
    outcomes = run_checks(name, submission, seeds)
    drawn = save_pictures(outcomes, pictures)
    return outcomes, text(name, outcomes, submission.label, submission.notes, drawn)


def _show(pictures: Sequence[Path]) -> None:
    """Show pictures below the cell, where there is one."""
    try:
        from IPython import get_ipython
        from IPython.display import Image, display
    except ModuleNotFoundError:
        return
    if get_ipython() is not None:
        for picture in pictures:
            display(Image(filename=str(picture), width=640))
