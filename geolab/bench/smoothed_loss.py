"""Cases of `geolab.kernels.smoothed_loss`: one training step, logits given or made from embeddings.

The peers are written from their descriptions: PIGEON's form (distances in float64 by the textbook
haversine, row minimum taken off, labels not normalised, soft-target cross-entropy), and the same in
plain float32. Both build the whole B x C matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from geolab import sphere
from geolab.bench.harness import Case
from geolab.bench.haversine import haversine_eager
from geolab.kernels import smoothed_loss as ours

_TAU = 75.0
_WIDE, _PLAIN = "float64 labels (PIGEON's form)", "float32 throughout"


def eager_loss(logits: Tensor, latlon: Tensor, cells: Tensor, dtype: torch.dtype) -> Tensor:
    """Smoothed cross-entropy by whole matrices, labels in `dtype`, not normalised."""
    km = haversine_eager(latlon.to(dtype), cells.to(dtype))  # (B, C)
    label = torch.exp((km.amin(dim=1, keepdim=True) - km) / _TAU).nan_to_num_()
    return functional.cross_entropy(logits, label.to(logits.dtype))


def cases(big: bool) -> list[Case]:
    """A large batch on 11,399 cells, a small one on PIGEON's 2,203, and one with the layer."""
    made = [_given(1024, 11399), _given(256, 2203), _linear(1024, 11399, 1024)]
    return [*made, _given(4096, 12893)] if big else made


def _step(loss: Callable[..., Tensor], *leaves: Tensor) -> list[Tensor]:
    """One forward and backward pass; loss and gradients."""
    fresh = [leaf.detach().requires_grad_() for leaf in leaves]
    value = loss(*fresh)
    value.backward()
    return [value.detach(), *(leaf.grad for leaf in fresh)]


def _losses(latlon: Tensor, cells: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """Ours, the float64 reference and the peers as functions of the logits."""
    fixed = {"latlon": latlon, "cells": cells, "tau": _TAU, "normalise": False}
    return {
        "ours": lambda z: ours.smoothed_cross_entropy(z, **fixed),
        "reference": lambda z: ours.smoothed_cross_entropy_reference(z, **fixed),
        _WIDE: lambda z: eager_loss(z, latlon, cells, torch.float64),
        _PLAIN: lambda z: eager_loss(z, latlon, cells, torch.float32),
    }


def _given(n: int, c: int) -> Case:
    latlon, cells = sphere.uniform_points(n, 1), sphere.uniform_points(c, 2)
    z = torch.randn(n, c, generator=torch.Generator().manual_seed(3))
    losses = _losses(latlon, cells)
    return Case(
        kernel="smoothed_loss",
        name="logits given, forward + backward",
        size=f"B{n} C{c}",
        ours=lambda: _step(losses["ours"], z),
        peers={name: lambda name=name: _step(losses[name], z) for name in (_WIDE, _PLAIN)},
        targets={_WIDE: 0.12, _PLAIN: 0.25} if c > 10000 else {},
        limit=lambda roof: 8 * n * c / roof.copy_gb_s / 1e9,
        agree=lambda: _agreement(_losses(latlon[:128], cells), z[:128]),
        note="what we hold is the gradient; labels and distances never exist as a matrix",
        gpu=lambda: _on_gpu(_losses(latlon.cuda(), cells.cuda()), z.cuda()),
        gpu_targets={_WIDE: 0.10},
    )


def _linear(n: int, c: int, dim: int) -> Case:
    latlon, cells = sphere.uniform_points(n, 1), sphere.uniform_points(c, 2)
    generator = torch.Generator().manual_seed(4)
    leaves = [torch.randn(*shape, generator=generator) for shape in ((n, dim), (c, dim), (c,))]
    leaves[1] *= dim**-0.5
    losses = _losses(latlon, cells)

    def whole(loss: Callable[[Tensor], Tensor]) -> Callable[[], list[Tensor]]:
        return lambda: _step(lambda e, w, b: loss(functional.linear(e, w, b)), *leaves)

    def chunked(dtype: torch.dtype | None = None) -> list[Tensor]:
        fixed = {"normalise": False, "product_dtype": dtype}
        return _step(
            lambda e, w, b: ours.linear_smoothed_cross_entropy(
                e, w, b, latlon, cells, _TAU, **fixed
            ),
            *leaves,
        )

    def three_products() -> None:
        e, w = leaves[:2]
        z = e @ w.T
        _ = z @ w, z.T @ e

    return Case(
        kernel="smoothed_loss",
        name="linear layer included, forward + backward",
        size=f"B{n} C{c} D{dim}",
        ours=chunked,
        peers={
            _WIDE: whole(losses[_WIDE]),
            _PLAIN: whole(losses[_PLAIN]),
            "the three products alone": three_products,
            "ours with bfloat16 products": lambda: chunked(torch.bfloat16),
        },
        targets={_WIDE: 0.40, _PLAIN: 0.60, "the three products alone": 1.4},
        limit=lambda roof: 6 * n * c * dim / roof.f32_gflop_s / 1e9,
        agree=lambda: _same(chunked(), whole(losses[_PLAIN])()),
        note=f"our memory: gradients of weight and embedding, {4e-6 * (n + c) * dim:.0f} MB, "
        "and 6 MB of logits at a time",
    )


def _agreement(losses: dict[str, Callable[[Tensor], Tensor]], z: Tensor) -> str:
    """Error of loss and gradient against float64, ours and that of plain float32."""
    exact, got, plain = (_step(losses[name], z.double() if name == "reference" else z)
                         for name in ("reference", "ours", _PLAIN))  # fmt: skip

    def error(answer: list[Tensor], i: int) -> float:
        return ((answer[i].double() - exact[i]).norm() / exact[i].norm()).item()

    figures = [(error(got, i), error(plain, i)) for i in (0, 1)]
    near = all(mine <= max(other, 1.2e-7) for mine, other in figures)
    text = "; ".join(f"{a:.1e} (float32: {b:.1e})" for a, b in figures)
    return f"{'yes' if near else 'NO'}, relative error of loss and gradient {text}"


def _same(got: list[Tensor], want: list[Tensor]) -> str:
    off = max(((a - b).norm() / b.norm()).item() for a, b in zip(got, want, strict=True))
    return f"{'yes' if off < 1e-4 else 'NO'}, within {off:.0e} of float32 throughout"


def _on_gpu(losses: dict[str, Callable[[Tensor], Tensor]], z: Tensor) -> dict:
    return {name: lambda name=name: _step(losses[name], z) for name in ("ours", _WIDE)}
