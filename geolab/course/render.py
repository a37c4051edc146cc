"""One executed notebook as a page that opens without a network.

nbconvert turns cells into HTML with its bare template; the frame and the style are ours, because
the stock templates load scripts from a network and weigh half a megabyte. Figures go into files of
their own. Widgets and scripts of outputs are left out: what they show has a picture or a text too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from geolab.course.exporting import (
    FIGURES,
    MathMLMixin,
    Prepared,
    exporter_config,
    external_loads,
    mended,
    prepared,
)

__all__ = ["FIGURES", "Page", "external_loads", "minutes", "page_of", "render_cells", "templates"]


@dataclass(frozen=True)
class Page:
    """A rendered notebook.

    Attributes
    ----------
    html
        The cells; `frame` makes a whole page of them.
    figures
        Picture files by path inside the build folder, in the order of the notebook.
    cover
        Path of the figure for the index; empty when there is none.
    outside
        Addresses that the notebook's output would load from a network.
    """

    html: str
    figures: dict[str, bytes]
    cover: str
    outside: tuple[str, ...]


class _Exporter(MathMLMixin, HTMLExporter):
    pass


@cache
def _exporter() -> HTMLExporter:
    return _Exporter(config=exporter_config(), template_name="basic")


def render_cells(nb: NotebookNode, *, stem: str, folder: Path, repository: str) -> Page:
    """Render the cells of an executed notebook.

    Parameters
    ----------
    nb
        Executed notebook; it is not changed.
    stem
        Its file name without `.ipynb`; figures are named after it.
    folder
        Where it lies in the source tree; pictures in its text are looked for there.
    repository
        Address that links to other files of the repository lead to; without one they are dropped.

    Returns
    -------
    Page
    """
    return page_of(prepared(nb, stem=stem, folder=folder), repository)


def page_of(ready: Prepared, repository: str, pages: Collection[str] | None = None) -> Page:
    """Render the cells of a prepared notebook, as `render_cells` does.

    `pages` names the notebooks that have a page, all if not given.
    """
    body, _ = _exporter().from_notebook_node(ready.nb, resources=ready.resources)
    soup, outside = mended(body, repository, pages)
    return Page(str(soup), ready.figures, ready.cover, tuple(outside))


@cache
def templates() -> Environment:
    """Return the template environment of the package; everything it fills in is escaped."""
    loader = PackageLoader("geolab.course", "templates")
    environment = Environment(loader=loader, autoescape=select_autoescape(default=True))
    environment.globals["style"] = _style()
    environment.filters["minutes"] = minutes
    return environment


def _style() -> str:
    own = (Path(__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def minutes(seconds: float) -> str:
    """Say a duration in the unit that suits it.

    >>> minutes(42), minutes(150)
    ('42 s', '2.5 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
