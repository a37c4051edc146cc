r"""Formulas that a page typesets by itself: TeX in Markdown becomes MathML.

Every browser draws MathML, so no script has to come from a network. `latex2mathml` translates;
what it can't translate stands as TeX in an element of class `tex`, readable and marked.
"""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

# Words that the translator lacks, and those it has for the same.
_SAME = {"{aligned}": "{align*}", r"\operatorname*": r"\operatorname"}
# A command or an alignment mark that came through untranslated.
_UNKNOWN = re.compile(r">\s*\\[A-Za-z]|<mi>&(amp;)?</mi>")


def tex_to_mathml(tex: str, *, block: bool = False) -> str:
    r"""Translate one formula, without its dollar signs.

    Parameters
    ----------
    tex
        Formula or environment.
    block
        Whether it stands on a line of its own.

    Returns
    -------
    str
        A `math` element; or, for a formula that can't be translated, the TeX itself in an element
        of class `tex`.

    Examples
    --------
    >>> tex_to_mathml("R")[-30:]
    '<mrow><mi>R</mi></mrow></math>'
    >>> tex_to_mathml(r"\frac{1")
    '<code class="tex">\\frac{1</code>'
    """
    known = tex.strip()
    for lacking, same in _SAME.items():
        known = known.replace(lacking, same)
    # The translator closes open braces in silence.
    balanced = tex.count("{") == tex.count("}")
    try:
        mathml = convert(known, display="block" if block else "inline") if balanced else ""
    except Exception:  # latex2mathml's errors share no base class
        mathml = ""
    if mathml and not _UNKNOWN.search(mathml):
        return mathml
    tag = "pre" if block else "code"
    return f'<{tag} class="tex">{html.escape(tex.strip(), quote=False)}</{tag}>'


class MathMLRenderer(IPythonRenderer):
    """nbconvert's Markdown renderer with its four kinds of formula written as MathML."""

    def block_math(self, body: str) -> str:
        """Render `$$ ... $$`."""
        return tex_to_mathml(body, block=True)

    def inline_math(self, body: str) -> str:
        """Render `$ ... $`."""
        return tex_to_mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        r"""Render `\begin{name} ... \end{name}`."""
        return tex_to_mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", block=True)


def markdown_to_html(source: str, *, folder: str = "", attachments: dict | None = None) -> str:
    """Render Markdown as nbconvert does, formulas as MathML, local pictures embedded.

    Parameters
    ----------
    source
        Markdown text.
    folder
        Where relative pictures lie.
    attachments
        A cell's attachments.

    Returns
    -------
    str
        HTML; headings have an anchor but no visible mark.
    """
    renderer = MathMLRenderer(
        escape=False,
        attachments=attachments or {},
        embed_images=True,
        path=folder,
        anchor_link_text="#",
    )
    return MarkdownWithMath(renderer=renderer).render(source)
