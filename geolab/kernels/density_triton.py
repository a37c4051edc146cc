"""Triton path of `geolab.kernels.density`: one program for a photo and a block of its places.

The places of one photo are read once a block; nothing of size (K, K) is stored. Distances come from
the float32 chord through a polynomial for arcsine, so that no vendor library is needed.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from geolab import sphere


@triton.jit
def _density_kernel(
    xyz, weights, density, n_places, factor, block_i: tl.constexpr, block_j: tl.constexpr
):
    photo, part = tl.program_id(0), tl.program_id(1)
    i = part * block_i + tl.arange(0, block_i)
    xyz += photo * n_places * 3
    weights += photo * n_places
    x = tl.load(xyz + 3 * i, mask=i < n_places, other=0.0)
    y = tl.load(xyz + 3 * i + 1, mask=i < n_places, other=0.0)
    z = tl.load(xyz + 3 * i + 2, mask=i < n_places, other=0.0)
    total = tl.zeros((block_i,), dtype=tl.float32)
    for start in range(0, n_places, block_j):
        j = start + tl.arange(0, block_j)
        inside = j < n_places
        dx = x[:, None] - tl.load(xyz + 3 * j, mask=inside, other=0.0)[None, :]
        dy = y[:, None] - tl.load(xyz + 3 * j + 1, mask=inside, other=0.0)[None, :]
        dz = z[:, None] - tl.load(xyz + 3 * j + 2, mask=inside, other=0.0)[None, :]
        half = tl.minimum(0.5 * tl.sqrt(dx * dx + dy * dy + dz * dz), 1.0)
        # arcsine by Abramowitz and Stegun 4.4.46 above 1/2 and its odd series below
        root = tl.sqrt(1.0 - half)
        far = -0.0012624911
        far = far * half + 0.0066700901
        far = far * half - 0.0170881256
        far = far * half + 0.0308918810
        far = far * half - 0.0501743046
        far = far * half + 0.0889789874
        far = far * half - 0.2145988016
        far = 1.5707963268 - root * (far * half + 1.5707963050)
        s = half * half
        near = half * (
            1 + s * (1 / 6 + s * (0.075 + s * (0.04464286 + s * (0.03038194 + s * 0.02237216))))
        )
        angle = 2 * tl.where(half > 0.5, far, near)
        w = tl.load(weights + j, mask=inside, other=0.0)
        total += tl.sum(tl.exp(factor * angle * angle) * w[None, :], axis=1)
    tl.store(density + photo * n_places + i, total, mask=i < n_places)


def density_vote_triton(latlon: Tensor, weights: Tensor, sigma_km: float) -> Tensor:
    """Density (Q, K) float32 at each place; arguments as in `density_vote`, already checked."""
    xyz = sphere.to_unit(latlon.double()).float().contiguous()
    weights = weights.float().contiguous()
    density = torch.empty_like(weights)
    n_photos, k = weights.shape
    block = min(64, max(16, triton.next_power_of_2(k)))
    factor = -0.5 * (sphere.EARTH_RADIUS_KM / sigma_km) ** 2
    grid = (n_photos, triton.cdiv(k, block))
    if n_photos:
        _density_kernel[grid](xyz, weights, density, k, factor, block_i=block, block_j=block)
    return density
