"""Captions by rule: the published frequencies, the order of the parts, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest

from geolab.data.errors import DataError
from geolab.encoders.captions import (
    FLICKR,
    STREET_VIEW,
    STREETCLIP,
    CaptionConfig,
    caption_of,
    compass,
    country_words,
    place_words,
)
from geolab.encoders.koppen import CLASSES, climate_words

ROW = {
    "id": "p1",
    "country": "CL",
    "region": "Tarapaca",
    "city": "Arica",
    "climate": "desert",
    "drive_side": 0,
    "heading": 100.0,
    "month": 3,
}
PARTS = {
    "place": "in Chile",
    "region": "in the region of Tarapaca",
    "town": "close to Arica",
    "climate": "The climate is desert.",
    "driving": "Cars drive on the right.",
    "compass": "The camera looks east.",
    "month": "It was taken in March.",
}
N = 4000
SURE = CaptionConfig(
    region=1, town=1, climate=0, drop_place=0, driving=1, compass=1, month=1
)  # every part but the climate, always


def drawn(config, n=N, row=ROW):
    """n captions, each with its own draw."""
    return [caption_of(row, config, draw=d) for d in np.random.default_rng(0).random(n)]


def share(captions, part):
    return sum(PARTS[part] in caption for caption in captions) / len(captions)


# Of independent draws: place unless dropped with a climate, driving only without one.
EXPECTED = {
    "street-view": (STREET_VIEW, (1 - 0.4 * 0.3, 0.6, 0.4, 0.4, 0.6 * 0.3, 0.3, 0.3)),
    "flickr": (FLICKR, (1 - 0.45 * 0.2, 1.0, 1.0, 0.45, 0.55 * 0.2, 0.0, 0.0)),
    "streetclip": (STREETCLIP, (1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_parts_come_as_often_as_published(name):
    # Five standard errors of a share over 4,000 draws: at most 0.04.
    config, expected = EXPECTED[name]
    captions = drawn(config)
    place = expected[0]
    for part, wanted in zip(PARTS, expected, strict=True):
        inside = wanted * place if part in ("region", "town") else wanted
        room = 5 * math.sqrt(inside * (1 - inside) / N)
        assert share(captions, part) == pytest.approx(inside, abs=room + 1e-9), part


def test_parts_are_independent():
    captions = drawn(STREET_VIEW)
    both = share([c for c in captions if PARTS["month"] in c], "compass")
    assert both == pytest.approx(0.3, abs=0.07)  # 1,200 captions, five standard errors
    town = share([c for c in captions if PARTS["region"] in c], "town")
    assert town == pytest.approx(0.4, abs=0.06)


def test_driving_side_never_stands_beside_a_climate():
    captions = drawn(STREET_VIEW)
    assert not any(PARTS["climate"] in c and PARTS["driving"] in c for c in captions)


def test_place_is_first_and_the_others_are_shuffled():
    captions = drawn(SURE, 600)
    assert all(c.startswith("A street photo close to Arica in the region of") for c in captions)
    tails = {c.split(". ", 1)[1] for c in captions}
    assert len(tails) == 6  # three parts in every order


def test_one_draw_is_one_caption():
    draws = np.random.default_rng(1).random(50)
    first = [caption_of(ROW, draw=d) for d in draws]
    assert first == [caption_of(ROW, draw=d) for d in draws]
    assert len(set(first)) > 20


@pytest.mark.parametrize("missing", [None, float("nan"), "", " "])
def test_a_missing_field_is_left_out(missing):
    for field, part in (("region", "region"), ("city", "town"), ("month", "month"),
                        ("heading", "compass"), ("drive_side", "driving")):  # fmt: skip
        captions = drawn(SURE, 5, ROW | {field: missing})
        assert share(captions, part) == 0
        assert share(captions, "place") == 1
    without = {key: value for key, value in ROW.items() if key != "climate"}
    assert share(drawn(STREET_VIEW, 200, without), "climate") == 0
    # Without a climate there is nothing that the place could be dropped for.
    assert share(drawn(STREET_VIEW, 200, without), "place") == 1


def test_only_a_country_is_enough():
    assert caption_of({"country": "NL"}, SURE) == "A street photo in the Netherlands."


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": "p7"}, "photo p7: country is missing"),
        ({"id": "p7", "country": None}, "photo p7: country is missing"),
        ({"id": "p7", "country": float("nan")}, "photo p7: country is missing"),
        (ROW | {"country": "XQ"}, "photo p1: country 'XQ' is on no list"),
        (ROW | {"month": 0}, "photo p1: month is 0"),
        (ROW | {"month": 13}, "photo p1: month is 13"),
        (ROW | {"drive_side": 2}, "photo p1: drive_side is 2"),
        (ROW | {"climate": 31}, "photo p1: climate is wrong"),
    ],
)
def test_what_cannot_be_is_refused_with_row_and_field(row, words):
    with pytest.raises(DataError, match=words):
        caption_of(row)


def test_views_of_a_panorama_turn_by_quarters():
    north = replace(SURE, month=0, driving=0)
    winds = [
        caption_of(ROW | {"heading": 350.0}, north, view=view).rsplit(" ", 1)[1]
        for view in range(4)
    ]
    assert winds == ["north.", "east.", "south.", "west."]


def test_compass_has_quarters_around_each_wind():
    found = [compass(h) for h in (0, 44.99, 45, 134.99, 135, 225, 314.99, 315, 359.99, 360, 405)]
    north, east = "north", "east"
    assert found == [north, north, east, east, "south", "west", "west", north, north, north, east]
    assert compass(-45 - 1e-14) in ("north", "west")  # rounding must not fall off the rose


def test_left_is_one():
    assert "on the left" in caption_of(ROW | {"drive_side": 1.0}, SURE)


def test_countries_are_named_as_one_speaks():
    assert country_words("US") == "the United States"
    assert country_words("KR") == "South Korea"
    assert country_words("CD") == "the Democratic Republic of the Congo"
    assert country_words("FR") == "France"
    assert place_words("CL", "Tarapaca") == "in the region of Tarapaca in Chile"


def test_every_climate_class_has_words_of_its_own():
    said = [climate_words(number) for number in range(1, 31)]
    assert len(CLASSES) == 30
    assert len(set(said)) == 30
    assert climate_words(0) == ""
    assert climate_words(4.0) == "arid, hot desert"
    assert climate_words("28") == "cold with rain all year and a severe winter"
