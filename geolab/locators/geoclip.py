r"""GeoCLIP: a photo chooses among places, not among photos or cells.

Vivanco Cepeda, Nayak and Shah, "GeoCLIP: CLIP-inspired alignment between locations and images for
effective worldwide geo-localization", NeurIPS 2023. Places get embeddings of their own
(`geolab.encoders.location`), in one space with photos (`geolab.locators.geoclip_train`). A photo is
then compared with a *gallery* of coordinates, for which no photo is needed:

.. math:: P(g \mid \mathrm{photo}) = \mathrm{softmax}_g\ (s\, u \cdot v_g / T)

    locator = GeoClip(load_clip()).fit(train, validation=held)    # the gallery: places of `train`
    posterior = locator.locate(images)
    locator.with_gallery(places)                                  # the same network, other answers
    locator = load_published()                                    # geolab.locators.geoclip_weights

**Any gallery.** Nothing is trained anew for another gallery, and that is the trap: one that holds
the test places "finds" them to the metre. `geolab.locators.geoclip_studies` draws both curves.

**Small answers.** A `Posterior` holds the `support` best places of a gallery, weights scaled to sum
to one; the search is exact (`geolab.kernels.topk`). `kept` says how much of the softmax they hold.

**Temperature.** The learnt scale s makes training work, not probabilities. T is fitted on
validation photos: the likelihood of the gallery place nearest to the truth is made large (the
gallery as a partition, each place standing for what is nearest to it; Guo et al., "On calibration
of modern neural networks", ICML 2017).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.errors import DataError
from geolab.encoders.clip import Clip
from geolab.encoders.cnn import to_pixels
from geolab.encoders.location import LocationConfig
from geolab.encoders.pixels import read_pixels
from geolab.kernels import topk
from geolab.locators.baselines import places_of
from geolab.locators.geoclip_config import PUBLISHED, GeoClipConfig
from geolab.locators.geoclip_gallery import Gallery, gallery_features, make_gallery
from geolab.locators.geoclip_temperature import fit_temperature, share_kept
from geolab.locators.geoclip_train import (
    GeoClipNetwork,
    checked_features,
    fit_network,
    photo_features,
)
from geolab.posterior import Posterior
from geolab.sphere import ArrayLike
from geolab.training import History, TrainConfig, load_weights, save_weights
from geolab.training.checkpoint import read_about

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

__all__ = ["PUBLISHED", "GeoClip", "GeoClipConfig"]
_PHOTOS = 200  # asked at once
_ON_DISK = 1 << 22  # numbers in a gallery's embeddings from which they are kept: 16 MB
_FILE = {"kind": "GeoCLIP gallery", "version": 1}


class GeoClip:
    """Locator of 2023. `fit` on photos or on features, then `locate`.

    Attributes
    ----------
    network : GeoClipNetwork
    gallery : Gallery
    temperature : float
        T; 1 is the network's own.
    history : History
    """

    name = "GeoCLIP"
    network: GeoClipNetwork
    gallery: Gallery
    history: History

    def __init__(self, clip: Clip | None = None, config: GeoClipConfig | None = None) -> None:
        self.clip, self.config = clip, config or GeoClipConfig()
        self.temperature = 1.0

    def fit(
        self, photos: Dataset, *, validation: Dataset | None = None, progress: str = ""
    ) -> GeoClip:
        """Embed photos and learn; photos that cannot be read are left out."""
        features, places = self._read(photos)
        held = self._read(validation) if validation is not None else None
        return self.fit_features(features, places, validation=held, progress=progress)

    def _read(self, photos: Dataset) -> tuple[Tensor, Tensor]:
        read = read_pixels(photos, self._encoder().size)
        return self._embed(read.values[read.good]), places_of(photos)[read.good]

    def _embed(self, pixels: Tensor) -> Tensor:
        """CLIP's features of pixels (N, 3, S, S), as the configuration wants them."""
        clip = self._encoder()
        if self.config.unit_length:
            return clip.embed_pixels(pixels, self.config.feature)
        return projected(clip, pixels)

    def fit_features(
        self,
        features: Tensor,
        places: Tensor,
        *,
        validation: tuple[Tensor, Tensor] | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> GeoClip:
        """As `fit`, on features (N, D) made before; the gallery becomes the places (N, 2).

        With validation photos the epoch and the temperature are chosen by them.

        Raises
        ------
        ValueError
            If lengths disagree, or a feature or place is not what it should be; its row is named.
        """
        how = {"validation": validation, "checkpoint": checkpoint, "progress": progress}
        self.network, self.history = fit_network(features, places, self.config, **how)
        self.gallery = make_gallery(places)
        self.__dict__.pop("places_embedded", None)
        self.temperature = 1.0
        if validation is not None:
            self.temperature = self.fitted_temperature(*validation)
        return self

    @cached_property
    def places_embedded(self) -> Tensor | np.ndarray:
        """Embeddings of the gallery (M, dim); a large one is kept in the cache folder."""
        encoder = self._fitted().location
        if len(self.gallery) * encoder.config.dim < _ON_DISK:
            return encoder.embed(self.gallery.latlon)
        return gallery_features(encoder, self.gallery)

    def with_gallery(self, latlon: ArrayLike | Gallery) -> GeoClip:
        """Return the same network with other places to choose from.

        Raises
        ------
        ValueError
            If the gallery is empty or a row is no place; see `make_gallery`.
        """
        other = copy.copy(self)
        other.__dict__.pop("places_embedded", None)
        other.gallery = latlon if isinstance(latlon, Gallery) else make_gallery(latlon)
        return other

    def reconfigured(
        self, *, temperature: float | None = None, support: int | None = None
    ) -> GeoClip:
        """Return the same network and gallery, answering at another T or with more places."""
        other = copy.copy(self)
        if temperature is not None:
            if not 0 < temperature < float("inf"):
                raise ValueError(f"temperature {temperature} must be positive")
            other.temperature = float(temperature)
        if support is not None:
            other.config = replace(self.config, support=support)
        return other

    def fitted_temperature(self, features: Tensor, truth: ArrayLike) -> float:
        """Temperature that fits photos (B, D) with known places (B, 2); 1 for a single place."""
        photos, scale = self._photos(features), self._scale()
        return fit_temperature(photos, truth, self.places_embedded, self.gallery.latlon, scale)

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo."""
        return self.locate_features(self._embed(to_pixels(images, self._encoder().size)))

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for CLIP's features (B, D): the best places of the gallery, best first.

        Raises
        ------
        ValueError
            If features have another length than those of the training, or one is not finite.
        """
        photos, k = self._photos(features), self._support()
        if not len(photos):
            return Posterior(self.gallery.latlon[:k], torch.empty(0, k, dtype=torch.float64))
        # In a crowded gallery the search compares with every place, in float64: some at once.
        found = [topk(some, self.places_embedded, k) for some in photos.split(_PHOTOS)]
        cosine, rows = (torch.cat(parts) for parts in zip(*found, strict=True))
        logits = self._scale() / self.temperature * cosine.double()  # (B, K)
        return Posterior.from_logits(self.gallery.latlon[rows], logits)

    def kept(self, features: Tensor) -> Tensor:
        """Share of the softmax over the whole gallery that an answer holds: (B,) in (0, 1]."""
        sharp = self._scale() / self.temperature
        return share_kept(self._photos(features), self.places_embedded, sharp, self._support())

    def _support(self) -> int:
        return min(self.config.support, len(self.gallery))

    def _scale(self) -> float:
        return float(self._fitted().scale.detach())

    def _photos(self, features: Tensor) -> Tensor:
        """Unit embeddings of features, once they are known to fit."""
        network, features = self._fitted(), checked_features(features)
        wanted = network.head.mean.numel()
        if features.shape[1] != wanted:
            raise ValueError(
                f"features have {features.shape[1]} numbers, the network was taught {wanted}: take "
                "the encoder and feature that it was fitted with"
            )
        if not self.config.unit_length and len(features):
            lengths = features.norm(dim=1)
            if ((lengths - 1).abs() < 1e-3).all():
                raise ValueError(
                    "features have length 1, and this network was taught longer ones: make them "
                    "with geolab.locators.geoclip.projected, or call locate with photos"
                )
        return photo_features(network, features)

    def _fitted(self) -> GeoClipNetwork:
        if not hasattr(self, "network"):
            raise RuntimeError("nothing learnt yet: call fit, GeoClip.load or load_published")
        return self.network.eval()

    def _encoder(self) -> Clip:
        if self.clip is None:
            raise RuntimeError("no CLIP given: use GeoClip(load_clip()), or features")
        return self.clip

    def save(self, folder: str | os.PathLike) -> Path:
        """Write weights, gallery and configuration into a folder."""
        folder, network = Path(folder), self._fitted()
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            "latlon": self.gallery.latlon.numpy(),
            "n_given": np.array([self.gallery.n_given]),
        }
        save_arrays(folder / "gallery.npz", arrays, **_FILE)
        about: dict[str, Any] = {"kind": self.name, "config": asdict(self.config)}
        about |= {"n_in": network.head.mean.numel(), "temperature": self.temperature}
        about["identity"] = {"gallery": self.gallery.hash}
        kept = {"seconds": self.history.seconds, "n_parameters": self.history.n_parameters}
        save_weights(folder / "weights.safetensors", network, about | {"history": kept})
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike, clip: Clip | None = None) -> GeoClip:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If a file is damaged, or the weights belong to another gallery.
        """
        path = Path(folder) / "weights.safetensors"
        about = read_about(path)
        if about.get("kind") != cls.name:
            raise DataError(f"{path} holds {about.get('kind')!r}, not {cls.name}")
        locator = cls(clip, _config_from(about["config"]))
        arrays, _ = load_arrays(Path(folder) / "gallery.npz", **_FILE)
        locator.gallery = Gallery(torch.from_numpy(arrays["latlon"]), int(arrays["n_given"][0]))
        network = GeoClipNetwork(about["n_in"], locator.config)
        load_weights(path, network, {"gallery": locator.gallery.hash})
        locator.network, locator.temperature = network.eval(), about["temperature"]
        locator.history = History(**about["history"])
        return locator


@torch.no_grad()
def projected(clip: Clip, pixels: Tensor, *, batch: int = 256) -> Tensor:
    """CLIP's projected class token before it is brought to length 1: (N, D) float32 on the CPU.

    Parameters
    ----------
    pixels : Tensor of uint8, shape (N, 3, S, S)
    """
    clip.eval()
    blocks = pixels.split(batch) if len(pixels) else ()
    place = clip.mean.device
    parts = [clip.model.encode_image(clip.normal(b.to(place))).float().cpu() for b in blocks]
    return torch.cat(parts) if parts else torch.empty(0, clip.dims["image"])


def _config_from(plain: dict[str, Any]) -> GeoClipConfig:
    """Undo `asdict`; JSON has no tuples."""
    location = plain["location"] | {"sigmas": tuple(plain["location"]["sigmas"])}
    schedule = plain["train"] | {"halve_at": tuple(plain["train"]["halve_at"])}
    config = GeoClipConfig(**(plain | {"location": LocationConfig(**location)}))
    return replace(config, train=TrainConfig(**schedule))
