"""What must never go wrong: full disks, killed processes, hostile zips, half-written files."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from geolab.data import resuming
from geolab.data.errors import DataError, DiskFullError, FetchError
from geolab.data.manifest import cached, fetch
from geolab.data.storage import format_bytes, write_atomic

BODY = np.random.default_rng(0).bytes(300_000)


def left_over(folder):
    """Names in a cache folder, without the lock of the running process."""
    return sorted(p.name for p in folder.iterdir() if p.name != ".fetching")


def get(path):
    return fetch(path, progress=False)


def zip_of(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in members.items():
            archive.writestr(name.replace("__", "/"), body)
    return buffer.getvalue()


def test_zips_are_unpacked_once(server, cache, make_manifest):
    body = zip_of(a__1="one")
    entry = {"path": "images/a.zip", "unpack": True}
    toy = make_manifest(body, server.serve("/a.zip", body), entry)
    inside = get(toy) / "images" / "a" / "a" / "1"
    assert inside.read_text() == "one"
    before = inside.stat().st_mtime_ns
    get(toy)
    assert inside.stat().st_mtime_ns == before


def test_a_zip_with_parent_members_is_refused(server, cache, make_manifest):
    body = zip_of(**{"..__evil": "evil"})
    entry = {"path": "a.zip", "unpack": True}
    with pytest.raises(FetchError, match="outside"):
        get(make_manifest(body, server.serve("/a.zip", body), entry))
    assert left_over(cache / "toy") == ["a.zip"]
    assert not list(cache.rglob("evil"))


def test_full_disk_while_writing_leaves_nothing(server, cache, make_manifest, monkeypatch):
    def full(writer, chunk):
        if writer.tell() > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        writer.write(chunk)

    toy = make_manifest(BODY, server.serve("/data.bin", BODY))
    with monkeypatch.context() as patch:
        patch.setattr(resuming, "_write", full)
        with pytest.raises(DiskFullError, match=r"needs 300\.0 kB.*GEOLAB_CACHE"):
            get(toy)
    assert left_over(cache / "toy") == []
    assert (get(toy) / "data.bin").read_bytes() == BODY


def test_full_disk_is_seen_before_a_large_download(server, cache, make_manifest, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(resuming.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFullError, match=r"needs 300\.0 kB, 1\.0 kB are free"):
        get(make_manifest(BODY, server.serve("/data.bin", BODY)))
    assert left_over(cache / "toy") == []


def test_atomic_writes(tmp_path, monkeypatch):
    path = write_atomic(tmp_path / "deep" / "a.txt", "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(DataError, match=r"disk is full: a\.txt needs 3 bytes"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_sizes_for_people():
    assert [format_bytes(n) for n in (7, 4_680_858, 2_920_000_000)] == [
        "7 bytes",
        "4.7 MB",
        "2.9 GB",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_fetch_killed_mid_write_is_never_read_back(server, cache, make_manifest):
    url = server.serve("/data.bin", BODY, etag='"v1"', seconds_per_chunk=0.05)
    toy = make_manifest(BODY, url)
    code = f"from geolab.data.manifest import fetch; fetch({str(toy)!r}, progress=False)"
    victim = subprocess.Popen([sys.executable, "-c", code], env=os.environ.copy())
    folder = cache / "toy"
    try:
        deadline = time.monotonic() + 60
        while not any(p.stat().st_size > 20_000 for p in folder.glob(".*.part")):
            assert time.monotonic() < deadline, "the download never began"
            assert victim.poll() is None, "the download ended too soon"
            server.clock.wait(0.02)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    assert not (folder / "data.bin").exists()
    assert cached(toy) is None
    server.pages["/data.bin"].seconds_per_chunk = 0.0
    assert (get(toy) / "data.bin").read_bytes() == BODY
    assert server.ranges()[-1].startswith("bytes="), "the part was not used"
