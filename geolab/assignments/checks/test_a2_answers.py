"""Checks of assignment 2, second half: what classes answer, and heat maps to points."""

from __future__ import annotations

import numpy as np
import pytest

from geolab import metrics, sphere
from geolab.assignments import expect
from geolab.assignments.checks import pictures
from geolab.assignments.diagnosis import diagnose
from geolab.assignments.explain import km, shown, wrong


def _means(latlon: np.ndarray, label: np.ndarray, n: int) -> np.ndarray:
    each = [sphere.spherical_mean(latlon[label == c]).numpy() for c in range(n)]
    return np.stack(each)


def _check_means(answers, places: np.ndarray, label: np.ndarray, n: int, case: str) -> None:
    right = _means(places, label, n)
    got = expect.numbers(answers.photo_means(places.copy(), label.copy(), n), (n, 2), "photo_means")
    off = sphere.great_circle_km(np.clip(got, -360, 360), right).numpy()
    if off.max() < 0.01:
        return
    row = int(off.argmax())
    plain = np.stack([places[label == c].mean(axis=0) for c in range(n)])
    last = np.stack([places[label == c][-1] for c in range(n)])
    everyone = np.where(label < 0, n - 1, label)
    fault = diagnose(got, right, {
        "takes the mean of the degrees: sum unit vectors": plain,
        "has only the last photo of each class: `total[index] += x` adds one of equal indices, "
        "np.add.at adds all": last,
        "adds the photos without a class (-1) to the last class: leave them out":
            lambda: _means(places, everyone, n),
        "returns (lon, lat)": right[:, ::-1],
    }, rtol=0, atol=1e-6)  # fmt: skip
    came = f"the mean of class {row} {case} came out {km(off[row])} away from {shown(right[row])}"
    wrong(f"Your photo_means {fault}: {came}." if fault else came.capitalize() + ".",
          figure=lambda: pictures.mean_map(places[label == row], got[row], right[row]))  # fmt: skip


@pytest.mark.points(6, "a2.photo_means")
def test_means_of_classes(answers, seed):
    """Classes of photos."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(200) % 6)
    places = np.array([[10, 10], [55, 30], [-30, 60], [60, -40], [0, -70], [35, 80]])[label]
    _check_means(answers, places + rng.normal(0, 6, (200, 2)), label, 6, "of photos")


@pytest.mark.points(5, "a2.photo_means")
def test_means_leave_out_photos_without_a_class(answers, seed):
    """Photos in no class."""
    rng = np.random.default_rng(seed)
    label = np.append([0, 1, 2], rng.integers(-1, 3, 60))
    places = np.array([[10, 10], [50, 20], [-30, 60], [70, -100]])[label] + rng.normal(
        0, 2, (63, 2)
    )
    _check_means(answers, places, label, 3, "beside photos without a class")


@pytest.mark.points(3, "a2.photo_means")
def test_means_across_the_date_line(answers, seed):
    """A class across the date line."""
    rng = np.random.default_rng(seed)
    places = np.column_stack([rng.uniform(-20, -14, 30), rng.uniform(176, 184, 30)])
    places[:, 1] = (places[:, 1] + 180) % 360 - 180
    _check_means(answers, places, np.zeros(30, int), 1, "across the date line")


@pytest.mark.points(7, "a2.ceiling")
def test_ceiling_of_photos(answers, seed):
    """A perfect classifier."""
    rng = np.random.default_rng(seed)
    places = sphere.uniform_points(7, seed).numpy()
    label = rng.integers(0, 7, 150)
    away = 10 ** rng.uniform(-1, 3.8, 150)
    photos = sphere.destination(places[label], rng.uniform(0, 360, 150), away).numpy()
    thresholds = np.array(metrics.THRESHOLDS_KM, float)
    right = 100 * (metrics.errors_km(places[label], photos)[:, None] <= thresholds).mean(axis=0)
    got = answers.ceiling(photos, label, places, thresholds)
    got = expect.numbers(got, (5,), "ceiling", given="five thresholds")
    row = expect.worst(got, right, atol=1e-6)
    if row is None:
        return
    fault = diagnose(got, right, {
        "returns shares: multiply by 100": right / 100,
        "counts the photos beyond the threshold": 100 - right,
    })  # fmt: skip
    came = f"within {km(thresholds[row])} are {right[row]:.2f} %, yours says {got[row]:.6g}"
    wrong(f"Your ceiling {fault}: {came}." if fault else f"{came.capitalize()}.")


@pytest.mark.points(5, "a2.ceiling")
def test_ceiling_counts_photos_outside(answers):
    """Photos outside every cell."""
    places = np.array([[10.0, 10.0], [50.0, 20.0]])
    photos = np.array([[10.0, 10.0], [50.0, 20.0], [50.0, 20.0], [50.0, 20.0], [-40.0, 100.0]])
    got = answers.ceiling(photos, np.array([0, 1, -1, 1, -1]), places, np.array([25.0]))
    got = expect.numbers(got, (1,), "ceiling", given="photos with label -1")
    if np.allclose(got, 60):
        return
    fault = {
        100: "leaves photos outside every cell out of the count; they are misses and stay in n",
        80: "gives photos with label -1 the answer of the last cell: places[-1] is a place too",
    }
    named = fault.get(round(float(got[0])), "is wrong for photos outside every cell")
    wrong(f"Your ceiling {named}: five photos, three at their cell's place and two in no cell, "
          f"gave {got[0]:.6g} %, it is 60.")  # fmt: skip


@pytest.mark.points(5, "a2.softmax")
def test_softmax_of_logits(answers, seed):
    """Probabilities."""
    logits = np.random.default_rng(seed).normal(0, 2, (4, 7))
    power = np.exp(logits)
    right = power / power.sum(axis=1, keepdims=True)
    got = expect.numbers(answers.softmax(logits.copy()), (4, 7), "softmax")
    row = expect.worst(got, right, atol=1e-9)
    if row is None:
        return
    top = np.exp(logits - logits.max(axis=1, keepdims=True))
    fault = diagnose(got, right, {
        "does not divide by the sum": power,
        "does not divide by the sum ": top,
        "divides by the sum over all photos; each row has its own": power / power.sum(),
        "sums over the photos (axis 0); the cells are axis 1": power / power.sum(axis=0),
        "divides the logits by their sum: put them into np.exp first": lambda: logits / logits.sum(
            axis=1, keepdims=True),
    })  # fmt: skip
    total = f"row {row} sums to {got[row].sum():.6g}, it has to sum to 1"
    wrong(f"Your softmax {(fault or 'is wrong').strip()}: {total}.", example={
        "logits": logits[row], "yours": got[row], "right": right[row]})  # fmt: skip


@pytest.mark.points(3, "a2.softmax")
def test_softmax_of_large_logits(answers):
    """Large logits."""
    logits = np.array([[1000.0, 999.0, -1000.0], [-1000.0, -1001.0, -3000.0]])
    with np.errstate(all="ignore"):
        got = expect.numbers(answers.softmax(logits.copy()), (2, 3), "softmax", finite=False)
    right = np.array([[0.731058579, 0.268941421, 0]] * 2)
    if not np.allclose(got, right, atol=1e-8):
        wrong("Logits of 1000 or -1000 overflow: subtract the largest logit of each row first, "
              "which changes no probability.",
              example={"logits": logits, "yours": got, "right": right})  # fmt: skip


def _expected(prob: np.ndarray, places: np.ndarray, scale_km: float = 1492.7) -> np.ndarray:
    far = sphere.great_circle_matrix(places, places).numpy()
    return np.exp(-far / scale_km) @ prob


@pytest.mark.points(5, "a2.best_place")
def test_best_place_of_heat_maps(answers, seed):
    """Heat maps."""
    _check_best(answers, seed, 1492.7)


@pytest.mark.points(3, "a2.best_place")
def test_best_place_with_another_scale(answers, seed):
    """Another scale."""
    _check_best(answers, seed, 50.0)


def _heat_map(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (25,) and places (25, 2): one likely place, a group, and some far ones."""
    rng = np.random.default_rng(seed)
    group = np.array([47.0, 11.0]) + rng.normal(0, 4, (14, 2))
    places = np.concatenate([[[35.7, 139.7]], group, sphere.uniform_points(10, seed).numpy()])
    prob = np.concatenate([[0.2], rng.uniform(0.045, 0.055, 14), rng.uniform(0, 0.01, 10)])
    return prob / prob.sum(), places


def _check_best(answers, seed: int, scale_km: float) -> None:
    prob, places = _heat_map(seed)
    far = sphere.great_circle_matrix(places, places).numpy()
    score = np.exp(-far / scale_km) @ prob
    given = () if scale_km == 1492.7 else (scale_km,)
    got = expect.numbers(answers.best_place(prob, places, *given), (2,), "best_place")
    right = places[score.argmax()]
    off = sphere.great_circle_km(np.clip(got, -360, 360), places).numpy()
    said = int(off.argmin())
    if off[said] < 0.01 and score[said] > score.max() - 1e-9:
        return
    fault = diagnose(got, right, {
        "does not use scale_km": places[(np.exp(-far / 1492.7) @ prob).argmax()],
        "takes the most probable place; one among many likely ones earns more":
            places[prob.argmax()],
        "takes the smallest expected score, argmin for argmax": places[score.argmin()],
        "does not weigh by the probabilities": places[np.exp(-far / scale_km).sum(1).argmax()],
        "takes the smallest mean distance, not the largest score": places[(far @ prob).argmin()],
    })  # fmt: skip
    if off[said] > 0.01:
        fault = "gives a place that is none of the candidates"
    wrong(f"Your best_place {fault or 'is wrong'}: {shown(got.round(2))} has an expected "
          f"score of {5000 * score[said]:.0f}, {shown(right.round(2))} one of "
          f"{5000 * score.max():.0f} (scale {scale_km:g} km).",
          figure=lambda: pictures.mean_map(places, got, right))  # fmt: skip
