"""Countries and cities asked for in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.data.gazetteer import load_gazetteer
from geolab.encoders.captions import country_words, place_words
from geolab.encoders.clip import load_clip
from geolab.locators.prompts import ENSEMBLE
from geolab.locators.zero_shot import ZeroShot, ZeroShotConfig
from geolab.metrics import errors_km
from tests.locators.askable import Askable

SOME = ("NO", "ES", "VE", "JP")
PLACES = {"Barcelona ES": [41.39, 2.16], "Barcelona VE": [10.14, -64.69]}


def asked_country(code):
    return f"A street photo in {country_words(code)}."


def asked_city(code, town):
    return f"A street photo {place_words(code, town=town)}."


def km(said, place):
    return errors_km(said.mode().numpy(), np.array([place]))[0]


def test_the_country_that_the_photo_resembles_wins():
    clip = Askable()
    zero = ZeroShot(clip, ZeroShotConfig("country"))
    assert len(zero.codes) == load_gazetteer().places["country"].nunique()
    photos = torch.cat([clip.like((asked_country(code), 1)) for code in SOME])
    chances = zero.country_probabilities(photos)
    assert chances.shape == (4, len(zero.codes))
    assert torch.allclose(chances.sum(1), torch.ones(4))
    assert zero.countries_of(photos) == list(SOME)
    assert km(zero.locate_features(photos[:1]), [59.91, 10.75]) < 10  # Oslo


@pytest.mark.parametrize(("scale", "used"), [(1.0, 1.0), (20.0, 20.0), (400.0, 100.0)])
def test_softmax_has_the_models_scale(scale, used):
    """And CLIP's own limit of it, 100."""
    clip = Askable(scale)
    zero = ZeroShot(clip, ZeroShotConfig("country", countries=SOME))
    photo = clip.like((asked_country("NO"), 3.0), (asked_country("JP"), 4.0))
    want = (used * torch.tensor([[0.6, 0.0, 0.0, 0.8]])).softmax(1)
    assert torch.allclose(zero.country_probabilities(photo), want, atol=1e-6)


def test_several_prompts_are_averaged():
    one, many = (
        ZeroShotConfig("country", countries=SOME, prompts=p) for p in (ENSEMBLE[:1], ENSEMBLE)
    )
    clip = Askable()
    photo = clip.like(("A road in Japan.", 1), (asked_country("ES"), 0.1))
    assert ZeroShot(clip, one).countries_of(photo) == ["ES"]  # has never heard of roads
    assert ZeroShot(clip, many).countries_of(photo) == ["JP"]


@pytest.mark.parametrize("code", ["ES", "VE"])
def test_equal_names_in_two_countries_stay_apart(code):
    clip = Askable()
    zero = ZeroShot(clip, ZeroShotConfig(countries=SOME))
    photo = clip.like((asked_country(code), 1), (asked_city(code, "Barcelona"), 1))
    other = {"ES": "VE", "VE": "ES"}[code]
    assert km(zero.locate_features(photo), PLACES[f"Barcelona {code}"]) < 10
    assert km(zero.locate_features(photo), PLACES[f"Barcelona {other}"]) > 7000


def test_greedy_stays_in_the_winning_country_and_product_need_not():
    clip = Askable()
    # Spain by a hair; its cities say nothing, one of Venezuela's says all.
    photo = clip.like(
        (asked_country("ES"), 1.0), (asked_country("VE"), 0.97), (asked_city("VE", "Barcelona"), 2)
    )
    greedy, product = (
        ZeroShot(clip, ZeroShotConfig(rule=rule, countries=SOME)) for rule in ("greedy", "product")
    )
    assert greedy.countries_of(photo) == product.countries_of(photo) == ["ES"]
    answers = [zero.locate_features(photo) for zero in (greedy, product)]
    assert km(answers[1], PLACES["Barcelona VE"]) < 10
    spain = torch.tensor([country == "ES" for country in greedy.cities["country"]])
    assert spain[answers[0].weight[0].argmax()]
    assert not spain[answers[1].weight[0].argmax()]


def by_hand(zero, photo):
    """Steps of the paper, one photo, in plain words."""
    scale = float(zero.clip.logit_scale)
    unit = photo[0] / photo[0].norm()
    country = np.argmax([float(unit @ w) for w in zero.country_words])
    rows = [i for i, c in enumerate(zero.cities["country"]) if c == zero.codes[country]]
    scores = [scale * float(unit @ zero.city_words[i]) for i in rows]
    best = zero.cities.iloc[rows[int(np.argmax(scores))]]
    return [best["lat"], best["lon"]], rows, scores


@pytest.mark.parametrize("seed", range(5))
def test_the_greedy_mode_is_the_papers_answer(seed):
    clip = Askable()
    zero = ZeroShot(clip, ZeroShotConfig(countries=(*SOME, "US", "KE", "BR")))
    photo = torch.randn(1, clip.dim, generator=torch.Generator().manual_seed(seed))
    said = zero.locate_features(photo)
    answer, rows, scores = by_hand(zero, photo)
    assert said.mode()[0].tolist() == pytest.approx(answer)
    # Within the winner the weights are those of the softmax over its cities.
    weight = said.weight[0, rows].double()
    want = torch.tensor(scores).double().softmax(0)
    assert torch.allclose(weight / weight.sum(), want, atol=1e-5)
    others = torch.ones(said.support_size, dtype=torch.bool)
    others[rows] = False
    assert 0 < said.weight[0, others].max() < weight.max()


def test_product_is_the_product():
    clip = Askable()
    zero = ZeroShot(clip, ZeroShotConfig(rule="product", countries=SOME))
    photo = torch.randn(3, clip.dim, generator=torch.Generator().manual_seed(1))
    said, chances = zero.locate_features(photo), zero.country_probabilities(photo)
    for number, code in enumerate(SOME):
        mine = torch.tensor([country == code for country in zero.cities["country"]])
        assert 1 <= mine.sum() <= 30
        assert torch.allclose(said.weight[:, mine].sum(1), chances[:, number], atol=1e-5)


def test_sentences_are_embedded_once_and_blocks_do_not_matter(monkeypatch):
    clip = Askable()
    zero = ZeroShot(clip, ZeroShotConfig(countries=SOME))
    photos = torch.randn(7, clip.dim, generator=torch.Generator().manual_seed(2))
    whole = zero.locate_features(photos)
    asked = len(clip.asked)
    assert asked == len(SOME) + len(zero.cities)
    monkeypatch.setattr("geolab.locators.zero_shot._BLOCK", 2)
    assert torch.allclose(zero.locate_features(photos).weight, whole.weight, atol=1e-5)
    assert torch.allclose(zero.locate(list(photos)).weight, whole.weight, atol=1e-5)
    assert len(clip.asked) == asked
    assert len(zero.locate_features(photos[:0])) == 0


def test_order_of_the_countries_is_the_readers():
    clip = Askable()
    there, back = (ZeroShot(clip, ZeroShotConfig(countries=c)) for c in (SOME, SOME[::-1]))
    photo = clip.like((asked_country("VE"), 1), (asked_city("VE", "Barcelona"), 1))
    assert list(dict.fromkeys(back.cities["country"])) == list(SOME[::-1])
    assert torch.allclose(
        there.country_probabilities(photo).flip(1), back.country_probabilities(photo), atol=1e-6
    )
    assert torch.equal(there.locate_features(photo).mode(), back.locate_features(photo).mode())


def test_what_cannot_be_asked():
    with pytest.raises(ValueError, match="'XX' is no country"):
        ZeroShot(Askable(), ZeroShotConfig(countries=("NO", "XX")))
    with pytest.raises(ValueError, match="'NO' is listed twice"):
        ZeroShotConfig(countries=("NO", "ES", "NO"))
    with pytest.raises(ValueError, match="level 'town'"):
        ZeroShotConfig(level="town")
    with pytest.raises(ValueError, match="'best' greedy or product"):
        ZeroShotConfig(rule="best")
    with pytest.raises(ValueError, match="needs one"):
        ZeroShotConfig(prompts=("A photo.",))
    with pytest.raises(ValueError, match="per_country"):
        ZeroShotConfig(per_country=0)
    bad = torch.ones(3, Askable.dim)
    bad[1, 5] = torch.nan
    zero = ZeroShot(Askable(), ZeroShotConfig(countries=SOME))
    for ask in (zero.locate_features, zero.country_probabilities, zero.countries_of):
        with pytest.raises(ValueError, match="row 1"):
            ask(bad)


def test_names_tell_what_was_asked():
    names = {
        ZeroShot(Askable(), ZeroShotConfig(level, rule, countries=SOME)).name
        for level, rule in (("country", "greedy"), ("city", "greedy"), ("city", "product"))
    }
    assert names == {
        "askable zero-shot, country", "askable zero-shot, city", "askable zero-shot, city, product",
    }  # fmt: skip


def test_with_a_real_tower(images):
    torch.manual_seed(0)
    zero = ZeroShot(load_clip("tiny", weights="random"), ZeroShotConfig(countries=SOME))
    said = zero.locate(images(3))
    assert said.weight.shape == (3, len(zero.cities))
    assert torch.isfinite(said.mode()).all()
