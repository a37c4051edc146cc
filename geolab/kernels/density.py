r"""Density vote: which of a photo's weighted places has the most weight around it.

.. math:: f(x_i) = \sum_j w_j \exp\!\left(-\frac{d(x_i, x_j)^2}{2\sigma^2}\right),
          \qquad \hat\imath = \arg\max_i f(x_i)

with great-circle distance d in kilometres: the kNN estimator of Vo, Jacobs and Hays ("Revisiting
IM2GPS in the deep learning era", ICCV 2017, section 3) on the sphere instead of a degree raster.

Cost: Q K^2 exponentials, no more memory than one block. Limit: the exponentials. The compiled path
uses the symmetry of d, the series :math:`d^2/R^2 = c^2 + c^4/12 + c^6/90 + \dots` of the squared
chord :math:`c^2`, and an exponential by repeated squaring, which the compiler turns into vectors.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from geolab import sphere
from geolab.kernels import dispatch

_BLOCK = 1 << 20  # pairs worked on at once: 8 MB of float64
_SERIES_SIGMA_KM = 460.0
"""Up to this deviation the series is exact wherever the exponential is not below 1e-43."""


def density_vote_reference(
    latlon: Tensor, weights: Tensor, sigma_km: float
) -> tuple[Tensor, Tensor]:
    """Plain form of `density_vote`: the whole (Q, K, K) distance array, differentiable."""
    latlon, weights = _check(latlon, weights, sigma_km)
    xyz = sphere.to_unit(latlon.double())
    km = sphere.chord_to_km(
        xyz[:, :, None], xyz[:, None]
    )  # (Q, K, 1, 3), (Q, 1, K, 3) -> (Q, K, K)
    kernel = torch.exp(-0.5 * (km / sigma_km) ** 2)
    density = torch.einsum("qij,qj->qi", kernel, weights.double())
    return density.argmax(-1), density


def density_vote(
    latlon: Tensor, weights: Tensor, sigma_km: float, *, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Find the densest of each photo's places.

    Parameters
    ----------
    latlon : Tensor, shape (Q, K, 2)
        Degrees; an expanded support is fine.
    weights : Tensor, shape (Q, K)
        Not negative. They need not sum to 1.
    sigma_km : float
        Deviation of the Gaussian.
    backend : str
        See `geolab.kernels.dispatch`.

    Returns
    -------
    index : Tensor of int64, shape (Q,)
        The first of equals.
    density : Tensor of float64 (float32 from Triton), shape (Q, K)

    Raises
    ------
    ValueError
        If shapes disagree, K is 0, a coordinate is not on Earth, a weight is negative or not
        finite, or `sigma_km` is not positive.
    """
    latlon, weights = _check(latlon, weights, sigma_km)
    path = dispatch.choose(backend, latlon, numba=sigma_km <= _SERIES_SIGMA_KM)
    if path == "triton":
        from geolab.kernels.density_triton import density_vote_triton

        density = density_vote_triton(latlon, weights, sigma_km)
    elif path == "numba":
        density = torch.empty(weights.shape, dtype=torch.float64)
        factor = -0.5 * (sphere.EARTH_RADIUS_KM / sigma_km) ** 2
        xyz = sphere.to_unit(latlon.double()).transpose(1, 2).contiguous()  # (Q, 3, K)
        _compiled()(xyz.numpy(), weights.double().contiguous().numpy(), factor, density.numpy())
    else:
        density = _blocked(latlon, weights, sigma_km)
    return density.argmax(-1), density


def _check(latlon: Tensor, weights: Tensor, sigma_km: float) -> tuple[Tensor, Tensor]:
    weights = torch.as_tensor(weights)
    latlon = sphere.check_latlon(latlon)
    if latlon.ndim != 3 or latlon.shape[:2] != weights.shape or weights.shape[1] == 0:
        raise ValueError(
            "latlon and weights must be (Q, K, 2) and (Q, K) with K >= 1, "
            f"not {tuple(latlon.shape)} and {tuple(weights.shape)}"
        )
    if not (math.isfinite(sigma_km) and sigma_km > 0):
        raise ValueError(f"sigma_km must be positive, not {sigma_km}")
    bad = ~(torch.isfinite(weights) & (weights >= 0))
    if bad.any():
        row, place = torch.nonzero(bad)[0].tolist()
        raise ValueError(f"weights row {row}, place {place} is {weights[row, place].item()}")
    return latlon, weights


def _blocked(latlon: Tensor, weights: Tensor, sigma_km: float) -> Tensor:
    """Plain torch in blocks of photos and, for a large K, of places."""
    n_photos, k = weights.shape
    xyz, weights = sphere.to_unit(latlon.double()), weights.double()
    rows, density = max(1, _BLOCK // (k * k)), torch.empty_like(weights)
    columns = max(1, _BLOCK // (rows * k))
    for q in range(0, n_photos, rows):
        these, w = xyz[q : q + rows], weights[q : q + rows]
        for i in range(0, k, columns):
            km = sphere.chord_to_km(these[:, i : i + columns, None], these[:, None])  # (r, c, K)
            kernel = km.div_(sigma_km).square_().mul_(-0.5).exp_()
            density[q : q + rows, i : i + columns] = torch.einsum("rck,rk->rc", kernel, w)
    return density


@lru_cache(maxsize=1)
def _compiled():
    """Compile the loop with numba on first use (a few seconds)."""
    import numba

    @numba.njit(parallel=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, nogil=True)
    def run(xyz, weights, factor, density):
        k = weights.shape[1]
        for q in numba.prange(len(weights)):
            x, y, z, w, out = xyz[q, 0], xyz[q, 1], xyz[q, 2], weights[q], density[q]
            for i in range(k):
                xi, yi, zi, wi, total = x[i], y[i], z[i], w[i], w[i]
                if i == 0:
                    out[:] = 0.0
                for j in range(i + 1, k):
                    c = (xi - x[j]) ** 2 + (yi - y[j]) ** 2 + (zi - z[j]) ** 2
                    # angle^2 = 2 sum_n c^n / (n^2 binom(2n, n)); the tail only matters far away
                    t = c * (1 / 12 + c * (1 / 90 + c * (1 / 560 + c * (1 / 3150 + c / 16632))))
                    t = factor * c * (1 + t)
                    t = max(t, -100.0) * (1 / 1024)
                    e = 1 + t * (1 + t * (0.5 + t * (1 / 6 + t * (1 / 24 + t * (1 / 120)))))
                    e = e * e
                    e = e * e
                    e = e * e
                    e = e * e
                    e = e * e
                    e = e * e
                    e = e * e
                    e = e * e
                    e = e * e
                    e = e * e  # e^(1024 t)
                    total += e * w[j]
                    out[j] += e * wi
                out[i] += total

    return run
