"""Data: what to learn from, and what to be measured on.

    from geolab import data

    world = data.load("tinyearth", n=2000)            # synthetic, at once, offline
    mine = data.load("photos.csv")                    # real photos with positions
    split = data.split_by(mine, by=("place", "source"))
    photo = data.read_photo("somewhere.jpg")          # RGB, upright, without metadata

| module | what for |
| --- | --- |
| `loading` | one kind of table from TinyEarth, a folder, a csv or a fetched data set |
| `layouts` | how a csv finds its photos: by path, by IMG_ID (MP-16), by id and in zips (OSV-5M) |
| `photos`, `exif` | decode safely, read place and date, write copies without either |
| `splits` | train and test that share no place and no photographer |
| `shared` | the one split that all systems of the course are compared on |
| `benchmarks` | frozen lists with a hash and an n |
| `manifest`, `catalogue` | licences, checksums, downloads, mirrors |
| `gazetteer` | places, regions and countries, offline |
| `osv5m`, `ranged` | OSV-5M in parts: its csv, members of zips and tars by ranged reads |
| `osv5m_miniature`, `loopback` | a small copy of its layout, and a server to read it from |
| `tinyearth` | the synthetic world |

Names are imported when first used, so `import geolab.data` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Benchmark": "benchmarks",
    "DataError": "errors",
    "DataWarning": "errors",
    "FetchError": "errors",
    "LeakageError": "errors",
    "ManifestError": "errors",
    "PhotoError": "errors",
    "Photos": "photos",
    "assert_no_leakage": "splits",
    "cache_folder": "storage",
    "cached": "manifest",
    "fetch": "manifest",
    "freeze": "benchmarks",
    "group_photos": "splits",
    "list_manifests": "catalogue",
    "load": "loading",
    "load_benchmark": "benchmarks",
    "load_gazetteer": "gazetteer",
    "load_manifest": "catalogue",
    "read_date": "exif",
    "read_gps": "exif",
    "read_images": "photos",
    "read_photo": "photos",
    "save_benchmark": "benchmarks",
    "save_without_exif": "photos",
    "shared_split": "shared",
    "split_by": "splits",
    "thumbnail": "photos",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"geolab.data has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"geolab.data.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
