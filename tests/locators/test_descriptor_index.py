"""Exact search: order, ties, scales."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.encoders.im2gps import paired_distances
from geolab.locators.descriptor_index import build_index, nearest

KINDS = {"a": "l2", "b": "l1"}


def features(n, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "a": torch.from_numpy(rng.normal(size=(n, 8)) * 100).float(),
        "b": torch.from_numpy(rng.random((n, 5))).float(),
    }


def index_of(n, **how):
    latlon = np.column_stack([np.linspace(-80, 80, n), np.linspace(-170, 170, n)])
    return build_index(features(n), KINDS, latlon, [f"p{i}" for i in range(n)], **how)


@pytest.mark.parametrize("k", [1, 3, 150, 200])
def test_search_is_a_sorted_sum_of_scaled_distances(k):
    index, queries = index_of(200), features(70, seed=1)
    distance, rows = index.search(queries, k)
    for q in range(0, 70, 9):
        parts = [
            paired_distances(queries[f][q].expand(200, -1), index.features[f], KINDS[f])
            / index.sigma[f]
            for f in KINDS
        ]
        naive = (parts[0] + parts[1]).numpy()
        order = np.argsort(naive, kind="stable")[:k]
        assert rows[q].tolist() == order.tolist()
        assert np.allclose(distance[q], naive[order], rtol=1e-5)


def test_single_family_and_missing_family():
    index, queries = index_of(50), features(3, seed=1)
    _, rows = index.search(queries, 1, ["b"])
    expected = torch.cdist(queries["b"], index.features["b"], p=1).argmin(1)
    assert rows[:, 0].tolist() == expected.tolist()
    with pytest.raises(ValueError, match="'c' is missing in the index"):
        index.search(queries, 1, ["c"])
    with pytest.raises(ValueError, match="'b' is missing in the queries"):
        index.search({"a": queries["a"]}, 1)


def test_ties_go_to_the_smaller_index():
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.integers(0, 4, (40, 300))).float()
    for k in (1, 2, 7, 150, 300):
        value, index = nearest(values, k)
        order = np.argsort(values.numpy(), axis=1, kind="stable")[:, :k]
        assert np.array_equal(index.numpy(), order)
        assert torch.equal(value, values.gather(1, index))


def test_scales_are_learnt_once_from_pairs_of_different_photos():
    index = index_of(60)
    left, right = np.triu_indices(60, 1)  # 1,770 pairs: fewer than 100,000, so all are taken
    for family, kind in KINDS.items():
        values = index.features[family]
        spread = paired_distances(values[left], values[right], kind).std(correction=0)
        assert index.sigma[family] == pytest.approx(float(spread), rel=1e-5)
    # The scales do not depend on a query, nor change when references are left out.
    assert index.subset(range(10)).sigma == index.sigma
    # Drawn pairs give nearly the same.
    drawn = index_of(60, n_pairs=1700, seed=1)
    assert drawn.sigma["a"] == pytest.approx(index.sigma["a"], rel=0.1)
    assert drawn.sigma != index.sigma
    assert index_of(60, n_pairs=1700, seed=1).sigma == drawn.sigma


def test_scaled_distances_have_unit_deviation():
    index = index_of(300)
    for values in index.distances(index.features).values():
        off_diagonal = values[~torch.eye(300, dtype=torch.bool)]
        assert float(off_diagonal.std()) == pytest.approx(1, rel=0.02)


def test_one_reference_and_equal_references():
    one = index_of(1)
    assert one.sigma == {"a": 1.0, "b": 1.0}
    assert one.search(features(4, 1), 1)[1].tolist() == [[0]] * 4
    same = {name: values[:1].repeat(5, 1) for name, values in features(1).items()}
    index = build_index(same, KINDS, np.zeros((5, 2)), list("abcde"))
    assert index.sigma == {"a": 1.0, "b": 1.0}
    assert index.search(same, 3)[1].tolist() == [[0, 1, 2]] * 5


def test_k_and_empty_sets():
    index = index_of(10)
    for k in (0, 11, -1):
        with pytest.raises(ValueError, match="between 1 and 10"):
            index.search(features(2, 1), k)
    with pytest.raises(ValueError, match="at least one"):
        build_index(features(0), KINDS, np.zeros((0, 2)), [])
    assert index.search({n: v[:0] for n, v in features(2).items()}, 3)[1].shape == (0, 3)


def test_parts_that_do_not_fit():
    with pytest.raises(ValueError, match="3 ids, 4 places"):
        build_index(features(4), KINDS, np.zeros((4, 2)), list("abc"))
    with pytest.raises(ValueError, match="91"):
        build_index(features(2), KINDS, [[0, 0], [91, 0]], list("ab"))
    broken = features(3)
    broken["a"][2, 1] = torch.inf
    with pytest.raises(ValueError, match="NaN or infinity"):
        build_index(broken, KINDS, np.zeros((3, 2)), list("abc"))


def test_subset_keeps_order_and_names():
    part = index_of(20).subset([7, 3, 11])
    assert part.ids == ("p7", "p3", "p11")
    assert len(part) == 3
    assert part.search({n: v[[3]] for n, v in features(20).items()}, 1)[1].tolist() == [[1]]
