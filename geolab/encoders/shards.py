"""Embeddings on disk, in shards: made once, resumed, checked, searched without loading them all.

    write_embeddings(clip, photos, "emb/", feature="image")       # skips what is complete
    store = EmbeddingStore("emb/")                                # memory-mapped
    store.ids, store.latlon, len(store)
    store.search(queries, k=10)                                   # exact, streams from disk

A shard is ``shard-00042.npy`` (float32, rows of one photo) beside ``shard-00042.json``: model, hash
of the weights, feature, preprocessing, rows, ids and places. The json is written last, so a shard
without one is not there. A shard made with other weights or for other photos is refused, not
overwritten. With ``torchrun`` each process makes every world-th shard; since a shard's batches do
not depend on who makes it, and each is made on one thread, the files are the same byte for byte;
all cores of a CPU are used by as many processes.

Nothing of a photo's owner is written: id, latitude and longitude only.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from geolab.data.errors import DataError
from geolab.data.storage import sha256_of, write_atomic
from geolab.encoders.pixels import read_pixels
from geolab.kernels import topk
from geolab.training.estimate import announcing

if TYPE_CHECKING:
    from datasets import Dataset

    from geolab.encoders.clip import Clip, Feature

ROWS_PER_SHARD = 2048
_SAME = ("model", "weights", "feature", "preprocessing", "precision", "dtype")


def write_embeddings(
    clip: Clip,
    photos: Dataset,
    folder: str | os.PathLike,
    *,
    feature: Feature = "image",
    rows_per_shard: int = ROWS_PER_SHARD,
    progress: str = "",
) -> Path:
    """Embed photos into shards; go on where an earlier run stopped.

    Parameters
    ----------
    photos : Dataset
        With id, latitude, longitude and image. A photo that cannot be read gets NaN.
    rows_per_shard : int
    progress : str
        Title of a progress bar; none if empty.

    Raises
    ------
    DataError
        If the folder holds shards of another model, other weights, another feature or other photos.
    """
    if feature not in clip.dims:
        raise ValueError(f"no feature {feature!r}; there are: {', '.join(clip.dims)}")
    folder = Path(folder)
    rank, world = (int(os.environ.get(k, d)) for k, d in (("RANK", 0), ("WORLD_SIZE", 1)))
    starts = list(range(0, len(photos), rows_per_shard))[rank::world]
    resumes = "each is kept, so it can be interrupted"
    done = [_path(folder, s, rows_per_shard).with_suffix(".json").exists() for s in starts]
    tell = announcing("embedding", done.count(False), unit="shards", n_measured=1, resumes=resumes)
    for start in tqdm(starts, desc=progress, unit="shard", disable=not progress):
        part = photos.select(range(start, min(start + rows_per_shard, len(photos))))
        about = _about(clip, part, feature, start)
        path = _path(folder, start, rows_per_shard)
        if _is_done(path, about):
            continue
        read = read_pixels(part, clip.size)
        with one_thread():
            values = clip.embed_pixels(read.values, feature)
        values[~read.good] = torch.nan
        buffer = io.BytesIO()
        np.save(buffer, values.numpy())
        write_atomic(path, buffer.getvalue())
        about["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
        about["unreadable"] = read.unreadable
        write_atomic(path.with_suffix(".json"), json.dumps(about, indent=1))
        tell()
    return folder


def _path(folder: Path, start: int, rows_per_shard: int) -> Path:
    return folder / f"shard-{start // rows_per_shard:05d}.npy"


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: sums made by several come out in another order, to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _about(clip: Clip, part: Dataset, feature: str, start: int) -> dict[str, Any]:
    weight = next(clip.model.parameters()).dtype
    return {
        "model": clip.name,
        "weights": clip.weights_hash,
        "synthetic": clip.synthetic,
        "feature": feature,
        "preprocessing": clip.preprocessing,
        "precision": str(weight).removeprefix("torch."),
        "dtype": "float32",
        "first": start,
        "rows": len(part),
        "dim": clip.dims[feature],
        "ids": [str(photo) for photo in part["id"]],
        "latitude": [float(x) for x in part["latitude"]],
        "longitude": [float(x) for x in part["longitude"]],
    }


def _is_done(path: Path, about: dict[str, Any]) -> bool:
    """Whether a shard is there and ours. Raises DataError if it is somebody else's."""
    if not path.with_suffix(".json").exists():
        return False
    held = _read_about(path)
    for key in _SAME:
        if held[key] != about[key]:
            raise DataError(
                f"{path} was made with {key} {held[key]!r}, now it is {about[key]!r}: give another "
                "folder, or delete this one"
            )
    if held["ids"] != about["ids"]:
        raise DataError(
            f"{path} holds other photos (from {held['ids'][:1]}): give another folder, or the same "
            "photos and rows_per_shard as before"
        )
    return path.exists() and sha256_of(path) == held.get("sha256")


def _read_about(path: Path) -> dict[str, Any]:
    side = path.with_suffix(".json")
    try:
        return json.loads(side.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{side} is damaged ({error}): delete it and embed again") from None


@dataclass(frozen=True)
class EmbeddingStore:
    """Shards of one folder, read as one table.

    Attributes
    ----------
    folder : Path

    Raises
    ------
    DataError
        When read: if a shard is missing, damaged, or made with other weights than the first.
    """

    folder: Path

    def __init__(self, folder: str | os.PathLike) -> None:
        object.__setattr__(self, "folder", Path(folder))

    @cached_property
    def shards(self) -> list[tuple[Path, dict[str, Any]]]:
        """Path and description of each shard, in order."""
        paths = sorted(self.folder.glob("shard-*.json"))
        held = [(side.with_suffix(".npy"), _read_about(side.with_suffix(".npy"))) for side in paths]
        if not held:
            raise DataError(f"{self.folder} holds no embeddings: run geolab embed first")
        row, first = 0, held[0][1]
        for path, about in held:
            for key in _SAME:
                if about[key] != first[key]:
                    raise DataError(
                        f"{path} was made with {key} {about[key]!r}, {held[0][0].name} with "
                        f"{first[key]!r}: embed one of them again"
                    )
            if about["first"] != row or not path.exists():
                raise DataError(f"{self.folder}: rows from {row} on are missing; run geolab embed")
            row += about["rows"]
        return held

    def __len__(self) -> int:
        """Return the number of photos."""
        return sum(about["rows"] for _, about in self.shards)

    @property
    def about(self) -> dict[str, Any]:
        """Model, hash of its weights, feature, preprocessing."""
        return {key: self.shards[0][1][key] for key in (*_SAME, "synthetic", "dim")}

    @cached_property
    def ids(self) -> list[str]:
        """Photo ids."""
        return [photo for _, about in self.shards for photo in about["ids"]]

    @cached_property
    def latlon(self) -> Tensor:
        """Places (N, 2), degrees."""
        pairs = [[about["latitude"], about["longitude"]] for _, about in self.shards]
        return torch.from_numpy(np.concatenate([np.array(pair).T for pair in pairs]))

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """First row and embeddings (n, D) of each shard, mapped from disk.

        Raises
        ------
        DataError
            If a file is cut short or of another shape than its description says.
        """
        for path, about in self.shards:
            try:
                values = np.load(path, mmap_mode="c")
            except (ValueError, OSError) as error:
                raise DataError(f"{path} is damaged ({error}): delete it, embed again") from None
            if values.shape != (about["rows"], about["dim"]):
                raise DataError(f"{path} has shape {values.shape}: delete it and embed again")
            yield about["first"], torch.from_numpy(values)

    def features(self) -> Tensor:
        """All embeddings in memory, (N, D)."""
        return torch.cat([values for _, values in self.blocks()])

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Most alike photos by cosine, exactly, one shard in memory at a time.

        Parameters
        ----------
        queries : Tensor, shape (B, D)

        Returns
        -------
        cosine, row : Tensor, shape (B, k)
            Best first; of equals the first row. A photo that could not be read is never found.
        """
        unit = torch.nn.functional.normalize(queries.float(), dim=1)
        best = torch.full((len(unit), k), -torch.inf)
        rows = torch.full((len(unit), k), -1)
        for first, values in self.blocks():
            good = values.isfinite().all(1).nonzero()[:, 0]
            if not len(good):
                continue
            held = torch.nn.functional.normalize(values[good], dim=1)
            scores, at = topk(unit, held, min(k, len(good)), metric="ip")
            joined, where = torch.cat([best, scores], 1), torch.cat([rows, first + good[at]], 1)
            order = joined.argsort(dim=1, descending=True, stable=True)[:, :k]
            best, rows = joined.gather(1, order), where.gather(1, order)
        return best, rows
