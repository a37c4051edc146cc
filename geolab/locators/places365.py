"""The ISNs' own router: a Places365 network whose 365 scenes are added up into three groups.

    router = places365_router("resnet50_places365.pth.tar", "places365_level1.csv")
    isn = ISN(ISNConfig(kind="routed"), router).fit(photos)

Neither file comes with the kit, and neither could be downloaded where this was written: the loader
is tested on a network of random weights under the real names. The weights are those that the
Places365 authors publish for torchvision's architectures; the csv is the first level of their scene
hierarchy (`geolab.locators.scenes.read_membership`). Nothing is unpickled but tensors.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.data.errors import DataError
from geolab.encoders.cnn import IMAGENET
from geolab.locators.scene_router import Router
from geolab.locators.scenes import N_PLACES, read_membership, scenes_from_places

_SIZE, _BATCH = 224, 64


def places365_router(
    weights: str | os.PathLike, membership: str | os.PathLike, *, architecture: str = "resnet50"
) -> Router:
    """Build a router from weights and a csv of groups.

    Parameters
    ----------
    weights : path
        A torch file or safetensors: the tensors themselves, or under "state_dict", with or without
        "module." before their names.
    membership : path
    architecture : str
        Torchvision's name.

    Returns
    -------
    Router
        Pixels (N, 3, S, S) of uint8 to probabilities of indoor, natural, urban (N, 3).

    Raises
    ------
    DataError
        If a file is missing, damaged, or does not fit the architecture.
    ImportError
        If torchvision is missing.
    """
    try:
        from torchvision.models import get_model
    except ImportError as error:
        raise ImportError("torchvision is missing: pip install torchvision") from error
    groups = read_membership(membership)
    model = get_model(architecture, weights=None, num_classes=N_PLACES).eval()
    try:
        model.load_state_dict(_tensors(weights))
    except (RuntimeError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{weights} does not hold Places365 weights of {architecture} ({error}). Fix: download "
            "them again, or give the architecture they were made for"
        ) from None
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in IMAGENET)

    @torch.no_grad()
    def router(pixels: Tensor) -> Tensor:
        out = []
        for block in pixels.split(_BATCH):
            large = F.interpolate(block.float() / 255, size=(_SIZE, _SIZE), mode="bilinear")
            out.append(scenes_from_places(model((large - mean) / std).softmax(-1), groups))
        return torch.cat(out) if out else torch.empty(0, groups.shape[1])

    return router


def _tensors(path: str | os.PathLike) -> dict[str, Tensor]:
    """Tensors of a file by the names that torchvision gives them."""
    if Path(path).suffix == ".safetensors":
        from safetensors.torch import load_file

        held = load_file(str(path))
    else:
        held = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(held, dict):
        raise ValueError(f"it holds a {type(held).__name__}")
    held = held.get("state_dict", held)
    return {name.removeprefix("module."): value for name, value in held.items()}
