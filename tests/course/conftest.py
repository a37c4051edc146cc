"""Small notebooks, made for a test and thrown away, that do what lectures do."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

GOOD = [
    ("md", "# First light\n\nA formula $d = 2R \\arcsin(c / 2)$ and\n\n$$\\sum_i w_i = 1$$\n\n"
           "See [the next](01_breaks.ipynb) and [the licence](../LICENSE)."),
    ("knobs", "n_photos = 5000\nseed = 0", {"n_photos": 7}),
    ("code", "print(n_photos, seed)"),
    ("code", "import matplotlib.pyplot as plt\n\nplt.plot([1, 2, 3])\nplt.show()"),
    ("code", "import os\nfrom pathlib import Path\n\n"
             "out = Path(os.environ.get('GEOLAB_COURSE_OUT', '.'))\n"
             "(out / 'maps').mkdir(exist_ok=True)\n"
             "_ = (out / 'maps' / 'votes.html').write_text('<p>a map</p>')"),
    ("code", "from geolab.evaluation import evaluate_points, Options\n"
             "from geolab.tables import record\n\n"
             "row = evaluate_points('sample', [[0, 0], [1, 1]], [[0, 0], [40, 1]],\n"
             "                      benchmark='two places', synthetic=True,\n"
             "                      options=Options(areas=False, n_boot=20))\n_ = record([row])"),
]  # fmt: skip
BREAKS = [
    ("md", "# It breaks"),
    ("code", "import json\n\nprint('before')"),
    ("code", "json.loads('not json')"),
    ("code", "print('never reached')"),
]
SLOW = [("md", "# Too slow"), ("code", "import time\n\ntime.sleep(60)")]


def write_notebook(path: Path, cells: list[tuple], **said: object) -> Path:
    """Write a notebook of ("md" | "code" | "knobs", text[, preview values]) cells."""
    nb = nbformat.v4.new_notebook(metadata={"geolab": said})
    for kind, text, *preview in cells:
        if kind == "md":
            nb.cells.append(nbformat.v4.new_markdown_cell(text))
            continue
        cell = nbformat.v4.new_code_cell(text)
        if kind == "knobs":
            cell.metadata = {"tags": ["parameters"], "geolab": {"preview": preview[0]}}
        nb.cells.append(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)
    return path


@pytest.fixture
def lectures(tmp_path: Path) -> Path:
    """Folder with a notebook that runs and one that breaks."""
    folder = tmp_path / "home of somebody" / "notebooks"
    write_notebook(folder / "00_first_light.ipynb", GOOD, summary="One sentence.", minutes=3)
    write_notebook(folder / "01_breaks.ipynb", BREAKS, summary="Another.", gpu="helps")
    return folder
