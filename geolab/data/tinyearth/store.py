"""The data set on disk: built once, checked at every load, never half written.

A finished data set is a folder of two files: `photos.arrow` and `complete.json`, which holds its
size and sha256. The folder is built under a temporary name and renamed when whole, under a lock,
so that two processes build it once. What does not match its record is built again.
"""

from __future__ import annotations

import json
import os
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from filelock import FileLock

from geolab.data.errors import DiskFullError
from geolab.data.storage import DISK_FULL, cache_folder, disk_full_message, sha256_of
from geolab.data.tinyearth.dataset import check_request, write_stream

if TYPE_CHECKING:
    import datasets

PHOTOS, RECORD = "photos.arrow", "complete.json"


def version() -> str:
    """Twelve hex digits that change with the painter's source or the gazetteer's table."""
    from geolab.data.tinyearth.spots import places

    digest = blake2b(digest_size=6)
    for path in sorted(Path(__file__).parent.glob("*")):
        if path.suffix in (".py", ".csv"):
            digest.update(path.name.encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    table = places()
    digest.update(f"{len(table)} {int(table['population'].sum())}".encode())
    return digest.hexdigest()


def load_tinyearth(
    n: int = 20000, seed: int = 0, size: int = 96, *, workers: int | None = None
) -> datasets.Dataset:
    """Load the synthetic data set, building it on first use.

    Parameters
    ----------
    n, seed, size, workers
        As in `build`.

    Returns
    -------
    datasets.Dataset
        Memory-mapped from the cache folder (`GEOLAB_CACHE`, else the system's).

    Raises
    ------
    ValueError
        If n or size is too small.
    DiskFullError
        If the disk is full; nothing half-written stays.
    """
    import datasets

    check_request(n, size)
    folder = cache_folder() / "tinyearth"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"n{n}-seed{seed}-size{size}-{version()}"
    with FileLock(f"{place}.lock"):
        if not is_whole(place):
            _rebuild(place, n, seed, size, workers)
    return datasets.Dataset.from_file(str(place / PHOTOS))


def is_whole(place: Path) -> bool:
    """Whether a folder holds a data set that matches its record."""
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        photos = place / PHOTOS
        same_size = photos.stat().st_size == record["bytes"]
        return same_size and sha256_of(photos) == record["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _rebuild(place: Path, n: int, seed: int, size: int, workers: int | None) -> None:
    """Build beside the final place, then rename; the caller holds the lock."""
    for stray in place.parent.glob(f".{place.name}.*"):  # left by a killed process
        shutil.rmtree(stray, ignore_errors=True)
    fresh = place.parent / f".{place.name}.{os.getpid()}"
    try:
        fresh.mkdir()
        with pa.OSFile(str(fresh / PHOTOS), "wb") as sink:
            write_stream(sink, n, seed, size, workers)
        record = {
            "n": n,
            "bytes": (fresh / PHOTOS).stat().st_size,
            "sha256": sha256_of(fresh / PHOTOS),
        }
        (fresh / RECORD).write_text(json.dumps(record), encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        os.replace(fresh, place)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError(disk_full_message(place, 16_000 * n * (size // 96 + 1))) from error
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
