"""Pretraining: it learns, goes on where it was cut off, and is the same for two processes."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from geolab import clip_card, pretrain_command
from geolab.cli import app
from geolab.data.errors import DataError
from geolab.data.shared import shared_split
from geolab.encoders import pretrain as module
from geolab.encoders.captions import STREETCLIP
from geolab.encoders.clip import load_clip
from geolab.encoders.pretrain import PretrainConfig, pretrain
from geolab.locators.prompts import COUNTRY_PROMPTS, country_features
from geolab.training import TrainConfig, TrainingError
from tests.encoders.coloured import COUNTRIES, coloured
from tests.training.torchrun import run_processes

TRAIN = TrainConfig(epochs=2, batch_size=24, lr=1e-3, weight_decay=0.1, clip_norm=1.0, device="cpu")
CONFIG = PretrainConfig(captions=STREETCLIP, train=TRAIN)


def clip_from_chance(seed=0):
    torch.manual_seed(seed)
    return load_clip("tiny", weights="random", device="cpu", precision="fp32")


def weights(clip):
    return torch.cat([p.detach().flatten() for p in clip.parameters()])


def test_it_learns_which_country_is_which_colour():
    clip, (pixels, rows) = clip_from_chance(), coloured(96)
    history = pretrain(clip, pixels, rows, replace(CONFIG, train=replace(TRAIN, epochs=8)))
    assert history.losses[-1] < 0.5 * history.losses[0]
    fresh, asked = coloured(60, seed=1)
    words = country_features(clip, COUNTRIES, COUNTRY_PROMPTS)
    best = (clip.embed_pixels(fresh) @ words.T).argmax(1)
    right = [COUNTRIES[i] == row["country"] for i, row in zip(best.tolist(), asked, strict=True)]
    assert sum(right) > 50


def test_a_run_that_was_cut_off_ends_with_the_same_bits(tmp_path):
    pixels, rows = coloured(60)
    whole = clip_from_chance()
    pretrain(whole, pixels, rows, CONFIG)
    calls = []

    def cut_off(network):
        calls.append(len(calls))
        raise KeyboardInterrupt

    saved = replace(CONFIG, train=replace(TRAIN, checkpoint_every=1))
    stopped = clip_from_chance()
    with pytest.raises(KeyboardInterrupt):
        pretrain(stopped, pixels, rows, saved, checkpoint=tmp_path / "run", validate=cut_off)
    again = clip_from_chance()
    history = pretrain(again, pixels, rows, saved, checkpoint=tmp_path / "run")
    assert calls == [0]
    assert history.resumed_at in (1, 2)
    assert torch.equal(weights(again), weights(whole))
    assert not torch.equal(weights(stopped), weights(whole))


def test_captions_are_new_in_each_epoch_and_the_same_in_each_run(monkeypatch):
    seen = []
    made = module.caption_of

    def noted(row, config, *, draw):
        seen.append((row["id"], draw))
        return made(row, config, draw=draw)

    monkeypatch.setattr(module, "caption_of", noted)
    pixels, rows = coloured(24)
    pretrain(clip_from_chance(), pixels, rows, CONFIG)
    first, second = dict(seen[:24]), dict(seen[24:])
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)
    pretrain(clip_from_chance(), pixels, rows, CONFIG)
    assert seen[48:] == seen[:48]


def test_chunks_learn_what_the_large_batch_does():
    pixels, rows = coloured(48)
    whole, cached = clip_from_chance(), clip_from_chance()
    losses = pretrain(whole, pixels, rows, CONFIG).losses
    others = pretrain(cached, pixels, rows, replace(CONFIG, chunk=5)).losses
    assert others == pytest.approx(losses, rel=1e-4)
    torch.testing.assert_close(weights(cached), weights(whole), rtol=0, atol=2e-3)


def test_a_number_that_is_not_finite_stops_it_and_names_photos():
    clip, (pixels, rows) = clip_from_chance(), coloured(48)
    with torch.no_grad():
        clip.model.text_projection.fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"the loss became nan in epoch 1.*photo p\d+"):
        pretrain(clip, pixels, rows, CONFIG)


def test_what_cannot_be_trained_on_is_refused():
    pixels, rows = coloured(30)
    with pytest.raises(DataError, match="30 photos and 29 rows for batches of 24"):
        pretrain(clip_from_chance(), pixels, rows[:-1], CONFIG)
    with pytest.raises(DataError, match="smaller batch_size or more photos"):
        pretrain(clip_from_chance(), pixels[:8], rows[:8], CONFIG)
    for row in rows:
        row["country"] = None
    with pytest.raises(DataError, match=r"photo p\d+: country is missing"):
        pretrain(clip_from_chance(), pixels, rows, CONFIG)


def test_scale_is_held_below_a_hundred():
    clip, (pixels, _) = clip_from_chance(), coloured(2)
    with torch.no_grad():
        clip.model.logit_scale.fill_(20.0)
    tokens = clip.tokenize(["one", "two"])
    assert float(module.Pair(clip, 8)(pixels, tokens)[2].detach()) == 100


SCRIPT = """
import os, sys
import torch
from dataclasses import replace
from geolab.encoders.pretrain import pretrain
from tests.encoders.test_pretrain import CONFIG, clip_from_chance, coloured, weights
torch.set_num_threads(1)
clip, (pixels, rows) = clip_from_chance(), coloured(48)
history = pretrain(clip, pixels, rows, replace(CONFIG, chunk=7))
torch.save((weights(clip), history.losses), sys.argv[1] + "." + os.environ["RANK"])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_learn_what_one_does(tmp_path):
    # Same global batch, negatives from both processes: losses to 1e-4, weights to 2e-3 (four steps
    # of Adam at 1e-3, which turns the rounding of a tiny gradient into a whole step).
    alone, (pixels, rows) = clip_from_chance(), coloured(48)
    history = pretrain(alone, pixels, rows, CONFIG)
    (first, losses), (second, others) = run_processes(SCRIPT, tmp_path / "run", 2)
    assert torch.equal(first, second)
    assert losses == others
    assert losses == pytest.approx(history.losses, rel=1e-4)
    difference = (first - weights(alone)).abs()
    assert float(difference.max()) < 4e-3
    assert float(difference.mean()) < 2e-5


@pytest.fixture
def small_split(monkeypatch):
    monkeypatch.setattr(pretrain_command, "shared_split", lambda: shared_split(n=400))
    monkeypatch.setattr(clip_card, "PROBE_PHOTOS", 200)


@pytest.mark.slow
@pytest.mark.usefixtures("small_split")
def test_command_writes_weights_and_card(tmp_path):
    out = tmp_path / "own" / "tiny.safetensors"
    typed = ["pretrain", "--out", str(out), "--n", "64", "--epochs", "1", "--batch-size", "32"]
    said = CliRunner().invoke(app, typed)
    assert said.exit_code == 0, said.output
    assert "zero-shot country" in said.output
    assert sorted(p.name for p in out.parent.iterdir()) == ["tiny.card.md", "tiny.safetensors"]
    clip = load_clip("tiny", weights=out)
    assert clip.about["synthetic"] is True
    assert clip.about["data"] == "tinyearth, n = 64, seed = 1"
    text = (out.parent / "tiny.card.md").read_text()
    assert hashlib.sha256(out.read_bytes()).hexdigest() in text
    for word in ("synthetic", "command", "licence**: MIT", "seed = 1", "chance", "What it is not"):
        assert word in text
    json.dumps(clip.about)


def test_the_courses_own_photos_are_refused(tmp_path):
    typed = ["pretrain", "--out", str(tmp_path / "x.safetensors"), "--seed", "0"]
    said = CliRunner().invoke(app, typed)
    assert said.exit_code == 2
    assert "seed 0 is the course's own" in said.output
    typed = ["pretrain", "--out", str(tmp_path / "x.safetensors"), "--captions", "poems"]
    assert "must be one of street-view, flickr, streetclip" in CliRunner().invoke(app, typed).output
