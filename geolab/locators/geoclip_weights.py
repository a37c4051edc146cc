"""GeoCLIP's published weights: fetched through their manifest, read without running a pickle.

    locator = load_published()                    # fetches 42 MB, and CLIP ViT-L/14 (1.7 GB)
    locator.locate(images)
    published_network("geoclip_files/")           # network alone, from files that are there

The three ``.pth`` files are pickles, and a pickle can run any program when it is opened.
``torch.load(weights_only=True)`` takes tensors and nothing else; the first read converts them to
one safetensors file beside them, with the checksums of what it was made from, and later reads take
that. Where the ``.pth`` files have changed it is made again.

Run on files of the same layout that the tests make, **not on the real download**: shapes, names of
tensors, the number of parameters and the scale (39.69, temperature 0.0252) are known from public
sources, the answers have not been compared. ``geolab.locators.geoclip_weights.load_published()`` on
a machine with a network is the check that is missing.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from geolab.data.errors import DataError
from geolab.data.manifest import fetch
from geolab.data.storage import sha256_of, write_atomic
from geolab.encoders.clip import Clip, load_clip
from geolab.locators.geoclip import GeoClip
from geolab.locators.geoclip_config import PUBLISHED
from geolab.locators.geoclip_gallery import read_gallery
from geolab.locators.geoclip_train import GeoClipNetwork
from geolab.training import History

LOCATION, HEAD, SCALE = (
    "location_encoder_weights.pth",
    "image_encoder_mlp_weights.pth",
    "logit_scale_weights.pth",
)
GALLERY = "coordinates_100K.csv"
CONVERTED = "geoclip.safetensors"
CLIP_NAME, CLIP_DIM = "ViT-L-14", 768


def load_published(clip: Clip | None = None, *, folder: str | os.PathLike | None = None) -> GeoClip:
    """GeoCLIP as published: weights, gallery, and OpenAI's CLIP ViT-L/14.

    Parameters
    ----------
    clip : Clip, optional
        Loaded by its manifest if not given.
    folder : path, optional
        With the four files of the manifest; fetched if not given.

    Raises
    ------
    DataError
        If a file cannot be had, is damaged, is more than numbers, or has other shapes.
    ValueError
        If the CLIP is another one.
    """
    if clip is not None and clip.dims["image"] != CLIP_DIM:
        raise ValueError(
            f"the published head takes {CLIP_DIM} numbers, {clip.name} gives {clip.dims['image']}: "
            f"use load_clip({CLIP_NAME!r})"
        )
    folder = Path(folder) if folder is not None else fetch("geoclip")
    network = published_network(folder)
    locator = GeoClip(clip or load_clip(CLIP_NAME), PUBLISHED)
    locator.network, locator.gallery = network, read_gallery(folder / GALLERY)
    locator.history = History(n_parameters=sum(p.numel() for p in network.parameters()))
    return locator


def published_network(folder: str | os.PathLike) -> GeoClipNetwork:
    """Network with the published weights, from the files of a folder; converts them once.

    Raises
    ------
    DataError
        If a file is missing, damaged, more than numbers, or has other shapes.
    """
    from safetensors.torch import load_file

    network = GeoClipNetwork(CLIP_DIM, PUBLISHED)
    path = convert_published(folder)
    kept = network.state_dict()
    try:
        network.load_state_dict(kept | load_file(str(path)))
    except RuntimeError as error:
        raise DataError(f"{path} does not fit GeoCLIP: {error}. Delete it") from None
    return network.eval()


def convert_published(folder: str | os.PathLike) -> Path:
    """Make one safetensors file of the three pickles, unless it is there; returns its path.

    Raises
    ------
    DataError
        If a file is missing, damaged, more than numbers, or has other names or shapes.
    """
    from safetensors.torch import save

    folder = Path(folder)
    target, sources = folder / CONVERTED, [folder / name for name in (LOCATION, HEAD, SCALE)]
    missing = [path.name for path in sources if not path.is_file()]
    if missing:
        raise DataError(f"{folder} has no {missing[0]}: fetch it with geolab fetch geoclip")
    with FileLock(f"{target}.lock"):
        sums = {path.name: sha256_of(path) for path in sources}
        if _sources_of(target) == sums:
            return target
        location, head, scale = (_read_numbers(path) for path in sources)
        state = _renamed(location, head, scale, folder)
        return write_atomic(target, save(state, {"sources": json.dumps(sums)}))


def _sources_of(path: Path) -> dict[str, str] | None:
    """Checksums of the files that a conversion was made from; None where there is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            return json.loads(file.metadata()["sources"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _read_numbers(path: Path) -> Tensor | Mapping[str, Tensor]:
    """What a file of torch holds, if that is tensors alone.

    Raises
    ------
    DataError
        If it is damaged, or more than tensors; nothing of it was run.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise DataError(
            f"{path} is damaged, or holds more than numbers, and a pickle may run any program. It "
            f"was not opened ({reason}). Fix: delete it and fetch it again"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}). Fix: delete it and fetch it again") from None
    tensors = held.values() if isinstance(held, Mapping) else [held]
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise DataError(f"{path} holds other things than tensors: it is not GeoCLIP's")
    return held


def _renamed(
    location: Tensor | Mapping[str, Tensor],
    head: Tensor | Mapping[str, Tensor],
    scale: Tensor | Mapping[str, Tensor],
    folder: Path,
) -> dict[str, Tensor]:
    """Give the tensors the names they have here, and check the shape of each."""
    wanted = GeoClipNetwork(CLIP_DIM, PUBLISHED).state_dict()
    out: dict[str, Tensor] = {}
    for file, held in ((LOCATION, location), (HEAD, head), (SCALE, {"": scale})):
        for theirs, ours in released_names(wanted, file).items():
            tensor = held.get(theirs) if isinstance(held, Mapping) else None
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else "nothing"
            if found != tuple(wanted[ours].shape):
                raise DataError(
                    f"{folder / file}: {theirs or 'the scale'} has shape {found}, GeoCLIP's has "
                    f"{tuple(wanted[ours].shape)}: it is another model's file"
                )
            out[ours] = tensor.detach().float().contiguous()
        surplus = set(held) - set(released_names(wanted, file))
        if surplus:
            raise DataError(f"{folder / file} holds {sorted(surplus)[0]!r}, GeoCLIP's does not")
    return out


def released_names(ours: Mapping[str, Tensor], file: str) -> dict[str, str]:
    """Names of the released tensors of a file, and of ours.

    Examples
    --------
    >>> names = released_names(GeoClipNetwork(8, PUBLISHED).state_dict(), LOCATION)
    >>> names["LocEnc0.capsule.0.b"], names["LocEnc2.head.0.bias"]
    ('location.capsules.0.0.b', 'location.capsules.2.7.bias')
    """
    if file == SCALE:
        return {"": "logit_scale"}
    if file == HEAD:
        start = "head.layers."
        return {name.removeprefix(start): name for name in ours if name.startswith(start)}
    found = {}
    for name in ours:
        if name.startswith("location.capsules."):
            capsule, layer, kind = name.split(".")[2:]
            part = "head.0" if layer == "7" else f"capsule.{layer}"
            found[f"LocEnc{capsule}.{part}.{kind}"] = name
    return found
