"""Read photographs of any origin as plain RGB, and write them without what they tell in secret.

`read_photo` gives pixels and nothing else: orientation applied, 8-bit sRGB, no EXIF attached. What
can't be read whole raises a `PhotoError` that names the file; nothing is padded with grey.

`read_gps` and `read_date` read the header only. A photo's EXIF can hold the place to a metre, the
time and the serial number of the camera: `save_without_exif` and `thumbnail` carry none of it.

| stored as | read as |
| --- | --- |
| EXIF orientation 2..8 | turned upright |
| transparency (RGBA, LA, palette) | over white |
| 16-bit grey | scaled to 8 bits; 16-bit RGB likewise (by Pillow) |
| CMYK, other colour profiles | sRGB by the embedded profile, else Pillow's plain conversion |
| animation, multi-page | the first frame |
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile

from geolab.data.errors import PhotoError
from geolab.data.exif import read_date, read_gps
from geolab.data.headers import PhotoSource, close_header, name_of, open_header
from geolab.data.storage import write_atomic

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "Photos",
    "PhotoError",
    "read_date",
    "read_gps",
    "read_images",
    "read_photo",
    "save_without_exif",
    "thumbnail",
]

MAX_PIXELS = 64_000_000
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Photos:
    """What `read_images` returns.

    Attributes
    ----------
    images
        One RGB image a row, None where the photo could not be read.
    errors
        Photo id -> what is wrong with it.
    """

    images: list[Image.Image | None]
    errors: dict[str, str]


def read_photo(source: PhotoSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one photo.

    Parameters
    ----------
    source
        Path, bytes, open binary file, image, or the `{"bytes", "path"}` dictionary of an undecoded
        `datasets.Image` column.
    max_pixels
        Largest width x height; checked from the header, before anything is decoded.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, 8 bits, upright, without metadata.

    Raises
    ------
    PhotoError
        Missing, empty, not an image, cut short, too large, or of a kind that can't be shown.
    """
    name, opened = open_header(source)
    try:
        _check_size(name, opened.size, max_pixels)
        with _strict_decoding():
            opened.load()
        return _plain(_to_rgb(_upright(opened), name))
    except PhotoError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, MemoryError) as error:
        raise PhotoError(
            f"{name}: cut short or damaged ({error}). Get the file again or leave it out."
        ) from error
    finally:
        close_header(source, opened)


def read_images(
    photos: Dataset | Iterable[PhotoSource],
    *,
    size: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Photos:
    """Read many photos; one bad photo never ends the run.

    Parameters
    ----------
    photos
        Data set with an `image` column (and `id`), or paths, bytes or images.
    size
        If given, each photo is shrunk so that its longer side has at most this many pixels.
    max_pixels
        As for `read_photo`.

    Returns
    -------
    Photos
        As many images as photos; None, and an entry in `errors`, for each that failed. Photos that
        come without an id are called by their position and name.
    """
    ids, sources = _ids_and_sources(photos)
    images: list[Image.Image | None] = []
    errors: dict[str, str] = {}
    for photo_id, source in zip(ids, sources, strict=True):
        try:
            image = read_photo(source, max_pixels=max_pixels)
            images.append(image if size is None else thumbnail(image, size))
        except PhotoError as error:
            images.append(None)
            errors[photo_id] = str(error)
    return Photos(images, errors)


def thumbnail(image: PhotoSource, size: int) -> Image.Image:
    """Shrink a photo to at most `size` pixels on its longer side; RGB, without metadata."""
    small = read_photo(image)
    small.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return small


def save_without_exif(image: PhotoSource, path: str | os.PathLike, *, quality: int = 90) -> Path:
    """Write a copy that holds pixels and nothing else.

    EXIF (with GPS and its preview picture), XMP, IPTC, comments and text chunks are gone, because
    the file is encoded anew from bare pixels. What can be seen in the picture stays.

    Parameters
    ----------
    image
        As for `read_photo`.
    path
        Ends in .jpg, .jpeg, .png or .webp; written whole or not at all.
    quality
        For JPEG and WebP, 1..95.

    Raises
    ------
    PhotoError
        The photo can't be read, the ending is another one, or `path` is the photo itself: an
        original is never lost.
    """
    path = Path(path)
    if isinstance(image, (str, os.PathLike)) and path.exists() and path.samefile(image):
        raise PhotoError(f"{path}: is the original. Give the copy another name.")
    kinds = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise PhotoError(f"{path}: can't write {path.suffix!r}; use {', '.join(kinds)}")
    buffer = io.BytesIO()
    read_photo(image).save(buffer, kind, quality=quality)
    return write_atomic(path, buffer.getvalue())


def _check_size(name: str, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PhotoError(
            f"{name}: {width} x {height} pixels, more than the limit of {max_pixels:,}. "
            "Shrink it, or raise max_pixels if you trust it."
        )
    if min(size) < 1:
        raise PhotoError(f"{name}: {width} x {height} pixels; leave it out")


@contextlib.contextmanager
def _strict_decoding() -> Iterator[None]:
    # Other libraries switch Pillow's grey padding of cut files on; here it must be off.
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation asks."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):
        return image  # a damaged header costs the orientation, not the photo
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Any mode to RGB."""
    if image.mode.startswith("I"):
        image = _from_integers(image)
    if image.mode == "F":
        raise PhotoError(f"{name}: holds floating-point values, not colours. Save it as 8 bits.")
    if image.info.get("icc_profile") and image.mode in ("RGB", "CMYK", "L"):
        image = _by_profile(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)  # (H, W)
    # Pillow gives 16-bit grey as I;16 or as I, by version; I may also hold plain bytes.
    if image.mode != "I" or values.max(initial=0) > 255:
        values = values // 257
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _by_profile(image: Image.Image) -> Image.Image:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return image
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a damaged profile costs some colour, not the photo


def _plain(image: Image.Image) -> Image.Image:
    bare = Image.new("RGB", image.size)  # a copy would keep comments and profiles in `.info`
    bare.paste(image)
    return bare


def _ids_and_sources(photos: Any) -> tuple[list[str], Sequence[PhotoSource]]:
    if hasattr(photos, "column_names"):
        import datasets

        undecoded = photos.cast_column("image", datasets.Image(decode=False))
        rows = undecoded["image"][:]
        ids = photos["id"][:] if "id" in photos.column_names else range(len(rows))
        return [str(photo_id) for photo_id in ids], rows
    sources = list(photos)
    return [f"{i}: {name_of(source)}" for i, source in enumerate(sources)], sources
