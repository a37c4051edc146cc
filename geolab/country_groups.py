"""Groups of countries: names, income groups, continents, and how small a group may be.

Income groups and continents are Natural Earth's (public domain, edition of 2017, read from the R
package rnaturalearthdata 0.1.0, CC0). Its groups are the World Bank's, some years old; for a
territory that the World Bank does not list they are Natural Earth's own. For today's groups give a
csv with the columns ``iso2, income_group``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from geolab.data.errors import DataError
from geolab.intervals import group_index

UNKNOWN = "unknown"
INCOME_ORDER = ("high income", "upper middle income", "lower middle income", "low income")
_TABLE = Path(__file__).parent / "data" / "income_groups.csv"


@dataclass(frozen=True)
class Enough:
    """What a group needs to be ranked; fewer are shown as too few."""

    photos: int = 30
    photographers: int = 5


ENOUGH = Enough()


def names_of(countries: Sequence[object]) -> list[str]:
    """Names of ISO 3166-1 alpha-2 codes, `UNKNOWN` for None, NaN and "".

    Raises
    ------
    ValueError
        If a code is not two letters; the row and the value are named.

    Examples
    --------
    >>> names_of(["NA", "", "KR"])
    ['Namibia', 'unknown', 'South Korea']
    """
    from geolab.encoders.captions import country_words

    codes = _codes(countries)
    return [c if c == UNKNOWN else country_words(c).removeprefix("the ") for c in codes]


def income_groups(table: str | os.PathLike | None = None) -> dict[str, str]:
    """Income group of each country code; the kit's table, or a csv ``iso2, income_group``.

    Examples
    --------
    >>> income_groups()["NA"]
    'upper middle income'
    """
    return _column(Path(table or _TABLE), "income_group")


def continents() -> dict[str, str]:
    """Continent of each country code.

    Examples
    --------
    >>> continents()["PE"]
    'South America'
    """
    return _column(_TABLE, "continent")


@lru_cache(maxsize=8)
def _read(path: Path, column: str) -> tuple[tuple[str, str], ...]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        if not {"iso2", column} <= set(lines.fieldnames or ()):
            raise DataError(f"{path}: needs the columns iso2 and {column}, has {lines.fieldnames}")
        return tuple((row["iso2"].strip().upper(), (row[column] or "").strip()) for row in lines)


def _column(path: Path, column: str) -> dict[str, str]:
    return {code: value for code, value in _read(path, column) if value}


def mapped(countries: Sequence[object], group: Mapping[str, str]) -> list[str]:
    """Group of each country code, `UNKNOWN` where the table has none."""
    return [group.get(code, UNKNOWN) for code in _codes(countries)]


def _codes(countries: Sequence[object]) -> list[str]:
    out = []
    for row, code in enumerate(countries):
        if code is None or code != code or code == "":
            out.append(UNKNOWN)
            continue
        if not (isinstance(code, str) and len(code) == 2 and code.isalpha()):
            raise ValueError(f"country of row {row} is {code!r}; give ISO 3166-1 alpha-2 codes")
        out.append(code.upper())
    return out


def labels_of(names: Sequence[object]) -> np.ndarray:
    """Labels as an object array of str, `UNKNOWN` for None, NaN and ""."""
    missing = [name is None or name != name or name == "" for name in names]
    held = [UNKNOWN if gone else str(n) for n, gone in zip(names, missing, strict=True)]
    return np.array(held, dtype=object)


def people_of(
    photographers: Sequence[object] | None, km: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Number of the photographer of each photo, (N,) int64; each photo its own without them."""
    if len(labels) != len(km):
        raise ValueError(f"{len(labels)} labels for {len(km)} errors; give one for each photo")
    return group_index(photographers, len(km))[0]


def is_enough(name: str, n: int, n_people: int, enough: Enough) -> bool:
    """Whether a group of that size may be ranked; `UNKNOWN` never."""
    return name != UNKNOWN and n >= enough.photos and n_people >= enough.photographers


def fits(name: str, labels: np.ndarray, people: np.ndarray, enough: Enough) -> bool:
    """Whether the photos labelled `name` may be ranked."""
    rows = labels == name
    return is_enough(name, int(rows.sum()), len(np.unique(people[rows])), enough)
