"""Assignment 4: what a fault costs, its picture, the Triton solution, what the checks trust."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from geolab import sphere
from geolab.assignments.checks import faults_a4 as faults
from geolab.assignments.source import notebook_for
from geolab.course.notebook import has_tag
from geolab.locators.clusters import Clusters
from geolab.locators.protonet import ProtoConfig, ProtoNet
from tests.assignments.judging import code_of, judge, solved_names, source_of
from tests.assignments.wrong_a4 import WRONG

SLUG = "a4_protonet"


def test_fault_costs_only_its_question_and_those_that_call_it():
    outcomes = judge(SLUG, WRONG["the released fault"][2])
    lost = {o.question for o in outcomes if o.state != "passed"}
    assert lost == {"a4.nearest_member", "a4.locate"}
    told = {o.sentence for o in outcomes if o.question == "a4.locate"}
    assert told == {"It calls nearest_member: mend that first."}


def test_picture_of_clusters():
    (outcome, _) = judge(SLUG, WRONG["OPTICS on degrees"][2], only="cluster_cell")
    figure = outcome.figure()
    assert [ax.get_title().split(" ")[0] for ax in figure.axes] == ["yours", "right"]


def test_solved_notebook_runs(monkeypatch, tmp_path):
    """All cells but Triton's, which needs a file of its own."""
    monkeypatch.chdir(tmp_path)
    namespace, asked = {"__name__": "notebook"}, []
    for cell in notebook_for(source_of(SLUG), solution=True).cells:
        if cell.cell_type == "code" and not has_tag(cell, "instructor"):
            exec(compile(cell.source, SLUG, "exec"), namespace)
            namespace["check"] = lambda name, _: asked.append(name)
    assert asked == [*(f"a4.{name}" for name in solved_names(SLUG)), "a4"]
    assert namespace["plain"].values.shape == (64, 5)


@pytest.mark.parametrize("max_km", [1000.0, 1e9])
def test_the_checks_refine_as_the_kit_does(max_km):
    world = faults.toy(3)
    asked, chances = faults.queries(world, 3, 60)
    groups = [rows for cell in world.clusters for rows in cell]
    counts = torch.tensor([0, *map(len, world.clusters)]).cumsum(0)
    net = ProtoNet(ProtoConfig(temperature=0.5, max_km=max_km))
    net.features, net.places, net.cell_points = world.features, world.places, world.cell_points
    net.clusters = Clusters(
        counts, torch.tensor([0, *map(len, groups)]).cumsum(0), torch.cat(groups)
    )
    net._prepare()
    ours = [faults.place(world, e, p, 5, 0.5, max_km) for e, p in zip(asked, chances, strict=True)]
    gap = sphere.great_circle_km(torch.stack(ours), net.refine(asked, chances).mode())
    assert gap.max() < 1e-6


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="triton is not installed")
def test_triton_solution_in_the_interpreter(tmp_path, repo_root):
    (cell,) = [c for c in source_of(SLUG).nb.cells if "running_topk_triton" in c.source]
    body = cell.source.split("\n", 1)[1]  # less the line "if triton is installed:"
    lines = [line.removeprefix("    ") for line in body.split("\n")]
    text = code_of(SLUG, True) + "\n\n" + "\n".join(lines)
    file = tmp_path / "student.py"
    file.write_text(text + "\n\nrunning_topk = running_topk_triton\n", encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from geolab.assignments import asking, binding;"
        "submission = binding.from_path('a4', Path(sys.argv[1]));"
        "print(asking.checked('a4.running_topk', submission, [0])[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        cwd=tmp_path,
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(repo_root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a4.running_topk: 22 of 22 points" in done.stdout, done.stdout + done.stderr
