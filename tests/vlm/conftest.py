"""An invented world, and photos in it that a scripted model knows."""

import numpy as np
import pytest

from geolab.vlm.atlas import invented_atlas
from geolab.vlm.scripted import ScriptedVlm, numbered_photo, photo_key


@pytest.fixture(scope="session")
def world():
    return invented_atlas(12, 6, 4, seed=1)


@pytest.fixture(scope="session")
def leaves(world):
    rows = np.flatnonzero(world.places["parent"] >= 0)
    return np.random.default_rng(0).choice(rows, 120)


@pytest.fixture(scope="session")
def photos(leaves):
    return [numbered_photo(i) for i in range(len(leaves))]


@pytest.fixture
def scripted(world, leaves, photos):
    truths = {photo_key(p): int(row) for p, row in zip(photos, leaves, strict=True)}
    return lambda **said: ScriptedVlm(truths, world, **said)
