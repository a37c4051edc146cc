"""Gist and textons against full-size filtering and the stated filters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from geolab.encoders.im2gps import (
    Gist,
    Textons,
)
from geolab.encoders.im2gps import gist as gist_module
from geolab.encoders.im2gps import textons as textons_module
from geolab.encoders.im2gps.pixels import box_weights, luminance, mirror_index


def full_size_energy(gist: Gist, grey: np.ndarray) -> np.ndarray:
    """Mean magnitudes with every filter transformed back at full size."""
    n, margin = gist_module._padded(gist.side), gist_module._margin(gist.side)
    around = mirror_index(gist.side, margin, n)
    spectrum = np.fft.fft2(grey[:, around][:, :, around].astype(float))
    fy, fx = np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None]
    inside, pool, step = slice(margin, margin + gist.side), box_weights(gist.side, 5), np.pi / 6
    out = []
    for scale in range(gist.scales):
        for angle in range(gist.orientations):
            bump = gist_module._bump(fx, fy, 0.3 / 1.85**scale, angle * step, 0.72 * step)
            answer = np.abs(np.fft.ifft2(spectrum * bump))[:, inside, inside]
            out.append(pool @ answer @ pool.T)
    return np.stack(out, axis=1)


@pytest.mark.parametrize("side", [64, 128])
def test_gist_equals_full_size_filtering(photo, side):
    gist = Gist(side=side)
    grey = luminance([photo(seed, side, side) for seed in range(3)])
    grey = gist_module.even_contrast(grey, 4.0)
    expected = full_size_energy(gist, grey)
    error = np.sqrt(np.square(gist.energy(grey) - expected).mean((0, 2, 3)))
    assert (error < 0.06 * expected.mean((0, 2, 3)) + 1e-4).all()


@pytest.mark.parametrize("angle", range(6))
@pytest.mark.parametrize("scale", [0, 1, 2])
def test_gist_finds_the_grating(angle, scale):
    turn, frequency = np.pi / 6 * angle, 0.3 / 1.85**scale
    y, x = np.mgrid[:128, :128]
    wave = np.cos(2 * np.pi * frequency * (x * np.cos(turn) + y * np.sin(turn)))
    image = np.repeat((127 + 100 * wave).astype(np.uint8)[..., None], 3, 2)
    energy = Gist().encode([image])[0, :600].reshape(4, 6, 25).mean(-1)
    assert divmod(int(energy.argmax()), 6) == (scale, angle)


def test_gist_knows_where_and_ends_in_a_thumbnail():
    image = np.full((128, 128, 3), 128, np.uint8)
    image[:25, :25, :] = (np.indices((25, 25)).sum(0) % 4 < 2)[..., None] * 200
    values = Gist().encode([image])[0]
    energy = values[:600].reshape(24, 5, 5).sum(0)
    assert int(energy.argmax()) == 0
    assert energy[0, 0] > 5 * energy[2:, 2:].max()
    thumbnail = values[600:].reshape(5, 5, 3)
    assert thumbnail[4, 4].tolist() == pytest.approx([53.585, 0, 0], abs=0.01)


def test_filters_answer_in_the_spatial_domain_as_stated():
    """An impulse brings out the filter itself: the derivative of a rotated Gaussian."""
    grey = np.zeros((65, 65), np.float32)
    grey[32, 32] = 1
    answers = textons_module.filter_answers(grey)[:-1].reshape(2, 2, 8, 65, 65)
    y, x = np.mgrid[-32:33, -32:33].astype(float)
    for angle in (0, 1, 5):
        turn = np.pi / 8 * angle
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        bell = np.exp(-0.5 * ((u / 4) ** 2 + (v / 2) ** 2)) / (2 * np.pi * 8)
        edge = -v / 4 * bell * 2 / np.exp(-0.5)  # sigma d/dv, divided by the peak gain
        assert np.abs(answers[0, 1, angle] - edge).max() < 1e-5
    assert np.abs(answers.sum((-1, -2))).max() < 1e-3  # each sums to zero


def test_even_photo_answers_nothing(textons):
    assert (
        np.abs(textons_module.filter_answers(np.full((20, 30), 0.5, np.float32))[:-1]).max() < 1e-5
    )
    assert textons.encode([Image.new("RGB", (40, 40), "grey")]).max() == pytest.approx(1)


def test_assignment_is_the_nearest_centre(photo, textons):
    answers = textons_module.filter_answers(luminance([photo(8)])[0])
    compressed = (answers[:-1] / answers[-1]).T
    distance = torch.cdist(
        torch.from_numpy(compressed).double(), torch.from_numpy(textons.vocabulary).double()
    )
    naive = np.bincount(distance.argmin(1).numpy(), minlength=24) / len(compressed)
    ours = textons.encode([photo(8)])[0].numpy()
    assert np.abs(ours - naive).max() < 3 / len(compressed)  # rounding may move a pixel or two


def test_compression_is_logarithmic(photo):
    grey = photo(9)[..., 0] / np.float32(255)
    answers = textons_module.filter_answers(grey)
    strength = np.linalg.norm(answers[:-1], axis=0)
    after = np.linalg.norm(answers[:-1] / answers[-1], axis=0)
    assert np.allclose(after, np.log1p(strength / 0.03), rtol=1e-4)


def test_vocabulary_repeats_for_a_seed(photo):
    images = [photo(seed) for seed in range(3)]
    how = {"n_textons": 8, "n_pixels": 2000}
    first, again = (Textons.fit(images, seed=3, **how) for _ in range(2))
    assert np.array_equal(first.vocabulary, again.vocabulary)
    assert not np.array_equal(first.vocabulary, Textons.fit(images, seed=4, **how).vocabulary)


def test_vocabulary_is_checked(photo):
    with pytest.raises(ValueError, match="no photos"):
        Textons.fit([])
    with pytest.raises(ValueError, match="512 textons"):
        Textons.fit([photo(0, 5, 5)])
    with pytest.raises(ValueError, match=r"\(n, 32\)"):
        Textons(np.zeros((4, 31)))
    with pytest.raises(ValueError, match="NaN"):
        Textons(np.full((4, 32), np.nan))
