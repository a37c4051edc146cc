r"""Distances between descriptors: L2, L1 and chi-square, as matrices and for given pairs.

Histograms are compared by

.. math:: \chi^2(a, b) = \tfrac12 \sum_i \frac{(a_i - b_i)^2}{a_i + b_i}
    = \tfrac12 \sum_i (a_i + b_i) - 2 \sum_i \frac{1}{1/a_i + 1/b_i},

where an empty pair of bins counts nothing. In the second form only bins that the query fills take
part, and the division is one reciprocal: most photos fill a few dozen of the 784 colour bins.

L2 is taken from products in float64. In float32, :math:`|a|^2 + |b|^2 - 2ab` would lose the
difference between two nearly equal photos, and those are the ones that matter.

Matrices are worked on in blocks whose intermediates stay near the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from geolab.encoders.im2gps.one_thread import one_thread

_BLOCK_ELEMENTS = 1 << 20


def distance_matrix(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """All distances between two sets of descriptors.

    Parameters
    ----------
    a, b : Tensor, shapes (Q, D) and (N, D)
    kind : {"l2", "l1", "chi2"}

    Returns
    -------
    Tensor, shape (Q, N), float32

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is NaN or infinite, an entry is negative (chi2), or `kind`
        is unknown.

    Examples
    --------
    >>> distance_matrix(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]), "l2")
    tensor([[5.]])
    """
    measure = _measure(_MATRIX, kind)
    with one_thread():
        a, b = _checked(a, "a", kind), _checked(b, "b", kind)
        if a.shape[1] != b.shape[1]:
            raise ValueError(f"{a.shape[1]} and {b.shape[1]} numbers a photo; use one encoder")
        return measure(a, b)


def paired_distances(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """Distances row by row: (P, D), (P, D) -> (P,) float32."""
    measure = _measure(_PAIRS, kind)
    with one_thread():
        return measure(_checked(a, "a", kind), _checked(b, "b", kind))


def _measure(table: dict[str, Callable], kind: str) -> Callable:
    if kind not in table:
        raise ValueError(f"distance {kind!r} is unknown; use one of {', '.join(table)}")
    return table[kind]


def _checked(x: Tensor, name: str, kind: str) -> Tensor:
    x = torch.as_tensor(x).float()
    if x.ndim != 2:
        raise ValueError(f"{name} must be (N, D), not {tuple(x.shape)}")
    if len(bad := torch.nonzero(~torch.isfinite(x).all(dim=1))):
        raise ValueError(f"descriptor {name}[{int(bad[0])}] holds NaN or infinity; encode it again")
    if kind == "chi2" and len(bad := torch.nonzero((x < 0).any(dim=1))):
        raise ValueError(f"histogram {name}[{int(bad[0])}] has a negative bin")
    return x


def _l2(a: Tensor, b: Tensor) -> Tensor:
    out = torch.empty(len(a), len(b))
    a, b = a.double(), b.double()
    b_norm = b.square().sum(1)
    for rows in _blocks(len(a), len(b)):
        part = a[rows]
        squared = torch.addmm(b_norm, part, b.T, alpha=-2) + part.square().sum(1, keepdim=True)
        out[rows] = squared.clamp_min_(0).sqrt_().float()
    return out


def _l1(a: Tensor, b: Tensor) -> Tensor:
    out = torch.empty(len(a), len(b))
    for rows in _blocks(len(a), len(b)):
        out[rows] = torch.cdist(a[rows], b, p=1.0)
    return out


def _chi2(a: Tensor, b: Tensor) -> Tensor:
    out = 0.5 * (a.sum(1)[:, None] + b.sum(1)[None, :])  # (Q, N)
    for columns in _blocks(len(b), b.shape[1]):
        inverse = torch.reciprocal(b[columns].T.contiguous())  # (D, n); an empty bin is infinite
        for row, histogram in enumerate(a):
            filled = torch.nonzero(histogram)[:, 0]
            shared = inverse[filled].add_(histogram[filled, None].reciprocal()).reciprocal_()
            out[row, columns] -= 2 * shared.sum(0)
    return out.clamp_min_(0)


def _blocks(n: int, width: int) -> list[slice]:
    step = max(1, _BLOCK_ELEMENTS // max(1, width))
    return [slice(start, start + step) for start in range(0, n, step)]


def _chi2_pairs(a: Tensor, b: Tensor) -> Tensor:
    return 0.5 * ((a - b).square() / (a + b).clamp_min(1e-10)).sum(1)


_MATRIX: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l2": _l2, "l1": _l1, "chi2": _chi2}
_PAIRS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": lambda a, b: (a - b).square().sum(1).sqrt(),
    "l1": lambda a, b: (a - b).abs().sum(1),
    "chi2": _chi2_pairs,
}
