r"""Cross-entropy against haversine-smoothed labels, without the label matrix.

A photo at x gets the target

.. math:: y_i = \exp\left(-\frac{d(g_i, x) - \min_j d(g_j, x)}{\tau}\right), \qquad
          L = \sum_i y_i\,(\log\textstyle\sum_j e^{z_j} - z_i)

over the cells with centres g. Distances run from centre to *photo*, and the smallest of the row is
taken off, so the nearest cell always has target 1. By default every row is divided by its sum
(then L is a divergence plus a constant); ``normalise=False`` leaves it as PIGEON has it, where a
photo counts for as many cells as lie around it, so dense regions weigh more. ``tau=None`` is plain
one-hot cross-entropy.

The gradient :math:`\partial L/\partial z_i = Y p_i - y_i`, with :math:`Y = \sum y`, needs what the
loss has just computed. So it is made in the same visit, and the backward pass only hands it over.
`linear_smoothed_cross_entropy` goes on: it makes the logits themselves in chunks of rows, turns
each chunk into its gradient in place and multiplies it into the gradients of embedding and weight.
No B x C matrix of distances, labels or (with the linear layer) logits ever exists.

**Limit.** 8 bytes per logit: 1024 x 11399 logits read and gradients written are 93 MB, that is
1.5-2.1 ms at 45-60 GB/s or 31 us at 3 TB/s. Two exponentials and a distance, about 90 operations,
come on top and rule on a CPU. With the linear layer the limit is three products of 2 B D C flop.

**Paths.** numba (float32 arithmetic, from a quarter of a million logits on), Triton on a GPU,
blocked plain torch anywhere else and for float64.

References: L. Haas, M. Skreta, S. Alberti, C. Finn, "PIGEON: Predicting Image Geolocations", CVPR
2024, section on haversine smoothing, whose Earth radius is 6378.137 km; P.-L. Hsu et al., "Liger
Kernel: Efficient Triton Kernels for LLM Training" (2024), for the gradient in the forward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

from geolab import sphere
from geolab.kernels.smoothed_loss_grad import FromEmbedding, FromLogits
from geolab.kernels.smoothed_loss_rows import make_rule
from geolab.sphere import EARTH_RADIUS_KM, ArrayLike


def smoothed_targets(
    latlon: ArrayLike,
    cells: ArrayLike,
    tau: float,
    *,
    normalise: bool = True,
    radius_km: float = EARTH_RADIUS_KM,
) -> Tensor:
    """Label matrix in full, for the eye and for the reference: (B, 2), (C, 2) -> (B, C) float64.

    Examples
    --------
    >>> smoothed_targets([[0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]], 75.0, normalise=False)
    tensor([[1.0000, 0.2270]], dtype=torch.float64)
    """
    photo, centre = (sphere.to_unit(sphere.check_latlon(p).double()) for p in (latlon, cells))
    km = sphere.chord_to_km(photo[:, None], centre[None], radius_km=radius_km)  # (B, C)
    target = torch.exp((km.amin(dim=1, keepdim=True) - km) / tau)
    return target / target.sum(dim=1, keepdim=True) if normalise else target


def smoothed_cross_entropy_reference(
    logits: Tensor,
    latlon: ArrayLike,
    cells: ArrayLike,
    tau: float | None,
    *,
    normalise: bool = True,
    target: Tensor | None = None,
    reduction: str = "mean",
    radius_km: float = EARTH_RADIUS_KM,
) -> Tensor:
    """Compute the same with whole matrices in float64 and ordinary autograd."""
    rule = make_rule(logits, latlon, cells, tau, normalise, target, reduction, radius_km, "torch")
    if tau is None:
        label = torch.nn.functional.one_hot(rule.target, logits.shape[1]).double()
    else:
        label = smoothed_targets(latlon, cells, tau, normalise=normalise, radius_km=radius_km)
    loss = -(label.to(logits.device) * logits.double().log_softmax(dim=1)).sum()
    loss = loss / len(logits) if reduction == "mean" else loss
    return loss.to(torch.promote_types(logits.dtype, torch.float32))


def linear_smoothed_cross_entropy_reference(
    emb: Tensor, weight: Tensor, bias: Tensor | None, *args, **options
) -> Tensor:
    """Compute the same as a linear layer in float64 before `smoothed_cross_entropy_reference`."""
    dtype = torch.promote_types(emb.dtype, torch.float32)
    bias = None if bias is None else bias.double()
    logits = torch.nn.functional.linear(emb.double(), weight.double(), bias)
    return smoothed_cross_entropy_reference(logits, *args, **options).to(dtype)


def smoothed_cross_entropy(
    logits: Tensor,
    latlon: ArrayLike,
    cells: ArrayLike,
    tau: float | None,
    *,
    normalise: bool = True,
    target: Tensor | None = None,
    reduction: str = "mean",
    radius_km: float = EARTH_RADIUS_KM,
    backend: str = "auto",
) -> Tensor:
    """Cross-entropy of cell logits against haversine-smoothed labels.

    Parameters
    ----------
    logits : Tensor, shape (B, C)
        float16, bfloat16, float32 or float64. The gradient has its dtype, the loss is float32 at
        least. NaN and -inf go the way they go in `torch.nn.functional.cross_entropy`.
    latlon : array_like, shape (B, 2)
        Where the photos were taken, degrees.
    cells : array_like, shape (C, 2)
        Centres of the cells, degrees. Neither gets a gradient.
    tau : float or None
        Width of the smoothing, km; PIGEON has 75, near the spacing of the cells. None for one-hot
        labels on `target` or, without it, on the nearest cell.
    normalise : bool
        Whether the labels of a photo sum to 1; False is PIGEON's form.
    target : Tensor, shape (B,), int64, optional
        The cell of each photo, for ``tau=None`` only.
    reduction : {"mean", "sum"}
    radius_km : float
    backend : {"auto", "torch", "numba", "triton"}

    Returns
    -------
    Tensor, shape ()
        The backward pass can run once; it hands over the gradient made in the forward pass.

    Raises
    ------
    ValueError
        For wrong shapes, dtypes or devices, an empty batch, no cells, tau <= 0 or a target out of
        range.

    Examples
    --------
    >>> smoothed_cross_entropy(torch.zeros(1, 4), [[0.0, 0.0]], [[0.0, 9.0]] * 4, 75.0)
    tensor(1.3863)
    """
    rule = make_rule(logits, latlon, cells, tau, normalise, target, reduction, radius_km, backend)
    return FromLogits.apply(logits, rule, torch.is_grad_enabled() and logits.requires_grad)


def linear_smoothed_cross_entropy(
    emb: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    latlon: ArrayLike,
    cells: ArrayLike,
    tau: float | None,
    *,
    normalise: bool = True,
    target: Tensor | None = None,
    reduction: str = "mean",
    radius_km: float = EARTH_RADIUS_KM,
    product_dtype: torch.dtype | None = None,
    backend: str = "auto",
) -> Tensor:
    """`smoothed_cross_entropy` of ``emb @ weight.T + bias``, logits made a few rows at a time.

    Parameters
    ----------
    emb : Tensor, shape (B, D)
    weight : Tensor, shape (C, D)
    bias : Tensor, shape (C,), or None
    product_dtype : torch.dtype, optional
        For the three matrix products, ``torch.bfloat16`` say, which is several times faster where
        the processor has it and costs three digits. The dtype of `emb` when left out. Autocast does
        not reach in here.

    Other parameters, result and errors are those of `smoothed_cross_entropy`.
    """
    if emb.ndim != 2 or weight.ndim != 2 or emb.shape[1] != weight.shape[1]:
        raise ValueError(
            f"emb and weight must be (B, D) and (C, D), not {tuple(emb.shape)}, "
            f"{tuple(weight.shape)}"
        )
    if bias is not None and tuple(bias.shape) != (len(weight),):
        raise ValueError(f"bias must have shape ({len(weight)},), not {tuple(bias.shape)}")
    others = [weight] if bias is None else [weight, bias]
    if any(x.device != emb.device or x.dtype != emb.dtype for x in others):
        raise ValueError("emb, weight and bias must share one device and one dtype")
    logits = emb.new_empty(1, 1).expand(len(emb), len(weight))  # stand-in: shape, dtype, device
    rule = make_rule(logits, latlon, cells, tau, normalise, target, reduction, radius_km, backend)
    wanted = torch.is_grad_enabled() and any(x.requires_grad for x in (emb, *others))
    return FromEmbedding.apply(emb, weight, bias, rule, product_dtype or emb.dtype, wanted)
