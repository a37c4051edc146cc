"""The CLIP towers: features, weights, batches."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from geolab.data.errors import DataError
from geolab.encoders import clip as clip_module
from geolab.encoders import clip_weights
from geolab.encoders.clip import load_clip, pick_dtype
from geolab.encoders.clip_tokens import small_tokenizer
from geolab.encoders.clip_weights import open_clip_names, read_header, save_clip

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return load_clip("tiny", weights="random")


def photos(n, size=96, seed=0):
    made = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=made)


def test_features(clip):
    pixels = photos(5)
    image, tokens = clip.embed_pixels(pixels), clip.embed_pixels(pixels, "tokens")
    assert image.shape == (5, clip.dims["image"])
    assert tokens.shape == (5, clip.dims["tokens"])
    assert torch.allclose(image.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(clip.embed_text(["one", "two"]).norm(dim=1), torch.ones(2), atol=1e-5)
    with pytest.raises(ValueError, match="no feature 'cls'"):
        clip.features(pixels, "cls")


def test_tokens_are_the_mean_before_norm_and_projection(clip):
    pixels = photos(3)
    kept = []
    hook = clip.blocks[-1].register_forward_hook(lambda *a: kept.append(a[2]))
    want = clip.embed_pixels(pixels, "tokens")
    hook.remove()
    assert torch.allclose(kept[0].mean(1), want, atol=1e-6)
    assert kept[0].shape[1] == 1 + 8 * 8


def test_image_feature_is_open_clips(clip):
    pixels = photos(3)
    want = clip.model.encode_image(clip.normal(pixels), normalize=True)
    assert torch.allclose(clip.features(pixels), want, atol=1e-5)


def test_batches_do_not_matter(clip):
    pixels = photos(7)
    assert torch.allclose(clip.embed_pixels(pixels, batch=2), clip.embed_pixels(pixels), atol=1e-5)
    assert clip.embed_pixels(pixels[:0]).shape == (0, clip.dims["image"])


@pytest.mark.filterwarnings("default")
def test_out_of_memory_halves_once_and_says_so(clip, monkeypatch):
    sizes, real = [], clip.features

    def hungry(pixels, feature):
        sizes.append(len(pixels))
        if len(pixels) > 4:
            raise MemoryError("too much")
        return real(pixels, feature)

    monkeypatch.setattr(clip, "features", hungry)
    with pytest.warns(UserWarning, match="out of memory with 8 at once; trying 4"):
        assert len(clip.embed_pixels(photos(10), batch=8)) == 10
    assert sizes == [8, 4, 4, 2]
    warnings.simplefilter("ignore")
    with pytest.raises(MemoryError):
        clip.embed_pixels(photos(20), batch=16)


def test_dtype():
    cpu = torch.device("cpu")
    assert pick_dtype("fp16", cpu) == torch.float16
    assert pick_dtype("auto", cpu, large=False) == torch.float32
    with pytest.raises(ValueError, match="precision 'int8'"):
        pick_dtype("int8", cpu)


@pytest.mark.parametrize(("there", "wanted"), [(True, "bfloat16"), (False, "float32")])
def test_dtype_on_cpus(monkeypatch, there, wanted):
    monkeypatch.setattr(clip_module, "_cpu_has_bf16", lambda: there)
    assert pick_dtype("auto", torch.device("cpu")) == getattr(torch, wanted)


@pytest.mark.parametrize(("capability", "wanted"), [((8, 0), "bfloat16"), ((7, 5), "float16")])
def test_dtype_on_gpus(monkeypatch, capability, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    assert pick_dtype("auto", torch.device("cuda")) == getattr(torch, wanted)


def test_bf16_stays_close():
    torch.manual_seed(0)
    exact = load_clip("tiny", weights="random")
    torch.manual_seed(0)
    short = load_clip("tiny", weights="random", precision="bf16")
    pixels = photos(4)
    cosine = (exact.embed_pixels(pixels) * short.embed_pixels(pixels)).sum(1)
    assert cosine.min() > 0.995
    assert short.embed_pixels(pixels).dtype == torch.float32


def test_small_vocabulary():
    small = small_tokenizer(1000, 16)
    tokens = small(["A photo from Bosnia", ""])
    assert tokens.shape == (2, 16)
    assert tokens.max() == 999
    assert small.decode(tokens[0, 1 : (tokens[0] == 999).nonzero()[0, 0]].tolist()).startswith("a")
    with pytest.raises(ValueError, match="vocab_size"):
        small_tokenizer(100, 16)


def test_weights_there_and_back(clip, tmp_path):
    path = save_clip(tmp_path / "w.safetensors", clip.model, {"seed": 3})
    again = load_clip("tiny", weights=path)
    pixels = photos(3)
    assert torch.allclose(again.embed_pixels(pixels), clip.embed_pixels(pixels), atol=5e-3)
    assert read_header(path)["seed"] == 3
    assert len(again.weights_hash) == 16
    assert path.stat().st_size < 10e6


def test_bad_weights(clip, tmp_path):
    pickled = tmp_path / "weights.pt"
    torch.save({}, pickled)
    with pytest.raises(DataError, match="is a pickle"):
        load_clip("tiny", weights=pickled)
    whole = save_clip(tmp_path / "w.safetensors", clip.model, {})
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(DataError, match="cut short"):
        load_clip("tiny", weights=cut)
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="another model"):
        load_clip("tiny", weights=tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="does not exist"):
        load_clip("tiny", weights=tmp_path / "none.safetensors")


def test_unknown_model():
    with pytest.raises(ValueError, match="no CLIP 'ViT-Q'"):
        load_clip("ViT-Q")
    with pytest.raises(DataError, match="no manifest names weights for RN50"):
        load_clip("RN50")


def test_offline_names_the_mirror_and_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("GEOLAB_MIRROR", str(tmp_path / "nothing"))

    def no_network(*args, **options):
        raise DataError("no network")

    monkeypatch.setattr(clip_weights, "fetch", no_network)
    with pytest.raises(DataError, match=r"(?s)GEOLAB_MIRROR.*'tiny'"):
        load_clip("ViT-B-32")


@pytest.mark.parametrize("name", sorted(clip_weights.MANIFESTS))
def test_manifests_are_there(name):
    import open_clip

    from geolab.data.manifest import load_manifest

    manifest, architecture = clip_weights.MANIFESTS[name]
    held = load_manifest(manifest)
    assert held.kind == "model"
    assert architecture in open_clip.list_models()
    assert all(entry.path.endswith(".safetensors") for entry in held.files)
    assert (held.commercial_use == "no") == (name == "StreetCLIP")


def test_a_mirror_serves_a_model(clip, monkeypatch, tmp_path):
    """The whole way of a named model, on a small one in the place of ViT-B-32."""
    import open_clip

    torch.manual_seed(5)
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    small = open_clip.model.CLIP(**config)
    folder = tmp_path / "mirror" / "clip_vit_b_32"
    folder.mkdir(parents=True)
    save_file(small.state_dict(), folder / "open_clip_model.safetensors")
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GEOLAB_MIRROR", str(tmp_path / "mirror"))
    manifest = (REPOSITORY / "data_manifests" / "clip_vit_b_32.yaml").read_text("utf-8")
    unpinned = re.sub(r"sha256: \w+, bytes: \d+", "sha256: null, bytes: null", manifest)
    (tmp_path / "clip_vit_b_32.yaml").write_text(unpinned, "utf-8")
    known = {"ViT-B-32": (tmp_path / "clip_vit_b_32.yaml", "ViT-B-32")}
    monkeypatch.setattr(clip_weights, "MANIFESTS", known)
    monkeypatch.setattr(open_clip, "create_model", lambda *a, **k: _with_norm(small))
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: config)
    made = load_clip("ViT-B-32")
    assert made.size == 32
    assert not made.synthetic
    assert len(made.weights_hash) == 16
    assert made.embed_text(["a photo from Norway"]).shape == (1, 16)


def _with_norm(model):
    model.visual.image_mean = model.visual.image_std = None
    return model


def test_names_of_transformers_become_open_clips():
    """A state dict in the layout of OpenAI's and StreetCLIP's files gives the same features."""
    from open_clip.model import CLIP

    torch.manual_seed(1)
    text = {"context_length": 12, "vocab_size": 600, "width": 32, "heads": 2, "layers": 2}
    vision = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}
    model = CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text)
    other = CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text)
    other.load_state_dict(open_clip_names(_as_transformers(model.state_dict())))
    pixels, tokens = torch.randn(2, 3, 32, 32), torch.randint(1, 600, (2, 12))
    assert torch.equal(model.encode_image(pixels), other.encode_image(pixels))
    assert torch.equal(model.encode_text(tokens), other.encode_text(tokens))


def _as_transformers(state):
    """Rename by hand, independently of the table under test."""
    out = {"logit_scale": state["logit_scale"]}
    v, t = "vision_model.", "text_model."
    out[v + "embeddings.class_embedding"] = state["visual.class_embedding"]
    out[v + "embeddings.patch_embedding.weight"] = state["visual.conv1.weight"]
    out[v + "embeddings.position_embedding.weight"] = state["visual.positional_embedding"]
    out[v + "embeddings.position_ids"] = torch.arange(5)[None]
    out[t + "embeddings.token_embedding.weight"] = state["token_embedding.weight"]
    out[t + "embeddings.position_embedding.weight"] = state["positional_embedding"]
    out["visual_projection.weight"] = state["visual.proj"].T
    out["text_projection.weight"] = state["text_projection"].T
    for kind in ("weight", "bias"):
        out[f"{v}pre_layrnorm.{kind}"] = state[f"visual.ln_pre.{kind}"]
        out[f"{v}post_layernorm.{kind}"] = state[f"visual.ln_post.{kind}"]
        out[f"{t}final_layer_norm.{kind}"] = state[f"ln_final.{kind}"]
        for there, here in ((v, "visual.transformer"), (t, "transformer")):
            for i in range(2):
                a, b = f"{there}encoder.layers.{i}.", f"{here}.resblocks.{i}."
                parts = state[f"{b}attn.in_proj_{kind}"].chunk(3)
                for letter, part in zip("qkv", parts, strict=True):
                    out[f"{a}self_attn.{letter}_proj.{kind}"] = part
                out[f"{a}self_attn.out_proj.{kind}"] = state[f"{b}attn.out_proj.{kind}"]
                norms = (("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"))
                for mine, theirs in (*norms, ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")):
                    out[f"{a}{mine}.{kind}"] = state[f"{b}{theirs}.{kind}"]
    return out


def test_photos_that_cannot_be_read_are_zero(clip):
    import datasets

    from geolab.data.loading import load

    two = load("tinyearth", n=2).cast_column("image", datasets.Image(decode=False))
    rows = two.to_list()
    rows[1]["image"] = {"bytes": b"no photo", "path": None}
    broken = datasets.Dataset.from_list(rows, features=two.features)
    found = clip.embed_photos(broken.cast_column("image", datasets.Image()))
    assert found[0].abs().sum() > 0
    assert found[1].abs().sum() == 0
    assert clip_module.FEATURES == ("image", "tokens")
