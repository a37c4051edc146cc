"""Attention maps: true to the layer, in the graph, and pointing at what matters."""

from __future__ import annotations

import pytest
import torch

from geolab.encoders.attention import gradient_attention, recorded, rollout, upsampled
from geolab.encoders.clip import load_clip


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


def test_not_finite_is_named(clip):
    torch.nn.init.constant_(clip.blocks[0].attn.in_proj_weight, torch.nan)
    with pytest.raises(ValueError, match="photo 0"):
        rollout(clip, photos())


def test_upsampled():
    maps = torch.rand(2, 8, 8)
    assert upsampled(maps, 96).shape == (2, 96, 96)
    assert upsampled(maps, 96).amax() <= maps.amax() + 1e-6
