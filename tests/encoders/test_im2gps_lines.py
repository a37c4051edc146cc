"""Straight segments: angles, lengths, and what is no line."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from geolab.encoders.im2gps import (
    Lines,
    find_segments,
)
from geolab.encoders.im2gps.pixels import luminance


def drawn(*lines, size=(200, 200), width=1) -> np.ndarray:
    image = Image.new("RGB", size, "black")
    for line in lines:
        ImageDraw.Draw(image).line(line, fill="white", width=width)
    return np.asarray(image)


@pytest.mark.parametrize("degrees", range(0, 180, 15))
def test_angle_of_an_edge(degrees):
    """The border of a half plane runs at the angle it was drawn with, anticlockwise."""
    turn = np.deg2rad(degrees)
    y, x = np.mgrid[:120, :120] - 59.5
    side = x * np.sin(turn) + y * np.cos(turn)  # y points down
    image = np.repeat((255 / (1 + np.exp(-side / 0.7))).astype(np.uint8)[..., None], 3, 2)
    _, angle, length = find_segments(luminance([image]))
    longest = length.argmax()
    off = np.rad2deg(angle[longest]) - degrees
    assert abs((off + 90) % 180 - 90) < 1.5
    assert length[longest] > 100
    # The bin is that of the angle, and takes most of the weight.
    histogram = Lines().encode([image])[0, :18]
    assert histogram[round(degrees / 10) % 18] > 0.8 or degrees % 10 == 5


def test_lengths_are_measured():
    image = np.zeros((200, 200, 3), np.uint8)
    image[100:, 50:150] = 255  # a bar: one horizontal edge of 100, two vertical ones of 100
    _, angle, length = find_segments(luminance([image]))
    level = np.minimum(angle, np.pi - angle) < 0.1
    assert length[level].max() == pytest.approx(100, abs=6)
    assert (np.abs(angle[~level] - np.pi / 2) < 0.1).all()


def test_circles_and_noise_are_not_long_lines():
    y, x = np.mgrid[:200, :200] - 100
    disc = np.repeat(((x**2 + y**2 < 60**2) * 255).astype(np.uint8)[..., None], 3, 2)
    assert find_segments(luminance([disc]))[2].max(initial=0) < 40
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert find_segments(luminance([noise]))[2].max(initial=0) < 20


def test_lines_do_not_cross_photos_of_a_block():
    image = drawn((100, 0, 100, 199), width=5)
    blank = np.zeros_like(image)
    photos, _, _ = find_segments(luminance([blank, image, blank]))
    assert set(photos) == {1}


def test_histograms_sum_to_one_or_nothing():
    values = Lines().encode([drawn((0, 20, 199, 90), width=4), np.zeros((50, 50, 3), np.uint8)])
    assert values[0, :18].sum() == pytest.approx(1, abs=1e-5)
    assert values[0, 18:].sum() == pytest.approx(1, abs=1e-5)
    assert values[1].abs().sum() == 0


def test_turning_a_photo_turns_the_angles(photo):
    image = photo(10, 90, 90)
    here, turned = (Lines().encode([x])[0, :18] for x in (image, np.rot90(image)))
    assert (here.roll(9) - turned).abs().sum() < 0.35
