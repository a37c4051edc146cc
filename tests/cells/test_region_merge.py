"""Merging leaves: toy graphs whose answer is known, and what holds for any data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geolab import sphere
from geolab.cells import MergeConfig, MergedPartition, Partition, S2Partition, s2_cells
from geolab.cells.region_merge import leaf_links, merge_regions
from geolab.data import DataError
from geolab.kernels import s2_cell_ids

LINE = np.array([[0.0, lon] for lon in (0, 1, 2.5, 10, 11.2, 13)])
CHAIN = np.array([[i, i + 1] for i in range(5)])
ONES = np.ones(6, int)


def test_geography_alone_cuts_the_widest_gap():
    assert merge_regions(LINE, ONES, CHAIN, MergeConfig(2, alpha=0)).tolist() == [0] * 3 + [1] * 3
    three = merge_regions(LINE, ONES, CHAIN, MergeConfig(3, alpha=0, size=0)).tolist()
    assert three == [0, 0, 0, 1, 1, 2], "the shortest gaps are 1, 1.2 and then 2 degrees to a mean"


def test_looks_alone_cut_where_looks_change():
    looks = np.array([[0.0], [0.1], [5.0], [5.1], [5.05], [5.2]])
    found = merge_regions(LINE, ONES, CHAIN, MergeConfig(2, alpha=1), looks)
    assert found.tolist() == [0, 0, 1, 1, 1, 1]


def test_links_are_respected():
    looks = np.array([[0.0], [9.0], [0.0], [9.0], [0.0], [9.0]])
    found = merge_regions(LINE, ONES, CHAIN, MergeConfig(2, alpha=1, size=0), looks)
    assert (np.diff(found) != 0).sum() == 1, "equal looks that are not linked stay apart"
    pieces = merge_regions(LINE, ONES, CHAIN[[0, 1, 3, 4]], MergeConfig(1, alpha=0))
    assert pieces.tolist() == [0] * 3 + [1] * 3, "no link, no merger"


def test_the_size_term_stops_a_runaway():
    """Where all looks alike, one region takes the rest one by one unless size counts."""
    n = 64
    latlon = np.stack([np.zeros(n), np.arange(n) * 1.0], axis=1)
    links, ones = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1), np.ones(n, int)
    free, held = (
        merge_regions(latlon, ones, links, MergeConfig(8, alpha=1, size=size), np.ones((n, 1)))
        for size in (0, 1)
    )
    assert np.bincount(free).max() == n - 7
    assert np.bincount(held).tolist() == [n // 8] * 8


def test_regions_move_as_they_grow():
    """Three photos pull a mean: the fourth leaf is nearer to the other region's mean."""
    latlon = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.05], [0.0, 3.0]])
    links = np.array([[0, 1], [1, 2], [2, 3]])
    found = merge_regions(latlon, np.array([50, 1, 1, 1]), links, MergeConfig(2, alpha=0, size=0))
    assert found.tolist() == [0, 0, 1, 1]


@pytest.fixture(scope="module")
def leaves(photos):
    return np.unique(s2_cell_ids(photos[:8000, 0], photos[:8000, 1], 8))


def test_the_graph_is_connected_and_holds_all_neighbours(leaves):
    links = leaf_links(leaves)
    assert (links[:, 0] < links[:, 1]).all()
    assert len(np.unique(links, axis=0)) == len(links) < 6 * len(leaves)
    graph = coo_array((np.ones(len(links)), links.T), shape=(len(leaves),) * 2)
    assert connected_components(graph, directed=False)[0] == 1
    row = {cell: i for i, cell in enumerate(leaves.tolist())}
    have = set(map(tuple, links.tolist()))
    for i, around in enumerate(s2_cells.edge_neighbours(leaves).tolist()):
        for other in around:
            assert other not in row or (min(i, row[other]), max(i, row[other])) in have


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9])
def test_few_leaves_and_leaves_on_one_circle_are_connected(n):
    lat, lon = np.zeros(n) + 1e-6, np.linspace(0, 150, n)
    leaves = np.unique(s2_cell_ids(lat, lon, 12))
    links = leaf_links(leaves)
    graph = coo_array((np.ones(len(links)), links.T), shape=(n, n))
    assert connected_components(graph, directed=False)[0] == 1


@pytest.fixture(scope="module")
def merged(photos):
    looks = sphere.to_unit(photos[:8000]).numpy()  # something that varies smoothly
    return MergedPartition.fit(photos[:8000], MergeConfig(40, leaf_level=8), looks)


def test_no_photo_is_lost(merged, photos):
    label = merged.assign(photos[:8000])
    assert len(merged) == 40
    assert (label >= 0).all()
    assert merged.n_discarded == 0
    assert torch.equal(torch.bincount(label), merged.counts)
    assert list(dict.fromkeys(label.tolist())) == list(range(40)), "by first appearance"
    mean = sphere.spherical_mean(photos[:8000][label == 3])
    assert sphere.great_circle_km(merged.means[3], mean) < 1e-6
    ids, classes = merged.cells()
    assert np.array_equal(np.unique(classes), np.arange(40))
    assert merged.area_km2().sum() == pytest.approx(s2_cells.area_km2(ids).sum())


def test_unseen_places_take_the_nearest_leaf_within_reach(merged, photos):
    rest = photos[8000:12000]
    label = merged.assign(rest).numpy()
    centres = s2_cells.centre(merged.leaves)
    km = sphere.great_circle_matrix(rest, centres).numpy()
    leaf = s2_cell_ids(rest[:, 0], rest[:, 1], 8)
    known = np.isin(leaf, merged.leaves)
    assert np.array_equal(label[~known] >= 0, km.min(axis=1)[~known] <= merged.reach_km)
    near = ~known & (label >= 0)
    assert near.any()
    assert np.array_equal(label[near], merged.leaf_class[km.argmin(axis=1)[near]])
    assert merged.assign([[-50.0, -130.0]]).tolist() == [-1]


def test_reach_can_be_the_whole_earth(photos):
    config = MergeConfig(3, leaf_level=6, alpha=0, reach_km=21_000)
    cells = MergedPartition.fit(photos[:300], config)
    assert (cells.assign(sphere.uniform_points(100)) >= 0).all()


def test_geojson_and_file(merged, tmp_path):
    shapes = merged.to_geojson()["features"]
    assert len(shapes) == 40
    assert {shape["geometry"]["type"] for shape in shapes} <= {"Polygon", "MultiPolygon"}
    n_rings = sum(
        len(s["geometry"]["coordinates"]) for s in shapes if s["geometry"]["type"][0] == "M"
    )
    assert n_rings + sum(s["geometry"]["type"][0] == "P" for s in shapes) == len(merged.leaves)
    same = Partition.load(merged.save(tmp_path / "merged.npz"))
    assert isinstance(same, MergedPartition)
    assert (same.hash, same.reach_km) == (merged.hash, merged.reach_km)
    assert torch.equal(same.centres, merged.centres)
    with pytest.raises(DataError, match="MergedPartition, not a S2Partition"):
        S2Partition.load(tmp_path / "merged.npz")


@pytest.mark.parametrize(
    ("config", "features", "message"),
    [
        (MergeConfig(2, alpha=0.5), None, "alpha = 0.5"),
        (MergeConfig(2), np.zeros((3, 2)), r"\(3, 2\)"),
        (MergeConfig(2), [[0.0], [np.nan]], "row 1"),
        (MergeConfig(5, alpha=0), None, r"fill 2 cells of level 14.*5 classes"),
    ],
)
def test_bad_input_is_named(config, features, message):
    with pytest.raises(DataError, match=message):
        MergedPartition.fit([[1.0, 2.0], [30.0, 40.0]], config, features)


@pytest.mark.parametrize("bad", [{"n_classes": 0}, {"alpha": 1.5}, {"size": -1}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError, match="n_classes >= 1"):
        MergeConfig(**({"n_classes": 4} | bad))
