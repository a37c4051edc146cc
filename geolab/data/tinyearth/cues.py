"""The cue table: every visible thing that depends on where a TinyEarth photo was taken.

This table is the single source of truth. The layout reads its probabilities, `Scene.cues` its
names, the documentation prints it (`cue_table`). `Scene.street(without={name})` erases a cue in the
way its row says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pandas as pd


@dataclass(frozen=True)
class Cue:
    """One row of the table.

    Attributes
    ----------
    name, scope : str
        Name, and what it varies with: "continuous", "country", "region" or "place".
    decided_by : str
        What sets the value.
    n_values : str
        How many values the world shares.
    built, open : float
        Probability that it is there in towns and cities, and in villages and the wild.
    noise : str
        What blurs it.
    erased : str
        What is painted instead when the cue is erased.
    """

    name: str
    scope: str
    decided_by: str
    n_values: str
    built: float
    open: float
    noise: str
    erased: str


CUES: tuple[Cue, ...] = (
    Cue("light", "continuous", "climate, latitude, month, hour", "continuous", 1.0, 1.0,
        "weather, exposure and white balance of the camera", "neutral daylight"),
    Cue("sun", "continuous", "latitude, month and hour: height, and north or south at noon",
        "continuous", 1.0, 1.0, "hidden by cloud in about half of the photos",
        "no disc, no shadows"),
    Cue("relief", "continuous", "synthetic elevation", "continuous", 1.0, 1.0,
        "outline drawn by chance; hidden by houses", "flat horizon"),
    Cue("ground", "continuous", "climate, month and a 220 km soil field", "continuous", 1.0, 1.0,
        "colour jitter; hidden by snow and paving", "grey-green ground"),
    Cue("snow", "continuous", "synthetic temperature of the month", "2", 0.9, 0.95,
        "patchy near freezing", "bare ground"),
    Cue("water", "continuous", "a 15 km field: lake or coast beside the road", "2", 0.07, 0.12,
        "only sometimes in the frame", "ground"),
    Cue("vegetation", "continuous", "climate and a 130 km field; leaves by month", "10", 0.7, 0.97,
        "one plant in six is of another kind; colour jitter", "no plants"),
    Cue("drive_side", "country", "real list of left-driving countries", "2", 0.6, 0.45,
        "cars absent or hidden; front and rear lamps are small", "no cars"),
    Cue("plates", "country", "hash of the country within its style zone", "6", 0.85, 0.85,
        "few pixels; one car in six is foreign", "no plate on the car"),
    Cue("road_lines", "country", "hash of the country, weighted by style zone", "4", 0.65, 0.7,
        "worn or absent; one road in ten has another scheme", "no lines"),
    Cue("bollards", "country", "hash of the country", "10", 0.12, 0.4,
        "small", "no bollards"),
    Cue("signs", "country", "hash of the country: colour of the board", "4", 0.6, 0.4,
        "one board in five has another colour", "no signs"),
    Cue("script", "country", "real main writing system, as invented strokes", "13", 0.95, 0.95,
        "strokes are a few pixels; a tenth of the signs are in Latin script", "blank boards"),
    Cue("poles", "region", "hash of the region within its style zone: material, arms, height",
        "about 60", 0.5, 0.5, "colour jitter; hidden by houses and trees", "no poles, no wires"),
    Cue("roofs", "region", "hash of the region within its style zone", "continuous", 1.0, 1.0,
        "jitter by house; a quarter of the houses differ; flat roofs in cities", "grey roofs"),
    Cue("facades", "region", "half the country's palette, half the region's hash", "continuous",
        1.0, 1.0, "jitter by house; a third of the houses are white or grey", "grey walls"),
    Cue("landmark", "place", "hash of the landmark: shape, proportions, two colours", "about 300",
        1.0, 1.0, "hidden by nothing, but seen under any light and from 30 to 130 m",
        "no landmark"),
    Cue("animal", "place", "range of the species, native or introduced", "12", 1.0, 1.0,
        "most species live in several countries", "no animal"),
)  # fmt: skip
NAMES = tuple(cue.name for cue in CUES)
NUMBER = {cue.name: 1 + i for i, cue in enumerate(CUES)}
_BY_NAME = {cue.name: cue for cue in CUES}


def cue_table() -> pd.DataFrame:
    """Table of all cues, one row a cue; the columns are the attributes of `Cue`.

    Examples
    --------
    >>> cue_table().set_index("name").loc["script", "scope"]
    'country'
    """
    return pd.DataFrame([asdict(cue) for cue in CUES])


def probability(name: str, density: int) -> float:
    """Probability that a cue is there, at a density of settlement (see `spots.DENSITY`)."""
    cue = _BY_NAME[name]
    return cue.built if density >= 2 else cue.open


def check_names(names: set[str] | frozenset[str]) -> frozenset[str]:
    """Return the names as a frozen set.

    Raises
    ------
    ValueError
        If a name is not in the table.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"no cue named {unknown}; the cues are {', '.join(NAMES)}")
    return frozenset(names)
