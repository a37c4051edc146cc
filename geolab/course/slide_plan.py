"""Which cell goes on which slide: one idea each, and no more than a slide holds.

- A heading begins a slide; `##` also begins a topic, whose name stays above its slides.
- Text is followed by its code, on the same slide if both fit. A figure, a map or a table has a
  slide of its own, or shares one with the few lines that drew it.
- Text that is longer than a slide goes on on the next one.
- What stands between the title and the first `##` (imports, knobs) is left out.

A cell may decide for itself, in its metadata: ``"geolab": {"slide": "skip"}``, or "slide",
"subslide", "notes", "-" (together with what is before it).
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

from geolab.course.notebook import has_tag

CAPACITY = 14.5
"""Lines of text that fit on a slide."""

_HEADING = 1.7
_SHORT = 6.0  # code of so many lines leaves room for its figure

_PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
_BLOCK = re.compile(r"(```.*?```|\$\$.*?\$\$|\\begin\{.*?\\end\{[^}]*\})|\n\s*\n", re.DOTALL)


@dataclass(frozen=True)
class _Unit:
    """A piece that stays together: a cell to be shown, its kind, and its height in lines."""

    cell: NotebookNode
    kind: str  # text, code, show
    lines: float


def slide_plan(nb: NotebookNode, note: str = "") -> NotebookNode:
    """Arrange the cells of a notebook on slides.

    Parameters
    ----------
    nb
        Executed notebook; it is not changed.
    note
        Markdown for the foot of the first slide.

    Returns
    -------
    NotebookNode
        Cells with the metadata ``slideshow.slide_type``, as nbconvert wants it, and ``topic``.
    """
    nb, cells = copy.deepcopy(nb), []
    title, rest = _title_and_rest(nb.cells)
    for cell in title:
        cells.append(_placed(cell, "slide"))
    if note:
        cells.append(_placed(nbformat.v4.new_markdown_cell(note), "-" if cells else "slide"))
    topic, filled, last = "", CAPACITY, "show"
    for cell in rest:
        asked = cell.metadata.get("geolab", {}).get("slide")
        if asked in ("skip", "notes"):
            cells.append(_placed(cell, asked))
            continue
        for unit in _units(cell):
            heading = re.match(r"(#+)\s+(.+)", unit.cell.source) if unit.kind == "text" else None
            if heading and len(heading[1]) <= 2:
                topic = re.sub(r"[*`$\\]", "", heading[2]).strip()
            place = asked or _place(unit, heading, filled, last)
            asked = None
            joined = place == "-" and bool(cells)
            unit.cell.metadata["topic"] = "" if heading or joined else topic
            cells.append(_placed(unit.cell, place if joined or place != "-" else "slide"))
            filled = filled + unit.lines if joined else unit.lines + (not heading)
            last = "heading" if heading and unit.lines < 2 else unit.kind
            last = "short code" if last == "code" and filled <= _SHORT else last
    nb.cells = cells or [_placed(nbformat.v4.new_markdown_cell("# Nothing to show"), "slide")]
    return nb


def _title_and_rest(cells: list[NotebookNode]) -> tuple[list[NotebookNode], list[NotebookNode]]:
    """Split off the title; drop what stands before the first topic, errors excepted."""
    topics = [i for i, cell in enumerate(cells) if _begins_topic(cell)]
    first = topics[0] if topics else int(_is_title(cells[0])) if cells else 0
    opening = [cell for cell in cells[:first] if _is_title(cell) or _failed(cell)]
    return opening[:1] if opening and _is_title(opening[0]) else [], [
        *(cell for cell in opening if _failed(cell)),
        *(cell for cell in cells[first:] if not _is_set_up(cell)),
    ]


def _begins_topic(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and bool(re.match(r"##\s", cell.source))


def _is_title(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and bool(re.match(r"#\s", cell.source))


def _failed(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", []))


def _is_set_up(cell: NotebookNode) -> bool:
    knobs = has_tag(cell, "parameters") or has_tag(cell, "injected-parameters")
    return knobs and not _failed(cell)


def _place(unit: _Unit, heading: re.Match | None, filled: float, last: str) -> str:
    if heading:
        return "slide" if len(heading[1]) <= 2 else "subslide"
    if unit.kind == "show":
        return "-" if last == "short code" and not _is_table(unit.cell.outputs[0]) else "subslide"
    fits = filled + unit.lines <= CAPACITY
    after_text = unit.kind == "code" and last in ("text", "heading")
    after_heading = unit.kind == "text" and last == "heading"
    return "-" if fits and (after_text or after_heading) else "subslide"


def _placed(cell: NotebookNode, place: str) -> NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": place}
    return cell


def _units(cell: NotebookNode) -> list[_Unit]:
    if cell.cell_type == "markdown":
        return [_text(cell, part) for part in pieces(cell.source)]
    if cell.cell_type != "code":
        return []
    shows = [output for output in cell.outputs if _is_show(output)]
    words = [output for output in cell.outputs if not _is_show(output)]
    code = copy.deepcopy(cell)
    code.outputs = words
    said = sum(len(str(output.get("text", "")).splitlines()) for output in words)
    said += sum(
        len(output.data.get("text/plain", "").splitlines())
        for output in words
        if output.get("data")
    )
    lines = 0.85 * len(cell.source.splitlines()) + 0.85 * said + 1
    units = [_Unit(code, "code", lines)]
    for i, output in enumerate(shows):
        show = copy.deepcopy(cell)
        show["id"] = f"{cell.get('id', 'cell')}-{i + 1}"
        show.outputs = [output]
        show.metadata["transient"] = {"remove_source": True}
        units.append(_Unit(show, "show", CAPACITY))
    return units


def _is_show(output: NotebookNode) -> bool:
    """Whether an output is to be looked at, rather than read as a line of text."""
    data = output.get("data", {})
    return "text/html" in data or any(kind in data for kind in _PICTURES)


def _is_table(output: NotebookNode) -> bool:
    return "<table" in output.get("data", {}).get("text/html", "")


def _text(cell: NotebookNode, part: str) -> _Unit:
    part_cell = nbformat.v4.new_markdown_cell(part, metadata=copy.deepcopy(cell.metadata))
    if cell.get("attachments"):
        part_cell["attachments"] = cell.attachments
    return _Unit(part_cell, "text", sum(map(_lines, blocks(part))))


def blocks(source: str) -> list[str]:
    r"""Split Markdown at blank lines, but not inside fences and formulas.

    >>> blocks("one\n\ntwo\n\n```\na\n\nb\n```")
    ['one', 'two', '```\na\n\nb\n```']
    """
    marks = [match for match in _BLOCK.finditer(source) if match[1] is None]
    starts = [0, *(match.end() for match in marks)]
    ends = [*(match.start() for match in marks), len(source)]
    parts = [source[start:end].strip("\n") for start, end in zip(starts, ends, strict=True)]
    return [part for part in parts if part.strip()]


def pieces(source: str, capacity: float = CAPACITY) -> list[str]:
    r"""Split Markdown into parts that fit on a slide; a heading begins one.

    >>> pieces("## A\n\nshort\n\n### B\n\nshort too")
    ['## A\n\nshort', '### B\n\nshort too']
    """
    parts: list[list[str]] = []
    filled = math.inf
    for block in (small for whole in blocks(source) for small in _halved(whole, capacity)):
        lines = _lines(block)
        starts = bool(re.match(r"#+\s", block))
        if starts or (filled + lines > capacity and filled > _HEADING):  # no heading stays alone
            parts.append([])
            filled = 0.0
        parts[-1].append(block)
        filled += lines
    return ["\n\n".join(part) for part in parts]


def _halved(block: str, capacity: float) -> list[str]:
    """Split a list that is longer than a slide between two of its items."""
    if _lines(block) <= capacity or not re.match(r"([-*]|\d+\.)\s", block):
        return [block]
    items = re.split(r"\n(?=(?:[-*]|\d+\.)\s)", block)
    if len(items) == 1:
        return [block]
    half = len(items) // 2
    halves = "\n".join(items[:half]), "\n".join(items[half:])
    return [part for half_block in halves for part in _halved(half_block, capacity)]


def _lines(block: str) -> float:
    """Estimate the height of a block of Markdown, in lines of text."""
    if re.match(r"#+\s", block):
        _, _, body = block.partition("\n")
        return _HEADING + (_lines(body) if body.strip() else 0)
    if block.startswith("```"):
        return 0.85 * block.count("\n")
    if block.startswith(("$$", "\\begin")):
        return 1.5 + 1.3 * block.count(r"\\")
    if block.lstrip().startswith("|"):
        return 1.2 * block.count("\n") + 1
    if re.match(r"!\[", block):
        return CAPACITY
    lines = block.split("\n")
    listed = [line for line in lines if re.match(r"\s*([-*]|\d+\.)\s", line)]
    if listed:
        return sum(math.ceil(len(line) / 85) for line in lines) + 0.3 * len(listed)
    return math.ceil(len(block) / 88) + 0.5
