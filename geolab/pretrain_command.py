"""What ``geolab pretrain`` does: train a CLIP on captions made by rule, and write its card.

By default the small CLIP learns from synthetic TinyEarth photos of another seed than the course's:
the same world, seen by other photographers. None of them is in the shared split, whose validation
part measures the result. Real photos and real towers go the same way:

    geolab pretrain --out mine.safetensors --source osv5m --model ViT-B-32 --captions streetclip

That line has been run on small files only, not on the real downloads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from geolab.clip_card import card, measure
from geolab.data.errors import DataError
from geolab.data.shared import shared_split
from geolab.data.storage import write_atomic
from geolab.encoders.captions import FLICKR, STREET_VIEW, STREETCLIP
from geolab.encoders.clip import Clip, load_clip
from geolab.encoders.clip_weights import TINY, save_clip
from geolab.encoders.pixels import read_pixels
from geolab.encoders.pretrain import FIELDS, PretrainConfig, pretrain

if TYPE_CHECKING:
    from datasets import Dataset

PRESETS = {"street-view": STREET_VIEW, "flickr": FLICKR, "streetclip": STREETCLIP}
CARD = ".card.md"


@dataclass(frozen=True)
class PretrainRequest:
    """What the user asked for.

    Attributes
    ----------
    out : Path
        Where the weights go; the state of the run stands beside it until it ends, then a card.
    n, seed : int
        Photos; TinyEarth of seed 0 is the course's and refused.
    epochs, batch_size : int
    lr : float
    start : str
        "random", "shipped" (those that the model's name stands for), or a safetensors file.
    source, model, captions : str
        As for `load` and `load_clip`; a key of `PRESETS`.
    command : str
        As typed, kept with the weights.
    """

    out: Path
    n: int = 60_000
    seed: int = 1
    epochs: int = 5
    batch_size: int = 128
    lr: float = 1e-3
    start: str = "random"
    source: str = "tinyearth"
    model: str = "tiny"
    captions: str = "street-view"
    command: str = ""

    def __post_init__(self) -> None:
        if self.captions not in PRESETS:
            raise ValueError(f"captions {self.captions!r} must be one of {', '.join(PRESETS)}")
        if self.source == "tinyearth" and self.seed == 0:
            raise DataError(
                "seed 0 is the course's own TinyEarth, test photos included: take another --seed"
            )

    @property
    def config(self) -> PretrainConfig:
        """How to train."""
        wanted = {"epochs": self.epochs, "batch_size": self.batch_size, "lr": self.lr}
        config = PretrainConfig(captions=PRESETS[self.captions])
        return replace(config, train=replace(config.train, seed=self.seed, **wanted))


def run_pretraining(request: PretrainRequest) -> dict[str, Any]:
    """Train, measure, write weights and card; return what the card says.

    Under ``torchrun`` the processes share each batch; the first one writes, the others return {}.

    Raises
    ------
    DataError
        If the photos or the weights to start from cannot be had.
    """
    from geolab.data.loading import load

    torch.manual_seed(request.seed)
    weights = None if request.start == "shipped" else request.start
    clip = load_clip(request.model, weights=weights, precision="fp32")
    photos = load(request.source, n=request.n, seed=request.seed)
    pixels, rows = pairs(photos, clip.size)
    state = f"{request.out}.run"
    history = pretrain(clip, pixels, rows, request.config, checkpoint=state, progress="pretraining")
    if int(os.environ.get("RANK", "0")) > 0:
        return {}
    about = _about(request, clip, len(rows), history.seconds)
    _write(request.out, clip, about)
    for left in (state, f"{state}.lock"):
        Path(left).unlink(missing_ok=True)
    return about


def pairs(photos: Dataset, size: int) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """Pixels (N, 3, S, S) of the photos that can be read, and what captions may say of each."""
    read = read_pixels(photos, size)
    rows = photos.select_columns([f for f in FIELDS if f in photos.column_names]).to_list()
    if read.good.all():
        return read.values, rows
    return read.values[read.good], [row for row, ok in zip(rows, read.good, strict=True) if ok]


def _about(request: PretrainRequest, clip: Clip, n: int, seconds: float) -> dict[str, Any]:
    """What the card says but for the sha256; only TinyEarth's own CLIP is measured."""
    synthetic = request.source == "tinyearth"
    tiny = request.model == "tiny"
    kind = "trained on synthetic TinyEarth photos only" if synthetic else f"on {request.source}"
    whole = n // request.batch_size * request.batch_size
    return {
        "what": f"CLIP '{request.model}' of geolab, {kind}",
        "synthetic": synthetic,
        "licence": "MIT" if tiny and synthetic else "that of the weights and photos it came from",
        "command": request.command,
        "data": f"{request.source}, n = {n}, seed = {request.seed}",
        "captions": f"by rule, preset {request.captions}",
        "architecture": str(TINY) if tiny else request.model,
        "weights": sum(p.numel() for p in clip.model.parameters()),
        "pairs": whole * request.epochs,
        "seconds": round(seconds),
        "config": asdict(request.config),
        "measured_on": "validation part of the shared TinyEarth split (synthetic)",
        "measured": measure(clip, shared_split()) if synthetic and tiny else [],
    }


def _write(out: Path, clip: Clip, about: Mapping[str, Any]) -> None:
    save_clip(out, clip.model, about)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    write_atomic(out.with_suffix(CARD), card(about, digest).encode())


def lines(about: Mapping[str, Any], out: str | os.PathLike) -> list[str]:
    """What to print at the end."""
    told = [f"{r['what']}: {r['value']} % (chance {r['chance']} %)" for r in about["measured"]]
    return [f"{out}: {about['weights']:,} weights, {about['seconds']} s of training", *told]
