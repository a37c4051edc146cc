"""Weights and the state of a run on disk: whole or not at all, and only for what they belong to.

Everything carries an identity: names and hashes of the partition, the data, the trunk. A file is
refused where the identity differs, with both values, since a class number of one partition is
another place in the next.
"""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geolab.data.errors import DataError
from geolab.data.storage import write_atomic


def write_state(path: str | os.PathLike, state: Mapping[str, Any]) -> Path:
    """Write the state of a run; the old file stays until the new one is whole."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return write_atomic(path, buffer.getvalue())


def read_state(path: str | os.PathLike, identity: Mapping[str, str]) -> dict[str, Any]:
    """Read the state of a run; nothing but tensors and plain values is unpickled.

    Raises
    ------
    DataError
        If the file is damaged, or belongs to another identity.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["identity"]
    except (RuntimeError, KeyError, TypeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path} is no checkpoint of geolab, or damaged ({error}). Fix: delete it and train "
            "again"
        ) from None
    check_identity(path, found, identity)
    return state


def check_identity(
    path: str | os.PathLike, found: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    """Refuse a file that belongs to something else.

    Raises
    ------
    DataError
        Names the first difference, both values, and what to do.
    """
    for name in dict.fromkeys([*expected, *found]):
        one, other = found.get(name, "nothing"), expected.get(name, "nothing")
        if one != other:
            raise DataError(
                f"{path} was made with {name} {one!r}, but this run has {name} {other!r}. Fix: use "
                "the matching one, or another path, or delete the file"
            )


def save_weights(path: str | os.PathLike, model: nn.Module, about: Mapping[str, Any]) -> Path:
    """Write weights as safetensors, with `about` (anything JSON holds) in the header."""
    from safetensors.torch import save

    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    return write_atomic(path, save(tensors, {"geolab": json.dumps(dict(about))}))


def read_about(path: str | os.PathLike) -> dict[str, Any]:
    """Read the header that `save_weights` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If it is no safetensors file of geolab, or is cut short.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: there are no weights here")
    try:
        with safe_open(str(path), "pt") as file:
            return json.loads(file.metadata()["geolab"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} holds no weights of geolab, or is damaged ({error}). Fix: make it again"
        ) from None


def load_weights(
    path: str | os.PathLike, model: nn.Module, identity: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Load weights into a model and return what was said about them.

    Parameters
    ----------
    identity : mapping of str to str, optional
        What ``about["identity"]`` has to be.

    Raises
    ------
    DataError
        If the file is damaged, belongs to another identity, or does not fit the model.
    """
    from safetensors.torch import load_file

    about = read_about(path)
    if identity is not None:
        check_identity(path, about.get("identity", {}), identity)
    try:
        model.load_state_dict(load_file(str(path)))
    except RuntimeError as error:
        raise DataError(f"{path} does not fit the model: {error}") from None
    return about
