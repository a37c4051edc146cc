"""Questions about areas: the right country or region, and inside the credible region or not.

**Country and region.** `same_place` compares the nearest gazetteer place of the answer with that of
the truth. This is not a test against border polygons: near a border the nearest town may lie on
the other side, and a point at sea takes the country of the nearest shore, where a polygon test
calls it wrong. Numbers of the two kinds cannot be set side by side.

**Calibration.** A system that says "with probability p it is in here" should be right in a share p
of the photos. `calibration` counts how often it was. A `Posterior` is a set of points and a point
has no area, so what "in here" means has to be fixed; `calibration` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from geolab.intervals import Estimate, bootstrap_means, group_index, with_interval
from geolab.sphere import EVAL_RADIUS_KM, check_latlon, great_circle_km

if TYPE_CHECKING:
    from geolab.data.gazetteer import Gazetteer
    from geolab.posterior import Posterior

_PAIRS_AT_ONCE = 1_000_000


def same_place(
    predicted: object,
    truth: object,
    gazetteer: Gazetteer | None = None,
    *,
    level: Literal["country", "region"] = "country",
) -> np.ndarray:
    """Whether answer and truth have their nearest gazetteer place in one country or region.

    Not a polygon test; the module page says what differs. A region counts within its country only,
    and where the gazetteer knows no region for the truth the country decides.

    Parameters
    ----------
    predicted, truth : array_like, shape (N, 2)
        Degrees; a NaN answer is wrong.
    gazetteer : Gazetteer, optional
        The packaged GeoNames places if not given.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    if level not in ("country", "region"):
        raise ValueError(f"level {level!r} is unknown; use 'country' or 'region'")
    if gazetteer is None:
        from geolab.data.gazetteer import load_gazetteer

        gazetteer = load_gazetteer()
    answer = np.asarray(predicted, dtype=np.float64)
    failed = np.isnan(answer).any(axis=1)
    ours = gazetteer.lookup(np.where(failed[:, None], 0.0, answer))
    theirs = gazetteer.lookup(np.asarray(truth, dtype=np.float64))
    same = np.asarray(ours["country"]) == np.asarray(theirs["country"])
    if level == "region":
        known = np.array([bool(region) for region in theirs["region"]], dtype=bool)
        same &= ~known | (np.asarray(ours["region"]) == np.asarray(theirs["region"]))
    return same & ~failed


def calibration(
    posterior: Posterior,
    truth: object,
    levels: Sequence[float] = (0.25, 0.5, 0.75, 0.9),
    *,
    radius_km: float | None = 200.0,
    groups: Sequence[object] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> dict[float, Estimate]:
    """How often the p-credible region holds the truth, in per cent, for each level p.

    ``posterior.credible(p)`` is the smallest set of support points that holds weight p. The truth
    is inside when

    - `radius_km` given: some point of that set lies within `radius_km` of it. The region is the
      union of caps, as a map draws it. A neighbour list can miss everywhere, and does so here.
    - `radius_km` None: the support point nearest to the truth belongs to the set. Each point then
      stands for all that is nearer to it than to any other, which is right for a partition of
      the whole Earth, and useless for a few neighbours: one point alone is always "nearest".

    Both regions are a little larger than the weight they hold, since a set of lumps overshoots p:
    well calibrated answers come out at p or somewhat above, overconfident ones below.

    Parameters
    ----------
    posterior : Posterior
        One row per photo.
    truth : array_like, shape (B, 2)
        Degrees.
    levels : sequence of float in (0, 1]
    groups : sequence of B labels, optional
        Photographers, for the interval.

    Returns
    -------
    dict
        ``{p: Estimate in per cent}``.

    Raises
    ------
    ValueError
        If posterior and truth differ in length.
    """
    points = check_latlon(truth, "truth").double()
    if len(points) != len(posterior) or len(points) == 0:
        raise ValueError(f"{len(posterior)} answers for {len(points)} truths; need one each")
    step = max(1, _PAIRS_AT_ONCE // posterior.support_size)
    starts = range(0, len(points), step)
    blocks = [
        _inside(posterior[i : i + step], points[i : i + step], levels, radius_km) for i in starts
    ]
    held = 100.0 * torch.cat(blocks).double().numpy()
    index, n_groups = group_index(groups, len(held))
    samples = bootstrap_means(held, index, n_groups, n_boot=n_boot, seed=seed)
    shares = held.mean(axis=0)
    return {p: with_interval(shares[i], samples[:, i], n_groups) for i, p in enumerate(levels)}


def _inside(
    posterior: Posterior, truth: torch.Tensor, levels: Sequence[float], radius_km: float | None
) -> torch.Tensor:
    """Whether each level's region holds the truth: bool ``(B, levels)``."""
    support = posterior.latlon.double().cpu()
    km = great_circle_km(support, truth[:, None], radius_km=EVAL_RADIUS_KM)  # (B, K)
    near = km == km.min(dim=1, keepdim=True).values if radius_km is None else km <= radius_km
    return torch.stack([(posterior.credible(p).cpu() & near).any(dim=1) for p in levels], dim=1)
