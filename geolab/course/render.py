"""One executed notebook as a page that opens without a network.

nbconvert turns cells into HTML with its bare template; the frame and the style are ours, because
the stock templates load scripts from a network and weigh half a megabyte. Figures go into files of
their own. Widgets and scripts of outputs are left out: what they show has a picture or a text too.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from jinja2 import Environment, PackageLoader, select_autoescape
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from geolab.course.mathml import markdown_to_html
from geolab.course.notebook import has_tag

FIGURES = "figures"
_SHOWN = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
# Attributes that make a browser fetch something; a link to click on is none of them.
_LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


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


class _Exporter(HTMLExporter):
    def default_filters(self) -> Any:
        yield from super().default_filters()
        yield "markdown2html", self._markdown

    # The template environment hands its context to filters that carry this mark.
    def _markdown(self, context: Any, source: str) -> str:
        folder = context.get("resources", {}).get("metadata", {}).get("path", "")
        attachments = context.get("cell", {}).get("attachments", {})
        return markdown_to_html(source, folder=folder, attachments=attachments)

    _markdown.jinja_pass_arg = HTMLExporter.markdown2html.jinja_pass_arg


@cache
def _exporter() -> HTMLExporter:
    config = Config()
    config.NbConvertBase.display_data_priority = list(_SHOWN)
    config.ExtractOutputPreprocessor.enabled = True
    config.CoalesceStreamsPreprocessor.enabled = True
    config.TemplateExporter.exclude_input_prompt = True
    config.TemplateExporter.exclude_output_prompt = True
    return _Exporter(config=config, template_name="basic")


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
    nb = _prepared(nb)
    resources = {
        "unique_key": stem,
        "output_files_dir": FIGURES,
        "metadata": {"path": str(folder)},
    }
    body, resources = _exporter().from_notebook_node(nb, resources=resources)
    figures = {Path(name).as_posix(): data for name, data in resources["outputs"].items()}
    soup = BeautifulSoup(body, "html.parser")
    outside = external_loads(body)
    _mend_links(soup, repository)
    _drop_outside_frames(soup)
    covers = [f"{FIGURES}/{stem}_{i}_" for i, cell in enumerate(nb.cells) if has_tag(cell, "cover")]
    tagged = [name for name in figures if name.startswith(tuple(covers))]
    cover = (tagged or list(figures) or [""])[0]
    return Page(str(soup), figures, cover, tuple(outside))


def _prepared(nb: NotebookNode) -> NotebookNode:
    """Copy a notebook; give every figure words, and formulas among the outputs as Markdown."""
    nb = copy.deepcopy(nb)
    heading = ""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            found = re.findall(r"^#+\s+(.+)$", cell.source, flags=re.MULTILINE)
            heading = found[-1] if found else heading
        cell.metadata.setdefault("alt", f"Figure: {heading}" if heading else "Figure")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/latex" in data and "text/html" not in data:
                data["text/markdown"] = data.pop("text/latex")
    return nb


def _mend_links(soup: BeautifulSoup, repository: str) -> None:
    """Lead links to notebooks to their pages, other relative links to the repository."""
    for link in soup.select("a[href]"):
        href = link["href"]
        if re.match(r"[a-z][a-z0-9+.-]*:|#|maps/|figures/|results\.|index\.", href):
            continue
        if re.fullmatch(r"(\./)?[\w-]+\.ipynb(#.*)?", href):
            link["href"] = href.replace(".ipynb", ".html")
        elif repository and href.startswith("../"):
            link["href"] = f"{repository}/blob/main/{href.removeprefix('../')}"
        else:
            link.unwrap()


def _drop_outside_frames(soup: BeautifulSoup) -> None:
    """Put a plain message where a map would ask a network for its parts."""
    for frame in soup("iframe"):
        if external_loads(str(frame)):
            note = soup.new_tag("p", attrs={"class": "error-note"})
            note.string = (
                "A map stood here that loads its parts from a network. Draw it with geolab.maps, "
                "which makes maps that need none."
            )
            frame.replace_with(note)


def external_loads(html: str) -> list[str]:
    """List the addresses that a page would load from a network when opened.

    Links to click on are fine and not listed. Pages inside frames are searched too.

    >>> external_loads('<img src="https://a.org/x.png"><a href="https://b.org">b</a>')
    ['https://a.org/x.png']
    """
    if not re.search(r"(https?:)?//", html):
        return []
    soup = BeautifulSoup(html, "html.parser")
    found = [tag.get(attribute, "") for name, attribute in _LOADING.items() for tag in soup(name)]
    styles = "\n".join(tag.get_text() for tag in soup("style"))
    found += re.findall(r"url\(\s*['\"]?([^'\")]+)", styles)
    found += re.findall(r"@import\s+['\"]([^'\"]+)", styles)
    outside = [address for address in found if re.match(r"(https?:)?//", address)]
    for tag in soup("iframe", srcdoc=True):
        outside += external_loads(tag["srcdoc"])
    return sorted(set(outside))


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
