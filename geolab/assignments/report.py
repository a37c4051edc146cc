"""What is said of a checked assignment: a table, a sentence for each failure, JSON for Gradescope.

    a1: 85 of 100 points (student.py)

    to_unit         10/10  done
    haversine_km    10/25
      ✗ Known distances (15): Your haversine takes degrees as radians: Paris to Tokyo came out ...
          a = (48.8566, 2.3522)
          picture: build/check/a1.haversine_km.png

The JSON is what Gradescope's `results.json` has to be: a list `tests` with `name`, `score`,
`max_score`, `output`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geolab.assignments.session import Outcome

WIDTH = 92
PICTURES = Path("build/check")
_MARK = {"failed": "✗", "skipped": "-"}


def totals(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Points earned, and points that could be; skipped tests count in neither."""
    counted = [outcome for outcome in outcomes if outcome.state != "skipped"]
    return sum(o.score for o in counted), sum(o.points for o in counted)


def by_question(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Outcomes of each question, in the order of the file."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.question, []).append(outcome)
    return found


def text(
    name: str,
    outcomes: Sequence[Outcome],
    label: str,
    notes: Sequence[str] = (),
    pictures: Any = None,
) -> str:
    """Lay out the report.

    Parameters
    ----------
    name : str
        What was asked for, such as "a1".
    outcomes : sequence of Outcome
    label : str
        What was checked.
    notes : sequence of str
        Sentences for the end.
    pictures : mapping of int to Path, optional
        Picture of the outcome with this index (see `save_pictures`).
    """
    earned, possible = totals(outcomes)
    lines = [f"{name}: {earned:g} of {possible:g} points ({label})", ""]
    groups = by_question(outcomes)
    width = max(len(question.partition(".")[2]) for question in groups)
    places = {id(outcome): i for i, outcome in enumerate(outcomes)}
    for question, group in groups.items():
        lines.append(_row(question.partition(".")[2], group, width))
        failures = [o for o in group if o.state in ("failed", "skipped")]
        for i, outcome in enumerate(failures):
            lines += _failure(outcome, (pictures or {}).get(places[id(outcome)]), first=i == 0)
    lines += ["", *notes] if notes else []
    return "\n".join(lines)


def _row(name: str, group: Sequence[Outcome], width: int) -> str:
    """Line of a question; what all its tests wait for is said here, once."""
    earned, possible = totals(group)
    states = {outcome.state for outcome in group} - {"passed", "skipped"}
    said = "done" if not states and possible else ""
    if states == {"todo"}:
        said = "not written yet"
    elif states == {"waiting"}:
        said = next(outcome.sentence for outcome in group if outcome.state == "waiting")
    return f"{name:<{width}}  {f'{earned:g}/{possible:g}':>6}  {said}".rstrip()


def _failure(outcome: Outcome, picture: Path | None, *, first: bool) -> list[str]:
    """Lines of one failure; after the first of a question the others are only named."""
    said = outcome.sentence if first or outcome.state == "skipped" else "fails too."
    said = f"{_MARK[outcome.state]} {outcome.title} ({outcome.points:g}): {said}"
    lines = textwrap.wrap(said, WIDTH, initial_indent="  ", subsequent_indent="    ")
    if not first:
        return lines
    lines += [f"      {line}" for line in outcome.example]
    return [*lines, f"      picture: {picture}"] if picture else lines


def to_json(outcomes: Sequence[Outcome], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Give partial credit as Gradescope reads it.

    Examples
    --------
    >>> (test,) = to_json([Outcome("a1.to_unit", "Known places", 5)])["tests"]
    >>> test["name"], test["score"], test["max_score"], test["status"]
    ('a1.to_unit: Known places', 5, 5, 'passed')
    """
    counted = [outcome for outcome in outcomes if outcome.state != "skipped"]
    tests = [
        {
            "name": f"{outcome.question}: {outcome.title}",
            "score": _whole(outcome.score),
            "max_score": _whole(outcome.points),
            "status": "passed" if outcome.state == "passed" else "failed",
            "output": "\n".join([outcome.sentence, *outcome.example]).strip(),
        }
        for outcome in counted
    ]
    left = [
        f"{o.question}: {o.title} was skipped: {o.sentence}" for o in outcomes if o not in counted
    ]
    earned, _ = totals(outcomes)
    return {"score": _whole(earned), "output": "\n".join([*notes, *left]), "tests": tests}


def _whole(points: float) -> float | int:
    return int(points) if float(points).is_integer() else points


def save_pictures(outcomes: Sequence[Outcome], folder: Path = PICTURES) -> dict[int, Path]:
    """Write the figures as PNG, one for the first failure of each question.

    Returns
    -------
    dict
        Index of the outcome to its picture. A figure that can't be drawn, for instance because the
        wrong answer has no place on a map, is left out.
    """
    made, seen = {}, set()
    for i, outcome in enumerate(outcomes):
        first = outcome.state == "failed" and outcome.question not in seen
        seen |= {outcome.question} if first else set()
        if not first or outcome.figure is None:
            continue
        try:
            made[i] = _save(outcome.figure, folder / f"{outcome.question}.png")
        except Exception:  # the sentence stands without the picture
            continue
    return made


def _save(figure: Any, path: Path) -> Path:
    import matplotlib.pyplot as plt

    from geolab.figures import save_figure

    drawn = figure() if callable(figure) else figure
    if isinstance(drawn, str | Path):
        return Path(drawn)
    save_figure(drawn, path)
    plt.close(drawn if not hasattr(drawn, "get_figure") else drawn.get_figure())
    return path
