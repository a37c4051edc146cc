"""Embeddings in shards: equal however they were made, resumed, refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from geolab.data.errors import DataError
from geolab.data.loading import load
from geolab.encoders.clip import load_clip
from geolab.encoders.shards import EmbeddingStore, write_embeddings


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return load_clip("tiny", weights="random")


@pytest.fixture(scope="module")
def photos():
    return load("tinyearth", n=50)


def files(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix != ".lock"}


def test_written_once_and_read_back(clip, photos, tmp_path, monkeypatch):
    write_embeddings(clip, photos, tmp_path, rows_per_shard=20)
    before = files(tmp_path)
    assert len(before) == 6
    monkeypatch.setattr(clip, "embed_pixels", None)  # nothing is embedded twice
    write_embeddings(clip, photos, tmp_path, rows_per_shard=20)
    assert files(tmp_path) == before
    store = EmbeddingStore(tmp_path)
    assert len(store) == 50
    assert store.ids == list(photos["id"])
    assert np.allclose(store.latlon[:, 0], photos["latitude"])
    assert store.about["weights"] == clip.weights_hash
    assert store.about["synthetic"]
    assert "photographer" not in before["shard-00000.json"].decode()


def test_search_streams_and_is_exact(clip, photos, tmp_path):
    write_embeddings(clip, photos, tmp_path, rows_per_shard=17)
    store = EmbeddingStore(tmp_path)
    whole = torch.nn.functional.normalize(store.features(), dim=1)
    cosine, rows = store.search(whole[:9], 6)
    want = (whole[:9] @ whole.T).topk(6)
    assert torch.allclose(cosine, want.values, atol=1e-5)
    assert torch.equal(rows[:, 0], torch.arange(9))


def test_a_run_that_was_killed_goes_on(clip, photos, tmp_path, monkeypatch):
    write_embeddings(clip, photos, tmp_path / "whole", rows_per_shard=10)
    real, calls = clip.embed_pixels, []

    def dies(pixels, feature):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(pixels, feature)

    monkeypatch.setattr(clip, "embed_pixels", dies)
    with pytest.raises(KeyboardInterrupt):
        write_embeddings(clip, photos, tmp_path / "cut", rows_per_shard=10)
    write_embeddings(clip, photos, tmp_path / "cut", rows_per_shard=10)
    assert len(calls) == 6  # two before, one that died, three after
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_shards_of_other_weights_are_refused(clip, photos, tmp_path):
    write_embeddings(clip, photos, tmp_path, rows_per_shard=25)
    side = tmp_path / "shard-00001.json"
    held = json.loads(side.read_text())
    side.write_text(json.dumps(held | {"weights": "feedfacefeedface"}))
    with pytest.raises(DataError, match=f"feedfacefeedface.*{clip.weights_hash}"):
        EmbeddingStore(tmp_path).ids  # noqa: B018
    with pytest.raises(DataError, match=f"feedfacefeedface.*{clip.weights_hash}"):
        write_embeddings(clip, photos, tmp_path, rows_per_shard=25)
    side.write_text(json.dumps(held | {"ids": ["somebody"] * 25}))
    with pytest.raises(DataError, match="other photos"):
        write_embeddings(clip, photos, tmp_path, rows_per_shard=25)


def test_damage_is_named(clip, photos, tmp_path):
    with pytest.raises(DataError, match="geolab embed"):
        len(EmbeddingStore(tmp_path / "none"))
    write_embeddings(clip, photos, tmp_path, rows_per_shard=25)
    shard = tmp_path / "shard-00001.npy"
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(DataError, match=r"shard-00001\.npy"):
        EmbeddingStore(tmp_path).features()
    (tmp_path / "shard-00000.json").unlink()
    with pytest.raises(DataError, match="rows from 0 on are missing"):
        len(EmbeddingStore(tmp_path))
    (tmp_path / "shard-00001.json").write_text("{")
    with pytest.raises(DataError, match=r"shard-00001\.json is damaged"):
        len(EmbeddingStore(tmp_path))


def test_a_photo_that_cannot_be_read_is_never_found(clip, photos, tmp_path):
    import datasets

    rows = photos.cast_column("image", datasets.Image(decode=False)).to_list()
    rows[4]["image"] = {"bytes": b"no photo", "path": None}
    broken = datasets.Dataset.from_list(rows, features=photos.features)
    write_embeddings(clip, broken, tmp_path, rows_per_shard=25)
    store = EmbeddingStore(tmp_path)
    assert store.features()[4].isnan().all()
    assert 4 not in store.search(store.features()[:3], 50)[1]


def embed_command(out, *launcher):
    return [*launcher, "embed", "tinyearth", "--take", "24", "--weights", "random",
            "--out", str(out), "--rows-per-shard", "5"]  # fmt: skip


@pytest.fixture(scope="module")
def by_one_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    torch.manual_seed(0)
    clip = load_clip("tiny", weights="random")
    return files(write_embeddings(clip, load("tinyearth", n=24), folder, rows_per_shard=5))


@pytest.mark.slow
def test_two_processes_write_what_one_writes(by_one_process, tmp_path):
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone",
                "--nproc-per-node", "2", "-m", "geolab.cli")  # fmt: skip
    quiet = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(embed_command(tmp_path, *launcher), check=True, capture_output=True, env=quiet)
    assert files(tmp_path) == by_one_process
    assert len(by_one_process) == 10


@pytest.mark.slow
def test_killed_and_started_again_equals_one_run(by_one_process, tmp_path):
    command = embed_command(tmp_path, sys.executable, "-m", "geolab.cli")
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(command, **silent)
    until = time.time() + 120
    while time.time() < until and not (tmp_path / "shard-00000.json").exists():
        time.sleep(0.005)
    running.kill()
    running.wait()
    assert (tmp_path / "shard-00000.json").exists()
    subprocess.run(command, check=True, capture_output=True)
    left = {name: data for name, data in files(tmp_path).items() if not name.startswith(".")}
    assert left == by_one_process


def test_a_shard_that_was_cut_short_is_made_again(clip, photos, tmp_path):
    write_embeddings(clip, photos, tmp_path, rows_per_shard=25)
    whole = files(tmp_path)
    shard = tmp_path / "shard-00001.npy"
    shard.write_bytes(shard.read_bytes()[:200])
    write_embeddings(clip, photos, tmp_path, rows_per_shard=25)
    assert files(tmp_path) == whole
    with pytest.raises(ValueError, match="no feature 'cls'"):
        write_embeddings(clip, photos, tmp_path, feature="cls")
