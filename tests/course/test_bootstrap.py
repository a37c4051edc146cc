"""Colab's first cell and the badge: the same everywhere, harmless elsewhere, made by command."""

from __future__ import annotations

import sys
from types import ModuleType

import nbformat
import pytest

from geolab import __version__
from geolab.course import address, bootstrap
from geolab.course.clean import cleaned

from .conftest import write_notebook

TITLE = ("md", "# First light\n\n**Goal.** See it.")


def test_the_cell_is_short_and_installs_this_version_only():
    lines = [line for line in bootstrap.bootstrap_source().splitlines() if line.strip()]
    assert len(lines) <= 8
    installs = [line for line in lines if "pip install" in line]
    assert installs
    assert all("--no-deps" in line for line in installs)
    assert f"{address.repository_address()}@v{__version__}" in installs[0]
    words = " ".join(installs).replace("=", " ").split()
    assert not {"torch", "numpy", "-U", "--upgrade"} & set(words)


def test_badges_lead_to_a_tag_on_every_kind_of_host():
    github = address.colab_address("01_x", address="https://github.com/some/kit", tag="v2.0")
    assert github.endswith("/github/some/kit/blob/v2.0/notebooks/01_x.ipynb")
    other = address.colab_address("01_x", address="https://example.org/kit", tag="v2.0")
    assert other.endswith("#fileId=https%3A//example.org/kit/raw/v2.0/notebooks/01_x.ipynb")
    assert f"/v{__version__}/" in address.colab_address("01_x")


def test_writing_is_settled_after_once_and_renews(tmp_path, capsys, monkeypatch):
    path = write_notebook(tmp_path / "00_x.ipynb", [TITLE, ("code", "1")])
    assert bootstrap.main(["--check", str(path)]) == 1
    assert bootstrap.main([str(path)]) == 0
    assert bootstrap.main(["--check", str(path)]) == 0
    assert "not renewed" in capsys.readouterr().out
    first = path.read_text(encoding="utf-8")
    assert cleaned(path) == first
    monkeypatch.setattr(bootstrap, "repository_address", lambda: "https://github.com/new/home")
    assert bootstrap.main([str(path)]) == 0
    nb = nbformat.read(path, as_version=4)
    assert len(nb.cells) == 3
    assert nb.cells[0].source.count("Open in Colab") == 1
    assert nb.cells[0].source.endswith("**Goal.** See it.")
    assert "github.com/new/home" in nb.cells[1].source
    assert nb.cells[1].metadata.cellView == "form"


def test_a_notebook_without_a_title_is_refused(tmp_path):
    path = write_notebook(tmp_path / "00_x.ipynb", [("code", "1")])
    with pytest.raises(ValueError, match="00_x: the first cell"):
        bootstrap.main([str(path)])


@pytest.fixture
def shell():
    """IPython with a `%pip` that only remembers what it was asked."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    asked: list[str] = []
    shell.register_magic_function(asked.append, magic_name="pip")
    shell.asked = asked
    return shell


def test_elsewhere_the_cell_does_nothing(shell):
    assert "google.colab" not in sys.modules
    assert shell.run_cell(bootstrap.bootstrap_source()).success
    assert shell.asked == []


def test_on_colab_the_cell_installs_and_reports(shell, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert shell.run_cell(bootstrap.bootstrap_source()).success
    assert len(shell.asked) == 2
    assert all("--no-deps" in line for line in shell.asked)
    said = capsys.readouterr().out
    assert f"geolab {__version__} is ready" in said
    assert "Restart" not in said


def test_a_library_that_moved_under_the_kernel_is_named(monkeypatch):
    import numpy

    monkeypatch.setattr(numpy, "__version__", "1.0.0")
    assert bootstrap.moved_packages()["numpy"][0] == "1.0.0"
    (line,) = bootstrap.complaints()
    assert "numpy 1.0.0 to" in line
    assert "Restart session" in line


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(bootstrap, "ON_TOP", ("surely_not_installed",))
    (line,) = bootstrap.complaints()
    assert "%pip install surely_not_installed" in line
