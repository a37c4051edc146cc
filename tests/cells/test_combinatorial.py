"""Intersected partitions: the tuples, both score rules, pieces, files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab import sphere
from geolab.cells import (
    CombinatorialPartition,
    MergeConfig,
    MergedPartition,
    Partition,
    S2Partition,
    s2_cells,
)
from geolab.cells.combinatorial import find_tuples
from geolab.data import DataError
from geolab.posterior import Posterior

N = 6000


@pytest.fixture(scope="module")
def parts(photos):
    looks = np.random.default_rng(3).normal(size=(N, 4))
    return (
        S2Partition.fit(photos[:N], 10, 500),
        MergedPartition.fit(photos[:N], MergeConfig(30, leaf_level=7, alpha=0)),
        MergedPartition.fit(photos[:N], MergeConfig(30, leaf_level=8, alpha=0.8), looks),
    )


@pytest.fixture(scope="module")
def crossed(parts, photos):
    return CombinatorialPartition.of(parts, photos[:N])


@pytest.fixture(scope="module")
def votes(parts):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.softmax(3 * torch.randn(5, len(p), dtype=torch.float64, generator=generator), -1)
        for p in parts
    ]


def test_fine_classes_are_the_tuples_with_a_photo(crossed, parts, photos):
    tuples = list(zip(*(part.assign(photos[:N]).tolist() for part in parts), strict=True))
    want = {}
    for row, labels in enumerate(tuples):
        if min(labels) >= 0:
            want.setdefault(labels, []).append(row)
    assert [tuple(labels) for labels in crossed.labels.tolist()] == list(want)
    assert crossed.counts.tolist() == [len(rows) for rows in want.values()]
    assert crossed.n_discarded == sum(min(labels) < 0 for labels in tuples) > 0
    assert len(crossed) > max(len(part) for part in parts)
    rows = next(iter(want.values()))
    mean = sphere.spherical_mean(photos[rows])
    assert sphere.great_circle_km(crossed.means[0], mean) < 1e-6
    label = crossed.assign(photos[:N])
    assert torch.equal(torch.bincount(label[label >= 0]), crossed.counts)


def test_unseen_tuples_are_outside(crossed, photos):
    label = crossed.assign(photos[N:])
    tuples = torch.stack([part.assign(photos[N:]) for part in crossed.parts], dim=1)
    known = set(map(tuple, crossed.labels.tolist()))
    want = [tuple(t) in known for t in tuples.tolist()]
    assert ((label >= 0).numpy() == want).all()
    assert 0 < sum(want) < len(want)
    assert torch.equal(crossed.labels[label[label >= 0]], tuples[label >= 0])


@pytest.mark.parametrize("rule", ["log", "sum"])
def test_scores_are_the_rule_normalised(crossed, votes, rule):
    found = crossed.scores(votes, rule)
    assert found.shape == (5, len(crossed))
    for c in range(0, len(crossed), 37):
        each = [p[:, label] for p, label in zip(votes, crossed.labels[c], strict=True)]
        one = torch.stack(each).prod(0) if rule == "log" else torch.stack(each).sum(0)
        first = [p[:, label] for p, label in zip(votes, crossed.labels[0], strict=True)]
        base = torch.stack(first).prod(0) if rule == "log" else torch.stack(first).sum(0)
        torch.testing.assert_close(found[:, c] / found[:, 0], one / base)
    post = Posterior(crossed.means, found)
    assert post.support_size == len(crossed)


def test_both_rules_on_a_worked_example():
    """Two parts of two: the product asks for both votes, the sum lets one loud vote win."""
    a = S2Partition.fit([[10, 10], [10, 100], [-10, 10], [-10, 100]], 0, 4, start_level=0)
    corners = np.array([[10.0, 10.0], [10.0, 100.0], [-10.0, 10.0], [-10.0, 100.0]])
    b = MergedPartition.fit(corners, MergeConfig(2, leaf_level=4, alpha=1), [[0], [0], [9], [9]])
    both = CombinatorialPartition.of((a, b), corners)
    assert both.labels.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    p = [torch.tensor([[0.9, 0.1]]), torch.tensor([[0.4, 0.6]])]
    want = torch.tensor([[0.36, 0.04, 0.54, 0.06]])
    torch.testing.assert_close(both.scores(p, "log"), want)
    torch.testing.assert_close(both.scores(p, "sum"), torch.tensor([[1.3, 0.5, 1.5, 0.7]]) / 4)


def test_a_zero_does_not_make_a_nan(crossed, votes):
    hard = [torch.nn.functional.one_hot(p.argmax(-1), p.shape[1]).float() for p in votes]
    for rule in ("log", "sum"):
        total = crossed.scores(hard, rule).sum(-1)
        torch.testing.assert_close(total, torch.ones(5))
    half = [p.half() for p in votes]
    assert crossed.scores(half).dtype == torch.float32


def test_logits_and_other_shapes_are_refused(crossed, votes):
    with pytest.raises(ValueError, match=r"row 0 sums to .*not logits"):
        crossed.scores([v.log() for v in votes])
    broken = [v.clone() for v in votes]
    broken[1][3, 0] = float("nan")
    with pytest.raises(ValueError, match=r"merged 30 alpha 0: row 3"):
        crossed.scores(broken)
    with pytest.raises(ValueError, match="2 score tables for 3"):
        crossed.scores(votes[:2])
    with pytest.raises(ValueError, match=r"expected \(B, 30\)"):
        crossed.scores([votes[0], votes[0], votes[2]])
    with pytest.raises(ValueError, match="'max'"):
        crossed.scores(votes, "max")


def test_cells_are_disjoint_and_lie_in_their_tuple(crossed):
    ids, label = crossed.cells()
    first, last = (np.sort(x) for x in s2_cells.id_range(ids))
    assert (first[1:] > last[:-1]).all()
    found = crossed.assign(s2_cells.centre(ids))
    assert np.array_equal(found.numpy(), label)


def test_pieces_are_counted():
    corners = np.array([[10.0, 10.0], [10.1, 10.1], [10.0, 60.0], [60.0, 60.0]])
    looks = [[0.0], [0.0], [0.0], [9.0]]
    whole = S2Partition.fit(corners, 0, 9, start_level=0)
    grown = MergedPartition.fit(corners, MergeConfig(2, leaf_level=3, alpha=1), looks)
    both = CombinatorialPartition.of([grown], corners)
    assert grown.leaf_class.tolist().count(0) == 2, "far apart, but alike"
    assert both.pieces().tolist() == [2, 1]
    assert CombinatorialPartition.of([whole], corners).pieces().tolist() == [1] * len(whole)


def test_pieces_join_cells_of_different_size():
    """All cells of the world as one class: one piece, whatever the sizes."""
    cells = S2Partition.fit(sphere.uniform_points(4000), 0, 40, start_level=2)
    assert len(np.unique(cells.levels)) > 1
    ids, _ = cells.cells()
    assert s2_cells.area_km2(ids).sum() == pytest.approx(510065881, rel=1e-6)
    one = MergedPartition(
        name="all", means=cells.means[:1], centres=cells.centres[:1],
        counts=torch.tensor([4000]), n_photos=4000, leaves=ids,
        leaf_class=np.zeros(len(ids), np.int64), reach_km=1.0,
    )  # fmt: skip
    crossed = CombinatorialPartition.of([one], sphere.uniform_points(4000))
    assert crossed.pieces().tolist() == [1]


def test_save_and_load(crossed, photos, tmp_path):
    same = Partition.load(crossed.save(tmp_path / "crossed.npz"))
    assert isinstance(same, CombinatorialPartition)
    assert (same.hash, same.name, same.n_discarded) == (
        crossed.hash,
        crossed.name,
        crossed.n_discarded,
    )
    assert [part.hash for part in same.parts] == [part.hash for part in crossed.parts]
    assert torch.equal(same.centres, crossed.centres)
    assert torch.equal(same.assign(photos), crossed.assign(photos))


def test_what_cannot_be_crossed_is_refused(parts):
    with pytest.raises(DataError, match="at least one"):
        CombinatorialPartition.of([], [[1.0, 2.0]])
    with pytest.raises(DataError, match="no photo lies in all of: S2 10/500, merged"):
        CombinatorialPartition.of(parts, [[-50.0, -130.0]])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_tuples_are_found_as_a_dictionary_finds_them(data):
    width = data.draw(st.integers(1, 4))
    row = st.tuples(*[st.integers(0, 5)] * width)
    known = data.draw(st.lists(row, min_size=1, max_size=20, unique=True))
    asked = data.draw(st.lists(st.tuples(*[st.integers(-1, 9)] * width), max_size=30))
    number = {labels: i for i, labels in enumerate(known)}
    found = find_tuples(np.array(known), np.array(asked, int).reshape(-1, width))
    assert found.tolist() == [number.get(labels, -1) for labels in asked]
