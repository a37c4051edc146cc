r"""Colour: the sRGB to CIE Lab conversion, and the joint Lab histogram of im2gps.

sRGB values are made linear, mixed into XYZ, and divided by the white point of D65:

.. math:: L = 116 f(Y) - 16,\quad a = 500 (f(X) - f(Y)),\quad b = 200 (f(Y) - f(Z)),

with :math:`f(t) = t^{1/3}` above :math:`(6/29)^3` and a line below it. Equal steps in Lab look
about equally large, which a distance between photos can use.

The histogram has 4 x 14 x 14 bins: few for lightness, because gist, textons and lines see the
brightness already (Hays and Efros, CVPR 2008, section 3; the bin counts are recalled, the fixed
edges are ours). A colour of 8 bits a channel falls into one bin for ever, so the bins of all
16.7 million colours are worked out once (under a second, 33 MB) and looked up from then on: exact,
and faster than converting pixels.

References: IEC 61966-2-1 (sRGB); CIE 15:2004 (Lab).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch import Tensor

from geolab.encoders.im2gps.pixels import Photo, describe

_TO_XYZ = np.array(
    [
        [0.4123907993, 0.3575843394, 0.1804807884],
        [0.2126390059, 0.7151686788, 0.0721923154],
        [0.0193308187, 0.1191947798, 0.9505321522],
    ]
)
_TO_XYZ_WHITE = _TO_XYZ / _TO_XYZ.sum(axis=1, keepdims=True)  # white becomes (1, 1, 1) exactly
_A_B_LIMIT = 110.0


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of sRGB colours.

    Parameters
    ----------
    rgb : ndarray, shape (..., 3)
        uint8, or floating values from 0 to 1.

    Returns
    -------
    ndarray, shape (..., 3), float32
        L in 0..100; a and b within about -108..98 for sRGB colours.

    Examples
    --------
    >>> srgb_to_lab(np.array([255, 0, 0], np.uint8)).round().tolist()
    [53.0, 80.0, 67.0]
    """
    rgb = np.asarray(rgb)
    linear = _LINEAR_OF_BYTE[rgb] if rgb.dtype == np.uint8 else _linear(rgb.astype(np.float32))
    xyz = linear @ _TO_XYZ_WHITE.T.astype(np.float32)
    edge = np.float32((6 / 29) ** 3)
    f = np.cbrt(xyz)
    if (dark := xyz < edge).any():
        f[dark] = xyz[dark] * np.float32((29 / 6) ** 2 / 3) + np.float32(4 / 29)
    lab = np.empty_like(f)
    lab[..., 0] = 116 * f[..., 1] - 16
    lab[..., 1] = 500 * (f[..., 0] - f[..., 1])
    lab[..., 2] = 200 * (f[..., 1] - f[..., 2])
    return lab


def _linear(unit: np.ndarray) -> np.ndarray:
    """Undo the transfer curve of sRGB; values 0..1 in and out."""
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


_LINEAR_OF_BYTE = _linear(np.arange(256) / 255).astype(np.float32)


def lab_bins(lab: np.ndarray, bins: tuple[int, int, int]) -> np.ndarray:
    """Joint bin number of Lab colours (..., 3), int64: L over 0..100, a and b over -110..110."""
    n_l, n_a, n_b = bins
    l_bin = np.clip(lab[..., 0] * (n_l / 100), 0, n_l - 1).astype(np.int64)
    a_bin, b_bin = (
        np.clip((lab[..., axis] + _A_B_LIMIT) * (n / (2 * _A_B_LIMIT)), 0, n - 1).astype(np.int64)
        for axis, n in ((1, n_a), (2, n_b))
    )
    return (l_bin * n_a + a_bin) * n_b + b_bin


@lru_cache(maxsize=2)
def _bin_of_colour(bins: tuple[int, int, int]) -> np.ndarray:
    """Bin of every 8-bit colour, at index R + 256 G + 65536 B: (16777216,) int16."""
    table = np.empty((256, 256, 256), np.int16)  # B, G, R
    plane = np.zeros((256, 256, 3), np.uint8)
    plane[..., 0] = np.arange(256)[None, :]
    plane[..., 1] = np.arange(256)[:, None]
    for blue in range(256):
        plane[..., 2] = blue
        table[blue] = lab_bins(srgb_to_lab(plane), bins)
    return table.reshape(-1)  # (B, G, R) -> (B*G*R,)


@dataclass(frozen=True)
class LabHistogram:
    """Joint histogram of L, a and b; sums to 1. Compared by chi-square.

    Parameters
    ----------
    bins : (int, int, int)
        Bins for L, a and b.
    """

    bins: tuple[int, int, int] = (4, 14, 14)
    name = "colour"
    distance = "chi2"

    @property
    def dim(self) -> int:
        """Number of bins, 784 by default."""
        return self.bins[0] * self.bins[1] * self.bins[2]

    def encode(self, images: Sequence[Photo]) -> Tensor:
        """Histograms (N, 784) float32 of every pixel of each photo."""
        return describe(images, self.dim, self._block, threads=False)

    def _block(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        table = _bin_of_colour(self.bins)
        counts = [np.bincount(table.take(_codes(photo)), minlength=self.dim) for photo in photos]
        return np.stack(counts) / (photos[0].shape[0] * photos[0].shape[1])


def _codes(photo: np.ndarray) -> np.ndarray:
    """R + 256 G + 65536 B of each pixel: (H, W, 3) uint8 -> (H*W,) unsigned 32-bit."""
    padded = np.zeros((*photo.shape[:2], 4), np.uint8)
    for channel in range(3):
        padded[..., channel] = photo[..., channel]
    return padded.view("<u4").reshape(-1)  # (H, W, 4) bytes -> (H*W,)
