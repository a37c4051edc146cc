"""Cases of `geolab.kernels.haversine`: cells against photos, and a small matrix.

The peers are written from their descriptions: the float64 haversine of broadcast torch tensors that
PIGEON uses, scikit-learn's, the chord by ``torch.cdist``, and writing the memory alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from geolab import sphere
from geolab.bench.harness import Case
from geolab.bench.measure import Ceilings
from geolab.kernels.haversine import haversine_matrix, haversine_matrix_reference


def haversine_eager(a: Tensor, b: Tensor, radius_km: float = sphere.EARTH_RADIUS_KM) -> Tensor:
    """Textbook haversine by broadcasting, in the dtype given; degrees (N, 2), (M, 2) -> (N, M)."""
    p, q = torch.deg2rad(a)[:, None], torch.deg2rad(b)[None]
    half = (q - p) / 2  # (N, M, 2)
    across = p[..., 0].cos() * q[..., 0].cos() * half[..., 1].sin() ** 2
    h = half[..., 0].sin() ** 2 + across
    return 2 * radius_km * h.clamp(0, 1).sqrt().asin()


def chord_cdist(u: Tensor, v: Tensor) -> Tensor:
    """Distance by the chord of float32 unit vectors; wrong by 2 km near antipodes."""
    return (torch.cdist(u, v) / 2).clamp_(max=1).asin_().mul_(2 * sphere.EARTH_RADIUS_KM)


def cases(big: bool) -> list[Case]:
    """Two sizes in the standard run; ``--big`` adds one with a 0.8 GB answer."""
    made = [*_sizes(1024, 12893, with_out=True), *_sizes(256, 2203, with_out=False)]
    return made + _sizes(16384, 12893, with_out=True)[:1] if big else made


def _sizes(n: int, m: int, *, with_out: bool) -> list[Case]:
    a, b = sphere.uniform_points(n, 1), sphere.uniform_points(m, 2)
    u, v = sphere.to_unit(a).float(), sphere.to_unit(b).float()
    out, size = torch.empty(n, m), f"{n} x {m}"
    peers = {
        "torch float64 (PIGEON's form)": lambda: haversine_eager(a, b),
        "torch float32": lambda: haversine_eager(a.float(), b.float()),
        "scikit-learn": _sklearn(a, b),
        "torch.cdist chord": lambda: chord_cdist(u, v),
    }
    targets = {
        "torch float64 (PIGEON's form)": 0.05 if with_out else 0.3,
        "scikit-learn": 0.10,
        "torch.cdist chord": 0.5 if with_out else 1.0,
    }
    common = {"kernel": "haversine", "size": size, "limit": lambda roof: _limit(n * m, roof)}
    agree = _agreement(a[:256], b)
    gpu = _on_gpu(a, b)
    fresh = Case(
        name="new result", ours=lambda: haversine_matrix(a, b), peers=peers, targets=targets,
        agree=agree, gpu=gpu, gpu_targets={"torch float64": 0.05}, **common,
    )  # fmt: skip
    if not with_out:
        return [fresh]
    write = {"writing the memory (out.fill_)": lambda: out.fill_(1.0)}
    reused = Case(
        name="into out=", ours=lambda: haversine_matrix(a, b, out=out), peers=write | peers,
        targets=targets | dict.fromkeys(write, 3.0), **common,
    )  # fmt: skip
    return [reused, fresh]


def _limit(n_pairs: int, roof: Ceilings) -> float:
    return 4 * n_pairs / roof.write_gb_s / 1e9


def _sklearn(a: Tensor, b: Tensor):
    try:
        from sklearn.metrics.pairwise import haversine_distances
    except ImportError:
        return None
    p, q = (torch.deg2rad(x).numpy() for x in (a, b))
    return lambda: haversine_distances(p, q) * sphere.EARTH_RADIUS_KM


def _agreement(a: Tensor, b: Tensor):
    """Largest difference from float64, antipodes of `a` and `a` itself among the pairs."""

    def compare() -> str:
        opposite = torch.stack([-a[:, 0], sphere.wrap_lon(a[:, 1] + 180)], dim=1)
        others = torch.cat([a, opposite, b])
        off = haversine_matrix(a, others).double() - haversine_matrix_reference(a, others)
        metres = 1e3 * off.abs().max().item()
        return f"{'yes' if metres <= 2 else 'NO'}, within {metres:.2f} m of float64"

    return compare


def _on_gpu(a: Tensor, b: Tensor):
    def build() -> dict:
        p, q = a.cuda(), b.cuda()
        out = torch.empty(len(p), len(q), device="cuda")
        return {
            "ours": lambda: haversine_matrix(p, q, out=out),
            "torch float64": lambda: haversine_eager(p, q),
        }

    return build
