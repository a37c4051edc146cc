"""Nested partitions: every fine cell knows the middle and the coarse cell that holds it.

The three partitions of the ISNs (2018) come from the same photos with the same `t_min` and a
smaller and smaller `t_max`, so each coarse cell is either kept or split. The hierarchy product

    f*(fine) = p_fine(fine) * p_middle(its ancestor) * p_coarse(its ancestor)

needs one look-up table: `Hierarchy.ancestors`. Ancestors are found through the S2 ids themselves.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from geolab.cells.partition import FILE_VERSION
from geolab.cells.s2_partition import ISN_COARSE, ISN_FINE, ISN_MIDDLE, S2Partition, S2Preset
from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.errors import DataError
from geolab.sphere import ArrayLike

_KIND = "geolab-hierarchy"


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Partitions from coarse to fine, and the ancestors of the finest cells.

    Attributes
    ----------
    parts : tuple of S2Partition
        Coarse first.
    ancestors : Tensor, shape (C_fine, levels), int64
        Class of each partition that holds each fine cell; the last column is the cell itself.
    """

    parts: tuple[S2Partition, ...]
    ancestors: Tensor

    @classmethod
    def of(cls, parts: Sequence[S2Partition]) -> Hierarchy:
        """Join partitions, coarse first.

        Raises
        ------
        DataError
            If there are none, or a cell has no ancestor: it and the partitions are named.
        """
        if not parts:
            raise DataError("a hierarchy needs at least one partition")
        fine = parts[-1]
        table = torch.stack([fine.ancestor_in(part) for part in parts], dim=1)  # (C, levels)
        for part, column in zip(parts, table.T, strict=True):
            if (column < 0).any():
                row = int((column < 0).nonzero()[0])
                raise DataError(
                    f"cell {row} of {fine.name} lies in no cell of {part.name}; fit both on the "
                    "same photos, with the coarse t_min no larger and its t_max no smaller"
                )
        return cls(tuple(parts), table)

    @classmethod
    def fit(
        cls,
        latlon: ArrayLike,
        presets: Sequence[S2Preset] = (ISN_COARSE, ISN_MIDDLE, ISN_FINE),
        *,
        distinct: bool = False,
    ) -> Hierarchy:
        """Fit all presets, coarse first, on the same photos (N, 2) in degrees.

        Examples
        --------
        >>> presets = [S2Preset("coarse", 0, 2, 2, 4), S2Preset("fine", 0, 1, 2, 4)]
        >>> tree = Hierarchy.fit([[48.8, 2.3], [48.9, 2.2], [41.9, 12.5], [-33.9, 151.2]], presets)
        >>> tree.ancestors.tolist()
        [[0, 0], [0, 1], [1, 2], [2, 3]]
        """
        return cls.of([preset.fit(latlon, distinct=distinct) for preset in presets])

    def __len__(self) -> int:
        """Return the number of levels."""
        return len(self.parts)

    @property
    def coarse(self) -> S2Partition:
        """The coarsest partition."""
        return self.parts[0]

    @property
    def middle(self) -> S2Partition:
        """The partition in the middle."""
        return self.parts[len(self.parts) // 2]

    @property
    def fine(self) -> S2Partition:
        """The finest partition."""
        return self.parts[-1]

    @property
    def hash(self) -> str:
        """Sixteen hex digits of the contents of all partitions."""
        return hashlib.sha256(" ".join(p.hash for p in self.parts).encode()).hexdigest()[:16]

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Class of each place (N, 2) in each partition, int64 (N, levels); -1 outside."""
        return torch.stack([part.assign(latlon) for part in self.parts], dim=1)

    def save(self, path: str | os.PathLike) -> Path:
        """Write all partitions to one file, whole or not at all."""
        about = {"parts": [part.about() for part in self.parts]}
        arrays = {
            f"{i}_{name}": array
            for i, part in enumerate(self.parts)
            for name, array in part.to_arrays().items()
        }
        return save_arrays(path, arrays, kind=_KIND, version=FILE_VERSION, about=about)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Hierarchy:
        """Read what `save` wrote; a damaged or other file raises a DataError."""
        arrays, about = load_arrays(path, kind=_KIND, version=FILE_VERSION)
        parts = []
        for i, each in enumerate(about["parts"]):
            own = {n.removeprefix(f"{i}_"): a for n, a in arrays.items() if n.startswith(f"{i}_")}
            parts.append(S2Partition.from_arrays(own, each))
        return cls.of(parts)
