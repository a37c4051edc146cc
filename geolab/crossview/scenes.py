"""Street and aerial pictures of the same TinyEarth places (synthetic).

The street side is a panorama: four square photos a quarter turn apart, put on a cylinder whose
first column looks north. The aerial side is the tile of the same spot in another month and under
another sky, as a map is never taken on the day of the photo. Pictures are painted once and kept in
the cache folder, 200 places a file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import joblib
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.errors import DataError
from geolab.data.storage import cache_folder
from geolab.data.tinyearth import Scene
from geolab.data.tinyearth.store import version

STRIP = (32, 128)
"""Height and width of a street strip in pixels."""
TILE = 64
SPAN_M = 60.0
"""Metres across a tile."""
_ROWS = 200
_FILE = {"kind": "geolab-crossview", "version": 1}
_NEEDED = ("latitude", "longitude", "month", "scene_seed", "view", "photographer")


@dataclass(frozen=True)
class Pairs:
    """Street and aerial pictures of N places.

    Attributes
    ----------
    street : Tensor of uint8, shape (N, 3, H, W)
        North in the first column.
    aerial : Tensor of uint8, shape (N, 3, S, S)
        North up.
    places : Tensor of float64, shape (N, 2)
        Degrees; NaN where unknown.
    synthetic : bool
    """

    street: Tensor
    aerial: Tensor
    places: Tensor
    synthetic: bool = True

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: slice | Tensor) -> Pairs:
        return Pairs(self.street[rows], self.aerial[rows], self.places[rows], self.synthetic)


def scene_pairs(photos, *, workers: int | None = None, progress: str = "") -> Pairs:
    """Paint the pairs of TinyEarth photos that show a street; others are left out.

    Parameters
    ----------
    photos : Dataset
        Of TinyEarth.
    workers : int, optional
        Processes; all CPUs if not given. No effect on the result.
    progress : str
        Title of a progress bar; none if empty.

    Raises
    ------
    DataError
        If the photos are not TinyEarth's.
    """
    from tqdm.auto import tqdm

    missing = [name for name in _NEEDED if name not in photos.column_names]
    if missing:
        raise DataError(
            f"photos lack the column {missing[0]}: only TinyEarth can paint aerial tiles. "
            "For CVUSA or CVACT use geolab.crossview.pairs_folder"
        )
    rows = [r for r in photos.select_columns(list(_NEEDED)).to_list() if r["view"] == "street"]
    chunks = [rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)]
    painter = version() if chunks else ""
    files = [_file_of(chunk, painter) for chunk in chunks]
    absent = [i for i, file in enumerate(files) if _read(file) is None]
    bar = tqdm(absent, desc=progress, unit=f"x{_ROWS} places", disable=None if progress else True)
    for number, made in zip(bar, _paint_all(chunks, absent, workers), strict=True):
        save_arrays(files[number], {"street": made[0], "aerial": made[1]}, **_FILE)
    read = [load_arrays(file, **_FILE)[0] for file in files]
    places = [[row["latitude"], row["longitude"]] for row in rows]
    street = [r["street"] for r in read] or [np.empty((0, 3, *STRIP), np.uint8)]
    aerial = [r["aerial"] for r in read] or [np.empty((0, 3, TILE, TILE), np.uint8)]
    return Pairs(
        torch.from_numpy(np.concatenate(street)),
        torch.from_numpy(np.concatenate(aerial)),
        torch.tensor(places, dtype=torch.float64).reshape(-1, 2),
    )


def cylinder(views: Tensor, height: int, width: int) -> Tensor:
    """Put four square views of 90 degrees on a cylinder.

    Parameters
    ----------
    views : Tensor, shape (N, 4, 3, S, S)
        Looking north, east, south and west.
    height, width : int
        Width a multiple of 4. Rows reach as far up and down as the corners of the views show.

    Returns
    -------
    Tensor, shape (N, 3, height, width)
        The first column looks north.
    """
    n, _, channels, size, _ = views.shape
    angle = (torch.arange(width // 4) + 0.5) * (math.pi / 2) / (width // 4) - math.pi / 4
    rise = torch.linspace(-1, 1, height) * math.cos(math.pi / 4)  # tangent of the height
    x = angle.tan().expand(height, -1)
    y = rise[:, None] / angle.cos()
    grid = torch.stack([x, y], -1).expand(4 * n, -1, -1, -1)  # (4N, H, W/4, 2)
    flat = views.float().reshape(4 * n, channels, size, size)
    quarter = F.grid_sample(flat, grid, align_corners=False, padding_mode="border")
    quarter = quarter.reshape(n, 4, channels, height, width // 4).permute(0, 2, 3, 1, 4)
    strip = quarter.reshape(n, channels, height, width)  # (N, 3, H, 4, W/4) -> (N, 3, H, W)
    strip = strip if views.is_floating_point() else strip.round()
    return strip.roll(-(width // 8), -1).to(views.dtype)  # the north view began at -45 degrees


def _file_of(rows: list[dict], painter: str) -> Path:
    said = json.dumps([rows, STRIP, TILE, SPAN_M, painter], sort_keys=True)
    name = blake2b(said.encode(), digest_size=10).hexdigest()
    return cache_folder() / "tinyearth" / "crossview" / f"{name}.npz"


def _read(file: Path) -> dict | None:
    try:
        return load_arrays(file, **_FILE)[0]
    except (FileNotFoundError, DataError):
        return None


def _paint_all(
    chunks: list[list[dict]], numbers: list[int], workers: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    n_jobs = workers or (joblib.cpu_count() if len(numbers) > 1 else 1)
    jobs = (joblib.delayed(_paint)(chunks[number]) for number in numbers)
    return joblib.Parallel(n_jobs=n_jobs, return_as="generator", pre_dispatch=2 * n_jobs)(jobs)


def _paint(rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Street strips and aerial tiles of some places; runs in worker processes."""
    views, tiles = [], []
    for row in rows:
        where = {"lat": row["latitude"], "lon": row["longitude"]}
        seed, month = int(row["scene_seed"]), int(row["month"])
        scene = Scene(**where, month=month, heading=0.0, seed=seed)
        views.append([np.asarray(view) for view in scene.panorama(STRIP[0])])
        above = Scene(**where, month=(month + 4) % 12 + 1, heading=0.0, seed=seed + 1)
        tiles.append(np.asarray(above.aerial(TILE, span_m=SPAN_M)))
    square = torch.from_numpy(np.array(views)).permute(0, 1, 4, 2, 3)  # (n, 4, 3, S, S)
    return cylinder(square, *STRIP).numpy(), np.array(tiles).transpose(0, 3, 1, 2)
