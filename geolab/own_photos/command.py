"""What ``geolab locate FOLDER --album`` does: first the page, then, with ``--write``, copies."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geolab.data.errors import DataError
from geolab.data.photos import read_images
from geolab.data.storage import format_bytes
from geolab.locate_command import PRIVACY, References, fit_references
from geolab.own_photos.decisions import load_decisions
from geolab.own_photos.order import AlbumPhoto, hours_between, in_order
from geolab.own_photos.proposals import proposals, radius_km
from geolab.own_photos.sheet import (
    Entry,
    city_text,
    place_text,
    sha256_of_photo,
    small_picture,
    write_page,
)
from geolab.own_photos.trip import Travel, smooth
from geolab.own_photos.writing import write_copies
from geolab.posterior import Posterior

PAGE = Path("build/album.html")
READ_SIDE = 640
"""Photos are shrunk to this for the locator, which keeps an album in memory."""
_AT_ONCE, _PLACES = 32, 200
CIRCLES = (
    "On synthetic trips kept for testing, circles of 80 % held the true place of 72 % of photos "
    "(65 to 81; neighbours in a small CLIP). With other photos it may be fewer."
)


@dataclass(frozen=True)
class AlbumRequest:
    """What the command was asked.

    Attributes
    ----------
    folder : Path
    reference, locator : str
        As `geolab.locate_command.fit_references`.
    top : int
        Places to propose for each photo.
    n : int, optional
        References to take.
    seed : int
    """

    folder: Path
    reference: str = "tinyearth"
    locator: str = "im2gps"
    top: int = 4
    n: int | None = None
    seed: int = 0


def album_command(
    folders: Sequence[Path],
    *,
    write: Path | None,
    out: Path | None,
    replace_gps: bool,
    **asked: Any,
) -> Iterator[str]:
    """Do what the options ask and yield what to print; the last of both steps to run.

    Raises
    ------
    DataError
        If it is not one folder, options don't go together, or nothing could be done.
    """
    if len(folders) != 1 or not Path(folders[0]).is_dir():
        raise DataError("--album takes one folder of photos: geolab locate FOLDER --album")
    folder = Path(folders[0])
    if write is None and replace_gps:
        raise DataError("--replace-gps goes with --write DECISIONS")
    if write is None:
        yield from make_page(AlbumRequest(folder, **asked), out or PAGE)
    elif out is None:
        raise DataError("--write needs a folder for the copies: --out copies/")
    else:
        yield from write_step(folder, write, out, replace_gps=replace_gps)


def make_page(request: AlbumRequest, out: Path) -> Iterator[str]:
    """Locate an album and write its page; yield what to print."""
    if out.suffix.lower() not in (".html", ".htm"):  # before minutes are spent on what it shows
        raise DataError(f"{out}: the album is a page; give --out a name that ends in .html")
    photos = in_order(request.folder)
    locator, references = fit_references(
        request.reference, request.locator, n=request.n, seed=request.seed
    )
    entries = locate_album(photos, locator, references, top=request.top)
    title = f"{Path(os.path.abspath(request.folder)).name}: {len(photos)} photos"
    about = [str(references), CIRCLES, PRIVACY]
    path = _write(entries, out, title, about)
    yield from map(entry_line, entries)
    yield from ("", str(references), PRIVACY)
    yield f"page: {path} ({format_bytes(path.stat().st_size)}); open it in a browser"
    again = ["geolab", "locate", str(request.folder), "--album", "--write", "decisions.json"]
    yield f"then: {shlex.join([*again, '--out', 'copies'])}"


def _write(entries: list[Entry], out: Path, title: str, about: list[str]) -> Path:
    try:
        return write_page(entries, out, title, about)
    except OSError as error:  # a full disk says so itself
        reason = error.strerror or str(error)
        raise DataError(f"{out}: can't be written ({reason}). Give --out another name.") from error


def locate_album(
    photos: Sequence[AlbumPhoto],
    locator: Any,
    references: References,
    *,
    top: int = 4,
    travel: Travel | None = None,
) -> list[Entry]:
    """Propose places for the photos of an album.

    Parameters
    ----------
    photos : sequence of AlbumPhoto
        In order.
    locator : Locator
        Fitted on the references.
    references : References
    top : int
        Places for each photo.
    travel : Travel, optional

    Returns
    -------
    list of Entry
        One for each photo, in order; one that can't be read has an error and no place.

    Raises
    ------
    DataError
        If no photo can be read.
    """
    read = [
        looked
        for start in range(0, len(photos), _AT_ONCE)
        for looked in _look(photos[start : start + _AT_ONCE], locator)
    ]
    rows = [i for i, (_, answer) in enumerate(read) if answer is not None]
    if not rows:
        raise DataError(f"none of the {len(photos)} photos can be read: {read[0][0].error}")
    good = [photos[i] for i in rows]
    trip = smooth(
        Posterior.cat([read[i][1] for i in rows]),
        hours_between(good),
        references=references.places,
        known=[photo.known for photo in good],
        travel=travel,
    )
    radius = radius_km(trip.together, trip.together.mode().numpy())
    entries = [entry for entry, _ in read]
    for row, i in enumerate(rows):
        cities = proposals(trip, row, top)
        entries[i] = replace(entries[i], cities=cities, radius_km=float(radius[row]))
    return entries


def write_step(
    folder: Path, decisions: Path, out: Path, *, replace_gps: bool = False
) -> Iterator[str]:
    """Write the copies that a file of decisions asks for; yield what to print.

    Raises
    ------
    DataError
        As `load_decisions` and `write_copies`; at the end, if a photo could not be written.
    """
    read = load_decisions(decisions)
    done = write_copies(folder, read, out, replace_gps=replace_gps)
    for one in done:
        yield f"{one.file}: {one.copy}" if one.copy else f"{one.file}: not written"
    failed = [one for one in done if one.error]
    opened = len(read) - len(done)
    yield f"{len(done) - len(failed)} copies written, {len(failed)} not, {opened} left open."
    yield "The originals are as they were."
    if failed:
        raise DataError("\n".join(one.error for one in failed))


def entry_line(entry: Entry) -> str:
    """One photo on the screen."""
    if entry.error:
        return f"{entry.photo.name}  not located: {entry.error}"
    start = f"{entry.photo.name}  {entry.when}"
    if entry.photo.known is not None:
        return f"{start}  has GPS, near {city_text(entry.photo.known)}"
    best = entry.cities[0]
    return f"{start}  {best.weight:.0%} {place_text(best)}; 80 % within {entry.circle}"


def _look(photos: Sequence[AlbumPhoto], locator: Any) -> list[tuple[Entry, Posterior | None]]:
    """Read some photos: their entries, and the answer for each that can be read."""
    read = read_images([photo.path for photo in photos], size=READ_SIDE)
    reasons, images = iter(read.errors.values()), read.images
    good = [i for i, image in enumerate(images) if image is not None]
    answer = locator.locate([images[i] for i in good]) if good else None
    row = {photo: row for row, photo in enumerate(good)}
    out: list[tuple[Entry, Posterior | None]] = []
    for i, photo in enumerate(photos):
        if i not in row:
            reason = next(reasons).replace(os.fspath(photo.path), photo.path.name)
            out.append((Entry(photo, error=reason), None))
            continue
        digest, jpeg = sha256_of_photo(photo.path)
        one = answer[row[i]]
        entry = Entry(photo, digest, small_picture(images[i]), jpeg=jpeg)
        out.append((entry, one.top(min(_PLACES, one.support_size))))
    return out
