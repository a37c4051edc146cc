"""Database size and leave-one-out equal fitting each variant by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geolab.evaluation import truth_of
from geolab.locators.im2gps import Im2GPS, Im2GPSConfig
from geolab.locators.im2gps_studies import database_size_curve, leave_one_out
from geolab.metrics import errors_km

CONFIG = Im2GPSConfig(families=("tiny", "colour", "lines"), k=6, min_matches=2)


@pytest.fixture(scope="module")
def fitted(photos):
    return Im2GPS(CONFIG).fit(photos(40))


@pytest.fixture(scope="module")
def test_set(photos):
    return photos(14, seed=7, broken=(3,))


def within_200(locator, test):
    """Percentage by the long way: images in, answers out."""
    points = np.full((len(test), 2), np.nan)
    good = [i for i in range(len(test)) if i != 3]
    points[good] = locator.locate([test[i]["image"] for i in good]).mode().numpy()
    return 100 * (errors_km(points, truth_of(test)) <= 200).mean()


def test_curve_equals_refitted_subsets(fitted, test_set):
    curve = database_size_curve(fitted, test_set, sizes=(2, 10, 40), seeds=(0, 5))
    assert set(curve.columns) == {"size", "seed", "system", "n", "within_200", "median_km"}
    assert len(curve) == 3 * 2 * 2
    assert (curve["n"] == 14).all()
    for size, seed in ((10, 0), (10, 5), (40, 0)):
        rows = np.sort(np.random.default_rng(seed).permutation(40)[:size])
        nearest = fitted.reconfigured(replace(CONFIG, answer="nearest")).subset(rows)
        for system, locator in (("nearest", nearest), ("modes", fitted.subset(rows))):
            one = curve.query(f"size == {size} and seed == {seed} and system == '{system}'")
            assert one["within_200"].item() == pytest.approx(within_200(locator, test_set))


def test_more_photos_help_and_the_broken_one_is_a_miss(fitted, test_set):
    curve = database_size_curve(fitted, test_set, sizes=(1, 40), seeds=range(4))
    mean = curve.query("system == 'nearest'").groupby("size")["within_200"].mean()
    assert mean[40] == pytest.approx(100 * 13 / 14)
    assert mean[1] < 50


def test_other_threshold_and_full_size_only_once(fitted, test_set):
    curve = database_size_curve(fitted, test_set, (40,), (0, 1), threshold_km=25)
    assert "within_25" in curve
    full = curve.query("system == 'nearest'")["within_25"]
    assert full.nunique() == 1


@pytest.mark.parametrize("size", [0, 41])
def test_impossible_size(fitted, test_set, size):
    with pytest.raises(ValueError, match="between 1 and 40"):
        database_size_curve(fitted, test_set, (size,))


@pytest.mark.parametrize("answer", ["nearest", "modes"])
def test_leave_one_out_equals_reconfigured_locators(fitted, test_set, answer):
    table = leave_one_out(fitted, test_set, answer=answer).set_index("variant")
    assert len(table) == 1 + 3 + 3
    variants = {
        "all": CONFIG.families,
        "without tiny": ("colour", "lines"),
        "lines alone": ("lines",),
    }
    for variant, families in variants.items():
        locator = fitted.reconfigured(replace(CONFIG, families=families, answer=answer))
        assert table.loc[variant, "within_200"] == pytest.approx(within_200(locator, test_set))
    assert table.loc["all", "change"] == 0
    change = table.loc["lines alone", "within_200"] - table.loc["all", "within_200"]
    assert table.loc["lines alone", "change"] == pytest.approx(change)


def test_one_family_has_nothing_to_leave_out(fitted, test_set):
    alone = fitted.reconfigured(replace(CONFIG, families=("tiny",)))
    assert leave_one_out(alone, test_set)["variant"].tolist() == ["all"]
