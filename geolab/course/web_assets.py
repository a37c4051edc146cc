"""The two JavaScript libraries that ship with the kit, so that a course needs no network.

reveal.js shows the slides and Leaflet the maps. Both lie unchanged in ``geolab/course/web`` beside
their licences (MIT, BSD-2-Clause); the manifests ``reveal`` and ``leaflet`` say where they are from
and what their checksums are. `geolab.maps` reads Leaflet from the cache, so it is put there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from geolab.data.manifest import cached, load_manifest
from geolab.data.storage import cache_folder, write_atomic

WEB = Path(__file__).parent / "web"


def put_reveal(out: Path) -> None:
    """Copy reveal.js and its licence into a build folder, where the slides look for it."""
    shutil.copytree(WEB / "reveal", out / "web" / "reveal", dirs_exist_ok=True)


def put_leaflet() -> None:
    """Put Leaflet into the cache, as ``geolab fetch leaflet`` would, unless it is there."""
    if cached("leaflet") is not None:
        return
    folder = cache_folder() / "leaflet"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".fetching"):
        for entry in load_manifest("leaflet").files:
            write_atomic(folder / entry.path, (WEB / "leaflet" / entry.path).read_bytes())
