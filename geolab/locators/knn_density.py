r"""Nearest neighbours in a learnt embedding, and where on the sphere their weight is densest.

Vo, Jacobs and Hays, "Revisiting IM2GPS in the deep learning era", ICCV 2017: retrieval's answer to
PlaNet. The features come from a network that was trained to name cells; the answer does not:

.. math:: f(x) = \sum_{i=1}^{k} w_i \exp\!\left(-\frac{d(x, x_i)^2}{2 \sigma^2}\right),
          \qquad w_i = \frac{1}{\lVert q - q_i \rVert^m}

over the k most alike references, with great-circle distance d in kilometres. The answer is the
neighbour where f is largest. The released program has exponent 10 on *squared* distances, m = 20
here, and sigma = 4 degrees, 444.8 km; it works on a degree raster (`geolab.locators.raster2017`),
which ``mode="raster2017"`` reproduces for comparison.

    knn = KnnDensity(planet, KnnDensityConfig(k=100)).fit(train)
    posterior = knn.locate(images)
    knn.reconfigured(sigma_km=100).locate_features(features)
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from geolab.data.array_file import load_arrays, save_arrays
from geolab.kernels import density_vote
from geolab.kernels.topk import topk
from geolab.locators.baselines import places_of
from geolab.locators.raster2017 import raster2017
from geolab.posterior import Posterior
from geolab.sphere import check_latlon, chord_to_km, great_circle_km, to_latlon, to_unit

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

SIGMA_KM = 444.8
"""4 degrees of latitude."""
_FILE = {"kind": "kNN references", "version": 1}
_MAX_STEPS, _STILL_KM = 200, 1e-3


class PhotoEncoder(Protocol):
    """What turns photos into features, such as `PlaNet` or a CLIP tower."""

    def embed(self, images: Sequence[Image.Image]) -> Tensor:
        """Embed images: (N, D)."""

    def embed_photos(self, photos: Dataset) -> Tensor:
        """Embed a data set: (N, D), zeros where a photo cannot be read."""


@dataclass(frozen=True)
class KnnDensityConfig:
    """How to vote.

    Attributes
    ----------
    k : int
        Neighbours.
    power : float
        Exponent m of the distance between L2-normalised features.
    sigma_km : float
        Deviation of the Gaussian.
    mode : {"sphere", "raster2017"}
    snap_km : float
        The most alike neighbour within this distance of the peak is the answer (100 km in the
        released program); 0 to leave the peak. Off on the sphere, where the peak is a neighbour.
    climb : bool
        Walk from the best neighbour to the true maximum of f.
    """

    k: int = 100
    power: float = 20.0
    sigma_km: float = SIGMA_KM
    mode: Literal["sphere", "raster2017"] = "sphere"
    snap_km: float = 0.0
    climb: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("sphere", "raster2017"):
            raise ValueError(f"mode must be sphere or raster2017, not {self.mode!r}")
        if self.k < 1 or self.power < 0 or self.sigma_km <= 0 or self.snap_km < 0:
            raise ValueError(f"{self}: k and sigma_km must be positive, power and snap_km not less")


class KnnDensity:
    """Locator of 2017. `fit` on references, then `locate`.

    Parameters
    ----------
    encoder : PhotoEncoder or None
        None for features made elsewhere (`fit_features`, `locate_features`).
    config : KnnDensityConfig

    Attributes
    ----------
    features : Tensor, shape (N, D)
        Of the references, unit length.
    latlon : Tensor, shape (N, 2)
    """

    features: Tensor
    latlon: Tensor

    def __init__(
        self, encoder: PhotoEncoder | None = None, config: KnnDensityConfig | None = None
    ) -> None:
        self.encoder, self.config = encoder, config or KnnDensityConfig()

    @property
    def name(self) -> str:
        """For tables."""
        c = self.config
        if c.mode == "raster2017":
            return f"kNN {c.k}, raster of 2017"
        return f"kNN {c.k} + density {c.sigma_km:.0f} km"

    def fit(self, train: Dataset) -> KnnDensity:
        """Embed the references; a photo that cannot be read is left out."""
        features = self._encoder().embed_photos(train)
        good = features.abs().sum(1) > 0
        return self.fit_features(features[good], places_of(train)[good])

    def fit_features(self, features: Tensor, latlon: Tensor) -> KnnDensity:
        """Take references as features (N, D) and degrees (N, 2).

        Raises
        ------
        ValueError
            If shapes disagree, k is larger than N, or a feature is not finite (its row is named).
        """
        if len(features) != len(latlon):
            raise ValueError(f"{len(features)} features for {len(latlon)} places")
        if self.config.k > len(features):
            raise ValueError(
                f"k = {self.config.k} neighbours of {len(features)} references: take a smaller k"
            )
        self.features, self.latlon = _unit(features, "reference"), check_latlon(latlon).double()
        return self

    def reconfigured(self, **changes: Any) -> KnnDensity:
        """Return the same references, voting otherwise."""
        other = copy.copy(self)
        other.config = replace(self.config, **changes)
        if other.config.k > len(self._fitted()):
            raise ValueError(f"k = {other.config.k} neighbours of {len(self.features)} references")
        return other

    def neighbours(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Distances and rows of the k most alike references, both (B, k), nearest first."""
        squared, rows = topk(_unit(features, "query"), self._fitted(), self.config.k, metric="l2")
        return squared.double().clamp_min(0).sqrt(), rows

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo."""
        return self.locate_features(self._encoder().embed(images))

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for embeddings (B, D); the support are the neighbours, weighted by f at each.

        The mode is the estimator's answer. With ``mode="raster2017"`` the answer is one point.
        """
        distances, rows = self.neighbours(features)
        return self.vote(distances, self.latlon[rows])

    def vote(self, distances: Tensor, places: Tensor) -> Posterior:
        """As `locate_features`, for neighbours found before: (B, k) and (B, k, 2) degrees."""
        config, weights = self.config, inverse_power(distances, self.config.power)
        if config.mode == "raster2017":
            pairs = zip(places.numpy(), weights.numpy(), strict=True)
            points = [raster2017(p, w, snap_km=config.snap_km or 100.0) for p, w in pairs]
            answers = torch.from_numpy(np.array(points).reshape(-1, 1, 2))  # (B, 1, 2)
            return Posterior(answers, torch.ones(len(points), 1, dtype=torch.float64))
        best, density = density_vote(places, weights, config.sigma_km)
        density = density.double().cpu()
        if config.climb:
            peak, height = _climb(places, weights, best, config.sigma_km)
            places = torch.cat([peak[:, None], places], 1)
            density = torch.cat([height[:, None], density], 1)
        if config.snap_km:
            density = _snapped(places, density, config.snap_km, first=int(config.climb))
        return Posterior.from_votes(places, density)

    def _encoder(self) -> PhotoEncoder:
        if self.encoder is None:
            raise RuntimeError("no encoder was given: use fit_features and locate_features")
        return self.encoder

    def _fitted(self) -> Tensor:
        if not hasattr(self, "features"):
            raise RuntimeError("no references yet: call fit(train) or fit_features first")
        return self.features

    def save(self, path: str | os.PathLike) -> Path:
        """Write references and configuration to one .npz file, whole or not at all."""
        arrays = {"features": self._fitted().numpy(), "latlon": self.latlon.numpy()}
        return save_arrays(path, arrays, about={"config": asdict(self.config)}, **_FILE)

    @classmethod
    def load(cls, path: str | os.PathLike, encoder: PhotoEncoder | None = None) -> KnnDensity:
        """Read what `save` wrote; raises DataError for a damaged or foreign file."""
        arrays, about = load_arrays(path, **_FILE)
        locator = cls(encoder, KnnDensityConfig(**about["config"]))
        held = (torch.from_numpy(arrays[name]) for name in ("features", "latlon"))
        return locator.fit_features(*held)


def _unit(features: Tensor, what: str) -> Tensor:
    """Bring features to unit length, float32; name the first row that is not finite."""
    features = torch.as_tensor(features).float()
    bad = (~features.isfinite()).any(1)
    if bad.any():
        raise ValueError(f"{what} row {int(bad.nonzero()[0])} has a feature that is not finite")
    return torch.nn.functional.normalize(features, dim=1)


def inverse_power(distances: Tensor, power: float) -> Tensor:
    """Weights 1 / d^power, each row divided by its largest: (B, k) float64.

    An exact duplicate has d = 0; it counts as 1e-6, far nearer than anything else and not infinite.
    """
    logs = -power * distances.double().clamp_min(1e-6).log()
    return (logs - logs.amax(1, keepdim=True)).exp()


def _snapped(places: Tensor, density: Tensor, snap_km: float, first: int) -> Tensor:
    """Give the peak's density to the most alike neighbour near it."""
    rows, peak = torch.arange(len(density)), density.argmax(1)
    near = great_circle_km(places, places[rows, peak][:, None]) < snap_km  # (B, K)
    near[:, :first] = False  # a climbed peak is no neighbour
    chosen = torch.where(near.any(1), near.int().argmax(1), peak)
    out = density.clone()
    out[rows, peak], out[rows, chosen] = density[rows, chosen], density[rows, peak]
    return out


def _climb(
    places: Tensor, weights: Tensor, start: Tensor, sigma_km: float
) -> tuple[Tensor, Tensor]:
    """Gaussian mean shift from the best neighbour: peak (B, 2) in degrees and f there (B,)."""
    xyz = to_unit(places)
    now = xyz[torch.arange(len(xyz)), start.cpu()]
    for _ in range(_MAX_STEPS):
        pull = weights * torch.exp(-0.5 * (chord_to_km(now[:, None], xyz) / sigma_km) ** 2)
        after = torch.nn.functional.normalize((pull[..., None] * xyz).sum(1), dim=1)
        moved = chord_to_km(now, after).max() if len(now) else torch.zeros(())
        now = after
        if moved < _STILL_KM:
            break
    km = chord_to_km(now[:, None], xyz)
    return to_latlon(now), (weights * torch.exp(-0.5 * (km / sigma_km) ** 2)).sum(1)
