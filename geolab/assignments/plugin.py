"""The pytest plugin of the checks: fixtures, marker, time limit, and the collection of outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from geolab.assignments.binding import Answers
from geolab.assignments.session import SECONDS, Outcome, OutOfTime, time_limit


class CheckPlugin:
    """One run of the checks of an assignment.

    Parameters
    ----------
    answers : Answers
        What the fixture of that name gives to the tests.
    seeds : sequence of int
        Tests that take `seed` run once with each.
    only : set of str, optional
        Run the tests of these questions alone.

    Attributes
    ----------
    outcomes : dict of test to Outcome
    errors : dict of test to the exception that it ended with
    questions : list of str
        All that were found.
    broken : str
        Why the file of checks could not be read; empty if it could.
    """

    def __init__(
        self, answers: Answers, seeds: Sequence[int], only: set[str] | None = None
    ) -> None:
        self._answers, self._seeds, self._only = answers, list(seeds), only
        self.outcomes: dict[str, Outcome] = {}
        self.errors: dict[str, BaseException] = {}
        self.questions: list[str] = []
        self.broken = ""
        self._endless: set[str] = set()

    @pytest.fixture
    def answers(self) -> Answers:
        """Student's functions, one attribute a question."""
        return self._answers

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the marker."""
        about = "points(n, question, seconds=60): what a test is worth, and to which question"
        config.addinivalue_line("markers", about)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run what is drawn at random with every seed."""
        if "seed" in metafunc.fixturenames:
            metafunc.parametrize("seed", self._seeds)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the question asked for."""
        asked = [(item, item.get_closest_marker("points").args[1]) for item in items]
        self.questions = list(dict.fromkeys(question for _, question in asked))
        items[:] = [
            item for item, question in asked if self._only is None or question in self._only
        ]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember that a file of checks can't be imported."""
        if report.failed:
            self.broken = str(report.longrepr)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """End a test after its time; a question that did not end once is not waited for again."""
        marker = item.get_closest_marker("points")
        seconds = marker.kwargs.get("seconds", SECONDS)
        if marker.args[1] in self._endless:
            raise OutOfTime(f"{seconds:g} s")
        try:
            with time_limit(seconds):
                return (yield)
        except OutOfTime:
            self._endless.add(marker.args[1])
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> Any:
        """Collect the outcome: a test counts when it passes with every seed."""
        report = yield
        key = getattr(item, "originalname", item.name)
        outcome = self.outcomes.get(key) or self._new_outcome(item)
        self.outcomes[key] = outcome
        if call.excinfo is not None and key not in self.errors:
            if call.excinfo.errisinstance(pytest.skip.Exception):
                outcome.state, outcome.sentence = "skipped", str(call.excinfo.value)
            else:
                self.errors[key] = call.excinfo.value
        return report

    def _new_outcome(self, item: pytest.Item) -> Outcome:
        points, question = item.get_closest_marker("points").args
        title = (item.obj.__doc__ or item.originalname).strip().split("\n")[0].rstrip(".")
        return Outcome(question, title, float(points))
