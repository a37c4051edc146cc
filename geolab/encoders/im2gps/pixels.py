"""Pixels in: photos of any size become blocks of equal size that fit the processor's cache.

Every im2gps descriptor starts here. `rgb_arrays` turns what a user has (PIL images, arrays, grey or
colour) into (H, W, 3) uint8; `describe` runs one descriptor over all photos, in blocks of one
photo size; `resize_area` is the only resampling used: a box filter that counts a pixel by the part
of it that is covered, as OpenCV's INTER_AREA does.

Working in small blocks is not tidiness. Memory that is touched for the first time costs more than
the arithmetic done on it, so an intermediate that stays under 8 MB is several times faster than
one for the whole data set.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geolab.encoders.im2gps.one_thread import one_thread

Photo: TypeAlias = "Image.Image | np.ndarray"
_BLOCK_BYTES = 512 << 10  # of pixels; descriptors need ten times that in between
_STRIP_BYTES = 2 << 20


def rgb_arrays(images: Sequence[Photo]) -> list[np.ndarray]:
    """Photos as (H, W, 3) uint8 arrays; grey ones get three equal channels.

    Parameters
    ----------
    images : sequence of PIL images, or of uint8 arrays (H, W), (H, W, 1), (H, W, 3)

    Raises
    ------
    ValueError
        If an array is not uint8, has another shape, or has no pixels; the message names its row.
    TypeError
        If an entry is neither an image nor an array (None, say, for an unreadable photo).

    Examples
    --------
    >>> rgb_arrays([Image.new("L", (3, 2), 7)])[0].shape
    (2, 3, 3)
    """
    return [_rgb_array(image, row) for row, image in enumerate(images)]


def _rgb_array(image: Photo, row: int) -> np.ndarray:
    if isinstance(image, Image.Image):
        image = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"image {row} is {type(image).__name__}, not a PIL image or a uint8 array; "
            "leave unreadable photos out before encoding"
        )
    if image.dtype != np.uint8:
        raise ValueError(f"image {row} has dtype {image.dtype}; convert it to uint8 (0 to 255)")
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)  # (H, W) -> (H, W, 3)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image {row} has shape {image.shape}; expected (H, W, 3) with pixels")
    return image


def describe(
    images: Sequence[Photo],
    dim: int,
    one_block: Callable[[Sequence[np.ndarray]], np.ndarray],
    *,
    longest_side: int | None = None,
    threads: bool = True,
) -> Tensor:
    """Descriptors (N, dim) float32 of photos of any size, in the order given.

    Parameters
    ----------
    one_block : callable, B photos (H, W, 3) of one size -> (B, dim)
        Gets uint8, or float32 (0 to 255) when the photos had to be shrunk.
    longest_side : int, optional
        Photos with a longer side are area-resized to it first, keeping their shape.
    threads : bool
        Run blocks on all cores, one thread each. Off for descriptors so light that handing the
        interpreter from thread to thread would take longer than the work.
    """
    arrays = rgb_arrays(images)
    out = np.empty((len(arrays), dim), np.float32)

    def fill(rows: list[int]) -> None:
        photos: Sequence[np.ndarray] = [arrays[row] for row in rows]
        photos = shrink(photos, longest_side) if longest_side else photos
        out[rows] = one_block(photos)

    blocks = same_size_blocks(arrays, _BLOCK_BYTES if threads else 16 * _BLOCK_BYTES)
    if threads and len(blocks) > 1:
        with one_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, blocks))  # the list raises what a block raised
    else:
        with one_thread():
            list(map(fill, blocks))
    return torch.from_numpy(out)


def same_size_blocks(
    arrays: Sequence[np.ndarray], block_bytes: int = _BLOCK_BYTES
) -> list[list[int]]:
    """Rows of photos of one size, in blocks of at most so many bytes (one photo at least).

    Examples
    --------
    >>> wide, tall = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)
    >>> same_size_blocks([wide, tall, wide])
    [[0, 2], [1]]
    """
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, array in enumerate(arrays):
        rows_of.setdefault(array.shape, []).append(row)
    blocks = []
    for shape, rows in rows_of.items():
        step = max(1, block_bytes // math.prod(shape))
        blocks += [rows[start : start + step] for start in range(0, len(rows), step)]
    return blocks


def shrink(photos: Sequence[np.ndarray], longest_side: int) -> Sequence[np.ndarray]:
    """Area-resize photos of one size so that no side is longer than `longest_side` pixels."""
    height, width = photos[0].shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return photos
    return resize_area(photos, max(1, round(height * scale)), max(1, round(width * scale)))


@lru_cache(maxsize=256)
def box_weights(n_in: int, n_out: int) -> np.ndarray:
    """Rows that average a line of `n_in` pixels into `n_out`: (n_out, n_in) float32, sums 1.

    Output pixel i covers [i, i+1) * n_in / n_out; an input pixel counts by the part covered.

    Examples
    --------
    >>> box_weights(3, 2).astype(float).round(2).tolist()
    [[0.67, 0.33, 0.0], [0.0, 0.33, 0.67]]
    """
    edges = np.arange(n_out + 1) * (n_in / n_out)
    pixel = np.arange(n_in)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights = (np.clip(covered, 0, 1) * (n_out / n_in)).astype(np.float32)
    weights.setflags(write=False)  # shared by every caller
    return weights


def resize_area(photos: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Mean colour under each output pixel, 0..255: B of (H, W, C) -> (B, height, width, C) float32.

    Whole ratios of uint8 photos are summed in integers; any other ratio, up or down, is a product
    with `box_weights` on each side. All photos have one size.
    """
    full_height, full_width, channels = photos[0].shape
    out = np.empty((len(photos), height, width, channels), np.float32)
    whole = full_height % height == 0 and full_width % width == 0 and full_height // height <= 257
    resize_one = _block_means if whole and photos[0].dtype == np.uint8 else _box_means
    for photo, target in zip(photos, out, strict=True):
        resize_one(photo, target)
    return out


def _block_means(photo: np.ndarray, out: np.ndarray) -> None:
    """Whole ratio. 257 rows of uint8 fit into uint16, which keeps the long sum narrow."""
    (full_height, full_width, channels), (height, width) = photo.shape, out.shape[:2]
    tall, wide = full_height // height, full_width // width
    lines = photo.reshape(height, tall, full_width * channels)  # (H, W, 3) -> (h, H/h, W*3)
    sums = np.add.reduce(lines, axis=1, dtype=np.uint16)
    # Columns last, so that the second sum also runs over contiguous memory.
    columns = np.ascontiguousarray(sums.T).reshape(width, wide, channels, height)
    total = columns.sum(axis=1, dtype=np.uint32)  # (w, 3, h)
    np.multiply(total.transpose(2, 0, 1), np.float32(1 / (tall * wide)), out=out)


def _box_means(photo: np.ndarray, out: np.ndarray) -> None:
    """Any ratio, in strips of columns that keep the float copy small."""
    (full_height, full_width, channels), (height, width) = photo.shape, out.shape[:2]
    down, across = box_weights(full_height, height), box_weights(full_width, width)
    lines = np.empty((height, full_width * channels), np.float32)
    flat = photo.reshape(full_height, full_width * channels)  # (H, W, 3) -> (H, W*3)
    step = max(1, _STRIP_BYTES // (4 * full_height))
    for start in range(0, flat.shape[1], step):
        strip = flat[:, start : start + step].astype(np.float32)
        np.matmul(down, strip, out=lines[:, start : start + step])
    planes = lines.reshape(height, full_width, channels).transpose(2, 0, 1)  # -> (3, h, W)
    narrow = planes.reshape(channels * height, full_width) @ across.T  # one product for all planes
    out[:] = narrow.reshape(channels, height, width).transpose(1, 2, 0)  # (3*h, w) -> (h, w, 3)


def mirror_index(n: int, before: int, total: int) -> np.ndarray:
    """Indices that extend a line of `n` pixels by reflection, however short it is.

    Examples
    --------
    >>> mirror_index(3, 2, 8).tolist()
    [1, 0, 0, 1, 2, 2, 1, 0]
    """
    folded = (np.arange(total) - before) % (2 * n)
    return np.minimum(folded, 2 * n - 1 - folded)


def luminance(photos: Sequence[np.ndarray]) -> np.ndarray:
    """Luma (Rec. 601) of photos of one size: B of (H, W, 3), 0..255 -> (B, H, W) float32, 0..1."""
    red, green, blue = (np.float32(weight / 255) for weight in (0.299, 0.587, 0.114))
    out = np.empty((len(photos), *photos[0].shape[:2]), np.float32)
    for photo, luma in zip(photos, out, strict=True):
        np.multiply(photo[..., 0], red, out=luma)
        luma += photo[..., 1] * green
        luma += photo[..., 2] * blue
    return out
