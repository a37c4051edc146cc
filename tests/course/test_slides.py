"""Which cell goes on which slide, and what ships so that slides and maps need no network."""

from __future__ import annotations

import copy
import os

import nbformat
import pytest

from geolab.course import memory, web_assets
from geolab.course.slide_plan import CAPACITY, pieces, slide_plan
from geolab.data.catalogue import load_manifest
from geolab.data.manifest import cached
from geolab.data.storage import sha256_of

PICTURE = nbformat.v4.new_output("display_data", {"image/png": "", "text/plain": "<Figure>"})
TABLE = nbformat.v4.new_output("execute_result", {"text/html": "<table></table>"})
PRINTED = nbformat.v4.new_output("stream", text="7\n")
ERROR = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=["no"])


def md(text: str, **said: object) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(text, metadata={"geolab": said} if said else {})


def code(text: str, *outputs: nbformat.NotebookNode, tags: tuple = ()) -> nbformat.NotebookNode:
    held = [copy.deepcopy(output) for output in outputs]
    return nbformat.v4.new_code_cell(text, outputs=held, metadata={"tags": list(tags)})


def planned(*cells: nbformat.NotebookNode, note: str = "") -> list[tuple[str, str, int]]:
    """Slide type, source and number of outputs of the cells that are shown."""
    plan = slide_plan(nbformat.v4.new_notebook(cells=list(cells)), note)
    shown = []
    for cell in plan.cells:
        hidden = cell.metadata.get("transient", {}).get("remove_source")
        where = cell.metadata.slideshow.slide_type
        shown.append((where, "" if hidden else cell.source, len(cell.get("outputs", []))))
    return shown


LONG_CODE = "\n".join(f"x{i} = {i}" for i in range(9))


def test_a_topic_begins_a_slide_and_text_takes_its_code_along():
    found = planned(md("# Title"), md("## One\n\nText."), code("print(7)", PRINTED), md("More."))
    assert [where for where, *_ in found] == ["slide", "slide", "-", "subslide"]


def test_what_only_sets_up_is_left_out():
    early, late = (code("n = 9", tags=("parameters",)) for _ in range(2))
    found = planned(md("# Title"), code("import torch"), md("Parts."), early, md("## One"), late)
    assert [source for _, source, _ in found] == ["# Title", "## One"]


def test_an_error_is_never_left_out():
    found = planned(md("# Title"), code("import nothing", ERROR), md("## One"))
    assert ("import nothing", 1) in [(source, n) for _, source, n in found]


def test_a_figure_has_a_slide_of_its_own_unless_its_code_is_short():
    alone = planned(md("## One"), code(LONG_CODE, PRINTED, PICTURE))
    assert [(where, bool(source), n) for where, source, n in alone] == [
        ("slide", True, 0),
        ("-", True, 1),
        ("subslide", False, 1),
    ]
    together = planned(md("## One"), md("Look."), code("plot(x)", PICTURE))
    assert [where for where, *_ in together][-2:] == ["-", "-"]
    assert planned(md("## One"), code("table", TABLE))[-1][0] == "subslide"


def test_every_output_is_shown_once():
    outputs = [PRINTED, PICTURE, TABLE, PICTURE]
    assert sum(n for *_, n in planned(md("## One"), code(LONG_CODE, *outputs))) == len(outputs)


def test_text_goes_on_on_the_next_slide_and_nothing_is_lost():
    items = "\n".join(f"{i}. {'a long exercise ' * 14}" for i in range(1, 9))
    source = f"## Exercises\n\n{items}\n\nA last word."
    parts = pieces(source)
    assert len(parts) > 1
    assert "".join(parts).split() == source.split()
    assert parts[0].startswith("## Exercises\n\n1. "), "no heading stays alone"


def test_fences_and_formulas_stay_whole():
    formula = "$$\na\n\nb\n$$"
    fence = "```python\nx = 1\n\n\ny = 2\n```"
    text = "\n\n".join(["word " * 200] * 3 + [formula, fence])
    parts = pieces(text, CAPACITY)
    assert sum(formula in part for part in parts) == 1
    assert sum(fence in part for part in parts) == 1


def test_a_cell_may_decide_for_itself():
    found = planned(md("## One"), md("Aside.", slide="skip"), md("Same slide.", slide="-"))
    assert [where for where, *_ in found] == ["slide", "skip", "-"]


def test_the_first_slide_has_the_note_and_an_empty_notebook_has_a_slide():
    assert planned(md("# Title"), md("## One"), note="Preview.")[1][:2] == ("-", "Preview.")
    assert planned()[0][0] == "slide"


@pytest.mark.parametrize("name", ["reveal", "leaflet"])
def test_what_ships_is_what_the_manifest_says(name):
    folder = web_assets.WEB / name
    for entry in load_manifest(name).files:
        path = folder / entry.path
        assert (path.stat().st_size, sha256_of(path)) == (entry.bytes, entry.sha256)
    assert "opyright" in (folder / "LICENSE").read_text(encoding="utf-8")


def test_leaflet_is_put_where_maps_look_for_it(empty_cache):
    from geolab.maps.offline import leaflet_assets

    assert leaflet_assets() is None
    web_assets.put_leaflet()
    web_assets.put_leaflet()
    assert cached("leaflet") == empty_cache / "leaflet"
    assert leaflet_assets() is not None


def test_a_peak_is_remembered_after_it_is_gone():
    peak = memory.Peak()
    with peak.watching(os.getpid):
        block = bytearray(200_000_000)
        block[::4096] = b"1" * len(block[::4096])
        del block
        while peak.n_bytes == 0:
            pass
    assert peak.n_bytes > 200_000_000
    assert memory.resident_bytes(2**22 + 1) == 0
