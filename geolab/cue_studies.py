"""Whether a network looks at the cues of a photo, and whether it needs them.

Two questions that only a world with known cues can answer.

- `pointing_table`: is the maximum of an attention map on the cue (the pointing game of Zhang et
  al., "Top-down neural attention by excitation backprop", ECCV 2016), and how much of the map lies
  there? Beside it what a map without any idea would reach: the cue's share of the picture.
- `cue_ablation`: paint the same photo without the cue and locate both. What changes was needed.

Both take photos of TinyEarth, *synthetic*, and intervals resample photographers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from geolab.data.errors import DataError
from geolab.data.tinyearth import CUES, Scene
from geolab.encoders.attention import upsampled
from geolab.evaluation import group_labels, point_of, truth_of
from geolab.intervals import Estimate, bootstrap_means, group_index, with_interval
from geolab.metrics import errors_km, geoguessr_score
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from datasets import Dataset

MAX_SHARE = 0.2
"""Cues that fill more of a picture have no place to point at: light, ground, sky."""
MIN_PHOTOS = 5
Locate = Callable[[Sequence[Image.Image]], Posterior]


def pointing_table(maps: Tensor, photos: Dataset, *, size: int = 96) -> pd.DataFrame:
    """Play the pointing game with every cue that has a place.

    Parameters
    ----------
    maps : Tensor, shape (N, g, g)
        One for each photo, each sums to 1.
    photos : Dataset
        Of TinyEarth.

    Returns
    -------
    DataFrame
        A row for each cue, seen in at least five photos: ``n``, and in per cent ``hit`` (an
        `Estimate`), ``chance`` and ``on_cue``, the part of the map on the cue.

    Raises
    ------
    ValueError
        If there are not as many maps as photos.
    """
    if len(maps) != len(photos):
        raise ValueError(f"{len(maps)} maps for {len(photos)} photos")
    fine = upsampled(maps, size).flatten(1).numpy()  # (N, size size)
    fine = fine / fine.sum(1, keepdims=True)
    peak = fine.argmax(1)
    people = _people(photos)
    found: dict[str, list[tuple[int, float, float, float]]] = {}
    for row, masks in enumerate(_painted(photos, _masks, size)):
        for name, mask in masks.items():
            flat = mask.ravel()
            if 0 < flat.mean() <= MAX_SHARE:
                said = (
                    row,
                    100.0 * flat[peak[row]],
                    100 * flat.mean(),
                    100 * fine[row][flat].sum(),
                )
                found.setdefault(name, []).append(said)
    lines = []
    for name, said in found.items():
        if len(said) >= MIN_PHOTOS:
            rows, hit, chance, on = (np.array(column) for column in zip(*said, strict=True))
            mean = _mean(hit, [people[int(r)] for r in rows])
            lines.append((name, len(said), mean, chance.mean(), on.mean()))
    made = pd.DataFrame(lines, columns=["cue", "n", "hit", "chance", "on_cue"]).set_index("cue")
    return made.iloc[np.argsort([-e.value for e in made["hit"]], kind="stable")]


def cue_ablation(
    locate: Locate, photos: Dataset, cues: Sequence[str] | None = None, *, size: int = 96
) -> pd.DataFrame:
    """Erase one cue after the other where it can be seen, and locate again.

    Parameters
    ----------
    locate : callable
        Photos to `Posterior`.
    cues : sequence of str, optional
        Names of `geolab.data.tinyearth.cue_table`; all if not given.

    Returns
    -------
    DataFrame
        A row for each cue: ``n`` photos that show it, and as `Estimate` the change of the
        GeoGuessr score (``score``, points; below 0 the cue was needed) and of the share within
        750 km (``within_750``, per cent).

    Raises
    ------
    ValueError
        If a cue is unknown.
    """
    names = [cue.name for cue in CUES] if cues is None else list(cues)
    truth, people = truth_of(photos), _people(photos)
    shown = _painted(photos, _without, size, names)
    plain = _errors(locate, [images[""] for images in shown], truth)
    lines = []
    for name in names:
        rows = [i for i, images in enumerate(shown) if name in images]
        if len(rows) < MIN_PHOTOS:
            continue
        erased = _errors(locate, [shown[i][name] for i in rows], truth[rows])
        groups = [people[i] for i in rows]
        score = _mean(geoguessr_score(erased) - geoguessr_score(plain[rows]), groups)
        near = _mean(100.0 * (erased <= 750) - 100.0 * (plain[rows] <= 750), groups)
        lines.append((name, len(rows), score, near))
    made = pd.DataFrame(lines, columns=["cue", "n", "score", "within_750"]).set_index("cue")
    return made.iloc[np.argsort([e.value for e in made["score"]], kind="stable")]


def _errors(locate: Locate, images: Sequence[Image.Image], truth: np.ndarray) -> np.ndarray:
    return errors_km(point_of(locate(images)), truth)


def _people(photos: Dataset) -> list[object]:
    return group_labels(photos)[1] or list(range(len(photos)))


def _mean(values: np.ndarray, groups: Sequence[object]) -> Estimate:
    """Mean with a 95 % interval over photographers."""
    index, n_groups = group_index(groups, len(values))
    drawn = bootstrap_means(
        np.asarray(values, float)[:, None], index, n_groups, n_boot=1000, seed=0
    )
    return with_interval(float(np.mean(values)), drawn[:, 0], n_groups)


def _painted(photos: Dataset, paint: Callable, *given: object) -> list[dict]:
    """Apply `paint` to each row, on all processors where there are many."""
    if "scene_seed" not in photos.column_names:
        raise DataError("only TinyEarth knows where its cues are: photos lack a column scene_seed")
    plain = photos.remove_columns([c for c in ("image",) if c in photos.column_names])
    n_jobs = 1 if len(plain) < 64 else os.cpu_count()
    return joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(paint)(row, *given) for row in plain)


def _masks(row: dict, size: int) -> dict[str, np.ndarray]:
    return {name: sight.mask for name, sight in Scene.from_row(row).cues(size).items()}


def _without(row: dict, size: int, names: Sequence[str]) -> dict[str, Image.Image]:
    """Paint a photo as it is, under "", and without each of the cues that it shows."""
    scene = Scene.from_row(row)
    seen = [name for name, sight in scene.cues(size).items() if sight.visible and name in names]
    unknown = [name for name in names if name not in {cue.name for cue in CUES}]
    if unknown:
        raise ValueError(f"no cue {unknown[0]!r}; see geolab.data.tinyearth.cue_table()")
    return {"": scene.street(size)} | {name: scene.street(size, without={name}) for name in seen}
