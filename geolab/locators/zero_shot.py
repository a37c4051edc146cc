"""Zero-shot geolocation: ask a CLIP for the country, then for the city.

Haas, Alberti and Skreta, "Learning generalized zero-shot learners for open-domain image
geolocalization" (StreetCLIP), arXiv 2302.00275, 2023. The paper calls it linear probing, though
nothing is trained:

1. the photo's feature against one sentence a country; softmax with the model's own scale;
2. in the winning country, its 30 most populous cities, asked the same way;
3. the answer is the city.

`rule="greedy"` is that. `rule="product"` multiplies the probability of every country by those of
its cities, so that a sure city can overrule a close call between two countries.

    asked = ZeroShot(load_clip(), ZeroShotConfig(level="city"))
    asked.locate(images)

A country's own place is its most populous city. Cities are known by country *and* name: in the
first public reproduction they were looked up by name, and the wrong Birmingham cost points.

CLIP's loss compares a photo with captions *drawn as often as they occur*, so its scores say how
much a country explains the photo, not how often photos come from there. The priors of a photo
collection are not in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.locators.prompts import (
    CITIES,
    COUNTRY_PROMPTS,
    cities,
    city_features,
    country_features,
    country_points,
)
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from PIL import Image

    from geolab.encoders.clip import Clip


@dataclass(frozen=True)
class ZeroShotConfig:
    """What to ask.

    Attributes
    ----------
    level : {"country", "city"}
    rule : {"greedy", "product"}
        How country and city are joined.
    countries : tuple of str
        ISO codes to choose from; all of the gazetteer if empty.
    prompts : tuple of str
        Sentences with one ``{}`` for the country.
    per_country : int
        Cities of each country.
    """

    level: Literal["country", "city"] = "city"
    rule: Literal["greedy", "product"] = "greedy"
    countries: tuple[str, ...] = ()
    prompts: tuple[str, ...] = COUNTRY_PROMPTS
    per_country: int = CITIES

    def __post_init__(self) -> None:
        if self.level not in ("country", "city") or self.rule not in ("greedy", "product"):
            raise ValueError(
                f"level {self.level!r} must be country or city, {self.rule!r} greedy or product"
            )


class ZeroShot:
    """Locator without training; the features of its sentences are made once."""

    def __init__(self, clip: Clip, config: ZeroShotConfig = ZeroShotConfig()) -> None:
        self.clip, self.config = clip, config
        known = tuple(cities(1)["country"])
        self.codes = config.countries or known
        self.points = torch.from_numpy(country_points(self.codes))  # (C, 2)

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.clip.name} zero-shot, {self.config.level}"

    @cached_property
    def country_words(self) -> Tensor:
        """Text features of the countries, (C, D)."""
        return country_features(self.clip, self.codes, self.config.prompts)

    @cached_property
    def cities(self) -> pd.DataFrame:
        """Cities of the countries asked for, in the order of `codes`."""
        table = cities(self.config.per_country)
        number = {code: c for c, code in enumerate(self.codes)}
        table = table[table["country"].isin(number)]
        order = np.argsort(table["country"].map(number).to_numpy(), kind="stable")
        return table.iloc[order].reset_index(drop=True)

    @cached_property
    def city_words(self) -> Tensor:
        """Text features of the cities, (M, D)."""
        return city_features(self.clip, self.cities)

    @cached_property
    def _country_of_city(self) -> Tensor:
        number = {code: c for c, code in enumerate(self.codes)}
        return torch.tensor([number[code] for code in self.cities["country"]])

    def country_probabilities(self, features: Tensor) -> Tensor:
        """Chances of the countries for image features (N, D): (N, C), rows sum to 1."""
        return (self._cosines(features, self.country_words)).softmax(1)

    def _cosines(self, features: Tensor, words: Tensor) -> Tensor:
        scale = self.clip.logit_scale.detach().float().cpu().clamp(max=100)
        return scale * F.normalize(features.float(), dim=1) @ words.T

    def countries_of(self, features: Tensor) -> list[str]:
        """Code of the likeliest country of each photo."""
        return [self.codes[i] for i in self.country_probabilities(features).argmax(1).tolist()]

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo."""
        return self.locate_features(self.clip.encode(images))

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for image features (N, D), over all countries or all cities.

        Raises
        ------
        ValueError
            If a feature is not finite; its row is named.
        """
        bad = (~features.isfinite()).any(1).nonzero()
        if len(bad):
            raise ValueError(f"row {int(bad[0])} has a feature that is not finite")
        countries = self.country_probabilities(features)  # (N, C)
        if self.config.level == "country":
            return Posterior.from_votes(self.points, countries.double())
        places = torch.from_numpy(self.cities[["lat", "lon"]].to_numpy(float))  # (M, 2)
        return Posterior.from_votes(places, self._city_weights(features, countries))

    def _city_weights(self, features: Tensor, countries: Tensor) -> Tensor:
        """P(country) P(city | country), (N, M).

        Greedy keeps the order within the winner and puts every other country behind it: their
        cities are scaled so that the best of them stays just below the winner's best.
        """
        scores, of = self._cosines(features, self.city_words), self._country_of_city  # (N, M)
        peak = torch.full_like(countries, -torch.inf).index_reduce(1, of, scores, "amax")
        mass = (scores - peak[:, of]).exp().double()
        total = torch.zeros_like(countries.double()).index_add(1, of, mass)
        weight = countries.double()[:, of] * mass / total[:, of]
        if self.config.rule == "product":
            return weight
        mine = of[None] == countries.argmax(1)[:, None]  # (N, M)
        best = (weight * mine).amax(1, keepdim=True)
        rival = (weight * ~mine).amax(1, keepdim=True).clamp_min(1e-300)
        return torch.where(mine, weight, weight * (0.999 * best / rival).clamp(max=1))
