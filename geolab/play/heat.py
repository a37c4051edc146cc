"""A posterior as a picture of the Earth for a page: a pixel a degree, a few kilobytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from geolab.maps.density import cell_area_km2, density_per_km2

if TYPE_CHECKING:
    from geolab.posterior import Posterior

HEAT_SIGMA_KM = 200.0
HEAT_LEVELS = 32


def heat_png(posterior: Posterior, sigma_km: float = HEAT_SIGMA_KM) -> bytes:
    """Posterior of one photo as a picture of the Earth, one pixel a degree, in a few kilobytes.

    The value of a pixel says in which region it lies: 0 outside of the smallest region that holds
    99 % of the weight, `HEAT_LEVELS` - 1 in the densest spot; level l is inside the region that
    holds ``1 - l / HEAT_LEVELS``. Regions are those of the density per square kilometre, smoothed
    on the sphere with `sigma_km`.

    Returns
    -------
    bytes
        PNG, 360 x 180, grey, first row in the north, first column at 180 degrees west.

    Raises
    ------
    ValueError
        If the posterior has not exactly one row.
    """
    if len(posterior) != 1:
        raise ValueError(f"heat_png draws one photo's answer, not {len(posterior)}: posterior[i]")
    lat, lon = np.arange(89.5, -90, -1), np.arange(-179.5, 180)
    grid = np.stack(np.meshgrid(lat, lon, indexing="ij"), axis=-1)  # (180, 360, 2)
    latlon, weight = (np.asarray(t[0].cpu(), float) for t in (posterior.latlon, posterior.weight))
    mass = density_per_km2(latlon, weight, grid, sigma_km)
    area = cell_area_km2(np.arange(-90, 91), np.arange(-180, 181))  # the same upside down
    order = np.argsort(-mass, axis=None, kind="stable")
    share = np.empty(mass.size)
    held = np.cumsum((mass * area).ravel()[order])
    share[order] = np.concatenate([[0.0], held[:-1]]) / held[-1]  # held by all denser pixels
    level = np.floor(HEAT_LEVELS * (1 - share)).clip(0, HEAT_LEVELS - 1)
    level[share >= 0.99] = 0
    pixels = (level * (255 // (HEAT_LEVELS - 1))).astype(np.uint8).reshape(mass.shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
