"""TinyEarth on disk: nothing half-written is ever read back."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest

from geolab.data.errors import DiskFullError
from geolab.data.tinyearth import load_tinyearth, store

N, SIZE = 12, 16


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path))
    return tmp_path / "tinyearth"


@pytest.fixture
def builds(monkeypatch):
    """List that grows by one whenever the data set is built."""
    calls, write = [], store.write_stream

    def counted(*args):
        calls.append(args[1:])
        write(*args)

    monkeypatch.setattr(store, "write_stream", counted)
    return calls


def load():
    return load_tinyearth(n=N, seed=1, size=SIZE)


def folder(cache):
    return next(path for path in cache.iterdir() if path.is_dir())


def test_built_once_and_read_twice(cache, builds):
    first, second = load(), load()
    assert len(builds) == 1
    assert first["caption"][:] == second["caption"][:]
    assert first[3]["image"].tobytes() == second[3]["image"].tobytes()
    assert f"n{N}-seed1-size{SIZE}-{store.version()}" == folder(cache).name
    assert not list(cache.glob(".*"))


def test_other_requests_get_other_folders(cache, builds):
    load()
    load_tinyearth(n=N, seed=2, size=SIZE)
    load_tinyearth(n=N, seed=1, size=SIZE + 1)
    assert len(builds) == 3


@pytest.mark.parametrize("harm", ["truncated", "flipped", "no record", "record is text", "empty"])
def test_corrupt_cache_is_built_again(cache, builds, harm):
    good = load()["caption"][:]
    photos, record = folder(cache) / store.PHOTOS, folder(cache) / store.RECORD
    data = bytearray(photos.read_bytes())
    if harm == "truncated":
        photos.write_bytes(data[: len(data) // 2])
    elif harm == "flipped":
        data[len(data) // 2] ^= 255
        photos.write_bytes(data)
    elif harm == "no record":
        record.unlink()
    elif harm == "record is text":
        record.write_text("not json")
    else:
        photos.write_bytes(b"")
    assert load()["caption"][:] == good
    assert len(builds) == 2
    assert store.is_whole(folder(cache))


def test_process_killed_before_the_end_leaves_nothing_to_read(cache):
    code = (
        "import os\n"
        "from geolab.data.tinyearth import store\n"
        "store.sha256_of = lambda path: os._exit(9)\n"
        f"store.load_tinyearth(n={N}, seed=1, size={SIZE})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False)
    assert done.returncode == 9
    strays = [path for path in cache.iterdir() if path.is_dir()]
    assert len(strays) == 1  # the unfinished folder, under a temporary name
    assert strays[0].name.startswith(".")
    assert len(load()) == N
    assert not list(cache.glob(".*"))


def test_full_disk_says_so_and_cleans_up(cache, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "write_stream", fill)
    with pytest.raises(DiskFullError, match="disk is full"):
        load()
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_interrupted_build_cleans_up(cache, monkeypatch):
    def interrupt(target, *_):
        target.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_stream", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load()
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_two_at_once_build_once(cache, builds):
    found = []
    threads = [threading.Thread(target=lambda: found.append(len(load()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [N, N]
    assert len(builds) == 1


@pytest.mark.parametrize(("n", "size"), [(0, 96), (5, 2)])
def test_impossible_requests_write_nothing(cache, n, size):
    with pytest.raises(ValueError, match="ask for"):
        load_tinyearth(n=n, size=size)
    assert not cache.exists()
