"""The cache folder, and writes that are either complete or absent.

Everything that geolab writes on its own behalf lies under one folder: `GEOLAB_CACHE` when that is
set, else the place the operating system keeps caches. A file gets its final name only when it is
whole, by writing beside it and renaming: a killed process leaves a stray temporary file at worst,
never half a file under the real name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pooch

from geolab.data.errors import DiskFullError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def cache_folder() -> Path:
    """Folder for everything geolab keeps between runs (not created here)."""
    return Path(os.environ.get("GEOLAB_CACHE") or pooch.os_cache("geolab")).expanduser()


def sha256_of(path: str | os.PathLike) -> str:
    """Hex sha256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_atomic(path: str | os.PathLike, data: bytes | str) -> Path:
    """Write a whole file or nothing.

    Parameters
    ----------
    path
        Final name; its folder is made when missing.
    data
        Text is written as UTF-8.

    Raises
    ------
    DiskFullError
        The disk is full; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = data.encode("utf-8") if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files that only their owner may read; give them the usual rights.
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        if error.errno in DISK_FULL:
            raise DiskFullError(disk_full_message(path, len(payload))) from error
        raise
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def disk_full_message(path: str | os.PathLike, n_bytes: int | None) -> str:
    """Say what does not fit, how much is free and what to do."""
    folder = Path(path).parent
    free = shutil.disk_usage(folder).free if folder.exists() else 0
    need = "an unknown number of bytes" if n_bytes is None else format_bytes(n_bytes)
    return (
        f"the disk is full: {Path(path).name} needs {need}, {format_bytes(free)} are free in "
        f"{folder}. Nothing was left behind. Free some space, or set GEOLAB_CACHE to a folder "
        "on a larger disk."
    )


def format_bytes(n: int) -> str:
    """Bytes for people.

    >>> format_bytes(147552)
    '147.6 kB'
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{n / scale:.1f} {unit}"
    return f"{n} bytes"


def _umask() -> int:
    # The only portable way to read the umask is to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
