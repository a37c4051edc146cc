"""Photos of a data set as one block of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geolab.data.photos import read_images
from geolab.encoders.cnn import to_pixels

if TYPE_CHECKING:
    from datasets import Dataset

_PHOTOS_AT_ONCE = 512


@dataclass(frozen=True)
class Pixels:
    """Photos as numbers.

    Attributes
    ----------
    values : Tensor of uint8, shape (N, 3, S, S)
        Zeros where a photo could not be read.
    good : Tensor of bool, shape (N,)
    unreadable : dict of str to str
        Photo id to reason.
    """

    values: Tensor
    good: Tensor
    unreadable: dict[str, str]


def read_pixels(photos: Dataset, size: int) -> Pixels:
    """Read a data set into memory: 3 S^2 bytes a photo, 28 kB at 96 px."""
    values = torch.zeros(len(photos), 3, size, size, dtype=torch.uint8)
    good = torch.zeros(len(photos), dtype=torch.bool)
    unreadable: dict[str, str] = {}
    for start in range(0, len(photos), _PHOTOS_AT_ONCE):
        read = read_images(photos.select(range(start, min(start + _PHOTOS_AT_ONCE, len(photos)))))
        rows = [i for i, image in enumerate(read.images) if image is not None]
        at = torch.tensor(rows, dtype=torch.int64) + start
        values[at] = to_pixels([read.images[i] for i in rows], size)
        good[at] = True
        unreadable |= read.errors
    return Pixels(values, good, unreadable)
