"""CLIP towers: photos and texts in one space.

Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021.
Two towers, one for photos and one for texts, are trained so that a photo and its caption point the
same way. What comes out can be searched (neighbours), asked in words (zero-shot), probed with a
linear layer, or trained on.

    clip = load_clip()                               # "tiny": ships with the kit, synthetic
    photos = clip.embed_pixels(pixels)               # (N, D), unit length
    words = clip.embed_text(["a photo from Norway", "a photo from Chile"])
    photos @ words.T                                 # who fits whom
    clip.embed_pixels(pixels, "tokens")              # (N, W): what PIGEON's head works on

Two features of a photo, not to be mixed:

- ``"image"``: projected class token, unit length; lives in the space of the texts.
- ``"tokens"``: mean over *all* tokens of the last block, before the final norm and the projection,
  not normalised (Haas et al., CVPR 2024). It knows nothing of texts.

The tokens themselves, one for each patch, come from `Clip.embed_patches`.

"tiny" is a small CLIP trained on synthetic TinyEarth captions by ``geolab pretrain``. OpenAI's
towers and StreetCLIP load by name through their manifests (`geolab.encoders.clip_weights`); that
code has been run on small files only, not on the real downloads.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.encoders.clip_weights import Made, make_clip
from geolab.encoders.cnn import to_pixels
from geolab.encoders.pixels import read_pixels
from geolab.training.processes import pick_device

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

Feature = Literal["image", "tokens"]
FEATURES = ("image", "tokens")
_BATCH = 256
_BF16 = ("avx512_bf16", "amx_tile")


class Clip(nn.Module):
    """A CLIP with what it expects of a photo. Made by `load_clip`.

    Attributes
    ----------
    name : str
    model : nn.Module
        open_clip's.
    size : int
        Side of the pictures in pixels.
    weights_hash : str
        Sixteen hex digits of the weights.
    synthetic : bool
        Whether it has only seen synthetic photos.
    dims : dict of str to int
        Length of each feature.
    """

    def __init__(self, made: Made) -> None:
        super().__init__()
        self.name, self.model, self.tokenizer = made.name, made.model, made.tokenizer
        self.weights_hash, self.synthetic = made.weights_hash, made.synthetic
        self.about = made.about
        side = made.model.visual.image_size
        self.size = side[0] if isinstance(side, (tuple, list)) else side
        self.dims = {"image": made.model.visual.output_dim, "tokens": made.width}
        for key, values in zip(("mean", "std"), made.norm, strict=True):
            self.register_buffer(key, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Transformer blocks of the photo tower, first to last."""
        return self.model.visual.transformer.resblocks

    @property
    def logit_scale(self) -> Tensor:
        """Factor on the cosines before the softmax."""
        return self.model.logit_scale.exp()

    @property
    def preprocessing(self) -> str:
        """How a photo becomes numbers, in words; kept with embeddings."""
        return f"square middle, {self.size} px"

    def normal(self, pixels: Tensor) -> Tensor:
        """Normalise pixels (B, 3, S, S), uint8 or float in 0..1, in the weights' dtype."""
        scaled = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels
        wanted = next(self.model.visual.parameters()).dtype
        return ((scaled - self.mean) / self.std).to(wanted, memory_format=torch.channels_last)

    def features(self, pixels: Tensor, feature: Feature = "image") -> Tensor:
        """Embed pixels (B, 3, S, S) with gradient: (B, D) float32.

        Raises
        ------
        ValueError
            If there is no such feature.
        """
        return self.features_of(self.normal(pixels), feature)

    def features_of(self, normal: Tensor, feature: Feature = "image") -> Tensor:
        """As `features`, for pixels that `normal` has prepared."""
        if feature not in FEATURES:
            raise ValueError(f"no feature {feature!r}; there are: {', '.join(FEATURES)}")
        projected, tokens = self._projected_and_tokens(normal)
        if feature == "tokens":
            return tokens.float().mean(1)  # (B, 1 + g g, W) -> (B, W)
        return F.normalize(projected.float(), dim=-1)

    def _projected_and_tokens(self, normal: Tensor) -> tuple[Tensor, Tensor]:
        """Projected class token (B, D), and all tokens of the last block (B, 1 + g g, W)."""
        kept: list[Tensor] = []
        hook = self.model.visual.transformer.register_forward_hook(lambda *a: kept.append(a[2]))
        try:
            return self.model.encode_image(normal), kept[0]
        finally:
            hook.remove()

    @torch.no_grad()
    def embed_patches(self, pixels: Tensor, *, batch: int = _BATCH) -> Tensor:
        """Patch tokens of pixels (N, 3, S, S): (N, g g, W) float16 on the CPU, row by row.

        Of the last block, before the final norm, without the class token: the "tokens" whose mean
        is a feature. 2 g g W bytes a photo, 16 kB with the small CLIP.
        """
        self.eval()
        device = self.mean.device

        def run(block: Tensor) -> Tensor:
            return self._projected_and_tokens(self.normal(block.to(device)))[1][:, 1:].half().cpu()

        if not len(pixels):
            rows, columns = self.model.visual.grid_size
            return torch.empty(0, rows * columns, self.dims["tokens"], dtype=torch.float16)
        return _in_batches(run, pixels, batch, self.dims["tokens"])

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token numbers (M, L) int64 of texts; too long ones are cut."""
        return self.tokenizer(list(texts))

    def text_features(self, tokens: Tensor) -> Tensor:
        """Embed tokens (M, L) with gradient: (M, D) float32, unit length."""
        return F.normalize(self.model.encode_text(tokens).float(), dim=-1)

    @torch.no_grad()
    def embed_pixels(
        self, pixels: Tensor, feature: Feature = "image", *, batch: int = _BATCH
    ) -> Tensor:
        """Embed pixels (N, 3, S, S) uint8: (N, D) float32 on the CPU.

        Out of memory, the batch is halved once, with a warning.
        """
        self.eval()
        device = self.mean.device

        def run(block: Tensor) -> Tensor:
            return self.features(block.to(device), feature).cpu()

        return _in_batches(run, pixels, batch, self.dims[feature])

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str], *, batch: int = 512) -> Tensor:
        """Embed texts: (M, D) float32, unit length, on the CPU."""
        self.eval()
        device = self.mean.device
        tokens = self.tokenize(texts)
        return _in_batches(
            lambda block: self.text_features(block.to(device)).cpu(),
            tokens,
            batch,
            self.dims["image"],
        )

    def encode(self, images: Sequence[Image.Image], feature: Feature = "image") -> Tensor:
        """Embed photos: (N, D) float32."""
        return self.embed_pixels(to_pixels(images, self.size), feature)

    def embed(self, images: Sequence[Image.Image]) -> Tensor:
        """Image features of photos, as locators of neighbours ask for them: (N, D)."""
        return self.encode(images)

    def embed_photos(self, photos: Dataset, feature: Feature = "image") -> Tensor:
        """Embed the photos of a data set, (N, D); zeros for a photo that cannot be read."""
        read = read_pixels(photos, self.size)
        return self.embed_pixels(read.values, feature) * read.good[:, None]


def load_clip(
    name: str = "tiny",
    *,
    weights: str | os.PathLike | None = None,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
) -> Clip:
    """Build a CLIP by name, ready to embed.

    Parameters
    ----------
    name : str
        "tiny" (the kit's own, synthetic), "StreetCLIP", or a name of ``open_clip.list_models()``.
    weights : path, optional
        A safetensors file; "random" starts from chance. By default "tiny" takes the weights that
        ship with the kit, the others those that their manifest names.
    precision : str
        "auto": see `pick_dtype`.

    Raises
    ------
    ValueError
        If there is no such model or precision.
    DataError
        If the weights cannot be had, are damaged, are a pickle, or belong to another model.
    """
    clip = Clip(make_clip(name, weights)).eval()
    place = pick_device(device)
    clip.model.to(place, pick_dtype(precision, place, large=name != "tiny"))
    return clip.to(place)


def pick_dtype(precision: str, device: torch.device, *, large: bool = True) -> torch.dtype:
    """Dtype of the weights.

    "auto" is bfloat16 on GPUs of compute capability 8.0 and on CPUs that compute in it, float16 on
    older GPUs, float32 elsewhere. On one core with AVX-512 BF16 ViT-B-32 embeds 5.9 times as fast
    in bfloat16 (8 photos, random weights). The small CLIP gains 2.9 times and stays in float32 on
    CPUs, so that its embeddings do not depend on the machine.

    Raises
    ------
    ValueError
        If there is no such precision.
    """
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision in named:
        return named[precision]
    if precision != "auto":
        raise ValueError(f"precision {precision!r} must be auto, {', '.join(named)}")
    if device.type == "cuda":
        modern = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if modern else torch.float16
    return torch.bfloat16 if large and _cpu_has_bf16() else torch.float32


def _cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    found = (getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in _BF16)
    return any(ask is not None and ask() for ask in found)


def _in_batches(run: Callable[[Tensor], Tensor], rows: Tensor, batch: int, dim: int) -> Tensor:
    """Apply `run` to blocks of rows; halve the block once if memory does not suffice."""
    if not len(rows):
        return torch.empty(0, dim)
    try:
        parts = [run(block) for block in rows.split(batch)]
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        half = max(1, batch // 2)
        warnings.warn(f"out of memory with {batch} at once; trying {half} ({error})", stacklevel=3)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        parts = [run(block) for block in rows.split(half)]
    return torch.cat(parts)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice; on a CPU torch says so in words only."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return "allocate memory" in str(error) or "not enough memory" in str(error)
