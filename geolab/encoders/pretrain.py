"""Pretraining of CLIP on photos and captions made by rule.

    clip = load_clip("tiny", weights="random")
    history = pretrain(clip, pixels, rows, PretrainConfig())

Every time a photo is drawn its caption is made anew (`geolab.encoders.captions`). The same function
goes on from weights that exist: StreetCLIP is OpenAI's CLIP after three epochs of it, PIGEON's
encoder after twenty. Photos are cropped and never mirrored: a mirror image drives on the wrong
side.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from geolab.data.errors import DataError
from geolab.encoders.captions import STREET_VIEW, CaptionConfig, caption_of
from geolab.encoders.clip import Clip
from geolab.encoders.clip_weights import hash_of_weights
from geolab.encoders.cnn import augment
from geolab.encoders.contrastive import chunked, equal_captions, gathered, info_nce_rows
from geolab.training import Batch, History, TrainConfig, train

FIELDS = ("id", "country", "region", "city", "climate", "drive_side", "heading", "month")
"""Columns that a caption may use."""
MAX_LOGIT_SCALE = 100.0


@dataclass(frozen=True)
class PretrainConfig:
    """How to pretrain.

    Attributes
    ----------
    captions : CaptionConfig
    chunk : int
        Photos whose graph is in memory at once; see `geolab.encoders.contrastive.chunked`.
    min_area : float
        Smallest share of a photo that a crop keeps; 1 crops nothing.
    train : TrainConfig
        Its batch is the number of pairs that see one another.
    """

    captions: CaptionConfig = STREET_VIEW
    chunk: int = 512
    min_area: float = 0.8
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=10, batch_size=256, lr=1e-3, weight_decay=0.1, clip_norm=1.0, warmup=0.1
        )
    )


class Pair(nn.Module):
    """Both towers in one call, as several processes need it."""

    def __init__(self, clip: Clip, chunk: int) -> None:
        super().__init__()
        self.clip, self.chunk = clip, chunk

    def forward(self, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, D) of pixels and of tokens, and the scale."""
        clip = self.clip
        photos = chunked(clip.features, pixels, self.chunk)
        texts = chunked(clip.text_features, tokens, self.chunk)
        return photos, texts, clip.logit_scale.clamp(max=MAX_LOGIT_SCALE)


def pretrain(
    clip: Clip,
    pixels: Tensor,
    rows: Sequence[Mapping[str, Any]],
    config: PretrainConfig = PretrainConfig(),
    *,
    checkpoint: str | os.PathLike | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    progress: str = "",
) -> History:
    """Train both towers in place.

    Parameters
    ----------
    pixels : Tensor of uint8, shape (N, 3, S, S)
    rows : sequence of N mappings
        What is known of each photo, see `caption_of`.
    validate : callable, optional
        Given the `Pair`; see `geolab.training.train`.

    Raises
    ------
    DataError
        If a photo has no country, or there are fewer photos than a batch.
    """
    size = config.train.batch_size
    n = len(rows) // size * size  # whole batches: every process has as many pairs as the others
    if n == 0 or len(rows) != len(pixels):
        raise DataError(
            f"{len(pixels)} photos and {len(rows)} rows for batches of {size}: give as many rows "
            "as photos, and a smaller batch_size or more photos"
        )
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(config.train.seed))
    identity = {"model": f"{clip.name}, {clip.weights_hash}", "captions": repr(config.captions)}
    history = train(
        Pair(clip, config.chunk),
        n,
        lambda network, batch: _loss(network, batch, clip, pixels, rows, order, config),
        config.train,
        checkpoint=checkpoint,
        identity=identity,
        validate=validate,
        groups=_groups(clip, config.train.weight_decay),
        name_of=lambda row: f"photo {rows[int(order[row])].get('id', int(order[row]))}",
        progress=progress,
    )
    clip.weights_hash = hash_of_weights(clip.model)  # no longer the CLIP that it was
    return history


def _loss(
    network: nn.Module,
    batch: Batch,
    clip: Clip,
    pixels: Tensor,
    rows: Sequence[Mapping[str, Any]],
    order: Tensor,
    config: PretrainConfig,
) -> tuple[Tensor, int]:
    """Loss of one process's share of a batch, and its number of pairs."""
    device = next(network.parameters()).device
    chosen = order[batch.rows]
    draws = batch.draws[:, -1].tolist()  # the brightness's number: as a seed it tells nothing of it
    words = [
        caption_of(rows[i], config.captions, draw=draw)
        for i, draw in zip(chosen.tolist(), draws, strict=True)
    ]
    tokens = clip.tokenize(words).to(device)
    crops = augment(pixels[chosen].to(device), batch.draws, min_area=config.min_area)
    photos, texts, scale = network(crops, tokens)
    (all_photos, first), (all_texts, _) = gathered(photos), gathered(texts)
    same = equal_captions(tokens, gathered(tokens)[0])
    lost = info_nce_rows(photos, texts, all_photos, all_texts, scale, same, first)
    return lost, len(words)


def _groups(clip: Clip, decay: float) -> list[dict[str, Any]]:
    """Matrices decay; norms, biases and the scale do not."""
    held = [p for p in clip.parameters() if p.requires_grad]
    return [
        {"params": [p for p in held if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in held if p.ndim < 2], "weight_decay": 0.0},
    ]
