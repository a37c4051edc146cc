"""Confirmed places into copies of photos; the originals are read and never opened for writing.

Only photos whose place a person confirmed or gave on the contact sheet get one. A copy is the
original's bytes with a position in its EXIF (`geolab.own_photos.jpeg`), written beside its final
name and renamed when whole, with the original's file time where the disk keeps one. What can't be
written is refused with the file's name and a reason, the others go on:

- a photo that is not the one that was confirmed (another sha256), is gone, cut short or damaged;
- PNG, TIFF, WebP, HEIC: convert them, or use exiftool;
- a photo with a position of its own, unless replacing it was asked for;
- a copy that exists already or would land in the album by a link, a folder that nobody may write
  to, a full disk.

Replacing a position drops what belonged to it (altitude, satellites, precision). The old numbers
stay in the file where no directory leads to them: replacing is no way to hide a place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geolab.data.errors import DataError, DiskFullError, PhotoError
from geolab.data.photos import read_gps, read_photo
from geolab.data.storage import write_atomic
from geolab.own_photos.decisions import Decision
from geolab.own_photos.jpeg import has_position, with_position

METHODS = {
    "confirmed": "geolab estimate, confirmed by hand",
    "corrected": "geolab estimate, corrected by hand",
}


@dataclass(frozen=True)
class Written:
    """What became of one photo: a copy, or the reason why there is none."""

    file: str
    copy: Path | None = None
    error: str = ""


def write_copies(
    folder: str | os.PathLike[str],
    decisions: Sequence[Decision],
    out: str | os.PathLike[str],
    *,
    replace_gps: bool = False,
) -> list[Written]:
    """Write a copy with a position for each photo with a decision.

    Parameters
    ----------
    folder : path
        Of the album.
    decisions : sequence of Decision
        Open ones are passed over.
    out : path
        Folder of the copies, outside the album's; made when missing.
    replace_gps : bool
        Replace the position of photos that have one.

    Returns
    -------
    list of Written
        One for each decision that is not open.

    Raises
    ------
    DataError
        If `folder` is none, or `out` is the album's folder, in it, or a file; nothing is written.
    """
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the album's folder.")
    if _lies_in(out, folder):
        raise DataError(
            f"{out} lies in the album's folder. Give --out a folder outside it, so that copies and "
            "originals are never mixed up."
        )
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file. Give --out a folder.")
    done = []
    for decision in decisions:
        if decision.decision == "open":
            continue
        try:
            copy = write_copy(folder, decision, out, replace_gps=replace_gps)
            done.append(Written(decision.file, copy))
        except (DataError, OSError) as error:
            done.append(Written(decision.file, error=str(error)))
    return done


def write_copy(folder: Path, decision: Decision, out: Path, *, replace_gps: bool = False) -> Path:
    """Write one copy, whole or not at all.

    Returns
    -------
    Path
        Of the copy.

    Raises
    ------
    PhotoError
        If the original or its EXIF does not allow it.
    DataError
        If the copy exists, the folder can't be written to, or the disk is full.
    """
    original, copy = folder / decision.file, out / decision.file
    data = _original(folder, original, decision)
    if _lies_in(copy.parent, folder):
        raise DataError(f"{copy} leads into the album's folder. Give --out another folder.")
    if os.path.lexists(copy):
        raise DataError(f"{copy} exists already. Move it away, or give --out another folder.")
    if has_position(data, str(original)) and not replace_gps:
        raise PhotoError(
            f"{original}: has a GPS position of its own, which is left alone. "
            "Give --replace-gps to write the confirmed one into the copy."
        )
    made = with_position(
        data,
        str(original),
        decision.lat,
        decision.lon,
        error_m=1000 * decision.radius_km,
        method=METHODS[decision.decision],
    )
    _check_copy(made, decision, original)
    about = original.stat()
    try:
        write_atomic(copy, made)
    except DiskFullError as error:
        raise DataError(f"{copy}: the disk is full; this copy was not written.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{copy}: can't be written ({reason}). Give --out another folder."
        ) from error
    with contextlib.suppress(OSError):  # some disks keep no times; the copy is whole without
        os.utime(copy, ns=(about.st_atime_ns, about.st_mtime_ns))
    return copy


def _lies_in(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _original(folder: Path, original: Path, decision: Decision) -> bytes:
    """Bytes of the photo that was confirmed, whole and readable."""
    if not _lies_in(original, folder):
        raise PhotoError(f"{original}: leads out of the album's folder. Leave it out.")
    try:
        data = original.read_bytes()
    except OSError as error:
        raise PhotoError(f"{original}: {error.strerror}. Was it moved or renamed?") from error
    if hashlib.sha256(data).hexdigest() != decision.sha256:
        raise PhotoError(
            f"{original}: has changed since its place was confirmed. Make the page again."
        )
    has_position(data, str(original))  # says what a PNG or HEIC is before anybody decodes it
    try:
        read_photo(data)
    except PhotoError as error:
        raise PhotoError(f"{original}: {str(error).partition(': ')[2]}") from error
    return data


def _check_copy(made: bytes, decision: Decision, original: Path) -> None:
    """Read the position back as any other program would."""
    place = read_gps(made)
    off = max(
        abs(a - b) for a, b in zip(place or (999, 999), (decision.lat, decision.lon), strict=True)
    )
    if off > 1e-6 and (decision.lat, decision.lon) != (0, 0):
        raise PhotoError(
            f"{original}: the position would read back as {place}, since its EXIF is damaged. "
            "Repair it with exiftool, or leave it out."
        )
