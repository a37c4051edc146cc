"""Some photos of OSV-5M without the rest: members of its zips by ranged reads, and its tar twin.

The test zips hold tens of gigabytes; a lecture wants three hundred photos. A zip's directory stands
at its end, so through a file system that reads ranges (fsspec: ``hf://``, ``https://``, a folder)
only the directory and the members asked for travel, to the byte, in one answer each::

    table = read_table("hf://datasets/osv5m/osv5m@REVISION/test.csv")     # 116 MB, once
    chosen = choose(table, 300, by="quadtree_10_1000", seed=0)
    fetch_members(ZIPS, chosen["id"], "osv300/")                          # resumable
    load("osv300/photos.csv")

The twin ``osv5m/osv5m-wds`` has the same photos in tar shards with StreetCLIP's embeddings, 1,024
numbers each: `read_shards` streams them, with or without the pictures.

Tested on a local zip and local tars in these layouts; not run on the real ones, whose revision,
shard names and sizes were not verified. Contributors' names never leave the csv but into
``credits.csv``, which the licence asks for.
"""

from __future__ import annotations

import bisect
import csv
import io
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from geolab.data.errors import DataError, FetchError
from geolab.data.ranged import Window, open_ranged
from geolab.data.storage import write_atomic

PERSONAL = ("creator_username", "creator_id", "thumb_original_url")
TEST_ZIPS = tuple(f"hf://datasets/osv5m/osv5m/images/test/{i:02}.zip" for i in range(5))
_NEEDED = ("id", "latitude", "longitude")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError)


def read_table(url: str | os.PathLike) -> pd.DataFrame:
    """Read the csv of a split, personal columns dropped as it is read.

    Parameters
    ----------
    url : str or path
        Any that fsspec knows.

    Returns
    -------
    DataFrame
        ``id`` is text; ``country`` is filled from ``unique_country`` where it is empty.

    Raises
    ------
    DataError
        If a needed column is missing.
    FetchError
        If it can't be opened.
    """
    with open_ranged(url) as stream:
        table = pd.read_csv(stream, usecols=lambda c: c not in PERSONAL, dtype={"id": str})
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise DataError(f"{url}: no column {missing[0]}; is this OSV-5M's csv?")
    if {"country", "unique_country"} <= set(table.columns):
        table["country"] = table["country"].fillna(table["unique_country"])
    return table


def choose(
    table: pd.DataFrame, n: int, *, by: str = "quadtree_10_1000", seed: int = 0
) -> pd.DataFrame:
    """Choose n photos at random, spread over the values of a column in turn.

    Raises
    ------
    DataError
        If there is no such column.
    ValueError
        If there are fewer than n photos.
    """
    if by not in table.columns:
        raise DataError(f"no column {by!r}; there are: {', '.join(table.columns)}")
    if not 1 <= n <= len(table):
        raise ValueError(f"{n} photos of {len(table)} can't be chosen")
    shuffled = table.sample(frac=1, random_state=seed)
    turn = shuffled.groupby(by, dropna=False).cumcount()
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(shuffled)), turn.to_numpy()))
    return shuffled.iloc[order[:n]].reset_index(drop=True)


def fetch_members(
    zips: Sequence[str | os.PathLike],
    table: pd.DataFrame,
    folder: str | os.PathLike,
    *,
    progress: str = "",
) -> pd.DataFrame:
    """Take the photos of a table out of zips by ranged reads.

    Parameters
    ----------
    zips : sequence of str or path
    table : DataFrame
        As `read_table` gives it; ``id`` is the stem of a member's name.
    folder : path
        Gets the photos and ``photos.csv``. What is there already is not read again.

    Returns
    -------
    DataFrame
        Rows found, with a column ``path``; the number that no zip holds is printed.

    Raises
    ------
    FetchError
        If a zip can't be opened, or a member is damaged or cut short: it is named, nothing of it is
        kept, and what came before stays.
    """
    from tqdm.auto import tqdm

    folder = Path(folder)
    wanted, paths = set(table["id"].astype(str)), {}
    bar = tqdm(total=len(wanted), desc=progress, unit="photo", disable=not progress)
    for url in zips:
        if not wanted - set(paths):
            break
        for stem, name in _members(url, wanted - set(paths), folder):
            paths[stem] = name
            bar.update()
    bar.close()
    found = table[table["id"].astype(str).isin(paths)].copy()
    found["path"] = [paths[stem] for stem in found["id"].astype(str)]
    if len(found) < len(table):
        print(f"{len(table) - len(found)} of {len(table)} photos are in none of these zips")
    write_atomic(folder / "photos.csv", found.to_csv(index=False))
    return found


def _members(url: str | os.PathLike, wanted: set[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Photos of one zip, written to the folder: stem and file name of each."""
    with open_ranged(url, cache="none") as stream:
        window = Window(stream)
        try:
            archive = zipfile.ZipFile(window)
        except (*_DAMAGED, ValueError) as error:
            raise FetchError(
                f"{url}: not a whole zip ({error}); the server may have answered short, or not "
                "answer ranges at all. Try again, or fetch the whole file"
            ) from None
        offsets = {info.header_offset for info in archive.infolist()}
        starts = sorted(offsets | {archive.start_dir})
        for info in archive.infolist():
            name = PurePosixPath(info.filename)
            if info.is_dir() or name.stem not in wanted:
                continue
            target = folder / name.name  # folders inside the zip are not believed
            if not (target.is_file() and target.stat().st_size == info.file_size):
                after = bisect.bisect_right(starts, info.header_offset)
                stop = starts[min(after, len(starts) - 1)]  # a false directory gets nothing
                try:
                    window.hold(info.header_offset, stop)
                    data = archive.read(info)  # checks length and checksum
                except _DAMAGED as error:
                    raise FetchError(
                        f"{url}: member {info.filename} is damaged or came short ({error}); "
                        "nothing of it was kept. Run again: what is there is not read twice"
                    ) from None
                write_atomic(target, data)
            yield name.stem, name.name


def write_credits(url: str | os.PathLike, ids: Iterable[str], path: str | os.PathLike) -> Path:
    """Write the contributors of some photos, as CC BY-SA asks: id and name, nothing else.

    The only place where names are read; keep the file beside what you publish, and use it for
    nothing but credit.
    """
    with open_ranged(url) as stream:
        names = pd.read_csv(stream, usecols=["id", "creator_username"], dtype=str)
    chosen = names[names["id"].isin(set(ids))]
    out = io.StringIO()
    chosen.to_csv(out, index=False, quoting=csv.QUOTE_MINIMAL)
    return write_atomic(path, out.getvalue())


@dataclass(frozen=True)
class ShardRow:
    """One photo of the tar twin.

    Attributes
    ----------
    id : str
    latitude, longitude : float
        Degrees.
    embedding : ndarray of float32, shape (1024,), or None
        StreetCLIP's.
    image : bytes or None
        JPEG, where pictures were asked for.
    """

    id: str
    latitude: float
    longitude: float
    embedding: np.ndarray | None
    image: bytes | None


def read_shards(
    urls: Sequence[str | os.PathLike], *, images: bool = False, n: int | None = None
) -> Iterator[ShardRow]:
    """Stream the tar twin: files of one stem are one photo.

    Parameters
    ----------
    urls : sequence of str or path
        Tar files. Neighbours in a shard may be alike: shuffle the shards, and keep their list.
    images : bool
        Keep the pictures; without them only json and embedding are read out of the stream.
    n : int, optional
        Stop after so many photos.

    Raises
    ------
    FetchError
        If a tar can't be opened or is cut short; it is named.
    DataError
        If a photo has no json or no coordinates on Earth; it is named.
    """
    taken = 0
    for url in urls:
        for stem, parts in _grouped(url, images):
            if n is not None and taken >= n:
                return
            yield _row(url, stem, parts)
            taken += 1


def _grouped(url: str | os.PathLike, images: bool) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Files of a tar by their stem; the stem ends at the first dot."""
    keep = ("json", "npy", *(("jpg", "jpeg", "png") if images else ()))
    stem, parts = None, {}
    with open_ranged(url) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|*") as tar:
                for info in tar:
                    if not info.isfile():
                        continue
                    own, _, rest = PurePosixPath(info.name).name.partition(".")
                    if own != stem and parts:
                        yield stem, parts
                        parts = {}
                    stem = own
                    if rest.rsplit(".", 1)[-1] in keep:
                        parts[rest] = tar.extractfile(info).read()
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise FetchError(f"{url}: not a whole tar ({error}); fetch it again") from None
    if parts:
        yield stem, parts


def _row(url: str | os.PathLike, stem: str, parts: dict[str, bytes]) -> ShardRow:
    try:
        said = json.loads(parts["json"])
        lat, lon = float(said["latitude"]), float(said["longitude"])
        if not (abs(lat) <= 90 and abs(lon) <= 180):
            raise ValueError(f"({lat}, {lon}) is not on Earth")
        vector = next((v for k, v in parts.items() if k.endswith("npy")), None)
        embedding = None
        if vector is not None:
            embedding = np.load(io.BytesIO(vector), allow_pickle=False).astype(np.float32).ravel()
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{url}: photo {stem} can't be read: {error!r}") from None
    image = next((v for k, v in parts.items() if k.endswith(("jpg", "jpeg", "png"))), None)
    return ShardRow(str(said.get("id", stem)), lat, lon, embedding, image)
