r"""The polar transform: an aerial tile unrolled around its centre.

A street panorama has the compass along its width and distance along its height. Row i and column j
of the strip (H x W) are taken from the tile (side S, centre S/2) at

.. math:: x = \frac S2 + r_i \sin b_j, \qquad y = \frac S2 - r_i \cos b_j, \qquad
          r_i = \frac S2 \, \frac{H - 1 - i}{H}, \qquad b_j = \frac{2 \pi j}{W},

so the bottom row is the place itself, the top row the edge of the tile; bearings b run clockwise
from north, as a panorama does whose first column looks north. The published form (SAFA, Shi et al.,
NeurIPS 2019, and the hashing papers after it) starts in the east and turns the other way: x takes
the cosine and y the sine; ``start="east"``.

It assumes a camera in the middle of the tile and a known north. A heading that is off by h degrees
turns the strip by W h / 360 columns (`turned`).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def polar_transform(
    tiles: Tensor, height: int, width: int, *, start: Literal["north", "east"] = "north"
) -> Tensor:
    """Unroll aerial tiles.

    Parameters
    ----------
    tiles : Tensor, shape (N, 3, S, S)
        North up; uint8 or float.
    height, width : int
        Of the strips.
    start : {"north", "east"}
        "north" runs clockwise from north, "east" counter-clockwise from east (as published).

    Returns
    -------
    Tensor, shape (N, 3, height, width)
        Bilinear; of the tiles' dtype.

    Raises
    ------
    ValueError
        If tiles are not square, or a side is under 1.

    Examples
    --------
    >>> tile = torch.zeros(1, 3, 8, 8)
    >>> tile[:, :, :4] = 1.0  # the northern half is white
    >>> polar_transform(tile, 4, 4)[0, 0, 0].tolist()  # looking north, east, south, west
    [1.0, 0.5, 0.0, 0.5]
    """
    if tiles.ndim != 4 or tiles.shape[2] != tiles.shape[3]:
        raise ValueError(f"tiles must be square, (N, 3, S, S); these are {tuple(tiles.shape)}")
    if min(height, width) < 1:
        raise ValueError(f"a strip of {height} x {width} has no pixels")
    reach = torch.arange(height - 1, -1, -1, dtype=torch.float32) / height  # r / (S/2), (H,)
    angle = 2 * math.pi * torch.arange(width, dtype=torch.float32) / width  # (W,)
    across, up = (angle.sin(), angle.cos()) if start == "north" else (angle.cos(), angle.sin())
    # grid_sample's -1 and 1 are the outer edges of the tile, so S/2 is 0
    grid = torch.stack([reach[:, None] * across, -reach[:, None] * up], -1)  # (H, W, 2)
    grid = grid.to(tiles.device).expand(len(tiles), -1, -1, -1)
    out = F.grid_sample(
        tiles.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return out.to(tiles.dtype) if tiles.is_floating_point() else out.round().to(tiles.dtype)


def turned(strips: Tensor, heading_deg: Tensor | float) -> Tensor:
    """Strips as a camera sees them whose first column looks to `heading_deg`, not north.

    Parameters
    ----------
    strips : Tensor, shape (N, C, H, W)
    heading_deg : float or Tensor, shape (N,)

    Returns
    -------
    Tensor, shape (N, C, H, W)
        Turned by whole columns.
    """
    n, width = len(strips), strips.shape[-1]
    heading = torch.as_tensor(heading_deg, dtype=torch.float32).expand(n)
    shift = (heading * width / 360).round().long()  # (N,)
    columns = (torch.arange(width)[None] + shift[:, None]) % width  # (N, W)
    columns = columns.to(strips.device)[:, None, None, :].expand_as(strips)
    return strips.gather(-1, columns)


def narrowed(strips: Tensor, field_deg: float) -> Tensor:
    """Strips with everything black outside a field of view around the middle column.

    Raises
    ------
    ValueError
        If the field is not in (0, 360].

    Examples
    --------
    >>> narrowed(torch.ones(1, 1, 1, 8), 90)[0, 0, 0].tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    if not 0 < field_deg <= 360:
        raise ValueError(f"a field of view is in (0, 360] degrees; this is {field_deg}")
    width = strips.shape[-1]
    keep = max(1, round(width * field_deg / 360))
    first = (width - keep) // 2
    out = torch.zeros_like(strips)
    out[..., first : first + keep] = strips[..., first : first + keep]
    return out
