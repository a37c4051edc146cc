r"""The hierarchy product f*: a fine cell is as likely as it and all its ancestors say together.

Mueller-Budack, Pustu-Iren and Ewerth, ECCV 2018: one network, three partitions, each nested in the
next. The score of fine cell c with ancestors a(c) is

.. math:: f^*(c) = p_\mathrm{fine}(c) \prod_m p_m(a_m(c))

of *probabilities*. A product of logits means nothing: two negatives would make a positive.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from geolab.locators.scenes import check_probabilities


def hierarchy_scores(fine: Tensor, coarser: Sequence[Tensor], ancestors: Tensor) -> Tensor:
    """Multiply the probabilities of fine cells with those of their ancestors.

    Parameters
    ----------
    fine : Tensor, shape (B, C)
        Probabilities; not changed.
    coarser : sequence of M tensors, shapes (B, C_m)
    ancestors : Tensor of int64, shape (C, M)
        Cell of each coarser partition that holds the fine cell; -1 where none does, and the score
        is zero there.

    Returns
    -------
    Tensor, shape (B, C)
        Rows sum to 1; a row whose product is zero everywhere keeps the fine probabilities.

    Raises
    ------
    ValueError
        If rows are no probabilities, or shapes disagree.

    Examples
    --------
    >>> import torch
    >>> fine, coarse = torch.tensor([[0.4, 0.3, 0.3]]), torch.tensor([[0.3, 0.7]])
    >>> hierarchy_scores(fine, [coarse], torch.tensor([[0], [1], [1]])).argmax().item()
    1
    """
    if ancestors.shape != (fine.shape[1], len(coarser)):
        raise ValueError(
            f"ancestors {tuple(ancestors.shape)} for {fine.shape[1]} fine cells and "
            f"{len(coarser)} coarser partitions"
        )
    check_probabilities(fine, "fine")
    score = fine.double()
    for level, values in enumerate(coarser):
        check_probabilities(values, f"partition {level}")
        above = ancestors[:, level]
        held = values.double()[:, above.clamp_min(0)]  # (B, C_m) -> (B, C)
        score = score * held.where((above >= 0).to(held.device), 0.0)
    total = score.sum(1, keepdim=True)
    return (score / total.clamp_min(1e-300)).where(total > 0, fine.double())
