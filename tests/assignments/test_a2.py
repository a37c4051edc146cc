"""Assignment 2: what a fault costs, other seeds, the solved notebook (the rest: `test_every`)."""

from __future__ import annotations

import pytest

from tests.assignments.judging import judge, run_notebook, solution_lines
from tests.assignments.wrong_a2 import WRONG

SOURCE = "a2_cells"


@pytest.mark.parametrize("name", ["t_min kept", "class 0 outside", "overflow", "most probable"])
def test_wrong_answer_costs_no_other_question(name):
    question, _, code = WRONG[name]
    assert {o.question for o in judge(SOURCE, code) if o.state != "passed"} == {f"a2.{question}"}


@pytest.mark.parametrize("seed", [3, 77])
def test_faults_are_found_with_other_seeds(seed):
    for name in ("t_max split", "nothing dropped", "class 0 outside", "scale ignored"):
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
    assert said.count(" done") == 14, "seven questions, each checked alone and in the end"
    assert "a2: 100 of 100 points (this notebook)" in said
