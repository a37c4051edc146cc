"""Split photos into train and test so that nothing leaks from one to the other.

Two photos of one street corner, or of one person's afternoon, are nearly the same photo: with one
in train and the other in test, memory passes for skill. So photos are first bound into groups:

- **place**: within `min_km` of each other by great circle, directly or through others between them;
- **photographer**, **source**, **sequence**, or any column: the same value.

The bindings are joined (connected components of one graph), and whole groups are dealt out. The
same seed gives the same split, whatever the order of the rows.

Where many photographers meet at the same sights, all of them end in one huge group, and test gets
only what nobody else photographed. `drop_near=True` is the way out, and im2gps's own: deal out the
photographers alone, then leave those train photos out that lie near a test photo.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from geolab.data.errors import DataError, DataWarning, LeakageError
from geolab.sphere import EARTH_RADIUS_KM, great_circle_km, to_unit

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

FRACTIONS = MappingProxyType({"train": 0.8, "test": 0.2})
MAX_PAIRS = 20_000_000
MAX_SHOWN = 5


def split_by(
    photos: Dataset,
    *,
    by: Sequence[str] = ("place", "photographer"),
    fractions: Mapping[str, float] = FRACTIONS,
    seed: int = 0,
    min_km: float = 1.0,
    drop_near: bool = False,
) -> DatasetDict:
    """Split without leakage.

    Parameters
    ----------
    photos
        With `id`, `latitude`, `longitude` and the columns named in `by`.
    by
        "place" and/or names of columns; empty values bind nothing.
    fractions
        Name of each part and its share of the photos; shares sum to 1.
    seed
        Decides where the groups go, but for those few that hold over 2 % of the photos each.
    min_km
        Photos of different parts are farther apart than this, when `by` holds "place".
    drop_near
        Do not bind by place; instead leave photos out that lie within `min_km` of a later part
        (train loses to test). Every part is then a fair sample, and the first one is smaller.

    Returns
    -------
    datasets.DatasetDict
        Parts in the order of `fractions`, rows in their old order. A warning tells when a part
        misses its share by more than a quarter, or one group holds over half of all photos.

    Raises
    ------
    DataError
        Missing column, bad fractions, or groups too few or too large to fill every part.
    """
    from datasets import DatasetDict

    shares = _check_fractions(fractions)
    _check_by(photos, by)
    bound = tuple(name for name in by if name != "place") if drop_near else tuple(by)
    groups = group_photos(photos, by=bound, min_km=min_km) if bound else np.arange(len(photos))
    parts = _deal(groups, [str(i) for i in photos["id"]], shares, seed)
    sizes = np.bincount(parts, minlength=len(shares))
    _check_sizes(sizes, shares, list(fractions), groups, bound or by)
    if drop_near and "place" in by:
        parts = _drop_near(photos, parts, min_km)
    split = DatasetDict(
        {name: photos.select(np.flatnonzero(parts == k)) for k, name in enumerate(fractions)}
    )
    names = list(split)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert_no_leakage(split[one], split[other], by=by, min_km=min_km)
    return split


def group_photos(
    photos: Dataset, *, by: Sequence[str] = ("place", "photographer"), min_km: float = 1.0
) -> np.ndarray:
    """Group of each photo, (N,) int64: photos of one group must stay together.

    Raises
    ------
    DataError
        `by` is empty or names a column that is not there.
    """
    _check_by(photos, by)
    n = len(photos)
    edges = [np.empty((0, 2), np.int64)]
    for name in by:
        edges.append(_near_pairs(photos, min_km) if name == "place" else _same_value(photos, name))
    pairs = np.concatenate(edges)  # (E, 2)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def assert_no_leakage(
    train: Dataset,
    test: Dataset,
    *,
    by: Sequence[str] = ("place", "photographer"),
    min_km: float = 1.0,
) -> None:
    """Raise if two sets share an id, a value of a column in `by`, or a place within `min_km`.

    Raises
    ------
    LeakageError
        Names the ids of the offending photos, and for places how far apart they are.
    """
    _check_by(train, by)
    _check_by(test, by)
    _refuse_shared("id", train["id"], test["id"], test["id"])
    for name in by:
        if name != "place":
            _refuse_shared(name, train[name], test[name], test["id"])
    if "place" not in by or not len(train) or not len(test):
        return
    _, nearest = cKDTree(_unit(train)).query(_unit(test))
    km = great_circle_km(_latlon(test), _latlon(train)[nearest]).numpy()
    bad = np.flatnonzero(km <= min_km)
    if len(bad):
        ids, of = test["id"][:], train["id"][:]
        pairs = [f"{ids[i]} and {of[nearest[i]]} ({km[i]:.3f} km)" for i in bad[:MAX_SHOWN]]
        raise LeakageError(
            f"{len(bad)} test photos lie within {min_km:g} km of a train photo: "
            f"{'; '.join(pairs)}. Fix: split again with split_by(..., min_km={min_km:g})"
        )


def _drop_near(photos: Dataset, parts: np.ndarray, min_km: float) -> np.ndarray:
    """Part of each photo, -1 where it lies within `min_km` of a photo of a later part."""
    xyz, kept = _unit(photos), parts.copy()
    for k in range(parts.max(), 0, -1):
        later, earlier = np.flatnonzero(kept == k), np.flatnonzero((kept >= 0) & (kept < k))
        chord, _ = cKDTree(xyz[later]).query(xyz[earlier])
        kept[earlier[chord <= _chord(min_km)]] = -1
    return kept


def _chord(km: float) -> float:
    """Straight line on the unit sphere for a great-circle distance; 6 um are added for rounding."""
    if not 0 <= km < 10_000:
        raise DataError(f"min_km = {km}; it must lie in 0..10000")
    return 2 * math.sin(km / (2 * EARTH_RADIUS_KM)) + 1e-12


def _latlon(photos: Dataset) -> np.ndarray:
    """Places (N, 2) in degrees, float64; refuses a photo without one."""
    latlon = np.stack([photos["latitude"][:], photos["longitude"][:]], axis=1).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(latlon).all(axis=1))
    if len(bad):
        raise DataError(f"photo {photos['id'][int(bad[0])]!r} has no position; leave it out first")
    return latlon


def _unit(photos: Dataset) -> np.ndarray:
    """Unit vectors (N, 3), float64."""
    return to_unit(_latlon(photos)).numpy()


def _near_pairs(photos: Dataset, min_km: float) -> np.ndarray:
    """Pairs (E, 2) that connect all photos within `min_km`, directly or through others."""
    xyz, chord = _unit(photos), _chord(min_km)
    tree = cKDTree(xyz)
    if tree.count_neighbors(tree, chord) <= MAX_PAIRS:
        return tree.query_pairs(chord, output_type="ndarray").astype(np.int64)
    # Too dense to list: bind what shares a small cube, then cubes that may hold a near pair. This
    # may bind photos up to 43 % farther apart than min_km; it never lets a nearer pair go.
    edge = chord / 8
    cubes, cube_of = np.unique(np.floor(xyz / edge).astype(np.int64), axis=0, return_inverse=True)
    cube_of = cube_of.reshape(-1)  # (N,) in every numpy
    first = np.full(len(cubes), len(xyz))
    np.minimum.at(first, cube_of, np.arange(len(xyz)))
    inside = np.stack([np.arange(len(xyz)), first[cube_of]], axis=1)
    across = cKDTree((cubes + 0.5) * edge).query_pairs(
        chord + math.sqrt(3) * edge, output_type="ndarray"
    )
    return np.concatenate([inside, first[across]])


def _same_value(photos: Dataset, name: str) -> np.ndarray:
    """Pairs (E, 2) that chain the photos with one value; empty values bind nothing."""
    last: dict[str, int] = {}
    pairs = []
    for row, value in enumerate(photos[name][:]):
        if value in (None, ""):
            continue
        if value in last:
            pairs.append((last[value], row))
        last[value] = row
    return np.array(pairs, np.int64).reshape(-1, 2)  # (E, 2), also when E = 0


def _deal(groups: np.ndarray, ids: list[str], shares: np.ndarray, seed: int) -> np.ndarray:
    """Part of each photo, (N,).

    The few groups above 2 % of all photos go first, by size, each to the part that lacks most: only
    so do the shares come out. The others follow in an order drawn by the seed, each to the part
    that lacks most for its share, so that every part gets large and small ones alike.
    """
    key: dict[int, str] = {}
    for group, photo in zip(groups.tolist(), ids, strict=True):
        key[group] = min(key.get(group, photo), photo)
    sizes = np.bincount(groups)
    drawn = {g: hashlib.sha256(f"{seed} {photo}".encode()).hexdigest() for g, photo in key.items()}
    lacking = shares * len(groups)
    part_of = np.empty(len(sizes), np.int64)
    large = sizes > 0.02 * len(groups)
    for group in sorted(drawn, key=lambda g: (-sizes[g] * large[g], drawn[g])):
        need = lacking if large[group] else lacking / shares
        part_of[group] = int(np.argmax(need))
        lacking[part_of[group]] -= sizes[group]
    return part_of[groups]


def _check_fractions(fractions: Mapping[str, float]) -> np.ndarray:
    shares = np.array(list(fractions.values()), float)
    if len(shares) < 2 or (shares <= 0).any() or abs(shares.sum() - 1) > 1e-9:
        raise DataError(
            f"fractions {dict(fractions)} must name two or more parts with shares that sum to 1"
        )
    return shares


def _check_by(photos: Dataset, by: Sequence[str]) -> None:
    if isinstance(by, str) or not by:
        raise DataError(f'by = {by!r}; give a tuple such as ("place", "photographer")')
    missing = [name for name in by if name != "place" and name not in photos.column_names]
    if missing:
        raise DataError(
            f"no column {missing[0]!r} among {', '.join(photos.column_names)}. "
            f"Fix: by={tuple(name for name in by if name not in missing) or ('place',)}"
        )


def _check_sizes(
    sizes: np.ndarray, shares: np.ndarray, names: list[str], groups: np.ndarray, by: Sequence[str]
) -> None:
    largest = np.sort(np.bincount(groups))[::-1]
    told = (
        f"{len(groups)} photos fall into {len(largest)} groups by {', '.join(by)}; the largest "
        f"hold {', '.join(map(str, largest[:MAX_SHOWN]))}"
    )
    dealt = ", ".join(f"{name} {size}" for name, size in zip(names, sizes, strict=True))
    fix = 'Fix: drop_near=True, or bind by less such as by=("place",), or lower min_km'
    if (sizes == 0).any():
        raise DataError(f"no split without leakage: {told}. Parts: {dealt}. {fix}")
    wanted = shares * len(groups)
    if (np.abs(sizes - wanted) > 0.25 * wanted + 1).any():
        warnings.warn(f"uneven split ({dealt}): {told}. {fix}", DataWarning, stacklevel=3)
    elif largest[0] > len(groups) / 2:
        lopsided = f"the other parts get only what is not bound to it ({dealt})"
        warnings.warn(f"{told}; {lopsided}. {fix}", DataWarning, stacklevel=3)


def _refuse_shared(
    name: str, train: Sequence[object], test: Sequence[object], test_ids: Sequence[str]
) -> None:
    known = set(train[:]) - {None, ""}
    bad = [(i, value) for i, value in zip(test_ids[:], test[:], strict=True) if value in known]
    if bad:
        shown = "; ".join(f"{i} ({name} {value!r})" for i, value in bad[:MAX_SHOWN])
        raise LeakageError(
            f"{len(bad)} test photos share their {name} with train: {shown}. "
            f'Fix: split again with split_by(..., by including "{name}"), or drop them'
        )
