"""Bootstrap intervals: photographers are resampled, not photos."""

from __future__ import annotations

import time

import numpy as np
import pytest

from geolab.intervals import Estimate, bootstrap_medians, group_index, resamples
from geolab.metrics import paired_difference, summarise


def test_weighted_medians_equal_medians_of_copies():
    rng = np.random.default_rng(3)
    for n, n_groups in [(1, 1), (2, 2), (7, 3), (40, 40), (41, 6)]:
        values = rng.choice([0.0, 1.5, 2.5, 80.0, np.inf], n)
        index = rng.permutation(np.arange(n) % n_groups)
        fast = bootstrap_medians(values, index, n_groups, n_boot=50, seed=5)
        slow = []
        for counts in np.concatenate(list(resamples(n_groups, 50, 5))):
            copies = np.sort(np.repeat(values, counts[index].astype(int)))
            lower, upper = copies[(len(copies) - 1) // 2], copies[len(copies) // 2]
            slow.append(lower if lower == upper else (lower + upper) / 2)
        np.testing.assert_array_equal(fast, slow)


def test_resamples_do_not_depend_on_the_block_size(monkeypatch):
    whole = np.concatenate(list(resamples(30, 100, 1)))
    assert (whole.sum(axis=1) == 30).all()
    monkeypatch.setattr("geolab.intervals._CELLS_AT_ONCE", 90)
    np.testing.assert_array_equal(whole, np.concatenate(list(resamples(30, 100, 1))))


def test_interval_of_a_share_is_the_binomial_one():
    hits = np.r_[np.zeros(60), np.full(140, 1e4)]
    found = summarise(hits, n_boot=4000)["within_25"]
    half = 196 * np.sqrt(0.3 * 0.7 / 200)
    assert found.value == 30.0
    assert found.low == pytest.approx(30 - half, abs=1.2)
    assert found.high == pytest.approx(30 + half, abs=1.2)


def test_groups_widen_the_interval_when_photos_repeat():
    rng = np.random.default_rng(0)
    errors = np.repeat(rng.exponential(900, 30), 20)  # 30 photographers, 20 like photos each
    people = np.repeat(np.arange(30), 20)
    alone, grouped = summarise(errors), summarise(errors, groups=people)
    for name in ("within_750", "median_km", "mean_km", "score"):
        assert alone[name].value == pytest.approx(grouped[name].value)
        width = [e.high - e.low for e in (alone[name], grouped[name])]
        assert width[1] > 2.5 * width[0]


def test_intervals_cover_at_their_rate():
    rng = np.random.default_rng(11)
    covered = 0
    for seed in range(150):
        people = rng.normal(0, 1, 40)
        errors = 500 * np.exp(np.repeat(people, 5) + 0.3 * rng.normal(0, 1, 200))
        found = summarise(errors, groups=np.repeat(np.arange(40), 5), n_boot=1000, seed=seed)
        covered += found["median_km"].low <= 500 <= found["median_km"].high
    assert 0.87 <= covered / 150 <= 0.995


def test_same_seed_same_interval_and_order_does_not_matter_to_the_value():
    rng = np.random.default_rng(0)
    errors = rng.exponential(1000, 100)
    assert summarise(errors, seed=4) == summarise(errors, seed=4)
    assert summarise(errors, seed=4)["score"].low != summarise(errors, seed=5)["score"].low


def test_one_group_has_no_interval():
    found = summarise([1.0, 2.0], groups=["ann", "ann"])["mean_km"]
    assert found.value == 1.5
    assert not found.has_interval


def test_missing_photographers_are_not_one_person():
    index, n = group_index(["ann", None, "", float("nan"), "ann", 0], 6)
    assert n == 5
    assert index[0] == index[4]
    with pytest.raises(ValueError, match="2 group labels for 3 photos"):
        group_index(["a", "b"], 3)


def test_paired_difference_sees_what_two_intervals_do_not():
    rng = np.random.default_rng(1)
    hard = rng.exponential(2000, 300)
    better = 0.9 * hard
    a, b = summarise(better)["mean_km"], summarise(hard)["mean_km"]
    assert a.high > b.low  # apart they overlap
    gap = paired_difference(better, hard)["mean_km"]
    assert gap.high < 0
    assert gap.value == pytest.approx(a.value - b.value)
    nothing = paired_difference(hard, hard)
    assert nothing["median_km"] == Estimate(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="same photos"):
        paired_difference(hard, hard[:-1])


def test_twenty_thousand_photos_are_summarised_quickly():
    errors = np.random.default_rng(0).exponential(1500, 20_000)
    began = time.perf_counter()
    summarise(errors, groups=np.arange(20_000) // 10)
    assert time.perf_counter() - began < 10
