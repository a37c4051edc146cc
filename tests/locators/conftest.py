"""Small made-up data sets: a few places, each with a colour and a pattern of its own."""

from __future__ import annotations

import io

import datasets
import numpy as np
import pytest
from PIL import Image

PLACES = np.array([[48.86, 2.35], [-33.87, 151.21], [35.68, 139.69], [-12.05, -77.04]])
COLOURS = np.array([[200, 60, 60], [60, 200, 80], [60, 90, 210], [210, 190, 60]])


def stripes(place: int, rng: np.random.Generator, size: int = 32) -> np.ndarray:
    """Noisy stripes in the colour of a place; their width and direction belong to it as well."""
    y, x = np.mgrid[:size, :size]
    wave = np.sin((x * (place % 2) + y * (1 - place % 2)) * 2 * np.pi / (4 + 3 * place))
    image = COLOURS[place] + 40 * wave[..., None] + rng.normal(0, 15, (size, size, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def make_photos(n: int, seed: int = 0, broken: tuple[int, ...] = ()) -> datasets.Dataset:
    """n photos, place by place in turn, within about 10 km of it; some files cut short."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        buffer = io.BytesIO()
        Image.fromarray(stripes(i % 4, rng)).save(buffer, "PNG")
        content = buffer.getvalue()[:60] if i in broken else buffer.getvalue()
        lat, lon = PLACES[i % 4] + rng.uniform(-0.1, 0.1, 2)
        rows.append(
            {
                "id": f"{seed}-{i}",
                "latitude": lat,
                "longitude": lon,
                "image": {"bytes": content, "path": None},
            }
        )
    return datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())


@pytest.fixture(scope="session")
def photos():
    return make_photos


@pytest.fixture(scope="session")
def places():
    return PLACES


@pytest.fixture(scope="session")
def images():
    def some(n: int, seed: int = 99) -> list[Image.Image]:
        rng = np.random.default_rng(seed)
        return [Image.fromarray(stripes(i % 4, rng)) for i in range(n)]

    return some
