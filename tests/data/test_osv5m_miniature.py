"""OSV-5M's miniature and the server that counts: layout, no person, ranges to the byte."""

import io
import urllib.error
import urllib.request
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from geolab.data import load, split_by
from geolab.data.catalogue import load_manifest
from geolab.data.loopback import Sent, serving
from geolab.data.osv5m import PERSONAL, fetch_members, read_shards, read_table
from geolab.data.osv5m_miniature import write_miniature

N = 24


@pytest.fixture(scope="module")
def photos():
    return load("tinyearth", n=N, seed=5, size=96)


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(N, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photos, vectors):
    return write_miniature(tmp_path_factory.mktemp("osv"), photos, vectors)


def zips(folder):
    return sorted((folder / "images" / "test").glob("*.zip"))


def test_csv_has_the_real_columns_and_nobody(folder, photos):
    whole = pd.read_csv(folder / "test.csv", dtype={"id": str})
    assert list(whole.columns) == list(load_manifest("osv5m").columns)
    assert whole["creator_username"].str.startswith("nobody-").all()
    assert whole["country"].isna().sum() == N // 3
    table = read_table(folder / "test.csv")
    assert not set(PERSONAL) & set(table.columns)
    assert table["country"].tolist() == list(photos["country"])
    assert table["latitude"].to_numpy() == pytest.approx(np.array(photos["latitude"]))
    assert pd.to_datetime(table["captured_at"], unit="ms").dt.year.between(2000, 2030).all()


def test_every_photo_is_in_one_zip_and_loads(folder, tmp_path):
    table = read_table(folder / "test.csv")
    found = fetch_members(zips(folder), table, tmp_path)
    assert len(found) == N
    loaded = load(tmp_path / "photos.csv")
    assert len(loaded) == N
    assert loaded[0]["image"].size == (96, 96)
    parts = split_by(loaded, by=("place", "sequence"), fractions={"train": 0.5, "test": 0.5})
    assert len(parts["train"]) + len(parts["test"]) == N


def test_tars_hold_the_embeddings_in_turn(folder, vectors):
    rows = list(read_shards(sorted((folder / "wds" / "test").glob("*.tar")), images=True))
    order = [*range(0, N, 2), *range(1, N, 2)]
    np.testing.assert_array_equal(np.stack([row.embedding for row in rows]), vectors[order])
    assert Image.open(io.BytesIO(rows[0].image)).size == (96, 96)


def test_without_embeddings_there_is_no_twin(tmp_path, photos, vectors):
    write_miniature(tmp_path, photos.select(range(4)), n_zips=1)
    assert not (tmp_path / "wds").exists()
    with zipfile.ZipFile(tmp_path / "images" / "test" / "00.zip") as archive:
        assert len(archive.namelist()) == 4
    with pytest.raises(ValueError, match="24 photos, but 3 embeddings"):
        write_miniature(tmp_path, photos, vectors[:3])


def test_server_answers_ranges_and_counts(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(bytes(range(100)))
    with serving(tmp_path) as (address, sent):

        def ask(name, **headers):
            request = urllib.request.Request(f"{address}/{name}", headers=headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()

        assert ask("a/b.bin") == (200, bytes(range(100)))
        assert ask("a/b.bin", Range="bytes=10-19") == (206, bytes(range(10, 20)))
        assert ask("a/b.bin", Range="bytes=-3") == (206, bytes([97, 98, 99]))
        for name, headers, status in (
            ("a/b.bin", {"Range": "bytes=100-"}, 416),
            ("a/b.bin", {"Range": "rows=1-2"}, 416),
            ("a", {}, 404),
            ("../secret", {}, 404),
        ):
            with pytest.raises(urllib.error.HTTPError, match=str(status)):
                ask(name, **headers)
    assert sent == [Sent("a/b.bin", 0, 100), Sent("a/b.bin", 10, 20), Sent("a/b.bin", 97, 100)]
    assert sum(part.n_bytes for part in sent) == 113
