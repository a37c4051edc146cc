"""Views: painted once, kept whole or not at all, joined in three ways."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch

from geolab.data.errors import DataError
from geolab.data.loading import load
from geolab.data.tinyearth import Scene
from geolab.locators import views
from geolab.locators.views import ViewPool, panorama_pixels


@pytest.fixture
def few(monkeypatch):
    """Five photos, two in a file."""
    monkeypatch.setattr(views, "_ROWS", 2)
    return load("tinyearth", n=5)


@pytest.fixture
def folder(empty_cache, few):
    """Where panoramas are kept; the photos themselves are elsewhere."""
    return empty_cache / "tinyearth" / "panoramas"


@pytest.fixture
def painted(monkeypatch):
    """Numbers of photos that were painted, call by call."""
    calls = []
    paint = views._paint

    def counted(rows, size):
        calls.append(len(rows))
        return paint(rows, size)

    monkeypatch.setattr(views, "_paint", counted)
    return calls


def test_four_views_of_the_place(few, folder):
    pixels = panorama_pixels(few, 32, workers=1)
    assert (pixels.shape, pixels.dtype) == ((5, 4, 3, 32, 32), torch.uint8)
    expected = Scene.from_row(few[3]).panorama(32)
    for view, image in zip(pixels[3], expected, strict=True):
        assert np.array_equal(view.permute(1, 2, 0).numpy(), np.asarray(image))
    assert (pixels[:, 0] != pixels[:, 2]).any()


def test_painted_once(few, folder, painted):
    first = panorama_pixels(few, 24, workers=1)
    assert painted == [2, 2, 1]
    assert torch.equal(first, panorama_pixels(few, 24, workers=1))
    assert len(painted) == 3
    assert len(list(folder.glob("*.npz"))) == 3
    panorama_pixels(few, 16, workers=1)  # another size is another picture
    panorama_pixels(few.select([4, 3]), 24, workers=1)  # other photos in a file
    assert painted[3:] == [2, 2, 1, 2]


def test_a_stopped_run_goes_on(few, folder, monkeypatch):
    paint, left = views._paint, [2]

    def stops(rows, size):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return paint(rows, size)

    monkeypatch.setattr(views, "_paint", stops)
    with pytest.raises(KeyboardInterrupt):
        panorama_pixels(few, 24, workers=1)
    assert 1 <= len(list(folder.iterdir())) <= 2  # whole files only, no strays
    left[0] = 3
    whole = panorama_pixels(few, 24, workers=1)
    assert left[0] >= 1  # not all over again
    monkeypatch.setattr(views, "_paint", paint)
    for file in folder.glob("*.npz"):
        file.unlink()
    assert torch.equal(whole, panorama_pixels(few, 24, workers=1))


def test_damage_is_painted_over(few, folder, painted):
    first = panorama_pixels(few, 24, workers=1)
    broken = sorted(folder.glob("*.npz"))
    broken[0].write_bytes(broken[0].read_bytes()[:200])
    content = bytearray(broken[1].read_bytes())
    content[len(content) // 2] ^= 1
    broken[1].write_bytes(bytes(content))
    assert torch.equal(first, panorama_pixels(few, 24, workers=1))
    assert len(painted) == 5


def test_another_painter_is_another_picture(few, folder, painted, monkeypatch):
    panorama_pixels(few, 16, workers=1)
    monkeypatch.setattr(views, "version", lambda: "newer")
    panorama_pixels(few, 16, workers=1)
    assert len(painted) == 6


def test_workers_change_nothing(few, folder):
    one = panorama_pixels(few, 16, workers=1)
    for file in folder.glob("*.npz"):
        file.unlink()
    assert torch.equal(one, panorama_pixels(few, 16, workers=2))


def test_no_photos(few, folder):
    assert panorama_pixels(few.select([]), 16).shape == (0, 4, 3, 16, 16)


def test_panoramas_need_tinyearth(few):
    with pytest.raises(DataError, match="views=1"):
        panorama_pixels(datasets.Dataset.from_dict({"id": ["a"]}), 32)
    with pytest.raises(DataError, match="photographer"):
        panorama_pixels(few.remove_columns("photographer"), 32)


@pytest.mark.parametrize("n_views", [1, 3, 4, 6])
def test_pooling(n_views):
    given = torch.randn(3, n_views, 8)
    assert torch.equal(ViewPool(8, "first")(given), given[:, 0])
    assert torch.allclose(ViewPool(8, "mean")(given), given.mean(1))
    assert torch.allclose(ViewPool(8, "attention")(given), given.mean(1))  # begins as the mean
    for pooling in ("first", "mean", "attention"):
        flat = torch.randn(3, 8)
        assert torch.equal(ViewPool(8, pooling)(flat), flat)


def test_attention_knows_directions_and_learns():
    torch.manual_seed(0)
    pool = ViewPool(8, "attention")
    torch.nn.init.normal_(pool.attend.out_proj.weight)
    given = torch.randn(3, 4, 8)
    turned = given[:, [0, 2, 1, 3]]  # the first view stays
    assert (pool(given) - pool(turned)).abs().max() > 1e-4
    pool(given).square().sum().backward()
    assert all(weight.grad is not None for weight in pool.parameters())


def test_odd_sizes_and_words():
    assert ViewPool(7, "attention")(torch.randn(2, 4, 7)).shape == (2, 7)
    with pytest.raises(ValueError, match="pooling 'best'"):
        ViewPool(8, "best")
