"""The CLIP that ships: its file, its card, and that it knows something of TinyEarth."""

import ast
import hashlib

import pytest

from geolab.data import tinyearth
from geolab.encoders.captions import STREET_VIEW, caption_of
from geolab.encoders.clip import load_clip
from geolab.encoders.clip_weights import TINY, TINY_WEIGHTS
from geolab.encoders.pixels import read_pixels
from geolab.encoders.pretrain import FIELDS
from geolab.locators.prompts import COUNTRY_PROMPTS, country_features
from geolab.pretrain_command import CARD


@pytest.fixture(scope="module")
def clip():
    return load_clip(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def strangers():
    """Photos of a seed that neither the shipped CLIP nor the course has."""
    return tinyearth.load_tinyearth(n=300, seed=77)


def test_weights_are_small_and_the_card_is_theirs(clip):
    text = TINY_WEIGHTS.with_suffix(CARD).read_text()
    digest = hashlib.sha256(TINY_WEIGHTS.read_bytes()).hexdigest()
    assert TINY_WEIGHTS.stat().st_size < 10_000_000
    assert digest in text
    assert clip.weights_hash == digest[:16]
    for fact in ("licence", "command", "data", "captions", "architecture", "weights", "seconds"):
        assert f"- **{fact}**: {clip.about[fact]}" in text
    for row in clip.about["measured"]:
        assert f"| {row['what']} | {row['value']} | {row['chance']} | {row['n']} |" in text
    assert "What it is not" in text
    assert "synthetic" in text


def test_about_says_what_it_is(clip):
    about = clip.about
    assert clip.synthetic is True
    assert about["synthetic"] is True
    assert about["licence"] == "MIT"
    assert about["command"].startswith("geolab pretrain ")
    assert ast.literal_eval(about["architecture"]) == TINY
    assert about["weights"] == sum(p.numel() for p in clip.model.parameters())
    assert about["config"]["train"]["seed"] == 1


def test_it_has_seen_no_photo_of_the_course(clip):
    assert clip.about["data"] == "tinyearth, n = 60000, seed = 1"
    own, course = (tinyearth.load_tinyearth(n=300, seed=seed) for seed in (1, 0))
    for column in ("id", "scene_seed", "photographer"):
        assert not set(own[column]) & set(course[column])


@pytest.mark.slow
def test_it_knows_countries_it_has_seen_from_other_photographers(clip, strangers):
    truth = strangers["country"]
    codes = sorted(set(truth))
    features = clip.embed_photos(strangers)
    best = (features @ country_features(clip, codes, COUNTRY_PROMPTS).T).argmax(1)
    right = sum(codes[i] == code for i, code in zip(best.tolist(), truth, strict=True))
    assert right / len(truth) > 3 / len(codes)  # chance is one of all


@pytest.mark.slow
def test_it_finds_the_caption_among_others(clip, strangers):
    rows = strangers.select_columns(list(FIELDS)).to_list()
    words = [caption_of(row, STREET_VIEW, draw=(i + 0.5) / 300) for i, row in enumerate(rows)]
    photos = clip.embed_pixels(read_pixels(strangers, clip.size).values)
    scores = photos @ clip.embed_text(words).T  # (300, 300)
    better = (scores > scores.diagonal()[:, None]).float().mean(1)
    assert float(better.median()) < 0.2  # half of all captions, by chance
