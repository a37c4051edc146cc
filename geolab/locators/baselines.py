"""What needs no picture: chance, twice, and the best single guess.

A system must beat these before its numbers mean anything, and "chance" must say which one: on the
im2gps test photos, drawing from where people take photos is 40 times better at 200 km than drawing
from the whole Earth.

- `UniformChance`: any point of the Earth (closed form: `geolab.metrics.uniform_chance`).
- `DensityChance`: the place of a random reference photo.
- `BestConstant`: one place for every photo, the one that would have served the *reference* photos
  best. Chosen on the test photos instead it is a bound, not a system: `hindsight=True` says so in
  its name.

A drawn answer depends on the seed and on the photo's pixels alone, so it is the same however
photos are batched or ordered.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from geolab.encoders.im2gps.pixels import Photo, rgb_arrays
from geolab.kernels import haversine_matrix
from geolab.posterior import GEOGUESSR_SCALE_KM, Posterior
from geolab.sphere import EVAL_RADIUS_KM, ArrayLike, check_latlon, to_latlon

if TYPE_CHECKING:
    from datasets import Dataset

_BLOCK_PAIRS = 1 << 20


def photo_rng(photo: np.ndarray, seed: int) -> np.random.Generator:
    """Random generator that belongs to one photo: (H, W, 3) uint8 and a seed."""
    content = zlib.crc32(np.ascontiguousarray(photo).tobytes())
    return np.random.default_rng([seed, content, *photo.shape])


class UniformChance:
    """Draws any point of the Earth for each photo."""

    name = "chance, uniform"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, train: Dataset) -> UniformChance:
        """Learn nothing."""
        return self

    def locate(self, images: Sequence[Photo]) -> Posterior:
        """One draw a photo: a Posterior with K = 1."""
        draws = [photo_rng(photo, self.seed).standard_normal(3) for photo in rgb_arrays(images)]
        xyz = torch.from_numpy(np.array(draws).reshape(len(draws), 1, 3))
        return Posterior(to_latlon(xyz), torch.ones(len(draws), 1))


class DensityChance:
    """Draws the place of a reference photo for each photo."""

    name = "chance, photo density"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, train: Dataset) -> DensityChance:
        """Keep the places of the reference photos; none of them is read."""
        self.latlon = places_of(train)
        return self

    def locate(self, images: Sequence[Photo]) -> Posterior:
        """One draw a photo: a Posterior with K = 1."""
        n = len(self.latlon)
        rows = [photo_rng(photo, self.seed).integers(n) for photo in rgb_arrays(images)]
        return Posterior(
            self.latlon[rows][:, None], torch.ones(len(rows), 1)
        )  # (B, 2) -> (B, 1, 2)

    def prior(self, n_photos: int = 1) -> Posterior:
        """Return the whole density: every reference place with the same weight, for each photo."""
        weight = torch.full((1, len(self.latlon)), 1 / len(self.latlon), dtype=torch.float64)
        return Posterior(self.latlon, weight.expand(n_photos, -1))


class BestConstant:
    """Answers one place, whatever the photo.

    Parameters
    ----------
    within_km : float, optional
        The place has the most photos within this distance; if not given, it has the highest mean
        GeoGuessr score.
    hindsight : bool
        Say in the name that `fit` is given the test photos.
    """

    def __init__(self, within_km: float | None = None, *, hindsight: bool = False) -> None:
        self.within_km, self.hindsight = within_km, hindsight

    @property
    def name(self) -> str:
        """For tables: what the constant was chosen for."""
        goal = "score" if self.within_km is None else f"{self.within_km:g} km"
        return f"best constant ({goal}{', with hindsight' if self.hindsight else ''})"

    def fit(self, train: Dataset) -> BestConstant:
        """Choose the place among those of the photos of `train`."""
        self.place, self.value = best_constant(places_of(train), within_km=self.within_km)
        return self

    def locate(self, images: Sequence[Photo]) -> Posterior:
        """Return the same place for each photo."""
        return Posterior(self.place[None], torch.ones(len(images), 1))


def best_constant(
    latlon: ArrayLike,
    *,
    within_km: float | None = None,
    candidates: ArrayLike | None = None,
    scale_km: float = GEOGUESSR_SCALE_KM,
) -> tuple[Tensor, float]:
    """Find the one answer that serves photos at the given places best.

    Parameters
    ----------
    latlon : array_like, shape (N, 2)
        Where the photos were taken, degrees.
    within_km : float, optional
        Maximise the share of photos within this distance (R = 6371.0 km, ``<=``, as the
        benchmarks); if not given, the mean of ``exp(-km / scale_km)``.
    candidates : array_like, shape (M, 2), optional
        Allowed answers; the photos' own places if not given.

    Returns
    -------
    place : Tensor, shape (2,), float64
        The first of equals.
    value : float
        Share of the photos (0 to 1), or mean score as a share of a perfect one.

    Raises
    ------
    ValueError
        If there is no photo or candidate, a coordinate is not on Earth, or `within_km` is negative.

    Examples
    --------
    >>> place, share = best_constant([[48.9, 2.3], [48.8, 2.4], [-33.9, 151.2]], within_km=25)
    >>> place.tolist(), round(share, 2)
    ([48.9, 2.3], 0.67)
    """
    places = check_latlon(latlon).double()
    allowed = places if candidates is None else check_latlon(candidates, "candidates").double()
    if not len(places) or not len(allowed):
        raise ValueError("no place to choose from: give at least one photo and one candidate")
    if within_km is not None and within_km < 0:
        raise ValueError(f"within_km must not be negative: {within_km}")
    # Many photos share a place: each place is measured once and counted as often as it occurs.
    spots, count = places.unique(dim=0, return_counts=True)
    share = torch.empty(len(allowed), dtype=torch.float64)
    step = max(1, _BLOCK_PAIRS // len(spots))
    for start in range(0, len(allowed), step):
        km = haversine_matrix(allowed[start : start + step], spots, radius_km=EVAL_RADIUS_KM)
        gain = torch.exp(-km / scale_km) if within_km is None else (km <= within_km).float()
        gain = gain.double()
        share[start : start + step] = gain @ count.double() / len(places)
    best = int(share.argmax())
    return allowed[best], float(share[best])


def places_of(photos: Dataset) -> Tensor:
    """Coordinates (N, 2) of a data set, degrees, float64.

    Raises
    ------
    ValueError
        If it has no photos or a coordinate is not on Earth.
    """
    if not len(photos):
        raise ValueError("the reference set is empty")
    return check_latlon(np.column_stack([photos["latitude"], photos["longitude"]])).double()
