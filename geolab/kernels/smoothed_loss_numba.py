"""Compiled CPU path of `geolab.kernels.smoothed_loss`: loss and gradient of a row in one visit.

Per row: distances (kept in a scratch row), their minimum and the largest logit; then both
exponentials and three sums, a chunk at a time; then the gradient. Nothing larger than two rows of
scratch is made for each thread.

Two tricks let the loops run in vector registers and still let NaN through to the loss. Minimum and
maximum are taken on the bit patterns as integers, whose order is that of the numbers (and NaN is
above all). The exponential splits its argument with the "add 1.5 * 2**23" rounding, so no float
becomes an integer by conversion.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from torch import Tensor

from geolab.kernels.haversine_numba import constants, hi_lo, pair_km
from geolab.kernels.threads import for_rows

_CHUNK = 512
_F, _I = np.float32, np.int32
_MAGIC = _F(12582912.0)
_LOG2E, _LOG2E_LO = _F(1.4426950408889634), _F(1.4426950408889634 - float(_F(1.4426950408889634)))
_LOWEST = _F(-87.0)
_ZERO = _F(0)
_FAR = _F(1e9)  # km from every class but the target where labels are one-hot: exp gives 0
# 2**f on [-1/2, 1/2]; Lawson's weighted least squares, relative error 2e-9.
_P0, _P1, _P2, _P3 = _F(1.0), _F(0.6931472057374964), _F(0.2402264689059352), _F(0.0555032877)
_P4, _P5, _P6 = _F(0.009618488959667285), _F(0.00133999314229978), _F(0.000153458117978313)


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _exp(x):  # pragma: no cover - compiled
    """Exponential of x <= 0 to two units in the last place; 0 below -87, NaN for NaN."""
    t = x * _LOG2E + _MAGIC
    n = t - _MAGIC
    f = (x * _LOG2E - n) + x * _LOG2E_LO
    p = (((((_P6 * f + _P5) * f + _P4) * f + _P3) * f + _P2) * f + _P1) * f + _P0
    power = _I((_F(t).view(_I) << _I(23)) + _I(127 << 23)).view(_F)
    return _ZERO if x < _LOWEST else p * power


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _distances(u, i, v, k, km):  # pragma: no cover - compiled
    """Distances of point i to all cells into `km`."""
    k = (k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7], k[8], k[9], k[10])
    x, y, z, xl, yl, zl = u[i, 0], u[i, 1], u[i, 2], u[i, 3], u[i, 4], u[i, 5]
    bx, by, bz, cx, cy, cz = v[0], v[1], v[2], v[3], v[4], v[5]
    for j in range(len(km)):
        km[j] = pair_km(x, y, z, xl, yl, zl, bx[j], by[j], bz[j], cx[j], cy[j], cz[j], k)


@njit(nogil=True)
def _least(bits):  # pragma: no cover - compiled
    """Smallest bit pattern of numbers that are not negative."""
    least = bits[0]
    for j in range(len(bits)):
        least = min(least, bits[j])
    return least


@njit(nogil=True)
def _largest(bits):  # pragma: no cover - compiled
    """Largest of numbers given as bit patterns, as a bit pattern; NaN beats all."""
    largest = _I(-2147483648)
    for j in range(len(bits)):
        largest = max(largest, bits[j] ^ ((bits[j] >> _I(31)) & _I(0x7FFFFFFF)))
    return largest ^ ((largest >> _I(31)) & _I(0x7FFFFFFF))


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _powers(label, nearest, rate, z, top, e):  # pragma: no cover - compiled
    """Turn distances in `label` into targets, logits into exponentials, for a chunk."""
    for j in range(len(label)):
        label[j] = _exp((nearest - label[j]) * rate)
        e[j] = _exp(z[j] - top)


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def _sums(label, e, z, top):  # pragma: no cover - compiled
    """Sums of targets, of exponentials and of target times logit over a chunk."""
    a, b, c = _ZERO, _ZERO, _ZERO
    for j in range(len(label)):
        a += label[j]
        b += e[j]
        c += label[j] * (z[j] - top)
    return a, b, c


@njit(nogil=True, error_model="numpy")
def _row(z, label, e, top, rate, nearest):  # pragma: no cover - compiled
    """Turn distances in `label` into targets, fill `e`; return the three sums in float64."""
    total, partition, product = 0.0, 0.0, 0.0
    for left in range(0, len(z), _CHUNK):
        right = min(len(z), left + _CHUNK)
        some, more, part = label[left:right], e[left:right], z[left:right]
        _powers(some, nearest, rate, part, top, more)
        a, b, c = _sums(some, more, part, top)
        total, partition, product = total + a, partition + b, product + c
    return total, partition, product


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _slope(label, e, up, down, grad):  # pragma: no cover - compiled
    for j in range(len(label)):
        grad[j] = up * e[j] - down * label[j]


@njit(nogil=True, error_model="numpy")
def _rows(
    logits, u, v, target, k, rate, normalise, scale, loss, grad, wanted, start, stop
):  # pragma: no cover - compiled
    """Loss (B,) and, if wanted, gradient of some rows; `grad` may be `logits` itself."""
    n_cells = logits.shape[1]
    label, e = np.empty(n_cells, np.float32), np.empty(n_cells, np.float32)
    extreme = np.empty(2, np.float32)
    bits = extreme.view(np.int32)
    for i in range(start, stop):
        if len(target):
            label[:] = _FAR
            label[target[i]] = 0
        else:
            _distances(u, i, v, k, label)
        bits[0] = _largest(logits[i].view(np.int32))
        bits[1] = _least(label.view(np.int32))
        total, partition, product = _row(logits[i], label, e, extreme[0], rate, extreme[1])
        weight = 1 / total if normalise else 1.0
        loss[i] = weight * (total * np.log(partition) - product)
        if wanted:
            down = scale * weight
            _slope(label, e, _F(down * total / partition), _F(down), grad[i])


def run(
    logits: Tensor, u: Tensor, v: Tensor, target: Tensor, rule: tuple, loss: Tensor, grad: Tensor
) -> None:
    """Rows of float32 `logits` (B, C): loss (B,) float64 and gradient (B, C), or grad of size 0.

    `target` is empty for smoothed labels; `rule` = (tau, normalise, radius_km, scale).
    """
    tau, normalise, radius_km, scale = rule
    left, right = hi_lo(u).numpy(), hi_lo(v).T.contiguous().numpy()
    arrays = (logits.numpy(), left, right, target.numpy(), constants(radius_km))
    rest = (_F(1 / tau), normalise, float(scale), loss.numpy(), grad.numpy(), grad.numel() > 0)
    for_rows(lambda start, stop: _rows(*arrays, *rest, start, stop), len(logits), 8)
