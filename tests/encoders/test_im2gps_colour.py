"""Lab, tiny image, Lab histogram, and the surface layout substitute."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geolab.encoders.im2gps import (
    LabHistogram,
    SurfaceLayout,
    TinyImage,
    srgb_to_lab,
)
from geolab.encoders.im2gps import layout as layout_module
from geolab.encoders.im2gps.fit_layout import fit_on_tinyearth
from geolab.encoders.im2gps.layout import fit_surface_layout, patch_labels, patch_numbers


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.74, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
        ((5, 5, 5), (1.37, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb, lab):
    assert srgb_to_lab(np.array(rgb, np.uint8)) == pytest.approx(lab, abs=0.02)
    assert srgb_to_lab(np.array(rgb) / 255) == pytest.approx(lab, abs=0.02)


def test_tiny_of_one_colour_and_of_halves():
    red = TinyImage().encode([Image.new("RGB", (50, 31), "red")]).reshape(16, 16, 3)
    assert torch.allclose(red, torch.tensor([53.24, 80.09, 67.20]).expand(16, 16, 3), atol=0.02)
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:32] = 255
    tiny = TinyImage().encode([halves]).reshape(16, 16, 3)
    assert torch.allclose(tiny[:8, :, 0], torch.tensor(100.0), atol=1e-3)
    assert torch.allclose(tiny[8:, :, 0], torch.tensor(0.0), atol=1e-3)


def test_histogram_equals_the_naive_one_and_ignores_order(photo):
    image = photo(7)
    lab = srgb_to_lab(image).reshape(-1, 3)
    edges = [np.linspace(0, 100, 5), np.linspace(-110, 110, 15), np.linspace(-110, 110, 15)]
    edges[0][-1] += 1e-3  # white may come out a rounding error above 100
    naive = np.histogramdd(lab, edges)[0].reshape(-1) / len(lab)
    ours = LabHistogram().encode([image])[0].numpy()
    assert np.abs(ours - naive).max() <= 1 / len(lab) + 1e-7  # one pixel may sit on an edge
    shuffled = np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(image.shape)
    assert np.array_equal(ours, LabHistogram().encode([shuffled])[0].numpy())


def test_every_colour_falls_into_the_histogram():
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3), -1)
    histogram = LabHistogram().encode([grid.reshape(64, 64, 3)])
    assert histogram.sum() == pytest.approx(1, abs=1e-5)
    assert (histogram > 0).sum() > 200


def scenes(n: int):
    rng = np.random.default_rng(0)
    for _ in range(n):
        sky, ground = sorted(rng.integers(10, 40, 2))
        surface = np.ones((48, 64), np.uint8)
        surface[: sky + 4], surface[ground + 6 :] = 2, 0
        colours = np.array([[90, 120, 60], [150, 130, 120], [120, 170, 240]])
        yield (
            np.clip(colours[surface] + rng.normal(0, 12, (48, 64, 3)), 0, 255).astype(np.uint8),
            surface,
        )


def test_layout_learns_known_surfaces():
    images, surfaces = zip(*scenes(12), strict=True)
    layout = fit_surface_layout(images[:8], surfaces[:8])
    cells = layout.encode(images[8:]).reshape(4, 8, 8, 3)
    assert torch.allclose(cells.sum(-1), torch.ones(4, 8, 8), atol=1e-5)
    truth = np.stack([patch_labels(surface) for surface in surfaces[8:]])
    score = np.concatenate([patch_numbers([image]) for image in images[8:]]) @ layout.weights
    assert (score.argmax(-1) == truth).mean() > 0.95


def test_shipped_layout_tells_sky_from_ground():
    image = np.zeros((60, 80, 3), np.uint8)
    image[:30], image[30:] = (135, 180, 235), (110, 130, 70)
    cells = SurfaceLayout().encode([image]).reshape(8, 8, 3)
    assert cells[0, :, 2].min() > 0.5
    assert cells[-1, :, 0].min() > 0.5
    assert "substitute" in SurfaceLayout().title


def test_layout_input_is_checked():
    image, surface = next(scenes(1))
    with pytest.raises(ValueError, match="1 photos but 2"):
        fit_surface_layout([image], [surface, surface])
    with pytest.raises(ValueError, match="must show all"):
        fit_surface_layout([image], [np.zeros((48, 64), np.uint8)])
    with pytest.raises(ValueError, match="finite"):
        SurfaceLayout(np.full((11, 3), np.nan))


def test_shipped_weights_say_where_they_come_from():
    stored = json.loads(Path(layout_module.__file__).with_name("surface_layout.json").read_text())
    assert stored["command"].startswith("python -m geolab.encoders.im2gps.fit_layout --scenes")
    assert "synthetic" in stored["what"]
    assert stored["held_out_accuracy"] > stored["most_frequent"] + 0.3
    assert np.array_equal(SurfaceLayout().weights, np.float32(stored["weights"]))


def test_weights_can_be_learnt_again_from_synthetic_scenes():
    again = fit_on_tinyearth(32, seed=1)
    assert again["held_out_accuracy"] > again["most_frequent"] + 0.2
    assert np.isfinite(again["weights"]).all()
