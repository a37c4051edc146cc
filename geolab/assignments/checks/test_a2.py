"""Checks of assignment 2, first half: the adaptive partition, and which class a place is in."""

from __future__ import annotations

import numpy as np
import pytest

from geolab import sphere
from geolab.assignments import expect
from geolab.assignments.checks import pictures
from geolab.assignments.diagnosis import diagnose
from geolab.assignments.explain import shown, wrong
from geolab.cells import S2Partition, s2_cells
from geolab.kernels import s2_cell_ids


def crowd(seed: int, n: int = 3000) -> np.ndarray:
    """Places (n, 2) in clusters of all sizes and some far out; longitudes within 90 degrees."""
    rng = np.random.default_rng(seed)
    centre = np.column_stack([rng.uniform(-55, 65, 12), rng.uniform(-80, 80, 12)])
    which = rng.choice(12, n, p=rng.dirichlet(np.full(12, 0.6)))
    places = centre[which] + rng.normal(0, 1, (n, 2)) * rng.choice([0.05, 1, 6], (n, 1))
    return np.clip(places, -89, 89)


def right_cells(latlon: np.ndarray, t_min: int, t_max: int, start_level: int = 2) -> np.ndarray:
    """Cells of the kit's own partition, in order."""
    return np.sort(S2Partition.fit(latlon, t_min, t_max, start_level).ids)


def filled(cells: dict[int, int]) -> np.ndarray:
    """Photos (N, 2): so many in the middle of each cell."""
    ids, n = np.array(list(cells), np.uint64), list(cells.values())
    return np.repeat(s2_cells.centre(ids), n, axis=0)


def start_cells(n: int, seed: int) -> np.ndarray:
    """Cells of level 2, so many, drawn at random."""
    return np.random.default_rng(seed).choice(s2_cells.children(
        s2_cells.children(s2_cells.from_token(["1", "3", "5", "7", "9", "b"])).ravel()
    ).ravel(), n, replace=False)  # fmt: skip


def cells_of(answers, latlon: np.ndarray, *limits: int, **levels: int) -> np.ndarray:
    """Ask for a partition and see that it is a list of cells."""
    got = answers.partition(latlon.copy(), *limits, **levels)
    array = np.asarray(got if got is not None else np.nan)
    expect.numbers(array, (array.size,), "partition")
    if array.dtype.kind not in "ui" or not len(array):
        wrong(f"partition returned {array.dtype} of shape {array.shape}; it has to return cells, "
              "uint64, and there are some.")  # fmt: skip
    array = array.astype(np.uint64)
    try:
        s2_cells.level_of(array)
    except ValueError as error:
        wrong(f"partition returned what is no cell ({error}): were ids turned into float?")
    if (array[1:] < array[:-1]).any():
        wrong("The cells of partition have to be in increasing order: np.sort them at the end.")
    if len(np.unique(array)) < len(array):
        wrong("Your partition has a cell twice.")
    return array


def compare_cells(got: np.ndarray, right: np.ndarray, case: str, faults: dict) -> None:
    """Pass if both are the same; else name the fault, or the first difference.

    `faults` maps words to the cells that a fault gives, or to the arguments of `right_cells`.
    """
    if np.array_equal(got, right):
        return
    cells = (
        (w, right_cells(*x) if isinstance(x, tuple) else np.sort(x)) for w, x in faults.items()
    )
    said = next((words for words, other in cells if np.array_equal(got, other)), None)
    extra, lacking = np.setdiff1d(got, right), np.setdiff1d(right, got)
    one = f"Yours has {len(got)} cells, right are {len(right)}"
    if len(extra):
        one += f"; {named(extra[0])} should not be there"
    if len(lacking):
        one += f"; {named(lacking[0])} is missing"
    wrong(f"{said + ': ' if said else ''}{case}. {one}.",
          figure=lambda: pictures.cells_compared(got, right))  # fmt: skip


def named(cell: np.uint64) -> str:
    """Words for a cell."""
    one = np.array([cell])
    centre = shown(s2_cells.centre(one)[0].round(1))
    return f"the cell of level {s2_cells.level_of(one)[0]} at {centre}"


@pytest.mark.points(14, "a2.partition")
def test_rule_on_a_small_world(answers, seed):
    """A small world."""
    full, quiet, few, kept = start_cells(4, seed)
    child = s2_cells.children(np.array([full]))[0]
    world = {int(child[0]): 6, int(child[1]): 4, int(child[2]): 1, int(quiet): 8, int(few): 1,
             int(kept): 4}  # fmt: skip
    right = np.sort(np.array([child[0], child[1], quiet, kept], np.uint64))
    got = cells_of(answers, filled(world), 2, 10)
    everything = np.array([*child[:3], quiet, few, kept], np.uint64)
    compare_cells(got, right, "Four cells of level 2 with 11, 8, 4 and 1 photos; the first one "
                  "has 6, 4, 1 and 0 in its children, t_min = 2, t_max = 10", {
        "Your partition drops no cell": everything,
        "Your partition drops before the split but not after it": np.array(
            [*child[:3], quiet, kept], np.uint64),
        "Your partition splits no cell": np.array([full, quiet, kept], np.uint64),
        "Your partition keeps a cell although it was split": np.append(right, full),
        "Your partition splits all cells of a level where one is too full": (filled(world), 2, 3),
    })  # fmt: skip


@pytest.mark.points(5, "a2.partition")
def test_rule_at_t_min(answers, seed):
    """Exactly t_min photos."""
    edge, more = start_cells(2, seed + 1)
    got = cells_of(answers, filled({int(edge): 5, int(more): 6}), 5, 50)
    if len(got) == 2:
        wrong("Cells with 5 and 6 photos, t_min = 5: your partition keeps both. At most t_min are "
              "dropped, so 5 goes: keep where count > t_min, not >=.")  # fmt: skip
    compare_cells(got, np.array([more]), "Cells with 5 and 6 photos, t_min = 5", {
        "Your partition drops a cell that has more than t_min photos": np.array([])})  # fmt: skip


@pytest.mark.points(5, "a2.partition")
def test_rule_at_t_max(answers, seed):
    """Exactly t_max photos."""
    (edge,) = start_cells(1, seed + 2)
    child = s2_cells.children(np.array([edge]))[0]
    got = cells_of(answers, filled({int(child[0]): 10, int(child[1]): 10}), 1, 20)
    compare_cells(got, np.array([edge]), "A cell with 20 photos, t_max = 20, stays whole", {
        "Split where count > t_max, not >=": np.sort(child[:2])})  # fmt: skip


@pytest.mark.points(5, "a2.partition", seconds=10)
def test_rule_at_one_position(answers, seed):
    """Many photos at one position."""
    place = np.tile(sphere.uniform_points(1, seed).numpy(), (40, 1))
    for level in (30, 6):
        right = s2_cell_ids(place[:1, 0], place[:1, 1], level)
        got = cells_of(answers, place, 2, 10, max_level=level)
        compare_cells(got, right, f"Forty photos at one position, t_max = 10, max_level = {level}: "
                      "one cell of that level is left, and it is not split", {})  # fmt: skip


@pytest.mark.points(5, "a2.partition")
def test_rule_on_a_crowd(answers, seed):
    """Three thousand photos."""
    places = crowd(seed)
    for start in (2, 4):
        right = right_cells(places, 7, 90, start)
        got = cells_of(answers, places, 7, 90, start_level=start)
        compare_cells(got, right, f"3,000 photos, t_min = 7, t_max = 90, start_level = {start}", {
            "Your partition takes (lon, lat), but the latitude comes first":
                (places[:, ::-1], 7, 90, start),
            "Your partition does not use start_level": (places, 7, 90),
            "Your partition starts one level too deep":
                (places, 7, 90, start + 1),
            "Your partition drops fewer than t_min, and not at most t_min":
                (places, 6, 90, start),
            "Your partition splits at t_max, and not above it":
                (places, 7, 89, start),
        })  # fmt: skip


def _check_labels(answers, ids: np.ndarray, places: np.ndarray, case: str) -> None:
    right = _labels(ids, places)
    got = expect.numbers(answers.assign(ids.copy(), places.copy()), (len(places),), "assign")
    bad = got != right
    if not bad.any():
        return
    row = int(bad.argmax())
    fault = diagnose(got, right, {
        "takes (lon, lat), but the latitude comes first":
            lambda: _labels(ids, np.clip(places[:, ::-1], [-90, -180], [90, 180])),
        "gives places outside every cell the class 0; they get -1": np.where(right < 0, 0, right),
        "gives places outside every cell the last class; they get -1":
            np.where(right < 0, len(ids) - 1, right),
        "gives places outside every cell the number of classes; they get -1":
            np.where(right < 0, len(ids), right),
        "takes the cell with the nearest middle; a place lies in one cell, or in none": lambda:
            sphere.great_circle_matrix(places, s2_cells.centre(ids)).argmin(1).numpy(),
        "says -1 for all cells but those of the smallest level": lambda: _only(ids, right, min),
        "says -1 for all cells but those of the largest level": lambda: _only(ids, right, max),
        "leaves out the last cell": np.where(right == len(ids) - 1, -1, right),
        "leaves out the first cell": np.where(right == 0, -1, right),
    })  # fmt: skip
    came = f"{shown(places[row])} is in class {right[row]}, yours says {got[row]}"
    fault = fault or f"is wrong for {bad.sum()} of {len(bad)} places {case}"
    wrong(f"Your assign {fault}: {came}.",
          figure=lambda: pictures.labels_map(places, bad, ids))  # fmt: skip


def _labels(ids: np.ndarray, places: np.ndarray) -> np.ndarray:
    first, last = s2_cells.id_range(ids)
    leaf = s2_cell_ids(places[:, 0], places[:, 1], 30)
    at = np.searchsorted(first, leaf, side="right") - 1
    return np.where((at >= 0) & (leaf <= last[np.maximum(at, 0)]), at, -1)


def _only(ids: np.ndarray, label: np.ndarray, which) -> np.ndarray:
    level = s2_cells.level_of(ids)
    return np.where((label >= 0) & (level[label] == which(level)), label, -1)


@pytest.mark.points(10, "a2.assign")
def test_assign_photos(answers, seed):
    """Photos inside."""
    places = crowd(seed + 10)
    ids = right_cells(places, 7, 90)
    inside = places[_labels(ids, places) >= 0]
    _check_labels(answers, ids, inside, "inside the cells")


@pytest.mark.points(8, "a2.assign")
def test_assign_places_outside(answers, seed):
    """Places outside."""
    ids = right_cells(crowd(seed + 10), 7, 90)
    _check_labels(answers, ids, sphere.uniform_points(800, seed).numpy(), "anywhere on Earth")


@pytest.mark.points(6, "a2.dropped_share")
def test_share_of_dropped_photos(answers, seed):
    """Share in no class."""
    label = np.random.default_rng(seed).choice([-1, 0, 1, 2], 60, p=[0.3, 0.3, 0.2, 0.2])
    right = np.array((label == -1).mean())
    got = expect.numbers(answers.dropped_share(label), (), "dropped_share")
    fault = diagnose(got, right, {
        "is the share of the photos that are kept": 1 - right,
        "is in per cent": 100 * right,
        "is a count": 60 * right,
        "counts class 0, which is a class like all others": np.array((label <= 0).mean()),
    })  # fmt: skip
    if abs(got - right) > 1e-9:
        wrong(f"Your dropped_share {fault or 'is wrong'}: {(label == -1).sum()} of 60 photos with "
              f"label -1 gave {got:.6g}, it is {right:.6g}.")  # fmt: skip
