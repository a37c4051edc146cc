"""What pages and slides share: figures as files, formulas as MathML, nothing from a network.

nbconvert turns cells into HTML by its bare template. `prepared` runs once for each notebook, so a
page and its slides show the same picture files.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor, ExtractOutputPreprocessor
from nbformat import NotebookNode
from traitlets.config import Config

from geolab.course.bootstrap import TAG as BOOTSTRAP
from geolab.course.bootstrap import without_badge
from geolab.course.mathml import markdown_to_html
from geolab.course.notebook import has_tag

FIGURES = "figures"
_SHOWN = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
# Attributes that make a browser fetch something; a link to click on is none of them.
_LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class MathMLMixin:
    """An nbconvert exporter whose Markdown filter is `geolab.course.mathml`'s."""

    def default_filters(self) -> Any:
        """List the filters of a template."""
        yield from super().default_filters()
        yield "markdown2html", self._markdown

    # The template environment hands its context to filters that carry this mark.
    def _markdown(self, context: Any, source: str) -> str:
        folder = context.get("resources", {}).get("metadata", {}).get("path", "")
        attachments = context.get("cell", {}).get("attachments", {})
        return markdown_to_html(source, folder=folder, attachments=attachments)

    _markdown.jinja_pass_arg = HTMLExporter.markdown2html.jinja_pass_arg


def exporter_config() -> Config:
    """Return the settings of both exporters."""
    config = Config()
    config.NbConvertBase.display_data_priority = list(_SHOWN)
    config.TemplateExporter.exclude_input_prompt = True
    config.TemplateExporter.exclude_output_prompt = True
    return config


@dataclass(frozen=True)
class Prepared:
    """An executed notebook, ready for an exporter.

    Attributes
    ----------
    nb
        A copy whose outputs name the figure files.
    figures
        Picture files by path inside the build folder, in the order of the notebook.
    cover
        Path of the figure for the index; empty when there is none.
    folder
        Where it lies in the source tree; pictures in its text are looked for there.
    """

    nb: NotebookNode
    figures: dict[str, bytes]
    cover: str
    folder: Path

    @property
    def resources(self) -> dict[str, Any]:
        """What an exporter is told beside the notebook."""
        return {"metadata": {"path": str(self.folder)}}


def prepared(nb: NotebookNode, *, stem: str, folder: Path) -> Prepared:
    """Copy a notebook: no badge and bootstrap cell, words for every figure, figures as files.

    Parameters
    ----------
    nb
        Executed notebook; it is not changed.
    stem
        Its file name without `.ipynb`; figures are named after it.
    folder
        Where it lies in the source tree.
    """
    nb = _with_words(nb)
    resources = {"unique_key": stem, "output_files_dir": FIGURES, "outputs": {}}
    nb, resources = CoalesceStreamsPreprocessor(enabled=True)(nb, resources)
    nb, resources = ExtractOutputPreprocessor(enabled=True)(nb, resources)
    figures = {Path(name).as_posix(): data for name, data in resources["outputs"].items()}
    covers = [f"{FIGURES}/{stem}_{i}_" for i, cell in enumerate(nb.cells) if has_tag(cell, "cover")]
    tagged = [name for name in figures if name.startswith(tuple(covers))]
    return Prepared(nb, figures, (tagged or list(figures) or [""])[0], folder)


def _with_words(nb: NotebookNode) -> NotebookNode:
    """Give every figure words, and formulas among the outputs as Markdown."""
    nb = copy.deepcopy(nb)
    nb.cells = [cell for cell in nb.cells if not has_tag(cell, BOOTSTRAP)]
    heading = ""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = without_badge(cell.source)
            found = re.findall(r"^#+\s+(.+)$", cell.source, flags=re.MULTILINE)
            heading = found[-1] if found else heading
        cell.metadata.setdefault("alt", f"Figure: {heading}" if heading else "Figure")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/latex" in data and "text/html" not in data:
                data["text/markdown"] = data.pop("text/latex")
    return nb


def mended(
    body: str, repository: str, pages: Collection[str] | None = None
) -> tuple[BeautifulSoup, list[str]]:
    """Mend the links of exported cells, and drop frames that would ask a network.

    Parameters
    ----------
    body
        HTML of the cells.
    repository
        Address that links to its other files lead to.
    pages
        Notebooks that have a page, by name without `.ipynb`; all if not given.

    Returns
    -------
    soup, outside
        The cells, and the addresses that their output would load from a network.
    """
    soup = BeautifulSoup(body, "html.parser")
    outside = external_loads(body)
    for note in soup.select("span:has(+ iframe)"):  # asks to trust a notebook; a page needs none
        note.decompose()
    _mend_links(soup, repository, pages)
    _drop_outside_frames(soup)
    return soup, outside


def _mend_links(soup: BeautifulSoup, repository: str, pages: Collection[str] | None) -> None:
    """Lead links to notebooks and texts to their pages, other relative links to the repository."""
    source = f"{repository}/blob/main"
    for link in soup.select("a[href]"):
        href = link["href"]
        if re.match(r"[a-z][a-z0-9+.-]*:|#|maps/|figures/|results\.|index\.", href):
            continue
        beside = re.fullmatch(r"(?:\./)?([\w-]+)(\.ipynb|\.md)(#.*)?", href)
        if beside and (pages is None or beside[1] in pages):
            link["href"] = f"{beside[1]}.html{beside[3] or ''}"
        elif beside and repository:
            link["href"] = f"{source}/notebooks/{beside[1]}{beside[2]}"
        elif repository and href.startswith("../"):
            link["href"] = f"{source}/{href.removeprefix('../')}"
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
