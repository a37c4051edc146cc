"""The split that all systems of the course are compared on: one table, the same photos, one n.

    parts = shared_split()                  # TinyEarth, 20,000 photos, synthetic
    parts["train"], parts["validation"], parts["test"]

Photographers are dealt to the parts, and train photos within a kilometre of a test photo are left
out. Validation is for choosing (epochs, temperatures, bandwidths); test is looked at once a row.
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from geolab.data.errors import DataError
from geolab.data.loading import load
from geolab.data.splits import split_by

if TYPE_CHECKING:
    from datasets import DatasetDict

SHARED_N = 20_000
SHARES = MappingProxyType({"train": 0.85, "validation": 0.05, "test": 0.10})


def shared_split(
    source: str | os.PathLike = "tinyearth", n: int | None = None, seed: int = 0
) -> DatasetDict:
    """Train, validation and test part of a photo set.

    Parameters
    ----------
    source
        As for `load`: "tinyearth", a csv, a folder, or a fetched data set.
    n
        Photos to take; for TinyEarth `SHARED_N` if not given, else all.
    seed
        Of the choice and of the split.

    Returns
    -------
    datasets.DatasetDict
        No photographer (source, if that is what the table knows) and no place in two parts.

    Raises
    ------
    DataError
        If the table knows neither photographers nor sources and its places cannot be dealt out.
    """
    wanted = SHARED_N if n is None and str(source) == "tinyearth" else n
    photos = load(source, n=wanted, seed=seed)
    people = [c for c in ("photographer", "source", "sequence") if c in photos.column_names][:1]
    try:
        return split_by(
            photos,
            by=("place", *people),
            fractions=SHARES,
            seed=seed,
            drop_near=bool(people),
        )
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
