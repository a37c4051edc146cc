"""Where a CLIP's weights come from: the package, a manifest, or a file.

Only safetensors are read. A pickle can run any program when it is opened, so ``.pt`` and ``.bin``
files are refused by name. Files in the layout of Hugging Face's transformers, as OpenAI's and
StreetCLIP's are, get open_clip's names on the way in (`open_clip_names`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geolab.data.errors import DataError
from geolab.data.manifest import fetch
from geolab.encoders.clip_tokens import small_tokenizer

TINY = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 96, "patch_size": 12, "width": 128, "layers": 3, "head_width": 32},
    "text_cfg": {"context_length": 40, "vocab_size": 4096, "width": 128, "heads": 4, "layers": 1},
}
"""open_clip configuration of the kit's own CLIP; its patches are read by `stem`."""
TINY_WEIGHTS = Path(__file__).parent / "tiny_clip" / "weights.safetensors"
MANIFESTS = {
    "ViT-B-32": ("clip_vit_b_32", "ViT-B-32"),
    "ViT-B-16": ("clip_vit_b_16", "ViT-B-16"),
    "ViT-L-14": ("clip_vit_l_14", "ViT-L-14"),
    "ViT-L-14-336": ("clip_vit_l_14_336", "ViT-L-14-336"),
    "StreetCLIP": ("streetclip", "ViT-L-14-336"),
}
"""Name to manifest, and to open_clip's name of the architecture."""
OPENAI_NORM = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Made:
    """A CLIP and what is known of it."""

    name: str
    model: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    width: int
    norm: tuple[tuple[float, ...], tuple[float, ...]]
    weights_hash: str
    synthetic: bool
    about: Mapping[str, Any] = field(default_factory=dict)


def make_clip(name: str, weights: str | os.PathLike | None) -> Made:
    """Build the model and load its weights; see `geolab.encoders.clip.load_clip`."""
    if name == "tiny":
        return _tiny(weights)
    import open_clip

    manifest, architecture = MANIFESTS.get(name, (None, name))
    if architecture not in open_clip.list_models():
        known = ", ".join(["tiny", *MANIFESTS])
        raise ValueError(f"no CLIP {name!r}; there are: {known}, and open_clip.list_models()")
    path = _path_of(name, manifest, weights)
    model = open_clip.create_model(architecture, force_quick_gelu=name in MANIFESTS)
    digest = hash_of_weights(model) if path is None else load_into(model, path)
    tokenizer = open_clip.get_tokenizer(architecture)
    norm = (model.visual.image_mean or OPENAI_NORM[0], model.visual.image_std or OPENAI_NORM[1])
    width = open_clip.get_model_config(architecture)["vision_cfg"]["width"]
    return Made(name, model, tokenizer, width, norm, digest, False)


def _tiny(weights: str | os.PathLike | None) -> Made:
    from open_clip.model import CLIP

    model = CLIP(**TINY)
    model.visual.conv1 = stem(TINY["vision_cfg"]["width"]).to(memory_format=torch.channels_last)
    path = TINY_WEIGHTS if weights is None else weights
    if path == TINY_WEIGHTS and not TINY_WEIGHTS.exists():
        raise DataError(f"{TINY_WEIGHTS.name} of the small CLIP is missing: install geolab again")
    random = str(path) == "random"
    digest = hash_of_weights(model) if random else load_into(model, Path(path))
    text, vision = TINY["text_cfg"], TINY["vision_cfg"]
    tokenizer = small_tokenizer(text["vocab_size"], text["context_length"])
    about = {} if random else read_header(path)
    norm = ((0.5,) * 3, (0.25,) * 3)
    synthetic = bool(about.get("synthetic", True))  # its weights may come from real photos
    return Made("tiny", model, tokenizer, vision["width"], norm, digest, synthetic, about)


def stem(width: int) -> nn.Sequential:
    """Three convolutions in the place of one matrix for each patch of 12 x 12 pixels.

    A transformer that reads raw patches needs millions of photos before it knows an edge; behind a
    few convolutions it learns from thousands (Xiao et al., "Early convolutions help transformers
    see better", NeurIPS 2021).
    """
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, stride=2, padding=2),  # 96 -> 48
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> 24
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3),  # -> 8
        nn.Conv2d(64, 128, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(128, width, 1),
    )


def _path_of(name: str, manifest: str | None, weights: str | os.PathLike | None) -> Path | None:
    """File with the weights, fetched if need be; None for weights from chance."""
    if weights is not None:
        return None if str(weights) == "random" else Path(weights)
    if manifest is None:
        raise DataError(
            f"no manifest names weights for {name}. Give weights= the path of a safetensors file, "
            f"or take one of: tiny, {', '.join(MANIFESTS)}"
        )
    try:
        folder = fetch(manifest)
    except (DataError, OSError) as error:
        raise DataError(
            f"the weights of {name} cannot be had: {error}\nOffline, set GEOLAB_MIRROR to a folder "
            "that holds a copy, or use the CLIP that ships with the kit: 'tiny' (synthetic)"
        ) from error
    return next(Path(folder).glob("*.safetensors"))


def load_into(model: nn.Module, path: str | os.PathLike) -> str:
    """Load a safetensors file into an open_clip model and return the hash of the file.

    Raises
    ------
    DataError
        If the file is missing, a pickle, cut short, or of another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if path.suffix in _PICKLES:
        raise DataError(
            f"{path} is a pickle, which can run any program when it is opened. Convert it once, on "
            "a machine you can lose, with safetensors.torch.save_file, and give that file"
        )
    if not path.exists():
        raise DataError(f"{path} does not exist: give the path of a safetensors file")
    try:
        state = load_file(str(path))
    except SafetensorError as error:
        raise DataError(
            f"{path} is damaged or cut short ({error}): delete it and fetch it again"
        ) from None
    state = open_clip_names({name: tensor.float() for name, tensor in state.items()})
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise DataError(f"{path} holds the weights of another model: {first}") from None
    return hash_of_file(path)


def hash_of_file(path: str | os.PathLike) -> str:
    """Sixteen hex digits of a file's sha256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def hash_of_weights(model: nn.Module) -> str:
    """Sixteen hex digits of the weights that a model has now: for towers that were trained on."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().cpu().contiguous().flatten()  # any shape -> (n,)
        digest.update(name.encode() + flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def read_header(path: str | os.PathLike) -> dict[str, Any]:
    """What `save_clip` was told about the weights; {} if nothing."""
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        return json.loads((file.metadata() or {}).get("about", "{}"))


def save_clip(path: str | os.PathLike, model: nn.Module, about: Mapping[str, Any]) -> Path:
    """Write an open_clip model's weights in float16, whole or not at all.

    Parameters
    ----------
    about : mapping
        What JSON can hold: command, seed, data, metrics.
    """
    from safetensors.torch import save

    from geolab.data.storage import write_atomic

    state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, save(state, {"about": json.dumps(dict(about))}))
    return path


_PARTS = (
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm", "visual.ln_pre"),
    ("vision_model.post_layernorm", "visual.ln_post"),
    ("vision_model.encoder.layers", "visual.transformer.resblocks"),
    ("visual_projection.weight", "visual.proj"),
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm", "ln_final"),
    ("text_model.encoder.layers", "transformer.resblocks"),
    ("text_projection.weight", "text_projection"),
    ("self_attn.out_proj", "attn.out_proj"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
)


def open_clip_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give a state dict in transformers' layout the names of open_clip; others pass as they are.

    Queries, keys and values, three layers there, are one here.
    """
    if "vision_model.embeddings.class_embedding" not in state:
        return dict(state)
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if "position_ids" in name or ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            parts = [state[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            tensor, name = torch.cat(parts), name.replace("self_attn.q_proj.", "attn.in_proj_")
        turned = name in ("visual_projection.weight", "text_projection.weight")
        for theirs, ours in _PARTS:
            name = name.replace(theirs, ours)
        out[name] = tensor.T.contiguous() if turned else tensor
    return out
