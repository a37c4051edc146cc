"""The two autograd functions of `geolab.kernels.smoothed_loss`.

Both walk over the rows once, make the gradient while they are at it, and keep nothing else. The
backward pass scales it in place and gives it away.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from geolab.kernels.smoothed_loss_rows import rows, slices

_BLOCK = 3 << 19  # logits made at a time by the linear layer on a CPU: 6 MB in float32
_BLOCK_GPU = 1 << 25


def _handed_over(ctx, upstream: Tensor) -> list[Tensor | None]:
    """Give the finished gradients away, so that autograd can keep them without a copy."""
    if ctx.grads is None:
        raise RuntimeError(
            "the gradient of this loss was handed over by the first backward pass; compute the "
            "loss again (retain_graph does not apply)"
        )
    grads, ctx.grads = ctx.grads, None
    if upstream.is_cuda or float(upstream) != 1:
        grads = [None if grad is None else grad.mul_(upstream) for grad in grads]
    return grads


class FromLogits(torch.autograd.Function):
    """Loss of given logits (B, C)."""

    @staticmethod
    def forward(ctx, logits, rule, wanted):
        """Compute the loss, and the gradient with it if `wanted`."""
        grad = torch.empty_like(logits, memory_format=torch.contiguous_format)
        grad = grad if wanted else logits.new_empty(0, logits.shape[1])
        loss = torch.empty(len(logits), dtype=torch.float64, device=logits.device)
        exact = rule.path == "triton" or logits.element_size() >= 4
        each = len(logits) if exact and logits.is_contiguous() else _BLOCK // logits.shape[1]
        for some in slices(len(logits), max(1, each)):
            z = logits[some].contiguous()
            z = z if exact else z.float()
            part = grad[some] if wanted else grad
            direct = part.dtype == z.dtype
            rows(z, rule.part(some), loss[some], part if direct else z)
            if not direct:
                part.copy_(z)
        ctx.grads = [grad] if wanted else None
        return (loss.sum() * rule.scale).to(torch.promote_types(logits.dtype, torch.float32))

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        """Hand the gradient over."""
        return _handed_over(ctx, upstream)[0], None, None


class FromEmbedding(torch.autograd.Function):
    """Loss of ``emb @ weight.T + bias``, with the logits made and used up in chunks of rows."""

    @staticmethod
    def forward(ctx, emb, weight, bias, rule, dtype, wanted):
        """Compute the loss, and all three gradients with it if `wanted`."""
        with torch.autocast(emb.device.type, enabled=False):
            loss, ctx.grads = _linear_rows(emb, weight, bias, rule, dtype, wanted)
        return (loss.sum() * rule.scale).to(torch.promote_types(emb.dtype, torch.float32))

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        """Hand the gradient over."""
        grads = _handed_over(ctx, upstream)
        needed = zip(grads, ctx.needs_input_grad[:3], strict=True)
        return *(grad if wanted else None for grad, wanted in needed), None, None, None


def _linear_rows(emb, weight, bias, rule, dtype, wanted):
    """Losses (B,) and the gradients of embedding, weight and bias."""
    e, w = emb.detach().to(dtype), weight.detach().to(dtype)
    wide = torch.promote_types(dtype, torch.float32)
    loss = torch.empty(len(e), dtype=torch.float64, device=e.device)
    grad_e = torch.empty_like(emb, memory_format=torch.contiguous_format) if wanted else None
    grad_w = torch.zeros(w.shape, dtype=wide, device=w.device) if wanted else None
    grad_b = torch.zeros(len(w), dtype=wide, device=w.device) if wanted else None
    each = max(1, (_BLOCK_GPU if e.is_cuda else _BLOCK) // len(w))
    buffer = torch.empty(min(each, len(e)), len(w), dtype=dtype, device=e.device)
    for some in slices(len(e), each):
        z = torch.mm(e[some], w.T, out=buffer[: some.stop - some.start]).to(wide)  # (b, C)
        if bias is not None:
            z.add_(bias.detach())
        rows(z, rule.part(some), loss[some], z if wanted else z.new_empty(0, len(w)))
        if wanted:
            dz = z.to(dtype)
            grad_e[some] = dz @ w
            grad_b += z.sum(dim=0)
            if wide == dtype:
                grad_w.addmm_(dz.T, e[some])
            else:
                grad_w += dz.T @ e[some]
    if not wanted:
        return loss, None
    return loss, [grad_e, grad_w.to(weight.dtype), None if bias is None else grad_b.to(bias.dtype)]
