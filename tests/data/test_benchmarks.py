"""Benchmarks: frozen, hashed, and refused when they are not what they say."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from datasets import Dataset

from geolab.data.benchmarks import freeze, hash_of, load_benchmark, save_benchmark
from geolab.data.errors import DataError


def photos(order=(0, 1, 2), **columns):
    rows = {
        "id": ["c", "a", "b"],
        "latitude": [1.0, -2.123456789, 90.0],
        "longitude": [3.0, 180.0, -0.0],
        **columns,
    }
    return Dataset.from_dict(rows).select(order)


def test_freezing_sorts_rounds_and_protects():
    benchmark = freeze(photos(photographer=["x", "", "y"]), "toy")
    assert (benchmark.name, benchmark.n) == ("toy", 3)
    assert benchmark.ids == ("a", "b", "c")
    assert benchmark.photographer == ("", "y", "x")
    np.testing.assert_array_equal(benchmark.latlon, [[-2.123457, 180.0], [90.0, 0.0], [1.0, 3.0]])
    with pytest.raises(ValueError, match="read-only"):
        benchmark.latlon[0, 0] = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        benchmark.name = "other"


def test_the_hash_ignores_order_and_dust_but_not_facts():
    base = freeze(photos(), "toy").hash
    assert base == freeze(photos((2, 0, 1)), "another name").hash
    assert base == freeze(photos(latitude=[1.0 + 1e-9, -2.123457, 90.0]), "toy").hash
    assert base != freeze(photos(latitude=[1.00001, -2.123457, 90.0]), "toy").hash
    assert base != freeze(photos(id=["c", "a", "d"]), "toy").hash
    assert base != freeze(photos((0, 1)), "toy").hash


def test_the_hash_never_changes_between_versions():
    # sha256sum of "a,1.000000,2.000000\nb,-3.500000,0.000000\n".
    known = "bda989893d72fc11eae81a35c49c7ae51e9d4e2fc171fcd1fa96a59ae86140d5"
    assert hash_of(["b", "a"], np.array([[-3.5, -0.0], [1, 2]])) == known


@pytest.mark.parametrize("suffix", [".json", ".csv"])
@pytest.mark.parametrize("who", [None, ["pa0b1c2d3e4f5", "", "pffffffffffff"]])
def test_round_trip(tmp_path, suffix, who):
    columns = {} if who is None else {"photographer": who}
    benchmark = freeze(photos(**columns), "toy")
    path = save_benchmark(benchmark, tmp_path / f"toy{suffix}")
    back = load_benchmark(path, expected_hash=benchmark.hash)
    assert (back.name, back.ids, back.hash) == (benchmark.name, benchmark.ids, benchmark.hash)
    assert back.photographer == benchmark.photographer
    np.testing.assert_array_equal(back.latlon, benchmark.latlon)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_changed_file_is_refused_with_both_hashes(tmp_path):
    benchmark = freeze(photos(), "toy")
    path = save_benchmark(benchmark, tmp_path / "toy.json")
    raw = json.loads(path.read_text())
    raw["photos"].pop()
    path.write_text(json.dumps(raw))
    changed = freeze(photos((1, 2)), "toy").hash
    with pytest.raises(DataError) as caught:
        load_benchmark(path)
    for part in (str(path), "2 photos", benchmark.hash, changed, "new name"):
        assert part in str(caught.value)
    csv = save_benchmark(benchmark, tmp_path / "toy.csv")
    with pytest.raises(DataError, match="you expect"):
        load_benchmark(csv, expected_hash=changed)


def test_what_is_no_benchmark(tmp_path):
    path = tmp_path / "toy.json"
    with pytest.raises(DataError, match="no such file"):
        load_benchmark(path)
    for text in ("{half", "[]", '{"format": "other"}', '{"format": "geolab benchmark 1"}', "\xff"):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(DataError, match="not a benchmark file"):
            load_benchmark(path)
    with pytest.raises(DataError, match=r"\.json or \.csv"):
        save_benchmark(freeze(photos(), "toy"), tmp_path / "toy.xlsx")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"id": ["a", "a", "b"]}, "1 ids are doubled"),
        ({"latitude": [1.0, 91.0, 2.0]}, r"photo 'a' is at \(91\.0, 180\.0\)"),
        ({"latitude": [1.0, float("nan"), 2.0]}, "photo 'a' is at"),
    ],
)
def test_bad_rows_are_named(columns, says):
    with pytest.raises(DataError, match=says):
        freeze(photos(**columns), "toy")
    with pytest.raises(DataError, match="no photos"):
        freeze(photos(()), "toy")


def test_absent_photos_are_misses_and_never_a_smaller_n():
    benchmark = freeze(photos(), "toy")
    assert benchmark.align(photos((0, 2))).tolist() == [-1, 1, 0]
    assert benchmark.n == 3
