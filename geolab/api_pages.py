r"""Pages of the package's functions, made from their docstrings: ``geolab docs --out build/api``.

pdoc reads the docstrings and writes the pages; the search box works from a file of its own. What
pdoc would fetch from a network is done here instead: formulas become MathML. The colours of
``geolab/api_theme`` follow the reader's light or dark setting.

A module that needs a library which is not installed has no page; `ApiPages.left_out` says which
and why. Private modules and the checks of the assignments have none.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import geolab
from geolab import __version__
from geolab.data.storage import write_atomic

PACKAGE = Path(__file__).resolve().parent
THEME = PACKAGE / "api_theme"
_INLINE = re.compile(r":math:`([^`]+)`")
_BLOCK = re.compile(
    r"^( *)\.\. math::[ \t]*(.*\n?(?:(?:\1[ ]+\S.*|[ \t]*)(?:\n|\Z))*)", re.MULTILINE
)


@dataclass(frozen=True)
class ApiPages:
    """What was written.

    Attributes
    ----------
    pages : dict of str to Path
        Page of each module.
    left_out : dict of str to str
        Modules that could not be imported, and why.
    """

    pages: dict[str, Path]
    left_out: dict[str, str]


def module_names() -> list[str]:
    """All public modules of the package, the package itself first.

    Examples
    --------
    >>> [name for name in module_names() if name in ("geolab", "geolab.sphere", "geolab.data")]
    ['geolab', 'geolab.data', 'geolab.sphere']
    """
    found = [module.name for module in pkgutil.walk_packages(geolab.__path__, "geolab.")]
    return ["geolab", *(name for name in found if _is_public(name))]


def _is_public(name: str) -> bool:
    parts = name.split(".")
    return not any(part.startswith("_") for part in parts) and not parts[-1].startswith("test_")


def build_api(out: str | os.PathLike, names: Sequence[str] | None = None) -> ApiPages:
    """Write one page for each module, an index and the search.

    Parameters
    ----------
    out : path
        Folder; pages of modules that are gone are removed from it.
    names : sequence of str, optional
        Modules; all public ones if not given.

    Returns
    -------
    ApiPages

    Raises
    ------
    ModuleNotFoundError
        If pdoc is missing.
    """
    import pdoc

    from geolab.course.scrub import path_scrubber

    out, left_out, held = Path(out), {}, []
    for name in names or module_names():
        try:
            _load(name)
            held.append(name)
        except ImportError as error:
            left_out[name] = str(error)
    scrub = path_scrubber({PACKAGE.parent: "."})
    with _configured(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # annotations of type checkers, which pdoc prints as text
        modules = {name: pdoc.doc.Module.from_name(name) for name in held}
        pages = {
            name: write_atomic(
                out / (name.replace(".", "/") + ".html"),
                scrub(pdoc.render.html_module(module, modules)),
            )
            for name, module in modules.items()
        }
        write_atomic(out / "index.html", pdoc.render.html_index(modules))
        write_atomic(out / "search.js", scrub(pdoc.render.search_index(modules)))
    for old in set((out / "geolab").rglob("*.html")) - set(pages.values()):
        old.unlink()
    return ApiPages(pages, left_out)


def _load(name: str) -> None:
    """Import a module and the names that it fetches when first used; pdoc reads the dictionary."""
    module = importlib.import_module(name)
    for member in getattr(module, "__all__", ()):
        vars(module).setdefault(member, getattr(module, member))


@contextmanager
def _configured() -> Iterator[None]:
    """Let pdoc render in our theme and with our formulas; its settings are global."""
    from pdoc import render

    before, precompile = dict(render.env.filters), render.precompile_index
    markdown, page = _with_formulas(before["to_markdown"], before["to_html"])
    render.configure(
        docformat="numpy",
        footer_text=f"geolab {__version__}",
        show_source=False,
        template_directory=THEME,
    )
    render.env.filters |= {"to_markdown": markdown, "to_html": page, "first_line": first_line}
    # Where there is node, pdoc makes an index three times as large; a browser makes its own.
    render.precompile_index = lambda documents, _: json.dumps(documents)
    try:
        yield
    finally:
        render.env.filters, render.precompile_index = before, precompile
        render.configure()


def _with_formulas(
    to_markdown: Callable[..., str], to_html: Callable[[str], Any]
) -> tuple[Callable[..., str], Callable[[str], Any]]:
    """Wrap pdoc's two filters: formulas wait under a name while Markdown is translated.

    Markdown would take the underscores of a formula for emphasis.
    """
    from jinja2 import pass_context

    from geolab.course.mathml import tex_to_mathml

    waiting: dict[str, str] = {}

    def put_aside(tex: str, *, block: bool) -> str:
        name = f"geolabformula{len(waiting)}end"
        known = " ".join(tex.split()).replace(r"\arg", r"\operatorname{arg}")
        waiting[name] = tex_to_mathml(known, block=block)
        return f"\n\n{name}\n\n" if block else name

    @pass_context
    def markdown(context: Any, docstring: str) -> str:
        text = _BLOCK.sub(lambda m: put_aside(m[2], block=True), docstring)
        text = _INLINE.sub(lambda m: put_aside(m[1], block=False), text)
        return to_markdown(context, text)

    def page(text: str) -> Any:
        html = to_html(text)
        filled = re.sub(r"geolabformula\d+end", lambda match: waiting[match[0]], html)
        made = type(html)(filled)
        made.toc_html = getattr(html, "toc_html", None)  # what pdoc's sidebar is made from
        return made

    return markdown, page


def first_line(docstring: str) -> str:
    r"""First paragraph of a docstring, for the index.

    Examples
    --------
    >>> first_line("Great circles of\n`sphere`.\n\nMore.")
    'Great circles of sphere.'
    """
    return " ".join(docstring.strip().split("\n\n")[0].split()).replace("`", "")


def docs(
    out: Annotated[Path, typer.Option(help="Where the pages go.")] = Path("build/api"),
) -> None:
    """Make pages of all functions from their docstrings; they open without a network."""
    try:
        made = build_api(out)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("geolab"):
            raise
        typer.echo(f"{error.name} is missing. Run: pip install 'geolab[docs]'", err=True)
        raise typer.Exit(2) from None
    for name, why in made.left_out.items():
        typer.echo(f"no page for {name}: {why}")
    typer.echo(f"{len(made.pages)} pages: {out / 'index.html'}")
