"""What ``geolab locate`` does: place a few photos by a reference set, to the nearest city.

The kit teaches how such systems work and fail; it is no service that turns a stranger's photo into
an address. So answers stop at the city: places go by the largest city within 25 km (or the nearest
of at least 15,000 people where there is none), coordinates are rounded to a tenth of a degree
before anything is printed or drawn, and the pictures on the map are made anew from pixels, without
EXIF.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geolab.cities import City, cities_of, coarse
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image


MAX_ON_MAP = 12
TINYEARTH_PHOTOS = 4000
PRIVACY = (
    "Locate only photos that are yours to locate. A photo may also carry its position in its EXIF "
    "data: geolab.data.photos.save_without_exif writes a copy without."
)


@dataclass(frozen=True)
class Located:
    """One photo with its cities, best first, or with the reason why it has none.

    `known` says that it is one of the references itself.
    """

    name: str
    cities: tuple[City, ...] = ()
    error: str = ""
    known: bool = False


@dataclass(frozen=True)
class References:
    """Which reference set answered.

    Attributes
    ----------
    name : str
        As the user gave it.
    n : int
    synthetic : bool
    files : frozenset of str
        Where its photos lie, as far as they are files.
    places : ndarray of float64, shape (n, 2), optional
        Where they were taken, in degrees.
    """

    name: str
    n: int
    synthetic: bool
    files: frozenset[str] = frozenset()
    places: np.ndarray | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """Say what the answers rest on, as the command prints it."""
        kind = "synthetic (rendered)" if self.synthetic else "real"
        text = f"Reference set: {self.name}, {self.n:,} {kind} photos."
        if self.synthetic:
            text += " A real photo has no counterpart in it: take the answer as an exercise."
        return text + " An answer is only as good as that set: no place outside it can be named."


def fit_references(
    reference: str, locator: str = "im2gps", *, n: int | None = None, seed: int = 0
) -> tuple[Any, References]:
    """Load a reference set and fit a locator on it.

    Parameters
    ----------
    reference : str
        As `geolab.data.load` takes it.
    locator : str
        A name that `geolab.locators.table_systems` knows.
    n : int, optional
        Photos to take of it: `TINYEARTH_PHOTOS` of TinyEarth, all of anything else if not given.

    Raises
    ------
    ValueError
        If either is unknown, or the set is too small.
    """
    from datasets import Image as ImageColumn

    from geolab.data.loading import load
    from geolab.evaluation import truth_of
    from geolab.locators.table_systems import fit_locator

    synthetic = reference == "tinyearth"
    photos = load(reference, n=n or (TINYEARTH_PHOTOS if synthetic else None), seed=seed)
    cells = photos.cast_column("image", ImageColumn(decode=False))["image"]
    files = frozenset(os.path.realpath(cell["path"]) for cell in cells if cell["path"])
    said = References(reference, len(photos), synthetic, files, truth_of(photos))
    return fit_locator(locator, photos, seed), said


def locate_photos(
    paths: Sequence[str | os.PathLike[str]],
    locator: Any,
    references: References,
    *,
    top: int = 5,
    map_path: str | os.PathLike[str] | None = None,
) -> list[Located]:
    """Place photos and, if asked, draw the answers.

    A photo that cannot be read is reported in its place; it never ends the run.

    Parameters
    ----------
    paths : sequence of paths
    locator : Locator
        Fitted on the reference set.
    references : References
        What it was fitted on, for the map's title.
    top : int
        Cities for each photo.
    map_path : path, optional
        A .png file; written whole or not at all.

    Returns
    -------
    list of Located
        One for each path, in order.

    Raises
    ------
    ValueError
        If `top` is not positive or the map is no .png; nothing is read before.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    if map_path is not None and Path(map_path).suffix.lower() != ".png":
        raise ValueError(f"{map_path}: the map is a picture; give it a name that ends in .png")
    from geolab.data.photos import read_images

    read = read_images([os.fspath(path) for path in paths])
    readable = [i for i, image in enumerate(read.images) if image is not None]
    answer = None
    if readable:
        answer = coarse(locator.locate([read.images[i] for i in readable]))
    reasons = iter(read.errors.values())  # in the order of the photos that failed
    rows = {photo: row for row, photo in enumerate(readable)}
    located = [
        Located(
            _shown(path),
            cities_of(answer[rows[i]], top),
            known=os.path.realpath(path) in references.files,
        )
        if i in rows
        else Located(_shown(path), error=next(reasons))
        for i, path in enumerate(paths)
    ]
    if map_path is not None and answer is not None:
        import matplotlib.pyplot as plt

        from geolab.figures.style import save_figure

        names = [_shown(paths[i]) for i in readable]
        pictures = [read.images[i] for i in readable]
        figure = draw_answers(names, pictures, answer, synthetic=references.synthetic)
        save_figure(figure, map_path)
        plt.close(figure)
    return located


def _shown(path: str | os.PathLike[str]) -> str:
    """Name of a photo that any terminal can print; the folder is nobody's business."""
    return os.fsencode(Path(path).name).decode("utf-8", "backslashreplace")


def draw_answers(
    names: Sequence[str],
    pictures: Sequence[Image.Image],
    answer: Posterior,
    *,
    synthetic: bool,
) -> Figure:
    """One line a photo: the picture, small, and where it may be. At most `MAX_ON_MAP` photos."""
    import matplotlib.pyplot as plt

    from geolab.data.photos import thumbnail
    from geolab.maps import heat_map, world

    n = min(len(names), MAX_ON_MAP)
    figure, axes = plt.subplots(
        n, 2, figsize=(12, 4.2 * n), width_ratios=[1, 2.4], squeeze=False, layout="constrained"
    )
    for row, (left, right) in enumerate(axes):
        left.imshow(np.asarray(thumbnail(pictures[row], 320)))
        left.set_title(names[row], parse_math=False)
        left.axis("off")
        heat_map(answer[row], world(right), title="Where it may be", synthetic=synthetic)
    return figure


def lines(located: Sequence[Located], references: References) -> list[str]:
    """What the command prints."""
    out = []
    for photo in located:
        out.append(photo.name)
        out += [f"  not located: {photo.error}"] if photo.error else []
        out += [f"  {city}" for city in photo.cities]
        out += ["  This photo is one of the references: finding it is no feat."] * photo.known
    failed = sum(bool(photo.error) for photo in located)
    if failed:
        out.append(f"{failed} of {len(located)} photos could not be read.")
    return [*out, "", str(references), PRIVACY]
