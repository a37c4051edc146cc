"""The parts of a page: formulas, paths, external addresses; and notebooks kept clean."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from geolab.course import clean
from geolab.course.mathml import markdown_to_html, tex_to_mathml
from geolab.course.notebook import CourseError, assigned_names, with_preview
from geolab.course.render import external_loads, render_cells
from geolab.course.scrub import path_scrubber

from .conftest import GOOD, write_notebook


@pytest.mark.parametrize(
    ("tex", "holds"),
    [
        (r"\frac{1}{2}", "<mfrac>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable"),
        (r"\operatorname*{score}(d)", "</mi>"),
        (r"w_i < 1", "<mo>&#x0003C;</mo>"),
    ],
)
def test_formulas_are_translated(tex, holds):
    mathml = tex_to_mathml(tex)
    assert mathml.startswith("<math")
    assert holds in mathml
    assert "\\" not in mathml


@pytest.mark.parametrize("tex", [r"\frac{1", r"\nosuchcommand{3}", "a & b"])
def test_a_formula_that_cannot_be_translated_is_shown_as_tex(tex):
    assert tex_to_mathml(tex).startswith('<code class="tex">')


def test_markdown_keeps_dollars_that_are_no_formula():
    html = markdown_to_html("It costs \\$5. $x$ and\n\n$$y$$\n\n```python\nx = '$z$'\n```")
    assert html.count("<math") == 2
    assert "$5" in html
    assert "$z$" in html
    assert 'display="block"' in html


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="//a.org/x.js"></script>', ["//a.org/x.js"]),
        ("<style>@import 'https://a.org/x.css'; b {}</style>", ["https://a.org/x.css"]),
        ("<style>b { background: url(https://a.org/x.png) }</style>", ["https://a.org/x.png"]),
        (
            "<iframe srcdoc=\"&lt;img src='https://a.org/x.png'&gt;\"></iframe>",
            ["https://a.org/x.png"],
        ),
        ('<a href="https://a.org">a</a><img src="figures/x.png"><img src="data:,">', []),
    ],
)
def test_external_loads(html, found):
    assert external_loads(html) == found


def test_a_map_that_needs_a_network_gives_way_to_a_message():
    folium = pytest.importorskip("folium")
    html = folium.Map(tiles=None)._repr_html_()
    output = nbformat.v4.new_output("display_data", {"text/html": html})
    cell = nbformat.v4.new_code_cell("folium.Map()", outputs=[output])
    nb = nbformat.v4.new_notebook(cells=[cell])
    page = render_cells(nb, stem="00_map", folder=Path(), repository="")
    assert any("leaflet" in address for address in page.outside)
    assert external_loads(page.html) == []
    assert "geolab.maps" in page.html


def test_scripts_and_widgets_of_outputs_are_left_out():
    data = {"application/javascript": "alert(1)", "text/plain": "a bar"}
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
    page = render_cells(
        nbformat.v4.new_notebook(cells=[cell]), stem="00_x", folder=Path(), repository=""
    )
    assert "alert" not in page.html
    assert "a bar" in page.html


def test_scrubber_shortens_paths_and_spares_words():
    scrub = path_scrubber({"/data/my kit": ".", "/data": "<data>"})
    assert (
        scrub("\x1b[32m/data/my kit/geolab/sphere.py\x1b[39m:3")
        == "\x1b[32m./geolab/sphere.py\x1b[39m:3"
    )
    assert (
        scrub("see /data, file:///data/x and /database")
        == "see <data>, file://<data>/x and /database"
    )
    assert scrub("https://a.org/data/x") == "https://a.org/data/x"
    assert scrub("/anywhere/ipykernel_123/456.py:1: UserWarning") == "<cell>:1: UserWarning"
    assert scrub(f"{Path.home()}/x") == "~/x"


def test_knobs_of_every_kind_are_seen():
    source = "a = 1\nb, (c, d) = 1, (2, 3)\ne: int = 4\nf += 1\nif True:\n    g = 5"
    assert assigned_names(source) == {"a", "b", "c", "d", "e", "f"}


def test_preview_leaves_the_notebook_as_it_was(lectures):
    nb = nbformat.read(lectures / "00_first_light.ipynb", as_version=4)
    before = nbformat.writes(nb)
    preview = with_preview(nb, "x.ipynb")
    assert nbformat.writes(nb) == before
    assert len(preview.cells) == len(nb.cells) + 1
    nb.cells.append(nb.cells[1])
    with pytest.raises(CourseError, match="2 cells tagged 'parameters'"):
        with_preview(nb, "x.ipynb")


def test_cleaning_strips_and_settles(tmp_path, capsys):
    path = write_notebook(tmp_path / "00_x.ipynb", GOOD, summary="Kept.")
    nb = nbformat.read(path, as_version=4)
    nb.metadata["widgets"] = {}
    nb.metadata["kernelspec"] = {"name": "mine", "display_name": "Mine"}
    nb.cells[2].outputs = [nbformat.v4.new_output("stream", text="7")]
    nb.cells[2].execution_count = 12
    nb.cells[2].metadata["scrolled"] = True
    nb.cells += [nbformat.v4.new_code_cell("1"), nbformat.v4.new_code_cell("1  ")]
    nbformat.write(nb, path)
    assert clean.main(["--check", str(path)]) == 1
    assert clean.main([str(path)]) == 0
    assert clean.main(["--check", str(path)]) == 0
    assert "not cleaned" in capsys.readouterr().out
    kept = nbformat.read(path, as_version=4)
    nbformat.validate(kept)
    assert set(kept.metadata) == {"geolab", "kernelspec", "language_info"}
    assert kept.metadata["kernelspec"]["name"] == "python3"
    assert kept.cells[1].metadata["tags"] == ["parameters"]
    assert "preview" in str(kept.cells[1])
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in kept.cells)
    assert kept.cells[-1].source == "1"
    assert kept.cells[-1].id == kept.cells[-2].id + "-2"


def test_cell_ids_follow_the_text_not_the_place(tmp_path):
    path = write_notebook(tmp_path / "00_x.ipynb", [("code", "1"), ("code", "2")])
    clean.main([str(path)])
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    write_notebook(path, [("code", "0"), ("code", "1"), ("code", "2")])
    clean.main([str(path)])
    assert [cell.id for cell in nbformat.read(path, as_version=4).cells][1:] == ids
