"""Which of a student's functions calls which: a wrong answer makes those that use it wrong too."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any


def called_by(name: str, namespace: dict[str, Any]) -> set[str]:
    """Functions of a namespace that one of them calls, directly or through others; not itself.

    Examples
    --------
    >>> def f(x): return g(x)
    >>> def g(x): return x
    >>> called_by("f", {"f": f, "g": g})
    {'g'}
    """
    found: set[str] = set()
    fresh = {name}
    while fresh:
        mentioned = {n for function in fresh for n in _names(namespace.get(function))}
        fresh = {n for n in mentioned if isinstance(namespace.get(n), FunctionType)} - found
        found |= fresh
    return found - {name}


def _names(function: Any) -> Iterator[str]:
    """Names in the code of a function and of those defined inside it."""
    codes = [function.__code__] if isinstance(function, FunctionType) else []
    while codes:
        code = codes.pop()
        yield from code.co_names
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
