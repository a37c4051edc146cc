r"""The place that the best matches agree on: clustering by replicator dynamics, in kilometres.

Of the five nearest tiles most stand around the true place and one or two anywhere. Their plain mean
is then nowhere. Give two places the affinity a = exp(-km / scale) and let weights x play

.. math:: x_i \leftarrow x_i \frac{(A x)_i}{x^\top A x}

(Pavan and Pelillo, PAMI 2007): places that support one another win. Members under a tenth of the
weight are dropped, the answer is the spherical mean of the rest by weight. The released code of the
hashing paper takes degrees for the distance, whatever the latitude, and knows no scale; here it is
kilometres, and where fewer than two members agree the first match answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from geolab import sphere
from geolab.posterior import Posterior

DROP = 0.1
"""Least weight of a member."""
_STEPS = 200
_AGREE = torch.e**-3
"""Least affinity of two members that agree: three scales apart."""


@dataclass(frozen=True)
class Located:
    """Where queries are.

    Attributes
    ----------
    point : Tensor of float64, shape (B, 2)
        Degrees.
    agreed : Tensor of bool, shape (B,)
        Whether two or more matches agreed; where not, `point` is the first match.
    posterior : Posterior
        The K matches with their weights.
    """

    point: Tensor
    agreed: Tensor
    posterior: Posterior


def replicator_weights(affinity: Tensor, start: Tensor | None = None) -> Tensor:
    """Weights that replicator dynamics settles on.

    Parameters
    ----------
    affinity : Tensor, shape (B, K, K)
        Symmetric, not negative; the diagonal is ignored.
    start : Tensor, shape (B, K), optional
        Positive; equal weights if not given.

    Returns
    -------
    Tensor of float64, shape (B, K)
        Rows sum to one. A row without any affinity keeps its start.
    """
    a = affinity.double().clone()
    a.diagonal(dim1=1, dim2=2).zero_()
    x = torch.ones(a.shape[:2], dtype=torch.float64) if start is None else start.double()
    x = x / x.sum(1, keepdim=True)
    for _ in range(_STEPS):
        support = (a @ x[..., None])[..., 0]  # (B, K)
        mean = (x * support).sum(1, keepdim=True)
        x = torch.where(mean > 0, x * support / mean.clamp(min=1e-300), x)
    return x / x.sum(1, keepdim=True)


def locate_cluster(
    places: Tensor, *, scale_km: float = 0.1, start: Tensor | None = None
) -> Located:
    """Answer with the place that most of the matches stand around.

    Parameters
    ----------
    places : Tensor, shape (B, K, 2)
        Degrees, best match first.
    scale_km : float
        Distance over which agreement falls to 1/e: about the spacing of references.
    start : Tensor, shape (B, K), optional
        Weights to begin with, such as similarities.

    Raises
    ------
    ValueError
        If shapes disagree, a coordinate is not on Earth or the scale is not positive.

    Examples
    --------
    >>> near = [[48.0, 11.0], [48.0005, 11.0], [48.0, 11.0005]]
    >>> found = locate_cluster(torch.tensor([[*near, [50.0, 8.0], [9.0, 9.0]]]))
    >>> [round(x, 3) for x in found.point[0].tolist()]
    [48.0, 11.0]
    """
    places = sphere.check_latlon(places, "places").double()
    if places.ndim != 3 or not places.shape[1]:
        raise ValueError(f"places must be (B, K, 2) with K > 0; these are {tuple(places.shape)}")
    if not scale_km > 0:
        raise ValueError(f"scale_km must be positive; it is {scale_km}")
    affinity = torch.exp(-sphere.great_circle_km(places[:, :, None], places[:, None]) / scale_km)
    weight = replicator_weights(affinity, start)
    kept = torch.where(weight < DROP, 0.0, weight)
    kept = kept / kept.sum(1, keepdim=True).clamp(min=1e-300)
    off = affinity - torch.diag_embed(affinity.diagonal(dim1=1, dim2=2))
    both = (kept > 0)[:, :, None] & (kept > 0)[:, None]
    agreed = ((off > _AGREE) & both).any(2).any(1)
    first = torch.zeros_like(kept)
    first[:, 0] = 1.0
    kept = torch.where(agreed[:, None], kept, first)
    return Located(sphere.spherical_mean(places, kept), agreed, Posterior(places, kept))
