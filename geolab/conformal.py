r"""Conformal p-values: how odd a claimed place is, beside places that are known to be true.

A system's answer is a `Posterior`. How badly a claimed place fits it is a number; how odd that
number is, photos with known places say. With the scores s_1 .. s_n of n photos at their true places
and s of the claim,

.. math:: p = \frac{1 + \#\{i : s_i \ge s\}}{n + 1}

(Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005). If the claim is true and
the photo is of the same kind as the n, a test at level 0.05 rejects it in at most 5 % of cases,
however wrong the system is.

**Photos of one photographer are no independent draws.** Where one person took a quarter of the
known photos, that formula judges a stranger by her. So photographers count, not photos: with G of
them, n_g photos each,

.. math:: p = \frac{1}{G+1} \Big(1 + \sum_g \frac{1}{n_g} \#\{i \in g : s_i \ge s\}\Big)

which keeps the promise for a photo of a new photographer (Lee, Barber and Willett,
"Distribution-free inference with hierarchical data", 2023). Below 19 photographers it can reject
nothing at 0.05.

Scores (`misfit`):

- "ratio": how much less dense the claim is than the best place of the answer, in nats. A vague
  answer, which has no much better place, finds hardly any claim odd.
- "density": minus the log-density at the claim: a vague answer finds every claim a little odd.

(The probability of all places denser than the claim is no use here: answers are a few points, the
truth is on none of them, and so it is one for nearly every claim, true or false.)

`benjamini_hochberg` keeps the share of false flags among many under a limit (1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from geolab.intervals import group_index
from geolab.likelihood import KernelWidth, log_density
from geolab.posterior import Posterior
from geolab.sphere import ArrayLike, check_latlon

Score = Literal["ratio", "density"]


def misfit(
    posterior: Posterior, claimed: ArrayLike, width: KernelWidth, score: Score = "ratio"
) -> np.ndarray:
    """How badly claimed places fit the answers; more is worse.

    Parameters
    ----------
    posterior : Posterior
        Of B photos.
    claimed : array_like, shape (B, 2)
        Degrees.
    width : KernelWidth
        How an answer becomes a density (`geolab.likelihood.fit_width`).
    score : {"ratio", "density"}

    Returns
    -------
    ndarray of float64, shape (B,)

    Raises
    ------
    ValueError
        If shapes disagree, a place is not on Earth, or the score is unknown.

    Examples
    --------
    >>> paris_or_rome = Posterior([[[48.86, 2.35], [41.89, 12.48]]], [[0.7, 0.3]])
    >>> odd = misfit(paris_or_rome, [[41.89, 12.48]], KernelWidth(50.0))
    >>> round(float(odd[0]), 2)  # log(0.7 / 0.3), and the floor
    0.85
    """
    if score not in ("ratio", "density"):
        raise ValueError(f"score {score!r} must be ratio or density")
    claimed = check_latlon(claimed, "claimed").double()
    if claimed.shape != (len(posterior), 2):
        raise ValueError(f"{len(posterior)} answers, but claims of shape {tuple(claimed.shape)}")
    at_claim = log_density(posterior, claimed[:, None], width)[:, 0]
    if score == "density":
        return -at_claim.cpu().numpy()
    best = log_density(posterior, posterior.latlon, width).max(1).values  # (B, K) -> (B,)
    return (best - at_claim).cpu().numpy()


def p_values(
    known: np.ndarray, scores: np.ndarray, groups: Sequence[object] | None = None
) -> np.ndarray:
    """Conformal p-value of each score.

    Parameters
    ----------
    known : ndarray, shape (n,)
        Scores of photos at their true places.
    scores : ndarray, shape (B,)
    groups : sequence of n labels, optional
        Photographers of the known photos, who then count alike; each photo if not given.

    Returns
    -------
    ndarray of float64, shape (B,)
        From 1 / (G + 1) to 1: with fewer than 19 photographers (or photos) no claim can be
        rejected at 0.05.

    Raises
    ------
    ValueError
        If there is no known score, one is NaN, or there is not one label for each.

    Examples
    --------
    >>> known, asked = np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.5, 2.0])
    >>> p_values(known, asked).tolist()
    [1.0, 0.75, 0.25]
    >>> p_values(known, asked, ["ann", "ann", "bob"]).round(2).tolist()
    [1.0, 0.83, 0.33]
    """
    known, scores = np.asarray(known, float), np.asarray(scores, float)
    if not len(known) or np.isnan(known).any() or np.isnan(scores).any():
        raise ValueError("p-values need scores of known places, and no score may be NaN")
    label, n_groups = group_index(groups, len(known))
    order = np.argsort(known, kind="stable")
    weight = (1 / np.bincount(label))[label[order]]  # (n,): photographers sum to one each
    below = np.concatenate([[0.0], weight.cumsum()])
    rank = np.searchsorted(known[order], scores, side="left")
    return np.minimum((1 + n_groups - below[rank]) / (n_groups + 1), 1.0)


def benjamini_hochberg(p: np.ndarray, rate: float = 0.05) -> np.ndarray:
    """Which p-values to flag so that at most a share `rate` of the flags is false on average.

    Parameters
    ----------
    p : ndarray, shape (B,)
    rate : float
        Between 0 and 1.

    Returns
    -------
    ndarray of bool, shape (B,)

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])).tolist()
    [True, False, False, False]
    """
    from scipy.stats import false_discovery_control

    if not 0 < rate < 1:
        raise ValueError(f"rate {rate} must be between 0 and 1")
    p = np.asarray(p, float)
    return false_discovery_control(p) <= rate if len(p) else np.zeros(0, bool)
