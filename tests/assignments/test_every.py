"""What holds for every assignment: full marks, honest stubs, named faults, no leaks."""

from __future__ import annotations

from importlib import import_module

import nbformat
import pytest

from geolab.assignments import plugin, session
from geolab.assignments.report import totals
from geolab.assignments.source import notebook_for
from tests.assignments.judging import judge, solution_lines, solved_names, source_of

SLUGS = ("a1_spheres", "a2_cells", "a3_smoothed_loss", "a4_protonet")
WRONG = {
    (slug, fault): planted
    for slug in SLUGS
    for fault, planted in import_module(f"tests.assignments.wrong_{slug[:2]}").WRONG.items()
}
"""By assignment and name of the fault: question, words that name it, and its code."""


@pytest.mark.parametrize("slug", SLUGS)
def test_solution_has_all_points_with_any_seed(slug):
    outcomes = judge(slug, seeds=(0, 11, 4242))
    assert [o.sentence for o in outcomes if o.state != "passed"] == []
    assert totals(outcomes) == (100, 100)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_stub_is_only_unwritten(slug):
    outcomes = judge(slug, solution=False)
    assert {o.state for o in outcomes} == {"todo"}
    assert {o.question for o in outcomes} == {f"{slug[:2]}.{n}" for n in solved_names(slug)}


@pytest.mark.parametrize(("slug", "fault"), WRONG)
def test_wrong_solution_is_caught_and_named(slug, fault, monkeypatch):
    if "without end" in fault:
        monkeypatch.setattr(plugin, "time_limit", lambda _: session.time_limit(3))
    question, said, code = WRONG[slug, fault]
    outcomes = judge(slug, code, only=question.split(".")[-1])
    told = [o.sentence for o in outcomes if o.state == "failed"]
    assert any(said in sentence for sentence in told), told


def test_six_faults_and_more_are_planted_in_each():
    for slug in SLUGS:
        assert sum(of == slug for of, _ in WRONG) >= 6


@pytest.mark.parametrize("slug", SLUGS)
def test_no_solution_reaches_the_student(slug):
    text = nbformat.writes(notebook_for(source_of(slug), solution=False))
    assert not [line for line in solution_lines(slug) if line in text]
    for hidden in ("For the lecturer", "triton.jit"):
        assert hidden not in text
