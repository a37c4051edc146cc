"""Unpack a zip file from the internet without trusting it.

A zip can name members `../../.bashrc` or `/etc/passwd`, hold symbolic links that point outside, or
hold a few kilobytes that swell to fill the disk. Everything is checked before the first byte is
written, and the folder gets its final name only when all of it is there. Single members can be
taken out of a large zip under the same checks.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from geolab.data.errors import DiskFullError, FetchError
from geolab.data.storage import DISK_FULL, disk_full_message, format_bytes, write_atomic

MAX_RATIO = 200  # deflate reaches about 1000:1 on zeros; photos and tables stay far below 200
RATIO_FROM_BYTES = 10_000_000  # small members may compress well: they do no harm
MAX_TOTAL_BYTES = 100_000_000_000
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


class ZipMember(NamedTuple):
    """A file inside a zip."""

    archive: Path
    name: str


def unpack_zip(
    archive: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    max_total_bytes: int = MAX_TOTAL_BYTES,
    max_ratio: float = MAX_RATIO,
) -> Path:
    """Unpack a zip into a new folder, or refuse it whole.

    Parameters
    ----------
    archive
        The zip file.
    folder
        Where its members go; an older folder of that name is replaced.
    max_total_bytes
        Largest sum of unpacked sizes.
    max_ratio
        Largest unpacked / packed size of a member above 10 MB.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    FetchError
        Not a zip, damaged, too large, encrypted, or with a member that would land outside; and
        when the disk is full. `folder` is not touched then.
    """
    archive, folder = Path(archive), Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    total = None
    try:
        with zipfile.ZipFile(archive) as handle:
            total = _check_members(archive.name, handle.infolist(), max_total_bytes, max_ratio)
            handle.extractall(partial)
        os.chmod(partial, 0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    except DAMAGED as error:
        raise FetchError(_not_whole(archive, error)) from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError(disk_full_message(folder, total)) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def unpack_members(
    archive: str | os.PathLike, names: Sequence[str], folder: str | os.PathLike
) -> list[Path]:
    """Unpack some members of a zip into a folder, under their base names.

    What lies there already in full is kept, so a second call costs little.

    Raises
    ------
    FetchError
        As `unpack_zip`, for these members.
    """
    archive, folder = Path(archive), Path(folder)
    targets = [folder / PurePosixPath(name).name for name in names]
    try:
        with zipfile.ZipFile(archive) as handle:
            members = [handle.getinfo(name) for name in names]
            _check_members(archive.name, members, MAX_TOTAL_BYTES, MAX_RATIO)
            for member, target in zip(members, targets, strict=True):
                if not target.is_file() or target.stat().st_size != member.file_size:
                    write_atomic(target, handle.read(member))
    except DAMAGED as error:
        raise FetchError(_not_whole(archive, error)) from error
    return targets


def _not_whole(archive: Path, error: Exception) -> str:
    return f"{archive.name} is not a whole zip file ({error}). Delete {archive} and fetch again."


def _check_members(
    name: str, members: list[zipfile.ZipInfo], max_total_bytes: int, max_ratio: float
) -> int:
    """Refuse what could do harm; return the unpacked size in bytes."""
    for member in members:
        reason = _why_unsafe(member, max_ratio)
        if reason:
            raise FetchError(
                f"{name}: member {member.filename!r} {reason}. Nothing was unpacked. "
                "Do not use this file; get it again from the address in its manifest."
            )
    total = sum(member.file_size for member in members)
    if total > max_total_bytes:
        raise FetchError(
            f"{name} unpacks to {format_bytes(total)}, more than the limit of "
            f"{format_bytes(max_total_bytes)}. Nothing was unpacked. Unpack it by hand if you "
            "trust it."
        )
    return total


def _why_unsafe(member: zipfile.ZipInfo, max_ratio: float) -> str | None:
    raw = member.orig_filename
    if "\x00" in raw or "\\" in raw:
        return "has a backslash or a null byte in its name"
    if raw.startswith("/") or re.match(r"^[A-Za-z]:", raw):
        return "is an absolute path"
    if ".." in PurePosixPath(raw).parts:
        return "points outside the folder (../)"
    mode = stat.S_IFMT(member.external_attr >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a symbolic link or a special file"
    if member.flag_bits & 0x1:
        return "is encrypted"
    large = member.file_size > RATIO_FROM_BYTES
    if large and member.file_size > max_ratio * max(member.compress_size, 1):
        return (
            f"swells from {format_bytes(member.compress_size)} to {format_bytes(member.file_size)}"
        )
    return None
