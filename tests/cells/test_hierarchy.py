"""Nested partitions: every finer cell lies in exactly one coarser cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.cells import (
    ISN_COARSE,
    ISN_FINE,
    ISN_MIDDLE,
    Hierarchy,
    S2Partition,
    S2Preset,
    s2_cells,
    scaled,
)
from geolab.data import DataError


@pytest.fixture(scope="module")
def tree(photos):
    return Hierarchy.fit(
        photos, [scaled(len(photos), like) for like in (ISN_COARSE, ISN_MIDDLE, ISN_FINE)]
    )


def test_ancestors_are_s2_parents(tree):
    assert len(tree) == 3
    assert (tree.coarse, tree.middle, tree.fine) == tree.parts
    assert len(tree.coarse) < len(tree.middle) < len(tree.fine)
    assert tree.ancestors.shape == (len(tree.fine), 3)
    assert torch.equal(tree.ancestors[:, 2], torch.arange(len(tree.fine)))
    for part, column in zip(tree.parts, tree.ancestors.T, strict=True):
        for level in np.unique(part.levels[column]):
            at = part.levels[column] == level
            want = s2_cells.parent(tree.fine.ids[at], int(level))
            assert np.array_equal(part.ids[column[at]], want)


def test_small_cells_stay_and_large_ones_are_split(tree):
    """As the published files do: same cell and count up to the finer limit, split above it."""
    for coarse, fine in ((tree.coarse, tree.middle), (tree.middle, tree.fine)):
        limit = int(fine.name.rsplit("/", 1)[1])
        small = coarse.counts.numpy() <= limit
        assert np.isin(coarse.ids[small], fine.ids).all()
        assert not np.isin(coarse.ids[~small], fine.ids).any()
        shared = dict(zip(fine.ids.tolist(), fine.counts.tolist(), strict=True))
        small_ids, counts = coarse.ids[small].tolist(), coarse.counts[small].tolist()
        assert [shared[cell] for cell in small_ids] == counts


def test_a_photo_in_a_fine_cell_is_in_its_ancestors(tree, photos):
    found = tree.assign(photos)
    assert found.shape == (len(photos), 3)
    inside = found[:, 2] >= 0
    assert torch.equal(tree.ancestors[found[inside, 2]], found[inside])
    assert int((found[:, 0] >= 0).sum()) >= int(inside.sum()) > 0.9 * len(photos)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=3, max_size=60, unique=True
    ),
    st.integers(0, 1),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
)
def test_every_finer_cell_has_an_ancestor(latlon, t_min, limits):
    limits = sorted(limits, reverse=True)
    presets = [S2Preset(f"S2 {t}", t_min, max(t, t_min), 1, len(latlon)) for t in limits]
    try:
        tree = Hierarchy.fit(latlon, presets)
    except DataError as error:
        if "t_min" not in str(error):
            raise
        return
    assert (tree.ancestors >= 0).all()


def test_partitions_that_are_not_nested_are_refused(photos):
    coarse, fine = S2Partition.fit(photos, 200, 1000), S2Partition.fit(photos, 1, 50)
    with pytest.raises(DataError, match=r"S2 1/50 lies in no cell of S2 200/1000"):
        Hierarchy.of([coarse, fine])
    with pytest.raises(DataError, match="at least one"):
        Hierarchy.of([])
    assert (fine.ancestor_in(coarse) == -1).any()
    assert (coarse.ancestor_in(fine) == -1).any(), "a larger cell is no descendant"


def test_save_and_load(tree, tmp_path):
    path = tree.save(tmp_path / "tree.npz")
    same = Hierarchy.load(path)
    assert same.hash == tree.hash
    assert torch.equal(same.ancestors, tree.ancestors)
    assert [part.name for part in same.parts] == [part.name for part in tree.parts]
    with pytest.raises(DataError, match="geolab-hierarchy"):
        S2Partition.load(path)
    with pytest.raises(DataError, match="geolab-partition"):
        Hierarchy.load(tree.fine.save(tmp_path / "fine.npz"))
