"""Captions made by rule: what turns coordinates and tables into words that CLIP can learn from.

PIGEON (Haas et al., CVPR 2024) and StreetCLIP (Haas et al., 2023) train CLIP on pairs of photo and
generated caption. Each part of a caption is drawn anew every time, so that one photo teaches
country, region, climate and month by turns, and learns none of them by heart.

    caption_of(row, STREET_VIEW, draw=0.37)
    # 'A street photo from Chile. It was taken in March. Cars drive on the right.'

The rules and their probabilities are the papers'; the wording is ours. The place comes first, the
other parts are shuffled. A part whose field is unknown is left out; a photo without a country has
no caption, and a field that cannot be is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from geolab.data.errors import DataError
from geolab.data.gazetteer import load_gazetteer
from geolab.encoders.koppen import climate_words

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_WINDS = ("north", "east", "south", "west")
_ARTICLE = frozenset({
    "AE", "AX", "BS", "CD", "CF", "CG", "CC", "CK", "DO", "FK", "FO", "GB", "GM", "IM", "IO",
    "KM", "KY", "MH", "MP", "MV", "NL", "PH", "PN", "SB", "SC", "SD", "TC", "UM", "US", "VA", "VG",
    "VI",
})  # fmt: skip
"""Countries whose English name takes "the"."""
_SPOKEN = {
    "BN": "Brunei", "CC": "Cocos Islands", "CD": "Democratic Republic of the Congo",
    "CG": "Republic of the Congo", "FK": "Falkland Islands", "FM": "Micronesia", "IR": "Iran",
    "KP": "North Korea", "KR": "South Korea", "LA": "Laos", "LY": "Libya", "MD": "Moldova",
    "MK": "North Macedonia", "SY": "Syria", "SZ": "Eswatini",
    "TZ": "Tanzania", "VA": "Vatican City", "VG": "British Virgin Islands",
    "VI": "US Virgin Islands",
}  # fmt: skip
"""Names as one says them, where the list of codes has a form for forms."""


@dataclass(frozen=True)
class CaptionConfig:
    """How often each part of a caption is there.

    Attributes
    ----------
    place : str
        How a caption begins, before the place.
    region, town : float
        Probability within the place, where known.
    climate : float
        Probability where known.
    drop_place : float
        Probability of leaving the place out of a caption that has a climate.
    driving : float
        Probability of the side of the road in a caption without a climate.
    compass, month : float
        Probability where known.
    """

    place: str = "A street photo"
    region: float = 0.6
    town: float = 0.4
    climate: float = 0.4
    drop_place: float = 0.3
    driving: float = 0.3
    compass: float = 0.3
    month: float = 0.3


STREET_VIEW = CaptionConfig()
"""PIGEON's rules."""
FLICKR = CaptionConfig(
    "A photo that I took", region=1.0, town=1.0, climate=0.45, drop_place=0.2, driving=0.2,
    compass=0.0, month=0.0,
)  # fmt: skip
"""PIGEOTTO's rules: photos of a sharing site, which have no compass."""
STREETCLIP = CaptionConfig(
    region=1.0, town=1.0, climate=0.0, drop_place=0.0, driving=0.0, compass=0.0, month=0.0
)
"""StreetCLIP's rules: town, region and country, nothing else."""


def caption_of(
    row: Mapping[str, Any], config: CaptionConfig = STREET_VIEW, *, draw: float = 0.0, view: int = 0
) -> str:
    """Make one caption.

    Parameters
    ----------
    row : mapping
        Of a photo: ``country`` (ISO-2 code) and, where known, ``region``, ``city``, ``climate``
        (words, or the number of a Koeppen-Geiger class as in OSV-5M), ``drive_side`` (1 left, 0
        right), ``heading`` (degrees), ``month`` (1 to 12).
    draw : float
        Uniform in [0, 1); decides everything that is left to chance.
    view : int
        Which of four views of a panorama: each is a quarter turn further than the heading.

    Raises
    ------
    DataError
        If the country is missing or unknown, or another field cannot be; names photo and field.

    Examples
    --------
    >>> caption_of({"country": "NL"}, STREET_VIEW, draw=0.5)
    'A street photo in the Netherlands.'
    """
    _check(row)
    rng = np.random.default_rng(int(draw * 2**53))
    chance = dict(zip(_PARTS, rng.random(len(_PARTS)), strict=True))

    def there(part: str, field: str) -> bool:
        return chance[part] < getattr(config, part) and _known(row, field)

    climate = climate_words(row["climate"]) if there("climate", "climate") else ""
    others = [f"The climate is {climate}."] if climate else []
    if not climate and there("driving", "drive_side"):
        others.append(f"Cars drive on the {'left' if int(row['drive_side']) else 'right'}.")
    if there("compass", "heading"):
        others.append(f"The camera looks {compass(float(row['heading']) + 90 * view)}.")
    if there("month", "month"):
        others.append(f"It was taken in {MONTHS[int(row['month']) - 1]}.")
    rng.shuffle(others)
    if not (climate and chance["drop_place"] < config.drop_place):
        town = row["city"] if there("town", "city") else ""
        region = row["region"] if there("region", "region") else ""
        others.insert(0, f"{config.place} {place_words(row['country'], region, town)}.")
    return " ".join(others)


_PARTS = ("region", "town", "climate", "drop_place", "driving", "compass", "month")


def _check(row: Mapping[str, Any]) -> None:
    """Refuse a row that no sentence can be made of."""

    def refuse(field: str, why: str, fix: str) -> None:
        raise DataError(f"photo {row.get('id', '?')}: {field} {why}; {fix}")

    if not _known(row, "country"):
        refuse("country", "is missing, and there is no caption without", "fill it, or drop the row")
    if row["country"] not in load_gazetteer().country_names:
        refuse("country", f"{row['country']!r} is on no list", "give the ISO code of two letters")
    for field, allowed in (("month", range(1, 13)), ("drive_side", (0, 1))):
        if _known(row, field) and row[field] not in allowed:
            refuse(field, f"is {row[field]!r}", f"give {allowed[0]} to {allowed[-1]}, or none")
    try:
        if _known(row, "climate"):
            climate_words(row["climate"])
    except ValueError as error:
        refuse("climate", f"is wrong ({error})", "correct it, or leave it empty")


def _known(row: Mapping[str, Any], field: str) -> bool:
    """Whether a row has a field: None, NaN and empty text are unknown."""
    value = row.get(field)
    return value is not None and value == value and str(value).strip() != ""


def place_words(country: str, region: str = "", town: str = "") -> str:
    """Say where: "close to Arica in the region of Tarapacá in Chile".

    Examples
    --------
    >>> place_words("NL"), place_words("CL", town="Arica")
    ('in the Netherlands', 'close to Arica in Chile')
    """
    near = f"close to {town} " if town else ""
    inside = f"in the region of {region} " if region else ""
    return f"{near}{inside}in {country_words(country)}"


@lru_cache(maxsize=512)
def country_words(code: str) -> str:
    """Name of a country as it stands in a sentence, with "the" where English has it."""
    name = _SPOKEN.get(code) or load_gazetteer().country_name(code)
    plain = name[4:] if name.lower().startswith("the ") else name
    return f"the {plain}" if code in _ARTICLE else plain


def compass(heading: float) -> str:
    """Name the wind of a heading in degrees, in quarters around each.

    Examples
    --------
    >>> compass(44.9), compass(45.0), compass(350.0)
    ('north', 'east', 'north')
    """
    return _WINDS[int((heading + 45) // 90) % 4]
