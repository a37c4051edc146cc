"""The yardstick itself: distances, scores, failures, intervals, areas."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from geolab import sphere
from geolab.metrics import (
    MISS_KM,
    THRESHOLDS_KM,
    errors_km,
    geoguessr_score,
    summarise,
    uniform_chance,
    uniform_chance_metrics,
)

R = 6371.0


def meridian(km: float, base: float = 0.0) -> list[float]:
    """A point `km` north of latitude `base` on the meridian of 20 degrees."""
    return [base + np.degrees(km / R), 20.0]


# Section "synthetic fixture": points on one meridian, antipodes, poles, the date line, radius.


@pytest.mark.parametrize("k", THRESHOLDS_KM)
@pytest.mark.parametrize("base", [0.0, -10.0, 33.3, -57.123])
def test_meridian_points_are_on_their_threshold(k, base):
    errors = errors_km([meridian(k + e, base) for e in (-1e-6, 0, 1e-6)], [[base, 20.0]] * 3)
    np.testing.assert_allclose(errors, [k - 1e-6, k, k + 1e-6], rtol=0, atol=2e-9)
    assert (errors <= k).tolist() == [True, True, False]
    assert summarise(errors)[f"within_{k}"].value == pytest.approx(200 / 3)


def test_antipodes_poles_and_date_line():
    errors = errors_km(
        [[0, 180], [90, 17], [0, -179.9], [45, 45], [-90, 0], [12, 34]],
        [[0, 0], [90, -140], [0, 179.9], [-45, -135], [90, 0], [12, 34]],
    )
    half = np.pi * R
    np.testing.assert_allclose(errors, [half, 0, 22.239, half, half, 0], atol=5e-4)
    assert round(half, 3) == 20015.087
    assert half == MISS_KM


def test_near_antipodes_keep_their_metres():
    # asin of the plain haversine cannot tell these from the antipode itself (it is flat there).
    short_km = np.array([1e-3, 1e-2, 1.0, 30.0])
    away = np.column_stack([np.degrees(short_km / R), np.full(4, 180.0)])
    np.testing.assert_allclose(np.pi * R - errors_km(away, [[0.0, 0.0]] * 4), short_km, atol=1e-8)


def test_wrong_radius_moves_a_hit():
    # 749.9 km on the right sphere is 750.1 km on one of 6372.8 km or so: only one of them is a hit.
    point, origin = [meridian(749.9)], [meridian(0.0)]
    assert errors_km(point, origin)[0] == pytest.approx(749.9, abs=1e-6)
    assert summarise(errors_km(point, origin))["within_750"].value == 100.0
    wrong = sphere.great_circle_km(np.array(point), np.array(origin), radius_km=6372.8)
    assert wrong.item() == pytest.approx(750.1, abs=0.02)
    assert wrong.item() > 750


def test_the_ellipsoid_would_flip_these_hits():
    # WGS84 at the equator: a degree is 111.320 km to the east and 110.574 km to the north.
    axis, e2 = 6378.137, 0.00669438
    east_degree, north_degree = np.radians(axis), np.radians(axis * (1 - e2))
    errors = errors_km([[0, np.degrees(24.99 / R)], meridian(25.05)], [[0, 0], [0, 20]])
    assert (errors <= 25).tolist() == [True, False]
    on_ellipsoid = np.degrees([24.99, 25.05]) / R * [east_degree, north_degree]
    assert (on_ellipsoid <= 25).tolist() == [False, True]


def test_the_geometry_radius_is_not_the_evaluation_radius():
    errors = errors_km([meridian(2499.999)], [[0, 20]])
    other = sphere.great_circle_km(np.array([meridian(2499.999)]), np.array([[0.0, 20.0]]))
    assert errors[0] <= 2500 < other.item()


def test_errors_agree_with_the_chord_formula_everywhere():
    a, b = (sphere.uniform_points(20_000, seed).double() for seed in (1, 2))
    np.testing.assert_allclose(
        errors_km(a, b), sphere.great_circle_km(a, b, radius_km=R), rtol=0, atol=1e-6
    )


def test_chance_closed_form_against_a_million_points():
    rng = np.random.default_rng(7)
    n = 1_000_000
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    points = np.column_stack([lat, rng.uniform(-180, 180, n)])
    errors = errors_km(points, np.broadcast_to([48.86, 2.35], (n, 2)))
    for threshold in THRESHOLDS_KM:
        p = float(uniform_chance(threshold))
        assert p == pytest.approx((1 - np.cos(threshold / R)) / 2, rel=1e-6)
        # At 1 km p is 6e-9: nothing is expected in a million, and one hit is not a fault.
        tolerance = max(4 * np.sqrt(p * (1 - p) / n), 1 / n)
        assert abs((errors <= threshold).mean() - p) <= tolerance
    exact = uniform_chance_metrics()
    score = geoguessr_score(errors)
    assert abs(score.mean() - exact["score"].value) <= 4 * score.std() / np.sqrt(n)
    assert abs(errors.mean() - exact["mean_km"].value) <= 4 * errors.std() / np.sqrt(n)
    assert exact["within_2500"].value == pytest.approx(3.800362, abs=1e-6)
    assert uniform_chance(3e4) == 1.0


# Scores, failures, errors.


def test_score_values_and_scale():
    known = {0: 5000, 25: 4917, 200: 4373, 750: 3025, 1000: 2559, 2500: 937}
    assert geoguessr_score(list(known)).round().tolist() == list(known.values())
    assert geoguessr_score(2000, scale_km=2000) == pytest.approx(5000 / np.e)
    assert geoguessr_score(0.3) < 5000  # not rounded


def test_failures_are_misses_and_stay_in_n():
    nan = float("nan")
    errors = errors_km([[0, 0], [nan, nan], [0, nan]], [[0, 0]] * 3)
    assert errors.tolist() == [0, np.inf, np.inf]
    out = summarise(errors)
    assert out["within_2500"].value == pytest.approx(100 / 3)
    assert out["score"].value == pytest.approx(5000 / 3)
    assert out["median_km"].value == np.inf
    assert out["mean_km"].value == pytest.approx(2 * np.pi * R / 3)


def test_silence_never_helps():
    answers = np.array([10.0, 300.0, 19_000.0, 5_000.0])
    silent = np.where(answers > 4_000, np.inf, answers)
    loud, quiet = summarise(answers), summarise(silent)
    for name in loud:
        worse = quiet[name].value - loud[name].value
        assert worse >= 0 if name.endswith("_km") else worse <= 0


def test_median_of_an_even_number_with_failures():
    assert summarise([1.0, 3.0, np.inf, np.inf])["median_km"].value == np.inf
    assert summarise([1.0, 3.0, 5.0, np.inf])["median_km"].value == 4.0
    assert summarise([np.inf, np.inf])["median_km"].value == np.inf


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([[91.0, 0.0]], [[0.0, 0.0]], r"predicted row 0.*91"),
        ([[0.0, 0.0], [1, 1]], [[0.0, 0.0], [120.0, 31.0]], r"truth row 1.*120.*swapped"),
        ([[0.0, 0.0]], [[np.nan, 0.0]], "truth row 0"),
        ([[0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]], "one answer per photo"),
    ],
)
def test_coordinates_that_are_not_on_earth_are_refused(predicted, truth, message):
    with pytest.raises(ValueError, match=message):
        errors_km(predicted, truth)


@pytest.mark.parametrize("errors", [[], [np.nan], [1.0, -1.0], [[1.0]]])
def test_errors_that_cannot_be(errors):
    with pytest.raises(ValueError, match="error"):
        summarise(errors)


def test_less_or_equal_on_the_threshold():
    assert summarise([1.0, 25.0, 200.0, 750.0, 2500.0])["within_2500"].value == 100.0
    assert summarise([25.0, 25.0000001])["within_25"].value == 50.0


# Golden numbers of a withdrawn repository: only for those who lawfully hold its files.

GOLDEN_HITS = {
    ("im2gps", "base-vgg-c_L-m"): (18, 54, 83, 120, 158),
    ("im2gps", "base-vgg_L-m"): (21, 63, 87, 120, 156),
    ("im2gps", "base_L-m"): (32, 86, 120, 152, 189),
    ("im2gps", "base_M-m"): (32, 83, 118, 152, 189),
    ("im2gps", "base_M-fstar"): (36, 97, 122, 155, 186),
    ("im2gps", "ISNs_M-fstar-S3"): (40, 102, 123, 158, 190),
    ("im2gps3k", "base-vgg-c_L-m"): (127, 438, 666, 1031, 1625),
    ("im2gps3k", "base-vgg_L-m"): (143, 495, 678, 1033, 1629),
    ("im2gps3k", "base_L-m"): (249, 747, 1019, 1463, 1971),
    ("im2gps3k", "base_M-m"): (245, 764, 1052, 1459, 1955),
    ("im2gps3k", "base_M-fstar"): (292, 810, 1068, 1473, 1978),
    ("im2gps3k", "ISNs_M-fstar-S3"): (316, 839, 1098, 1489, 1977),
}

GOLDEN_MEAN_MEDIAN_KM = {
    ("im2gps", "base-vgg-c_L-m"): (3356.84, 740.61),
    ("im2gps", "base-vgg_L-m"): (3342.11, 724.9),
    ("im2gps", "base_L-m"): (1999.38, 170.83),
    ("im2gps", "base_M-m"): (1827.76, 211.98),
    ("im2gps", "base_M-fstar"): (1905.31, 164.23),
    ("im2gps", "ISNs_M-fstar-S3"): (1732.86, 144.63),
    ("im2gps3k", "base-vgg-c_L-m"): (4296.37, 1907.41),
    ("im2gps3k", "base-vgg_L-m"): (4293.68, 1926.99),
    ("im2gps3k", "base_L-m"): (3211.1, 856.13),
    ("im2gps3k", "base_M-m"): (3292.06, 845.8),
    ("im2gps3k", "base_M-fstar"): (3277.97, 838.57),
    ("im2gps3k", "ISNs_M-fstar-S3"): (3223.12, 785.47),
}


@pytest.mark.parametrize(("benchmark", "name"), GOLDEN_HITS)
def test_golden_hits_of_your_own_copy(benchmark, name):
    """GEOLAB_GOLDEN/<benchmark>/<name>.csv with true_lat, true_lon, pred_lat, pred_lon columns."""
    folder = os.environ.get("GEOLAB_GOLDEN")
    if not folder:
        pytest.skip("set GEOLAB_GOLDEN to a folder with your copy of the per-image results")
    with (Path(folder) / benchmark / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("true_lat", "true_lon", "pred_lat", "pred_lon")
    numbers = np.array([[float(row[column]) for column in columns] for row in rows])
    assert len(numbers) == {"im2gps": 237, "im2gps3k": 2997}[benchmark]
    errors = errors_km(numbers[:, 2:], numbers[:, :2])
    assert tuple(int((errors <= t).sum()) for t in THRESHOLDS_KM) == GOLDEN_HITS[benchmark, name]
    found = summarise(errors, n_boot=10)
    mean, median = GOLDEN_MEAN_MEDIAN_KM[benchmark, name]
    assert found["mean_km"].value == pytest.approx(mean, abs=0.006)
    assert found["median_km"].value == pytest.approx(median, abs=0.006)
