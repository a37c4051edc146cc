"""Assignment 1: what a fault costs, other seeds, the solved notebook (the rest: `test_every`)."""

from __future__ import annotations

import pytest

from tests.assignments.judging import judge, run_notebook, solution_lines
from tests.assignments.wrong_a1 import WRONG

SOURCE = "a1_spheres"


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
