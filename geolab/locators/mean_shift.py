r"""Mean shift on the sphere: where the matches of a photo pile up.

Every match starts a walker. A walker moves to the mean of all matches within the bandwidth, again
and again, until it stands still; walkers that meet have found the same pile, a *mode* (Comaniciu
and Meer, "Mean shift", PAMI 2002). im2gps reads the k best matches' places like this, as unit
vectors whose mean is pushed back onto the sphere, so neither the date line nor a pole is special.

The window is flat: a match is in it when its chord is at most :math:`2 \sin(b / 2R)` for a
bandwidth of b km. Bandwidths of 500 km (im2gps, 2008) and 200 km (its later, lazy-learning version)
are both recalled from the papers, not checked. The stopping rule, the merging distance b/2 and the
order of ties are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from geolab.encoders.im2gps.one_thread import one_thread
from geolab.sphere import EARTH_RADIUS_KM, ArrayLike, check_latlon, chord_to_km, to_latlon, to_unit

_BLOCK_PAIRS = 1 << 20
_MAX_STEPS = 300
_STILL_KM = 0.001


@dataclass(frozen=True)
class Modes:
    """Piles of matches for each of B photos, the largest first.

    Attributes
    ----------
    latlon : Tensor, shape (B, M, 2), float64
        Degrees. Photos with fewer than M modes repeat their best one with count 0.
    count : Tensor, shape (B, M), int64
        Matches whose walker ended at the mode.
    label : Tensor, shape (B, K), int64
        Mode of each match; -1 if its mode was dropped.
    """

    latlon: Tensor
    count: Tensor
    label: Tensor


def mean_shift(
    latlon: ArrayLike,
    bandwidth_km: float = 500.0,
    *,
    min_matches: int = 1,
    max_steps: int = _MAX_STEPS,
    still_km: float = _STILL_KM,
) -> Modes:
    """Find the modes of places on the sphere, photo by photo.

    Parameters
    ----------
    latlon : array_like, shape (K, 2) or (B, K, 2)
        Degrees; one photo's matches, or a batch.
    bandwidth_km : float
        Radius of the flat window.
    min_matches : int
        Modes with fewer matches are dropped, unless none would be left.
    max_steps, still_km : int, float
        A walk ends after so many steps, or when no step of the photo is longer.

    Returns
    -------
    Modes
        Modes nearer than half a bandwidth to each other are one. Order: larger count first, then
        the mode that holds the earlier match. The same order decides which of two merging modes
        stays.

    Raises
    ------
    ValueError
        If coordinates are not on Earth, K is 0, or the bandwidth is not in (0, pi R / 2].

    Examples
    --------
    >>> found = mean_shift([[-17.0, 179.0], [-17.0, -179.8], [48.9, 2.3]])
    >>> found.latlon[0, 0].round(decimals=1).tolist(), found.count[0].tolist()
    ([-17.0, 179.6], [2, 1])
    """
    places = check_latlon(latlon)
    places = (places[None] if places.ndim == 2 else places).double()
    quarter = math.pi * EARTH_RADIUS_KM / 2
    if places.ndim != 3 or places.shape[1] == 0:
        raise ValueError(f"expected places (K, 2) or (B, K, 2) with K >= 1: {tuple(places.shape)}")
    if not 0 < bandwidth_km <= quarter:
        raise ValueError(f"bandwidth_km must be above 0 and at most {quarter:.0f}: {bandwidth_km}")
    if not len(places):
        return Modes(places[:, :1], torch.zeros(0, 1).long(), torch.zeros(places.shape[:2]).long())
    matches = to_unit(places)
    step = max(1, _BLOCK_PAIRS // places.shape[1] ** 2)
    with one_thread():
        ends = [_walk(m, bandwidth_km, max_steps, still_km) for m in matches.split(step)]
        return _join([_modes_of(end, bandwidth_km, min_matches) for end in ends])


def _walk(matches: Tensor, bandwidth_km: float, max_steps: int, still_km: float) -> Tensor:
    """Where the walker of each match ends: (B, K, 3) unit vectors -> (B, K, 3)."""
    # |u-v|^2 = 2 - 2 u.v, so the chord test is a bound on the product; the slack is 0.1 mm.
    bound = math.cos(bandwidth_km / EARTH_RADIUS_KM) - 1e-15
    walkers = matches.clone()
    active = torch.arange(len(matches))
    for _ in range(max_steps):
        now, around = walkers[active], matches[active]
        inside = (now @ around.transpose(1, 2) >= bound).double()  # (b, K, K)
        total = inside @ around
        length = torch.linalg.vector_norm(total, dim=-1, keepdim=True)
        after = torch.where(length > 1e-9, total / length.clamp_min(1e-9), now)
        walkers[active] = after
        moved = chord_to_km(now, after).amax(dim=1) > still_km
        active = active[moved]
        if not len(active):
            break
    return walkers


def _modes_of(ends: Tensor, bandwidth_km: float, min_matches: int) -> Modes:
    """Merge the ends of the walks into modes, count, drop and sort."""
    n_photos, n_matches = ends.shape[:2]
    meet = math.cos(bandwidth_km / 2 / EARTH_RADIUS_KM)
    product = ends @ ends.transpose(1, 2)
    near, together = product > meet, product > math.cos(1 / EARTH_RADIUS_KM)  # (B, K, K)
    free = torch.ones(n_photos, n_matches, dtype=torch.bool)
    label = torch.full((n_photos, n_matches), -1)
    centres = []
    rows = torch.arange(n_photos)
    while free.any():
        # The spot (1 km) where most walkers stand takes all free ends around it; argmax is the
        # first of equals.
        standing = (together & free[:, None]).sum(2) * free
        best = standing.argmax(dim=1)
        taken = near[rows, best] & free
        taken[rows, best] |= free[rows, best]
        label[taken] = len(centres)
        centres.append(ends[rows, best])
        free &= ~taken
    return _ranked(torch.stack(centres, dim=1), label, min_matches)


def _ranked(centres: Tensor, label: Tensor, min_matches: int) -> Modes:
    """Sort modes by count, then by their first match; drop small ones. Centres: (B, M, 3)."""
    n_modes = centres.shape[1]
    belongs = label[:, None, :] == torch.arange(n_modes)[None, :, None]  # (B, M, K)
    count = belongs.sum(2)
    first = torch.where(count > 0, belongs.int().argmax(2), label.shape[1])
    large = count >= min_matches
    kept = torch.where(large.any(1, keepdim=True), count * large, count)
    order = (kept * (label.shape[1] + 1) + label.shape[1] - first).argsort(1, descending=True)
    kept = kept.gather(1, order)
    rank = order.argsort(1)  # old number -> new number
    label = rank.gather(1, label)
    label = torch.where(kept.gather(1, label) > 0, label, -1)
    centres = centres.gather(1, order[..., None].expand_as(centres))
    centres = torch.where(kept[..., None] > 0, centres, centres[:, :1])
    width = int((kept > 0).sum(1).max())
    return Modes(to_latlon(centres[:, :width]), kept[:, :width], label)


def _join(parts: list[Modes]) -> Modes:
    width = max(part.count.shape[1] for part in parts)
    places, counts = [], []
    for part in parts:
        missing = width - part.count.shape[1]
        filler = part.latlon[:, :1].expand(-1, missing, -1)
        places.append(torch.cat([part.latlon, filler], dim=1))
        counts.append(torch.nn.functional.pad(part.count, (0, missing)))
    label = torch.cat([part.label for part in parts])
    return Modes(torch.cat(places), torch.cat(counts), label)
