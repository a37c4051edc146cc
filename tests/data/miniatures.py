"""Miniatures of OSV-5M and MP-16: the real file names and columns, around synthetic photos.

Photos and places are TinyEarth's (rendered at 96 px); nothing in them comes from the data sets.
"""

from __future__ import annotations

import csv
import functools
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from geolab.data import load

OSV5M_COLUMNS = (
    "id",
    "latitude",
    "longitude",
    "thumb_original_url",
    "country",
    "sequence",
    "captured_at",
    "lon_bin",
    "lat_bin",
    "cell",
    "region",
    "sub-region",
    "city",
    "land_cover",
    "road_index",
    "drive_side",
    "climate",
    "soil",
    "dist_sea",
    "quadtree_10_5000",
    "quadtree_10_25000",
    "quadtree_10_1000",
    "quadtree_10_50000",
    "quadtree_10_12500",
    "quadtree_10_500",
    "quadtree_10_2500",
    "unique_region",
    "unique_sub-region",
    "unique_city",
    "unique_country",
    "creator_username",
    "creator_id",
)
PHOTOGRAPHERS = tuple(f"{7700 + i}@N0{i % 8}" for i in range(12))
N_PHOTOS, SIZE = 96, 96

Row = dict[str, Any]


@functools.cache
def synthetic_rows() -> tuple[Row, ...]:
    """Rows of TinyEarth with each photo as the bytes of a JPEG, in `jpeg`."""
    from datasets import Image as ImageColumn

    world = load("tinyearth", n=N_PHOTOS, seed=5, size=SIZE)
    rows = world.cast_column("image", ImageColumn(decode=False)).to_list()
    return tuple({**row, "jpeg": _jpeg(row["image"]["bytes"])} for row in rows)


def write_osv5m(folder: Path, split: str = "test", n_zips: int = 5) -> list[str]:
    """Write `<split>.csv` and `images/<split>/NN.zip`; return the ids in their order."""
    rows = [osv5m_row(i, row) for i, row in enumerate(synthetic_rows())]
    write_csv(folder / f"{split}.csv", OSV5M_COLUMNS, rows)
    images = folder / "images" / split
    images.mkdir(parents=True)
    for k in range(n_zips):
        with zipfile.ZipFile(images / f"{k:02}.zip", "w") as archive:
            for i in range(k, len(rows), n_zips):
                archive.writestr(f"{k:02}/{rows[i]['id']}.jpg", synthetic_rows()[i]["jpeg"])
    return [row["id"] for row in rows]


def osv5m_row(number: int, row: Row) -> Row:
    """A row with OSV-5M's columns; every third one has no `country`, as happens there."""
    places = {f"unique_{name}": row[name] for name in ("region", "sub-region", "city", "country")}
    kept = {name: row[name] for name in OSV5M_COLUMNS if name in row}
    invented = {name: number % 7 for name in OSV5M_COLUMNS if name.startswith("quadtree")}
    return {
        **kept,
        **places,
        **invented,
        "id": str(10**14 + number),
        "thumb_original_url": f"https://example.org/{number}.jpg",
        "country": "" if number % 3 == 0 else row["country"],
        "sequence": f"sequence{number}",
        "captured_at": 1_500_000_000_000 + number,
        "land_cover": 4.0,
        "climate": 15.0,
        "creator_username": f"person{number % 5}",
        "creator_id": number % 5,
    }


def write_mp16(folder: Path, *, swapped: bool = False, author: bool = True) -> Path:
    """Write `mp16_places365.csv` and `images/ab/cd/<n>.jpg`; return the csv."""
    path = folder / "mp16_places365.csv"
    rows = []
    for i, row in enumerate(synthetic_rows()):
        name = f"{i % 4:02x}/{i % 16:02x}/{5_000_000 + i}.jpg"
        rows.append({"IMG_ID": name, "LAT": row["latitude"], "LON": row["longitude"]})
        rows[-1]["AUTHOR"] = PHOTOGRAPHERS[i % len(PHOTOGRAPHERS)]
        photo = folder / "images" / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(row["jpeg"])
    if swapped:
        rows = [{**row, "LAT": row["LON"], "LON": row["LAT"]} for row in rows]
    columns = ("IMG_ID", "LAT", "LON", *(("AUTHOR",) if author else ()))
    write_csv(path, columns, rows)
    return path


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows; a column that a row lacks stays empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(columns), extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)


def _jpeg(png: bytes) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(stream, "JPEG", quality=90)
    return stream.getvalue()
