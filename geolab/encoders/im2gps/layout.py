"""Surface layout (substitute): where in the frame ground, upright things and sky are.

im2gps takes the *geometric context* of Hoiem, Efros and Hebert (ICCV 2005): probability maps of
ground, vertical surfaces and sky on an 8 x 8 grid, from a labeller trained on segments of
hand-labelled photos. That labeller is not available here. **This is a substitute**: a softmax over
11 numbers of each patch (Lab colour, height in the frame, contrast, and products of these), 33
weights in all. It keeps the form of the descriptor (8 x 8 x 3 = 192, L2) and none of the original's
skill; call it a substitute wherever it is shown.

The weights that come with the package were learnt on synthetic scenes, where the renderer knows the
surface of every pixel; `surface_layout.json` says how, and `fit_surface_layout` does it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

import numpy as np
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from geolab.encoders.im2gps.colour import srgb_to_lab
from geolab.encoders.im2gps.one_thread import one_thread
from geolab.encoders.im2gps.pixels import Photo, describe, luminance, resize_area, rgb_arrays

SURFACES = ("ground", "vertical", "sky")
_SIDE = 32  # patches across the frame that are labelled
_GRID = 8
N_NUMBERS = 11


@dataclass(frozen=True, eq=False)
class SurfaceLayout:
    """Probability of ground, vertical and sky on an 8 x 8 grid: a substitute. Compared by L2.

    Parameters
    ----------
    weights : ndarray, shape (11, 3), optional
        Softmax weights; those of the package if not given.

    Raises
    ------
    ValueError
        If the weights have another shape or are not finite.
    """

    weights: np.ndarray | None = field(default=None, repr=False)
    name = "layout"
    title = "surface layout (substitute)"
    distance = "l2"
    dim = _GRID * _GRID * len(SURFACES)

    def __post_init__(self) -> None:
        weights = _shipped() if self.weights is None else np.asarray(self.weights, np.float32)
        if weights.shape != (N_NUMBERS, len(SURFACES)) or not np.isfinite(weights).all():
            raise ValueError(f"weights must be finite ({N_NUMBERS}, {len(SURFACES)}): {weights}")
        object.__setattr__(self, "weights", weights)

    def encode(self, images: Sequence[Photo]) -> Tensor:
        """Descriptors (N, 192) float32: grid row, grid column, then (ground, vertical, sky)."""
        return describe(images, self.dim, self._block)

    def _block(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        score = patch_numbers(photos) @ self.weights  # (B, 32, 32, 3)
        chance = np.exp(score - score.max(-1, keepdims=True))
        chance /= chance.sum(-1, keepdims=True)
        step = _SIDE // _GRID
        cells = chance.reshape(len(photos), _GRID, step, _GRID, step, 3)  # (B, 32, 32, 3) -> cells
        return cells.mean(axis=(2, 4)).reshape(len(photos), -1)  # (B, 8, 8, 3) -> (B, 192)


def patch_numbers(photos: Sequence[np.ndarray]) -> np.ndarray:
    """What the classifier sees of B photos of one size: (B, 32, 32, 11) float32.

    A constant, L, a, b, L^2, b^2, height (1 at the top, -1 at the bottom), height^2, contrast,
    L * height, b * height; each of order one.
    """
    lab = srgb_to_lab(resize_area(photos, _SIDE, _SIDE) / 255)
    luma = luminance(photos)
    moments = resize_area(np.stack([luma, np.square(luma)], axis=-1), _SIDE, _SIDE)
    variance = np.maximum(moments[..., 1] - np.square(moments[..., 0]), 0)
    light, a, b = lab[..., 0] / 50 - 1, lab[..., 1] / 30, lab[..., 2] / 30
    height = np.linspace(1, -1, _SIDE, dtype=np.float32)[None, :, None]
    height = np.broadcast_to(height, light.shape)
    contrast = 10 * np.sqrt(variance)
    columns = [np.ones_like(light), light, a, b, light**2, b**2]
    columns += [height, height**2, contrast, light * height, b * height]
    return np.stack(columns, axis=-1)


def fit_surface_layout(
    images: Sequence[Photo], surfaces: Sequence[np.ndarray], *, strength: float = 1.0
) -> SurfaceLayout:
    """Learn the weights from photos whose surfaces are known.

    Parameters
    ----------
    images : sequence of N photos
    surfaces : sequence of N integer arrays (H, W)
        0 ground, 1 vertical, 2 sky; anything else is left out. Any size: the middle of each patch
        is looked up.
    strength : float
        Inverse of the L2 penalty of the logistic regression.

    Raises
    ------
    ValueError
        If counts differ or one of the three surfaces never occurs.
    """
    if len(images) != len(surfaces):
        raise ValueError(f"{len(images)} photos but {len(surfaces)} surface maps")
    numbers = np.concatenate([patch_numbers([a])[0] for a in rgb_arrays(images)])
    labels = np.concatenate([patch_labels(surface) for surface in surfaces])
    flat, known = numbers.reshape(-1, N_NUMBERS), labels.reshape(-1)  # (N*32, 32, .) -> rows
    wanted = np.isin(known, range(len(SURFACES)))
    if len(np.unique(known[wanted])) != len(SURFACES):
        raise ValueError(f"the maps must show all of {', '.join(SURFACES)} (0, 1, 2) somewhere")
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=500)
    with one_thread():
        model.fit(flat[wanted], known[wanted])
    return SurfaceLayout(model.coef_.T)


def patch_labels(surface: np.ndarray) -> np.ndarray:
    """Label at the middle of each patch: (H, W) -> (32, 32)."""
    rows, columns = (((np.arange(_SIDE) + 0.5) * n / _SIDE).astype(int) for n in surface.shape)
    return surface[rows][:, columns]


@lru_cache(maxsize=1)
def _shipped() -> np.ndarray:
    stored = resources.files(__package__).joinpath("surface_layout.json").read_text("utf-8")
    return np.asarray(json.loads(stored)["weights"], np.float32)
