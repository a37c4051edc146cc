r"""Density vote: which of a photo's weighted places has the most weight around it.

.. math:: f(x_i) = \sum_j w_j \exp\!\left(-\frac{d(x_i, x_j)^2}{2\sigma^2}\right),
          \qquad \hat\imath = \arg\max_i f(x_i)

with great-circle distance d in kilometres: the kNN estimator of Vo, Jacobs and Hays ("Revisiting
IM2GPS in the deep learning era", ICCV 2017, section 3) on the sphere instead of a degree raster.

Cost: Q K^2 exponentials, no more memory than one block. Limit: the exponentials. The fast paths
take :math:`d^2/R^2` from the series :math:`c^2 + c^4/12 + c^6/90 + \dots` of the squared chord
:math:`c^2` and stop at :math:`e^{-100}`, because what underflows is slow. The compiled one has an
exponential by repeated squaring, which becomes vector instructions; to use the symmetry of d would
halve the pairs and cost six times more, because the second half is no longer a plain sum.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from geolab import sphere
from geolab.kernels import dispatch
from geolab.kernels.threads import for_rows

_BLOCK = 1 << 17  # pairs worked on at once: 1 MB of float64, two of which stay in cache
_SERIES = (1 / 16632, 1 / 3150, 1 / 560, 1 / 90, 1 / 12, 1.0)
"""2 / (n^2 binom(2n, n)) for n = 6..1: the square of an angle by powers of its squared chord."""
_LOWEST = -100.0  # exponent
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
        density = _numba(latlon, weights, sigma_km)
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
    if weights.numel() and not (weights.amin() >= 0 and weights.amax() < math.inf):  # or NaN
        bad = ~(torch.isfinite(weights) & (weights >= 0))
        row, place = torch.nonzero(bad)[0].tolist()
        raise ValueError(f"weights row {row}, place {place} is {weights[row, place].item()}")
    return latlon, weights


def _blocked(latlon: Tensor, weights: Tensor, sigma_km: float) -> Tensor:
    """Plain torch in blocks of photos and, for a large K, of places."""
    n_photos, k = weights.shape
    exponent = _exponent_by_series if sigma_km <= _SERIES_SIGMA_KM else _exponent
    xyz = sphere.to_unit(latlon.double()).movedim(-1, 0).contiguous()  # (3, Q, K)
    weights = weights.double()
    rows, density = max(1, _BLOCK // (k * k)), torch.empty_like(weights)
    columns = max(1, _BLOCK // (rows * k))
    for q in range(0, n_photos, rows):
        these, w = xyz[:, q : q + rows], weights[q : q + rows, :, None]
        for i in range(0, k, columns):
            kernel = exponent(these[:, :, i : i + columns, None], these[:, :, None], sigma_km)
            kernel = kernel.clamp_(min=_LOWEST).exp_()  # (r, c, K)
            density[q : q + rows, i : i + columns] = torch.bmm(kernel, w)[..., 0]
    return density


def _exponent(a: Tensor, b: Tensor, sigma_km: float) -> Tensor:
    km = sphere.chord_to_km(a.movedim(0, -1), b.movedim(0, -1))
    return km.div_(sigma_km).square_().mul_(-0.5)


def _exponent_by_series(a: Tensor, b: Tensor, sigma_km: float) -> Tensor:
    """`_exponent` without roots and angles; (3, r, c, 1), (3, r, 1, K) -> (r, c, K)."""
    chord = torch.sub(a[0], b[0]).square_()
    for axis in (1, 2):
        gap = a[axis] - b[axis]
        chord.addcmul_(gap, gap)
    total = torch.full_like(chord, _SERIES[0])
    for coefficient in _SERIES[1:]:
        total.mul_(chord).add_(coefficient)
    return total.mul_(chord).mul_(-0.5 * (sphere.EARTH_RADIUS_KM / sigma_km) ** 2)


def _numba(latlon: Tensor, weights: Tensor, sigma_km: float) -> Tensor:
    density = torch.empty(weights.shape, dtype=torch.float64)
    factor = -0.5 * (sphere.EARTH_RADIUS_KM / sigma_km) ** 2
    xyz = sphere.to_unit(latlon.double()).transpose(1, 2).contiguous()  # (Q, 3, K)
    arrays = (xyz.numpy(), weights.double().contiguous().numpy(), factor, density.numpy())
    run, (n_photos, k) = _compiled(), weights.shape
    for_rows(lambda start, stop: run(start, stop, *arrays), n_photos, max(1, _BLOCK // (k * k)))
    return density


@lru_cache(maxsize=1)
def _compiled():
    """Compile the loop with numba on first use (about a second)."""
    import numba

    c6, c5, c4, c3, c2, _ = _SERIES

    @numba.njit(fastmath={"contract", "reassoc", "nsz", "arcp"}, nogil=True)
    def run(start, stop, xyz, weights, factor, density):
        k = weights.shape[1]
        for q in range(start, stop):
            x, y, z, w = xyz[q, 0], xyz[q, 1], xyz[q, 2], weights[q]
            for i in range(k):
                xi, yi, zi, total = x[i], y[i], z[i], 0.0
                for j in range(k):
                    c = (xi - x[j]) ** 2 + (yi - y[j]) ** 2 + (zi - z[j]) ** 2
                    t = factor * c * (1 + c * (c2 + c * (c3 + c * (c4 + c * (c5 + c * c6)))))
                    t = max(t, _LOWEST) * (1 / 1024)
                    e = 1 + t * (1 + t * (0.5 + t * (1 / 6 + t * (1 / 24 + t * (1 / 120)))))
                    for _ in range(10):
                        e = e * e  # e^(1024 t)
                    total += e * w[j]
                density[q, i] = total

    return run
