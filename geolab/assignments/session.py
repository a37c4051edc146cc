"""Run the checks of an assignment with pytest, inside this process, and collect what they say.

The checks are ordinary pytest files, `checks/test_NAME.py` and `checks/test_NAME_*.py`, run by a
plugin that gives them the fixtures `answers` and `seed`, the marker `points`, and a time limit. The
settings and plugins of the folder in which a student happens to be have no say. Nothing of pytest's
own output is shown: an outcome is a sentence.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geolab.assignments.binding import Submission
from geolab.assignments.calls import called_by
from geolab.assignments.explain import Wrong
from geolab.assignments.statements import STUB

CHECKS = Path(__file__).with_name("checks")
SECONDS = 60.0
"""Time that one test may take, unless its marker says ``seconds=``."""


class CheckError(ValueError):
    """The checks can't be run: no such assignment, or pytest is missing."""


class OutOfTime(Exception):
    """A student's function was still running at the end of its time."""


@dataclass
class Outcome:
    """What one test found.

    Attributes
    ----------
    question : str
        Such as "a1.haversine_km".
    title : str
        What was tested, for the student.
    points : float
        What it is worth.
    state : str
        "passed", "failed", "todo" (not written yet), "waiting" (for another answer that it calls)
        or "skipped" (can't run on this machine).
    sentence : str
        Why it is not passed.
    example : list of str
        Lines of the counter-example.
    figure : Figure, Axes, path, function or None
    """

    question: str
    title: str
    points: float
    state: str = "passed"
    sentence: str = ""
    example: list[str] = field(default_factory=list)
    figure: Any = None

    @property
    def score(self) -> float:
        """Points earned."""
        return self.points if self.state == "passed" else 0.0


def assignments() -> list[str]:
    """Names of the assignments that have checks."""
    return sorted({path.stem.split("_")[1] for path in CHECKS.glob("test_a*.py")})


def run_checks(name: str, submission: Submission, seeds: Sequence[int] = (0,)) -> list[Outcome]:
    """Check an assignment, or one question of it.

    Parameters
    ----------
    name : str
        "a1", or "a1.haversine_km".
    submission : Submission
        From `binding.from_path` or `binding.from_namespace`.
    seeds : sequence of int
        A test has to pass with each of them.

    Returns
    -------
    list of Outcome
        One for each test, in the order of the file.

    Raises
    ------
    CheckError
        If there is no such assignment or question, or pytest is missing.
    """
    try:
        import pytest
    except ModuleNotFoundError:
        raise CheckError("pytest is missing; the checks need it. Run: pip install pytest") from None
    from geolab.assignments.binding import answers_of
    from geolab.assignments.plugin import CheckPlugin

    assignment, _, question = name.partition(".")
    if assignment not in assignments():
        raise CheckError(f"no assignment {assignment!r}; there are: {', '.join(assignments())}")
    below = called_by(question, submission.namespace) if question else set()
    only = {name, *(f"{assignment}.{other}" for other in below)} if question else None
    plugin = CheckPlugin(answers_of(submission), seeds, only)
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "--assert=plain", "--capture=sys"]
    options += ["-c", os.devnull, f"--rootdir={CHECKS}", "--noconftest", "--strict-markers"]
    files = [
        str(path)
        for path in (
            *CHECKS.glob(f"test_{assignment}.py"),
            *sorted(CHECKS.glob(f"test_{assignment}_*.py")),
        )
    ]
    with _alone():
        pytest.main([*files, *options], plugins=[plugin])
    if plugin.broken:
        raise CheckError(f"the checks of {assignment} do not run: {plugin.broken}")
    if question and name not in plugin.questions:
        raise CheckError(f"no question {name!r}; there are: {', '.join(plugin.questions)}")
    found = [explained(o, submission, plugin.errors.get(k)) for k, o in plugin.outcomes.items()]
    told = blamed(found, submission.namespace)
    return [outcome for outcome in told if not question or outcome.question == name]


def blamed(outcomes: list[Outcome], namespace: dict[str, Any]) -> list[Outcome]:
    """Say of a failure that it waits for another answer that is wrong and that it calls."""
    wrong = {_function(o): None for o in outcomes if o.state in ("failed", "todo")}
    for outcome in outcomes:
        below = [name for name in wrong if name in called_by(_function(outcome), namespace)]
        if outcome.state == "failed" and below:
            outcome.state, outcome.example, outcome.figure = "waiting", [], None
            outcome.sentence = f"It calls {' and '.join(below)}: mend that first."
    return outcomes


def _function(outcome: Outcome) -> str:
    return outcome.question.partition(".")[2]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep pytest silent, and free of plugins and options meant for other tests."""
    own = {"PYTEST_ADDOPTS": "", "PYTEST_PLUGINS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    before = {
        name: os.environ.get(name) for name in [*own, "PYTEST_CURRENT_TEST", "PYTEST_VERSION"]
    }
    os.environ.update(own)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop what runs longer, where the system can (main thread, not Windows)."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def stop(*_: object) -> None:
        raise OutOfTime(f"{seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)
        signal.signal(signal.SIGALRM, before)


def explained(outcome: Outcome, submission: Submission, error: BaseException | None) -> Outcome:
    """Say in a sentence what an exception means to the student."""
    if error is None:
        return outcome
    outcome.state = "failed"
    function = _function(outcome)
    if isinstance(error, Wrong):
        outcome.sentence, outcome.example = error.sentence, error.example
        outcome.figure = error.figure
    elif isinstance(error, NotImplementedError) and STUB in str(error):
        missing = str(error).partition(":")[0]
        outcome.state = "todo" if missing == function else "waiting"
        outcome.sentence = f"{missing} is not written yet."
    elif isinstance(error, OutOfTime):
        outcome.sentence = (
            f"{function} was still running after {error}: does its loop end, and is the work done "
            "by arrays and not by one point at a time?"
        )
    else:
        outcome.sentence = f"{function} stopped with {_crash(error, submission)}"
    return outcome


def _crash(error: BaseException, submission: Submission) -> str:
    """Name the error and the student's line in which it arose."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals is submission.namespace:
            summary = traceback.extract_tb(error.__traceback__)
            text = next((s.line for s in reversed(summary) if s.lineno == line), "")
            file = Path(frame.f_code.co_filename).name
            where = f"{file}, line {line}" if "ipykernel" not in frame.f_code.co_filename else ""
            told = " of ".join(part for part in (f"`{text}`" if text else "", where) if part)
            return f"{said}, in {told}." if told else f"{said}."
    return f"{said}."
