"""Naive geocells: boxes of latitude and longitude, halved until none holds too many photos.

The row "- semantic geocells" of PIGEON's ablation (Haas et al., CVPR 2024): the bounding box of a
cell's photos is cut at the middle of its longer side, blind to borders and to where photos cluster.

    cells = NaivePartition.fit(latlon, max_size=76)        # min_size is half of that if left out

A box with fewer than `min_size` photos is no class: its photos, and test photos there, belong to
the class with the nearest mean. The world is opened where the photos leave the widest gap in
longitude, so that a cell may lie across 180 degrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from geolab import sphere
from geolab.cells.cover import cover, covered_centres
from geolab.cells.partition import Partition, checked_latlon, class_means
from geolab.data.gazetteer import load_gazetteer
from geolab.sphere import ArrayLike

_SMALLEST = 1e-4  # degrees, about 10 m: photos that are closer stay together
_TENSORS = ("means", "centres", "counts")


@dataclass(frozen=True, eq=False, kw_only=True)
class NaivePartition(Partition):
    """Boxes of latitude and longitude; made by `NaivePartition.fit`.

    Attributes
    ----------
    west : float
        Longitude at which the world is opened.
    boxes : ndarray, shape (B, 4)
        Latitude and longitude east of `west`: south, west, north, east. They tile the world; the
        north and east sides belong to the neighbour.
    box_class : ndarray of int64, shape (B,)
        -1 for a box with too few photos.
    anchors : ndarray, shape (C, 3)
        Unit vectors; a place in a box of no class goes to the nearest.
    """

    west: float
    boxes: np.ndarray
    box_class: np.ndarray
    anchors: np.ndarray

    @classmethod
    def fit(
        cls, latlon: ArrayLike, max_size: int, min_size: int | None = None, *, name: str = ""
    ) -> Self:
        """Halve boxes with more than `max_size` photos.

        A box may hold more where a cut would leave both halves below `min_size`, or where the
        photos are at one place; adopted photos come on top.

        Raises
        ------
        ValueError
            If the limits do not rise from 1.
        DataError
            If there are no photos, or a coordinate is not on Earth.
        """
        min_size = max(1, max_size // 2) if min_size is None else min_size
        if not 1 <= min_size <= max_size:
            raise ValueError(f"min_size {min_size} and max_size {max_size} must rise from 1")
        points = checked_latlon(latlon)
        west = _widest_gap(points[:, 1])
        found = _halved(_opened(points, west), min_size, max_size)
        boxes, sizes = (np.array(column) for column in zip(*found, strict=True))
        alive = sizes >= min(min_size, len(points))
        box_class = np.where(alive, np.cumsum(alive) - 1, -1)
        inside = box_class[_find(boxes, _opened(points, west))]
        rows = np.flatnonzero(inside >= 0)
        anchors = sphere.to_unit(_means(points, rows, inside[rows])).numpy()
        lost = np.flatnonzero(inside < 0)
        inside[lost] = cKDTree(anchors).query(sphere.to_unit(points[lost]).numpy())[1]
        means = _means(points, np.arange(len(points)), inside)
        made = cls(
            name=name or f"naive {min_size}/{max_size}",
            n_photos=len(points),
            means=means,
            centres=means,
            counts=torch.from_numpy(np.bincount(inside)),
            west=west,
            boxes=boxes,
            box_class=box_class,
            anchors=anchors,
        )
        return replace(made, centres=covered_centres(*made.cells(), means))

    def assign(self, latlon: ArrayLike) -> Tensor:
        """Class of each place (N, 2), int64 (N,); every place on Earth has one."""
        points = checked_latlon(latlon)
        out = self.box_class[_find(self.boxes, _opened(points, self.west))]
        lost = out < 0
        if lost.any():
            out[lost] = self._tree.query(sphere.to_unit(points[lost]).numpy())[1]
        return torch.from_numpy(out)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.anchors)

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """S2 cells that tell the classes apart near their means and near known places."""
        return self._cover

    @cached_property
    def _cover(self) -> tuple[np.ndarray, np.ndarray]:
        known = load_gazetteer().places[["lat", "lon"]].to_numpy(float)
        unseen = np.setdiff1d(np.arange(len(self)), self.assign(known))
        box = self.boxes[np.flatnonzero(self.box_class >= 0)[unseen]]
        places = np.concatenate([known, _middle(box, self.west)])
        return cover(lambda points: self.assign(points).numpy(), places)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All arrays."""
        own = {k: getattr(self, k) for k in ("boxes", "box_class", "anchors")}
        counted = {k: getattr(self, k).numpy() for k in _TENSORS}
        return own | counted | {"west": np.array(self.west)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Self:
        """Undo `to_arrays`."""
        own = {k: arrays[k] for k in ("boxes", "box_class", "anchors")}
        tensors = {k: torch.from_numpy(arrays[k]) for k in _TENSORS}
        known = {"name": about["name"], "n_photos": about["n_photos"]}
        return cls(west=arrays["west"].item(), **known, **own, **tensors)


def _widest_gap(lon: np.ndarray) -> float:
    """Middle of the widest gap between the photos' longitudes, in [-180, 180)."""
    sorted_lon = np.unique((lon + 180) % 360 - 180)
    gaps = np.diff(sorted_lon, append=sorted_lon[0] + 360)
    at = int(gaps.argmax())
    return float((sorted_lon[at] + gaps[at] / 2 + 180) % 360 - 180)


def _opened(points: np.ndarray, west: float) -> np.ndarray:
    """Latitude below 90, and longitude east of `west`, from 0 to below 360."""
    east = (points[:, 1] - west) % 360
    east[east >= 360] = 0.0  # -1e-17 % 360 rounds up
    return np.stack([np.minimum(points[:, 0], np.nextafter(90, 0)), east], axis=1)


def _halved(
    points: np.ndarray, min_size: int, max_size: int
) -> list[tuple[tuple[float, float, float, float], int]]:
    """Boxes that tile the world, with their photos; each is cut between its own photos."""
    done, todo = [], [((-90.0, 0.0, 90.0, 360.0), np.arange(len(points)))]
    while todo:
        box, rows = todo.pop()
        least, most = points[rows].min(0), points[rows].max(0)
        axis = int(np.argmax(most - least))
        middle = (least[axis] + most[axis]) / 2
        low = points[rows, axis] < middle
        full = max(low.sum(), (~low).sum()) >= min_size
        if len(rows) <= max_size or (most - least).max() < _SMALLEST or not full:
            done.append((box, len(rows)))
            continue
        first, second = list(box), list(box)
        first[2 + axis] = second[axis] = float(middle)
        todo += [(tuple(second), rows[~low]), (tuple(first), rows[low])]
    return done


def _find(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Box of each opened point, (N,)."""
    out = np.empty(len(points), np.int64)
    for start in range(0, len(points), 4096):  # (4096, B) at once
        lat, east = points[start : start + 4096].T[..., None]
        inside = (boxes[:, 0] <= lat) & (lat < boxes[:, 2])
        inside &= (boxes[:, 1] <= east) & (east < boxes[:, 3])
        out[start : start + 4096] = inside.argmax(1)
    return out


def _means(points: np.ndarray, rows: np.ndarray, classes: np.ndarray) -> Tensor:
    """Spherical mean of the photos of each class, summed in an order of their own."""
    order = np.lexsort((*points[rows].T, classes))
    start = np.searchsorted(classes[order], np.arange(classes.max() + 1))
    return class_means(points, rows[order], start)


def _middle(boxes: np.ndarray, west: float) -> np.ndarray:
    """Degrees (n, 2) of the middle of each box."""
    lat, east = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
    return np.stack([lat, (east + west + 180) % 360 - 180], axis=1)
