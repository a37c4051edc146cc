"""Slips that spoil a whole file of predictions, and how they show."""

from __future__ import annotations

import numpy as np

from geolab.metrics import errors_km
from geolab.papers.predictions import Predictions

_REGION_KM = 2500.0


def find_slips(
    predictions: Predictions, points: np.ndarray, truth: np.ndarray, errors: np.ndarray
) -> list[str]:
    """What looks like a slip of the whole file, for its author to look at.

    Parameters
    ----------
    points, truth : ndarray, shape (n, 2)
        Answers (NaN for a miss) and true places, degrees.
    errors : ndarray, shape (n,)
        Kilometres between them.

    Returns
    -------
    list of str
        Nothing is mended: answers are scored as they are.
    """
    lines = []
    wrong = predictions.failures["out of range"]
    if wrong > len(predictions.photo) / 10:
        lines.append(f"{wrong:,} rows are out of range: do longitudes run from 0 to 360?")
    swapped = _swapped(points, truth)
    as_given = float((errors <= _REGION_KM).mean())
    if swapped > max(2 * as_given, 0.2):
        lines.append(
            f"with latitude and longitude exchanged {100 * swapped:.0f} % would lie within "
            f"{_REGION_KM:,.0f} km, not {100 * as_given:.0f} %: are the columns swapped?"
        )
    at_sea = int((predictions.latlon == 0).all(axis=1).sum())
    if at_sea:
        lines.append(f"{at_sea:,} answers are 0, 0: a missing answer in disguise? scored as given")
    return lines


def _swapped(points: np.ndarray, truth: np.ndarray) -> float:
    """Share of the answers that can be exchanged which would then be in the right region."""
    turned = points[:, ::-1]
    good = np.isfinite(turned).all(axis=1) & (np.abs(turned[:, 0]) <= 90)
    if not good.any():
        return 0.0
    return float((errors_km(turned[good], truth[good]) <= _REGION_KM).mean())
