"""Assignment 3: stubs, solution and planted faults, each judged by the question it belongs to."""

from __future__ import annotations

import nbformat
import pytest
import torch

from geolab.assignments.allocation import large_arrays
from geolab.assignments.report import totals
from geolab.assignments.source import notebook_for
from tests.assignments.judging import judge, solution_lines, solved_names, source_of
from tests.assignments.wrong_a3 import WRONG

SLUG = "a3_smoothed_loss"


def test_solution_has_all_points():
    outcomes = judge(SLUG, seeds=(0, 11, 4242))
    assert [o.sentence for o in outcomes if o.state != "passed"] == []
    assert totals(outcomes) == (100, 100)


def test_every_stub_is_only_unwritten():
    outcomes = judge(SLUG, solution=False)
    assert {o.state for o in outcomes} == {"todo"}
    assert {o.question for o in outcomes} == {f"a3.{name}" for name in solved_names(SLUG)}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_solution_is_caught_and_named(name):
    question, said, code = WRONG[name]
    sentences = [
        o.sentence for o in judge(SLUG, code, only=question.split(".")[1]) if o.state == "failed"
    ]
    assert any(said in sentence for sentence in sentences), sentences


def test_one_wrong_answer_costs_no_other_question():
    outcomes = judge(SLUG, WRONG["p - y"][2])
    lost = {o.question for o in outcomes if o.state != "passed"}
    assert lost == {"a3.gradient"}  # its labels sum to 1 wherever else it is called
    assert totals(outcomes) == (93, 100)


def test_no_solution_reaches_the_student():
    text = nbformat.writes(notebook_for(source_of(SLUG), solution=False))
    assert not [line for line in solution_lines(SLUG) if line in text]
    assert "For the lecturer" not in text


def test_solved_notebook_runs(monkeypatch, tmp_path):
    """All cells, on fewer photos."""
    monkeypatch.chdir(tmp_path)
    namespace, asked = {"__name__": "notebook"}, []
    for cell in notebook_for(source_of(SLUG), solution=True).cells:
        if cell.cell_type == "code":
            text = cell.source.replace("n_photos = 600", "n_photos = 80")
            exec(compile(text, SLUG, "exec"), namespace)
            namespace["check"] = lambda name, _: asked.append(name)
    assert asked == [*(f"a3.{name}" for name in solved_names(SLUG)), "a3"]
    assert namespace["cells"].shape[1] == 2


def test_large_arrays_are_seen_by_every_route():
    x = torch.ones(900, 1)
    for made in (lambda: x @ x.T, lambda: (x.T * x).sum(), lambda: torch.einsum("ij,kj->ik", x, x)):
        assert [each.n_bytes for each in large_arrays(made, 100_000, [x])[1]] == [4 * 900**2]
    assert large_arrays(lambda: x.expand(900, 900), 100_000, [x])[1] == []  # a view, no memory
    (whole,) = large_arrays(lambda: x.numpy() @ x.numpy().T, 100_000, [x])[1]
    assert whole.dtype == "numpy"
    assert whole.n_bytes >= 4 * 900**2
