"""All descriptor families alike: shapes, odd photos, bad input; and the resampling under them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from geolab.encoders.im2gps import (
    DISTANCE,
    describe_all,
    make_encoders,
)
from geolab.encoders.im2gps.pixels import box_weights, mirror_index, resize_area

DIMS = {"tiny": 768, "colour": 784, "textons": 24, "lines": 35, "gist": 675, "layout": 192}


def test_shapes_dtype_and_order(photo, encoders):
    images = [photo(0), photo(1, 50, 50), photo(2), photo(3, 50, 50), photo(4)]
    together = describe_all(images, encoders)
    for name, values in together.items():
        assert values.shape == (5, DIMS[name]) == (5, encoders[name].dim)
        assert values.dtype == torch.float32
        assert encoders[name].name == name
        assert DISTANCE[name] == encoders[name].distance
        for row, image in enumerate(images):
            assert torch.allclose(values[row], encoders[name].encode([image])[0], atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (2, 1), (1, 9), (3, 700), (400, 3)])
def test_any_size_is_described(encoders, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for name, values in describe_all([image], encoders).items():
        assert torch.isfinite(values).all(), name
        if name in ("colour", "textons"):
            assert values.sum() == pytest.approx(1, abs=1e-5)


def test_very_long_photo(encoders):
    for name, values in describe_all([Image.new("RGB", (4000, 3), "teal")], encoders).items():
        assert torch.isfinite(values).all(), name


def test_grey_equals_three_equal_channels(photo, encoders):
    grey = photo(5)[..., 0]
    for kind in (grey, grey[..., None], Image.fromarray(grey)):
        for name, values in describe_all([kind], encoders).items():
            same = encoders[name].encode([np.repeat(grey[..., None], 3, axis=2)])
            assert torch.equal(values, same), name


def test_pil_and_array_agree_and_repeat(photo, encoders):
    array = photo(6)
    for encoder in encoders.values():
        first = encoder.encode([array])
        assert torch.equal(first, encoder.encode([Image.fromarray(array)]))
        assert torch.equal(first, encoder.encode([array.copy()]))


def test_no_photos_give_no_rows(encoders):
    for name, values in describe_all([], encoders).items():
        assert values.shape == (0, DIMS[name])


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        (np.zeros((4, 4, 3)), ValueError, "float64"),
        (np.full((4, 4, 3), np.nan, np.float32), ValueError, "uint8"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r"\(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "pixels"),
        (None, TypeError, "NoneType"),
        ("photo.jpg", TypeError, "str"),
    ],
)
def test_bad_input_names_the_row(photo, encoders, bad, error, text):
    for encoder in encoders.values():
        with pytest.raises(error, match=f"image 1.*{text}"):
            encoder.encode([photo(0), bad])


@pytest.mark.parametrize("names", [(), ("sift",), ("tiny", "tiny"), "tiny"])
def test_wrong_families(names, textons):
    with pytest.raises(ValueError, match="famil"):
        make_encoders(names, textons)


def test_textons_need_a_vocabulary():
    with pytest.raises(ValueError, match=r"Textons\.fit"):
        make_encoders(("tiny", "textons"))


@pytest.mark.parametrize("n_in", [1, 3, 16, 37, 96])
@pytest.mark.parametrize("n_out", [1, 5, 16, 40])
def test_box_weights_are_an_average(n_in, n_out):
    weights = box_weights(n_in, n_out)
    assert weights.shape == (n_out, n_in)
    assert np.allclose(weights.sum(1), 1, atol=1e-5)
    # Every input pixel keeps its share of the whole.
    assert np.allclose(weights.sum(0), n_out / n_in, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(6, 8), (7, 9), (48, 40), (1, 1)])
def test_resize_area_both_ways_equal_the_definition(photo, height, width):
    block = np.stack([photo(0, 48, 64), photo(1, 48, 64)])
    expected = np.einsum(
        "ih,bhwc,jw->bijc", box_weights(48, height), block.astype(float), box_weights(64, width)
    )
    assert np.allclose(resize_area(block, height, width), expected, atol=1e-2)
    assert np.allclose(resize_area(block.astype(np.float32), height, width), expected, atol=1e-2)


def test_resize_area_agrees_with_pillow(photo):
    image = photo(2, 80, 112)
    box = np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BOX), float)
    assert np.abs(resize_area([image], 16, 16)[0] - box).max() <= 1  # Pillow rounds twice


@pytest.mark.parametrize(("n", "before", "total"), [(1, 3, 9), (2, 5, 12), (7, 2, 11)])
def test_mirror_index_is_symmetric_padding(n, before, total):
    line = np.arange(n)
    assert (
        line[mirror_index(n, before, total)]
        == np.pad(line, (before, total - n - before), mode="symmetric")
    ).all()


def test_real_photos_are_described(shared_data, encoders):
    paths = sorted((shared_data / "photos").glob("*/*.jpg"))[::40]
    images = [Image.open(path).convert("RGB") for path in paths]
    for name, values in describe_all(images, encoders).items():
        assert values.shape == (len(images), DIMS[name])
        assert torch.isfinite(values).all()
        assert values.std(0).mean() > 0, name
