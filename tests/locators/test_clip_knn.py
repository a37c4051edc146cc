"""Neighbours in CLIP's space: in memory, and in shards on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.data.errors import DataError
from geolab.encoders.clip import load_clip
from geolab.encoders.shards import EmbeddingStore, write_embeddings
from geolab.locators.clip_knn import NEAREST, ClipKnn
from geolab.locators.knn_density import KnnDensity, KnnDensityConfig
from geolab.metrics import errors_km


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return load_clip("tiny", weights="random")


@pytest.fixture(scope="module")
def references(photos):
    return photos(40, broken=(4, 17))


@pytest.fixture(scope="module")
def store(clip, references, tmp_path_factory):
    folder = tmp_path_factory.mktemp("emb")
    return EmbeddingStore(write_embeddings(clip, references, folder, rows_per_shard=7))


def test_the_nearest_photo_answers(clip, store, images, places):
    knn = ClipKnn(clip, store)
    km = errors_km(
        knn.locate(images(8)).mode().numpy(), np.array([places[i % 4] for i in range(8)])
    )
    assert knn.config.k == NEAREST.k == 1
    assert (km < 25).all()  # references lie within about 15 km of each place


def test_neighbours_are_those_of_a_plain_search(clip, store, images):
    features = clip.encode(images(6))
    distances, rows = ClipKnn(clip, store, KnnDensityConfig(k=9)).neighbours(features)
    unit, held = (torch.nn.functional.normalize(x, dim=1) for x in (features, store.features()))
    cosine = (unit.double() @ held.double().T).float()
    cosine[:, [4, 17]] = -torch.inf  # could not be read
    assert torch.equal(rows, cosine.argsort(dim=1, descending=True, stable=True)[:, :9])
    assert torch.allclose(distances, (unit[:, None] - held[rows]).norm(dim=-1).double(), atol=1e-3)


@pytest.mark.parametrize("k", [1, 12])
def test_shards_and_memory_agree(clip, store, references, images, k):
    config = KnnDensityConfig(k=k, power=5.0)
    shards = ClipKnn(clip, store, config).locate(images(6))
    memory = KnnDensity(clip, config).fit(references).locate(images(6))
    assert torch.allclose(shards.mode(), memory.mode())
    # At distances of about 0.1 the rounding of float32 cosines is worth a few percent of a weight.
    assert torch.allclose(shards.weight, memory.weight, atol=0.02)


def test_a_photo_finds_itself(clip, store):
    good = store.features().isfinite().all(1)
    said = ClipKnn(clip, store).locate_features(store.features()[good])
    assert torch.allclose(said.mode(), store.latlon[good])


def test_the_stores_own_feature_is_searched(clip, references, images, tmp_path):
    write_embeddings(clip, references, tmp_path, feature="tokens")
    knn = ClipKnn(clip, EmbeddingStore(tmp_path), KnnDensityConfig(k=3))
    want = knn.locate_features(clip.encode(images(4), "tokens"))
    assert torch.equal(knn.locate(images(4)).mode(), want.mode())


def test_other_weights_are_refused_with_both_hashes(clip, store):
    other = load_clip("tiny", weights="random")
    other.weights_hash = "0123456789abcdef"
    with pytest.raises(DataError, match=r"(?s)'[0-9a-f]{16}'.*'0123456789abcdef'"):
        ClipKnn(other, store)


def test_too_few_references(clip, store):
    with pytest.raises(ValueError, match="k = 39 neighbours of 38"):
        ClipKnn(clip, store, KnnDensityConfig(k=39))
    assert ClipKnn(clip, store, KnnDensityConfig(k=38)).locate_features(
        torch.ones(1, clip.dims["image"])
    ).support_size == 38  # fmt: skip


def test_a_feature_that_is_no_number(clip, store):
    bad = torch.ones(3, clip.dims["image"])
    bad[2, 0] = torch.inf
    with pytest.raises(ValueError, match="row 2"):
        ClipKnn(clip, store).locate_features(bad)
