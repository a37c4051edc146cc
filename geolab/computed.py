"""What is computed is used: networks and embeddings that an earlier run left behind.

    saved = computed.models_folder(use_computed) / f"planet-{n_photos}-{epochs}-{seed}.pt"
    known = computed.embeddings(clip, train, "tokens", use_computed=use_computed)

A lecture must not wait. ``geolab course --full`` leaves what it trained in ``build/course/models``,
and a notebook that is opened in JupyterLab anywhere below the repository finds it there: cells that
train return at once, and one that was cut off goes on. ``GEOLAB_MODELS`` names another folder, such
as one that a class shares, or one on a mounted drive that outlives a Colab session.

Every state of the package has a folder of its own, so no network is read by other code than made
it. The knob ``use_computed = False`` computes everything anew, in a folder that is thrown away.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from geolab.encoders.clip import Clip, Feature

PACKAGE = Path(__file__).resolve().parent
_BUILD = Path("build") / "course"
# What runs and shows notebooks has no say in what they compute.
_SILENT = {"assignments", "cli.py", "course"}


def models_folder(use_computed: bool = True) -> Path:
    """Return where notebooks keep what they trained, so that the next one need not train it again.

    Parameters
    ----------
    use_computed
        False: an empty folder, thrown away when Python ends.

    Returns
    -------
    Path
        Not made here. In this order: what ``geolab course`` sets for a run; a folder for this state
        of the package in ``GEOLAB_MODELS``; in the nearest ``build/course/models`` at or above the
        working folder; in ``build/course/models`` of the working folder.
    """
    if not use_computed:
        return _thrown_away()
    if folder := os.environ.get("GEOLAB_COURSE_MODELS"):
        return Path(folder)
    return own_models(_models_root())


def own_models(root: Path) -> Path:
    """Return the folder for this state of the package inside a folder of models."""
    return root / package_hash()[:12]


def _models_root() -> Path:
    if folder := os.environ.get("GEOLAB_MODELS"):
        return Path(folder).expanduser()
    if folder := os.environ.get("GEOLAB_COURSE_OUT"):
        return Path(folder) / "models"
    here = Path.cwd()
    found = (place / _BUILD / "models" for place in (here, *here.parents))
    return next((path for path in found if path.is_dir()), here / _BUILD / "models")


@cache
def _thrown_away() -> Path:
    holder = tempfile.TemporaryDirectory(prefix="geolab-models-")
    _HELD.append(holder)
    return Path(holder.name)


_HELD: list[tempfile.TemporaryDirectory] = []
"""Keeps the folder that is thrown away until Python ends."""


def embeddings(
    clip: Clip, photos: Dataset, feature: Feature = "image", *, use_computed: bool = True
) -> Tensor:
    """Embed photos, or read what was embedded before.

    Written in shards of `geolab.encoders.shards`; a run that was cut off goes on with the next one.
    Other weights or other photos have another folder.

    Parameters
    ----------
    photos
        With id, latitude, longitude and image.
    use_computed
        As in `models_folder`.

    Returns
    -------
    Tensor
        (N, D) float32; zeros for a photo that cannot be read.
    """
    import torch

    from geolab.encoders.shards import EmbeddingStore, write_embeddings

    key = key_of(photos, clip.weights_hash, clip.preprocessing)
    folder = models_folder(use_computed) / f"{clip.name}-{feature}-{key}"
    store = EmbeddingStore(write_embeddings(clip, photos, folder, feature=feature))
    return torch.nan_to_num(store.features())


def key_of(photos: Dataset, *more: str) -> str:
    """Return a short name for these very photos, by their ids, to be used in file names."""
    told = [*more, *map(str, photos["id"])]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()[:12]


@cache
def package_hash() -> str:
    """Return a hash of the package, but for what only runs and shows notebooks."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        inside = path.relative_to(PACKAGE)
        matters = inside.parts[0] not in _SILENT and "__pycache__" not in inside.parts
        if matters and path.is_file():
            digest.update(inside.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
