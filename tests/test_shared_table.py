"""The table that grows: chance first, one list of photos, and ties called ties."""

from __future__ import annotations

from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch

from geolab.data.benchmarks import hash_of
from geolab.evaluation import Options, truth_of
from geolab.locators.answered import Cost
from geolab.posterior import Posterior
from geolab.rows import write_rows
from geolab.shared_table import UNIFORM, cost_columns, score, show, verdict
from geolab.sphere import destination

N = 60


@pytest.fixture(autouse=True)
def _own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOLAB_COURSE_OUT", str(tmp_path / "out"))
    monkeypatch.delenv("GEOLAB_COURSE_ROWS", raising=False)


def photos(seed=0, n=N):
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform([-60, -170], [60, 170], (n, 2)).T
    return datasets.Dataset.from_dict(
        {
            "id": [f"{seed}-{i}" for i in range(n)],
            "latitude": lat,
            "longitude": lon,
            "photographer": [f"p{i // 3}" for i in range(n)],
        }
    )


def off_by(km, test):
    """Answers this far from the truth, in km: one number, or one a photo."""
    truth = torch.from_numpy(truth_of(test))
    far = torch.as_tensor(km, dtype=torch.float64).expand(len(truth))
    places = destination(truth, torch.zeros(len(truth), dtype=torch.float64), far)
    return Posterior(places[:, None], torch.ones(len(truth), 1, dtype=torch.float64))


def row(system, km=10.0, test=None, **about):
    test = test or photos()
    return score(system, off_by(km, test), test, options=Options(n_boot=50), **about)


def test_a_score_knows_its_photos_its_groups_and_its_cost():
    made = row("PlaNet", 100.0, cost=Cost(12.5, 2_500_000), parameters={"epochs": 3})
    assert (made.n, made.n_groups, made.synthetic) == (N, N // 3, True)
    assert made.benchmark == "tinyearth, shared test"
    assert made.benchmark_hash == hash_of(photos()["id"], truth_of(photos()))
    assert made.metrics["within_200"].value == 100
    assert made.metrics["within_25"].value == 0
    assert made.metrics["median_km"].value == pytest.approx(100, rel=1e-3)
    assert made.metrics["train_s"].value == 12.5
    assert made.metrics["weights_m"].value == 2.5
    assert made.parameters == {"epochs": 3}
    assert not row("real", source="mine.csv").synthetic
    assert cost_columns(None) == {}
    assert "train_s" not in row("free").metrics


def test_photos_without_an_answer_are_misses():
    test = photos()
    some = list(range(0, N, 2))
    made = score("half", off_by(1.0, test)[some], test, answered=some, options=Options(n_boot=50))
    assert (made.n, made.failed) == (N, N // 2)
    assert made.metrics["within_25"].value == 50


def test_chance_comes_first_and_stays_once():
    first = show([row("a")])
    assert [r.system for r in first.rows] == [UNIFORM, "a"]
    again = show([row("b"), row("c")])
    assert [r.system for r in again.rows] == [UNIFORM, "a", "b", "c"]
    chance = again.rows[0]
    assert chance.benchmark_hash == again.rows[1].benchmark_hash
    assert 0 < chance.metrics["within_2500"].value < 5  # 3.8 % of the Earth
    assert chance.failed == 0
    assert "train_s" not in chance.metrics


def test_chance_has_none_of_a_rows_costs_or_failures():
    test = photos()
    some = list(range(N - 4))
    made = score("lame", off_by(1.0, test)[some], test, answered=some, options=Options(n_boot=50))
    made = replace(made, note="slow", parameters={"k": 3}, failures={"0-57": "empty"})
    chance = show([made]).rows[0]
    assert (chance.failed, chance.failures, chance.note, chance.parameters) == (0, {}, "", {})
    assert chance.n == N
    assert chance.synthetic


def test_a_second_score_replaces_the_first():
    show([row("a", 10.0)])
    shown = show([row("a", 500.0)])
    assert [r.system for r in shown.rows] == [UNIFORM, "a"]
    assert shown.rows[1].metrics["within_200"].value == 0


def test_rows_of_another_list_are_not_shown():
    show([row("elsewhere", test=photos(seed=1), source="mine.csv")])
    shown = show([row("here")])
    assert [r.system for r in shown.rows] == [UNIFORM, "here"]
    assert len({r.benchmark_hash for r in shown.rows}) == 1


def test_two_lists_at_once_have_chance_each():
    shown = show([row("one"), row("two", test=photos(seed=1), source="mine.csv")])
    chance = [r.benchmark_hash for r in shown.rows if r.system == UNIFORM]
    assert len(chance) == len(set(chance)) == 2


def test_rows_of_earlier_notebooks_are_shown_and_ours_win(tmp_path, monkeypatch):
    folder = tmp_path / "rows"
    folder.mkdir()
    write_rows([row("early", 10.0), row("mine", 999.0)], folder / "02.json")
    write_rows([row("foreign", test=photos(seed=2))], folder / "03.json")
    monkeypatch.setenv("GEOLAB_COURSE_ROWS", str(folder))
    shown = show([row("mine", 10.0)])
    assert sorted(r.system for r in shown.rows[1:]) == ["early", "mine"]
    assert all(r.metrics["within_25"].value == 100 for r in shown.rows[1:])


def said(one_km, other_km, **options):
    test = photos()
    pair = ("one", off_by(one_km, test)), ("other", off_by(other_km, test))
    return verdict(*pair, test, n_boot=200, **options)


def test_a_clear_difference_is_better_one_way_and_worse_the_other():
    assert "100.0 [+100.0, +100.0], better, n = 60" in said(10.0, 3000.0)
    assert "-100.0 [-100.0, -100.0], worse, n = 60" in said(3000.0, 10.0)
    assert said(10.0, 3000.0).startswith("one against other, within_200: ")


def test_a_difference_inside_the_noise_is_a_tie():
    assert "+0.0 [+0.0, +0.0], a tie" in said(10.0, 10.0)
    luck = np.full(N, 10.0)
    luck[[3, 30]] = 3000.0  # two photos worse by two people, one better
    other = np.full(N, 10.0)
    other[[50]] = 3000.0
    assert "-1.7 [" in said(luck, other)
    assert ", a tie, n = 60" in said(luck, other)


def test_photographers_are_resampled_not_photos():
    """Nine photos of three people: clear if they were nine chances, not as three of twenty."""
    wrong = np.full(N, 10.0)
    wrong[:9] = 3000.0
    alone = photos().remove_columns("photographer")
    test = photos()
    ends = []
    for held in (test, alone):
        pair = ("a", off_by(wrong, held)), ("b", off_by(10.0, held))
        low, high = verdict(*pair, held).split("[")[1].split("]")[0].split(", ")
        ends.append(float(high) - float(low))
    assert ends[0] > 1.3 * ends[1]


def test_fewer_kilometres_are_better():
    assert ", better, " in said(10.0, 3000.0, figure="mean_km")
    assert ", worse, " in said(3000.0, 10.0, figure="mean_km")
    assert ", better, " in said(10.0, 3000.0, figure="score")
