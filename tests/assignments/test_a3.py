"""Assignment 3: what a fault costs, the solved notebook, how memory is judged."""

from __future__ import annotations

import torch

from geolab.assignments.allocation import large_arrays
from geolab.assignments.report import totals
from geolab.assignments.source import notebook_for
from tests.assignments.judging import judge, solved_names, source_of
from tests.assignments.wrong_a3 import WRONG

SLUG = "a3_smoothed_loss"


def test_one_wrong_answer_costs_no_other_question():
    outcomes = judge(SLUG, WRONG["p - y"][2])
    lost = {o.question for o in outcomes if o.state != "passed"}
    assert lost == {"a3.gradient"}  # its labels sum to 1 wherever else it is called
    assert totals(outcomes) == (93, 100)


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
