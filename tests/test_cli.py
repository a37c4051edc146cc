"""The command line: quick help, honest statuses, nothing personal in what is meant to be pasted."""

from __future__ import annotations

import getpass
import json
import re
import socket
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from geolab import __version__, environment
from geolab.cli import app

COMMANDS = (
    "course",
    "table",
    "locate",
    "fetch",
    "bench",
    "env",
    "score",
    "play",
    "check",
    "assignments",
    "docs",
    "verify",
)


def run(*arguments: object):
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def plain(text: str) -> str:
    """Text without colours and frames."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", text).split())


def test_help_lists_the_commands():
    said = plain(run("--help").output)
    assert [name for name in COMMANDS if name not in said] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name):
    said = run(name, "--help")
    assert said.exit_code == 0
    options = re.findall(r"--[a-z]+\b(.*)", said.output)
    assert [line for line in options if len(plain(line)) < 8] == []


def test_help_comes_at_once():
    """Nothing heavy is imported for help; the time allows for a slow, busy machine."""
    code = (
        "import sys, geolab.cli\n"
        "heavy = {'torch', 'numpy', 'datasets', 'matplotlib', 'nbconvert', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    began = time.perf_counter()
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
    assert time.perf_counter() - began < 5


def test_version():
    assert run("--version").output.strip() == f"geolab {__version__}"


def test_env_says_what_a_bug_report_needs():
    said = run("env").output
    names = ("geolab", "Python", "CPU", "memory", "GPU", "cache", "free disk", "torch", "numpy")
    assert [name for name in names if not re.search(rf"^{name} ", said, re.MULTILINE)] == []
    found = json.loads(run("env", "--json").output)
    assert found["libraries"]["torch"]
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0


def test_env_is_nothing_personal(monkeypatch):
    monkeypatch.setenv("GEOLAB_CACHE", str(Path.home() / ".cache" / "geolab-of-mine"))
    said = run("env").output + run("env", "--json").output
    words = set(re.findall(r"[\w.-]+", said))
    assert str(Path.home()) not in said
    assert getpass.getuser() not in words
    assert socket.gethostname() not in words
    assert re.search(r"^cache +~.\.cache", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("capability", "advice"),
    [((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16"), (None, "float32")],
)
def test_dtype_follows_the_compute_capability(capability, advice):
    assert environment.dtype_advice(capability).split()[0].rstrip(":") == advice


def test_cache_size_is_measured(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(b"x" * 3 * 2**20)
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path))
    assert environment.report()["cache_mib"] == 3
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path / "not" / "made yet"))
    assert environment.report()["cache_mib"] == 0


def test_fetch_lists_every_manifest_with_its_licence(repo_root):
    said = run("fetch", "--list").output
    for path in (repo_root / "data_manifests").glob("*.yaml"):
        assert re.search(rf"^{path.stem} .*Licence: .", said, re.MULTILINE), path.stem


def test_fetch_takes_from_the_mirror_and_names_what_it_lacks(repo_root, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GEOLAB_MIRROR", str(tmp_path / "mirror"))
    manifest = tmp_path / "mine.yaml"
    said = yaml.safe_load((repo_root / "data_manifests" / "leaflet.yaml").read_text())
    file = {"path": "a.txt", "url": None, "sha256": sha256(b"abc").hexdigest(), "bytes": 3}
    said |= {"name": "mine", "mirrors": [], "files": [said["files"][0] | file]}
    manifest.write_text(yaml.safe_dump(said))
    (tmp_path / "mirror" / "mine").mkdir(parents=True)
    (tmp_path / "mirror" / "mine" / "a.txt").write_bytes(b"abc")
    assert run("fetch", manifest).exit_code == 0
    assert (tmp_path / "cache" / "mine" / "a.txt").read_bytes() == b"abc"
    said = run("fetch", "no-such-thing", manifest)
    assert said.exit_code == 1
    assert "no-such-thing" in said.output


def test_course_ends_with_1_when_a_notebook_fails(tmp_path):
    import nbformat

    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    (tmp_path / "notebooks").mkdir()
    nbformat.write(nb, tmp_path / "notebooks" / "00_fails.ipynb")
    asked = ("course", "--notebooks", tmp_path / "notebooks", "--out", tmp_path / "out")
    said = run(*asked)
    assert said.exit_code == 1
    assert "00_fails: failed cell 1: ZeroDivisionError: division by zero" in said.output
    assert (tmp_path / "out" / "index.html").exists()
    said = run(*asked, "07")
    assert said.exit_code == 2
    assert "there are: 00_fails" in said.output


def test_a_missing_extra_is_named():
    code = (
        "import sys; sys.modules['nbformat'] = None\n"
        "from geolab.cli import app\nsys.argv = ['geolab', 'course']\napp()"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.returncode == 2
    assert "pip install 'geolab[course]'" in said.stderr


@pytest.mark.parametrize("command", ["table", "locate"])
def test_an_unknown_system_is_answered_with_the_known_ones(command, tmp_path):
    what = ["--benchmark", "tinyearth"] if command == "table" else [tmp_path / "a.jpg"]
    said = run(command, *what, "--locator", "oracle")
    assert said.exit_code == 2
    assert "im2gps" in said.output


@pytest.mark.parametrize("command", ["table", "locate"])
def test_a_map_that_is_no_png_is_refused_before_any_work(command, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "geolab.data.loading.load", lambda *_, **__: pytest.fail("photos were read")
    )
    what = ["--benchmark", "tinyearth"] if command == "table" else [tmp_path / "a.jpg"]
    said = run(command, *what, "--map", tmp_path / "map.jpg")
    assert said.exit_code == 2
    assert ".png" in plain(said.output)


def test_a_full_disk_is_a_message_and_the_table_was_printed(tmp_path, monkeypatch):
    import numpy as np

    from geolab import table_command
    from geolab.rows import Row

    rows = (Row("a system", "a benchmark", n=3, failed=0, metrics={}),)
    nowhere = np.empty((0, 2))
    made = table_command.TableResult(rows, (), (), nowhere, nowhere, "a system", False)
    monkeypatch.setattr(table_command, "make_table", lambda _: made)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geolab.data.storage.os.replace", full)
    said = run("table", "--benchmark", "x.csv", "--json", tmp_path / "rows.json")
    assert said.exit_code == 2
    assert "a system" in said.output
    assert "the disk is full: rows.json" in said.output
    assert list(tmp_path.iterdir()) == []


def test_env_describes_a_gpu(monkeypatch):
    import torch

    card = SimpleNamespace(name="Tesla T4", total_memory=15 * 2**30, major=7, minor=5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    said = run("env").output
    assert "Tesla T4, 15.0 GiB, capability 7.5" in said
    assert re.search(r"^dtype +float16: ", said, re.MULTILINE)
    assert json.loads(run("env", "--json").output)["gpus"][0]["capability"] == [7, 5]
