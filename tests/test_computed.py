"""What an earlier run left is used, by the same package and for the same photos only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from geolab import computed, data
from geolab.encoders.clip import load_clip
from geolab.training.estimate import announcing


@pytest.fixture
def alone(tmp_path, monkeypatch) -> Path:
    """An empty working folder, and no variable that names another."""
    for name in ("GEOLAB_COURSE_MODELS", "GEOLAB_COURSE_OUT", "GEOLAB_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_models_of_a_build_are_found_from_the_notebooks_folder(alone, monkeypatch):
    assert computed.models_folder().parent == alone / "build" / "course" / "models"
    left = alone / "build" / "course" / "models"
    left.mkdir(parents=True)
    notebooks = alone / "notebooks" / "assignments"
    notebooks.mkdir(parents=True)
    monkeypatch.chdir(notebooks)
    assert computed.models_folder() == computed.own_models(left)


def test_variables_come_first(alone, monkeypatch):
    monkeypatch.setenv("GEOLAB_COURSE_OUT", str(alone / "out"))
    assert computed.models_folder().parent == alone / "out" / "models"
    monkeypatch.setenv("GEOLAB_MODELS", str(alone / "share"))
    assert computed.models_folder().parent == alone / "share"
    monkeypatch.setenv("GEOLAB_COURSE_MODELS", str(alone / "run"))
    assert computed.models_folder() == alone / "run"


def test_anew_means_an_empty_folder(alone, monkeypatch):
    monkeypatch.setenv("GEOLAB_MODELS", str(alone))
    folder = computed.models_folder(use_computed=False)
    assert folder == computed.models_folder(use_computed=False)
    assert not folder.is_relative_to(alone)


def test_another_package_has_another_folder(alone, monkeypatch):
    before = computed.models_folder()
    monkeypatch.setattr(computed, "package_hash", lambda: "0" * 64)
    assert computed.models_folder() != before
    assert computed.models_folder().name == "0" * 12


def test_embeddings_are_made_once_for_the_same_photos(alone, monkeypatch):
    clip, photos = load_clip("tiny"), data.load("tinyearth", n=12, seed=0)
    first = computed.embeddings(clip, photos, "tokens")
    assert torch.allclose(first, clip.embed_photos(photos, "tokens"), atol=1e-5)

    def refuse(*arguments: object) -> None:
        raise AssertionError("embedded again")

    monkeypatch.setattr(clip, "embed_pixels", refuse)
    assert torch.equal(computed.embeddings(clip, photos, "tokens"), first)
    with pytest.raises(AssertionError, match="embedded again"):
        computed.embeddings(clip, photos.select(range(6)), "tokens")
    with pytest.raises(AssertionError, match="embedded again"):
        computed.embeddings(clip, photos, "tokens", use_computed=False)


def said_by(ticks: list[float], n: int, monkeypatch, **options: object) -> list[str]:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    told: list[str] = []
    clock = iter(ticks)
    tell = announcing("work", n, say=told.append, clock=lambda: next(clock), **options)
    for _ in ticks[1:]:
        tell()
    return told


def test_long_work_is_announced_once_without_its_warm_up(monkeypatch):
    (line,) = said_by([0, 50, 51, 52, 53], 603, monkeypatch, resumes="it is saved")
    assert line == "work: 603 steps at 1.0 a second, about 10.0 min to go; it is saved"
    (slow,) = said_by([0, 20], 4, monkeypatch, n_measured=1, unit="shards")
    assert slow == "work: 4 shards at 20.0 s each, about 1.0 min to go"


def test_short_work_and_pages_stay_quiet(monkeypatch):
    assert said_by([0, 1, 2, 3], 30, monkeypatch) == []
    monkeypatch.setenv("TQDM_DISABLE", "1")
    told: list[str] = []
    tell = announcing("work", 10**9, say=told.append)
    for _ in range(5):
        tell()
    assert told == []


def test_a_key_names_photos_by_their_ids():
    photos = data.load("tinyearth", n=12, seed=0)
    assert computed.key_of(photos) == computed.key_of(photos.select(range(12)))
    others = {computed.key_of(photos.select(range(6))), computed.key_of(photos, "weights")}
    assert len(others | {computed.key_of(photos)}) == 3
