"""The course runner, tried on small notebooks that run, break, hang and die."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from PIL import Image

from geolab.computed import models_folder
from geolab.course.build import Options, build_course
from geolab.course.notebook import CourseError, find_notebooks
from geolab.course.render import external_loads
from geolab.course.state import read_entry
from geolab.rows import read_rows

from .conftest import BREAKS, GOOD, SLOW, write_notebook


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Outcomes and build folder of a course of which one notebook breaks."""
    root = tmp_path_factory.mktemp("somebody's home")
    folder = root / "notebooks"
    write_notebook(folder / "00_first_light.ipynb", GOOD, summary="One <b>sentence</b>.", minutes=3)
    write_notebook(folder / "01_breaks.ipynb", BREAKS, summary="Another.", gpu="helps")
    out = root / "build" / "course"
    return build_course(find_notebooks(folder), out, Options(jobs=2)), out


def page(out: Path, name: str) -> str:
    """Text of a page."""
    return (out / f"{name}.html").read_text(encoding="utf-8")


def test_a_failure_names_its_cell_and_the_rest_goes_on(built):
    (first, second), out = built
    assert first.ok
    assert first.fresh
    assert second.entry.error.cell == 3
    assert "JSONDecodeError" in second.entry.error.message
    broken = page(out, "01_breaks")
    anchor = re.search(r'href="#(cell-id=[^"]+)">Cell 3<', broken)[1]
    assert f'id="{anchor}"' in broken
    assert "never reached" in broken
    assert "before" in broken


def test_preview_values_are_used_and_shown(built):
    _, out = built
    text = page(out, "00_first_light")
    assert "<pre>7 0\n</pre>" in text
    assert "5000" in text
    assert "celltag_injected-parameters" in text


def test_figures_are_files(built):
    _, out = built
    (name,) = re.findall(
        r'<img alt="Figure: First light" src="(figures/[^"]+)"', page(out, "00_first_light")
    )
    with Image.open(out / name) as figure:
        assert figure.format == "PNG"
        assert figure.width > 200
    assert f'src="{name}"' in page(out, "index")
    assert "base64" not in page(out, "00_first_light")


def test_index_tells_what_there_is(built):
    _, out = built
    index = page(out, "index")
    assert "One &lt;b&gt;sentence&lt;/b&gt;." in index
    assert 'href="00_first_light.html"' in index
    assert 'href="01_breaks.html"' in index
    assert "about 3 min" in index
    assert "helps" in index
    assert 'href="maps/votes.html"' in index
    assert (out / "maps" / "votes.html").exists()
    assert "1 of 2 notebooks stopped" in index


def test_rows_reach_the_results_table(built):
    _, out = built
    (row,) = read_rows(out / "results.json")
    assert (row.system, row.n, row.metrics["within_25"].value) == ("sample", 2, 50.0)
    assert "sample" in page(out, "results")
    assert "synthetic" in page(out, "results")
    assert (out / "results.csv").read_text().count("\n") == 2
    assert "python" in json.loads((out / "environment.json").read_text())


def test_formulas_need_no_script(built):
    _, out = built
    text = page(out, "00_first_light")
    assert text.count("<math") == 2
    assert "$" not in re.sub(r"<style.*?</style>", "", text, flags=re.S)


def test_links_lead_somewhere(built):
    _, out = built
    text = page(out, "00_first_light")
    assert 'href="01_breaks.html"' in text
    assert re.search(r'href="https://[^"]+/blob/main/LICENSE"', text)
    for name in ("index", "00_first_light", "01_breaks", "results"):
        local = re.findall(r'(?:href|src)="(?!https?:|data:|#)([^"#]+)', page(out, name))
        assert [link for link in local if not (out / link).exists()] == []


def test_nothing_is_loaded_from_a_network(built):
    outcomes, out = built
    assert [outcome.outside for outcome in outcomes] == [(), ()]
    assert [external_loads(path.read_text()) for path in out.glob("*.html")] == [[]] * 6


def test_no_machine_path_is_published(built):
    _, out = built
    secrets = {str(out.parents[2]), str(Path.home()), sys.prefix, tempfile.gettempdir()}
    texts = [p for p in out.rglob("*") if p.suffix in {".html", ".ipynb", ".json", ".csv"}]
    assert len(texts) >= 8
    leaks = {
        (path.name, secret)
        for path in texts
        for secret in secrets - {"/"}
        if re.search(re.escape(secret) + r"(?![\w-])", path.read_text(encoding="utf-8"))
    }
    assert leaks == set()
    assert "File python/" in re.sub("<[^>]+>", "", page(out, "01_breaks")), "the traceback is kept"


def test_nothing_half_written_is_left(built):
    _, out = built
    names = [path.name for path in out.rglob("*")]
    assert not [name for name in names if name.endswith((".part", ".tmp", ".lock"))]
    assert ".staging" not in names


def test_unchanged_notebooks_are_not_run_again(tmp_path):
    cells = [("knobs", "n = 9", {"n": 2}), ("code", "print('n is', n)")]
    path = write_notebook(tmp_path / "00_small.ipynb", cells)
    out = tmp_path / "out"

    def fresh(**options) -> bool:
        (outcome,) = build_course([path], out, Options(**options))
        assert outcome.ok
        return outcome.fresh

    assert fresh()
    assert not fresh()
    assert "n is 2" in page(out, "00_small")
    assert fresh(full=True)
    assert "n is 9" in page(out, "00_small")
    assert "Reader size" in page(out, "00_small")
    write_notebook(path, [*cells, ("code", "print('more')")])
    assert fresh(full=True)
    assert "more" in page(out, "00_small")
    assert fresh(full=True, force=True)


def test_a_file_that_is_no_longer_written_goes(tmp_path):
    write = (
        "import os, pathlib\npathlib.Path(os.environ['GEOLAB_COURSE_OUT'], 'a.txt').write_text('')"
    )
    path = write_notebook(tmp_path / "00_small.ipynb", [("code", write)])
    build_course([path], tmp_path / "out")
    assert (tmp_path / "out" / "a.txt").exists()
    write_notebook(path, [("code", "1")])
    build_course([path], tmp_path / "out")
    assert not (tmp_path / "out" / "a.txt").exists()


def test_a_knob_that_does_not_exist_is_an_error(tmp_path):
    cells = [("md", "# Typing"), ("knobs", "n_photos = 9", {"n_fotos": 2})]
    path = write_notebook(tmp_path / "03_typo.ipynb", cells)
    (outcome,) = build_course([path], tmp_path / "out")
    assert "03_typo.ipynb" in outcome.entry.error.message
    assert "'n_fotos'" in outcome.entry.error.message
    assert "n_photos" in outcome.entry.error.message
    assert "n_fotos" in page(tmp_path / "out", "03_typo")


def test_slow_and_dying_cells_are_named(tmp_path):
    dies = [("code", "1"), ("code", "import os\n\nos._exit(3)")]
    paths = [
        write_notebook(tmp_path / "00_slow.ipynb", SLOW),
        write_notebook(tmp_path / "01_dies.ipynb", dies),
        tmp_path / "02_garbage.ipynb",
    ]
    paths[2].write_text("{not json")
    slow, dead, garbage = build_course(paths, tmp_path / "out", Options(timeout=3, jobs=2))
    assert str(slow.entry.error).startswith("cell 2: CellTimeout: the cell took longer than 3 s")
    assert str(dead.entry.error).startswith("cell 2: DeadKernel")
    assert "02_garbage.ipynb is not a readable notebook" in str(garbage.entry.error)
    assert "took longer" in page(tmp_path / "out", "00_slow")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_keeps_what_is_finished(tmp_path):
    folder, out = tmp_path / "notebooks", tmp_path / "out"
    mark = tmp_path / "running"
    hangs = f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    write_notebook(folder / "00_quick.ipynb", [("code", "print('quick')")])
    write_notebook(folder / "01_hangs.ipynb", [("code", hangs)])
    command = [sys.executable, "-m", "geolab.cli", "course", "--notebooks", folder, "--out", out]
    # A job in the background of a script inherits an ignored SIGINT; a person's terminal does not.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **heed)
    deadline = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped" in said
    assert not psutil.pid_exists(int(mark.read_text()))
    assert "quick" in page(out, "00_quick")
    assert "not run yet" in page(out, "index")
    assert not read_entry(folder / "01_hangs.ipynb", out).ran


def test_names_choose_notebooks(lectures):
    def stems(*names: str) -> list[str]:
        return [path.stem for path in find_notebooks(lectures, names)]

    assert stems() == ["00_first_light", "01_breaks"]
    assert stems("1") == stems("01_br") == stems("01_breaks.ipynb") == ["01_breaks"]
    with pytest.raises(CourseError, match=r"'05' is no notebook .* there are: 00_first"):
        stems("05")
    write_notebook(lectures / "01_breaks_again.ipynb", BREAKS)
    assert stems("01_breaks") == ["01_breaks"]
    with pytest.raises(CourseError, match="fits several"):
        stems("1")
    with pytest.raises(CourseError, match="no notebooks"):
        find_notebooks(lectures / "nowhere")


def test_notebook_metadata_survives(built):
    _, out = built
    nb = nbformat.read(out / "notebooks" / "00_first_light.ipynb", as_version=4)
    nbformat.validate(nb)
    assert nb.metadata["geolab_run"]["size"] == "preview"


def test_what_a_build_has_trained_is_found_from_the_notebooks_folder(tmp_path, monkeypatch):
    trained = "from geolab.computed import models_folder\nfolder = models_folder()\n"
    trained += "folder.mkdir(parents=True)\n_ = (folder / 'net.pt').write_text('trained')"
    path = write_notebook(tmp_path / "notebooks" / "00_small.ipynb", [("code", trained)])
    (outcome,) = build_course([path], tmp_path / "build" / "course")
    assert outcome.ok, outcome.entry.error
    assert outcome.entry.peak_gb > 0.01
    for name in ("GEOLAB_COURSE_MODELS", "GEOLAB_COURSE_OUT", "GEOLAB_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(path.parent)
    assert (models_folder() / "net.pt").read_text() == "trained"


def test_texts_beside_the_notebooks_become_pages(lectures, tmp_path):
    from geolab.course.index import publish
    from geolab.course.state import read_entry

    (lectures / "ethics.md").write_text("# What for?\n\n## The rules\n\nSee [00](00_good.ipynb).\n")
    out = tmp_path / "out"
    entries = [read_entry(path, out) for path in sorted(lectures.glob("*.ipynb"))]
    publish(entries, out, {"python": "3", "cpu": "", "gpu": ""})
    assert 'href="ethics.html">What for?</a>' in (out / "index.html").read_text()
    made = (out / "ethics.html").read_text()
    assert "<title>What for?" in made
    assert 'id="The-rules"' in made
