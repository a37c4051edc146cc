"""Adaptive cells against a slow version of plain dictionaries, and their properties."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab import sphere
from geolab.cells import ISN_COARSE, ISN_FINE, PLANET, Partition, S2Partition, s2_cells, scaled
from geolab.data import DataError
from tests.cells.conftest import photos_around_places

s2sphere = pytest.importorskip("s2sphere")


@pytest.fixture(scope="module")
def leaves(photos):
    make = s2sphere.LatLng.from_degrees
    return [s2sphere.CellId.from_lat_lng(make(lat, lon)) for lat, lon in photos.tolist()]


def slow_fit(leaves, t_min, t_max, start_level):
    """Return the rule in words: dictionaries of cell to photos, one level after the other."""
    cells = {}
    for row, leaf in enumerate(leaves):
        cells.setdefault(leaf.parent(start_level).id(), []).append(row)
    cells = {cell: rows for cell, rows in cells.items() if len(rows) > t_min}
    for level in range(start_level + 1, 31):
        after = {}
        for cell, rows in cells.items():
            if len(rows) <= t_max or s2sphere.CellId(cell).level() < level - 1:
                after[cell] = rows
                continue
            for row in rows:
                after.setdefault(leaves[row].parent(level).id(), []).append(row)
        cells = after
    kept = [(rows[0], cell, rows) for cell, rows in cells.items() if len(rows) > t_min]
    return [(cell, rows) for _, cell, rows in sorted(kept)]


@pytest.mark.parametrize(
    ("t_min", "t_max", "start_level"), [(50, 1000, 2), (4, 60, 0), (0, 1, 3), (49, 10_000, 0)]
)
def test_same_cells_and_counts_as_the_slow_version(photos, leaves, t_min, t_max, start_level):
    want = slow_fit(leaves, t_min, t_max, start_level)
    found = S2Partition.fit(photos, t_min, t_max, start_level)
    assert found.ids.tolist() == [cell for cell, _ in want]
    assert found.counts.tolist() == [len(rows) for _, rows in want]
    label = np.full(len(photos), -1)
    for number, (_, rows) in enumerate(want):
        label[rows] = number
    assert np.array_equal(found.assign(photos).numpy(), label)
    for number in range(0, len(want), 1 + len(want) // 40):
        mean = sphere.spherical_mean(photos[want[number][1]])
        assert sphere.great_circle_km(found.means[number], mean) < 1e-9


points = st.tuples(
    st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 0.0, 90.0, 45.0])),
    st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0, 0.0, 90.0])),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(points, min_size=1, max_size=60),
    st.integers(0, 3),
    st.integers(0, 6),
    st.integers(0, 4),
    st.booleans(),
)
def test_properties(latlon, t_min, more, start_level, distinct):
    latlon = np.array(latlon + latlon[: len(latlon) // 2])
    try:
        cells = S2Partition.fit(latlon, t_min, t_min + more, start_level, 20, distinct)
    except DataError as error:
        if f"t_min = {t_min}" not in str(error):
            raise
        return
    first, last = (np.sort(x) for x in s2_cells.id_range(cells.ids))
    assert (first[1:] > last[:-1]).all(), "disjoint"
    assert ((cells.levels >= start_level) & (cells.levels <= 20)).all()
    label = cells.assign(latlon)
    assert torch.equal(torch.bincount(label[label >= 0], minlength=len(cells)), cells.counts)
    assert int(cells.counts.sum()) + cells.n_discarded == len(latlon) == cells.n_photos
    seen = label[label >= 0].unique_consecutive()
    assert torch.equal(torch.tensor(list(dict.fromkeys(seen.tolist()))), torch.arange(len(cells)))
    if not distinct:
        assert (cells.counts > t_min).all()
        assert (cells.counts[cells.levels < 20] <= t_min + more).all()
    inside = cells.assign(cells.means) == torch.arange(len(cells))
    assert (inside.numpy() | near_border(cells)).all(), "cells are convex: means lie inside"


def near_border(cells):
    """Whether a mean lies within a metre of the border of its cell, where rounding decides."""
    ring = s2_cells.vertices(cells.ids)
    mid = sphere.to_unit(cells.means.numpy())[:, None]
    a, b = (sphere.to_unit(r) for r in (ring, np.roll(ring, -1, axis=1)))
    normal = torch.nn.functional.normalize(torch.linalg.cross(a, b), dim=-1)
    return ((normal * mid).sum(-1).abs().amin(1) * sphere.EARTH_RADIUS_KM < 1e-3).numpy()


def test_answers_are_the_mean_or_the_centre(photos):
    cells = S2Partition.fit(photos, 5, 500)
    assert torch.equal(cells.points("mean"), cells.means)
    assert np.array_equal(cells.points("centre").numpy(), s2_cells.centre(cells.ids))
    assert (cells.assign(cells.centres) == torch.arange(len(cells))).all()
    assert cells.means.dtype == cells.centres.dtype == torch.float64
    with pytest.raises(ValueError, match="median"):
        cells.points("median")


def test_poles_and_antimeridian():
    latlon = [[90, 0], [90, 77], [-90, 10], [0, 180], [0, -180], [-17, 179.9], [-17, -179.9]]
    cells = S2Partition.fit(latlon, 0, 1)
    label = cells.assign(latlon).tolist()
    assert label[0] == label[1], "one pole, whatever its longitude"
    assert min(label) == 0, "every photo is in a cell, also those on a border"
    assert label[5] != label[6]
    west = cells.to_geojson()["features"][label[6]]["geometry"]["coordinates"][0]
    assert max(lon for lon, _ in west) < 0, "a cell that ends at -180 does not start at 180"
    assert cells.means[label[0]][0] == pytest.approx(90)
    whole = S2Partition.fit([[-17, 179.9], [-17, -179.9]], 1, 5, start_level=0)
    assert sphere.great_circle_km(whole.means[0], [-17.0, 180.0]) < 0.1


def test_identical_points_end_at_the_last_level_and_distinct_keeps_them_together():
    pile, near = [[48.8566, 2.3522]] * 100, [[48.8567 + i * 1e-4, 2.3522] for i in range(5)]
    cells = S2Partition.fit(pile + near, 0, 10)
    assert cells.levels.max() == 30
    assert cells.counts.max() == 100
    assert S2Partition.fit(pile, 0, 10, max_level=12).levels.tolist() == [12]
    one = S2Partition.fit(pile + near, 0, 10, distinct=True)
    assert one.counts.tolist() == [105]
    assert one.levels.tolist() == [2]
    with pytest.raises(DataError, match=r"1 distinct positions.*t_min = 1"):
        S2Partition.fit(pile, 1, 10, distinct=True)


def test_one_photo():
    cells = S2Partition.fit([[10.0, 20.0]], 0, 1)
    assert len(cells) == cells.n_cells == 1
    assert cells.means.tolist()[0] == pytest.approx([10.0, 20.0])
    assert cells.assign([[10.0, 20.0], [-10.0, 20.0]]).tolist() == [0, -1]
    assert cells.assign(np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize(
    ("latlon", "limits", "message"),
    [
        (np.zeros((0, 2)), (0, 1), "give photos"),
        ([[1.0, 2.0], [2.3522, np.nan]], (0, 1), "row 1"),
        ([[1.0, 2.0], [139.7, 35.7]], (0, 1), r"row 1.*139\.7.*swapped"),
        ([[1.0, 2.0, 3.0]], (0, 1), r"\(1, 3\)"),
        ([[1.0, 2.0], [1.0, 2.0]], (50, 1000), r"2 photos.*t_min = 50.*t_min < 2"),
        ([[1.0, 2.0]], (5, 3), "t_min = 5 and t_max = 3"),
        ([[1.0, 2.0]], (0, 3, 9, 4), "start_level = 9"),
    ],
)
def test_bad_input_is_named(latlon, limits, message):
    with pytest.raises(DataError, match=message):
        S2Partition.fit(latlon, *limits)


def test_presets_are_the_published_ones(photos):
    assert (PLANET.t_min, PLANET.t_max, PLANET.start_level) == (49, 10_000, 0)
    assert (ISN_COARSE.t_max, ISN_FINE.t_max, ISN_FINE.t_min) == (5000, 1000, 50)
    cells = ISN_FINE.fit(photos)
    assert cells.name == "ISN fine 50/1000"
    assert cells.hash == S2Partition.fit(photos, 50, 1000).hash
    same = scaled(ISN_FINE.n_photos, like=ISN_FINE)
    assert same == ISN_FINE
    assert [scaled(n).t_max for n in (1, 500, 4723695 * 4)] == [10, 10, 2000]
    n_cells = [len(scaled(n, ISN_FINE).fit(photos[:n])) for n in (2000, 50_000)]
    assert 30 < n_cells[0] < n_cells[1] < 3000
    with pytest.raises(DataError, match="n_photos = 0"):
        scaled(0)


def test_save_and_load(photos, tmp_path):
    cells = S2Partition.fit(photos[:5000], 5, 100)
    path = cells.save(tmp_path / "cells.npz")
    for reader in (Partition, S2Partition):
        same = reader.load(path)
        assert isinstance(same, S2Partition)
        assert (same.name, same.hash, same.n_photos) == (cells.name, cells.hash, 5000)
        assert torch.equal(same.centres, cells.centres)
        assert torch.equal(same.assign(photos), cells.assign(photos))
    assert cells.hash != S2Partition.fit(photos[:4999], 5, 100).hash
    assert len(cells.hash) == 16


def test_damaged_and_other_files_are_refused(photos, tmp_path):
    path = S2Partition.fit(photos[:5000], 5, 100).save(tmp_path / "cells.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cells\.npz.*cut short"):
        Partition.load(path)
    broken = bytearray(whole)
    broken[len(whole) // 3] ^= 1
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"cells\.npz"):
        Partition.load(path)
    path.write_text("no cells")
    with pytest.raises(DataError, match="Fit again"):
        Partition.load(path)
    with pytest.raises(FileNotFoundError):
        Partition.load(tmp_path / "none.npz")


@pytest.mark.slow
def test_millions_of_photos_take_seconds():
    latlon = photos_around_places(4_700_000)
    S2Partition.fit(latlon[:1000], 1, 10)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        cells = ISN_FINE.fit(latlon)
        seconds.append(time.perf_counter() - start)
    assert int(cells.counts.sum()) + cells.n_discarded == 4_700_000
    assert min(seconds) < 5, "2 s on two quiet cores; more is allowed for a busy machine"
