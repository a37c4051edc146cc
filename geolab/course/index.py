"""The pages of the course: one a notebook and its slides, the front page, the table of results.

All are made from what lies in the build folder. So building some notebooks keeps the others, and a
build that was stopped shows what is finished.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from geolab import __version__
from geolab.course.address import colab_address, repository_address
from geolab.course.exporting import FIGURES, external_loads, prepared
from geolab.course.notebook import read_notebook
from geolab.course.render import page_of, templates
from geolab.course.slides import slides_name, slides_of
from geolab.course.state import Entry, executed_path, rows_path
from geolab.course.texts import texts_in, write_texts
from geolab.course.web_assets import put_reveal
from geolab.data.storage import write_atomic
from geolab.rows import Row, read_rows, write_rows


def publish(entries: Sequence[Entry], out: Path, environment: dict) -> dict[str, tuple[str, ...]]:
    """Render every notebook that has been run, and write the index and the results.

    Parameters
    ----------
    entries
        All notebooks of the course, in order.
    out
        Build folder.
    environment
        `geolab.environment.report`, so that every table says what it was measured on.

    Returns
    -------
    dict
        For each notebook the addresses that its page or maps would load from a network. A course
        needs none.
    """
    put_reveal(out)
    ran = [entry for entry in entries if entry.ran]
    covers, outside = {}, {}
    folder = entries[0].path.parent if entries else out
    pages = {entry.stem for entry in ran} | {path.stem for path in texts_in(folder)}
    for i, entry in enumerate(ran):
        around = {
            "previous": ran[i - 1] if i else None,
            "next": ran[i + 1] if i + 1 < len(ran) else None,
        }
        covers[entry.stem], loads = _write_page(entry, out, around, pages)
        for name in entry.maps:
            loads += external_loads((out / name).read_text(encoding="utf-8"))
        outside[entry.stem] = tuple(sorted(set(loads)))
    rows = gather_rows(ran, out)
    _write_results(rows, out)
    write_atomic(out / "environment.json", _json(environment))
    shown = {
        "entries": entries,
        "covers": covers,
        "failed": [entry for entry in ran if entry.error],
        "n_rows": len(rows),
        "environment": environment,
        "texts": write_texts(folder, out, pages),
    }
    write_atomic(out / "index.html", _fill("index.html.j2", **shown))
    return outside


def _write_page(entry: Entry, out: Path, around: dict, pages: set[str]) -> tuple[str, list[str]]:
    """Write page, slides and figures of one notebook; return its cover and external loads."""
    nb, repository = read_notebook(executed_path(entry.stem, out)), repository_address()
    ready = prepared(nb, stem=entry.stem, folder=entry.path.parent)
    page = page_of(ready, repository, pages)
    for name, picture in page.figures.items():
        write_atomic(out / name, picture)
    mine = re.compile(re.escape(entry.stem) + r"_\d+_\d+\.\w+")
    for old in (out / FIGURES).glob(f"{entry.stem}_*"):
        if mine.fullmatch(old.name) and f"{FIGURES}/{old.name}" not in page.figures:
            old.unlink()
    html = _fill("notebook.html.j2", entry=entry, cells=page.html, **around)
    write_atomic(out / f"{entry.stem}.html", html)
    write_atomic(out / slides_name(entry.stem), slides_of(ready, entry, repository, pages))
    return page.cover, list(page.outside)


def gather_rows(entries: Sequence[Entry], out: Path) -> list[Row]:
    """Read the rows of all notebooks; of the same system and benchmark the last one stands."""
    held: dict[tuple[str, str], Row] = {}
    for entry in entries:
        path = rows_path(entry.stem, out)
        if not entry.error and path.exists():
            held |= {(row.system, row.benchmark): row for row in read_rows(path)}
    return list(held.values())


def _write_results(rows: list[Row], out: Path) -> None:
    from geolab.tables import table

    shown = table(rows)
    page = _fill("results.html.j2", table=shown.html(), n_rows=len(rows))
    write_atomic(out / "results.html", page)
    write_atomic(out / "results.csv", shown.csv())
    write_rows(rows, out / "results.json")


def _fill(template: str, **values: object) -> str:
    links = {"colab_address": colab_address, "slides_name": slides_name}
    return templates().get_template(template).render(version=__version__, **links, **values)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
