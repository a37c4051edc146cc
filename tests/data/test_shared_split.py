"""The split all systems share: nobody and no place in two parts, and the same list for ever."""

from __future__ import annotations

from functools import cache

import datasets
import numpy as np
import pytest

from geolab.data import shared
from geolab.data.benchmarks import hash_of
from geolab.data.errors import DataError
from geolab.data.shared import SHARED_N, SHARES, shared_split
from geolab.evaluation import truth_of
from geolab.sphere import great_circle_matrix


@cache
def tiny():
    """A small TinyEarth; not a fixture of the module, which would miss the private cache."""
    return shared_split(n=200)


def planned(n, seed=0):
    """TinyEarth's table without its pictures."""
    from geolab.data.tinyearth.travellers import plan_photos

    plan = plan_photos(n, seed)
    held = {name: plan[name].tolist() for name in ("latitude", "longitude", "photographer")}
    held["id"] = [f"tinyearth-{seed}-{number:06d}" for number in range(n)]
    return datasets.Dataset.from_dict(held)


def written(path, columns, rows):
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines))
    return path


def listed(part):
    return hash_of(part["id"], truth_of(part))


def test_no_photographer_and_no_place_in_two_parts():
    parts = tiny()
    assert list(parts) == ["train", "validation", "test"]
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not set(parts[one]["photographer"]) & set(parts[other]["photographer"])
        assert not set(parts[one]["id"]) & set(parts[other]["id"])
        km = great_circle_matrix(truth_of(parts[one]), truth_of(parts[other]))
        assert km.min() > 1
    assert sum(map(len, parts.values())) <= 200
    assert len(parts["test"]) == pytest.approx(200 * SHARES["test"], abs=8)


def test_the_small_list_is_frozen():
    """A change here changes what every number of the course was measured on."""
    assert listed(tiny()["test"])[:16] == "8090073fdd5560a5"
    assert listed(tiny()["train"])[:16] == "f1bb76c82443c5d1"


def test_a_seed_chooses_world_and_split(monkeypatch):
    monkeypatch.setattr(shared, "load", lambda _, n, seed: planned(n, seed))
    assert listed(shared_split(n=200)["test"]) == listed(tiny()["test"])  # the plan is the world
    assert listed(shared_split(n=200, seed=1)["test"]) != listed(tiny()["test"])


def test_the_list_of_the_course_is_frozen(monkeypatch):
    asked = []

    def load(source, n, seed):
        asked.append((source, n, seed))
        return planned(n, seed)

    monkeypatch.setattr(shared, "load", load)
    parts = shared_split()
    assert asked == [("tinyearth", SHARED_N, 0)]
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 15_421,
        "validation": 866,
        "test": 1998,
    }
    assert listed(parts["test"])[:16] == "dee6f6a0646def22"


def test_a_csv_is_split_by_its_sources(tmp_path):
    """All photos of a table count, not the 20,000 of TinyEarth."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(120):
        (tmp_path / f"{i}.png").touch()
        lat, lon = rng.uniform([-60, -170], [60, 170])
        rows.append([f"{i}.png", f"{lat:.4f}", f"{lon:.4f}", f"s{i % 30}"])
    path = written(tmp_path / "a.csv", ["path", "latitude", "longitude", "source"], rows)
    parts = shared_split(path)
    assert sum(map(len, parts.values())) == 120
    assert all(len(part) for part in parts.values())
    sources = [set(part["source"]) for part in parts.values()]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 30
    assert sum(map(len, shared_split(path, n=60).values())) == 60


def test_a_table_without_people_is_split_by_place(tmp_path):
    """Nothing is left out then: neighbours stay together instead."""
    rows = []
    for i in range(120):
        (tmp_path / f"{i}.png").touch()
        rows.append([f"{i}.png", -50 + i // 2, 10 + 0.001 * (i % 2)])
    path = written(tmp_path / "a.csv", ["path", "latitude", "longitude"], rows)
    parts = shared_split(path)
    assert sum(map(len, parts.values())) == 120
    latitudes = [set(part["latitude"]) for part in parts.values()]
    assert sum(map(len, latitudes)) == 60


def test_one_place_cannot_be_split_and_the_table_is_named(tmp_path):
    for i in range(9):
        (tmp_path / f"{i}.png").touch()
    rows = [[f"{i}.png", 48.85, 2.35] for i in range(9)]
    path = written(tmp_path / "paris.csv", ["path", "latitude", "longitude"], rows)
    with pytest.raises(DataError, match=r"paris\.csv: "):
        shared_split(path)
