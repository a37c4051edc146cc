"""Naive geocells: the box of the Earth halved until no box holds too many photos.

The row "- semantic geocells" of PIGEON's ablation (Haas et al., CVPR 2024): boxes of latitude and
longitude, cut at the middle of the longer side, blind to borders and to where photos cluster. The
world's box ends at the antimeridian, which is a border like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from geolab.cells.cover import cover
from geolab.cells.partition import Partition, cell_centres, checked_latlon, class_means
from geolab.data.gazetteer import load_gazetteer
from geolab.sphere import ArrayLike

_SMALLEST = 1e-4  # degrees, about 10 m: photos that are closer stay together


@dataclass(frozen=True, eq=False, kw_only=True)
class NaivePartition(Partition):
    """Boxes of latitude and longitude; made by `NaivePartition.fit`.

    Attributes
    ----------
    boxes : ndarray, shape (C, 4)
        South, west, north, east in degrees; the north and east sides belong to the neighbour.
    """

    boxes: np.ndarray

    @classmethod
    def fit(cls, latlon: ArrayLike, max_size: int, *, name: str = "") -> Self:
        """Halve boxes with more than `max_size` photos; boxes without photos are no class.

        Raises
        ------
        DataError
            If there are no photos, or a coordinate is not on Earth.
        """
        points = checked_latlon(latlon)
        boxes = np.array(_halved(_wrapped(points), max_size))
        classes = _find(boxes, points)
        order = np.lexsort((*points.T, classes))
        start = np.searchsorted(classes[order], np.arange(len(boxes)))
        return cls(
            name=name or f"naive {max_size}",
            means=class_means(points, order, start),
            centres=cell_centres(*cover(points, classes)),
            counts=torch.from_numpy(np.bincount(classes, minlength=len(boxes))),
            n_photos=len(points),
            boxes=boxes,
        )

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Box of each place (N, 2), int64 (N,); -1 where no training photo was."""
        return torch.from_numpy(_find(self.boxes, checked_latlon(latlon)))

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """S2 cells that tell the boxes apart at their photos' means and at known places."""
        places = load_gazetteer().places[["lat", "lon"]].to_numpy(float)
        points = np.concatenate([self._middles(), places])
        return cover(points, _find(self.boxes, points))

    def _middles(self) -> np.ndarray:
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All arrays."""
        counted = {name: getattr(self, name).numpy() for name in ("means", "centres", "counts")}
        return {"boxes": self.boxes} | counted

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Undo `to_arrays`."""
        tensors = {k: torch.from_numpy(arrays[k]) for k in ("means", "centres", "counts")}
        return cls(name=about["name"], n_photos=about["n_photos"], boxes=arrays["boxes"], **tensors)


def _wrapped(points: np.ndarray) -> np.ndarray:
    """Longitudes from -180 to below 180, and the north pole just below 90."""
    lat = np.minimum(points[:, 0], np.nextafter(90, 0))
    return np.stack([lat, (points[:, 1] + 180) % 360 - 180], axis=1)


def _halved(points: np.ndarray, max_size: int) -> list[tuple[float, float, float, float]]:
    """Boxes with photos, none with more than `max_size` unless they are at one place."""
    done, todo = [], [((-90.0, -180.0, 90.0, 180.0), np.arange(len(points)))]
    while todo:
        (south, west, north, east), rows = todo.pop()
        tall = north - south >= east - west
        if len(rows) <= max_size or max(north - south, east - west) < _SMALLEST:
            done += [(south, west, north, east)] if len(rows) else []
            continue
        middle = (south + north) / 2 if tall else (west + east) / 2
        low = points[rows, 0 if tall else 1] < middle
        first = (south, west, middle, east) if tall else (south, west, north, middle)
        second = (middle, west, north, east) if tall else (south, middle, north, east)
        todo += [(second, rows[~low]), (first, rows[low])]
    return done


def _find(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Box of each point, -1 for none."""
    out = np.full(len(points), -1)
    for start in range(0, len(points), 4096):  # (4096, C) at once
        lat, lon = _wrapped(points[start : start + 4096]).T[..., None]
        inside = (boxes[:, 0] <= lat) & (lat < boxes[:, 2])
        inside &= (boxes[:, 1] <= lon) & (lon < boxes[:, 3])
        out[start : start + 4096] = np.where(inside.any(1), inside.argmax(1), -1)
    return out
