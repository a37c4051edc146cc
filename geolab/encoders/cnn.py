"""Convolutional trunks: photos in, embeddings out.

"small" is the kit's own: three convolutions and 1.3 million weights for 96-pixel photos, made to
learn TinyEarth on a laptop's processor in minutes. Towers of torchvision, timm and open_clip go by
name, for GPUs and for real photos:

    make_trunk("small")
    make_trunk("torchvision:resnet50", weights="pretrained")
    make_trunk("timm:convnext_tiny", weights="weights/convnext.safetensors")
    make_trunk("open_clip:ViT-B-32")

Nothing is downloaded unless ``weights="pretrained"`` asks for it. What has been run here: "small",
and the other families without their weights.

The small trunk normalises nothing, so a photo's embedding does not depend on its neighbours in the
batch, two processes learn what one does, and how bright and how blue a photo is stays in it.

Photos are mirrored by nobody. A mirror image swaps the side of the road and moves the sun to the
other half of the sky, and both say where on Earth we are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.data.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MIN_AREA = 0.66
"""Smallest share of a photo that a training crop keeps (ISNs, ECCV 2018)."""


class SmallTrunk(nn.Sequential):
    """Three convolutions, each followed by a rectifier and a pool, then one linear layer.

    The last picture, an eighth of the first in each direction halved once more, is flattened and
    not averaged: where in the photo a colour stands says as much as the colour.
    """

    def __init__(
        self, size: int = 96, dim: int = 256, widths: Sequence[int] = (32, 64, 128)
    ) -> None:
        layers: list[nn.Module] = []
        before, side = 3, size // 2  # the first convolution has stride 2
        for number, width in enumerate(widths):
            kernel, stride = (3, 1) if number else (5, 2)
            layers.append(nn.Conv2d(before, width, kernel, stride, kernel // 2))
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            before, side = width, side // 2
        layers += [nn.Flatten(), nn.Linear(before * side * side, dim), nn.ReLU()]
        super().__init__(*layers)
        for layer in self:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)


class Trunk(nn.Module):
    """A tower with what it expects of a photo.

    Attributes
    ----------
    name : str
    dim : int
        Length of an embedding.
    size : int
        Side of the picture in pixels.
    """

    def __init__(
        self,
        tower: nn.Module,
        name: str,
        dim: int,
        size: int,
        norm: tuple[Sequence[float], Sequence[float]] = IMAGENET,
    ) -> None:
        super().__init__()
        self.tower, self.name, self.dim, self.size = tower, name, dim, size
        for key, values in zip(("mean", "std"), norm, strict=True):
            self.register_buffer(key, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pixels (B, 3, S, S), uint8 or float in 0..1: (B, dim)."""
        scaled = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels
        normal = (scaled - self.mean) / self.std
        return self.tower(normal.contiguous(memory_format=torch.channels_last))


def make_trunk(
    name: str = "small", *, weights: str | os.PathLike | None = None, size: int | None = None
) -> Trunk:
    """Build a trunk by name.

    Parameters
    ----------
    name : str
        "small", or "torchvision:", "timm:" or "open_clip:" and the model's name there.
    weights : path or "pretrained", optional
        A safetensors file of the tower; "pretrained" asks the library to download its own. Without
        it the tower starts from chance.
    size : int, optional
        Side of the picture; 96 for "small", else what the tower was made for, or 224.

    Raises
    ------
    ValueError
        If there is no such family or model.
    ImportError
        If the family's package is missing; the message says what to install.
    DataError
        If the weights cannot be had, or do not fit.
    """
    family, _, model = name.partition(":")
    if name == "small":
        trunk = Trunk(SmallTrunk(size or 96), name, 256, size or 96)
    elif family in _FAMILIES and model:
        trunk = _FAMILIES[family](model, weights == "pretrained", size)
        trunk.name = name
    else:
        known = ", ".join(f"{f}:NAME" for f in _FAMILIES)
        raise ValueError(f"no trunk {name!r}; there are: small, {known}")
    if weights is not None and weights != "pretrained":
        _load_tower(trunk.tower, weights)
    return trunk.to(memory_format=torch.channels_last)


def _load_tower(tower: nn.Module, path: str | os.PathLike) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tower.load_state_dict(load_file(str(path)))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise DataError(f"{path} does not hold this tower's weights: {error}") from None


def _offline(name: str, error: Exception) -> DataError:
    return DataError(
        f"the pretrained weights of {name} cannot be had ({error}). Fix: go online once, or give "
        "weights= the path of a safetensors file, or take the trunk 'small'"
    )


def _torchvision(model: str, pretrained: bool, size: int | None) -> Trunk:
    try:
        from torchvision.models import get_model
    except ImportError as error:
        raise ImportError("torchvision is missing: pip install torchvision") from error
    try:
        tower = get_model(model, weights="DEFAULT" if pretrained else None)
    except OSError as error:
        raise _offline(model, error) from None
    last = [name for name, part in tower.named_modules() if isinstance(part, nn.Linear)][-1]
    parent, _, leaf = last.rpartition(".")
    dim = tower.get_submodule(last).in_features
    setattr(tower.get_submodule(parent), leaf, nn.Identity())
    return Trunk(tower, model, dim, size or 224)


def _timm(model: str, pretrained: bool, size: int | None) -> Trunk:
    try:
        import timm
    except ImportError as error:
        raise ImportError("timm is missing: pip install timm") from error
    try:
        tower = timm.create_model(model, pretrained=pretrained, num_classes=0)
    except RuntimeError as error:
        raise ValueError(f"timm has no model {model!r} ({error})") from None
    except OSError as error:
        raise _offline(model, error) from None
    config = timm.data.resolve_data_config({}, model=tower)
    side = size or config["input_size"][-1]
    return Trunk(tower, model, tower.num_features, side, (config["mean"], config["std"]))


def _open_clip(model: str, pretrained: bool, size: int | None) -> Trunk:
    import open_clip

    if model not in open_clip.list_models():
        raise ValueError(f"open_clip has no model {model!r}; see open_clip.list_models()")
    try:
        made = open_clip.create_model(model, pretrained="openai" if pretrained else None)
    except OSError as error:
        raise _offline(model, error) from None
    norm = (made.visual.image_mean or IMAGENET[0], made.visual.image_std or IMAGENET[1])
    side = made.visual.image_size
    side = side[0] if isinstance(side, (tuple, list)) else side
    return Trunk(made.visual, model, made.visual.output_dim, size or side, norm)


_FAMILIES = {"torchvision": _torchvision, "timm": _timm, "open_clip": _open_clip}


def to_pixels(images: Sequence[Image.Image], size: int) -> Tensor:
    """Square middle of each photo at `size` pixels: (N, 3, size, size) uint8."""
    from PIL import ImageOps

    out = torch.empty(len(images), 3, size, size, dtype=torch.uint8)
    for row, image in enumerate(images):
        square = ImageOps.fit(image.convert("RGB"), (size, size))
        out[row] = torch.from_numpy(np.array(square)).permute(2, 0, 1)  # (S, S, 3) -> (3, S, S)
    return out


def augment(pixels: Tensor, draws: Tensor, *, min_area: float = MIN_AREA) -> Tensor:
    """Cut a random square out of each photo and bring it back to size.

    Parameters
    ----------
    pixels : Tensor of uint8, shape (B, 3, S, S)
    draws : Tensor, shape (B, 4)
        Uniform numbers of each row: area, left, top, brightness; see `geolab.training.Batch`.

    Returns
    -------
    Tensor of float32, shape (B, 3, S, S)
        In 0..1.
    """
    draws = draws.to(pixels.device)
    side = (min_area + (1 - min_area) * draws[:, 0]).sqrt()  # of the crop, as a share of S
    left, top = (1 - side) * (2 * draws[:, 1] - 1), (1 - side) * (2 * draws[:, 2] - 1)
    zero = torch.zeros_like(side)
    rows = [torch.stack([side, zero, left], 1), torch.stack([zero, side, top], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(pixels.shape), align_corners=False)
    cut = F.grid_sample(pixels.float() / 255, grid, align_corners=False, padding_mode="border")
    return (cut * (0.9 + 0.2 * draws[:, 3]).view(-1, 1, 1, 1)).clamp_(0, 1)


def five_crops(pixels: Tensor, share: float = 0.875) -> Tensor:
    """Return the four corners and the middle of each photo, at full size: (B, 5, 3, S, S)."""
    size = pixels.shape[-1]
    side, rest = round(size * share), size - round(size * share)
    corners = [(0, 0), (0, rest), (rest, 0), (rest, rest), (rest // 2, rest // 2)]
    scaled = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels
    crops = [scaled[..., y : y + side, x : x + side] for y, x in corners]
    resized = [F.interpolate(c, size=(size, size), mode="bilinear") for c in crops]
    return torch.stack(resized, dim=1)
