"""How sure a share of n photos is, when a few people took most of them.

Independent photos give the binomial's interval (`geolab.papers.counts.half_width`). Photos of one
person are alike, and the variance grows by the *design effect*

    1 + rho (m - 1),    m = sum of squared album sizes / number of photos

where rho is the correlation of two photos of one album. m is the size of the album that a random
photo lies in: with one album of 235 it is much more than the mean.

Reference: L. Kish, "Survey Sampling" (1965), section 5.4, and for unequal sizes his "Weighting for
unequal P_i", Journal of Official Statistics 8 (1992).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq


def album_sizes(n: int, n_albums: int, largest: int) -> np.ndarray:
    """Invent album sizes of a power law with a given number, sum and largest.

    Parameters
    ----------
    n : int
        Photos.
    n_albums : int
    largest : int
        Photos of the largest album.

    Returns
    -------
    ndarray of int64, shape (n_albums,)
        Descending, each at least 1, summing to n.

    Raises
    ------
    ValueError
        If no such sizes exist.

    Examples
    --------
    >>> sizes = album_sizes(2997, 198, 235)
    >>> int(sizes.sum()), int(sizes[0]), len(sizes)
    (2997, 235, 198)
    """
    if not n / n_albums < largest <= n - n_albums + 1:
        raise ValueError(f"no {n_albums} albums of {n} photos have a largest one of {largest}")
    rank = np.arange(1, n_albums + 1)

    def excess(power: float) -> float:
        return float(np.maximum(1.0, largest * rank**-power).sum() - n)

    sizes = np.maximum(1, np.floor(largest * rank ** -brentq(excess, 0.0, 60.0))).astype(np.int64)
    lacking = n - int(sizes.sum())
    for i in range(lacking):  # rounding down loses less than one photo an album
        sizes[1 + i % (n_albums - 1)] += 1
    return np.sort(sizes)[::-1]


def design_effect(sizes: np.ndarray, rho: float) -> float:
    """Factor by which albums multiply the variance of a share.

    >>> design_effect(np.ones(237), 0.3), design_effect(np.full(10, 11), 0.1)
    (1.0, 2.0)
    """
    sizes = np.asarray(sizes, np.float64)
    return float(1 + rho * ((sizes**2).sum() / sizes.sum() - 1))


def simulated_shares(
    sizes: np.ndarray, share: float, rho: float, *, n_draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """Shares (per cent) that the same system would get on other people's photos.

    Each album has a rate of its own, drawn from a beta distribution with mean `share` in which two
    photos of one album correlate by `rho`; its hits are binomial.

    Parameters
    ----------
    sizes : ndarray of int, shape (A,)
    share : float
        Per cent, above 0 and below 100.
    rho : float
        From 0 (all photos alike) to below 1.

    Returns
    -------
    ndarray, shape (n_draws,)
    """
    rng = np.random.default_rng(seed)
    p = share / 100
    rates = np.full((n_draws, len(sizes)), p)
    if rho > 0:
        weight = 1 / rho - 1  # a + b of the beta distribution
        rates = rng.beta(p * weight, (1 - p) * weight, size=rates.shape)
    hits = rng.binomial(np.broadcast_to(sizes, rates.shape), rates)  # (n_draws, A)
    return 100 * hits.sum(axis=1) / np.sum(sizes)
