"""Answers of language models, read tolerantly and without flattery.

Code fences, words before and after, single values where an object was asked, "unknown" in many
spellings: all are read. What can't be read is "unparsed", what declines is "refused": two outcomes
of their own, both misses in every table. Leaving them out makes a model look better than it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from geolab.vlm.prompts import LEVELS, WORDS

Outcome = Literal["answered", "refused", "unparsed"]
_NOTHING = {"", "null", "none", "unknown", "unclear", "n/a", "na", "not sure", "cannot tell", "?"}
_REFUSAL = re.compile(
    r"\b(i(?:['’]m| am) (?:sorry|unable|not able)|i (?:can(?:no|['’])?t|cannot|won['’]t|will not|"
    r"must decline)|(?:can(?:no|['’])?t|unable to) (?:help|assist|comply))",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"(-?\d{1,2}(?:\.\d+)?)\s*°?\s*([NS])?\s*,\s*(-?\d{1,3}(?:\.\d+)?)\s*°?\s*([EW])?", re.I
)


@dataclass(frozen=True)
class Level:
    """What a model says of one level.

    Attributes
    ----------
    value : str or None
        None where it can't tell.
    confidence : str
        "low", "medium" or "high"; "medium" where it doesn't say.
    evidence : tuple of str
        Not checked by anybody.
    """

    value: str | None = None
    confidence: str = "medium"
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guess:
    """An answer.

    Attributes
    ----------
    outcome : {"answered", "refused", "unparsed"}
    levels : dict of str to Level
        By the names of `LEVELS`; all four are there.
    point : tuple of float or None
        Degrees, where coordinates were given.
    address : str or None
        A single name, where one was asked for.
    """

    outcome: Outcome
    levels: Mapping[str, Level] = field(default_factory=lambda: {k: Level() for k in LEVELS})
    point: tuple[float, float] | None = None
    address: str | None = None


def parse(text: str) -> Guess:
    r"""Read an answer.

    Parameters
    ----------
    text : str
        As the model wrote it.

    Returns
    -------
    Guess

    Examples
    --------
    >>> parse('Sure! ```json\n{"country": {"value": "Peru"}}``` Enjoy.').levels["country"].value
    'Peru'
    >>> parse("I'm sorry, I can't help with that.").outcome
    'refused'
    >>> parse("Somewhere nice").outcome
    'unparsed'
    """
    found = _best_object(text)
    if found is None:
        return Guess("refused" if _REFUSAL.search(text) else "unparsed")
    said = {
        str(key).strip().lower().replace("neighbourhood", "neighborhood"): v
        for key, v in found.items()
    }
    if said.get("refused") is True or str(said.get("refused")).lower() == "true":
        return Guess("refused")
    levels = {name: _level(said.get(name)) for name in LEVELS}
    point = _point(said, levels["exact"])
    if _value(said.get("place")):
        return Guess("answered", levels, point, _value(said["place"]))
    if point is None and all(level.value is None for level in levels.values()):
        known = any(name in said for name in LEVELS)  # nulls are an answer: "can't tell"
        return Guess("answered" if known else "unparsed", levels)
    return Guess("answered", levels, point)


def _best_object(text: str) -> dict | None:
    """The first JSON object in a text that names a level or coordinates, else the first one."""
    first = None
    for found in _objects(text):
        keys = {str(key).strip().lower() for key in found}
        if keys & {*LEVELS, "neighbourhood", "latitude", "lat", "place", "refused"}:
            return found
        first = first or found
    return first


def _objects(text: str) -> Iterator[dict]:
    decoder = json.JSONDecoder()
    for start in (m.start() for m in re.finditer(r"\{", text)):
        try:
            found, _ = decoder.raw_decode(text[start:])
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _level(said: Any) -> Level:
    if isinstance(said, Mapping):
        word = str(said.get("confidence", "medium")).strip().lower()
        evidence = said.get("evidence") or ()
        evidence = (evidence,) if isinstance(evidence, str) else evidence
        evidence = tuple(map(str, evidence)) if isinstance(evidence, list | tuple) else ()
        return Level(_value(said.get("value")), word if word in WORDS else "medium", evidence)
    return Level(_value(said))


def _value(said: Any) -> str | None:
    if isinstance(said, list | tuple):
        said = ", ".join(map(str, said))
    value = "" if said is None or isinstance(said, bool | Mapping) else str(said).strip()
    return None if value.lower() in _NOTHING else value


def _point(said: Mapping[str, Any], exact: Level) -> tuple[float, float] | None:
    """Coordinates from numbers of their own, or from the words of the exact level."""
    lat = said.get("latitude", said.get("lat"))
    lon = said.get("longitude", said.get("lon", said.get("lng")))
    try:
        point = float(lat), float(lon)
    except (TypeError, ValueError):
        match = _PAIR.search(exact.value or "")
        if not match:
            return None
        south = -1 if (match[2] or "").upper() == "S" else 1
        west = -1 if (match[4] or "").upper() == "W" else 1
        point = south * float(match[1]), west * float(match[3])
    on_earth = all(map(math.isfinite, point)) and abs(point[0]) <= 90 and abs(point[1]) <= 180
    return point if on_earth else None
