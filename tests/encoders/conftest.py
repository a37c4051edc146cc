"""Photos for the encoders' tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from geolab.encoders.im2gps import FAMILIES, Textons, make_encoders


def make_photo(seed: int, height: int = 60, width: int = 80) -> np.ndarray:
    """Smooth random colours with some noise: enough like a photo to fill every descriptor."""
    rng = np.random.default_rng(seed)
    rough = gaussian_filter(rng.random((height, width, 3)), (6, 6, 0))
    rough = (rough - rough.min()) / np.ptp(rough)
    return (230 * rough + 25 * rng.random((height, width, 1))).astype(np.uint8)


@pytest.fixture(scope="session")
def photo():
    return make_photo


@pytest.fixture(scope="session")
def textons() -> Textons:
    return Textons.fit([make_photo(seed) for seed in range(4)], n_textons=24, n_pixels=4000, seed=1)


@pytest.fixture(scope="session")
def encoders(textons):
    return make_encoders(FAMILIES, textons)
