"""Ways to ask: four levels in one call, level by level; coordinates or one name as baselines.

"Least to most": before anything finer the model says the coarser level, each with its evidence, so
that the finer answer is conditioned on it. The words are our own.
"""

from __future__ import annotations

from collections.abc import Sequence

from geolab.vlm.asking import Message

LEVELS = ("country", "city", "neighborhood", "exact")
WORDS = ("low", "medium", "high")
_SYSTEM = Message(
    "system",
    "You study where photos were taken from what can be seen in them: plants, light, roads, signs, "
    "buildings. You say how sure you are, and you never name or describe persons.",
)
_LEVEL_SHAPE = (
    '{"value": "..." or null, "confidence": "low" | "medium" | "high", "evidence": ["..."]}'
)


def four_levels() -> list[Message]:
    """One call, from country to exact place."""
    shape = ", ".join(f'"{level}": {_LEVEL_SHAPE}' for level in LEVELS)
    text = (
        "This is a guess, and an honest one is what is wanted. Go from coarse to fine: settle the "
        "country first, then the city given the country, then the neighbourhood given the city, "
        "then the exact place as 'latitude, longitude'. Use null where you can't tell. Answer with "
        f'this JSON and nothing else: {{{shape}, "refused": false}}'
    )
    return [_SYSTEM, Message("user", text)]


def next_level(level: str, known: Sequence[tuple[str, str]]) -> list[Message]:
    """Chained calls: one level, given the coarser ones that the model said before.

    Raises
    ------
    ValueError
        If the level is none of `LEVELS`.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r} must be one of {', '.join(LEVELS)}")
    given = "".join(f"You settled the {name}: {value}. " for name, value in known)
    text = (
        f"{given}Now name the {level} where this photo was taken, or null if you can't tell. "
        f'Answer with this JSON and nothing else: {{"{level}": {_LEVEL_SHAPE}, "refused": false}}'
    )
    return [_SYSTEM, Message("user", text)]


def one_name() -> list[Message]:
    """One name, as fine as it goes: what a geocoder is given when nobody asked for levels."""
    text = (
        "Where was this photo taken? Name the place as exactly as you can, as an address. "
        'Answer with this JSON and nothing else: {"place": "..."}'
    )
    return [_SYSTEM, Message("user", text)]


def coordinates() -> list[Message]:
    """Coordinates at once: the baseline."""
    text = (
        "Where was this photo taken? Think of what you see, then answer with this JSON: "
        '{"latitude": number, "longitude": number, "city": "...", "country": "..."}'
    )
    return [_SYSTEM, Message("user", text)]
