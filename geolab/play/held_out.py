"""Which photos a game may ask, and which its models may have learnt from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from geolab.data.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

TINYEARTH_PHOTOS = 4000


def hold_out(
    source: str | os.PathLike, reference: str | None, *, n: int | None, seed: int
) -> tuple[Dataset, Dataset]:
    """Photos to learn from and photos to ask, with no photographer and no place in both."""
    from geolab.data.loading import load
    from geolab.data.shared import shared_split
    from geolab.folds import fold_between

    def size(name: str) -> int | None:
        return TINYEARTH_PHOTOS if n is None and name == "tinyearth" else n

    if reference is None:
        try:
            parts = shared_split(source, n=size(str(source)), seed=seed)
        except DataError as error:
            raise DataError(f"{error}. Or give photos to learn from with --reference") from None
        return parts["train"], parts["test"]
    queries, references = load(source, seed=seed), load(reference, n=size(reference), seed=seed)
    return references.select(fold_between(queries, references).reference), queries
