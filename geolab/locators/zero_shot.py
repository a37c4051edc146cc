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
    asked.locate(images)                              # nothing to fit
    asked.country_probabilities(features)             # (N, C), columns as asked.codes

A country's own place is its most populous city. Cities are known by country *and* name: the public
reproduction of the paper looks them up by name, takes the first of that name, and stays below the
paper's figures, in part for that reason.

Of a greedy answer only the order is the paper's. Its posterior holds all cities: those of the
winning country keep P(country) P(city | country); all others are scaled down, by one factor for
each photo, until the best of them stays behind the winner's best. So `mode` is the paper's city and
the rest still tells where else it might be.

A contrastive loss compares a photo with captions drawn as often as they occur, so the scores say
how well a country explains the photo, not how many photos come from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.locators.prompts import (
    CITIES,
    COUNTRY_PROMPTS,
    check_prompts,
    cities,
    city_features,
    country_features,
    country_points,
)
from geolab.posterior import Posterior

_BLOCK = 1024  # photos whose weights of all cities are worked out at once

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
        if self.per_country < 1:
            raise ValueError(f"per_country is {self.per_country}: ask for one city at least")
        twice = [code for code in self.countries if self.countries.count(code) > 1]
        if twice:
            raise ValueError(f"country {twice[0]!r} is listed twice: name each once")
        check_prompts(self.prompts)


class ZeroShot:
    """Locator without training; the features of its sentences are made once.

    Parameters
    ----------
    clip : Clip
        Or anything with name, embed_text, encode and logit_scale.
    config : ZeroShotConfig

    Attributes
    ----------
    codes : tuple of str
        Countries, in the order of `country_probabilities`.
    points : Tensor, shape (C, 2)
        Most populous city of each, degrees.

    Raises
    ------
    ValueError
        If a country has no place in the gazetteer; its code is named.
    """

    def __init__(self, clip: Clip, config: ZeroShotConfig = ZeroShotConfig()) -> None:
        self.clip, self.config = clip, config
        known = tuple(cities(1)["country"])
        self.codes = tuple(config.countries) or known
        self.points = torch.tensor(country_points(self.codes))  # (C, 2)

    @property
    def name(self) -> str:
        """For tables."""
        level, rule = self.config.level, self.config.rule
        said = f"{self.clip.name} zero-shot, {level}"
        return f"{said}, {rule}" if level == "city" and rule != "greedy" else said

    @cached_property
    def country_words(self) -> Tensor:
        """Text features of the countries, (C, D)."""
        return country_features(self.clip, self.codes, self.config.prompts)

    @cached_property
    def cities(self) -> pd.DataFrame:
        """Cities of the countries asked for, in the order of `codes`."""
        table = cities(self.config.per_country)
        table["number"] = table["country"].map({code: c for c, code in enumerate(self.codes)})
        table = table.dropna(subset="number").sort_values("number", kind="stable")
        return table.drop(columns="number").reset_index(drop=True)

    @cached_property
    def city_words(self) -> Tensor:
        """Text features of the cities, (M, D)."""
        return city_features(self.clip, self.cities)

    @cached_property
    def _country_of_city(self) -> Tensor:
        number = {code: c for c, code in enumerate(self.codes)}
        return torch.tensor([number[code] for code in self.cities["country"]])

    def country_probabilities(self, features: Tensor) -> Tensor:
        """Chances of the countries for image features (N, D): (N, C), rows sum to 1.

        Raises
        ------
        ValueError
            If a feature is not finite; its row is named.
        """
        return self._cosines(features, self.country_words).softmax(1)

    def _cosines(self, features: Tensor, words: Tensor) -> Tensor:
        """Scaled cosines of features (N, D) and words (M, D): (N, M)."""
        bad = (~features.isfinite()).any(1).nonzero()
        if len(bad):
            raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
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
        countries = self.country_probabilities(features)  # (N, C)
        if self.config.level == "country":
            return Posterior.from_votes(self.points, countries.double())
        places = torch.tensor(self.cities[["lat", "lon"]].to_numpy(float))  # (M, 2)
        blocks = zip(features.split(_BLOCK), countries.split(_BLOCK), strict=True)
        weight = torch.cat([self._city_weights(f, c).float() for f, c in blocks])
        return Posterior.from_votes(places, weight)

    def _city_weights(self, features: Tensor, countries: Tensor) -> Tensor:
        """P(country) P(city | country), (N, M); greedy as the module says."""
        scores, of = self._cosines(features, self.city_words), self._country_of_city  # (N, M)
        row = of.expand(len(scores), -1)
        peak = torch.full_like(countries, -torch.inf).scatter_reduce(1, row, scores, "amax")
        mass = (scores - peak[:, of]).exp().double()
        total = torch.zeros_like(countries.double()).index_add(1, of, mass)
        weight = countries.double()[:, of] * mass / total[:, of]
        if self.config.rule == "product":
            return weight
        mine = of[None] == countries.argmax(1)[:, None]  # (N, M)
        best = (weight * mine).amax(1, keepdim=True)
        rival = (weight * ~mine).amax(1, keepdim=True).clamp_min(1e-300)
        return torch.where(mine, weight, weight * (0.999 * best / rival).clamp(max=1))
