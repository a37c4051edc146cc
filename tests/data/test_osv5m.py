"""Ranged reads of zips and streamed tars, on miniatures in OSV-5M's layout."""

import io
import json
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from geolab.data import load
from geolab.data.errors import DataError, FetchError
from geolab.data.loopback import serving
from geolab.data.osv5m import choose, fetch_members, read_shards, read_table, write_credits

IDS = [str(10**15 + i) for i in range(40)]


def jpeg(shade, size=64):
    out = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 255, (size, size, 3), np.uint8)
    Image.fromarray(noise).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def osv(tmp_path):
    """test.csv and two zips; the last photo is in none of them."""
    rng = np.random.default_rng(0)
    pd.DataFrame(
        {
            "id": IDS,
            "latitude": rng.uniform(-50, 60, 40),
            "longitude": rng.uniform(-170, 170, 40),
            "thumb_original_url": "https://example.org/somebody",
            "country": [None, "FR"] * 20,
            "unique_country": ["PE", "FR"] * 20,
            "quadtree_10_1000": [i % 4 if i < 36 else 9 for i in range(40)],
            "creator_username": [f"user{i}" for i in range(40)],
            "creator_id": range(40),
        }
    ).to_csv(tmp_path / "test.csv", index=False)
    for k in range(2):
        with zipfile.ZipFile(tmp_path / f"0{k}.zip", "w") as archive:
            for i in range(k, 39, 2):
                archive.writestr(f"test/0{k}/{IDS[i]}.jpg", jpeg(i))
    return tmp_path


def zips(folder):
    return [folder / "00.zip", folder / "01.zip"]


def test_table_drops_people(osv):
    table = read_table(osv / "test.csv")
    assert not {"creator_username", "creator_id", "thumb_original_url"} & set(table.columns)
    assert table["id"][0] == IDS[0]
    assert table["country"].tolist()[:2] == ["PE", "FR"]


def test_choice_spreads_over_cells(osv):
    table = read_table(osv / "test.csv")
    five = choose(table, 5)
    assert five["quadtree_10_1000"].nunique() == 5
    assert choose(table, 5)["id"].tolist() == five["id"].tolist()
    assert choose(table, 5, seed=1)["id"].tolist() != five["id"].tolist()
    with pytest.raises(DataError, match="no column 'cell'"):
        choose(table, 5, by="cell")
    with pytest.raises(ValueError, match="41 photos of 40"):
        choose(table, 41)


def test_members_are_taken_out_and_load(osv, capsys):
    table = read_table(osv / "test.csv")
    found = fetch_members(zips(osv), table, osv / "out")
    assert "1 of 40 photos are in none of these zips" in capsys.readouterr().out
    assert len(found) == 39
    assert (osv / "out" / f"{IDS[3]}.jpg").read_bytes() == jpeg(3)
    photos = load(osv / "out" / "photos.csv")
    assert len(photos) == 39
    assert photos[0]["latitude"] == pytest.approx(table["latitude"][0])


def test_only_what_is_asked_for_travels(osv):
    """Through a server that counts the bytes of ranged requests."""
    with zipfile.ZipFile(osv / "big.zip", "w") as archive:
        for i in range(30):
            archive.writestr(f"{IDS[i]}.jpg", jpeg(i, 400))
    with zipfile.ZipFile(osv / "big.zip") as archive:
        directory = (osv / "big.zip").stat().st_size - archive.start_dir
        starts = [info.header_offset for info in archive.infolist()]
    pytest.importorskip("aiohttp")
    table = read_table(osv / "test.csv").iloc[[4, 20]]
    with serving(osv) as (address, sent):
        found = fetch_members([f"{address}/big.zip"], table, osv / "few")
    assert len(found) == 2
    assert (osv / "few" / f"{IDS[20]}.jpg").read_bytes() == jpeg(20, 400)
    members = [part for part in sent if part.start in starts]
    assert [(m.start, m.stop) for m in members] == [(starts[i], starts[i + 1]) for i in (4, 20)]
    others = sum(part.n_bytes for part in sent) - sum(part.n_bytes for part in members)
    assert directory <= others <= directory + 100


def test_what_is_read_to_its_end_comes_in_few_answers(osv):
    pytest.importorskip("aiohttp")
    rows = "\n".join(f"{10**15 + i},{i % 90},{i % 180},{'x' * 40}" for i in range(90_000))
    (osv / "long.csv").write_text("id,latitude,longitude,city\n" + rows)
    whole = (osv / "long.csv").stat().st_size
    with serving(osv) as (address, sent):
        table = read_table(f"{address}/long.csv")
    assert len(table) == 90_000
    assert len(sent) <= 3
    assert sum(part.n_bytes for part in sent) == whole > 5_000_000


def test_a_server_without_ranges_is_named(osv):
    pytest.importorskip("aiohttp")
    serve = partial(SimpleHTTPRequestHandler, directory=osv)
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        table = read_table(f"{address}/test.csv")
        with pytest.raises(FetchError, match=r"00\.zip: not a whole zip.*ranges"):
            fetch_members([f"{address}/00.zip"], table, osv / "out")
        with pytest.raises(FetchError, match=r"07\.zip: there is no such file"):
            fetch_members([f"{address}/07.zip"], table, osv / "out")
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_there_is_not_read_again(osv, monkeypatch):
    table = read_table(osv / "test.csv").iloc[:6]
    fetch_members(zips(osv), table, osv / "out")
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *a: pytest.fail("read again"))
    assert len(fetch_members(zips(osv), table, osv / "out")) == 6


def test_a_short_answer_keeps_nothing_of_it(osv):
    data = (osv / "00.zip").read_bytes()
    (osv / "short.zip").write_bytes(data[: len(data) // 2])
    table = read_table(osv / "test.csv")
    with pytest.raises(FetchError, match=r"short\.zip: not a whole zip"):
        fetch_members([osv / "short.zip"], table, osv / "out")
    with zipfile.ZipFile(osv / "00.zip") as archive:
        at = archive.infolist()[3].header_offset
        name = archive.infolist()[3].filename
    broken = bytearray(data)
    broken[at + 200 : at + 260] = b"\0" * 60
    (osv / "broken.zip").write_bytes(broken)
    with pytest.raises(FetchError, match=name):
        fetch_members([osv / "broken.zip"], table, osv / "out")
    kept = sorted(p.name for p in (osv / "out").iterdir())
    assert len(kept) == 3  # those before it, and no half of it
    assert not any(name.startswith(".") for name in kept)


def test_a_directory_that_points_behind_itself_is_named(osv):
    data = bytearray((osv / "00.zip").read_bytes())
    with zipfile.ZipFile(osv / "00.zip") as archive:
        entry = archive.start_dir
    data[entry + 42 : entry + 46] = (len(data) - 10).to_bytes(4, "little")  # its first member
    (osv / "behind.zip").write_bytes(data)
    with pytest.raises(FetchError, match=f"{IDS[0]}.jpg is damaged"):
        fetch_members([osv / "behind.zip"], read_table(osv / "test.csv"), osv / "out")


def test_a_zip_that_climbs_out_stays_in(osv):
    with zipfile.ZipFile(osv / "evil.zip", "w") as archive:
        archive.writestr(f"../../{IDS[0]}.jpg", jpeg(0))
    table = read_table(osv / "test.csv").iloc[:1]
    fetch_members([osv / "evil.zip"], table, osv / "deep" / "out")
    assert (osv / "deep" / "out" / f"{IDS[0]}.jpg").is_file()
    assert not (osv / f"{IDS[0]}.jpg").exists()


def test_addresses_that_lead_nowhere(osv):
    with pytest.raises(FetchError, match=r"02\.zip: there is no such file"):
        fetch_members([osv / "02.zip"], read_table(osv / "test.csv"), osv / "out")
    (osv / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column id"):
        read_table(osv / "odd.csv")


def test_credits_hold_names_and_nothing_else(osv):
    path = write_credits(osv / "test.csv", IDS[:2], osv / "credits.csv")
    assert path.read_text().splitlines() == [
        "id,creator_username",
        f"{IDS[0]},user0",
        f"{IDS[1]},user1",
    ]


def shard(path, rows, **broken):
    with tarfile.open(path, "w") as tar:
        for i in rows:
            about = {"id": IDS[i], "latitude": float(i), "longitude": -float(i)} | broken
            vector = io.BytesIO()
            np.save(vector, np.full(1024, i, np.float16))
            for suffix, data in (
                ("jpg", jpeg(i)), ("json", json.dumps(about).encode()),
                ("street_clip.npy", vector.getvalue()),
            ):  # fmt: skip
                info = tarfile.TarInfo(f"{IDS[i]}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def test_the_tar_twin_is_streamed(tmp_path):
    urls = [shard(tmp_path / "0.tar", range(3)), shard(tmp_path / "1.tar", range(3, 5))]
    rows = list(read_shards(urls))
    assert [row.id for row in rows] == IDS[:5]
    assert rows[4].embedding.dtype == np.float32
    assert rows[4].embedding.tolist() == [4.0] * 1024
    assert rows[4].image is None
    assert (rows[4].latitude, rows[4].longitude) == (4.0, -4.0)
    assert len(list(read_shards(urls, n=4))) == 4
    assert next(read_shards(urls, images=True)).image == jpeg(0)


def test_tars_that_are_damaged_are_named(tmp_path):
    path = shard(tmp_path / "0.tar", range(3))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(FetchError, match=r"0\.tar: not a whole tar"):
        list(read_shards([path]))
    with pytest.raises(DataError, match=f"photo {IDS[1]}"):
        list(read_shards([shard(tmp_path / "1.tar", [1], latitude=99)]))
    with pytest.raises(DataError, match="NoneType"):
        list(read_shards([shard(tmp_path / "2.tar", [1], latitude=None)]))
