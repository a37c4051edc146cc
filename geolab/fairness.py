"""Who pays for the errors: the same answers, measured by country, income group and continent.

One figure for all photos hides whom a system fails. Here the errors are cut by where a photo was
*really* taken, and every part has its n, its photographers and its interval.

    groups = fairness.by_country(errors, test["country"], photographers=test["photographer"])
    fairness.frame(groups)                       # a table; `figures.group_dots` draws it
    fairness.gap(errors, fairness.names_of(test["country"]), photographers=test["photographer"])

Three things go wrong in such tables, and each has its answer here.

- **Few photos.** Of three photos none or all are found. A group with fewer photos or fewer
  photographers than `Enough` is shown as too few, and never ranked.
- **Photos of one person.** Intervals resample photographers, as everywhere in the kit.
- **The worst of many.** Of thirty equal groups one is last. So the gap between the best and the
  worst stands beside the gap that chance makes: the photos that one person took in one group are
  kept together and dealt anew to the groups, a thousand times (`Gap.by_chance`).

Where income groups and continents come from stands in `geolab.country_groups`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geolab.country_groups import (
    ENOUGH,
    INCOME_ORDER,
    UNKNOWN,
    Enough,
    continents,
    income_groups,
    is_enough,
    labels_of,
    mapped,
    names_of,
    people_of,
)
from geolab.group_gap import Gap, gap
from geolab.intervals import Estimate
from geolab.metrics import summarise

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ENOUGH",
    "FIGURES",
    "INCOME_ORDER",
    "UNKNOWN",
    "Enough",
    "Gap",
    "GroupError",
    "by_continent",
    "by_country",
    "by_group",
    "by_income",
    "continents",
    "frame",
    "gap",
    "income_groups",
    "names_of",
    "wrongly_named",
]

FIGURES = ("within_200", "within_750", "median_km")
"""What `frame` shows if not told otherwise."""


@dataclass(frozen=True)
class GroupError:
    """Errors of one system on the photos that were taken in one group of places.

    Attributes
    ----------
    name : str
    n, n_photographers : int
        Photos, and the people who took them.
    metrics : mapping of str to Estimate
        As `geolab.metrics.summarise` gives them; without intervals where there are too few.
    enough : bool
        Whether the group may be ranked.
    n_references : int or None
        Photos of that group among those that the system learnt from, where they were given.
    """

    name: str
    n: int
    n_photographers: int
    metrics: Mapping[str, Estimate]
    enough: bool
    n_references: int | None = None


def by_group(
    errors: object,
    names: Sequence[object],
    *,
    photographers: Sequence[object] | None = None,
    references: Sequence[object] | None = None,
    enough: Enough = ENOUGH,
    n_boot: int = 1000,
    seed: int = 0,
) -> list[GroupError]:
    """Cut the errors by any label.

    Parameters
    ----------
    errors : array_like, shape (N,)
        Kilometres from `geolab.metrics.errors_km`; infinity is a miss.
    names : sequence of N labels
        The group of each photo; None, NaN and "" are `UNKNOWN`.
    photographers : sequence of N labels, optional
        Who took each photo; without them every photo counts as somebody else's.
    references : sequence of labels, optional
        The group of each photo that the system learnt from.

    Returns
    -------
    list of GroupError
        By name.

    Raises
    ------
    ValueError
        If the lengths differ, or an error is NaN or negative.

    Examples
    --------
    >>> parts = by_group([10, 30, 900], ["A", "A", "B"], enough=Enough(2, 2))
    >>> [(part.name, part.n, part.metrics["within_25"].value, part.enough) for part in parts]
    [('A', 2, 50.0, True), ('B', 1, 0.0, False)]
    """
    km, labels = np.asarray(errors, dtype=np.float64), labels_of(names)
    people = people_of(photographers, km, labels)
    known = None if references is None else Counter(labels_of(references))
    out = []
    for name in sorted(set(labels)):
        rows = np.flatnonzero(labels == name)
        whose = people[rows]
        n_people = len(np.unique(whose))
        good = is_enough(name, len(rows), n_people, enough)
        # One group for all has no interval, which is what too few photos deserve.
        metrics = summarise(
            km[rows],
            groups=whose.tolist() if good else [0] * len(rows),
            n_boot=n_boot if good else 1,
            seed=seed,
        )
        n_known = None if known is None else known[name]
        out.append(GroupError(name, len(rows), n_people, metrics, good, n_known))
    return out


def by_country(
    errors: object,
    countries: Sequence[object],
    *,
    references: Sequence[object] | None = None,
    **how: Any,
) -> list[GroupError]:
    """Cut the errors by country.

    Parameters
    ----------
    countries : sequence of N ISO 3166-1 alpha-2 codes
        Of the true places, as the column ``country`` of a data set has them.
    references : sequence of codes, optional
        Of the photos that the system learnt from.
    **how
        As for `by_group`.
    """
    known = None if references is None else names_of(references)
    return by_group(errors, names_of(countries), references=known, **how)


def by_income(
    errors: object,
    countries: Sequence[object],
    *,
    references: Sequence[object] | None = None,
    table: str | os.PathLike | None = None,
    **how: Any,
) -> list[GroupError]:
    """Cut the errors by the World Bank's income group of the country, richest first.

    Parameters
    ----------
    countries, references
        As for `by_country`.
    table : path, optional
        A csv with the columns ``iso2, income_group``; the kit's own if not given.

    Raises
    ------
    DataError
        If the file is no such table.
    """
    group = income_groups(table)
    known = None if references is None else mapped(references, group)
    parts = by_group(errors, mapped(countries, group), references=known, **how)
    rank = {name: i for i, name in enumerate(INCOME_ORDER)}
    return sorted(parts, key=lambda part: (rank.get(part.name, len(rank)), part.name))


def by_continent(
    errors: object,
    countries: Sequence[object],
    *,
    references: Sequence[object] | None = None,
    **how: Any,
) -> list[GroupError]:
    """Cut the errors by the continent of the country; arguments as for `by_country`."""
    group = continents()
    known = None if references is None else mapped(references, group)
    return by_group(errors, mapped(countries, group), references=known, **how)


def wrongly_named(answered: Sequence[object], countries: Sequence[object]) -> pd.DataFrame:
    """Which countries are named too often: a wrong answer also points at somebody.

    Parameters
    ----------
    answered, countries : sequences of N ISO codes
        Country of each answer, and of each true place.

    Returns
    -------
    DataFrame
        One line a country: photos that are from there, answers that name it, answers that name it
        wrongly; most wrong answers first.

    Examples
    --------
    >>> wrongly_named(["US", "US", "PE"], ["US", "PE", "PE"]).loc["United States"].tolist()
    [1, 2, 1]
    """
    import pandas as pd

    said, true = names_of(answered), names_of(countries)
    if len(said) != len(true):
        raise ValueError(f"{len(said)} answers for {len(true)} photos; give one each")
    columns = {
        "photos": Counter(true),
        "named": Counter(said),
        "wrongly": Counter(a for a, b in zip(said, true, strict=True) if a != b),
    }
    rows = sorted(set(said) | set(true))
    made = pd.DataFrame({c: [held[name] for name in rows] for c, held in columns.items()}, rows)
    return made.sort_values(["wrongly", "named"], ascending=False, kind="stable")


def frame(groups: Sequence[GroupError], figures: Sequence[str] = FIGURES) -> pd.DataFrame:
    """Groups as a table, those with too few photos last and without figures."""
    import pandas as pd

    from geolab.panels import COLUMNS, interval
    from geolab.panels import figure as printed

    def cell(part: GroupError, name: str) -> str:
        if not part.enough:
            return "too few"
        ends = interval(name, part.metrics[name])
        return printed(name, part.metrics[name].value) + (f" [{ends}]" if ends else "")

    lines = []
    for part in sorted(groups, key=lambda part: not part.enough):
        line: dict[str, object] = {"n": part.n, "photographers": part.n_photographers}
        line |= {} if part.n_references is None else {"references": part.n_references}
        lines.append(line | {COLUMNS[name]: cell(part, name) for name in figures})
    names = [part.name for part in sorted(groups, key=lambda part: not part.enough)]
    return pd.DataFrame(lines, index=names)
