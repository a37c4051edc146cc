"""What a check says when an answer is wrong: one sentence that teaches, and a counter-example.

    wrong(
        f"Your haversine takes degrees as radians: Paris to Tokyo came out as {km(got)}, it is "
        f"{km(right)}.",
        example={"a": PARIS, "b": TOKYO},
        figure=lambda: draw(...),
    )

A good sentence names the fault and not the symptom, where the symptom tells; it gives what came out
and what is right, for a case that can be worked out by hand. A figure is drawn only when it is
shown, so a function that draws it is better than a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np


class Wrong(AssertionError):
    """A wrong answer, explained.

    Attributes
    ----------
    sentence : str
        What is wrong, to the student.
    example : list of str
        Lines of the counter-example.
    figure : Figure, Axes, path of a PNG, function that returns one of them, or None
    """

    def __init__(self, sentence: str, *, figure: Any = None, example: Any = None) -> None:
        super().__init__(sentence)
        self.sentence = " ".join(sentence.split())
        self.example = example_lines(example)
        self.figure = figure


def wrong(
    sentence: str,
    *,
    figure: Callable[[], Any] | Path | Any | None = None,
    example: Mapping[str, Any] | str | None = None,
) -> NoReturn:
    """Fail the check with a sentence, and show a counter-example or a picture.

    Parameters
    ----------
    sentence : str
        One sentence or two, with what came out and what is right.
    figure : Figure, Axes, path of a PNG, or function without arguments that returns one, optional
        Shown below the sentence.
    example : mapping of name to value, or str, optional
        Input, output and right answer; each entry is a line.

    Raises
    ------
    Wrong
        Always.
    """
    raise Wrong(sentence, figure=figure, example=example)


def example_lines(example: Mapping[str, Any] | str | None) -> list[str]:
    """Lines that show a counter-example.

    Examples
    --------
    >>> example_lines({"a": np.array([48.8566, 2.3522]), "yours": 1234.5678})
    ['a = (48.8566, 2.3522)', 'yours = 1234.57']
    """
    if example is None:
        return []
    if isinstance(example, str):
        return example.splitlines()
    return [f"{name} = {shown(value)}" for name, value in example.items()]


def shown(value: Any) -> str:
    """Write a value as a person would: six digits, arrays as tuples, long ones cut.

    Examples
    --------
    >>> shown([[0, 179.9], [0.0, -179.9000001]]), shown(None)
    ('((0, 179.9), (0, -179.9))', 'None')
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        parts = [shown(part) for part in value[:8]] + ["..."] * (len(value) > 8)
        return f"({', '.join(parts)})"
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return str(value)


def km(distance: float) -> str:
    """Write a distance.

    Examples
    --------
    >>> km(9710.44), km(0.8), km(float("nan"))
    ('9,710 km', '0.8 km', 'not a number')
    """
    if not np.isfinite(distance):
        return "not a number" if np.isnan(distance) else "infinity"
    return f"{distance:,.0f} km" if abs(distance) >= 100 else f"{distance:.3g} km"
