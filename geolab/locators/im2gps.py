"""im2gps: find photos that look alike, and answer with where they were taken.

Hays and Efros, "IM2GPS: estimating geographic information from a single image", CVPR 2008. Nothing
is learnt but the scale of each distance and a vocabulary of textons:

1. describe every reference photo in six ways (`geolab.encoders.im2gps`);
2. describe the query likewise, add up the six scaled distances to every reference, and sort;
3. answer: the place of the nearest (`nearest`), the places of the 120 nearest with a vote each
   (`votes`), or the piles that these votes form on the globe, found by mean shift (`modes`).

    locator = Im2GPS(Im2GPSConfig(answer="nearest")).fit(train)
    posterior = locator.locate(images)
    distances, rows = locator.neighbours(images, k=5)
    [locator.references.ids[row] for row in rows[0]]

k = 120, the bandwidth of 500 km (200 km belongs to the later lazy-learning version) and "clusters
of fewer than 4 are dropped" are recalled from the paper, not checked; how ties and steps are
settled is ours. No population prior enters.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.photos import read_images
from geolab.encoders.im2gps import (
    DISTANCE,
    FAMILIES,
    Encoder,
    Photo,
    SurfaceLayout,
    Textons,
    check_families,
    describe_all,
    make_encoders,
)
from geolab.locators.descriptor_index import DescriptorIndex, build_index, check_k
from geolab.locators.mean_shift import mean_shift
from geolab.posterior import Posterior
from geolab.training.estimate import announcing

if TYPE_CHECKING:
    from datasets import Dataset

_PHOTOS_AT_ONCE = 128
_PHOTOS_FOR_TEXTONS = 200
_FILE = {"kind": "im2gps index", "version": 1}


@dataclass(frozen=True)
class Im2GPSConfig:
    """How to describe, search and answer.

    Attributes
    ----------
    families : tuple of str
        Descriptors to add up; see `geolab.encoders.im2gps.FAMILIES`.
    answer : {"nearest", "votes", "modes"}
        The best match; the k best with equal weights; the modes of the k best, weighted by size.
    k : int
        Neighbours for votes and modes (120 recalled from the paper).
    bandwidth_km : float
        Mean shift window (500 km, 2008, recalled; the later version used 200 km).
    min_matches : int
        Smaller modes are dropped unless none is left (4, recalled).
    n_textons : int
        Size of the texton vocabulary.
    seed : int
        For the texton vocabulary and the pairs that scale the distances.
    """

    families: tuple[str, ...] = FAMILIES
    answer: Literal["nearest", "votes", "modes"] = "modes"
    k: int = 120
    bandwidth_km: float = 500.0
    min_matches: int = 4
    n_textons: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "families", tuple(self.families))
        check_families(self.families)
        if self.answer not in ("nearest", "votes", "modes"):
            raise ValueError(f"answer must be nearest, votes or modes, not {self.answer!r}")
        if min(self.k, self.min_matches, self.n_textons) < 1:
            raise ValueError("k, min_matches and n_textons must be at least 1")

    @property
    def neighbours_needed(self) -> int:
        """How many references an answer rests on."""
        return 1 if self.answer == "nearest" else self.k


class Im2GPS:
    """Locator of 2008. `fit` on references, then `locate`.

    Attributes
    ----------
    config : Im2GPSConfig
    references : DescriptorIndex
        Descriptors, places and ids of the references; there after `fit` or `load`.
    encoders : dict of str to Encoder
    unreadable : dict of str to str
        References that were left out, and why.
    """

    references: DescriptorIndex
    encoders: dict[str, Encoder]

    def __init__(self, config: Im2GPSConfig = Im2GPSConfig()) -> None:
        self.config = config
        self.unreadable: dict[str, str] = {}

    @property
    def name(self) -> str:
        """For tables: families (if not all), and how the answer is read."""
        c = self.config
        which = "im2gps" if c.families == FAMILIES else "im2gps " + "+".join(c.families)
        how = {"nearest": "1-NN", "votes": f"{c.k} votes", "modes": f"modes of {c.k}"}
        return f"{which}, {how[c.answer]}"

    def fit(self, train: Dataset, *, textons: Textons | None = None) -> Im2GPS:
        """Describe the reference photos.

        Parameters
        ----------
        train : datasets.Dataset
            id, image, latitude, longitude. Photos that cannot be read are left out and named in
            `unreadable`.
        textons : Textons, optional
            A vocabulary learnt before; else one is learnt from up to 200 of the photos.

        Raises
        ------
        ValueError
            If fewer photos can be read than one answer needs.
        """
        self.unreadable = {}
        if textons is None and "textons" in self.config.families:
            textons = self._learn_textons(train)
        self.encoders = make_encoders(self.config.families, textons)
        features, rows, self.unreadable = describe_photos(train, self.encoders)
        if len(rows) < self.config.neighbours_needed:
            raise ValueError(
                f"{len(rows)} of {len(train)} reference photos could be read; answer="
                f"{self.config.answer!r} needs k = {self.config.neighbours_needed}: give more "
                "photos, or a smaller k"
            )
        latlon = np.column_stack([train["latitude"], train["longitude"]])[rows]
        ids = np.asarray(train["id"], dtype=str)[rows]
        self.references = build_index(features, DISTANCE, latlon, ids, seed=self.config.seed)
        return self

    def _learn_textons(self, train: Dataset) -> Textons:
        rng = np.random.default_rng(self.config.seed)
        picked = rng.permutation(len(train))[:_PHOTOS_FOR_TEXTONS]
        images = [image for image in read_images(train.select(picked)).images if image is not None]
        return Textons.fit(images, n_textons=self.config.n_textons, seed=self.config.seed)

    def describe(self, images: Sequence[Photo]) -> dict[str, Tensor]:
        """Descriptors of photos, family by family, for the methods that end in `_described`."""
        return describe_all(images, self._fitted().encoders)

    def neighbours(self, images: Sequence[Photo], k: int) -> tuple[Tensor, Tensor]:
        """Nearest references by the combined distance: distances and rows, both (B, k)."""
        return self._fitted().references.search(self.describe(images), k, self.config.families)

    def locate(self, images: Sequence[Photo]) -> Posterior:
        """Answer for each photo. Raises ValueError without photos or with k > references."""
        return self.locate_described(self.describe(images))

    def locate_described(self, features: dict[str, Tensor]) -> Posterior:
        """As `locate`, for photos described before."""
        index = self._fitted().references
        _, rows = index.search(features, self.config.neighbours_needed, self.config.families)
        return answer_from(index.latlon[rows], self.config)

    def subset(self, rows: Sequence[int] | np.ndarray) -> Im2GPS:
        """Return the same locator with some of its references; nothing is described again."""
        check_k(self.config.neighbours_needed, len(rows))
        return self._with(self.config, self._fitted().references.subset(rows))

    def reconfigured(self, config: Im2GPSConfig) -> Im2GPS:
        """Return the same references read in another way; families must be among the old ones."""
        missing = set(config.families) - set(self._fitted().references.features)
        if missing:
            raise ValueError(f"families {sorted(missing)} were not described; fit again with them")
        check_k(config.neighbours_needed, len(self.references))
        return self._with(config, self.references)

    def _with(self, config: Im2GPSConfig, references: DescriptorIndex) -> Im2GPS:
        other = Im2GPS(config)
        other.encoders = {name: self.encoders[name] for name in config.families}
        other.references, other.unreadable = references, self.unreadable
        return other

    def _fitted(self) -> Im2GPS:
        if not hasattr(self, "references"):
            raise RuntimeError("no references yet: call fit(train) or Im2GPS.load(path) first")
        return self

    def save(self, path: str | os.PathLike) -> Path:
        """Write references, vocabulary and configuration to one .npz file, whole or not at all."""
        index = self._fitted().references
        arrays = {f"feature_{name}": values.numpy() for name, values in index.features.items()}
        arrays |= {"latlon": index.latlon.numpy(), "ids": np.array(index.ids, dtype=str)}
        about: dict[str, Any] = {"config": asdict(self.config), "sigma": dict(index.sigma)}
        if "textons" in self.encoders:
            textons = self.encoders["textons"]
            arrays["vocabulary"] = textons.vocabulary
            about["textons_longest_side"] = textons.longest_side
        if "layout" in self.encoders:
            arrays["layout_weights"] = self.encoders["layout"].weights
        return save_arrays(path, arrays, about=about, **_FILE)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Im2GPS:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is of another kind or version, or damaged.
        """
        arrays, about = load_arrays(path, **_FILE)
        known = {item.name for item in fields(Im2GPSConfig)}
        locator = cls(Im2GPSConfig(**{k: v for k, v in about["config"].items() if k in known}))
        names = [name.removeprefix("feature_") for name in arrays if name.startswith("feature_")]
        features = {name: torch.from_numpy(arrays[f"feature_{name}"]) for name in names}
        latlon, ids = torch.from_numpy(arrays["latlon"]), tuple(arrays["ids"].tolist())
        locator.references = DescriptorIndex(features, DISTANCE, about["sigma"], latlon, ids)
        textons = None
        if "vocabulary" in arrays:
            textons = Textons(arrays["vocabulary"], about["textons_longest_side"])
        layout = SurfaceLayout(arrays["layout_weights"]) if "layout_weights" in arrays else None
        locator.encoders = make_encoders(locator.config.families, textons, layout)
        return locator


def answer_from(matches: Tensor, config: Im2GPSConfig) -> Posterior:
    """Read the places of the matches, nearest first: (B, k, 2) -> Posterior."""
    if config.answer != "modes":
        equal = torch.full(matches.shape[:2], 1 / matches.shape[1], dtype=torch.float64)
        return Posterior(matches, equal)
    modes = mean_shift(matches, config.bandwidth_km, min_matches=config.min_matches)
    return Posterior.from_votes(modes.latlon, modes.count.double())


def describe_photos(
    photos: Dataset, encoders: dict[str, Encoder]
) -> tuple[dict[str, Tensor], list[int], dict[str, str]]:
    """Read and describe a data set, a hundred photos at a time.

    Returns
    -------
    features : dict of str to Tensor, (R, D_f)
        Of the photos that could be read.
    rows : list of R int
        Which these are.
    unreadable : dict of str to str
        Id and reason of each of the others.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in encoders}
    rows: list[int] = []
    unreadable: dict[str, str] = {}
    starts = range(0, len(photos), _PHOTOS_AT_ONCE)
    unit = f"blocks of {_PHOTOS_AT_ONCE} photos"
    tell = announcing("describing", len(starts), unit=unit, n_measured=1)
    for start in starts:
        read = read_images(photos.select(range(start, min(start + _PHOTOS_AT_ONCE, len(photos)))))
        unreadable |= read.errors
        good = [i for i, image in enumerate(read.images) if image is not None]
        rows += [start + i for i in good]
        for name, values in describe_all([read.images[i] for i in good], encoders).items():
            parts[name].append(values)
        tell()
    nothing = {name: [torch.empty(0, encoder.dim)] for name, encoder in encoders.items()}
    features = {name: torch.cat(values or nothing[name]) for name, values in parts.items()}
    return features, rows, unreadable
