"""Merging and splitting, on graphs and clusters with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.cells import SemanticConfig, scaled_semantic
from geolab.cells.semantic_merge import merge_small
from geolab.cells.semantic_split import split_large, tidied, touching

NONE = np.zeros((0, 2), np.int64)


def merged(counts, pairs, *, country=None, region=None, far=None, min_size=10, seed=0):
    n = len(counts)
    pairs = np.array(pairs).reshape(-1, 2)
    return merge_small(
        np.array(counts),
        np.array(country or ["X"] * n),
        np.array(region or ["r"] * n),
        pairs,
        pairs if far is None else np.array(far).reshape(-1, 2),
        min_size,
        seed,
    ).tolist()


def blob(lat, lon, n, seed=0, spread=0.02):
    points = np.random.default_rng(seed).normal([lat, lon], spread, (n, 2))
    points[:, 1] = (points[:, 1] + 180) % 360 - 180
    return points


@pytest.mark.parametrize("seed", range(4))
def test_small_takes_the_largest_neighbour(seed):
    assert merged([3, 20, 30], [[0, 1], [0, 2], [1, 2]], seed=seed) == [0, 1, 0]


def test_own_region_comes_before_a_larger_neighbour_elsewhere():
    assert merged([3, 20, 90], [[0, 1], [0, 2]], region=["a", "a", "b"]) == [0, 0, 2]


def test_small_comes_before_large_in_the_same_region():
    # 0 and 1 find each other whichever is picked first, and are then large enough
    assert merged([6, 6, 90], [[0, 1], [0, 2], [1, 2]]) == [0, 0, 2]


def test_small_of_another_region_comes_before_large_of_another_region():
    found = merged([6, 6, 90], [[0, 1], [0, 2], [1, 2]], region=["a", "b", "c"])
    assert found == [0, 0, 2]


def test_blown_up_neighbours_are_the_last_resort():
    assert merged([3, 20, 90], [[0, 1]], far=[[0, 1], [0, 2]]) == [0, 0, 2]
    assert merged([3, 20], NONE, far=[[0, 1]]) == [0, 0]


def test_never_across_a_border_and_islands_stay():
    assert merged([3, 90, 2], [[0, 1]], country=["X", "Y", "X"]) == [0, 1, 2]


def test_absorbed_neighbours_are_inherited():
    found = merged([1, 1, 1, 1, 20], [[0, 1], [1, 2], [2, 3], [3, 4]])
    assert len(set(found)) == 1


def test_a_country_does_not_change_when_another_comes():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, 30)
    pairs = np.stack([np.arange(29), np.arange(1, 30)], 1)
    alone = merged(counts, pairs, country=["N"] * 30)
    both = merged([*counts, 5, 5], [*pairs, [30, 31]], country=["N"] * 30 + ["A"] * 2)
    assert both[:30] == alone


CONFIG = SemanticConfig(30, 60, ((8, 0.05), (10, 0.025), (15, 0.015)))


def split(points, config=CONFIG, weight=None):
    return split_large(points, np.ones(len(points), int) if weight is None else weight, config)


def test_two_clusters_and_what_lies_between():
    points = np.concatenate([blob(48, 2, 50), blob(48, 3, 50, 1), [[48.0, 2.2], [48.0, 2.9]]])
    part = split(points)
    assert part[:50].tolist() == [part[0]] * 50
    assert part[50:100].tolist() == [part[50]] * 50
    assert part[0] != part[50]
    assert part[100:].tolist() == [part[0], part[50]]


def test_three_clusters():
    part = split(np.concatenate([blob(48, lon, 45, lon) for lon in (2, 3, 4)]))
    assert np.bincount(part).tolist() == [45, 45, 45]


def ring_around(n_ring, n_middle):
    """A ring of photos around a cluster, and what OPTICS says of such: the cluster and noise."""
    angle = np.arange(n_ring) * 2 * np.pi / n_ring
    ring = np.stack([48 + np.sin(angle), 2 + 1.5 * np.cos(angle)], 1)
    return np.concatenate([blob(48, 2, n_middle), ring]), np.r_[[0] * n_middle, [-1] * n_ring]


@pytest.mark.parametrize(
    ("n_ring", "n_middle", "sizes"),
    [
        (40, 55, [55, 40]),
        (20, 55, [75]),  # the ring would be below the minimum
        (70, 55, [125]),  # the ring would still be above the maximum
        (40, 25, [65]),  # the cluster is below the minimum, so all is noise
    ],
)
def test_one_cluster_is_cut_out_of_its_ring(monkeypatch, n_ring, n_middle, sizes):
    points, label = ring_around(n_ring, n_middle)
    monkeypatch.setattr("geolab.cells.semantic_split.optics", lambda *_: label)
    part = split(points)
    assert sorted(np.bincount(part).tolist()) == sorted(sizes)
    assert len(set(part[:n_middle])) == len(set(part[n_middle:])) == 1


def test_a_large_part_is_split_again(monkeypatch):
    blobs = [blob(48, lon, 40, lon) for lon in (2, 3, 8)]
    calls = []

    def staged(points, *_):
        calls.append(len(points))
        return (points[:, 1] > (5 if len(points) == 120 else 2.5)).astype(np.int64)

    monkeypatch.setattr("geolab.cells.semantic_split.optics", staged)
    part = split(np.concatenate(blobs))
    assert calls == [120, 80]
    assert np.bincount(part).tolist() == [40, 40, 40]


def test_nothing_changes_at_180():
    blobs = [blob(-17, 1 + lon, 40 + lon, lon) for lon in range(3)]
    here = np.concatenate(blobs)
    there = np.stack([here[:, 0], (here[:, 1] + 178 + 180) % 360 - 180], 1)
    assert (there[:, 1] < 0).any()
    assert (there[:, 1] > 0).any()
    assert len(set(split(here))) > 1
    np.testing.assert_array_equal(split(there), split(here))


def test_noise_alone_is_left_in_one_piece():
    grid = np.stack(np.meshgrid(np.linspace(40, 50, 12), np.linspace(0, 10, 12)), -1)
    assert set(split(grid.reshape(-1, 2))) == {0}
    config = SemanticConfig(30, 60, ((8, 0.05),))
    scattered = np.concatenate([blob(lat, 2, 20, lat) for lat in range(40, 46)])
    assert set(split(scattered, config)) == {0}  # six clusters, each under the minimum


def test_weights_are_photos():
    points = np.concatenate([blob(48, 2, 10), blob(48, 3, 10, 1)])
    assert set(split(points, SemanticConfig(30, 60, ((5, 0.05),)))) == {0}
    part = split(points, SemanticConfig(30, 60, ((5, 0.05),)), np.full(20, 5))
    assert len(set(part[:10])) == len(set(part[10:])) == 1
    assert part[0] != part[-1]


@pytest.mark.parametrize("paper", [False, True])
def test_one_place_two_places_and_a_line(paper):
    config = SemanticConfig(5, 10, ((3, 0.05),), paper=paper)
    assert split(np.array([[1.0, 2.0]]), config, np.array([99])).tolist() == [0]
    two = split(np.array([[1.0, 2.0], [1.0, 9.0]]), config, np.array([50, 50]))
    assert len(two) == 2
    line = np.stack([np.full(40, 10.0), np.r_[np.linspace(0, 1, 20), np.linspace(9, 10, 20)]], 1)
    part = split(line, config)
    assert set(part[:20]).isdisjoint(part[20:])


def test_paper_form_sees_degrees_not_kilometres():
    points = np.concatenate([blob(70, 10, 50, 0, 0.3), blob(70, 14, 50, 1, 0.3)])
    for paper in (False, True):
        part = split(points, SemanticConfig(30, 60, CONFIG.passes, paper=paper))
        assert set(part[:50]).isdisjoint(part[50:])


def test_touching_of_a_square_of_a_line_and_of_few():
    assert len(touching(np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]))) == 5
    line = np.stack([np.zeros(6), [179.0, -179, 178, 180, -178, 177]], 1)
    chain = touching(line)
    lon = line[:, 1] % 360
    assert np.abs(lon[chain[:, 0]] - lon[chain[:, 1]]).max() == 1
    assert len(chain) == 5
    assert len(touching(line[:2])) == 1
    assert len(touching(line[:1])) == 0


def test_a_piece_cut_off_goes_where_it_touches_most():
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]])
    part, weight = np.array([0, 0, 0, 1, 1, 0, 1]), np.ones(7, int)
    assert tidied(part, [0, 1], edges, weight, 2).tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert tidied(part, [0, 1], edges, weight, 9).tolist() == part.tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60,
             unique=True),
    st.integers(1, 6),
    st.integers(0, 5),
)  # fmt: skip
def test_parts_are_numbered_through_and_large_enough(cells, min_size, seed):
    points = np.array(cells) / 3.0
    weight = np.random.default_rng(seed).integers(1, 5, len(points))
    part = split(points, SemanticConfig(min_size, 2 * min_size, ((3, 0.05), (4, 0.01))), weight)
    sizes = np.bincount(part, weights=weight)
    assert (sizes > 0).all()
    assert len(sizes) == 1 or sizes.min() >= min_size


def test_scaled_limits_follow_the_published_shape():
    config = scaled_semantic(100_000, 2203)
    assert (config.min_size, config.max_size) == (45, 90)
    assert scaled_semantic(50).min_size == 4
    with pytest.raises(ValueError, match="min_size 9 and max_size 5"):
        SemanticConfig(9, 5)
