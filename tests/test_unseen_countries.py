"""The study of countries held out: who is held out, what is trained on, what is said."""

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import DatasetDict

from geolab import unseen_countries as module
from geolab.data.errors import DataError
from geolab.encoders.captions import STREETCLIP
from geolab.encoders.clip import load_clip
from geolab.intervals import Estimate
from geolab.unseen_countries import UnseenConfig, held_out, unseen_countries, verdict
from tests.encoders.coloured import COUNTRIES, coloured_photos

CONFIG = UnseenConfig(share=0.3, max_share=0.2, epochs=12, batch_size=24, lr=1e-3, n_boot=200)


@pytest.fixture(scope="module")
def parts():
    return DatasetDict({"train": coloured_photos(120, 0), "test": coloured_photos(60, 1)})


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return load_clip("tiny", weights="random", precision="fp32")


def test_held_out_countries_are_rare_repeatable_and_reach_their_share():
    truth = np.repeat([f"c{i}" for i in range(30)], [60, *range(1, 30)])
    config = UnseenConfig(share=0.25, max_share=0.1)
    held = held_out(truth, config)
    assert held == held_out(truth[::-1], config)
    assert held != held_out(truth, UnseenConfig(share=0.25, seed=1))
    assert "c0" not in held
    assert 0.25 <= np.isin(truth, list(held)).mean() < 0.25 + 29 / len(truth)


def test_one_country_is_always_left():
    held = held_out(np.array(["a", "b", "c"]), UnseenConfig(share=1.0, max_share=1.0))
    assert len(held) == 2
    with pytest.raises(DataError, match="raise max_share"):
        held_out(np.array(["a"] * 9 + ["b"] * 2), UnseenConfig(max_share=0.1))


def test_training_sees_no_country_held_out_and_leaves_the_first_clip_alone(
    parts, clip, monkeypatch
):
    seen = []
    train = module.pretrain

    def noted(trained, pixels, rows, config, **rest):
        seen.append((rows, config, trained))
        return train(trained, pixels, rows, config, **rest)

    monkeypatch.setattr(module, "pretrain", noted)
    before = [p.detach().clone() for p in clip.parameters()]
    table = unseen_countries(clip, parts, CONFIG)
    ((rows, config, trained),) = seen
    held = set(table.attrs["held_out"])
    assert held
    assert {row["country"] for row in rows} == set(COUNTRIES) - held
    assert config.captions == STREETCLIP
    assert trained is not clip
    assert all(torch.equal(a, b) for a, b in zip(before, clip.parameters(), strict=True))
    assert table["n"].sum() == 60
    assert table["countries"].tolist() == [len(held), len(COUNTRIES) - len(held)]
    for _, row in table.iterrows():
        assert row["gain"].value == pytest.approx(row["after"].value - row["before"].value)
        assert row["gain"].low <= row["gain"].value <= row["gain"].high
    # Colours that it was trained on it knows; those it was not cannot be guessed from colour.
    assert table.loc["trained on", "after"].value > 80
    assert table.loc["held out", "after"].value < 50
    assert "Chance is 16.7 %" in verdict(table)


def test_too_few_photos_are_refused(parts, clip):
    with pytest.raises(DataError, match="fewer than a batch of 24"):
        unseen_countries(clip, parts, UnseenConfig(max_share=0.2, n_train=20, batch_size=24))


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Estimate(4.0, 1.0, 7.0), "holds here"),
        (Estimate(1.0, -2.0, 4.0), "cannot be told from zero here"),
        (Estimate(-4.0, -7.0, -1.0), "fails here"),
        (Estimate(4.0), "cannot be told from zero here"),
    ],
)
def test_verdict_says_what_the_interval_says(gain, words):
    figures = {"before": Estimate(5.0, 4.0, 6.0), "after": Estimate(9.0, 8.0, 10.0), "gain": gain}
    row = {"countries": 3, "n": 50, "photographers": 7, **figures}
    table = pd.DataFrame([row, row], index=["held out", "trained on"])
    table.attrs |= {"asked": 128, "synthetic": True}
    said = verdict(table)
    assert words in said
    assert "Chance is 0.8 %" in said
    assert "Synthetic" in said
