"""Assignment 1: stubs, solution and planted faults, each judged by the question it belongs to."""

from __future__ import annotations

import pytest

from geolab.assignments import plugin, session
from geolab.assignments.report import totals
from tests.assignments.judging import judge, run_notebook, solution_lines, solved_names
from tests.assignments.wrong_a1 import WRONG

SOURCE = "a1_spheres"


def test_solution_has_all_points_with_any_seed():
    outcomes = judge(SOURCE, seeds=(0, 11, 4242))
    assert [o.sentence for o in outcomes if o.state != "passed"] == []
    assert totals(outcomes) == (100, 100)


def test_every_stub_is_only_unwritten():
    outcomes = judge(SOURCE, solution=False)
    assert {o.state for o in outcomes} == {"todo"}
    assert {o.question for o in outcomes} == {f"a1.{name}" for name in solved_names(SOURCE)}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_solution_is_caught_and_named(name, monkeypatch):
    if "without end" in name:
        monkeypatch.setattr(plugin, "time_limit", lambda _: session.time_limit(3))
    question, said, code = WRONG[name]
    first = next(o for o in judge(SOURCE, code, only=question) if o.state != "passed")
    assert first.state == "failed"
    assert said in first.sentence


@pytest.mark.parametrize(
    ("fault", "hurt"),
    [
        ("arccosine", {"haversine_km"}),
        ("misses left out", {"accuracy"}),
        ("mean of degrees", {"spherical_mean"}),
        ("degrees for radians in to_unit", {"to_unit", "spherical_mean", "mean_shift"}),
    ],
)
def test_wrong_answer_costs_only_what_calls_it(fault, hurt):
    question, _, code = WRONG[fault]
    lost = {o.question[3:]: o for o in judge(SOURCE, code) if o.state != "passed"}
    assert set(lost) == hurt
    for name in hurt - {question}:
        assert lost[name].state == "waiting"
        assert lost[name].sentence == "It calls to_unit: mend that first."


@pytest.mark.parametrize("seed", [3, 77])
def test_faults_are_found_with_other_seeds(seed):
    for name in ("no clip", "only the small chord", "the walkers' own mean", "not sorted"):
        question, said, code = WRONG[name]
        sentences = [o.sentence for o in judge(SOURCE, code, only=question, seeds=(seed,))]
        assert any(said in sentence for sentence in sentences), name


def test_no_solution_reaches_the_student(built):
    student = "".join(p.read_text() for p in (built / "student" / SOURCE).iterdir())
    assert [line for line in solution_lines(SOURCE) if line in student] == []
    assert "For the lecturer" not in student


def test_solved_notebook_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = run_notebook(SOURCE)
    assert said.count(" done") == 16, "eight questions, each checked alone and in the end"
    assert "a1: 100 of 100 points (this notebook)" in said
