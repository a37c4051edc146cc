r"""Gist: where in the frame there is how much energy, at which orientation and how coarse.

A bank of Gabor filters (6 orientations, 4 scales) answers with the local strength of stripes; the
strength is averaged over a 5 x 5 grid: 600 numbers that tell a street from a beach without
naming an object (Oliva and Torralba, "Modeling the shape of the scene", IJCV 2001). im2gps adds a
5 x 5 Lab thumbnail (75 numbers). Compared by L2.

Each filter is a Gaussian bump in the half plane of frequencies around (f0, angle), so its answer
is complex and its magnitude is the envelope:

.. math::

    G(f, \theta) = e^{-(f - f_0)^2 / 2\sigma_f^2}\; e^{-(\theta - \theta_0)^2 / 2\sigma_\theta^2}

Shifting a spectrum does not change the magnitude of what it transforms to. Hence only the box of
frequencies around the bump is transformed back, on a raster as coarse as the box allows: the
same answer (the tails beyond 2.5 sigma apart) for about a seventh of the work of 24 full-size
transforms. Local contrast is evened out first (Gaussian window of 4 px). Filter widths and the
window are our choice; the paper's bank was not checked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from torch import Tensor

from geolab.encoders.im2gps.colour import srgb_to_lab
from geolab.encoders.im2gps.pixels import (
    Photo,
    box_weights,
    describe,
    luminance,
    mirror_index,
    resize_area,
)

_TOP_FREQUENCY = 0.3  # cycles per pixel
_SCALE_STEP = 1.85
_RADIAL_SIGMA = 0.378  # of the filter's own frequency
_ANGULAR_SIGMA = 0.72  # of the step between orientations
_TAIL = 2.5  # sigmas of a bump that are transformed back
_CONTRAST_FLOOR = 0.1  # keeps noise in an even sky from being blown up
_ENERGY_SCALE = 180.0  # brings 600 energies to the weight of 75 Lab values, see `Gist`


@dataclass(frozen=True)
class Gist:
    """Gabor energy on a grid, then a Lab thumbnail. Compared by L2.

    Parameters
    ----------
    side : int
        The photo is squeezed to side x side pixels before filtering.
    orientations, scales, grid : int
        Size of the filter bank and of the pooling grid.
    prefilter_px : float
        Sigma of the contrast window.

    Notes
    -----
    Energies are multiplied by 180: on outdoor photos the two parts then move the distance about
    equally. Columns: scale, orientation, grid row, grid column; then the thumbnail, row by row.
    """

    side: int = 128
    orientations: int = 6
    scales: int = 4
    grid: int = 5
    prefilter_px: float = 4.0
    name = "gist"
    distance = "l2"

    @property
    def dim(self) -> int:
        """Length of the descriptor, 675 by default: 600 energies and 75 Lab values."""
        return self.grid**2 * (self.scales * self.orientations + 3)

    def encode(self, images: Sequence[Photo]) -> Tensor:
        """Descriptors (N, 675) float32."""
        return describe(images, self.dim, self._block)

    def _block(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        grey = resize_area(luminance(photos)[..., None], self.side, self.side)[..., 0]
        energy = self.energy(even_contrast(grey, self.prefilter_px)) * _ENERGY_SCALE
        thumbnail = srgb_to_lab(resize_area(photos, self.grid, self.grid) / 255)
        flat = [part.reshape(len(photos), -1) for part in (energy, thumbnail)]
        return np.concatenate(flat, axis=1)  # (B, 600) and (B, 75) -> (B, 675)

    def energy(self, grey: np.ndarray) -> np.ndarray:
        """Mean filter magnitude: (B, side, side) float32 -> (B, scales * orientations, 5, 5)."""
        n, margin = _padded(self.side), _margin(self.side)
        around = mirror_index(self.side, margin, n)
        spectrum = scipy.fft.fft2(grey[:, around][:, :, around])
        wrapped = (np.arange(2 * n) - n // 2) % n  # boxes may cross the border of the spectrum
        spectrum = spectrum[:, wrapped][:, :, wrapped]
        pooled = []
        for scale in range(self.scales):
            corners, gain, pool = _filters(self, scale)
            m = gain.shape[-1]
            boxes = np.empty((len(grey), *gain.shape), np.complex64)
            for angle, (row, column) in enumerate(corners):
                box = spectrum[:, row : row + m, column : column + m]
                np.multiply(box, gain[angle], out=boxes[:, angle])
            # The gain carries 1/N^2, so the small inverse must not divide by its own size.
            answer = scipy.fft.ifft2(boxes, norm="forward", overwrite_x=True)
            pooled.append(pool @ np.abs(answer) @ pool.T)  # (B, 6, m, m) -> (B, 6, 5, 5)
        return np.concatenate(pooled, axis=1)


def even_contrast(grey: np.ndarray, sigma_px: float) -> np.ndarray:
    """Take away the local mean and divide by the local standard deviation (plus a floor).

    Parameters
    ----------
    grey : ndarray, shape (B, n, n)
        Values 0..1.
    sigma_px : float
        Width of the Gaussian window; borders are reflected.
    """
    window = _gaussian_weights(grey.shape[-1], sigma_px)
    detail = grey - window @ grey @ window.T
    local = window @ np.square(detail) @ window.T
    return detail / (np.sqrt(local) + np.float32(_CONTRAST_FLOOR))


@lru_cache(maxsize=8)
def _gaussian_weights(n: int, sigma_px: float) -> np.ndarray:
    """Blurring matrix (n, n) float32 with reflected borders; rows sum to 1."""
    reach = math.ceil(4 * sigma_px)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    weights = np.zeros((n, n))
    for offset, value in zip(range(-reach, reach + 1), kernel / kernel.sum(), strict=True):
        np.add.at(weights, (np.arange(n), mirror_index(n, -offset, n)), value)
    return weights.astype(np.float32)


def _margin(side: int) -> int:
    return side // 8


def _padded(side: int) -> int:
    return scipy.fft.next_fast_len(side + 2 * _margin(side))


@lru_cache(maxsize=32)
def _filters(gist: Gist, scale: int) -> tuple[list[tuple[int, int]], np.ndarray, np.ndarray]:
    """Return box corners, gains (6, m, m) and pooling weights (5, m) of one scale.

    Corners index a spectrum that starts at frequency -N/2 and is wrapped to twice its size.
    """
    n = _padded(gist.side)
    f0 = _TOP_FREQUENCY / _SCALE_STEP**scale
    m = scipy.fft.next_fast_len(math.ceil(2 * _TAIL * _RADIAL_SIGMA * f0 * n))
    m = min(n, max(m, 4 * gist.grid * n // gist.side))  # at least 4 samples across a grid cell
    step = math.pi / gist.orientations
    corners, gain = [], []
    for theta0 in step * np.arange(gist.orientations):
        row, column = (
            round(f0 * n * trig) - m // 2 for trig in (math.sin(theta0), math.cos(theta0))
        )
        row, column = (row + n // 2) % n, (column + n // 2) % n
        fy, fx = ((corner + np.arange(m)) % n - n // 2 for corner in (row, column))
        gain.append(_bump(fx[None, :] / n, fy[:, None] / n, f0, theta0, _ANGULAR_SIGMA * step))
        corners.append((row, column))
    return corners, np.stack(gain).astype(np.float32) / n**2, _pool_weights(gist, m)


def _bump(fx: np.ndarray, fy: np.ndarray, f0: float, theta0: float, sigma: float) -> np.ndarray:
    """Transfer function of one filter at frequencies in cycles per pixel; zero at frequency 0."""
    radius = np.hypot(fx, fy)
    turn = np.angle(np.exp(1j * (np.arctan2(fy, fx) - theta0)))
    gain = np.exp(-0.5 * ((radius / f0 - 1) / _RADIAL_SIGMA) ** 2 - 0.5 * (turn / sigma) ** 2)
    return np.where(radius > 0, gain, 0)


def _pool_weights(gist: Gist, m: int) -> np.ndarray:
    """Average m samples over the padded width into grid cells of the photo: (5, m) float32."""
    n, margin = _padded(gist.side), _margin(gist.side)
    fine = np.zeros((gist.grid, n))
    fine[:, margin : margin + gist.side] = box_weights(gist.side, gist.grid)
    pixels = np.arange(n) * (m / n)  # where each pixel lies between the samples
    left, share = np.floor(pixels).astype(int), pixels % 1
    weights = np.zeros((gist.grid, m))
    for row in range(gist.grid):
        weights[row] = np.bincount(left, fine[row] * (1 - share), m)
        weights[row] += np.bincount((left + 1) % m, fine[row] * share, m)
    return weights.astype(np.float32)
