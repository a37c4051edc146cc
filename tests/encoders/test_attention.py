"""Attention maps: true to the layer, in the graph, and pointing at what matters."""

from __future__ import annotations

import pytest
import torch
from open_clip.model import CLIP

from geolab.encoders.attention import _largest, gradient_attention, recorded, rollout, upsampled
from geolab.encoders.clip import Clip, load_clip
from geolab.encoders.clip_weights import Made


@pytest.fixture
def clip():
    torch.manual_seed(0)
    return load_clip("tiny", weights="random")


def photos(n=3):
    made = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 3, 96, 96), dtype=torch.uint8, generator=made)


@pytest.mark.parametrize("feature", ["image", "tokens"])
def test_recording_changes_nothing(clip, feature):
    plain = clip.embed_pixels(photos(), feature)
    with recorded(clip.blocks) as kept:
        noted = clip.embed_pixels(photos(), feature)
    assert torch.allclose(plain, noted, atol=1e-5)
    assert [tuple(k.shape) for k in kept] == [(3, 4, 65, 65)] * len(clip.blocks)
    assert all(torch.allclose(k.sum(-1), torch.ones(3, 4, 65), atol=1e-5) for k in kept)


def test_layers_are_put_back_after_an_error(clip):
    with pytest.raises(RuntimeError, match="on purpose"), recorded(clip.blocks):
        raise RuntimeError("on purpose")
    assert all("forward" not in block.attn.__dict__ for block in clip.blocks)


@pytest.mark.parametrize("feature", ["image", "tokens"])
def test_maps_sum_to_one_whatever_the_batch(clip, feature):
    maps = rollout(clip, photos(5), feature=feature)
    assert maps.shape == (5, 8, 8)
    assert torch.allclose(maps.sum((1, 2)), torch.ones(5), atol=1e-5)
    assert torch.allclose(maps, rollout(clip, photos(5), feature=feature, batch=2), atol=1e-6)
    raised = gradient_attention(clip, photos(2), lambda f: f[:, 0], feature=feature)
    assert torch.allclose(raised.sum((1, 2)), torch.ones(2), atol=1e-5)
    assert (raised >= 0).all()


def test_uniform_attention_is_a_flat_map(clip):
    for block in clip.blocks:
        torch.nn.init.zeros_(block.attn.in_proj_weight)
        torch.nn.init.zeros_(block.attn.in_proj_bias)
    maps = rollout(clip, photos(), feature="image")
    assert torch.allclose(maps, torch.full_like(maps, 1 / 64), atol=1e-6)


def test_the_patch_that_everybody_looks_at_is_the_maximum(clip):
    """Keys that answer to the position of one patch draw all attention there."""
    place, visual = 19, clip.model.visual
    direction = torch.zeros(128)
    direction[5] = 1.0
    with torch.no_grad():
        visual.positional_embedding.zero_()
        visual.positional_embedding[1 + place] = 1e4 * direction
        for block in clip.blocks:
            block.attn.in_proj_weight.zero_()
            block.attn.in_proj_weight[128:256] = 10.0 * direction[None].expand(128, -1)
            block.attn.in_proj_bias.zero_()
            block.attn.in_proj_bias[:128] = 1.0
    for feature in ("image", "tokens"):
        maps = rollout(clip, photos(), feature=feature).flatten(1)
        assert (maps.argmax(1) == place).all()


def _only_values(clip, direction):
    """Uniform attention; what the values read of a token is one direction of it."""
    width = len(direction)
    with torch.no_grad():
        clip.model.visual.positional_embedding.zero_()
        clip.model.visual.class_embedding.zero_()
        for block in clip.blocks:
            block.attn.in_proj_weight.zero_()
            block.attn.in_proj_weight[2 * width :] = torch.outer(direction, direction)
            block.attn.in_proj_bias.zero_()
            block.attn.out_proj.weight.copy_(torch.eye(width))
            block.attn.out_proj.bias.zero_()
            block.mlp.c_proj.weight.zero_()
            block.mlp.c_proj.bias.zero_()


@pytest.mark.parametrize("place", [0, 19, 63])
def test_the_patch_that_raises_the_score_is_the_maximum(clip, place):
    """All patches are attended alike, so rollout is flat; one alone carries what is scored."""
    direction = torch.zeros(128)
    direction[5] = 1.0
    _only_values(clip, direction)
    with torch.no_grad():
        clip.model.visual.positional_embedding[1 + place] = 100.0 * direction
    maps = gradient_attention(clip, photos(), lambda f: f[:, 5], feature="tokens").flatten(1)
    assert (maps.argmax(1) == place).all()
    assert (maps.max(1).values > 0.5).all()
    flat = rollout(clip, photos(), feature="image")
    assert torch.allclose(flat, torch.full_like(flat, 1 / 64), atol=1e-5)


def test_the_score_decides_the_map_of_its_own_photo(clip):
    """Scores of other photos in the batch, and a constant added, leave a map as it is."""
    together = gradient_attention(clip, photos(3), lambda f: f[:, 0])
    alone = gradient_attention(clip, photos(3)[1:2], lambda f: f[:, 0] + 7)
    assert torch.allclose(together[1:2], alone, atol=1e-6)
    assert not torch.allclose(together, gradient_attention(clip, photos(3), lambda f: -f[:, 0]))


def test_frozen_weights_have_maps_and_get_no_gradient(clip):
    wanted = gradient_attention(clip, photos(), lambda f: f[:, 0])
    assert all(p.grad is None for p in clip.parameters())
    clip.requires_grad_(False)
    with torch.no_grad():
        assert torch.allclose(wanted, gradient_attention(clip, photos(), lambda f: f[:, 0]))


def test_a_score_that_nothing_raises_is_a_flat_map(clip):
    maps = gradient_attention(clip, photos(), lambda f: f[:, 0] * 0)
    assert torch.equal(maps, torch.full_like(maps, 1 / 64))


@pytest.mark.parametrize("score", [lambda f: f, lambda f: f.sum(), lambda f: f[:, 0].detach()])
def test_a_score_must_be_a_number_per_photo_with_gradient(clip, score):
    with pytest.raises(ValueError, match="one number per photo"):
        gradient_attention(clip, photos(), score)
    assert all("forward" not in block.attn.__dict__ for block in clip.blocks)


def test_discard_keeps_the_largest(clip):
    maps = rollout(clip, photos(), feature="image", discard=0.9)
    assert torch.allclose(maps.sum((1, 2)), torch.ones(3), atol=1e-5)
    assert (maps.flatten(1).max(1).values > rollout(clip, photos()).flatten(1).max(1).values).all()
    rows = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]]])
    wanted = torch.tensor([[[0, 0, 3 / 7, 4 / 7], [0.25] * 4]])
    assert torch.allclose(_largest(rows, 0.5), wanted)
    with pytest.raises(ValueError, match="discard"):
        rollout(clip, photos(), discard=1.0)


def test_no_photo_has_no_map(clip):
    assert len(rollout(clip, photos(0))) == 0
    assert len(gradient_attention(clip, photos(0), lambda f: f[:, 0])) == 0


@pytest.mark.parametrize(("size", "patch", "head_width"), [(48, 16, 16), (56, 8, 64)])
@pytest.mark.parametrize("feature", ["image", "tokens"])
def test_other_sizes_of_vit(clip, size, patch, head_width, feature):
    vision = {"image_size": size, "patch_size": patch, "width": 64, "layers": 2}
    text = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}
    model = CLIP(32, vision | {"head_width": head_width}, text).eval()
    made = Made("other", model, str, 64, ((0.5,) * 3, (0.25,) * 3), "random", False)
    other, side = Clip(made), size // patch
    pixels = torch.nn.functional.interpolate(photos().float(), size).byte()
    plain = other.embed_pixels(pixels, feature)
    with recorded(other.blocks):
        assert torch.allclose(plain, other.embed_pixels(pixels, feature), atol=1e-5)
    assert rollout(other, pixels, feature=feature).shape == (3, side, side)
    raised = gradient_attention(other, pixels, lambda f: f[:, 0], feature=feature)
    assert raised.shape == (3, side, side)


def test_bfloat16():
    torch.manual_seed(0)
    small = load_clip("tiny", weights="random", precision="bf16")
    maps = gradient_attention(small, photos(), lambda f: f[:, 0])
    assert maps.dtype == torch.float32
    assert torch.allclose(maps.sum((1, 2)), torch.ones(3), atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pixels_on_the_cpu_and_weights_on_the_gpu(clip):
    wanted = rollout(clip, photos()), gradient_attention(clip, photos(), lambda f: f[:, 0])
    clip.cuda()
    found = rollout(clip, photos()), gradient_attention(clip, photos(), lambda f: f[:, 0])
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(wanted, found, strict=True))


def test_a_block_without_the_layer_is_refused():
    with pytest.raises(ValueError, match=r"block 0 \(Linear\)"), recorded([torch.nn.Linear(2, 2)]):
        pass


def test_not_finite_is_named(clip):
    torch.nn.init.constant_(clip.blocks[0].attn.in_proj_weight, torch.nan)
    with pytest.raises(ValueError, match="photo 0"):
        rollout(clip, photos())
    with pytest.raises(ValueError, match="photo 0"):
        gradient_attention(clip, photos(), lambda f: f[:, 0])
    assert all("forward" not in block.attn.__dict__ for block in clip.blocks)


def test_upsampled():
    maps = torch.rand(2, 8, 8)
    assert upsampled(maps, 96).shape == (2, 96, 96)
    assert upsampled(maps, 96).amax() <= maps.amax() + 1e-6
