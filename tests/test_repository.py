"""What the repository promises of itself: its layout, its notebooks, its two set-up lines."""

from __future__ import annotations

import csv
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

import geolab
from geolab.course import bootstrap, clean
from geolab.course.notebook import GPU_NEEDS, about, assigned_names, has_tag

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
SOURCES = sorted(ROOT.glob("geolab/**/*.py"))
TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "CONTRIBUTING.md",
    "ETHICS.md",
    "LICENSE",
    "README.md",
    "data_manifests",
    "docs",
    "environment.yml",
    "geolab",
    "notebooks",
    "pyproject.toml",
    "tests",
}
TEXT = {".py", ".md", ".yml", ".yaml", ".toml", ".csv", ".json", ".ipynb", ".j2", ".css", ".html"}
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "tools", "stuff"}
SET_UP = 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[{extra}]" && .venv/bin/'
WEIGHTS = ROOT / "geolab" / "encoders" / "tiny_clip" / "weights.safetensors"
COURSE_LINE = SET_UP.format(extra="course") + "geolab course"
TEST_LINE = SET_UP.format(extra="test") + "python -m pytest"

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def kept_files() -> list[Path]:
    """Files that git holds or would add."""
    asked = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        said = subprocess.run(asked, capture_output=True, check=True).stdout.decode()
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in said.split("\0") if name and (path := ROOT / name).is_file()]


def pyproject() -> dict:
    """Contents of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_top_level_holds_what_a_reader_expects():
    found = {path.relative_to(ROOT).parts[0] for path in kept_files()}
    assert found - TOP_LEVEL == set()


def test_no_file_is_large():
    large = [path for path in kept_files() if path.stat().st_size > 2**20]
    assert [path for path in large if path != WEIGHTS] == []
    assert WEIGHTS.stat().st_size < 10_000_000


def test_no_name_says_nothing():
    parts = {(part.lower(), path) for path in kept_files() for part in path.relative_to(ROOT).parts}
    assert [path for part, path in parts if part.split(".")[0] in VAGUE] == []


def test_no_machine_path_is_kept():
    folders = "work|tmp|opt|root|home|Users|mnt|content"
    pattern = re.compile(rf"(?<![\w/.:~}}])/(?:{folders})/[\w.]+")
    found = [
        (path.relative_to(ROOT).as_posix(), match[0])
        for path in kept_files()
        if path.suffix in TEXT or path.parent.name == ".ci"
        for match in pattern.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_no_photo_id_and_no_account_is_kept(shared_data):
    with (shared_data / "photos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = {Path(row["path"]).stem for row in rows} | {r["source"].split("/")[0] for r in rows}
    pattern = re.compile(rf"\d{{5,}}@N\d\d|\b(?:{'|'.join(map(re.escape, known))})\b")
    found = [
        (path.relative_to(ROOT).as_posix(), match[0])
        for path in kept_files()
        if path.suffix in TEXT
        for match in pattern.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_modules_are_short():
    limits = {path: 200 if "kernels" in path.parts else 300 for path in SOURCES}
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n >= limits[p]}
    assert long == {}


@pytest.mark.parametrize("asked", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_is_content(asked):
    command = [sys.executable, "-m", "ruff", *asked, "--no-cache", str(ROOT)]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def modules() -> list[str]:
    """Every module of the package."""
    return [module.name for module in pkgutil.walk_packages(geolab.__path__, "geolab.")]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_hold(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:  # an optional library
        pytest.skip(str(error))
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_readme_has_exactly_two_set_up_lines():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in readme.splitlines() if "-m venv" in line]
    assert lines == [COURSE_LINE, TEST_LINE]


def test_ci_runs_the_line_of_the_readme():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert TEST_LINE in script.read_text(encoding="utf-8").splitlines()
    quiet = {"-q", "-qq", "--quiet", "--no-summary"}
    said = pyproject()["tool"]["pytest"]["ini_options"]["addopts"].split()
    assert quiet & set(said) == set(), "the summary of the tests must be printed"


def test_conda_installs_the_same_thing():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    project = pyproject()["project"]
    (by_pip,) = [item["pip"] for item in conda["dependencies"] if isinstance(item, dict)]
    by_conda = [item for item in conda["dependencies"] if isinstance(item, str)]
    assert by_conda == [f"python{project['requires-python']}", "pip"]
    assert by_pip == ["-e .[course]"]
    extras = project["optional-dependencies"]
    # Notebook 09 compiles kernels, 18 reads by ranges over HTTP: the course has what they ask.
    assert extras["course"][0] == "geolab[fast,remote]"


def test_no_requirement_has_an_upper_bound():
    project = pyproject()["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    wanted = [project["requires-python"], *project["dependencies"], *extras]
    assert [line for line in wanted if re.search(r"<|==|~=", line)] == []


def local_links(text: str) -> list[str]:
    """Links of Markdown and HTML that lead to files."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    found = re.findall(r"\]\(<?([^)\s>]+)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [re.split("[#?]", link)[0] for link in found if not re.match(r"[a-z]+:|#|//", link)]


def markdown_of(path: Path) -> str:
    """Text of a Markdown file, or of a notebook's Markdown cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    nb = nbformat.read(path, as_version=4)
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *NOTEBOOKS], ids=lambda path: path.name)
def test_local_links_resolve(path):
    links = [link for link in local_links(markdown_of(path)) if not link.startswith("attachment:")]
    # A page of the course has its maps beside it, once it is built.
    links = [link for link in links if not link.startswith("maps/")]
    assert [link for link in links if not (path.parent / link).exists()] == []


@each_notebook
def test_notebook_is_clean_and_small(path):
    text = path.read_text(encoding="utf-8")
    assert clean.cleaned(path) == text, f"run: python -m geolab.course.clean {path.name}"
    assert len(text.encode()) < 60_000
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert re.fullmatch(r"\d\d(_[a-z0-9]+)+", path.stem), "names are NN_verb_object"


@each_notebook
def test_notebook_tells_what_it_needs(path):
    nb = nbformat.read(path, as_version=4)
    told = about(nb, path.stem)
    assert re.fullmatch(r"\S.{10,200}[.?!]", told.summary), "metadata geolab.summary: a sentence"
    assert 0 < told.minutes <= 30
    assert told.gpu in GPU_NEEDS
    opening = "\n".join(cell.source for cell in nb.cells[:3] if cell.cell_type == "markdown")
    assert opening.startswith("# ")
    for word in ("goal", "time", "memory", "gpu"):
        assert re.search(rf"\b{word}s?\b", opening, re.IGNORECASE), f"the opening lacks: {word}"
    assert f"{told.minutes:g} min" in opening, "the box and the metadata must agree on the minutes"
    assert told.memory_gb, "metadata geolab.memory_gb: what the kernel held at reader size"
    assert f"{told.memory_gb:g} GB" in opening, "the box and the metadata must agree on the memory"


@each_notebook
def test_first_cell_and_badge_are_current(path):
    text = path.read_text(encoding="utf-8")
    assert bootstrap.current(path) == text, f"run: python -m geolab.course.bootstrap {path.name}"


def test_all_notebooks_begin_with_the_same_cell():
    read = [nbformat.read(path, as_version=4).cells for path in NOTEBOOKS]
    first = {cells[1].source for cells in read if len(cells) > 1}
    assert first == {bootstrap.bootstrap_source()}


@each_notebook
def test_notebook_has_one_knob_cell(path):
    cells = nbformat.read(path, as_version=4).cells
    (knobs,) = [cell for cell in cells if has_tag(cell, "parameters")]
    preview = knobs.metadata.get("geolab", {}).get("preview", {})
    assert set(preview) <= assigned_names(knobs.source)
    assert cells.index(knobs) < len(cells) / 2


@each_notebook
def test_cells_hold_one_idea(path):
    cells = nbformat.read(path, as_version=4).cells
    cells = [cell for cell in cells if not has_tag(cell, bootstrap.TAG)]
    code = [cell.source.splitlines() for cell in cells if cell.cell_type == "code"]
    lengths = sorted(sum(bool(line.strip()) for line in lines) for lines in code)
    assert sum(n > 12 for n in lengths) <= 1, "at most one long cell, and that one is the lesson"
    assert sum(n > 8 for n in lengths) <= 1 + len(lengths) // 8
    assert sum(cell.cell_type == "markdown" for cell in cells) >= len(code) / 2


@each_notebook
def test_notebook_ends_as_all_do(path):
    text = markdown_of(path)
    headings = ("Check yourself", "Summary", "Exercises", "References")
    at = [re.search(rf"^#+ .*{name}", text, re.MULTILINE | re.IGNORECASE) for name in headings]
    assert [name for name, match in zip(headings, at, strict=True) if not match] == []
    starts = [match.start() for match in at]
    assert starts == sorted(starts), "the closing parts keep their order"
    parts = [text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    bullets = [len(re.findall(r"^(?:[-*]|\d+\.) ", part, re.MULTILINE)) for part in parts]
    assert bullets[1] == 5, "the summary is five bullets"
    assert bullets[2] >= 2
    assert bullets[3] >= 1
