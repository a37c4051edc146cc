"""A small game made by hand: three photos, two models, nothing trained."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from geolab.play.heat import heat_png
from geolab.play.rounds import Answer, Game, Round
from geolab.posterior import Posterior

PLACES = [(-13.16, -72.54), (-17.71, 179.91), (60.39, 5.32)]
NAMES = ["Machu Picchu, Peru", "Suva, Fiji", "Bergen, Norway"]
FIRST = [(-12.05, -77.04), (-16.5, -179.9), (59.91, 10.75)]
SECOND = [(48.86, 2.35), (35.68, 139.69), (64.15, -21.94)]
SYSTEMS = ("PIGEON", 'kNN, "k" = 5 </script><b>')


def picture(seed: int) -> bytes:
    """Small JPEG of noise and a gradient."""
    rng, ramp = np.random.default_rng(seed), np.linspace(0, 200, 96)[:, None, None]
    noise = rng.integers(0, 50, (96, 128, 3))
    buffer = io.BytesIO()
    Image.fromarray((ramp + noise).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def game() -> Game:
    """Three rounds."""
    rounds = []
    for i, (place, name) in enumerate(zip(PLACES, NAMES, strict=True)):
        answers = tuple(
            Answer(system, points[i], heat_png(Posterior([[points[i], place]], [[0.8, 0.2]])))
            for system, points in zip(SYSTEMS, (FIRST, SECOND), strict=True)
        )
        rounds.append(Round(f"SECRETPHOTO{i}", picture(i), place, name, answers))
    return Game("Beat <i>the</i> model", "tinyearth", tuple(rounds), True, ("By hand.",))
