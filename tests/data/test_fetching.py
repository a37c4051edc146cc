"""Downloads over a real loopback connection: verified, resumed, locked, never half-written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from geolab.data import resuming
from geolab.data.errors import FetchError, LicenceWarning
from geolab.data.manifest import cached, fetch
from geolab.data.storage import sha256_of

BODY = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
CHUNK = resuming.CHUNK_BYTES
NOWHERE = "http://127.0.0.1:9/data.bin"  # port 9: refused at once


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(resuming.time, "sleep", lambda _: None)


def left_over(folder):
    """Names in a cache folder, without the lock of the running process."""
    return sorted(p.name for p in folder.iterdir() if p.name != ".fetching")


def get(path, **kwargs):
    return fetch(path, progress=False, **kwargs)


def test_download_then_cache(server, cache, make_manifest, capsys):
    toy = make_manifest(BODY, server.serve("/data.bin", BODY))
    assert cached(toy) is None
    folder = get(toy)
    assert folder == cache / "toy" == cached(toy)
    assert (folder / "data.bin").read_bytes() == BODY
    assert "CC0-1.0" in capsys.readouterr().err  # the licence is shown before a download ...
    assert get(toy) == folder
    assert len(server.requests) == 1
    assert capsys.readouterr().err == ""  # ... and only then
    assert left_over(folder) == ["data.bin"]


def test_a_damaged_file_in_the_cache_is_replaced(server, cache, make_manifest):
    toy = make_manifest(BODY, server.serve("/data.bin", BODY))
    file = get(toy) / "data.bin"
    file.write_bytes(BODY[:1000])
    get(toy)
    assert file.read_bytes() == BODY


def test_wrong_hash_is_refused_with_both_hashes(server, cache, make_manifest):
    toy = make_manifest(BODY, server.serve("/data.bin", OTHER))
    with pytest.raises(FetchError) as caught:
        get(toy)
    expected = json.dumps(str(caught.value))
    good = make_manifest(BODY).read_text().split("sha256: ")[1].split("\n")[0]
    bad = make_manifest(OTHER).read_text().split("sha256: ")[1].split("\n")[0]
    assert good in expected
    assert bad in expected
    assert left_over(cache / "toy") == []


def test_wrong_size_is_refused_before_the_download(server, cache, make_manifest):
    toy = make_manifest(BODY, server.serve("/data.bin", BODY + b"more"))
    with pytest.raises(FetchError, match="300004 bytes, the manifest says 300000"):
        get(toy)
    assert left_over(cache / "toy") == []


def test_the_next_source_is_asked_when_one_is_wrong(server, cache, make_manifest):
    server.serve("/mirror/data.bin", BODY)
    toy = make_manifest(BODY, server.serve("/data.bin", OTHER), mirrors=[f"{server.url}/mirror/"])
    assert (get(toy) / "data.bin").read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/data.bin", "/mirror/data.bin"]


def test_a_cut_download_goes_on_where_it_was_cut(server, cache, make_manifest):
    url = server.serve("/data.bin", BODY, etag='"v1"', cut_after=[6 * CHUNK, 3 * CHUNK])
    folder = get(make_manifest(BODY, url))
    assert (folder / "data.bin").read_bytes() == BODY
    assert server.ranges() == [None, f"bytes={6 * CHUNK}-", f"bytes={9 * CHUNK}-"]
    assert left_over(folder) == ["data.bin"]


def test_a_download_cut_for_good_keeps_its_part_and_resumes_later(server, cache, make_manifest):
    url = server.serve("/data.bin", BODY, etag='"v1"', cut_after=[6 * CHUNK, CHUNK, 10])
    toy = make_manifest(BODY, url)
    with pytest.raises(FetchError, match=r"cut after 114\.7 kB .*goes on from there"):
        get(toy)
    assert not (cache / "toy" / "data.bin").exists()
    assert cached(toy) is None
    assert (get(toy) / "data.bin").read_bytes() == BODY
    assert server.ranges()[-1] == f"bytes={7 * CHUNK}-"
    assert left_over(cache / "toy") == ["data.bin"]


def test_a_server_without_ranges_starts_over(server, cache, make_manifest):
    url = server.serve("/data.bin", BODY, ranges=False, cut_after=[6 * CHUNK])
    assert (get(make_manifest(BODY, url)) / "data.bin").read_bytes() == BODY
    assert server.ranges() == [None, f"bytes={6 * CHUNK}-"]


def test_a_file_that_changed_between_two_parts_is_not_glued(server, cache, make_manifest):
    url = server.serve("/data.bin", OTHER, etag='"v1"', cut_after=[100_000] * 3)
    toy = make_manifest(BODY, url, {"sha256": None})
    with pytest.raises(FetchError, match="cut after"):
        get(toy)
    server.serve("/data.bin", BODY, etag='"v2"')
    assert (get(toy) / "data.bin").read_bytes() == BODY


def test_glued_versions_are_found_by_hash_and_fetched_again(server, cache, make_manifest):
    # No ETag: the part can't be told from the new file until the hash is wrong.
    url = server.serve("/data.bin", OTHER, cut_after=[100_000, 0, 0])
    toy = make_manifest(BODY, url)
    with pytest.raises(FetchError, match="cut after"):
        get(toy)
    server.serve("/data.bin", BODY)
    assert (get(toy) / "data.bin").read_bytes() == BODY


def test_lock_on_first_use(server, cache, make_manifest):
    url = server.serve("/data.bin", BODY)
    toy = make_manifest(BODY, url, {"sha256": None, "bytes": None})
    folder = get(toy)
    lock = json.loads((folder / "lock.json").read_text())["data.bin"]
    assert lock["sha256"] == sha256_of(folder / "data.bin")
    assert (lock["bytes"], lock["url"]) == (len(BODY), url)
    (folder / "data.bin").unlink()
    server.serve("/data.bin", OTHER)
    with pytest.raises(FetchError) as caught:
        get(toy)
    for part in (lock["sha256"], "expected", "locked at the first download", "lock.json"):
        assert part in str(caught.value)
    assert not (folder / "data.bin").exists()
    (folder / "lock.json").unlink()
    assert (get(toy) / "data.bin").read_bytes() == OTHER


def test_a_damaged_lock_is_named(server, cache, make_manifest):
    toy = make_manifest(BODY, server.serve("/data.bin", BODY), {"sha256": None})
    folder = get(toy)
    (folder / "lock.json").write_text("{half")
    with pytest.raises(FetchError, match=r"lock\.json is damaged"):
        get(toy)


def test_a_login_page_is_not_locked_as_data(server, cache, make_manifest):
    url = server.serve("/data.bin", b"<html>log in</html>", content_type="text/html; charset=utf-8")
    with pytest.raises(FetchError, match="web page"):
        get(make_manifest(BODY, url, {"sha256": None, "bytes": None}))
    assert left_over(cache / "toy") == []


@pytest.mark.parametrize("kind", ["folder", "file", "http"])
def test_the_mirror_is_asked_first(server, cache, make_manifest, tmp_path, monkeypatch, kind):
    toy = make_manifest(BODY, server.serve("/data.bin", BODY))
    shared = tmp_path / "a mirror" / "toy"
    shared.mkdir(parents=True)
    (shared / "data.bin").write_bytes(BODY)
    server.serve("/class/toy/data.bin", BODY)
    places = {
        "folder": str(shared.parent),
        "file": shared.parent.as_uri(),
        "http": f"{server.url}/class/",
    }
    monkeypatch.setenv("GEOLAB_MIRROR", places[kind])
    assert (get(toy) / "data.bin").read_bytes() == BODY
    assert [p for p, _ in server.requests] == (["/class/toy/data.bin"] if kind == "http" else [])


def test_a_wrong_mirror_is_passed_over(server, cache, make_manifest, tmp_path, monkeypatch):
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    (tmp_path / "mirror" / "toy" / "data.bin").write_bytes(OTHER)
    monkeypatch.setenv("GEOLAB_MIRROR", str(tmp_path / "mirror"))
    toy = make_manifest(BODY, server.serve("/data.bin", BODY))
    assert (get(toy) / "data.bin").read_bytes() == BODY
    (cache / "toy" / "data.bin").unlink()
    server.pages.clear()
    with pytest.raises(FetchError, match=r"(?s)mirror/toy/data\.bin: wrong file.*404"):
        get(toy)


def test_one_cache_is_another_s_mirror(server, cache, make_manifest, tmp_path, monkeypatch):
    toy = make_manifest(BODY, server.serve("/data.bin", BODY))
    get(toy)
    monkeypatch.setenv("GEOLAB_MIRROR", str(cache))
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path / "student"))
    get(toy)
    assert (tmp_path / "student" / "toy" / "data.bin").read_bytes() == BODY
    assert len(server.requests) == 1


def test_offline_says_what_to_do(cache, make_manifest, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    toy = make_manifest(BODY, NOWHERE)
    with pytest.raises(FetchError) as caught:
        get(toy)
    for part in ("could not be reached", NOWHERE, "GEOLAB_MIRROR", "toy/data.bin", "tinyearth"):
        assert part in str(caught.value)
    assert left_over(cache / "toy") == []


def test_files_that_users_bring(cache, make_manifest):
    toy = make_manifest(BODY, None, {"sha256": None})
    with pytest.raises(FetchError, match="users bring this file") as caught:
        get(toy)
    assert f"Put your own copy at {cache / 'toy' / 'data.bin'}" in str(caught.value)
    (cache / "toy" / "data.bin").write_bytes(BODY)
    assert get(toy) == cache / "toy"
    assert "data.bin" in json.loads((cache / "toy" / "lock.json").read_text())


def test_non_commercial_licences_warn(server, cache, make_manifest):
    toy = make_manifest(
        BODY, server.serve("/data.bin", BODY), licence="CC-BY-NC-4.0", commercial_use="no"
    )
    with pytest.warns(LicenceWarning, match="non-commercial"):
        get(toy)


def test_choosing_files(server, cache, make_manifest):
    toy = make_manifest(BODY, server.serve("/data.bin", BODY))
    assert (get(toy, files="*.bin") / "data.bin").exists()
    with pytest.raises(FetchError, match=r"no file 'x\.csv'; its files are: data\.bin"):
        get(toy, files=["x.csv"])


def test_generated_sets_need_nothing(cache, capsys):
    get("tinyearth")
    assert "nothing to fetch" in capsys.readouterr().err
