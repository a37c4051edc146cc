"""Neighbours in CLIP's space, searched in shards on disk: the strong baseline of 2021.

A photo is where the most alike photos of a large reference set are. With CLIP's features and a
million references that reached 13.9 % within 1 km on IM2GPS, before anyone had trained CLIP for
geolocation at all.

    store = EmbeddingStore("emb/")                           # made by geolab embed
    knn = ClipKnn(load_clip(), store, NEAREST)
    knn.locate(images)

The search is exact, by cosine, and has one shard in memory at a time. How k neighbours vote is
`geolab.locators.knn_density`'s rule; references that fit in memory are searched there directly:
``KnnDensity(clip, config).fit(photos)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from geolab.data.errors import DataError
from geolab.encoders.shards import EmbeddingStore
from geolab.locators.knn_density import KnnDensity, KnnDensityConfig
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from PIL import Image

    from geolab.encoders.clip import Clip


NEAREST = KnnDensityConfig(k=1)
"""The most alike photo's place."""


class ClipKnn:
    """Locator over a folder of embeddings; nothing to fit.

    Parameters
    ----------
    clip : Clip
        That made the embeddings.
    store : EmbeddingStore
    config : KnnDensityConfig

    Raises
    ------
    DataError
        If the embeddings were made by another model, with other weights or from photos prepared
        otherwise; both are named.
    ValueError
        If k is larger than the number of photos that could be read.
    """

    def __init__(
        self,
        clip: Clip,
        store: EmbeddingStore,
        config: KnnDensityConfig = NEAREST,
    ) -> None:
        self.clip, self.store, self.config = clip, store, config
        here = {
            "model": clip.name,
            "weights": clip.weights_hash,
            "preprocessing": clip.preprocessing,
        }
        for key, value in here.items():
            if store.about[key] != value:
                raise DataError(
                    f"{store.folder} was made with {key} {store.about[key]!r}, this CLIP has "
                    f"{value!r}: take the same, or embed the photos again"
                )
        readable = sum(about["rows"] - len(about["unreadable"]) for _, about in store.shards)
        if config.k > readable:
            raise ValueError(
                f"k = {config.k} neighbours of {readable} references: take a smaller k"
            )

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.clip.name} {KnnDensity(None, self.config).name}"

    def neighbours(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Distances between unit features and rows of the k most alike references, (B, k) each.

        Raises
        ------
        ValueError
            If a feature is not finite; its row is named.
        """
        bad = (~features.isfinite()).any(1).nonzero()
        if len(bad):
            raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
        cosine, rows = self.store.search(features, self.config.k)
        return (2 - 2 * cosine.double()).clamp_min(0).sqrt(), rows

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo."""
        return self.locate_features(self.clip.encode(images, self.store.about["feature"]))

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for embeddings (B, D) of the kind that the store holds."""
        distances, rows = self.neighbours(features)
        return KnnDensity(None, self.config).vote(distances, self.store.latlon[rows].double())
