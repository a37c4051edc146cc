"""What ``geolab pretrain`` does: train the small CLIP on TinyEarth and say what it can do.

The photos are those of another seed than the course's: the same synthetic world, seen by other
photographers. None of them is in the shared split, whose validation part measures the result.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from geolab.data.errors import DataError
from geolab.data.shared import shared_split
from geolab.encoders.captions import place_words
from geolab.encoders.clip import Clip, load_clip
from geolab.encoders.clip_weights import save_clip
from geolab.encoders.pixels import read_pixels
from geolab.encoders.pretrain import FIELDS, PretrainConfig, pretrain
from geolab.evaluation import truth_of
from geolab.metrics import errors_km

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class PretrainRequest:
    """What the user asked for.

    Attributes
    ----------
    out : Path
        Where the weights go; the state of the run stands beside it until it ends.
    n, seed : int
        Photos of TinyEarth; seed 0 is the course's and refused.
    epochs, batch_size : int
    lr : float
    start : str
        "random", or a safetensors file to go on from.
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
    command: str = ""


def run_pretraining(request: PretrainRequest) -> dict[str, Any]:
    """Train, measure, write; return what was written beside the weights.

    Raises
    ------
    DataError
        For the course's own seed.
    """
    from geolab.data.loading import load

    if request.seed == 0:
        raise DataError(
            "seed 0 is the course's own TinyEarth, test photos included: take another --seed"
        )
    photos = load("tinyearth", n=request.n, seed=request.seed)
    torch.manual_seed(request.seed)
    clip = load_clip("tiny", weights=request.start)
    config = PretrainConfig()
    wanted = {"epochs": request.epochs, "batch_size": request.batch_size, "lr": request.lr}
    config = replace(config, train=replace(config.train, seed=request.seed, **wanted))
    pixels = read_pixels(photos, clip.size).values
    rows = photos.select_columns(list(FIELDS)).to_list()
    state = f"{request.out}.run"
    history = pretrain(clip, pixels, rows, config, checkpoint=state, progress="pretraining")
    about = {
        "what": "small CLIP of geolab, trained on synthetic TinyEarth photos and captions only",
        "synthetic": True,
        "licence": "MIT",
        "command": request.command,
        "data": f"tinyearth, n = {request.n}, seed = {request.seed}",
        "weights": sum(p.numel() for p in clip.model.parameters()),
        "pairs_seen": len(rows) // request.batch_size * request.batch_size * request.epochs,
        "seconds": round(history.seconds),
        "config": asdict(config),
        "measured": measure(clip),
    }
    save_clip(request.out, clip.model, about)
    for left in (state, f"{state}.lock"):
        Path(left).unlink(missing_ok=True)
    return about


def measure(clip: Clip, n: int | None = None) -> dict[str, Any]:
    """Zero-shot country and nearest neighbour, on the shared validation part."""
    began = time.perf_counter()
    parts = shared_split(n=n)
    photos, references = (clip.embed_photos(parts[name]) for name in ("validation", "train"))
    truth, places = truth_of(parts["validation"]), truth_of(parts["train"])
    km = errors_km(places[(photos @ references.T).argmax(1).numpy()], truth)
    right, most = country_accuracy(clip, photos, parts["validation"], parts["train"])
    return {
        "on": "validation part of the shared TinyEarth split (synthetic)",
        "n": len(truth),
        "zero-shot country, %": right,
        "most frequent country, %": most,
        "1-NN over the train part, % within 200, 750, 2500 km": [
            round(100 * float((km <= r).mean()), 1) for r in (200, 750, 2500)
        ],
        "seconds": round(time.perf_counter() - began),
    }


def country_accuracy(
    clip: Clip, features: torch.Tensor, asked: Dataset, known: Dataset
) -> tuple[float, float]:
    """Zero-shot accuracy over the countries of both, and that of the commonest, in per cent."""
    codes = sorted(set(asked["country"]) | set(known["country"]))
    words = clip.embed_text([f"A street photo {place_words(code)}." for code in codes])
    best = (F.normalize(features, dim=1) @ words.T).argmax(1).tolist()
    truth = list(asked["country"])
    right = sum(codes[i] == code for i, code in zip(best, truth, strict=True))
    common = Counter(known["country"]).most_common(1)[0][0]
    return tuple(round(100 * k / len(truth), 1) for k in (right, truth.count(common)))


def lines(about: Mapping[str, Any], out: str | os.PathLike) -> list[str]:
    """What to print at the end."""
    measured = about["measured"]
    told = [f"{name}: {value}" for name, value in measured.items()]
    return [f"weights: {out}, {about['weights']:,} numbers, {about['seconds']} s", *told]
