"""Arrays on disk that are either whole and ours, or refused.

One .npz file without pickled objects holds the arrays, a JSON header (kind, format number, whatever
the caller adds) and a sha256 over both. A file of another kind, of a newer format, cut short or
changed by one byte is not read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geolab.data.errors import DataError
from geolab.data.storage import write_atomic

_HEADER, _DIGEST = "header", "sha256"


def save_arrays(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    *,
    kind: str,
    version: int,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write arrays and a header, whole or not at all.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Numbers or text; no objects.
    kind, version : str, int
        What the file is; `load_arrays` asks for the same.
    about : mapping, optional
        Anything JSON can hold.
    """
    header = json.dumps({"kind": kind, "version": version, "about": dict(about or {})})
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        **{f"array_{name}": array for name, array in whole.items()},
        **{_HEADER: np.array(header), _DIGEST: np.array(_digest(header, whole))},
    )
    return write_atomic(path, buffer.getvalue())


def load_arrays(
    path: str | os.PathLike, *, kind: str, version: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote: arrays, and the `about` mapping.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is not of this kind and version, or its content was damaged.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            header, digest = str(stored[_HEADER]), str(stored[_DIGEST])
            arrays = {n[6:]: stored[n] for n in stored.files if n.startswith("array_")}
        found = json.loads(header)
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError, TypeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DataError(f"{path}: not a {kind} file, or cut short ({error}). {_again()}") from error
    if (found["kind"], found["version"]) != (kind, version):
        raise DataError(
            f"{path}: holds {found['kind']} version {found['version']}, not {kind} version "
            f"{version}. {_again()}"
        )
    if digest != _digest(header, arrays):
        raise DataError(f"{path}: the content does not fit its checksum. {_again()}")
    return arrays, found["about"]


def _again() -> str:
    return "Fit again and save anew."


def _digest(header: str, arrays: Mapping[str, np.ndarray]) -> str:
    running = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        running.update(f"{name} {array.dtype.str} {array.shape}".encode())
        running.update(array.tobytes())
    return running.hexdigest()
