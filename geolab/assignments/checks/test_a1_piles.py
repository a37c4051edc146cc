"""Checks of assignment 1, second half: means, scores and mean shift on the sphere."""

from __future__ import annotations

import numpy as np
import pytest

from geolab import metrics, sphere
from geolab.assignments import expect
from geolab.assignments.checks import pictures
from geolab.assignments.checks.faults_a1 import haversine, shift
from geolab.assignments.diagnosis import diagnose
from geolab.assignments.explain import km, shown, wrong


def around(centre: tuple[float, float], n: int, spread_km: float, rng) -> np.ndarray:
    """Places (n, 2) scattered around one, the date line crossed where it is in the way."""
    bearing, away = rng.uniform(0, 360, n), spread_km * np.sqrt(rng.uniform(0, 1, n))
    return sphere.destination(np.tile(centre, (n, 1)), bearing, away).numpy()


def off_km(got: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Distance in km of places (..., 2), right or not, whose longitudes may be any number."""
    return haversine(got, right)


def _check_mean(got: np.ndarray, places: np.ndarray, where: str) -> None:
    right = sphere.spherical_mean(places).numpy()
    off = off_km(got, right)
    if off < 0.01:
        return
    plain = off_km(got, places.mean(axis=0)) < 0.01
    fault = "Yours is the mean of the degrees: average the vectors. " if plain else ""
    if off_km(got, -right * [1, 0] + [0, right[1] + 180]) < 0.01:
        fault = "It lies on the opposite side of the Earth: check the signs. "
    wrong(f"{fault}The mean of places {where} came out at {shown(got.round(3))}, {km(off)} from "
          f"{shown(right.round(3))}.",
          figure=lambda: pictures.mean_map(places, got, right))  # fmt: skip


@pytest.mark.points(5, "a1.spherical_mean")
def test_mean_across_the_date_line(answers, seed):
    """Across the date line."""
    places = around((-17.5, 179.9), 12, 300, np.random.default_rng(seed))
    got = expect.numbers(answers.spherical_mean(places), (2,), "spherical_mean")
    _check_mean(got, places, "around Fiji, on both sides of the date line,")


@pytest.mark.points(3, "a1.spherical_mean")
def test_mean_around_the_pole(answers, seed):
    """Around the pole."""
    places = around((89.0, 40.0), 12, 400, np.random.default_rng(seed))
    got = expect.numbers(answers.spherical_mean(places), (2,), "spherical_mean")
    _check_mean(got, places, "around the north pole")


@pytest.mark.points(4, "a1.spherical_mean")
def test_mean_of_distant_places(answers, seed):
    """Far apart."""
    rng = np.random.default_rng(seed)
    places = np.column_stack([rng.uniform(40, 70, 9), rng.uniform(-60, 60, 9)])
    got = expect.numbers(answers.spherical_mean(places), (2,), "spherical_mean")
    _check_mean(got, places, "far apart")


@pytest.mark.points(5, "a1.geoguessr_score")
def test_score_of_known_errors(answers, seed):
    """Known errors."""
    rng = np.random.default_rng(seed)
    errors = np.concatenate([[0.0, 25.0, 750.0, 20015.0], rng.uniform(0, 9000, 20)])
    right = metrics.geoguessr_score(errors)
    got = expect.numbers(answers.geoguessr_score(errors), (24,), "geoguessr_score")
    row = expect.worst(got, right, atol=1e-6)
    if row is None:
        return
    fault = diagnose(got, right, {
        "rounds, which a mean over photos must not": right.round(),
        "lacks the factor 5000": right / 5000,
        "divides by 2000 km; the scale is 1492.7 km": metrics.geoguessr_score(errors, 2000.0),
        "has the sign of the exponent wrong": lambda: 5000 * np.exp(errors / 1492.7),
    })  # fmt: skip
    row = 1 if fault else row
    came = f"an error of {km(errors[row])} gave {got[row]:.6g} points, it is {right[row]:.6g}."
    wrong(f"Your score {fault}: {came}" if fault else f"With your score {came}")


@pytest.mark.points(3, "a1.geoguessr_score")
def test_score_of_a_miss_and_another_scale(answers):
    """No answer, another scale."""
    got = expect.numbers(
        answers.geoguessr_score(np.array([np.inf, 100.0])), (2,), "geoguessr_score"
    )
    if got[0] != 0:
        wrong(f"A photo without an answer (infinity) got {got[0]:.6g} points; it gets 0.")
    right = metrics.geoguessr_score(np.array([100.0]), 500.0)
    got = expect.numbers(answers.geoguessr_score(np.array([100.0]), 500.0), (1,), "geoguessr_score")
    if abs(got - right) > 1e-6:
        wrong(f"With scale_km=500 an error of 100 km gives {right[0]:.1f} points, yours gives "
              f"{got[0]:.1f}: use the argument, not the number 1492.7.")  # fmt: skip


@pytest.mark.points(5, "a1.accuracy")
def test_accuracy_of_errors(answers, seed):
    """Per cent of the photos."""
    errors = np.random.default_rng(seed).lognormal(5, 2.5, 173)
    thresholds = np.array([1.0, 25.0, 200.0, 750.0, 2500.0])
    right = 100 * np.array([(errors <= t).mean() for t in thresholds])
    got = expect.numbers(answers.accuracy(errors, thresholds), (5,), "accuracy", given="173 photos")
    row = expect.worst(got, right, atol=1e-6)
    if row is None:
        return
    fault = diagnose(got, right, {
        "returns shares: multiply by 100": right / 100,
        "returns counts: divide by the number of photos": right / 100 * 173,
        "counts the photos beyond the threshold": 100 - right,
    })  # fmt: skip
    came = f"within {km(thresholds[row])} are {right[row]:.2f} %, yours says {got[row]:.6g}."
    wrong(f"Your accuracy {fault}: {came}" if fault else came.capitalize())


@pytest.mark.points(3, "a1.accuracy")
def test_accuracy_on_the_threshold(answers):
    """An error that is exactly the threshold."""
    errors = np.array([25.0, 24.0, 26.0, 200.0])
    got = expect.numbers(answers.accuracy(errors, np.array([25.0, 200.0])), (2,), "accuracy")
    if not np.allclose(got, [50, 100]):
        wrong(f"Errors of 25, 24, 26 and 200 km: {shown(got)} % within 25 and 200 km by yours, it "
              "is 50 and 100. At most 25 km includes 25 km: <=, not <.")  # fmt: skip


@pytest.mark.points(4, "a1.accuracy")
def test_accuracy_counts_misses(answers, seed):
    """Photos without an answer."""
    errors = np.random.default_rng(seed).permutation(
        [10.0, 10, 10, 10, 5000, np.nan, np.nan, np.inf]
    )
    got = expect.numbers(answers.accuracy(errors, np.array([25.0, 6000.0])), (2,), "accuracy",
                         given="errors with nan and infinity")  # fmt: skip
    right = np.array([50.0, 62.5])
    if np.allclose(got, right):
        return
    fault = diagnose(got, right, {
        "leaves photos without an answer out of the count; they are misses and stay in n":
            np.array([80.0, 100.0]),
        "leaves photos with nan out of the count; they are misses and stay in n":
            np.array([400, 500]) / 6,
        "counts a photo without an answer as a hit": np.array([75.0, 87.5]),
        "counts a photo without an answer as a hit: test `km <= threshold`, of nan it is False":
            np.array([87.5, 100.0]),
    })  # fmt: skip
    came = (
        f"8 photos, 3 of them without an answer: {shown(got)} % within 25 and 6,000 km by yours, "
    )
    wrong(f"Your accuracy {fault or 'is wrong with misses'}. {came}it is (50, 62.5).",
          example={"km": errors})  # fmt: skip


def _check_modes(answers, places: np.ndarray, bandwidth: float, n_known: int, where: str) -> None:
    """Compare the first modes with the right ones, and say what a wrong answer did."""
    right, count = shift(places, bandwidth)
    got = answers.mean_shift(places.copy(), bandwidth)
    if not isinstance(got, tuple | list) or len(got) != 2:
        wrong("mean_shift has to return two arrays, `return modes, count`.")
    n = len(np.atleast_1d(np.asarray(got[1])))
    modes = expect.numbers(got[0], (n, 2), "mean_shift", given=f"{len(places)} matches")
    counts = expect.numbers(got[1], (n,), "mean_shift", given=f"{len(places)} matches")
    enough = len(modes) >= n_known and (counts[:n_known] == count[:n_known]).all()
    if enough and off_km(modes[:n_known], right[:n_known]).max() < 1 and len(modes) == len(right):
        return

    def same(other: tuple[np.ndarray, np.ndarray]) -> bool:
        return np.shape(other[0]) == modes.shape and bool((off_km(other[0], modes) < 1).all())

    faults = {
        "It moves the matches along with the walkers: the means are taken over the matches, which "
        "stay where they are.": {"blurring": True},
        "It does not bring the sum back to length 1; the chords hold for unit vectors only.":
            {"unit_length": False},
        "It makes one step: walk on until nobody moves.": {"n_steps": 1},
        "The modes are not sorted by the number of their walkers.": {"ranked": "no"},
        "Of modes with equally many walkers the earlier one comes first: np.argsort(-count, "
        "kind=\"stable\").": {"ranked": "reversed"},
        "It merges walkers up to a whole bandwidth apart; it is half a bandwidth.": {"merge": 1.0},
    }  # fmt: skip
    said = next((w for w, how in faults.items() if same(shift(places, bandwidth, **how))), "")
    n = min(len(modes), len(right))
    i = int(np.argmax((off_km(modes[:n], right[:n]) >= 1) | (counts[:n] != count[:n])))
    wrong(f"{said} {len(places)} matches {where} gave {len(modes)} modes with {shown(counts)} "
          f"walkers, number {i + 1} at {shown(modes[i].round(2))}; it is {len(right)} with "
          f"{shown(count)}, number {i + 1} at {shown(right[i].round(2))}.",
          figure=lambda: pictures.modes_map(places, modes, right))  # fmt: skip


@pytest.mark.points(5, "a1.mean_shift")
def test_shift_finds_two_piles(answers, seed):
    """Two piles."""
    rng = np.random.default_rng(seed)
    piles = [around((61.5, 9.5), 8, 120, rng), around((53.5, -115.0), 14, 120, rng)]
    _check_modes(answers, np.concatenate(piles), 500.0, 2, "in two piles, Norway and Alberta,")


@pytest.mark.points(3, "a1.mean_shift")
def test_shift_crosses_the_date_line(answers, seed):
    """A pile on the date line."""
    rng = np.random.default_rng(seed)
    piles = [around((-17.0, 180.0), 12, 150, rng), around((51.5, 0.0), 5, 150, rng)]
    _check_modes(
        answers, np.concatenate(piles), 500.0, 2, "in Fiji, across the date line, and London"
    )


@pytest.mark.points(7, "a1.mean_shift")
def test_shift_walks_up_a_long_pile(answers, seed):
    """A long pile."""
    rng = np.random.default_rng(seed)
    tail = np.column_stack([rng.uniform(30, 45, 25), rng.uniform(0, 40, 25)])
    pile = np.concatenate([around((38.0, 12.0), 25, 250, rng), tail])
    _check_modes(answers, pile, 400.0, 1, "with a dense end and a long tail")


@pytest.mark.points(3, "a1.mean_shift")
def test_shift_keeps_loners_in_order(answers):
    """Matches that stand alone."""
    places = np.array([[40.0, -100.0], [-30.0, 140.0], [-30.5, 140.0], [60.0, 60.0], [0.0, 20.0]])
    _check_modes(answers, places, 200.0, 4, "of which three stand alone")
