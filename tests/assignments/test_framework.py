"""The framework: sources, trees, reading of submissions, reports, commands, the autograder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from geolab.assignments import asking, binding, build, check, plugin, report, session
from geolab.assignments.session import CHECKS, assignments, run_checks
from geolab.assignments.source import SourceError, read_source, stubbed
from geolab.assignments.statements import STUB
from geolab.cli import app

SOURCE = """\
# %% [markdown]
# # Assignment 9: doubling
#
# Text.
# %%
import math

FACTOR = 2
# %% tags=["answer"]
def double(x, *, times=1):
    \"\"\"Twice x, `times` times.\"\"\"
    # SOLUTION
    return x * FACTOR ** math.floor(times)
    # END SOLUTION


# %%
shown = double(21)
# %% [markdown] tags=["instructor"]
# For the lecturer.
"""
CHECK = '''\
"""Checks of assignment 9."""

import matplotlib.pyplot as plt
import pytest

from geolab.assignments.explain import wrong


@pytest.mark.points(3, "a9.double")
def test_double(answers, seed):
    """Doubles."""
    got = answers.double(seed + 1)
    if got != 2 * seed + 2:
        wrong(f"Twice {seed + 1} is {2 * seed + 2}, yours is {got}.",
              figure=lambda: plt.subplots()[1], example={"x": seed + 1})


@pytest.mark.points(2, "a9.double")
def test_times(answers):
    """Doubles again."""
    if answers.double(1, times=3) != 8:
        wrong("Three times doubled, 1 is 8.")


@pytest.mark.points(5, "a9.double")
def test_gpu():
    """On a GPU."""
    pytest.skip("needs a GPU")
'''
RIGHT = "def double(x, *, times=1):\n    return x * 2**times\n"


@pytest.fixture
def ninth(tmp_path, monkeypatch):
    """A small assignment a9, with checks; the folder of its student tree."""
    monkeypatch.chdir(tmp_path)
    checks = tmp_path / "checks"
    checks.mkdir()
    (checks / "test_a9.py").write_text(CHECK)
    monkeypatch.setattr(session, "CHECKS", checks)
    sys.modules.pop("test_a9", None)  # of the test before, in another folder
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "a9_double.py").write_text(SOURCE)
    said = CliRunner().invoke(app, ["assignments", "build", "--source", "sources", "--seed", "5"])
    assert said.exit_code == 0, said.output
    return Path("build/assignments/student/a9_double")


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_trees_hold_what_they_should(ninth):
    instructor = Path("build/assignments/instructor/a9_double")
    assert {p.name for p in ninth.iterdir()} == {
        "a9_double.ipynb", "student.py", "adapters.py", "README.md"
    }  # fmt: skip
    assert {p.relative_to(instructor).as_posix() for p in instructor.rglob("*") if p.is_file()} == {
        "a9_double.ipynb", "solution.py", "adapters.py", "README.md", "seeds.json",
        "gradescope/setup.sh", "gradescope/run_autograder",
    }  # fmt: skip
    student = "".join(p.read_text() for p in ninth.iterdir())
    for hidden in ("SOLUTION", "math.floor", "For the lecturer"):
        assert hidden not in student
    assert "return student.double(x, times=times)" in (ninth / "adapters.py").read_text()
    assert len((ninth / "README.md").read_text().splitlines()) <= 10
    solved = (instructor / "solution.py").read_text()
    assert "FACTOR = 2" in solved
    assert "shown" not in solved, "demonstrations are not part of the answers"


def test_student_notebook_begins_as_every_notebook(ninth):
    nb = nbformat.read(ninth / "a9_double.ipynb", as_version=4)
    nbformat.validate(nb)
    assert "google.colab" in nb.cells[1].source
    (answer,) = [cell for cell in nb.cells if "answer" in cell.metadata.get("tags", [])]
    assert answer.source.endswith(f'raise NotImplementedError("double: {STUB}")')
    assert not any(cell.get("outputs") for cell in nb.cells)


def test_build_keeps_seeds_and_work(ninth):
    seeds = Path("build/assignments/instructor/a9_double/seeds.json")
    assert json.loads(seeds.read_text()) == {"public": 0, "hidden": [5]}
    (ninth / "student.py").write_text(RIGHT)
    assert run("assignments", "build", "--source", "sources").exit_code == 0
    assert json.loads(seeds.read_text())["hidden"] == [5]
    assert STUB in (ninth / "student.py").read_text()
    assert Path("build/assignments/before/student/a9_double/student.py").read_text() == RIGHT
    made = build.build_assignments([Path("sources/a9_double.py")], Path("other"))
    assert len(set(json.loads((made[0].instructor / "seeds.json").read_text())["hidden"])) == 3


def test_check_of_a_folder_takes_the_file_with_answers(ninth):
    said = run("check", "a9", ninth)
    assert said.exit_code == 1
    assert "a9: 0 of 5 points (a9_double.ipynb)" in said.output
    assert "not written yet" in said.output
    (ninth / "student.py").write_text(RIGHT)
    said = run("check", "a9", ninth)
    assert said.exit_code == 0, said.output
    assert "a9: 5 of 5 points (student.py)" in said.output
    assert "On a GPU (5): needs a GPU" in said.output, "what can't run costs nothing"


def test_report_is_a_sentence_and_a_picture_and_no_traceback(ninth):
    (ninth / "student.py").write_text("def double(x, *, times=1):\n    return x + 1\n")
    said = run("check", "a9", ninth, "--seed", "3", "--pictures", "shots")
    assert "✗ Doubles (3): Twice 4 is 8, yours is 5." in said.output
    assert "      x = 4\n" in said.output
    assert "✗ Doubles again (2): fails too." in said.output
    assert Path("shots/a9.double.png").stat().st_size > 1000
    assert "Traceback" not in said.output
    assert "assert" not in said.output


def test_json_is_what_gradescope_reads(ninth):
    (ninth / "student.py").write_text("def double(x, *, times=1):\n    return x * 2\n")
    said = run("check", "a9", ninth / "student.py", "--json", "results.json")
    assert said.exit_code == 1
    found = json.loads(Path("results.json").read_text())
    assert found["score"] == 3
    assert [(t["name"], t["score"], t["max_score"]) for t in found["tests"]] == [
        ("a9.double: Doubles", 3, 3),
        ("a9.double: Doubles again", 0, 2),
    ]
    assert found["tests"][1]["output"] == "Three times doubled, 1 is 8."
    assert "needs a GPU" in found["output"]


def test_a_test_has_to_pass_with_every_seed(ninth, monkeypatch):
    code = "def double(x, *, times=1):\n    return 8 if times == 3 else 2 if x == 1 else 0\n"
    (ninth / "student.py").write_text(code)
    assert "5 of 5" in run("check", "a9", ninth).output
    said = run("check", "a9", ninth, "--seed", "0", "--seed", "6")
    assert "2 of 5" in said.output
    assert "Twice 7 is 14" in said.output
    monkeypatch.setenv(asking.SEED_VARIABLE, "8")
    assert "Twice 9 is 18" in run("check", "a9", ninth).output


def test_notebook_is_read_without_its_demonstrations(ninth):
    path = ninth / "a9_double.ipynb"
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        cell.metadata.pop("tags", None)  # some editors lose them
        cell.source = cell.source.replace(f'raise NotImplementedError("double: {STUB}")', "TODO")
        cell.source = cell.source.replace("TODO", "return x * FACTOR**times")
    nb.cells.append(nbformat.v4.new_code_cell("!ls\n%pip list\nraise SystemExit('a plot')"))
    nbformat.write(nb, path)
    assert "5 of 5 points (a9_double.ipynb)" in run("check", "a9", path).output


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def double(x, *, times=1):\n    return x * facter\n",
         "double stopped with NameError: name 'facter' is not defined, in `return x * facter` of "
         "student.py, line 2."),
        ("def other(x):\n    return x\n", "There is no function `double` in student.py"),
        ("def double(x) return x\n", "student.py does not run: SyntaxError"),
        ("import no_such_module\n", "student.py does not run: ModuleNotFoundError"),
        ("def double(x, *, times=1):\n    import sys; sys.exit(1)\n", "stopped with SystemExit: 1"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_in_a_sentence(ninth, code, said):
    (ninth / "a9_double.ipynb").unlink()
    (ninth / "student.py").write_text(code)
    output = " ".join(run("check", "a9", ninth, "--json", "r.json").output.split())
    assert said in output
    assert "Traceback" not in output
    assert json.loads(Path("r.json").read_text())["score"] == 0


def test_renamed_function_is_reached_by_its_adapter(ninth):
    (ninth / "student.py").write_text(RIGHT.replace("def double", "def twice"))
    assert "name yours in adapters.py" in " ".join(run("check", "a9", ninth).output.split())
    adapters = ninth / "adapters.py"
    adapters.write_text(adapters.read_text().replace("student.double", "student.twice"))
    assert "5 of 5" in run("check", "a9", ninth / "student.py").output
    assert "student" not in sys.modules


def test_check_in_a_notebook(ninth, monkeypatch, capsys):
    check("a9", {"double": lambda x, *, times=1: x * 2**times})
    check("a9.double", {"double": lambda x, *, times=1: 0}, seed=1)
    check("a9.treble", {})
    check("a0", {})
    said = capsys.readouterr().out
    assert "a9: 5 of 5 points (this notebook)" in said
    assert "Twice 2 is 4, yours is 0." in said
    assert "no question 'a9.treble'; there are: a9.double" in said
    assert "no assignment 'a0'; there are: a9" in said
    monkeypatch.setitem(sys.modules, "pytest", None)
    check("a9", {})
    assert "Run: pip install pytest" in capsys.readouterr().out


def test_endless_answer_is_ended(ninth, monkeypatch):
    monkeypatch.setattr(plugin, "time_limit", lambda _: session.time_limit(0.3))
    (ninth / "student.py").write_text("def double(x, *, times=1):\n    while True:\n        pass\n")
    output = " ".join(run("check", "a9", ninth).output.split())
    assert "double was still running after 0.3 s" in output
    assert "Doubles again (2): fails too." in output


def test_settings_of_the_students_folder_have_no_say(ninth, monkeypatch):
    (ninth / "student.py").write_text(RIGHT)
    (ninth / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (ninth / "conftest.py").write_text("raise SystemExit('read')\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.chdir(ninth)
    assert "5 of 5" in run("check", "a9").output
    assert os.environ["PYTEST_ADDOPTS"] == "--no-such-option"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("# # Assignment", "# Assignment"), "begin with '# Title'"),
        (('tags=["answer"]', ""), "no cell is tagged"),
        (("import math", "# SOLUTION"), "stands outside"),
        (("    # END SOLUTION\n", ""), "by turns"),
        (('    """Twice x, `times` times."""\n', ""), "needs a docstring"),
    ],
)
def test_bad_source_is_refused(tmp_path, change, said):
    path = tmp_path / "a9_double.py"
    path.write_text(SOURCE.replace(*change))
    with pytest.raises(SourceError, match=said):
        read_source(path)


def test_private_solution_functions_are_left_out():
    text = "# SOLUTION\ndef _half(x):\n    return x / 2\n\n\n# END SOLUTION\ndef f(x):\n"
    text += '    """F."""\n    # SOLUTION\n    return _half(x)\n    # END SOLUTION'
    assert stubbed(text) == f'def f(x):\n    """F."""\n    raise NotImplementedError("f: {STUB}")'


def test_unknown_names_are_refused(ninth):
    assert "no assignment a8" in run("assignments", "build", "a8", "--source", "sources").output
    assert "no source" in run("assignments", "build", "--source", "build").output
    assert "no such file" in run("check", "a9", "nowhere").output
    Path("torn.ipynb").write_text('{"cells": [')
    assert "is no notebook" in run("check", "a9", "torn.ipynb").output
    assert "give a .py" in run("check", "a9", ninth / "README.md").output


def test_every_source_has_checks_and_every_question_points(built):
    slugs = sorted(p.name for p in (built / "student").iterdir())
    assert [slug.split("_")[0] for slug in slugs] == assignments()
    for slug in slugs:
        name, solved = slug.split("_")[0], built / "instructor" / slug / "solution.py"
        stubs = run_checks(name, binding.from_path(name, built / "student" / slug))
        asked = [f"{name}.{q.name}" for q in read_source(_source(slug)).questions]
        assert list(report.by_question(stubs)) == asked
        assert {o.state for o in stubs} == {"todo"}
        assert "SOLUTION" not in solved.read_text()
    assert not list(CHECKS.glob("conftest.py"))


def _source(slug: str) -> Path:
    return Path(__file__).resolve().parents[2] / "notebooks" / "assignments" / f"{slug}.py"


@pytest.mark.skipif(os.name != "posix" or not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("ends", [False, True])
def test_autograder_writes_results_whatever_happens(built, tmp_path, ends):
    folder = built / "instructor" / "a1_spheres" / "gradescope"
    (tmp_path / "submission").mkdir()
    code = (folder.parent / "solution.py").read_text()
    code = "import os\nos._exit(3)\n" if ends else code.replace("<= thresholds", "< thresholds")
    (tmp_path / "submission" / "student.py").write_text(code)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"AUTOGRADER_ROOT": str(tmp_path), "PATH": programs}
    assert os.access(folder / "run_autograder", os.X_OK)
    subprocess.run([folder / "run_autograder"], env=env, check=True, timeout=120)
    found = json.loads((tmp_path / "results" / "results.json").read_text())
    assert found["score"] == (0 if ends else 97)
    if ends:
        assert "ended the checks" in found["output"]
    else:
        (failed,) = [test for test in found["tests"] if test["status"] == "failed"]
        assert failed["name"] == "a1.accuracy: An error that is exactly the threshold"
