"""Cases of `geolab.kernels.density`: the neighbours of a batch of photos vote within 20 km.

The places are synthetic: each photo's neighbours lie in four clusters, anywhere on Earth. The peers
are written from their descriptions: scikit-learn's kernel density, fitted for one photo after the
other (timed on some of the photos), and the whole haversine array of a batch in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from geolab import sphere
from geolab.bench.harness import Case
from geolab.kernels.density import density_vote, density_vote_reference

SIGMA_KM = 20.0
_AT_ONCE = 10_000_000  # pairs of the batched peer: 40 MB an array
BATCHED = "torch float32, batches of haversine + exp"


def cases(big: bool) -> list[Case]:
    """1000 photos with 100 neighbours, 200 with 1000; ``--big`` adds 8,884 with 100."""
    given = (1000, 100, (1000, 100), 0.4, 0.05)
    made = [_case(*given), _case(*given, "torch"), _case(200, 1000, (20, 4), 0.15)]
    return [*made, _case(8884, 100, (1000, 100), 0.4, 0.05)] if big else made


def neighbours(n_photos: int, k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Synthetic places (Q, K, 2) in four clusters a photo, 30 km wide, and weights (Q, K)."""
    generator = torch.Generator().manual_seed(seed)
    centres = sphere.uniform_points(4 * n_photos, seed).view(n_photos, 4, 2)  # (4 Q, 2)
    pick = torch.randint(4, (n_photos, k, 1), generator=generator).expand(-1, -1, 2)
    spread = 0.3 * torch.randn(n_photos, k, 2, generator=generator, dtype=torch.float64)
    places = centres.gather(1, pick) + spread
    places = torch.stack([places[..., 0].clamp(-90, 90), sphere.wrap_lon(places[..., 1])], dim=-1)
    return places, torch.rand(n_photos, k, generator=generator, dtype=torch.float64)


def vote_batched(places: Tensor, weights: Tensor) -> Tensor:
    """Winner (Q,) by whole (q, K, K) arrays of haversines, in the dtype given."""
    found = []
    step = max(1, _AT_ONCE // weights.shape[1] ** 2)
    for part, w in zip(places.split(step), weights.split(step), strict=True):
        lat, lon = torch.deg2rad(part).unbind(-1)
        across = lat.cos()[:, :, None] * lat.cos()[:, None]
        h = ((lat[:, :, None] - lat[:, None]) / 2).sin() ** 2
        h = h + across * ((lon[:, :, None] - lon[:, None]) / 2).sin() ** 2
        km = 2 * sphere.EARTH_RADIUS_KM * h.clamp(0, 1).sqrt().asin()
        found.append(torch.einsum("qij,qj->qi", torch.exp(-0.5 * (km / SIGMA_KM) ** 2), w))
    return torch.cat(found).argmax(dim=1)


def vote_by_sklearn(places: Tensor, weights: Tensor) -> np.ndarray:
    """Winner (Q,) by one kernel density a photo."""
    from sklearn.neighbors import KernelDensity

    found = []
    for points, w in zip(torch.deg2rad(places).numpy(), weights.numpy(), strict=True):
        model = KernelDensity(bandwidth=SIGMA_KM / sphere.EARTH_RADIUS_KM, metric="haversine")
        found.append(model.fit(points, sample_weight=w).score_samples(points).argmax())
    return np.array(found)


def _case(
    n: int, k: int, some: tuple[int, int], target: float, sklearn: float | None = None,
    backend: str = "auto",
) -> Case:  # fmt: skip
    """One size; so many photos are given to the batched peer and to scikit-learn."""
    places, weights = neighbours(n, k)
    narrow = (places[: some[0]].float(), weights[: some[0]].float())
    parts = [f" ({m} photos, time x {n / m:g})" if m < n else "" for m in some]
    batched, loop = BATCHED + parts[0], f"scikit-learn KernelDensity, a loop{parts[1]}"
    peers: dict[str, Callable] = {
        batched: lambda: vote_batched(*narrow),
        loop: lambda: vote_by_sklearn(places[: some[1]], weights[: some[1]]),
    }
    ours = partial(density_vote, places, weights, SIGMA_KM)
    if backend == "auto":
        peers["ours in plain torch"] = lambda: ours(backend="torch")
    return Case(
        kernel="density",
        name="vote" if backend == "auto" else "vote, plain torch (without numba)",
        size=f"{n} photos, {k} neighbours",
        ours=lambda: ours(backend=backend),
        peers=peers,
        targets={batched: target} | ({loop: sklearn} if sklearn else {}),
        scaled={name: n / m for name, m in zip((batched, loop), some, strict=True) if m < n},
        agree=lambda: agreement(places, weights, some[1], backend),
        gpu=None if backend != "auto" else lambda: _on_gpu(places, weights),
    )


def agreement(places: Tensor, weights: Tensor, some: int, backend: str) -> str:
    """Winners against float64 (20 million pairs), of some photos against scikit-learn."""
    index, _ = density_vote(places, weights, SIGMA_KM, backend=backend)
    n = min(len(places), 20_000_000 // weights.shape[1] ** 2)
    parts = zip(places[:n].split(10), weights[:n].split(10), strict=True)
    want = torch.cat([density_vote_reference(p, w, SIGMA_KM)[0] for p, w in parts])
    theirs = vote_by_sklearn(places[:some], weights[:some])
    same = [int((index[:n] == want).sum()), int((index[:some].numpy() == theirs).sum())]
    verdict = "yes" if same == [n, some] else "NO"
    return (
        f"{verdict}, same winner in {same[0]} of {n} photos (float64), "
        f"in {same[1]} of {some} (scikit-learn)"
    )


def _on_gpu(places: Tensor, weights: Tensor) -> dict[str, Callable]:
    p, w = places.float().cuda(), weights.float().cuda()
    return {
        "ours": lambda: density_vote(p, w, SIGMA_KM),
        BATCHED: lambda: vote_batched(p, w),
    }
