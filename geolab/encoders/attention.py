"""Where a transformer looks: rollout, and attention weighted by gradient.

- `rollout` (Abnar and Zuidema, "Quantifying attention flow in transformers", ACL 2020): attention
  of all heads averaged, half of each layer's way taken by the residual, and the layers multiplied.
  It says which patches *could* have reached the feature, whatever the question.
- `gradient_attention` (Chefer, Gur and Wolf, "Generic attention-model explainability", ICCV 2021):
  attention times the gradient of a score, what is positive of it, layer by layer. It says which
  patches raised *this* answer.

Both read the class token's row for the feature "image" and the mean of all rows for "tokens".
Neither proves that a patch was needed: erase it and see (`geolab.cue_studies`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from geolab.encoders.clip import Clip, Feature


@contextmanager
def recorded(blocks: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Let the blocks note their attention (B, heads, T, T) while they run; undone at the end.

    The library's layer hands out no matrix that its result depends on, so each layer is computed
    here from its own weights: the same result, with the matrix in the graph.
    """
    kept: list[Tensor] = []
    try:
        for block in blocks:
            block.attn.forward = partial(_attend, block.attn, kept)
        yield kept
    finally:
        for block in blocks:
            block.attn.__dict__.pop("forward", None)


def _attend(
    layer: nn.MultiheadAttention,
    kept: list[Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Self-attention of (B, T, W), written out."""
    x = query if layer.batch_first else query.transpose(0, 1)
    parts = nn.functional.linear(x, layer.in_proj_weight, layer.in_proj_bias).chunk(3, -1)
    b, t, width = x.shape
    split = [part.view(b, t, layer.num_heads, -1).transpose(1, 2) for part in parts]  # (B, h, T, d)
    scores = split[0] @ split[1].transpose(-1, -2) / split[0].shape[-1] ** 0.5  # (B, h, T, T)
    weights = (scores if attn_mask is None else scores + attn_mask).softmax(-1)
    kept.append(weights)
    out = layer.out_proj((weights @ split[2]).transpose(1, 2).reshape(b, t, width))
    return (out if layer.batch_first else out.transpose(0, 1)), None


@torch.no_grad()
def rollout(clip: Clip, pixels: Tensor, *, feature: Feature = "tokens", batch: int = 64) -> Tensor:
    """Attention rollout of pixels (N, 3, S, S): (N, g, g) float32, each map sums to 1.

    Raises
    ------
    ValueError
        If a map is not finite; its row is named.
    """
    maps = []
    for block in pixels.split(batch):
        with recorded(list(clip.blocks)) as kept:
            clip.features(block, feature)
        flow = torch.eye(kept[0].shape[-1]).expand(len(block), -1, -1)
        for weights in kept:
            step = weights.float().mean(1).cpu() + torch.eye(flow.shape[-1])  # (B, T, T)
            flow = step / step.sum(-1, keepdim=True) @ flow
        maps.append(_to_patches(flow, feature))
    return _checked(maps)


def gradient_attention(
    clip: Clip,
    pixels: Tensor,
    score: Callable[[Tensor], Tensor],
    *,
    feature: Feature = "tokens",
    batch: int = 32,
) -> Tensor:
    """Attention that raises a score: (N, g, g) float32, each map sums to 1.

    Parameters
    ----------
    score : callable
        ``features (b, D) -> (b,)``, such as the log-probability of a cell. Called for one block of
        photos after the other, in order.

    Raises
    ------
    ValueError
        If a map is not finite; its row is named.
    """
    maps = []
    for block in pixels.split(batch):
        with recorded(list(clip.blocks)) as kept, torch.enable_grad():
            start = clip.normal(block).requires_grad_(True)  # a graph even where weights are frozen
            value = score(clip.features_of(start, feature)).sum()
            slopes = torch.autograd.grad(value, kept)
        flow = torch.eye(kept[0].shape[-1]).expand(len(block), -1, -1).clone()
        for weights, slope in zip(kept, slopes, strict=True):
            raised = (weights.detach() * slope).clamp(min=0).float().mean(1).cpu()  # (B, T, T)
            flow = flow + raised @ flow
        flow = flow - torch.eye(flow.shape[-1])
        maps.append(_to_patches(flow, feature))
    return _checked(maps)


def _to_patches(flow: Tensor, feature: Feature) -> Tensor:
    """Row of the feature over the patches: (B, T, T) -> (B, g, g), sums to 1; uniform if zero."""
    row = flow[:, 0] if feature == "image" else flow.mean(1)
    patches = row[:, 1:]  # the class token is no place
    side = round(patches.shape[1] ** 0.5)
    total = patches.sum(1, keepdim=True)
    flat = torch.full_like(patches, 1 / patches.shape[1])
    share = torch.where(total > 0, patches / total.where(total > 0, 1.0), flat)
    share = torch.where(total.isnan(), total, share)
    return share.view(len(flow), side, side)  # (B, g g) -> (B, g, g)


def _checked(maps: list[Tensor]) -> Tensor:
    joined = torch.cat(maps) if maps else torch.empty(0, 1, 1)
    bad = (~joined.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        raise ValueError(f"the attention of photo {int(bad[0])} is not finite: check the weights")
    return joined


def upsampled(maps: Tensor, size: int) -> Tensor:
    """Maps (N, g, g) at the photo's size, (N, size, size), smooth between the patches."""
    return nn.functional.interpolate(maps[:, None], size=(size, size), mode="bilinear")[:, 0]
