"""Semantic geocells, end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.cells import (
    Partition,
    SemanticConfig,
    SemanticPartition,
    gazetteer_areas,
    polygon_areas,
    scaled_semantic,
)
from geolab.data.errors import DataError
from geolab.maps.cells import cell_figure
from tests.cells.test_areas import box, layer
from tests.cells.test_semantic_split import blob

SMALL = SemanticConfig(5, 10, ((3, 0.05), (4, 0.02)))


@pytest.fixture(scope="module")
def fitted(photos):
    points = photos[:4000]
    return points, SemanticPartition.fit(points, gazetteer_areas(), scaled_semantic(4000, 300))


def check(cells, points):
    """What holds for every partition: each photo is in the one cell that counts it."""
    counted = np.bincount(cells.assign(points).numpy(), minlength=len(cells))
    np.testing.assert_array_equal(counted, cells.counts)
    assert cells.counts.min() > 0
    assert cells.counts.sum() == cells.n_photos == len(points)
    assert np.isfinite(cells.means.numpy()).all()


def test_every_photo_is_in_the_cell_that_counts_it(fitted):
    points, cells = fitted
    check(cells, points)
    assert 200 < len(cells) < 500


def test_cells_do_not_cross_borders(fitted):
    points, cells = fitted
    areas = gazetteer_areas()
    country = areas.country[areas.area_of(points)]
    for number, held in enumerate(np.split(*_by_class(cells.assign(points).numpy(), country))):
        assert len(set(held)) == 1, (number, set(held))
        assert cells.names[number].split(" (")[0].endswith(f", {held[0]}")


def _by_class(classes, values):
    order = np.argsort(classes, kind="stable")
    return values[order], np.flatnonzero(np.diff(classes[order])) + 1


def test_cells_below_the_minimum_have_nobody_to_merge_with(fitted):
    _, cells = fitted
    areas = cells.areas
    pairs = np.concatenate([areas.near, areas.far])
    pairs = pairs[areas.country[pairs[:, 0]] == areas.country[pairs[:, 1]]]
    pairs = pairs[areas.country[pairs[:, 0]] == areas.country[cells.group[pairs[:, 0]]]]
    met = {g for pair in cells.group[pairs].tolist() if pair[0] != pair[1] for g in pair}
    below = {number for number, _, _ in cells.report()["below"]}
    assert below == set(np.flatnonzero(cells.counts.numpy() < cells.config.min_size).tolist())
    assert below
    for number in below:
        group = cells.seed_group[cells.seed_cell == number]
        assert (cells.seed_cell[cells.seed_group == group[0]] == number).all()  # was not split
        assert group[0] not in met


def test_report_adds_up(fitted):
    _, cells = fitted
    report = cells.report()
    assert report["cells"] == len(cells) >= report["groups"]
    assert report["photos"] == 4000
    assert report["smallest"] == cells.counts.min()
    assert all(n > cells.config.max_size for _, _, n in report["above"])
    assert len(set(cells.names)) == len(cells)


def test_same_again_whatever_the_order(fitted):
    points, cells = fitted
    mixed = np.random.default_rng(1).permutation(points)
    again = SemanticPartition.fit(mixed, gazetteer_areas(), cells.config)
    assert again.hash == cells.hash
    other = SemanticPartition.fit(points, gazetteer_areas(), SemanticConfig(13, 26, seed=5))
    assert other.hash != cells.hash


def test_saved_and_read(fitted, tmp_path, photos):
    _, cells = fitted
    same = Partition.load(cells.save(tmp_path / "cells.npz"))
    assert same.hash == cells.hash
    assert same.config == cells.config
    assert same.names == cells.names
    np.testing.assert_array_equal(same.assign(photos), cells.assign(photos))


def test_a_file_from_another_gazetteer_is_refused(fitted, tmp_path, monkeypatch):
    _, cells = fitted
    path = cells.save(tmp_path / "cells.npz")
    areas = gazetteer_areas()
    was = areas.hash
    monkeypatch.setitem(areas.__dict__, "hash", "f" * 16)
    with pytest.raises(DataError, match=rf"{was}.*{'f' * 16}"):
        Partition.load(path)


def test_drawn_and_written(fitted):
    _, cells = fitted
    ids, label = cells.cells()
    assert len(np.unique(ids)) == len(ids)
    assert set(label) == set(range(len(cells)))
    inside = np.abs(cells.centres.numpy() - cells.means.numpy())[:, 0]
    assert np.median(inside) < 3
    features = cells.to_geojson()["features"]
    assert [f["properties"]["name"] for f in features] == list(cells.names)
    assert len(cell_figure(cells, synthetic=True).axes) == 4


def test_every_place_on_earth_has_a_cell(fitted):
    _, cells = fitted
    far = [[90, 0], [-90, 50], [0, -150], [-17, 180], [-17, -180], [60, -45]]
    found = cells.assign(far)
    assert (found >= 0).all()
    assert found[3] == found[4]


def test_a_country_without_photos_goes_to_the_nearest_cells():
    points = np.concatenate([blob(48.85, 2.35, 20), blob(41.9, 12.5, 20, 1)])  # Paris, Rome
    cells = SemanticPartition.fit(points, gazetteer_areas(), SMALL)
    check(cells, points)
    bern, paris = cells.assign([[46.95, 7.45], [48.85, 2.35]]).tolist()
    assert bern == paris or cells.names[bern].endswith(("FR", "IT"))


def test_empty_areas_stay_in_their_country_unless_as_published(tmp_path):
    path = layer(
        tmp_path / "a.json",
        ("X", "1", "full", [box(100, 0, 101, 1)]),
        ("X", "1", "empty", [box(106, 0, 107, 1)]),
        ("Y", "1", "foreign", [box(108, 0, 109, 1)]),
    )
    areas = polygon_areas(path, columns=("c", "r", "a"))
    points = np.concatenate([blob(0.5, 100.5, 8), blob(0.5, 108.5, 8, 1)])
    there = [[0.5, 106.5]]
    names = []
    for paper in (False, True):
        config = SemanticConfig(5, 10, ((3, 0.05),), paper=paper)
        cells = SemanticPartition.fit(points, areas, config)
        names.append(cells.names[cells.assign(there).item()])
    assert names == ["full, X", "foreign, Y"]


def test_fiji_and_chukotka_are_whole():
    fiji = blob(-16.9, 180, 80, 0, 0.4)
    chukotka = np.stack([np.full(60, 66.5), np.r_[np.linspace(175, 180, 30),
                                                  np.linspace(-179.9, -171, 30)]], 1)  # fmt: skip
    points = np.concatenate([fiji, chukotka])
    cells = SemanticPartition.fit(points, gazetteer_areas(), SemanticConfig(40, 200))
    check(cells, points)
    assert sorted({name[-2:] for name in cells.names}) == ["FJ", "RU"]
    lon = cells.means[:, 1].abs()
    assert (lon > 170).all()


def test_meeting_in_a_country_without_photos_makes_no_neighbours(tmp_path):
    path = layer(
        tmp_path / "a.json",
        ("X", "1", "one", [box(100, 0, 101, 1)]),
        ("Z", "1", "left", [box(101, 0, 103, 1)]),
        ("Z", "1", "right", [box(103, 0, 105, 1)]),
        ("X", "1", "other", [box(105, 0, 106, 1)]),
    )
    areas = polygon_areas(path, columns=("c", "r", "a"))
    points = np.concatenate([blob(0.5, 100.5, 3), blob(0.5, 105.5, 20, 1)])
    for paper, expected in ((False, [3, 20]), (True, [23])):
        config = SemanticConfig(5, 30, ((3, 0.05),), paper=paper)
        cells = SemanticPartition.fit(points, areas, config)
        assert sorted(cells.counts.tolist()) == expected


def test_an_island_stays_below_the_minimum():
    rest = [
        blob(lat, lon, 30) for lat, lon in ((31, -99), (34, -118), (61.2, -149.9), (53.9, -166.5))
    ]
    points = np.concatenate([blob(19.7, -155.1, 3), *rest])
    cells = SemanticPartition.fit(points, gazetteer_areas(), SMALL)
    assert [n for _, _, n in cells.report()["below"]] == [3]
    assert "Hawaii" in cells.report()["below"][0][1]


@pytest.mark.parametrize("paper", [False, True])
def test_copies_two_points_and_a_line(paper):
    config = SemanticConfig(5, 10, ((3, 0.05),), paper=paper)
    for points in (
        np.repeat([[48.85, 2.35]], 50, axis=0),
        np.repeat([[48.85, 2.35], [48.86, 2.36]], 30, axis=0),
        np.array([[48.85, 2.35]]),
        np.stack([np.full(60, 48.85), np.linspace(2.2, 2.5, 60)], 1),
        np.array([[-17.0, 180.0], [-17.0, -180.0], [90.0, 3.0], [90.0, -77.0]]),
    ):
        check(SemanticPartition.fit(points, gazetteer_areas(), config), points)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.integers(1, 30)),
        min_size=1, max_size=8,
    ),
    st.integers(0, 9),
)  # fmt: skip
def test_any_photos_are_conserved(spots, seed):
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.normal([lat, lon], 0.2, (n, 2)) for lat, lon, n in spots])
    points = np.clip(np.round(points, 2), [-90, -180], [90, 180])
    cells = SemanticPartition.fit(points, gazetteer_areas(), SMALL)
    check(cells, points)
    listed = {number for number, _, _ in cells.report()["below"]}
    assert all(n >= 5 or c in listed for c, n in enumerate(cells.counts.tolist()))


def test_bad_coordinates_are_named():
    with pytest.raises(DataError, match=r"row 1"):
        SemanticPartition.fit([[0, 0], [0, 200]], gazetteer_areas(), SMALL)
    with pytest.raises(DataError, match="N > 0"):
        SemanticPartition.fit(np.zeros((0, 2)), gazetteer_areas(), SMALL)


def test_polygons_are_kept_and_written(shared_data, photos, tmp_path):
    areas = polygon_areas(shared_data / "geo" / "ne_110m_admin_0_countries.json")
    points = np.concatenate([photos[:1500], blob(-17, 178.5, 30, 3, 0.3)])
    cells = SemanticPartition.fit(points, areas, scaled_semantic(1500, 100))
    check(cells, points)
    path = cells.save(tmp_path / "cells.npz")
    same = Partition.load(path)
    np.testing.assert_array_equal(same.assign(photos), cells.assign(photos))
    made = json.loads(json.dumps(cells.to_geojson()))
    assert len(made["features"]) == len(cells)
    _outlines_hold(cells, made["features"], areas)


def _outlines_hold(cells, features, areas):
    import shapely

    shapes = np.array([shapely.from_geojson(json.dumps(f["geometry"])) for f in features])
    assert np.abs(shapely.bounds(shapes)[:, [0, 2]]).max() <= 180
    assert shapely.area(shapes).sum() == pytest.approx(shapely.area(areas.shapes).sum(), rel=1e-3)
    points = shapely.points(cells.seeds[:, ::-1])
    on_land = shapely.STRtree(areas.shapes).query(points, predicate="covered_by")[0]
    inside = shapely.covers(shapes[cells.seed_cell[on_land]], points[on_land])
    assert inside.mean() > 0.99  # borders are drawn in a plane
