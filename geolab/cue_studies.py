"""Whether a network looks at the cues of a photo, and whether it needs them.

Two questions that only a world with known cues can answer.

- `pointing_table`: is the maximum of an attention map on the cue (the pointing game of Zhang et
  al., "Top-down neural attention by excitation backprop", ECCV 2016), and how much of the map lies
  there? Beside it two levels to beat: the cue's share of the picture, which a point thrown at
  random hits, and the hits of *other photos'* maps. Photographers put things in the middle, so a
  map that always points there beats the first and not the second.
- `cue_ablation`: paint the same photo without the cue and locate both. What changes was needed.

Both take photos of TinyEarth, *synthetic*, and intervals resample photographers. `pointing_game`
takes maps and masks of any origin.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from geolab.data.errors import DataError
from geolab.data.tinyearth import CUES, Scene
from geolab.data.tinyearth.cues import check_names
from geolab.encoders.attention import upsampled
from geolab.evaluation import group_labels, point_of, truth_of
from geolab.intervals import Estimate, bootstrap_means, group_index, with_interval
from geolab.metrics import errors_km, paired_difference
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from datasets import Dataset

PLACELESS = frozenset({"light"})
"""Cues that have no place to point at."""
MAX_SHARE = 0.3
"""Nor have those that fill more than this of the pictures that show them."""
MIN_PHOTOS = 5
Locate = Callable[[Sequence[Image.Image]], Posterior]
_TIE = 1e-5  # values that differ by less, relatively, are one maximum


def pointing_game(
    maps: Tensor, masks: np.ndarray, people: Sequence[object] | None = None
) -> dict[str, Any]:
    """Say how often the maximum of a map falls on a mask, and how much of the map does.

    Where several pixels share the maximum, as in a flat map, the photo counts by the part of them
    that is on the mask: no corner wins by being first.

    Parameters
    ----------
    maps : Tensor, shape (N, g, g)
        Not negative; brought to the size of the masks.
    masks : ndarray of bool, shape (N, S, S)
        Where the thing is.
    people : sequence of N labels, optional
        Photographers, for the interval.

    Returns
    -------
    dict
        In per cent: ``hit`` (an `Estimate`), ``chance`` (mean share of the masks), ``shuffled``
        (hits of the other photos' maps; NaN for one photo) and ``on_cue`` (part of the map).

    Raises
    ------
    ValueError
        If numbers differ, a map is negative, not finite or zero, or a mask is empty.

    Examples
    --------
    >>> import torch
    >>> mask = np.eye(4, dtype=bool)[None]
    >>> {k: v for k, v in pointing_game(torch.ones(1, 2, 2), mask).items() if k != "shuffled"}
    {'hit': Estimate(value=25.0, low=nan, high=nan), 'chance': 25.0, 'on_cue': 25.0}
    """
    _check_game(maps, masks)
    flat = np.asarray(masks, bool).reshape(len(masks), -1).astype(np.float32)  # -> (N, S S)
    fine = upsampled(maps.float().cpu(), masks.shape[-1]).flatten(1).numpy()  # (N, S S)
    top = fine >= fine.max(1, keepdims=True) * (1 - _TIE)
    top = (top / top.sum(1, keepdims=True)).astype(np.float32)  # weights of the maxima
    hits = 100.0 * (flat @ top.T)  # (N, N): mask i, map j
    n, own = len(flat), np.diag(hits).astype(float)
    on = 100.0 * (fine * flat).sum(1) / fine.sum(1)
    return {
        "hit": _mean(own, people),
        "chance": float(100.0 * flat.mean()),
        "shuffled": float((hits.sum() - own.sum()) / (n * (n - 1))) if n > 1 else float("nan"),
        "on_cue": float(on.mean()),
    }


def _check_game(maps: Tensor, masks: np.ndarray) -> None:
    if len(maps) != len(masks) or not len(maps):
        raise ValueError(f"{len(maps)} maps for {len(masks)} masks: give one of each per photo")
    sums = maps.double().flatten(1).sum(1)
    bad = (~sums.isfinite() | (sums <= 0) | (maps.flatten(1) < 0).any(1)).nonzero()
    if len(bad):
        raise ValueError(f"map {int(bad[0])} is negative, not finite or zero everywhere")
    empty = np.flatnonzero(~np.asarray(masks, bool).any((1, 2)))
    if len(empty):
        raise ValueError(f"mask {empty[0]} is empty: leave out photos that do not show the thing")


def cue_masks(
    photos: Dataset, cues: Collection[str] | None = None, *, size: int = 96
) -> list[dict[str, np.ndarray]]:
    """Paint where each cue of each photo of TinyEarth is.

    Parameters
    ----------
    cues : collection of str, optional
        Names of `geolab.data.tinyearth.cue_table`; all if not given.

    Returns
    -------
    list of N dicts
        Name to mask, bool (size, size), of the cues that can be seen.

    Raises
    ------
    ValueError
        If a cue is unknown.
    DataError
        If the photos are not TinyEarth's.
    """
    return _painted(photos, _masks, size, _names(cues))


def pointing_table(
    maps: Tensor, photos: Dataset, cues: Collection[str] | None = None, *, size: int = 96
) -> pd.DataFrame:
    """Play the pointing game with every cue that has a place.

    Parameters
    ----------
    maps : Tensor, shape (N, g, g)
        One for each photo.
    photos : Dataset
        Of TinyEarth.
    cues : collection of str, optional
        All if not given.

    Returns
    -------
    DataFrame
        A row for each cue, best hit first: ``n`` photos that show it, and the columns of
        `pointing_game`. Left out are cues seen in fewer than five photos, the `PLACELESS`, and
        those that fill more than `MAX_SHARE` of the pictures that show them, on average.

    Raises
    ------
    ValueError
        If there are not as many maps as photos, or a cue is unknown.
    DataError
        If the photos are not TinyEarth's.
    """
    if len(maps) != len(photos):
        raise ValueError(f"{len(maps)} maps for {len(photos)} photos")
    people = np.array(_people(photos), dtype=object)
    masks = cue_masks(photos, cues, size=size)
    lines = {}
    for name in _names(cues):
        rows = [i for i, seen in enumerate(masks) if name in seen]
        if len(rows) < MIN_PHOTOS or name in PLACELESS:
            continue
        there = np.stack([masks[i][name] for i in rows])  # (n, size, size)
        if there.mean() <= MAX_SHARE:
            lines[name] = {"n": len(rows)} | pointing_game(maps[rows], there, people[rows])
    return _sorted(lines, ("n", "hit", "chance", "shuffled", "on_cue"), by="hit", largest=True)


def cue_ablation(
    locate: Locate, photos: Dataset, cues: Collection[str] | None = None, *, size: int = 96
) -> pd.DataFrame:
    """Erase one cue after the other where it can be seen, and locate again.

    Parameters
    ----------
    locate : callable
        Photos to `Posterior`.
    cues : collection of str, optional
        Names of `geolab.data.tinyearth.cue_table`; all if not given.
    size : int
        Of the painted photos, in pixels: what the locator was trained on.

    Returns
    -------
    DataFrame
        A row for each cue seen in at least five photos, most needed first: ``n`` of them, and as
        paired `Estimate` what erasing changes: the GeoGuessr score (``score``, points; below 0 the
        cue was needed), the share within 750 km (``within_750``, per cent) and the median error
        (``median_km``; above 0 the cue was needed).

    Raises
    ------
    ValueError
        If a cue is unknown, or `locate` does not answer for every photo.
    DataError
        If the photos are not TinyEarth's.
    """
    names = _names(cues)
    truth, people = truth_of(photos), _people(photos)
    shown = _painted(photos, _without, size, names)
    plain = _errors(locate, [images[""] for images in shown], truth)
    lines = {}
    for name in names:
        rows = [i for i, images in enumerate(shown) if name in images]
        if len(rows) < MIN_PHOTOS:
            continue
        erased = _errors(locate, [shown[i][name] for i in rows], truth[rows])
        change = paired_difference(erased, plain[rows], groups=[people[i] for i in rows])
        measures = ("score", "within_750", "median_km")
        lines[name] = {"n": len(rows)} | {measure: change[measure] for measure in measures}
    return _sorted(lines, ("n", "score", "within_750", "median_km"), by="score", largest=False)


def _names(cues: Collection[str] | None) -> list[str]:
    known = [cue.name for cue in CUES]
    return known if cues is None else [name for name in known if name in check_names(set(cues))]


def _sorted(
    lines: dict[str, dict], columns: Sequence[str], *, by: str, largest: bool
) -> pd.DataFrame:
    ranked = sorted(lines, key=lambda name: lines[name][by].value, reverse=largest)
    index = pd.Index(ranked, name="cue", dtype=object)
    made = {column: [lines[name][column] for name in ranked] for column in columns}
    return pd.DataFrame(made, index=index)


def _errors(locate: Locate, images: Sequence[Image.Image], truth: np.ndarray) -> np.ndarray:
    return errors_km(point_of(locate(images)), truth)


def _people(photos: Dataset) -> list[object]:
    return group_labels(photos)[1] or list(range(len(photos)))


def _mean(values: np.ndarray, people: Sequence[object] | None) -> Estimate:
    """Mean with a 95 % interval over photographers."""
    index, n_groups = group_index(people, len(values))
    drawn = bootstrap_means(values[:, None], index, n_groups, n_boot=1000, seed=0)
    return with_interval(float(values.mean()), drawn[:, 0], n_groups)


def _painted(photos: Dataset, paint: Callable, *given: object) -> list[dict]:
    """Apply `paint` to each row, on all processors where there are many."""
    if "scene_seed" not in photos.column_names:
        raise DataError("only TinyEarth knows where its cues are: photos lack a column scene_seed")
    plain = photos.remove_columns([c for c in ("image",) if c in photos.column_names])
    n_jobs = 1 if len(plain) < 64 else os.cpu_count()
    return joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(paint)(row, *given) for row in plain)


def _masks(row: dict, size: int, names: Collection[str]) -> dict[str, np.ndarray]:
    sights = Scene.from_row(row).cues(size).items()
    return {name: sight.mask for name, sight in sights if sight.visible and name in names}


def _without(row: dict, size: int, names: Collection[str]) -> dict[str, Image.Image]:
    """Paint a photo as it is, under "", and without each of the cues that it shows."""
    scene = Scene.from_row(row)
    seen = [name for name, sight in scene.cues(size).items() if sight.visible and name in names]
    return {"": scene.street(size)} | {name: scene.street(size, without={name}) for name in seen}
