"""Trunks, pixels and crops."""

import builtins

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from geolab.data.errors import DataError
from geolab.encoders.cnn import MIN_AREA, augment, five_crops, make_trunk, to_pixels


def noise(n=3, size=96, seed=0):
    made = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, size, size), generator=made, dtype=torch.uint8)


@pytest.mark.parametrize("size", [32, 64, 96])
def test_the_small_trunk_embeds_any_size_it_was_made_for(size):
    trunk = make_trunk(size=size)
    made = trunk(noise(size=size))
    assert made.shape == (3, trunk.dim)
    assert trunk.size == size
    assert made.std() > 0
    assert trunk(noise(0, size)).shape == (0, trunk.dim)


def test_bytes_and_shares_are_the_same_photo():
    trunk, pixels = make_trunk().eval(), noise()
    with torch.no_grad():
        assert torch.allclose(trunk(pixels), trunk(pixels.float() / 255), atol=1e-5)


def test_an_embedding_does_not_depend_on_its_neighbours_in_the_batch():
    trunk, pixels = make_trunk(), noise(4)  # in training mode
    with torch.no_grad():
        assert torch.allclose(trunk(pixels)[:1], trunk(pixels[:1]), atol=1e-4)


def test_the_small_trunk_fits_a_laptop():
    assert sum(p.numel() for p in make_trunk().parameters()) < 2_000_000


@pytest.mark.parametrize(("name", "dim"), [("torchvision:resnet18", 512), ("timm:resnet18", 512)])
def test_towers_of_other_packages(name, dim):
    pytest.importorskip(name.partition(":")[0])
    trunk = make_trunk(name, size=64).eval()
    assert (trunk.name, trunk.dim, trunk.size) == (name, dim, 64)
    with torch.no_grad():
        assert trunk(noise(2, 64)).shape == (2, dim)


def test_an_open_clip_tower():
    trunk = make_trunk("open_clip:ViT-S-32-alt").eval()
    with torch.no_grad():
        assert trunk(noise(1, trunk.size)).shape == (1, trunk.dim)
    with pytest.raises(ValueError, match="open_clip has no model 'ViT-none'"):
        make_trunk("open_clip:ViT-none")


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_missing_package_is_named(package, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        make_trunk(f"{package}:resnet18")


@pytest.mark.parametrize("name", ["tiny", "torchvision:", "keras:vgg"])
def test_an_unknown_trunk_is_refused(name):
    with pytest.raises(ValueError, match="there are: small"):
        make_trunk(name)


def test_unknown_models_of_known_packages_are_refused():
    for package in ("torchvision", "timm"):
        pytest.importorskip(package)
        with pytest.raises(ValueError, match="none_such"):
            make_trunk(f"{package}:none_such")


def test_weights_come_from_a_file_or_are_refused(tmp_path):
    one, path = make_trunk(size=32), tmp_path / "tower.safetensors"
    save_file({k: v.contiguous() for k, v in one.tower.state_dict().items()}, path)
    two = make_trunk(size=32, weights=path)
    pixels = noise(2, 32)
    with torch.no_grad():
        assert torch.equal(one(pixels), two(pixels))
    with pytest.raises(DataError, match="does not hold this tower's weights"):
        make_trunk(size=96, weights=path)
    path.write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"tower\.safetensors"):
        make_trunk(size=32, weights=path)
    with pytest.raises(DataError, match="absent"):
        make_trunk(size=32, weights=tmp_path / "absent.safetensors")


def test_pixels_are_the_square_middle():
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, :30], wide[:, 30:70], wide[:, 70:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    tall = Image.fromarray(wide).rotate(90, expand=True)
    pixels = to_pixels([Image.fromarray(wide), tall], 20)
    assert pixels.shape == (2, 3, 20, 20)
    assert pixels.dtype == torch.uint8
    middle = torch.tensor([0, 255, 0])[:, None, None]
    assert (pixels[:, :, 2:-2, 2:-2] == middle).all()
    assert to_pixels([], 20).shape == (0, 3, 20, 20)


def test_crops_stay_inside_and_depend_on_their_own_draws_alone():
    ramp = torch.arange(96, dtype=torch.uint8).expand(4, 3, 96, 96)  # brightness tells the column
    draws = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    draws[:, 3] = 0.5  # brightness as it is
    made = augment(ramp, draws)
    assert made.shape == ramp.shape
    assert made.dtype == torch.float32
    seen = (made[:, 0, 0, -1] - made[:, 0, 0, 0]) * 255 + 1  # columns that a crop spans
    assert (seen >= 96 * MIN_AREA**0.5 - 1).all()
    assert (seen <= 96).all()
    assert (made[:, 0, 0].diff(dim=-1) >= 0).all()  # never mirrored
    alone = augment(ramp[2:3], draws[2:3])
    assert torch.equal(alone, made[2:3])
    assert not torch.equal(made[0], made[1])


def test_the_largest_crop_is_the_photo():
    pixels = noise()
    whole = torch.tensor([[1.0, 0.3, 0.7, 0.5]]).expand(3, 4)
    assert torch.allclose(augment(pixels, whole), pixels / 255, atol=1e-4)


def test_five_crops_are_the_corners_and_the_middle():
    pixels = torch.zeros(1, 3, 80, 80, dtype=torch.uint8)
    for at, (y, x) in enumerate([(0, 0), (0, 79), (79, 0), (79, 79)]):
        pixels[0, :, y, x] = 50 * (at + 1)
    crops = five_crops(pixels)
    assert crops.shape == (1, 5, 3, 80, 80)
    found = [[float(c[0, y, x]) * 255 > 25 for y in (0, -1) for x in (0, -1)] for c in crops[0]]
    assert found == [[i == corner for i in range(4)] for corner in (0, 1, 2, 3, 4)]
