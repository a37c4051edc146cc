"""From a distribution to one point, four ways.

A map wants one pin, a distribution has none. Which point is right depends on what a mistake costs:

| decision | best for | between two modes it |
| --- | --- | --- |
| mean | squared chord | lands where nobody said |
| one sample | nothing; it is the honest draw | picks a mode by chance |
| density mode | being exactly right | picks the higher peak |
| best score | the GeoGuessr score | picks what is worth most, neighbourhood included |

    points = decide(posterior)                    # {"mean": (B, 2), ...}
    score_of(points["best score"], truth)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from geolab.metrics import errors_km, geoguessr_score
from geolab.posterior import Posterior
from geolab.sphere import ArrayLike

DECISIONS = ("mean", "one sample", "density mode", "best score")


def decide(
    posterior: Posterior,
    log_p: Tensor | None = None,
    *,
    sigma_km: float = 200.0,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Four points for each photo.

    Parameters
    ----------
    posterior : Posterior
        Of B photos with K places, samples of a flow for example.
    log_p : Tensor, shape (B, K), optional
        Log-density of each place, where the system has one; else a Gaussian of `sigma_km` on
        every place says where they are dense.

    Returns
    -------
    dict of str to Tensor, shape (B, 2)
        Degrees, by the names in `DECISIONS`.

    Raises
    ------
    ValueError
        If `log_p` does not fit the posterior, or is NaN.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = posterior.weight.double().cpu()
    drawn = torch.multinomial(weight, 1, generator=generator)[:, 0] if len(weight) else weight[:, 0]
    at = torch.arange(len(weight))
    places = posterior.latlon.cpu()
    return {
        "mean": posterior.mean().cpu(),
        "one sample": places[at, drawn.long()],
        "density mode": _densest(posterior, log_p, sigma_km).cpu(),
        "best score": posterior.best_score().cpu(),
    }


def _densest(posterior: Posterior, log_p: Tensor | None, sigma_km: float) -> Tensor:
    if log_p is None:
        return posterior.density_mode(sigma_km)
    if log_p.shape != posterior.weight.shape or log_p.isnan().any():
        raise ValueError(
            f"log_p {tuple(log_p.shape)} must be numbers of shape {tuple(posterior.weight.shape)}"
        )
    places, best = posterior.latlon.cpu(), log_p.cpu().argmax(1)
    return places[torch.arange(len(places)), best]


def score_of(points: Tensor, truth: ArrayLike) -> float:
    """Mean GeoGuessr score of points (B, 2) at true places (B, 2), or (2,) for all."""
    said = np.asarray(points, dtype=np.float64)
    places = np.broadcast_to(np.asarray(truth, dtype=np.float64), said.shape)
    return float(geoguessr_score(errors_km(said, places)).mean())


def compare_decisions(
    posterior: Posterior, truth: ArrayLike, log_p: Tensor | None = None, **how
) -> dict[str, float]:
    """Mean GeoGuessr score of each decision."""
    points = decide(posterior, log_p, **how)
    return {name: score_of(said, truth) for name, said in points.items()}
