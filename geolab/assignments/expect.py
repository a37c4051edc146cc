"""What every check asks of a value before it looks at the numbers: is it there, its shape, finite.

got = expect.numbers(answers.to_unit(points), (5, 3), "to_unit", given="5 points")
row = expect.worst(got, right, atol=1e-6)      # None, or the row that is furthest off
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geolab.assignments.explain import shown, wrong


def numbers(
    value: Any, shape: tuple[int, ...], name: str, *, given: str = "", finite: bool = True
) -> np.ndarray:
    """Return an answer as float64 (or int64) array of the shape asked for, or say what it is.

    Parameters
    ----------
    value : anything
        What the student's function returned.
    shape : tuple of int
        What the specification promises.
    name : str
        Of the function.
    given : str
        What the function got, in words, for the sentence.
    finite : bool
        Refuse NaN and infinity.

    Raises
    ------
    Wrong
        With a sentence on the first thing that does not hold.

    Examples
    --------
    >>> numbers([[1, 2]], (1, 2), "f").dtype.name
    'int64'
    """
    for_input = f" for {given}" if given else ""
    if value is None:
        wrong(f"{name} returned None{for_input}: is the last line a `return`?")
    array = _as_array(value, name)
    if array.shape != shape:
        wrong(f"{name} returned shape {array.shape}{for_input}; its docstring promises {shape}.")
    array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    if finite and not np.isfinite(array).all():
        row = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        where = f" in row {row[0] if len(row) == 1 else row}" if row else ""
        wrong(f"{name} returned {array[row]}{where}{for_input}; every entry must be a number.")
    return array


def _as_array(value: Any, name: str) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        wrong(f"{name} returned a list of unequal parts; return one array or tensor.")
    if array.dtype.kind not in "fiub":
        wrong(f"{name} returned {type(value).__name__} {shown(value)[:60]}, which is not numbers.")
    return array


def worst(
    got: np.ndarray, right: np.ndarray, *, atol: float = 0.0, rtol: float = 0.0
) -> int | None:
    """Row (first axis) that is furthest off, or None where all are within ``atol + rtol |right|``.

    Examples
    --------
    >>> worst(np.array([1.0, 5.0, 3.0]), np.array([1.0, 2.0, 4.0]), atol=0.1)
    1
    """
    gap = np.abs(np.asarray(got, float) - right) - rtol * np.abs(right) - atol
    gap = np.where(np.isnan(gap), np.inf, gap)
    per_row = gap.reshape(len(gap), -1).max(axis=1)  # (N, ...) -> (N,)
    return None if (per_row <= 0).all() else int(per_row.argmax())
