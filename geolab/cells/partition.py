"""What every partition of the Earth can do: assign, answer, hash, save, draw.

A partition is a list of C classes. Class c covers some S2 cells (`Partition.cells`), held
`counts[c]` photos when it was fitted, and answers with the mean of those photos (`means`) or with
the middle of its area (`centres`). Photos outside every class get -1.

    classes = partition.assign(latlon)       # (N,) int64, -1 outside
    places = partition.points("mean")        # (C, 2), what a classifier answers with
    partition.save("cells.npz"); same = Partition.load("cells.npz")
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.cells import s2_cells
from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.errors import DataError
from geolab.sphere import ArrayLike

FILE_KIND, FILE_VERSION = "geolab-partition", 1
ANSWERS = ("mean", "centre")
_BLOCK = 1 << 15  # photos turned into vectors at once: intermediates stay in cache


@dataclass(frozen=True, eq=False, kw_only=True)
class Partition(ABC):
    """C classes of places; see the module for how it is used.

    Attributes
    ----------
    name : str
        For people, such as "S2 50/5000".
    means : Tensor, shape (C, 2), float64
        Spherical mean of each class's training photos, degrees.
    centres : Tensor, shape (C, 2), float64
        Geometric centre of each class, degrees.
    counts : Tensor, shape (C,), int64
        Training photos in each class.
    n_photos : int
        Photos it was fitted on, those in no class included.
    """

    name: str
    means: Tensor
    centres: Tensor
    counts: Tensor
    n_photos: int

    def __post_init__(self) -> None:
        shapes = [tuple(t.shape) for t in (self.means, self.centres, self.counts)]
        n = len(self.counts)
        if shapes != [(n, 2), (n, 2), (n,)] or n == 0:
            raise DataError(f"{self.name}: means, centres and counts of shapes {shapes} do not fit")

    @abstractmethod
    def assign(self, latlon: ArrayLike) -> Tensor:
        """Class of each place (N, 2), int64 (N,); -1 outside every class."""

    @abstractmethod
    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """S2 cells that the classes cover, disjoint: ids uint64 (n,) and their class (n,)."""

    @abstractmethod
    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything but the name and `n_photos`, as numpy arrays; `from_arrays` undoes it."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Build from `to_arrays` and the mapping of name, class and settings."""

    def about(self) -> dict[str, Any]:
        """Return name, class and settings, as JSON can hold them."""
        return {"class": type(self).__name__, "name": self.name, "n_photos": self.n_photos}

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.counts)

    @property
    def n_cells(self) -> int:
        """Number of classes, C."""
        return len(self.counts)

    @property
    def n_discarded(self) -> int:
        """Photos of the fit that are in no class."""
        return self.n_photos - int(self.counts.sum())

    @cached_property
    def hash(self) -> str:
        """Sixteen hex digits of the content (not the name): equal for equal partitions only."""
        running = hashlib.sha256(type(self).__name__.encode())
        for name, array in sorted(self.to_arrays().items()):
            running.update(f"{name} {array.dtype.str} {array.shape}".encode())
            running.update(np.ascontiguousarray(array).tobytes())
        return running.hexdigest()[:16]

    def points(self, answer: str = "mean") -> Tensor:
        """Place (C, 2) that each class answers with: its photos' mean, or its centre.

        The mean is free and better: 2 points more photos at 1 and 25 km for the ISNs of 2018
        (recomputed from their stored predictions).

        Raises
        ------
        ValueError
            For another word than "mean" or "centre".
        """
        if answer not in ANSWERS:
            raise ValueError(f"answer must be 'mean' or 'centre', not {answer!r}")
        return self.means if answer == "mean" else self.centres

    def area_km2(self) -> np.ndarray:
        """Area of each class in km2, float64 (C,)."""
        ids, label = self.cells()
        return np.bincount(label, weights=s2_cells.area_km2(ids), minlength=len(self))

    def to_geojson(self) -> dict[str, Any]:
        """Classes as a GeoJSON FeatureCollection, none across the antimeridian.

        Properties: ``cell`` (class number), ``count``, ``level`` (where a class is one cell), and
        ``label`` and ``value`` (the logarithm of the count), which `geolab.maps.interactive` shows.
        """
        ids, label = self.cells()
        rings_of: list[list] = [[] for _ in range(len(self))]
        for outline, row in s2_cells.rings(ids):
            closed = np.concatenate([outline, outline[:, :1]], axis=1)[..., ::-1]  # lon, lat
            for ring, cell in zip(np.round(closed, 9).tolist(), label[row], strict=True):
                rings_of[cell].append([ring])
        levels = s2_cells.level_of(ids)
        single = dict(zip(label.tolist(), levels.tolist(), strict=True))
        alone = np.bincount(label, minlength=len(self)) == 1
        features = [
            _feature(rings, c, int(self.counts[c]), single[c] if alone[c] else None)
            for c, rings in enumerate(rings_of)
        ]
        return {"type": "FeatureCollection", "features": features}

    def save(self, path: str | os.PathLike) -> Path:
        """Write one .npz file, whole or not at all."""
        return save_arrays(
            path, self.to_arrays(), kind=FILE_KIND, version=FILE_VERSION, about=self.about()
        )

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a partition; ``Partition.load`` reads any kind.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        DataError
            If the file is damaged, is something else, or holds another kind of partition.
        """
        arrays, about = load_arrays(path, kind=FILE_KIND, version=FILE_VERSION)
        return cls._from_parts(arrays, about, str(path))

    @classmethod
    def _from_parts(
        cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], where: str
    ) -> Self:
        known = {kind.__name__: kind for kind in Partition.__subclasses__()}
        found = known.get(about["class"])
        if found is None or not issubclass(found, cls):
            raise DataError(
                f"{where}: holds a {about['class']}, not a {cls.__name__}; use Partition.load, or "
                "give the right file"
            )
        return found.from_arrays(arrays, about)


def _feature(rings: list, cell: int, count: int, level: int | None) -> dict[str, Any]:
    several = len(rings) > 1
    shape = {"type": "MultiPolygon" if several else "Polygon"}
    shape["coordinates"] = rings if several else rings[0]
    text = f"cell {cell}: {count:,} photo" + "s" * (count != 1)
    properties = {"cell": cell, "count": count, "value": float(np.log1p(count))}
    if level is not None:
        properties["level"] = level
        text += f", level {level}"
    return {"type": "Feature", "properties": properties | {"label": text}, "geometry": shape}


def checked_latlon(latlon: ArrayLike) -> np.ndarray:
    """Coordinates of photos as float64 (N, 2).

    Raises
    ------
    DataError
        If there are none, or a row is not on Earth; the row and its value are named.
    """
    points = latlon.cpu().numpy() if isinstance(latlon, Tensor) else latlon
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise DataError(f"latlon must be (N, 2) with N > 0, not {points.shape}; give photos")
    if not all(abs(x).max() <= m for x, m in zip(points.T, (90, 180), strict=True)):  # or NaN
        try:
            sphere.check_latlon(points)
        except ValueError as error:
            raise DataError(f"{error}. Correct or drop the row.") from error
    return points


def class_means(latlon: np.ndarray, order: np.ndarray, start: np.ndarray) -> Tensor:
    """Spherical mean of each run of rows: (C, 2) float64 degrees.

    Parameters
    ----------
    latlon : (N, 2) array
    order : (n,) array of int
        Rows, those of one class beside each other.
    start : (C,) array of int
        Where in `order` each class starts; increasing, the first is 0.
    """
    points = torch.from_numpy(np.take(latlon, order, axis=0))
    xyz = np.empty((len(points), 3))
    for block in range(0, len(points), _BLOCK):
        xyz[block : block + _BLOCK] = sphere.to_unit(points[block : block + _BLOCK]).numpy()
    total = np.add.reduceat(xyz, start, axis=0)
    count = np.diff(np.append(start, len(order)))
    means = sphere.to_latlon(torch.from_numpy(total)).numpy()
    lost = np.linalg.norm(total, axis=1) < 1e-6 * count  # the vectors cancel: no mean exists
    return torch.from_numpy(np.where(lost[:, None], points.numpy()[start], means))


def cell_centres(ids: np.ndarray, label: np.ndarray) -> Tensor:
    """Geometric centre of each class: the mean of its cells' centres by area, (C, 2) degrees.

    Parameters
    ----------
    ids : uint64 (n,)
    label : (n,) array of int
        Class of each cell; each of 0 to C - 1 occurs.
    """
    centre = torch.from_numpy(s2_cells.centre(ids))
    weighted = sphere.to_unit(centre).numpy() * s2_cells.area_km2(ids)[:, None]
    total = np.stack([np.bincount(label, weights=column) for column in weighted.T], axis=1)
    return sphere.to_latlon(torch.from_numpy(total))


def find_cells(ids: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Row of the cell that holds each place, -1 where none does.

    Parameters
    ----------
    ids : uint64 (C,)
        Disjoint cells in any order.
    places : uint64 (N,)
        Cells of any level; a cell is held by itself and its ancestors.
    """
    by_id = np.argsort(ids)
    first, last = s2_cells.id_range(ids[by_id])
    at = np.searchsorted(first, places, side="right") - 1
    inside = (at >= 0) & (places <= last[np.maximum(at, 0)])
    return np.where(inside, by_id[at], -1)
