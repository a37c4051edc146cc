"""Albums: which photos belong to one trip, and in what order they were taken.

An album is the photos of one ``sequence`` in the order of ``captured_at``. A photo that no album
claims, or whose time nobody knows, is an album of length one: it is answered alone and never
dropped, so n stays n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from geolab.data.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

PAGE = 25
"""Photos that a bidirectional network sees at once (PlaNet, section on albums; recalled)."""


@dataclass(frozen=True)
class Albums:
    """Rows of a data set, album by album.

    Attributes
    ----------
    rows : tuple of ndarray of int64
        One array an album, in time order; every row of the data set stands in exactly one.
    undated : tuple of int
        Rows that have an album but no time; each is an album of its own.
    """

    rows: tuple[np.ndarray, ...]
    undated: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Return the number of albums."""
        return len(self.rows)

    @property
    def n_photos(self) -> int:
        """Photos in all albums together."""
        return sum(map(len, self.rows))

    def length_of_photos(self) -> np.ndarray:
        """Length of the album of each photo, (N,) int64."""
        out = np.zeros(self.n_photos, np.int64)
        for rows in self.rows:
            out[rows] = len(rows)
        return out

    def pages(self, size: int | None = PAGE) -> Albums:
        """Cut albums into pages of at most `size` photos; None leaves them whole."""
        if size is None:
            return self
        if size < 1:
            raise ValueError(f"a page holds at least one photo, not {size}")
        cut = [rows[i : i + size] for rows in self.rows for i in range(0, len(rows), size)]
        return Albums(tuple(cut), self.undated)

    def padded(self, which: Sequence[int] | Tensor | None = None) -> Tensor:
        """Rows as one table (A, L) int64, filled up with -1."""
        held = self.rows if which is None else [self.rows[int(a)] for a in which]
        table = torch.full((len(held), max(map(len, held))), -1)
        for album, rows in enumerate(held):
            table[album, : len(rows)] = torch.from_numpy(rows)
        return table


def albums_of(photos: Dataset, *, by: str = "sequence", time: str = "captured_at") -> Albums:
    """Group the photos of a data set into albums, each sorted by time.

    Parameters
    ----------
    photos
        With columns `by` and `time`; rows may come in any order.
    by, time
        Names of the columns: which album, and when (ISO 8601, EXIF's form, or epoch milliseconds).

    Raises
    ------
    DataError
        If a column is missing; the message names it.
    """
    missing = [name for name in (by, time) if name not in photos.column_names]
    if missing:
        raise DataError(
            f"no column {missing[0]!r}: albums need which album a photo belongs to and when it was "
            f"taken; there are {', '.join(photos.column_names)}. Fix: pass by= or time="
        )
    return albums_from(list(photos[by]), list(photos[time]))


def albums_from(labels: Sequence[object], times: Sequence[object]) -> Albums:
    """As `albums_of`, for plain lists.

    Examples
    --------
    >>> [a.tolist() for a in albums_from(["x", "x", None], ["2020-02-01", "2020-01-01", ""]).rows]
    [[1, 0], [2]]
    """
    if len(labels) != len(times):
        raise ValueError(f"{len(labels)} album names for {len(times)} times")
    when = _seconds(times)
    grouped: dict[object, list[int]] = {}
    undated = []
    for row, (label, moment) in enumerate(zip(labels, when, strict=True)):
        named = label not in (None, "") and label == label  # a missing name may be NaN
        if named and np.isnan(moment):
            undated.append(row)
        alone = not named or np.isnan(moment)
        grouped.setdefault(("alone", row) if alone else ("album", label), []).append(row)
    rows = [np.array(held)[np.argsort(when[held], kind="stable")] for held in grouped.values()]
    return Albums(tuple(r.astype(np.int64) for r in rows), tuple(undated))


def _seconds(times: Sequence[object]) -> np.ndarray:
    """Times as seconds since 1970, NaN where there is none: (N,) float64."""
    held = pd.Series(list(times), dtype=object)
    numbers = pd.to_numeric(held, errors="coerce")  # OSV-5M writes epoch milliseconds
    texts = held.map(lambda t: t.isoformat() if isinstance(t, date) else t)
    texts = texts.map(lambda t: t if isinstance(t, str) else "").where(numbers.isna(), "")
    texts = texts.str.replace(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", regex=True)  # EXIF
    parsed = pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
    seconds = (parsed - pd.Timestamp("1970-01-01", tz="UTC")) / pd.Timedelta(seconds=1)
    return seconds.where(numbers.isna(), numbers / 1000).to_numpy(np.float64)
