"""Words to ask a CLIP with: countries and cities, keyed so that equal names stay apart.

A zero-shot classifier is a list of sentences, one for each answer. Several wordings of one answer
are an ensemble: the mean of their features, brought back to unit length, is steadier than any of
them (Radford et al., 2021, section 3.1.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from torch import Tensor
from torch.nn import functional as F

from geolab.data.gazetteer import load_gazetteer
from geolab.encoders.captions import country_words, place_words

if TYPE_CHECKING:
    from geolab.encoders.clip import Clip

COUNTRY_PROMPTS = ("A street photo in {}.",)
ENSEMBLE = (*COUNTRY_PROMPTS, "A photo from {}.", "A photo that I took in {}.", "A road in {}.")
"""Several wordings of a country."""
CITIES = 30
"""Cities of a country that StreetCLIP asks for."""


def cities(per_country: int = CITIES) -> pd.DataFrame:
    """Most populous places of every country, largest first within each.

    Returns
    -------
    DataFrame
        Columns name, country (code), lat, lon, population; (country, name) names one row: of two
        places of one name in one country the larger stays.

    Raises
    ------
    ValueError
        If `per_country` is less than 1.

    Examples
    --------
    >>> cities(2).query("country == 'NO'")["name"].tolist()
    ['Oslo', 'Bergen']
    """
    if per_country < 1:
        raise ValueError(f"per_country is {per_country}: ask for one city of each country at least")
    return _cities(per_country).copy()


@lru_cache(maxsize=8)
def _cities(per_country: int) -> pd.DataFrame:
    places = load_gazetteer().places.sort_values(
        ["country", "population", "name"], ascending=[True, False, True], kind="stable"
    )
    places = places.drop_duplicates(["country", "name"])
    kept = places.groupby("country", sort=True).head(per_country)
    return kept[["name", "country", "lat", "lon", "population"]].reset_index(drop=True)


def country_points(codes: Sequence[str]) -> np.ndarray:
    """Most populous city of each country, (C, 2) degrees: what a country's name answers with.

    Raises
    ------
    ValueError
        For a code without a place in the gazetteer; it is named.
    """
    _check_codes(codes)
    return _cities(1).set_index("country").loc[list(codes), ["lat", "lon"]].to_numpy(float)


def country_features(clip: Clip, codes: Sequence[str], prompts: Sequence[str]) -> Tensor:
    """Text features of countries, (C, D), unit length; the mean over the prompts.

    Raises
    ------
    ValueError
        For a code without a place in the gazetteer, or a prompt that has no ``{}``.
    """
    _check_codes(codes)
    check_prompts(prompts)
    words = [country_words(code) for code in codes]
    return _ensemble(clip, [[prompt.format(word) for prompt in prompts] for word in words])


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse a list of sentences that could not tell two countries apart."""
    if isinstance(prompts, str) or not prompts:
        raise ValueError(f"prompts are {prompts!r}: give a tuple of sentences, each with one {{}}")
    for prompt in prompts:
        if prompt.count("{}") != 1 or prompt.count("{") != 1 or prompt.count("}") != 1:
            raise ValueError(f"prompt {prompt!r} needs one {{}}, where the country stands")


def _check_codes(codes: Sequence[str]) -> None:
    known = set(_cities(1)["country"])
    unknown = [code for code in codes if code not in known]
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} is no country with a place in the gazetteer: use ISO codes of two "
            "letters, as 'NO'"
        )


def city_features(clip: Clip, table: pd.DataFrame) -> Tensor:
    """Text features of the rows of `cities`, (M, D): town and country in one prompt."""
    rows = zip(table["name"], table["country"], strict=True)
    return _ensemble(clip, [[f"A street photo {place_words(c, '', town)}."] for town, c in rows])


def _ensemble(clip: Clip, texts: Sequence[Sequence[str]]) -> Tensor:
    """Mean feature of each list of texts; all lists are of one length."""
    flat = clip.embed_text([text for several in texts for text in several])
    return F.normalize(flat.view(len(texts), -1, flat.shape[1]).mean(1), dim=1)  # (C P, D) -> C
