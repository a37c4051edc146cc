"""Pages of plain text: every Markdown file beside the notebooks, rendered as their text is.

`ethics.md` becomes `ethics.html`, linked from the index; notebooks may link to it by its own name.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import nbformat

from geolab.course.address import repository_address
from geolab.course.exporting import prepared
from geolab.course.render import page_of, templates
from geolab.data.storage import write_atomic


def texts_in(folder: Path) -> list[Path]:
    """Markdown files of a folder, in order."""
    return sorted(folder.glob("*.md"))


def write_texts(folder: Path, out: Path, pages: Collection[str]) -> dict[str, str]:
    """Render the Markdown files of a folder.

    Parameters
    ----------
    folder
        Where the notebooks lie.
    out
        Build folder.
    pages
        Stems of the notebooks and texts that have a page.

    Returns
    -------
    dict
        Title by name of the page.
    """
    titles = {}
    for path in texts_in(folder):
        text = path.read_text(encoding="utf-8")
        title = next(
            (line[2:].strip() for line in text.splitlines() if line[:2] == "# "), path.stem
        )
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
        cells = page_of(
            prepared(nb, stem=path.stem, folder=folder), repository_address(), pages
        ).html
        html = templates().get_template("text.html.j2").render(title=title, cells=cells)
        write_atomic(out / f"{path.stem}.html", html)
        titles[f"{path.stem}.html"] = title
    return titles
