"""How sure GeoCLIP may be: a temperature fitted on photos, and what a short answer leaves out.

Both need the softmax over the whole gallery, which is taken in blocks of photos.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.kernels import topk
from geolab.sphere import ArrayLike, check_latlon

MAX_PHOTOS = 512
"""Validation photos that a temperature is fitted on; more change its second digit."""
_LOG_RANGE = (-4.0, 5.0)
_BLOCK = 1 << 24  # cosines in memory at once: 64 MB


def fit_temperature(
    photos: Tensor,
    truth: ArrayLike,
    gallery: Tensor | np.ndarray,
    latlon: Tensor,
    scale: float,
) -> float:
    """Temperature under which the gallery place nearest to the truth is most likely.

    Parameters
    ----------
    photos : Tensor, shape (B, D)
        Unit length; at most `MAX_PHOTOS` of them are used, spread evenly.
    truth : array_like, shape (B, 2)
        Degrees.
    gallery : Tensor or ndarray, shape (M, D)
        Embeddings of the places.
    latlon : Tensor, shape (M, 2)
    scale : float
        Factor on the cosines at temperature 1.

    Returns
    -------
    float
        1 where the gallery has one place only: any temperature fits then.

    Raises
    ------
    ValueError
        If there are no photos, or not one place for each.
    """
    from scipy.optimize import minimize_scalar

    places = check_latlon(truth, "truth").double()
    if not len(photos) or len(photos) != len(places):
        raise ValueError(f"{len(photos)} photos and {len(places)} places: give one for each")
    if len(latlon) == 1:
        return 1.0
    chosen = torch.linspace(0, len(photos) - 1, min(len(photos), MAX_PHOTOS)).long()
    unit = sphere.to_unit(latlon.double()).float()
    asked = sphere.to_unit(places[chosen]).float()
    nearest = topk(asked, unit, 1, metric="l2")[1][:, 0]
    blocks = [block.clone() for block in cosines(photos[chosen], gallery)]
    own = torch.cat(blocks).gather(1, nearest[:, None])[:, 0].double()

    def cost(log_t: float) -> float:
        sharp = scale / math.exp(log_t)
        whole = torch.cat([(sharp * block).logsumexp(1) for block in blocks]).double()
        return float((whole - sharp * own).mean())

    found = minimize_scalar(cost, bounds=_LOG_RANGE, method="bounded", options={"xatol": 0.01})
    return math.exp(found.x)


def share_kept(photos: Tensor, gallery: Tensor | np.ndarray, sharp: float, k: int) -> Tensor:
    """Share of the softmax of ``sharp * cosine`` that the `k` best places hold: (B,) float64."""
    parts = []
    for block in cosines(photos, gallery):
        best = (sharp * block.topk(k, dim=1).values).double().logsumexp(1)
        parts.append((best - (sharp * block).double().logsumexp(1)).exp().clamp(max=1.0))
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)


def cosines(photos: Tensor, gallery: Tensor | np.ndarray) -> Iterator[Tensor]:
    """Cosines (b, M) of some photos at a time with all places."""
    whole = gallery if isinstance(gallery, Tensor) else torch.from_numpy(np.asarray(gallery))
    for some in photos.split(max(1, _BLOCK // len(whole))) if len(photos) else ():
        yield some @ whole.T
