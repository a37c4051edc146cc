r"""The defence lab: what to do to a photo so that it tells less of where it was taken.

A locator reads light, ground, houses, signs, plates. Some of it can be cropped, painted over or
blurred before a photo is shown: by boxes drawn by hand, or by the exact masks of TinyEarth.

    defence_table(knn.locate, photos)        # bits and kilometres, before and after

**Localizability** (bits) is how sure a system is, the **error** how wrong. They need not move
together. TinyEarth (*synthetic*), 400 test photos, 100 neighbours in the shipped CLIP among 15,421
references, 95 % intervals over photographers:

====================== ===================== ===================== ======================
defence                bits                  median km             points lost or won
====================== ===================== ===================== ======================
none                   9.38 [9.25, 9.50]     1,566 [971, 2,290]
crop to half           -0.32 [-0.43, -0.19]  +1,158 [453, 2,200]   -476 [-662, -295]
blur signs and plates  -0.01 [-0.03, +0.01]  -15 [-302, +105]      +37 [-25, +98]
paint signs and plates -0.02 [-0.04, -0.00]  -39 [-362, +85]       +49 [-2, +103]
drop the sky           -0.20 [-0.31, -0.10]  +831 [347, 2,050]     -420 [-609, -273]
shrink to 32 px        +0.07 [-0.01, +0.15]  +379 [-191, +1,650]   -168 [-290, -29]
shrink to 16 px        -0.13 [-0.28, +0.02]  +4,308 [2,110, 5,330] -770 [-1,050, -535]
JPEG of quality 10     -0.17 [-0.28, -0.08]  +2,312 [518, 3,980]   -509 [-706, -341]
all of these, 32 px    -0.79 [-0.97, -0.60]  +3,870 [1,970, 5,410] -807 [-1,080, -606]
====================== ===================== ===================== ======================

Photos became far harder to place, and the system hardly less sure: its bits are no alarm. Hiding
words did nothing, since so small a CLIP reads none; one that reads would differ. And who knows the
defence can teach it: with copies of 3,000 references shrunk to 16 px (`defended`) among the others
the median rises by 1,330 km [418, 2,410] instead of 4,308. A defence that works here is no promise.
The one that always works: do not publish. EXIF tells the place outright and is another matter:
`geolab.data.photos.save_without_exif` writes a copy without. Notebook 19 makes these numbers.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

from geolab.data.errors import DataError
from geolab.data.tinyearth import Scene
from geolab.evaluation import group_labels, point_of, truth_of
from geolab.intervals import Estimate, bootstrap_means, group_index, with_interval
from geolab.metrics import errors_km, paired_difference, summarise
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from datasets import Dataset

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in shares of the picture, 0 to 1."""
Locate = Callable[[Sequence[Image.Image]], Posterior]
Defence = Callable[[Image.Image, Mapping[str, Any]], Image.Image]
"""Picture and, for TinyEarth's photos, the row of the data set: the picture without."""
TEXT_CUES = ("signs", "script", "plates")
_SKY = 2
_GREY = (128, 128, 128)


def cropped(image: Image.Image, share: float = 0.5) -> Image.Image:
    """Keep the middle: `share` of the width and of the height, brought to the old size.

    Raises
    ------
    ValueError
        If `share` is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, not {share}")
    width, height = image.size
    left, top = width * (1 - share) / 2, height * (1 - share) / 2
    box = (left, top, width - left, height - top)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def hidden(
    image: Image.Image,
    boxes: Sequence[Box],
    how: Literal["blur", "fill"] = "blur",
    *,
    margin: float = 0.01,
) -> Image.Image:
    """Blur boxes beyond reading, or paint them grey.

    Blurred writing of a known font can sometimes be read back; painted writing can't.

    Parameters
    ----------
    boxes : sequence of (left, top, right, bottom)
        Shares of the picture, 0 to 1, drawn by hand or of TinyEarth's cues.
    margin : float
        Added on every side, a share of the picture.

    Raises
    ------
    ValueError
        If a box is turned round or not in the picture (it is named), or `how` is unknown.

    Examples
    --------
    >>> plain = hidden(Image.new("RGB", (10, 10), "red"), [(0, 0, 0.5, 1)], "fill", margin=0)
    >>> plain.getpixel((2, 5)), plain.getpixel((8, 5))
    ((128, 128, 128), (255, 0, 0))
    """
    if how not in ("blur", "fill"):
        raise ValueError(f"how must be blur or fill, not {how!r}")
    mask = _box_mask(image.size, boxes, margin)
    largest = max((max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes), default=0.0)
    if how == "fill":
        cover = Image.new("RGB", image.size, _GREY)
    else:  # wide enough that the largest box becomes one colour
        cover = image.filter(ImageFilter.GaussianBlur(max(4.0, largest * max(image.size) / 2)))
    return Image.composite(cover, image, mask)


def without_sky(image: Image.Image, sky: np.ndarray | float) -> Image.Image:
    """Paint the sky grey.

    Parameters
    ----------
    sky : ndarray of bool (H, W), or float
        Which pixels, or the share of the height, from the top, that is sky.

    Raises
    ------
    ValueError
        If the mask has another size, or the share is not between 0 and 1.
    """
    if isinstance(sky, (int, float)):
        if not 0 <= sky <= 1:
            raise ValueError(f"the sky's share must be between 0 and 1, not {sky}")
        rows = np.arange(image.height)[:, None] < round(sky * image.height)
        sky = np.broadcast_to(rows, (image.height, image.width))
    if sky.shape != (image.height, image.width):
        raise ValueError(f"a mask of {sky.shape} for a picture of {image.height, image.width}")
    mask = Image.fromarray(sky.astype(np.uint8) * 255)
    return Image.composite(Image.new("RGB", image.size, _GREY), image, mask)


def shrunk(image: Image.Image, side: int = 32) -> Image.Image:
    """Bring the longer side to `side` pixels and back: what was finer is gone.

    Raises
    ------
    ValueError
        If `side` is less than one pixel.
    """
    if side < 1:
        raise ValueError(f"side must be at least 1 pixel, not {side}")
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image, quality: int = 10) -> Image.Image:
    """Compress as JPEG of a quality of 1 to 95, and read it back.

    Raises
    ------
    ValueError
        If it is another quality.
    """
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must be 1 to 95, not {quality}")
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def text_boxes(row: Mapping[str, Any], size: int) -> list[Box]:
    """Where signs, writing and number plates are in a photo of TinyEarth."""
    sights = Scene.from_row(row).cues(size)
    return [box for name in TEXT_CUES if name in sights for box in sights[name].boxes]


def sky_of(row: Mapping[str, Any], size: int) -> np.ndarray:
    """Sky of a photo of TinyEarth, bool (size, size)."""
    return Scene.from_row(row).surfaces(size) == _SKY


def everything(image: Image.Image, row: Mapping[str, Any]) -> Image.Image:
    """Sky and signs painted over, cropped to half, shrunk to 32 pixels and compressed."""
    bare = without_sky(image, sky_of(row, image.width))
    bare = hidden(bare, text_boxes(row, image.width), "fill")
    return as_jpeg(shrunk(cropped(bare), 32))


DEFENCES: dict[str, Defence] = {
    "crop to half": lambda image, row: cropped(image, 0.5),
    "blur signs and plates": lambda image, row: hidden(image, text_boxes(row, image.width)),
    "paint signs and plates": lambda image, row: hidden(
        image, text_boxes(row, image.width), "fill"
    ),
    "drop the sky": lambda image, row: without_sky(image, sky_of(row, image.width)),
    "shrink to 32 px": lambda image, row: shrunk(image, 32),
    "shrink to 16 px": lambda image, row: shrunk(image, 16),
    "JPEG of quality 10": lambda image, row: as_jpeg(image, 10),
    "all of these, 32 px": everything,
}
"""What `defence_table` tries. A defence for other photos may leave its second argument alone."""


def defended(photos: Dataset, defence: Defence) -> list[Image.Image]:
    """Pictures of TinyEarth's photos after a defence, at the size they have.

    Embed such references, and a system is taught by somebody who knows the defence.

    Raises
    ------
    DataError
        If the photos are not TinyEarth's.
    """
    if "scene_seed" not in photos.column_names:
        raise DataError("masks are known for TinyEarth only: photos lack a column scene_seed")
    return [defence(row["image"].convert("RGB"), row) for row in photos]


def defence_table(
    locate: Locate, photos: Dataset, defences: Mapping[str, Defence] | None = None
) -> pd.DataFrame:
    """Locate photos before and after each defence.

    Parameters
    ----------
    locate : callable
        Images to `Posterior`.
    photos : Dataset
        Of TinyEarth, none of them known to the system.
    defences : mapping, optional
        `DEFENCES` if not given.

    Returns
    -------
    DataFrame
        A row for each defence after a first for none: ``n``, ``bits`` and ``median_km``
        (`Estimate`), and as paired `Estimate` what the defence changes: ``bits_change``,
        ``km_change`` (of the median), ``score_change`` (GeoGuessr points; below 0 it protects).
        Intervals resample photographers.

    Raises
    ------
    DataError
        If the photos are not TinyEarth's.
    """
    truth, people = truth_of(photos), group_labels(photos)[1]
    plain = _measure(locate, defended(photos, lambda image, row: image), truth)
    lines = {"none": _line(plain, None, people)}
    for name, defence in (DEFENCES if defences is None else defences).items():
        after = _measure(locate, defended(photos, defence), truth)
        lines[name] = _line(after, plain, people)
    index = pd.Index(lines, name="defence", dtype=object)
    return pd.DataFrame(list(lines.values()), index=index)


def _measure(
    locate: Locate, images: Sequence[Image.Image], truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bits and error of each photo, (N,) each."""
    answer = locate(images)
    return answer.localizability().cpu().numpy(), errors_km(point_of(answer), truth)


def _line(
    now: tuple[np.ndarray, np.ndarray],
    before: tuple[np.ndarray, np.ndarray] | None,
    people: Sequence[object] | None,
) -> dict[str, Any]:
    bits, km = now
    line: dict[str, Any] = {"n": len(bits), "bits": _mean(bits, people)}
    line["median_km"] = summarise(km, groups=people)["median_km"]
    if before is None:
        nothing = Estimate(0.0, 0.0, 0.0)
        return line | dict.fromkeys(("bits_change", "km_change", "score_change"), nothing)
    change = paired_difference(km, before[1], groups=people)
    line["bits_change"] = _mean(bits - before[0], people)
    return line | {"km_change": change["median_km"], "score_change": change["score"]}


def _mean(values: np.ndarray, people: Sequence[object] | None) -> Estimate:
    index, n_groups = group_index(people, len(values))
    drawn = bootstrap_means(values[:, None], index, n_groups, n_boot=1000, seed=0)
    return with_interval(float(values.mean()), drawn[:, 0], n_groups)


def _box_mask(size: tuple[int, int], boxes: Sequence[Box], margin: float) -> Image.Image:
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for box in boxes:
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            raise ValueError(f"box {box} is not left, top, right, bottom in shares from 0 to 1")
        (w, h), m = size, margin
        draw.rectangle(((x0 - m) * w, (y0 - m) * h, (x1 + m) * w - 1, (y1 + m) * h - 1), fill=255)
    return mask
