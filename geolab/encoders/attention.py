"""Where a transformer looks: rollout, and attention weighted by gradient.

- `rollout` (Abnar and Zuidema, "Quantifying attention flow in transformers", ACL 2020): attention
  of all heads averaged, half of each layer's way taken by the residual, and the layers multiplied.
  It says which patches *could* have reached the feature, whatever the question.
- `gradient_attention` (Chefer, Gur and Wolf, "Generic attention-model explainability", ICCV 2021):
  attention times the gradient of a score, what is positive of it, layer by layer. It says which
  patches raised *this* answer.

Both read the class token's row for the feature "image" and the mean of all rows for "tokens". They
work for every vision transformer of open_clip whose blocks hold `torch.nn.MultiheadAttention` and
whose first token is the class token: all sizes of ViT, not ResNets.
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

    Raises
    ------
    ValueError
        If a block attends in another way than `torch.nn.MultiheadAttention`.
    """
    kept: list[Tensor] = []
    for i, block in enumerate(blocks):
        if not isinstance(getattr(block, "attn", None), nn.MultiheadAttention):
            raise ValueError(
                f"block {i} ({type(block).__name__}) has no nn.MultiheadAttention to read: take a "
                "ViT of open_clip"
            )
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
    shape = (b, t, layer.num_heads, layer.head_dim)
    split = [part.view(shape).transpose(1, 2) for part in parts]  # (B, T, W) -> (B, h, T, d)
    scores = split[0] @ split[1].transpose(-1, -2) / split[0].shape[-1] ** 0.5  # (B, h, T, T)
    weights = (scores if attn_mask is None else scores + attn_mask).softmax(-1)
    kept.append(weights)
    out = layer.out_proj((weights @ split[2]).transpose(1, 2).reshape(b, t, width))
    return (out if layer.batch_first else out.transpose(0, 1)), None


@torch.no_grad()
def rollout(
    clip: Clip,
    pixels: Tensor,
    *,
    feature: Feature = "tokens",
    discard: float = 0.0,
    batch: int = 64,
) -> Tensor:
    """Attention rollout of pixels (N, 3, S, S): (N, g, g) float32, each map sums to 1.

    Parameters
    ----------
    discard : float
        Share of each row of the attention, from its smallest values, that is set to 0 before the
        layers are multiplied. Large towers spread attention thinly over everything; 0.9 shows what
        stands out. Not in the paper.

    Raises
    ------
    ValueError
        If a map is not finite (its row is named), or `discard` is not in [0, 1).
    """
    if not 0 <= discard < 1:
        raise ValueError(f"discard is {discard}; it must be 0 or more, and less than 1")
    maps = []
    for block in _blocks_of(clip, pixels, batch):
        with recorded(list(clip.blocks)) as kept:
            clip.features(block, feature)
        flow = torch.eye(kept[0].shape[-1]).expand(len(block), -1, -1)
        for weights in kept:
            held = _largest(weights.float().mean(1).cpu(), discard)
            step = held + torch.eye(flow.shape[-1])  # (B, T, T)
            flow = step / step.sum(-1, keepdim=True) @ flow
        maps.append(_to_patches(flow, feature))
    return _checked(maps)


def _largest(rows: Tensor, discard: float) -> Tensor:
    """Rows (B, T, T) that sum to 1, without the smallest share of each of them."""
    n = int(discard * rows.shape[-1])
    if n == 0 or not len(rows):
        return rows
    least = rows.kthvalue(n, -1, keepdim=True).values
    kept = rows.masked_fill(rows <= least, 0.0)
    total = kept.sum(-1, keepdim=True)
    return torch.where(total > 0, kept / total, rows)  # a flat row has no smallest values


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

    Returns
    -------
    Tensor
        A photo whose score nothing raises has a flat map.

    Raises
    ------
    ValueError
        If a map is not finite (its row is named), or `score` does not return a number per photo
        that depends on the features.
    """
    maps = []
    for block in _blocks_of(clip, pixels, batch):
        with recorded(list(clip.blocks)) as kept, torch.enable_grad():
            start = clip.normal(block).requires_grad_(True)  # a graph even where weights are frozen
            value = score(clip.features_of(start, feature))
            if value.shape != (len(block),) or not value.requires_grad:
                raise ValueError(
                    f"score returned shape {tuple(value.shape)} for {len(block)} photos: it must "
                    "return one number per photo, computed from the features with gradient"
                )
            slopes = torch.autograd.grad(value.sum(), kept)
        flow = torch.eye(kept[0].shape[-1]).expand(len(block), -1, -1).clone()
        for weights, slope in zip(kept, slopes, strict=True):
            raised = (weights.detach() * slope).clamp(min=0).float().mean(1).cpu()  # (B, T, T)
            flow = flow + raised @ flow
        flow = flow - torch.eye(flow.shape[-1])
        maps.append(_to_patches(flow, feature))
    return _checked(maps)


def _blocks_of(clip: Clip, pixels: Tensor, batch: int) -> Iterator[Tensor]:
    """Pixels in blocks, where the weights are; the tower answers as in use, not as in training."""
    clip.eval()
    return (block.to(clip.mean.device) for block in pixels.split(batch) if len(block))


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
