"""What goes wrong with GeoCLIP, measured: queue, duplicates, seam, gallery size, gallery leakage.

    queue_start(features, places, config)          # loss while the queue holds places of nowhere
    same_place_share(places, n_candidates=1280)    # photos that meet a negative from their own spot
    seam_profile(encoder, lat=-17.7)               # Fiji: across the edge of the map, and not
    gallery_size_curve(locator, asked, truth, sizes)
    gallery_leakage_curve(locator, asked, truth)   # a gallery that holds the test places

Each returns numbers, one row a case, and draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from geolab import sphere
from geolab.encoders.location import LocationEncoder
from geolab.kernels import haversine_matrix
from geolab.locators.geoclip import GeoClip
from geolab.locators.geoclip_config import GeoClipConfig
from geolab.locators.geoclip_gallery import make_gallery
from geolab.locators.geoclip_train import fit_network, photo_features
from geolab.metrics import errors_km
from geolab.sphere import ArrayLike, as_points

GAPS_KM = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)
_INLAND = tuple(range(-150, 151, 30))
"""Longitudes, far from the edge of the map, at which the seam's pairs are repeated."""


def queue_start(
    features: Tensor, places: Tensor, config: GeoClipConfig | None = None, *, steps: int = 20
) -> pd.DataFrame:
    """First losses of the same training with a queue of training places, and with the released one.

    The released program fills the queue with places round latitude 0, longitude 0. They are easy to
    tell from a photo's place, so the loss falls at once, and nothing is learnt but to keep photos
    away from there. When they have left, the other training is ahead.

    Parameters
    ----------
    features : Tensor, shape (N, D)
    places : Tensor, shape (N, 2)
    steps : int
        At least; whole epochs are trained.

    Returns
    -------
    DataFrame
        One row a start and step: `start`, `step`, `loss`, `nowhere` (share of the candidates that
        are places of the released start), and `pushed` (mean cosine of the photos with latitude 0,
        longitude 0 when all is done).
    """
    config = config or GeoClipConfig()
    batch = config.train.batch_size
    epochs = max(1, -(-steps * batch // len(places)))
    schedule = replace(config.train, epochs=epochs, select="")
    parts = []
    for start in ("places", "released"):
        given = replace(config, queue_start=start, train=schedule)
        network, history = fit_network(features, places, given)
        losses = history.losses[:steps]
        left = np.clip(config.queue - batch * np.arange(len(losses)), 0, None)
        origin = network.location.embed([[0.0, 0.0]])
        pushed = float((photo_features(network, features) @ origin.T).mean())
        told = {"start": start, "step": np.arange(len(losses)), "loss": losses, "pushed": pushed}
        nowhere = left / (batch + config.queue) * (start == "released")
        parts.append(pd.DataFrame(told | {"nowhere": nowhere}))
    return pd.concat(parts, ignore_index=True)


def same_place_share(
    places: ArrayLike, n_candidates: int, *, km: float = 1.0, n_draws: int = 20, seed: int = 0
) -> float:
    """Share of photos that meet, among the candidates of a step, another one from their own place.

    Parameters
    ----------
    places : array_like, shape (N, 2)
        Degrees; `n_candidates` of them are drawn without repetition, as an epoch does.
    n_candidates : int
        Batch and queue together.

    Returns
    -------
    float
        0 to 1, mean of the draws. The unmasked loss tells each of these photos that its own place
        is wrong.

    Raises
    ------
    ValueError
        If there are fewer places than candidates.
    """
    places = sphere.check_latlon(places, "places").double()
    if not 1 <= n_candidates <= len(places):
        raise ValueError(f"n_candidates = {n_candidates}, but there are {len(places)} places")
    rng = np.random.default_rng(seed)
    shares = []
    for _ in range(n_draws):
        some = places[torch.from_numpy(rng.permutation(len(places))[:n_candidates])]
        near = haversine_matrix(some, some) <= km
        shares.append(float((near.sum(1) > 1).double().mean()))
    return float(np.mean(shares))


def seam_profile(
    encoder: LocationEncoder, *, lat: float = -17.7, gaps_km: Sequence[float] = GAPS_KM
) -> pd.DataFrame:
    """Cosines of places a given distance apart: across the antimeridian, and elsewhere.

    Parameters
    ----------
    lat : float
        Degrees; Fiji's by default.
    gaps_km : sequence of float
        Great-circle distances of the two places, which lie to the east and west of a meridian.

    Returns
    -------
    DataFrame
        One row a gap: `gap_km`, `across` (the meridian is 180), `inland` (mean of others) and
        `inland_low` (their least).
    """
    rows = []
    for gap in gaps_km:
        cosine = [_cosine_over(encoder, lat, lon, gap) for lon in (180.0, *_INLAND)]
        rows.append((gap, cosine[0], float(np.mean(cosine[1:])), min(cosine[1:])))
    return pd.DataFrame(rows, columns=["gap_km", "across", "inland", "inland_low"])


def _cosine_over(encoder: LocationEncoder, lat: float, lon: float, gap_km: float) -> float:
    """Cosine of the embeddings of two places on both sides of a meridian."""
    middle = torch.tensor([[lat, lon]] * 2, dtype=torch.float64)
    pair = encoder.embed(sphere.destination(middle, [90.0, 270.0], [gap_km / 2] * 2))
    return float(pair[0].double() @ pair[1].double())


def gallery_size_curve(
    locator: GeoClip,
    features: Tensor,
    truth: ArrayLike,
    sizes: Sequence[int],
    seeds: Iterable[int] = range(3),
    *,
    thresholds_km: Sequence[float] = (25.0, 200.0, 750.0),
) -> pd.DataFrame:
    """Accuracy with random parts of the locator's gallery.

    Parameters
    ----------
    features : Tensor, shape (B, D)
    truth : array_like, shape (B, 2)
        Degrees.
    sizes : sequence of int
        Places to keep; with one seed, larger parts contain the smaller ones.
    thresholds_km : sequence of float

    Returns
    -------
    DataFrame
        One row a size and seed: `size`, `seed`, `within_25`, ... (per cent), `median_km`, and
        `best_25`, ...: the same if each photo got the gallery's nearest place. No choice among
        these places can do better.

    Raises
    ------
    ValueError
        If a size is not between 1 and that of the gallery.
    """
    total = len(locator.gallery)
    wrong = [size for size in sizes if not 1 <= size <= total]
    if wrong:
        raise ValueError(f"size {wrong[0]} is not in 1..{total}, the places of the gallery")
    rows = []
    for seed in seeds:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(total))
        for size in sizes:
            some = locator.with_gallery(locator.gallery.latlon[order[:size]])
            found = _figures(some, features, truth, thresholds_km)
            rows.append({"size": size, "seed": seed} | found)
    return pd.DataFrame(rows)


def gallery_leakage_curve(
    locator: GeoClip,
    features: Tensor,
    truth: ArrayLike,
    shares: Sequence[float] = SHARES,
    *,
    alone: bool = False,
    seed: int = 0,
    thresholds_km: Sequence[float] = (1.0, 25.0, 200.0),
) -> pd.DataFrame:
    """Accuracy when the gallery holds some of the very places that are asked for.

    The network stays as it is, and nothing looks like cheating: coordinates are "only a gallery".

    Parameters
    ----------
    shares : sequence of float
        Of the test places, added to the locator's gallery.
    alone : bool
        Whether the test places are all there is: the worst case, without the locator's gallery.

    Returns
    -------
    DataFrame
        One row a share: `share`, `size` (of the gallery), `within_1`, ... and `best_1`, ... as
        `gallery_size_curve`, and `median_km`.

    Raises
    ------
    ValueError
        If a share is not in 0..1; with `alone` it must give at least one place.
    """
    wrong = [share for share in shares if not 0 <= share <= 1]
    if wrong:
        raise ValueError(f"share {wrong[0]} is not in 0..1")
    base = locator.gallery.latlon[: 0 if alone else None]
    places = as_points(truth, "truth").double()
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(places)))
    rows = []
    for share in shares:
        leaked = places[order[: round(share * len(places))]]
        more = make_gallery(torch.cat([base, leaked]))
        found = _figures(locator.with_gallery(more), features, truth, thresholds_km)
        rows.append({"share": share, "size": len(more)} | found)
    return pd.DataFrame(rows)


def _figures(
    locator: GeoClip, features: Tensor, truth: ArrayLike, thresholds_km: Sequence[float]
) -> dict[str, float]:
    """Shares within each distance, of the answers and of the nearest places there are."""
    places = as_points(truth, "truth").double()
    best = locator.reconfigured(support=1).locate_features(features).mode()
    km = errors_km(best.numpy(), places.numpy())
    least = haversine_matrix(places, locator.gallery.latlon).amin(1).numpy()
    out = {f"within_{r:g}": 100 * float((km <= r).mean()) for r in thresholds_km}
    out |= {f"best_{r:g}": 100 * float((least <= r).mean()) for r in thresholds_km}
    return out | {"median_km": float(np.median(km))}
