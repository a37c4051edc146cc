r"""Textons: which small patterns of light and dark a photo is made of, and how many of each.

Every pixel is described by 32 filter answers and given the number of the nearest of 512 prototype
answers, the *universal textons*, found by k-means on the pixels of many photos; the photo is the
histogram of these numbers (Malik, Belongie, Leung and Shi, "Contour and texture analysis for
image segmentation", IJCV 2001). Grass, brick and leaves differ here where their colours agree.
Compared by chi-square.

The bank has 8 orientations x 2 scales x 2 shapes: an edge filter (first derivative of a Gaussian
twice as long as wide) and a bar filter (second derivative, three times as long as wide). The
paper's count of 512 and "8 orientations, 2 scales, 2 elongations" are recalled, the exact filters
are ours. They are written down as transfer functions,

.. math:: (i\,\sigma\omega_v)^p\, e^{-(\sigma_u^2\omega_u^2 + \sigma^2\omega_v^2)/2},\quad p = 1, 2,

so they sum to zero and are never cut off. Answers r are compressed like contrast in the eye:
:math:`r \log(1 + |r| / 0.03) / |r|`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import scipy.fft
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from geolab.encoders.im2gps.one_thread import one_thread
from geolab.encoders.im2gps.pixels import (
    Photo,
    describe,
    luminance,
    mirror_index,
    rgb_arrays,
    shrink,
)

_ORIENTATIONS = 8
_SIGMAS_PX = (1.0, 2.0)
_SHAPES = ((1, 2.0), (2, 3.0))  # (order of the derivative, length : width)
N_FILTERS = _ORIENTATIONS * len(_SIGMAS_PX) * len(_SHAPES)
_MARGIN_PX = 12
_CONTRAST = 0.03
_PIXELS_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Textons:
    """Texton histogram, sums to 1. Make one with `Textons.fit`.

    Parameters
    ----------
    vocabulary : ndarray, shape (n_textons, 32)
        Prototype filter answers.
    longest_side : int
        Larger photos are area-resized first, so that a texton means the same size of pattern
        whatever the camera.

    Raises
    ------
    ValueError
        If the vocabulary has another width or holds NaN or infinity.
    """

    vocabulary: np.ndarray = field(repr=False)
    longest_side: int = 256
    name = "textons"
    distance = "chi2"

    def __post_init__(self) -> None:
        vocabulary = np.ascontiguousarray(self.vocabulary, np.float32)
        if vocabulary.ndim != 2 or vocabulary.shape[1] != N_FILTERS or not len(vocabulary):
            raise ValueError(f"a vocabulary is (n, {N_FILTERS}), not {vocabulary.shape}")
        if not np.isfinite(vocabulary).all():
            raise ValueError("the vocabulary holds NaN or infinity; learn it again with fit")
        object.__setattr__(self, "vocabulary", vocabulary)

    @classmethod
    def fit(
        cls,
        images: Sequence[Photo],
        *,
        n_textons: int = 512,
        n_pixels: int = 200_000,
        longest_side: int = 256,
        seed: int = 0,
    ) -> Textons:
        """Learn the vocabulary from pixels of some photos, an equal number from each.

        Raises
        ------
        ValueError
            If the photos have fewer pixels than textons were asked for.
        """
        if not len(images):
            raise ValueError("no photos to learn textons from")
        rng = np.random.default_rng(seed)
        quota = math.ceil(n_pixels / len(images))
        sample = np.concatenate([_sample(a, longest_side, quota, rng) for a in rgb_arrays(images)])
        if len(sample) < n_textons:
            raise ValueError(
                f"{len(sample)} pixels cannot give {n_textons} textons; use more or larger photos"
            )
        how = {"batch_size": 8192, "init_size": max(8192, 2 * n_textons), "n_init": 1}
        with one_thread():
            means = MiniBatchKMeans(n_textons, random_state=seed, **how).fit(sample)
        return cls(means.cluster_centers_, longest_side)

    @property
    def dim(self) -> int:
        """Number of textons."""
        return len(self.vocabulary)

    def encode(self, images: Sequence[Photo]) -> Tensor:
        """Histograms (N, n_textons) float32 over all pixels of each photo."""
        return describe(images, self.dim, self._block, longest_side=self.longest_side)

    def _block(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        lookup = np.vstack([self.vocabulary.T, -0.5 * np.square(self.vocabulary).sum(1)])
        counts = [
            np.bincount(_nearest(filter_answers(grey), lookup), minlength=self.dim)
            for grey in luminance(photos)
        ]
        return np.stack(counts) / (photos[0].shape[0] * photos[0].shape[1])


def filter_answers(grey: np.ndarray) -> np.ndarray:
    """Filter answers of every pixel, and in the last row the inverse of their compression.

    Parameters
    ----------
    grey : ndarray, shape (H, W)
        Values 0..1. Borders are reflected.

    Returns
    -------
    ndarray, shape (33, H * W), float32
        Rows 0..31 are linear; dividing them by row 32 gives the compressed answers. Kept apart,
        the division costs nothing: see `_nearest`.
    """
    height, width = grey.shape
    tall, wide = (_padded(n) for n in grey.shape)
    bank = _bank(tall, wide)
    rows, columns = mirror_index(height, _MARGIN_PX, tall), mirror_index(width, _MARGIN_PX, wide)
    spectrum = scipy.fft.rfft2(grey[rows][:, columns])
    out = np.empty((N_FILTERS + 1, height, width), np.float32)
    inside = np.s_[:, _MARGIN_PX : _MARGIN_PX + height, _MARGIN_PX : _MARGIN_PX + width]
    for start in range(0, N_FILTERS, 4):  # a few at a time stay in the cache
        some = scipy.fft.irfft2(spectrum * bank[start : start + 4], s=(tall, wide))
        out[start : start + 4] = some[inside]
    strength = np.sqrt(np.einsum("fhw,fhw->hw", out[:-1], out[:-1]))
    strength = np.maximum(strength, 1e-6)
    out[-1] = strength / np.log1p(strength / _CONTRAST)
    return out.reshape(N_FILTERS + 1, -1)  # (33, H, W) -> (33, H*W)


def _nearest(answers: np.ndarray, lookup: np.ndarray) -> np.ndarray:
    """Texton of each pixel: (33, P) -> (P,).

    The nearest centre c to r / s has the largest r.c - s |c|^2 / 2: one product with the
    augmented vocabulary `lookup` (33, n_textons), without forming a distance.
    """
    label = np.empty(answers.shape[1], np.int64)
    scores = np.empty((_PIXELS_AT_ONCE, lookup.shape[1]), np.float32)
    for start in range(0, len(label), _PIXELS_AT_ONCE):
        part = answers[:, start : start + _PIXELS_AT_ONCE].T
        score = np.matmul(part, lookup, out=scores[: len(part)])
        np.argmax(score, axis=1, out=label[start : start + len(part)])
    return label


def _sample(rgb: np.ndarray, longest_side: int, quota: int, rng: np.random.Generator) -> np.ndarray:
    """Compressed answers of up to `quota` random pixels of one photo: (n, 32)."""
    answers = filter_answers(luminance(shrink([rgb], longest_side))[0])
    n_pixels = answers.shape[1]
    picked = answers[:, rng.choice(n_pixels, min(quota, n_pixels), replace=False)]
    return (picked[:-1] / picked[-1]).T


def _padded(n: int) -> int:
    """Length of transform for n pixels and margins; steps of 24 keep the number of banks small."""
    return scipy.fft.next_fast_len(-(-(n + 2 * _MARGIN_PX) // 24) * 24, real=True)


@lru_cache(maxsize=8)
def _bank(tall: int, wide: int) -> np.ndarray:
    """Transfer functions of the 32 filters, peak gain 1: (32, tall, wide // 2 + 1) complex64."""
    omega_y = (2 * np.pi * np.fft.fftfreq(tall)[:, None]).astype(np.float32)
    omega_x = (2 * np.pi * np.fft.rfftfreq(wide)[None, :]).astype(np.float32)
    turns = (np.pi / _ORIENTATIONS * np.arange(_ORIENTATIONS, dtype=np.float32))[:, None, None]
    u = omega_x * np.cos(turns) + omega_y * np.sin(turns)  # (8, tall, wide // 2 + 1)
    v = omega_y * np.cos(turns) - omega_x * np.sin(turns)
    bank = np.empty((len(_SHAPES), len(_SIGMAS_PX), *u.shape), np.complex64)
    for shape, (order, elongation) in enumerate(_SHAPES):
        peak = (math.sqrt(order) * math.exp(-0.5)) ** order
        for scale, sigma in enumerate(_SIGMAS_PX):
            envelope = np.exp(-0.5 * sigma**2 * (np.square(elongation * u) + np.square(v)))
            bank[shape, scale] = envelope * (sigma * v) ** order * np.complex64(1j**order / peak)
    return bank.reshape(N_FILTERS, *u.shape[1:])  # shape, scale and orientation on one axis
