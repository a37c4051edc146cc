"""recall@k of matching, with ties counted half.

The rank of a query is the number of references that match it better than the true one. Integer
Hamming distances tie all the time, and a rank that counts strictly better ones only is flattering
by as many places as there are ties: half of them are counted as better here.

recall@1 % means rank < R // 100, as the field has it: 88 of CVUSA's 8,884.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 1024


def ranks(
    queries: Tensor, base: Tensor, truth: Tensor | None = None, *, ties: float = 0.5
) -> Tensor:
    """Rank of the true reference of each query; 0 is a hit.

    Parameters
    ----------
    queries : Tensor, shape (Q, D)
        Float embeddings, or codes of +1 and -1: the greater the product, the better the match.
    base : Tensor, shape (R, D)
    truth : Tensor of int64, shape (Q,), optional
        Row of `base`; row i for query i if not given.
    ties : float
        Share of the references that match as well as the true one which counts as better: 0 is the
        published habit.

    Returns
    -------
    Tensor of float32, shape (Q,)

    Raises
    ------
    ValueError
        If lengths or widths disagree, a true row is not in `base`, or a value is not finite.

    Examples
    --------
    >>> ranks(torch.eye(3), torch.eye(3)).tolist()
    [0.0, 0.0, 0.0]
    >>> ranks(torch.ones(1, 2), torch.ones(5, 2)).tolist()  # four ties
    [2.0]
    """
    if queries.shape[1] != base.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} numbers, references {base.shape[1]}")
    truth = torch.arange(len(queries)) if truth is None else truth
    if len(truth) != len(queries) or (
        len(truth) and not 0 <= truth.min() <= truth.max() < len(base)
    ):
        raise ValueError(f"{len(queries)} queries need as many true rows, each under {len(base)}")
    for name, values in (("queries", queries), ("base", base)):
        if not torch.isfinite(values).all():
            row = int((~torch.isfinite(values)).any(1).nonzero()[0])
            raise ValueError(f"{name}: row {row} is not finite")
    out = []
    for q, t in zip(queries.split(_BLOCK), truth.split(_BLOCK), strict=True):
        score = q.float() @ base.float().T  # (q, R)
        right = score.gather(1, t[:, None])
        better = (score > right).sum(1)
        same = (score == right).sum(1) - 1
        out.append(better + ties * same)
    return torch.cat(out).float() if out else torch.empty(0)


def recall(rank: Tensor, n_references: int) -> dict[str, float]:
    """Per cent of queries found among the best 1, 5, 10 and 1 % of the references.

    Examples
    --------
    >>> recall(torch.tensor([0.0, 3.0, 50.0, 7.0]), 8884)
    {'recall@1': 25.0, 'recall@5': 50.0, 'recall@10': 75.0, 'recall@1%': 100.0}
    """
    if not len(rank):
        raise ValueError("no queries, no recall")
    limits = {"1": 1, "5": 5, "10": 10, "1%": max(1, n_references // 100)}
    return {f"recall@{k}": 100.0 * (rank < n).float().mean().item() for k, n in limits.items()}
