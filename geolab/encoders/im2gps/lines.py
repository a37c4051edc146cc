"""Straight lines: which way they run, and how long they are.

Buildings, roads and horizons are straight, trees are not; a street canyon's lines run to a
vanishing point. im2gps links straight segments out of Canny edges (Kosecka and Zhang, "Video
compass", ECCV 2002, is the method it points to) and keeps two histograms: of angle and of length.
Bin counts are ours: 18 angles of 10 degrees, weighted by length, and 17 lengths on a log scale, in
parts of the longest side. Compared by L1.

How segments are found (own compact version, no image library needed):

1. blur, gradient, and non-maximum suppression, as Canny (PAMI 1986);
2. *line-support regions* (Burns, Hanson and Riseman, "Extracting straight lines", PAMI 1986):
   neighbouring edge pixels belong together when their gradients fall into the same eighth of the
   circle. A line at the border of two eighths would break, so this is done twice, with eighths
   turned by half of one; each pixel votes for its longer region, and a region lives on half of
   its pixels' votes;
3. a region is a segment when it holds one strong pixel (Canny's second threshold), is long enough,
   and is thin about its principal axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import scipy.sparse
from torch import Tensor

from geolab.encoders.im2gps.pixels import Photo, describe, luminance

_BLUR_PX = 1.0
_WEAK, _STRONG = 0.02, 0.05  # change of luma per pixel
_SHORTEST_PX = 6.0
_THICKEST_PX = 2.2
_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))  # half of the eight: each pair is met once


@dataclass(frozen=True)
class Lines:
    """Angle histogram (18), then log-length histogram (17); each sums to 1, or to 0 without lines.

    Parameters
    ----------
    angles, lengths : int
        Number of bins. Angle bins are centred on multiples of 180 / angles degrees, so that
        horizontal lines fall into the first bin on either side of level.
    longest_side : int
        Larger photos are area-resized first.
    """

    angles: int = 18
    lengths: int = 17
    longest_side: int = 256
    name = "lines"
    distance = "l1"

    @property
    def dim(self) -> int:
        """Length of the descriptor, 35 by default."""
        return self.angles + self.lengths

    def encode(self, images: Sequence[Photo]) -> Tensor:
        """Descriptors (N, 35) float32."""
        return describe(images, self.dim, self._block, longest_side=self.longest_side)

    def _block(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        photo, angle, length = find_segments(luminance(photos))
        turn = np.round(angle / np.pi * self.angles).astype(int) % self.angles
        edges = np.geomspace(0.03, 1.0, self.lengths + 1)[1:-1]
        size = np.searchsorted(edges, length / max(photos[0].shape))
        parts = []
        for column, n, weight in ((turn, self.angles, length), (size, self.lengths, None)):
            flat = np.bincount(photo * n + column, weight, len(photos) * n)
            counts = flat.reshape(len(photos), n)  # (B*n,) -> (B, n)
            parts.append(counts / np.maximum(counts.sum(1, keepdims=True), 1e-12))
        return np.concatenate(parts, axis=1)


def find_segments(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Straight segments in a stack of photos of one size.

    Parameters
    ----------
    grey : ndarray, shape (B, H, W)
        Luma, 0..1.

    Returns
    -------
    photo : ndarray of int64, shape (S,)
        Which photo the segment is in.
    angle : ndarray, shape (S,)
        Direction in radians, 0..pi, anticlockwise from level as the photo is looked at.
    length : ndarray, shape (S,)
        Pixels.
    """
    pixel, slope, strong = _edges(grey)
    labels = [_support_regions(pixel, slope + turn, grey.shape) for turn in (0.0, np.pi / 8)]
    sizes = [np.bincount(label) for label in labels]
    first_wins = sizes[0][labels[0]] >= sizes[1][labels[1]]
    found = []
    for label, size, wins in zip(labels, sizes, (first_wins, ~first_wins), strict=True):
        votes, bright = np.bincount(label[wins], minlength=len(size)), np.zeros(len(size), bool)
        bright[label[strong]] = True
        found.append(_fit(pixel, label, bright & (2 * votes > size), grey.shape))
    photo, angle, length = (np.concatenate(column) for column in zip(*found, strict=True))
    return photo, angle, length


def _edges(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin edge pixels: flat index into (B, H, W), gradient direction (rad), whether strong."""
    smooth = scipy.ndimage.gaussian_filter(grey, (0, _BLUR_PX, _BLUR_PX), mode="nearest")
    padded = np.pad(smooth, ((0, 0), (1, 1), (1, 1)), mode="edge")
    dx = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    dy = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    power = np.square(dx) + np.square(dy)
    pixel = np.flatnonzero(power > _WEAK**2)
    slope = np.arctan2(dy.ravel()[pixel], dx.ravel()[pixel])
    # The neighbour that the gradient points to, in steps of 45 degrees, and its opposite.
    eighth = np.round(slope / (np.pi / 4)).astype(int) % 8
    step_y, step_x = (np.round(f(np.arange(8) * np.pi / 4)).astype(int) for f in (np.sin, np.cos))
    around = np.pad(power, ((0, 0), (1, 1), (1, 1))).ravel()
    step = (step_y * (grey.shape[2] + 2) + step_x)[eighth]
    here = _in_padded(pixel, grey.shape)
    strength = around[here]
    peak = (strength > around[here + step]) & (strength >= around[here - step])
    return pixel[peak], slope[peak], strength[peak] > _STRONG**2


def _in_padded(pixel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Flat index into (B, H + 2, W + 2) of flat indices into (B, H, W)."""
    photo, row, column = np.unravel_index(pixel, shape)
    return (photo * (shape[1] + 2) + row + 1) * (shape[2] + 2) + column + 1


def _support_regions(pixel: np.ndarray, slope: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Region number of each edge pixel, linking neighbours with the same eighth of direction."""
    eighth = np.floor(slope / (np.pi / 4)).astype(np.int64) % 8
    number = np.full((shape[0] * (shape[1] + 2) * (shape[2] + 2)), -1, np.int32)
    here = _in_padded(pixel, shape)
    number[here] = np.arange(len(pixel))
    pairs = []
    for down, right in _NEIGHBOURS:
        other = number[here + down * (shape[2] + 2) + right]
        linked = (other >= 0) & (eighth == eighth[other])
        pairs.append(np.stack([np.flatnonzero(linked), other[linked]]))
    left, right = np.concatenate(pairs, axis=1)
    graph = scipy.sparse.coo_array(
        (np.ones(len(left), np.int8), (left, right)), shape=(len(pixel), len(pixel))
    )
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _fit(
    pixel: np.ndarray, label: np.ndarray, wanted: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal axis of each wanted region; those long and thin enough, as `find_segments`."""
    photo, row, column = np.unravel_index(pixel, shape)
    n = np.maximum(np.bincount(label, minlength=len(wanted)), 1)
    x, y = column.astype(float), -row.astype(float)  # y grows upwards, as angles are read
    mean_x, mean_y, xx, yy, xy = (
        np.bincount(label, value, len(wanted)) / n for value in (x, y, x * x, y * y, x * y)
    )
    xx, yy, xy = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    spread, middle = np.hypot((xx - yy) / 2, xy), (xx + yy) / 2
    # A row of L pixels has variance (L^2 - 1) / 12.
    length, thickness = (
        np.sqrt(np.maximum(12 * v, 0) + 1) for v in (middle + spread, middle - spread)
    )
    keep = wanted & (length >= _SHORTEST_PX) & (thickness <= _THICKEST_PX)
    where = np.zeros(len(wanted), np.int64)
    where[label] = photo
    angle = np.arctan2(2 * xy, xx - yy) / 2 % np.pi
    return where[keep], angle[keep], length[keep]
