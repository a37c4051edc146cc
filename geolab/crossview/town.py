"""A synthetic raster town, seen from above and from its streets, in milliseconds.

TinyEarth's places are islands: two scenes fifty metres apart share nothing. What needs neighbours
(references on a grid, the best five that agree, a drive) needs ground that goes on, and much of it.
So here is a town of one picture: blocks, roads, roofs, parks and water at random. The aerial view
is a crop; the street view is the same ground unrolled around the camera, in other colours, with
shading and noise. It is far easier than a photograph and is called synthetic wherever it is shown.

The town lies on the sphere: its middle is given in degrees, its pixels in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from geolab import sphere
from geolab.crossview.polar import polar_transform

_GROUND = np.array(
    [
        [150, 148, 142],
        [116, 138, 84],
        [186, 92, 70],
        [204, 190, 160],
        [90, 92, 104],
        [70, 110, 150],
    ],
    np.float32,
)
"""Colours of pavement, park, tile, gravel, slate and water."""


@dataclass(frozen=True)
class Town:
    """Ground of a town.

    Attributes
    ----------
    ground : Tensor of uint8, shape (3, P, P)
        North up.
    metres : float
        Side of a pixel.
    latlon : tuple of float
        Degrees, of the middle.
    """

    ground: Tensor
    metres: float = 2.0
    latlon: tuple[float, float] = (48.0, 11.0)

    @property
    def side_m(self) -> float:
        """Metres from edge to edge."""
        return self.ground.shape[1] * self.metres

    def to_latlon(self, east_north_m: Tensor) -> Tensor:
        """Degrees, float64 (..., 2), of metres (east, north) from the south-western corner."""
        offset = torch.as_tensor(east_north_m, dtype=torch.float64) - self.side_m / 2
        bearing = torch.rad2deg(torch.atan2(offset[..., 0], offset[..., 1]))
        middle = torch.tensor(self.latlon, dtype=torch.float64).expand_as(offset)
        return sphere.destination(middle, bearing, offset.norm(dim=-1) / 1000)

    def tiles(self, east_north_m: Tensor, size: int = 40) -> Tensor:
        """Crops of `size` pixels around positions: (N, 2) metres -> uint8 (N, 3, size, size).

        Raises
        ------
        ValueError
            If a tile would reach over the edge; its position is named.
        """
        position = torch.as_tensor(east_north_m, dtype=torch.float64)
        half, n = size // 2, self.ground.shape[1]
        column = (position[:, 0] / self.metres).round().long()
        row = n - (position[:, 1] / self.metres).round().long()
        outside = (torch.stack([column, row]) < half) | (torch.stack([column, row]) > n - half)
        if outside.any():
            bad = position[outside.any(0)][0].tolist()
            raise ValueError(f"no tile at {bad} m: it would reach over the edge of the town")
        ramp = torch.arange(-half, size - half)
        rows = (row[:, None] + ramp)[:, :, None].expand(-1, -1, size)  # (N, size, size)
        columns = (column[:, None] + ramp)[:, None, :].expand(-1, size, -1)
        return self.ground[:, rows, columns].transpose(0, 1)  # (3, N, s, s) -> (N, 3, s, s)

    def strips(
        self, east_north_m: Tensor, height: int = 16, width: int = 64, *, size: int = 40, seed=0
    ) -> Tensor:
        """What a camera in the street sees all around: uint8 (N, 3, height, width), north first.

        The tile unrolled, with other colours, shade that differs by direction, and noise.
        """
        rng = torch.Generator().manual_seed(seed)
        strips = polar_transform(self.tiles(east_north_m, size).float(), height, width) / 255
        n = len(strips)
        light = 0.75 + 0.5 * torch.rand(n, 3, 1, 1, generator=rng)
        sun = torch.rand(n, 1, 1, 1, generator=rng) - torch.linspace(0, 1, width)
        shade = 0.85 + 0.15 * torch.cos(2 * torch.pi * sun)  # (N, 1, 1, W)
        mixed = 0.7 * strips + 0.3 * strips.roll(1, 1)  # colours bleed into one another
        seen = (mixed**1.6 * light * shade) + 0.06 * torch.randn(strips.shape, generator=rng)
        return (seen.clamp(0, 1) * 255).round().to(torch.uint8)


def make_town(pixels: int = 1600, *, metres: float = 2.0, seed: int = 0) -> Town:
    """Lay out a town: districts, roads on two scales, roofs, noise.

    Parameters
    ----------
    pixels : int
        Side of the picture.
    metres : float
        Side of a pixel.

    Examples
    --------
    >>> make_town(200).ground.shape
    torch.Size([3, 200, 200])
    """
    rng = np.random.default_rng(seed)
    district = _patches(rng, pixels, 24)  # what kind of ground, a patch every 24 pixels
    roof = _patches(rng, pixels, 7)
    kind = np.where(district < 0.35, 1, np.where(district > 0.93, 5, 0))
    built = (roof > 0.55) & (kind == 0)
    kind = np.where(built, 2 + (roof * 997).astype(int) % 3, kind)
    ground = _GROUND[kind]
    ground = ground + 26 * (_patches(rng, pixels, 4)[..., None] - 0.5)
    for step, width in ((64, 5), (27, 2)):
        ground = _roads(ground, rng, step, width)
    ground = ground + rng.normal(0, 5, ground.shape)
    picture = np.clip(ground, 0, 255).astype(np.uint8).transpose(2, 0, 1)  # (P, P, 3) -> (3, P, P)
    return Town(torch.from_numpy(np.ascontiguousarray(picture)), metres)


def _patches(rng: np.random.Generator, pixels: int, step: int) -> np.ndarray:
    """Blocky noise in [0, 1], with edges that wander."""
    coarse = rng.random((pixels // step + 3, pixels // step + 3)).astype(np.float32)
    slow = ndimage.gaussian_filter(
        rng.normal(0, 5, (2, pixels // 4 + 2, pixels // 4 + 2)), (0, 2, 2)
    )
    wander = ndimage.zoom(slow, (1, 4, 4), order=1)[:, :pixels, :pixels] * step / 7  # pixels
    at = np.indices((pixels, pixels), dtype=np.float32) + wander
    index = np.clip((at / step + 1).astype(int), 0, len(coarse) - 1)
    return coarse[index[0], index[1]]


def _roads(ground: np.ndarray, rng: np.random.Generator, step: int, width: int) -> np.ndarray:
    """Grey roads about every `step` pixels, each broken off and bent at random."""
    pixels = len(ground)
    bend = ndimage.gaussian_filter1d(rng.normal(0, 1, (2, pixels)), 40) * 60
    row, column = np.indices((pixels, pixels))
    for axis, along, across in ((0, column, row), (1, row, column)):
        shifted = across + bend[axis][along]
        gone = rng.random((pixels // step + 4, pixels // 90 + 1)) < 0.25
        line = np.clip((shifted // step).astype(int) + 1, 0, len(gone) - 1)
        road = (shifted % step < width) & ~gone[line, along // 90]
        ground = np.where(road[..., None], np.float32(112), ground)
    return ground
