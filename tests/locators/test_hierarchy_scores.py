"""The product over a hierarchy: of probabilities, and of probabilities alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab.locators.hierarchy_scores import hierarchy_scores


def draw(seed, n, sizes, zeros=0.2):
    """Rows of probabilities, some of them zero, and ancestors, some missing."""
    rng = np.random.default_rng(seed)
    heads = []
    for size in sizes:
        values = rng.gamma(0.5, size=(n, size)) * (rng.random((n, size)) > zeros) + 1e-9
        heads.append(torch.from_numpy(values / values.sum(1, keepdims=True)))
    above = [rng.integers(-1, size, sizes[0]) for size in sizes[1:]]
    ancestors = torch.from_numpy(np.stack(above, 1)) if above else torch.empty(sizes[0], 0).long()
    return heads[0], heads[1:], ancestors


def naive(fine, coarser, ancestors):
    """The definition, cell by cell."""
    out = torch.zeros_like(fine)
    for b in range(len(fine)):
        for c in range(fine.shape[1]):
            score = float(fine[b, c])
            for level, values in enumerate(coarser):
                above = int(ancestors[c, level])
                score *= float(values[b, above]) if above >= 0 else 0.0
            out[b, c] = score
        out[b] = out[b] / out[b].sum() if out[b].sum() > 0 else fine[b]
    return out


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 4),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_equals_the_loops_of_the_definition(seed, n, sizes):
    fine, coarser, ancestors = draw(seed, n, sizes)
    said = hierarchy_scores(fine, coarser, ancestors)
    torch.testing.assert_close(said, naive(fine, coarser, ancestors), atol=1e-9, rtol=1e-6)
    torch.testing.assert_close(said.sum(1), torch.ones(n).double())


def test_what_goes_in_is_not_changed():
    given_ = draw(3, 4, [5, 3, 2])
    kept = (given_[0].clone(), [values.clone() for values in given_[1]], given_[2].clone())
    said = hierarchy_scores(*given_)
    said.zero_()
    assert torch.equal(given_[0], kept[0])
    assert all(torch.equal(one, other) for one, other in zip(given_[1], kept[1], strict=True))
    assert torch.equal(given_[2], kept[2])


def test_no_coarser_partition_leaves_a_copy_of_the_fine_one():
    fine = torch.tensor([[0.25, 0.75]], dtype=torch.float64)
    said = hierarchy_scores(fine, [], torch.empty(2, 0).long())
    assert torch.equal(said, fine)
    said.zero_()
    assert fine.sum() == 1


def test_a_cell_without_an_ancestor_scores_nothing():
    fine, coarse = torch.tensor([[0.8, 0.2]]), torch.tensor([[0.5, 0.5]])
    assert hierarchy_scores(fine, [coarse], torch.tensor([[-1], [0]])).tolist() == [[0.0, 1.0]]
    # Nothing left anywhere: the fine network alone answers.
    said = hierarchy_scores(fine, [coarse], torch.tensor([[-1], [-1]]))
    torch.testing.assert_close(said, fine.double())


def test_two_small_logits_would_win_and_are_refused():
    """Cell 0 is the least likely twice; the product of its logits is the largest."""
    fine, coarse = torch.tensor([[-5.0, 1.0, 2.0]]), torch.tensor([[-4.0, 3.0]])
    ancestors = torch.tensor([[0], [1], [1]])
    assert (fine * coarse[:, ancestors[:, 0]]).argmax() == 0  # 20 against 3 and 6
    assert hierarchy_scores(fine.softmax(1), [coarse.softmax(1)], ancestors).argmax() == 2
    with pytest.raises(ValueError, match=r"fine row 0 sums to -2.*softmax first"):
        hierarchy_scores(fine, [coarse.softmax(1)], ancestors)
    with pytest.raises(ValueError, match=r"partition 0 row 0 sums to -1"):
        hierarchy_scores(fine.softmax(1), [coarse], ancestors)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(wrong):
    coarse = torch.tensor([[0.5, 0.5], [wrong, 0.5]])
    with pytest.raises(ValueError, match="partition 0 row 1"):
        hierarchy_scores(torch.full((2, 1), 1.0), [coarse], torch.tensor([[0]]))


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 1\) for 2 fine cells and 1 coarser"):
        hierarchy_scores(torch.full((1, 2), 0.5), [torch.ones(1, 1)], torch.zeros(3, 1).long())
