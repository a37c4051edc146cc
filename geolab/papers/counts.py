"""Which shares a set of n photos can give, and which n a paper divided by.

A share of n photos is k/n with a whole k. Of 237 photos, 46.4 % is 110 photos, 46.8 % is 111, and
46.6 % is nothing: whoever prints it had another n, averaged several runs, or made a slip. With two
decimals the same question tells 2,997 from 3,000 photos.

Reference: N. Brown and J. Heathers, "The GRIM test", Social Psychological and Personality Science
8 (2017), which asks it of means of whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 1.959964
"""Half width of a 95 % interval in standard deviations of a normal distribution."""


def decimals_of(shares: Sequence[float]) -> int:
    """Decimals that a row was printed with: the most that one of its figures needs.

    Trailing zeros are lost in numbers, so one figure alone may seem coarser than it was printed.

    >>> decimals_of([14.11, 34.5]), decimals_of([12.0, 47.0])
    (2, 0)
    """
    return max(len(f"{share:.6f}".rstrip("0").partition(".")[2]) for share in shares)


def is_possible(share: float, n: int, decimals: int) -> bool:
    """Whether k of n photos, rounded, can be this share (per cent).

    >>> is_possible(46.4, 237, 1), is_possible(46.6, 237, 1)
    (True, False)
    """
    half = 0.5 * 10.0**-decimals + 1e-9
    nearest = round(share * n / 100)
    return abs(100 * nearest / n - share) <= half


def n_possible(shares: Sequence[float], n: int) -> int:
    """How many figures of one row can be shares of n photos.

    >>> geoclip = [14.11, 34.47, 50.65, 69.67, 83.82]
    >>> n_possible(geoclip, 2997), n_possible(geoclip, 3000)
    (5, 2)
    """
    decimals = decimals_of(shares)
    return sum(is_possible(share, n, decimals) for share in shares)


def by_luck(n: int, decimals: int) -> float:
    """Chance that a figure drawn at random can be a share of n photos.

    Where it is 1 the test says nothing: n is too large for the decimals.

    >>> round(by_luck(237, 1), 2), by_luck(2997, 1), round(by_luck(2997, 2), 2)
    (0.24, 1.0, 0.3)
    """
    return min(1.0, (n + 1) / (100 * 10.0**decimals + 1))


def half_width(share: float, n: int) -> float:
    """Half of the 95 % interval of a share (both in per cent points) of n independent photos.

    Photos of one photographer are not independent, so the truth is wider; see `geolab.intervals`.

    >>> round(half_width(50, 237), 1)
    6.4
    """
    p = share / 100
    return 100 * Z * math.sqrt(p * (1 - p) / n)
