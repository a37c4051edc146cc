"""Splits: nothing leaks by id, photographer or place, and the same seed gives the same parts."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from geolab.data import splits
from geolab.data.errors import DataError, DataWarning, LeakageError
from geolab.data.splits import assert_no_leakage, group_photos, split_by
from geolab.sphere import destination, great_circle_matrix, uniform_points


def table(latlon, **columns) -> Dataset:
    latlon = np.asarray(latlon, float)
    ids = columns.pop("id", [f"p{i:05}" for i in range(len(latlon))])
    rows = {"id": ids, "latitude": latlon[:, 0], "longitude": latlon[:, 1], **columns}
    return Dataset.from_dict(rows)


def towns(n_towns=60, per_town=8, seed=0, spread_km=0.4) -> Dataset:
    """Synthetic photos: towns far apart, photos close together, photographers who travel a bit."""
    rng = np.random.default_rng(seed)
    centres = uniform_points(n_towns, seed).numpy()
    town = np.repeat(np.arange(n_towns), per_town)
    bearing, km = rng.uniform(0, 360, len(town)), rng.uniform(0, spread_km, len(town))
    latlon = destination(centres[town], bearing, km).numpy()
    who = [f"w{t // 2}" if rng.random() < 0.3 else "" for t in town]
    return table(latlon, photographer=who)


def brute_force_groups(photos, min_km):
    latlon = np.stack([photos["latitude"][:], photos["longitude"][:]], axis=1)
    near = great_circle_matrix(latlon, latlon).numpy() <= min_km
    who = np.array(photos["photographer"][:])
    near |= (who[:, None] == who[None]) & (who != "")[:, None]
    group = np.arange(len(latlon))
    while True:
        new = np.where(near, group[None], len(group)).min(axis=1)
        if (new == group).all():
            return group
        group = new


def same_partition(a, b):
    return (
        len({*zip(a.tolist(), b.tolist(), strict=True)})
        == len(set(a.tolist()))
        == len({*b.tolist()})
    )


@pytest.mark.parametrize("min_km", [0.0, 0.05, 0.3, 1.0, 800.0])
def test_groups_are_those_of_brute_force(min_km):
    photos = towns()
    assert same_partition(group_photos(photos, min_km=min_km), brute_force_groups(photos, min_km))


def test_groups_across_the_date_line_and_at_the_pole():
    photos = table([[10, 179.999], [10, -179.999], [89.9999, 0], [89.9999, 180], [0.001, 5]])
    assert group_photos(photos, by=("place",), min_km=1.0).tolist() == [0, 0, 1, 1, 2]


def test_the_dense_way_never_lets_a_near_pair_go(monkeypatch):
    photos = towns(n_towns=20, per_town=40, spread_km=3.0)
    exact = group_photos(photos, by=("place",), min_km=0.5)
    monkeypatch.setattr(splits, "MAX_PAIRS", 0)
    coarse = group_photos(photos, by=("place",), min_km=0.5)
    for group in np.unique(exact):
        assert len(set(coarse[exact == group].tolist())) == 1
    monkeypatch.undo()
    wider = group_photos(photos, by=("place",), min_km=0.5 * 1.44)
    for group in np.unique(coarse):
        assert len(set(wider[coarse == group].tolist())) == 1


def test_parts_share_nothing_and_miss_nobody():
    photos = towns()
    split = split_by(photos, fractions={"train": 0.7, "val": 0.1, "test": 0.2}, seed=1)
    assert list(split) == ["train", "val", "test"]
    ids = [set(part["id"][:]) for part in split.values()]
    assert sum(map(len, ids)) == len(set.union(*ids)) == len(photos)
    assert [len(part) for part in split.values()] == pytest.approx([336, 48, 96], abs=16)
    train, test = split["train"], split["test"]
    apart = great_circle_matrix(
        np.stack([train["latitude"][:], train["longitude"][:]], 1),
        np.stack([test["latitude"][:], test["longitude"][:]], 1),
    )
    assert float(apart.min()) > 1.0
    assert not (set(train["photographer"][:]) & set(test["photographer"][:])) - {""}


def test_the_seed_decides_and_the_order_of_rows_does_not():
    photos = towns(n_towns=100, per_town=3)
    test = {seed: set(split_by(photos, seed=seed)["test"]["id"][:]) for seed in (0, 0, 1)}
    assert test[0] != test[1]
    shuffled = photos.select(np.random.default_rng(5).permutation(len(photos)))
    assert set(split_by(shuffled, seed=0)["test"]["id"][:]) == test[0]


def test_no_part_gets_only_the_small_places():
    rng = np.random.default_rng(0)
    centres = uniform_points(300, 1).numpy()
    town = np.repeat(np.arange(300), np.minimum(rng.zipf(1.7, 300), 15))
    photos = table(centres[town] + rng.uniform(-1e-3, 1e-3, (len(town), 2)))
    share = []
    for seed in range(6):
        test = set(split_by(photos, by=("place",), seed=seed)["test"]["id"][:])
        in_test = np.array([photo in test for photo in photos["id"][:]])
        crowded = np.bincount(town)[town] >= 8
        share.append(in_test[crowded].mean())
    assert 0.1 < np.mean(share) < 0.3


def test_leaks_are_named():
    train = table([[10, 10], [20, 20]], id=["a", "b"], photographer=["w1", ""])
    with pytest.raises(LeakageError, match=r"share their id .*a \(id 'a'\)"):
        assert_no_leakage(train, table([[50, 50]], id=["a"], photographer=[""]))
    with pytest.raises(LeakageError, match=r"photographer .*c \(photographer 'w1'\)"):
        assert_no_leakage(train, table([[50, 50]], id=["c"], photographer=["w1"]))
    near = table([[50, 50], [20, 20.004]], id=["c", "d"], photographer=["", ""])
    with pytest.raises(LeakageError, match=r"1 test photos .*d and b \(0\.418 km\)"):
        assert_no_leakage(train, near)
    assert_no_leakage(train, near, min_km=0.4)
    assert_no_leakage(train, near, by=("photographer",))


def test_the_limit_itself_counts_as_a_leak():
    there = destination([[20.0, 20.0]], [90.0], [1.0]).numpy()
    train, test = table([[20, 20]], id=["a"]), table(there, id=["b"])
    with pytest.raises(LeakageError):
        assert_no_leakage(train, test, by=("place",), min_km=1.0 + 1e-7)
    assert_no_leakage(train, test, by=("place",), min_km=1.0 - 1e-6)


def test_one_group_that_swallows_all_is_an_error_with_sizes():
    photos = table(uniform_points(30, 0).numpy(), source=["one"] * 30)
    with pytest.raises(
        DataError, match=r"30 photos fall into 1 groups.*hold 30.*by=\(\"place\",\)"
    ):
        split_by(photos, by=("place", "source"))


def test_one_group_that_is_too_large_is_a_warning():
    photos = table(uniform_points(40, 0).numpy(), source=["one"] * 36 + list("abcd"))
    with pytest.warns(DataWarning, match=r"uneven split \(train 36, test 4\).*hold 36, 1"):
        split_by(photos, by=("source",), fractions={"train": 0.5, "test": 0.5})


def crowd() -> Dataset:
    """Synthetic: 60 photographers who all meet at two sights and else roam alone."""
    rng = np.random.default_rng(0)
    sights, lonely = np.array([[48.85, 2.35], [40.7, -74.0]]), uniform_points(600, 2).numpy()
    at_sight = rng.random(600) < 0.3
    latlon = np.where(at_sight[:, None], sights[rng.integers(0, 2, 600)], lonely)
    return table(latlon, photographer=[f"w{i % 60}" for i in range(600)], sight=at_sight)


def test_a_huge_group_is_told_and_drop_near_gives_a_fair_test():
    photos = crowd()
    with pytest.warns(DataWarning, match=r"uneven split .*drop_near=True"):
        bound = split_by(photos)
    assert not any(bound["test"]["sight"][:]), "binding leaves test without a single sight"
    split = split_by(photos, drop_near=True)
    train, test = split["train"], split["test"]
    assert len(test) == 120
    assert 0.2 < np.mean(test["sight"][:]) < 0.4, "test must hold sights as all photos do"
    assert not any(train["sight"][:]), "sights of test may not stay in train"
    assert_no_leakage(train, test)
    lonely = sum(not sight for sight in photos["sight"][:])
    assert len(train) == lonely - sum(not sight for sight in test["sight"][:])


def test_over_half_in_one_group_is_told():
    places = uniform_points(100, 0).numpy()
    photos = table(places, source=["one"] * 70 + [f"s{i}" for i in range(30)])
    with pytest.warns(DataWarning, match="hold 70.*what is not bound to it"):
        split_by(photos, by=("source",), fractions={"train": 0.7, "test": 0.3})


def test_drop_near_with_three_parts_leaves_no_near_pair():
    photos = towns(spread_km=2.0)
    split = split_by(
        photos, drop_near=True, fractions={"train": 0.6, "val": 0.2, "test": 0.2}, min_km=0.5
    )
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert_no_leakage(split[one], split[other], min_km=0.5)
    assert len(split["test"]) == pytest.approx(96, abs=16)
    assert split_by(photos, by=("place",), drop_near=True, min_km=0.5)["train"].num_rows > 0


def test_wrong_questions():
    photos = towns(n_towns=4)
    with pytest.raises(DataError, match=r"no column 'camera'.*by=\('place',\)"):
        split_by(photos, by=("place", "camera"))
    with pytest.raises(DataError, match="give a tuple"):
        split_by(photos, by="place")
    with pytest.raises(DataError, match="sum to 1"):
        split_by(photos, fractions={"train": 0.5, "test": 0.2})
    with pytest.raises(DataError, match="min_km"):
        split_by(photos, min_km=-1)
    with pytest.raises(DataError, match="'p00001' has no position"):
        split_by(table([[1, 1], [np.nan, 2]]), by=("place",))


def test_twenty_thousand_photos_of_one_town_take_seconds():
    rng = np.random.default_rng(0)
    photos = table(np.concatenate([rng.normal(48.85, 1e-3, (20_000, 2)), [[10.0, 10.0]]]))
    assert np.bincount(group_photos(photos, by=("place",))).tolist() == [20_000, 1]


@pytest.mark.filterwarnings("ignore::geolab.data.errors.DataWarning")
@pytest.mark.parametrize("by", [("place",), ("source",), ("place", "source")])
def test_real_photos_split_without_leakage(shared_data, by):
    from geolab.data import load

    photos = load(shared_data / "photos.csv")
    split = split_by(photos, by=by, fractions={"reference": 0.7, "benchmark": 0.3})
    assert len(split["reference"]) + len(split["benchmark"]) == 300
    assert_no_leakage(split["reference"], split["benchmark"], by=by)
