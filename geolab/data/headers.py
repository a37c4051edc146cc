"""Open an image file as far as its header, and say plainly what it is when that fails."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import IO, Any, TypeAlias

from PIL import Image, UnidentifiedImageError

from geolab.data.errors import PhotoError

# Pillow can open more, down to PostScript; photographs need no more than these.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "HEIF")

PhotoSource: TypeAlias = "str | os.PathLike | bytes | IO[bytes] | dict[str, Any] | Image.Image"


def open_header(source: PhotoSource) -> tuple[str, Image.Image]:
    """Read an image's header and nothing more.

    Parameters
    ----------
    source
        Path, bytes, open binary file, image, or the `{"bytes", "path"}` dictionary of an undecoded
        `datasets.Image` column.

    Returns
    -------
    tuple
        Name for messages, and the image, not decoded yet. Close it unless `source` is an image.

    Raises
    ------
    PhotoError
        Missing, empty, or not an image of a known kind.
    """
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or "image", source
    name, place = _name_and_place(source)
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; the caller refuses them with their size.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return name, Image.open(place, formats=_known_formats())
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{name}: too large to open safely ({error}). Shrink it first.") from error
    except FileNotFoundError as error:
        raise PhotoError(f"{name}: no such file. Check the path.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise PhotoError(f"{name}: {_what_it_is(place, error)}") from error


def close_header(source: PhotoSource, image: Image.Image) -> None:
    """Close what `open_header` opened; an image that the caller owns stays open."""
    if image is not source:
        image.close()


def name_of(source: PhotoSource) -> str:
    """Name of a photo for messages, printable even where the file name is not UTF-8."""
    if isinstance(source, dict):
        return name_of(source.get("path") or source.get("bytes"))
    if isinstance(source, (str, os.PathLike)):
        return os.fsencode(source).decode("utf-8", "backslashreplace")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"photo of {len(source)} bytes"
    return str(getattr(source, "name", "photo"))


def _name_and_place(source: Any) -> tuple[str, Path | io.BytesIO]:
    """Name of a source, and what Pillow is to open."""
    name = name_of(source)
    if isinstance(source, dict):
        embedded, path = source.get("bytes"), source.get("path")
        if embedded is None and not path:
            raise PhotoError("a photo with neither bytes nor path; leave the row out")
        source = path if embedded is None else embedded
    if isinstance(source, (str, os.PathLike)):
        return name, Path(source)
    if hasattr(source, "read"):
        source = source.read()
    return name, io.BytesIO(source)


def _what_it_is(place: Path | io.BytesIO, error: Exception) -> str:
    """Say why bytes are no image that Pillow can open."""
    try:
        head = (place.getvalue() if isinstance(place, io.BytesIO) else place.read_bytes())[:512]
    except OSError as reason:
        return f"{reason.strerror}. Check the path and its rights."
    if not head:
        return "an empty file (0 bytes). Get the file again or leave it out."
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "a HEIC photo; pip install pillow-heif and register it, or convert it to JPEG."
    if head[:2] == b"\xff\xd8" or head[:8] == b"\x89PNG\r\n\x1a\n":
        return f"its header is cut short or damaged ({error}). Get it again or leave it out."
    if b"\x00" not in head:
        return f"text, not an image (begins {head[:20]!r}). Leave it out or correct its name."
    return "not an image of a known kind. Leave it out or convert it to JPEG."


def _known_formats() -> list[str]:
    Image.init()
    return [kind for kind in FORMATS if kind in Image.OPEN]
