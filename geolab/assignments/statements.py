"""What of a notebook has to run before its functions can be called: definitions, not pictures.

The top-level statements of all cells are read as syntax trees. Kept are the functions and classes,
and each import and assignment that one of them uses, directly or through another one. Lines for
the notebook alone (``%pip``, ``!ls``) and calls go.
"""

from __future__ import annotations

import ast
import json
import symtable
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
STUB = "write it, then run the check"


@dataclass(frozen=True)
class Part:
    """Top-level statements of one cell, as a tree that can be compiled.

    Attributes
    ----------
    cell : int
        Number of the cell among all cells, from 1.
    source : str
        Text of the cell, for error messages.
    tree : ast.Module
    """

    cell: int
    source: str
    tree: ast.Module


def without_magics(source: str) -> str:
    """Comment out the lines that only a notebook understands; line numbers stay.

    Examples
    --------
    >>> without_magics("%pip install geolab")
    '# %pip install geolab'
    """
    if source.lstrip().startswith("%%"):
        return ""
    lines = source.split("\n")
    return "\n".join(f"# {x}" if x.lstrip().startswith(("%", "!", "?")) else x for x in lines)


def notebook_parts(path: Path) -> list[Part]:
    """Cells of a notebook file as trees.

    Raises
    ------
    ValueError, OSError
        If the file is no notebook.
    SyntaxError
        If a cell is not Python; its message says which.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError(f"{path.name} is no notebook of format 4; save it again") from None
    code = ((i, cell) for i, cell in enumerate(cells, 1) if cell["cell_type"] == "code")
    return [part_of(i, "".join(cell["source"])) for i, cell in code]


def part_of(cell: int, source: str) -> Part:
    """Read one cell."""
    source = without_magics(source)
    try:
        return Part(cell, source, ast.parse(source))
    except SyntaxError as error:
        error.msg = f"cell {cell}: {error.msg}"
        raise


def defining_parts(parts: Sequence[Part]) -> list[Part]:
    """Keep definitions and what they need, in the same order."""
    statements = [s for part in parts for s in part.tree.body]
    kept = needed(statements, [s for s in statements if isinstance(s, DEFINITIONS)])
    return [
        Part(part.cell, part.source, ast.Module([s for s in part.tree.body if s in kept], []))
        for part in parts
    ]


def needed(statements: Sequence[ast.stmt], roots: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Roots, and the imports, assignments and definitions that they use, in the order given."""
    kept, fresh = [], list(roots)
    binds = [(s, bound(s)) for s in statements]
    while fresh:
        kept += fresh
        wanted = {name for statement in fresh for name in used(statement)}
        fresh = [s for s, names in binds if s not in kept and names & wanted]
    return [s for s in statements if s in kept]


def bound(statement: ast.stmt) -> set[str]:
    """Names that an import, an assignment or a definition gives a value."""
    if isinstance(statement, DEFINITIONS):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = getattr(statement, "targets", None) or [statement.target]
        return {name for target in targets for name in _targets(target)}
    return set()


def _targets(target: ast.expr) -> set[str]:
    """Names that an assignment changes: ``a, b[i], c.d = ...`` changes a, b and c."""
    if isinstance(target, ast.Tuple | ast.List):
        return {name for part in target.elts for name in _targets(part)}
    while isinstance(target, ast.Subscript | ast.Attribute | ast.Starred):
        target = target.value
    return {target.id} if isinstance(target, ast.Name) else set()


def used(statement: ast.stmt) -> set[str]:
    r"""Global names that a statement needs; a function's own variables are none.

    Examples
    --------
    >>> sorted(used(ast.parse("def f(x, y=Y):\n    z = R * x\n    return g(z)").body[0]))
    ['R', 'Y', 'g']
    """
    outer = symtable.symtable(ast.unparse(statement), "cell", "exec")
    return _globals_of(outer, outermost=True)


def _globals_of(table: symtable.SymbolTable, outermost: bool = False) -> set[str]:
    own = (s for s in table.get_symbols() if s.is_referenced() and (outermost or s.is_global()))
    inner = (name for child in table.get_children() for name in _globals_of(child))
    return {symbol.get_name() for symbol in own} | set(inner)


def readable(path: Path) -> list[ast.stmt]:
    """Top-level statements of a `.py` or `.ipynb`; none where it can't be read."""
    try:
        if path.suffix == ".ipynb":
            return [s for part in notebook_parts(path) for s in part.tree.body]
        return ast.parse(path.read_text(encoding="utf-8")).body
    except Exception:
        return []


def written(statements: Sequence[ast.stmt]) -> int:
    """Count the functions less the stubs: the more, the further a submission is."""
    functions = [s for s in statements if isinstance(s, ast.FunctionDef)]
    return sum(-1 if is_stub(function) else 1 for function in functions)


def is_stub(function: ast.FunctionDef) -> bool:
    """Whether a function still says that it is to be written."""
    last = function.body[-1]
    return isinstance(last, ast.Raise) and STUB in ast.unparse(last)
