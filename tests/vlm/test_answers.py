"""Prose to places: parsing, the atlas, back-off, mixtures, and what is withheld."""

import math

import numpy as np
import pytest

from geolab.metrics import errors_km, geoguessr_score
from geolab.vlm.answers import Belief, locate_guess, points_of
from geolab.vlm.asking import AskError, Reply
from geolab.vlm.atlas import gazetteer_atlas, plain
from geolab.vlm.locator import VlmLocator
from geolab.vlm.parsing import parse
from geolab.vlm.study import (
    belief_from,
    disclosed,
    leak_and_withhold,
    rates,
    word_accuracy,
)


def said(**levels):
    """What a model would write."""
    parts = [f'"{k}": {{"value": "{v}", "confidence": "high"}}' for k, v in levels.items()]
    return parse("{" + ", ".join(parts) + "}")


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ('{"country": {"value": "Peru", "confidence": "high"}}', "Peru"),
        ('```json\n{"country": {"value": "Peru"}}\n```', "Peru"),
        ('Here you go: {"country": "Peru"} I hope that helps {x}', "Peru"),
        ('{"note": 1} {"Country": {"value": "Peru"}}', "Peru"),
        ('{"country": {"value": ["Peru"]}}', "Peru"),
        ('{"country": {"value": null}}', None),
        ('{"country": {"value": " Unknown "}}', None),
        ('{"country": {"value": true}}', None),
    ],
)
def test_answers_are_read_tolerantly(text, country):
    guess = parse(text)
    assert guess.outcome == "answered"
    assert guess.levels["country"].value == country


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("", "unparsed"),
        ("It looks like Peru.", "unparsed"),
        ('{"country": {"value": "Per', "unparsed"),
        ("[1, 2]", "unparsed"),
        ('{"weather": "fine"}', "unparsed"),
        ("I can't help with locating people.", "refused"),
        ("I’m sorry, but I cannot do that.", "refused"),
        ('{"refused": true}', "refused"),
        ('{"refused": "True", "country": null}', "refused"),
        ('{"country": null}', "answered"),
    ],
)
def test_three_outcomes(text, outcome):
    assert parse(text).outcome == outcome


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ('{"latitude": "48.9", "longitude": 2.3}', (48.9, 2.3)),
        ('{"lat": -33, "lng": 151}', (-33, 151)),
        ('{"exact": {"value": "33.9 S, 18.4 E"}}', (-33.9, 18.4)),
        ('{"exact": {"value": "40.7°N, 74.0°W"}}', (40.7, -74.0)),
        ('{"latitude": 91, "longitude": 0}', None),
        ('{"latitude": NaN, "longitude": 0}', None),
        ('{"exact": {"value": "the old harbour"}}', None),
    ],
)
def test_coordinates(text, point):
    assert parse(text).point == (pytest.approx(point) if point else None)


def test_words_of_confidence():
    guess = parse(
        '{"city": {"value": "X", "confidence": "HIGH", "evidence": "a sign"}, "country": "Y"}'
    )
    assert guess.levels["city"].confidence == "high"
    assert guess.levels["city"].evidence == ("a sign",)
    assert guess.levels["country"].confidence == "medium"
    assert (
        parse('{"city": {"value": "X", "confidence": 0.9}}').levels["city"].confidence == "medium"
    )


def test_real_names():
    atlas = gazetteer_atlas()
    assert [atlas.country(n) for n in ("France", "fr", "USA", "South Korea", "Atlantis", None)] == [
        "FR", "FR", "US", "KR", None, None,
    ]  # fmt: skip
    paris = atlas.cities("Paris, France", "FR")[0]
    assert atlas.latlon[paris] == pytest.approx([48.85, 2.35], abs=0.1)
    assert len(atlas.cities("Springfield", "US")) > 5
    assert plain("Zürich") == plain("zurich")


def test_a_city_is_a_mixture_of_levels():
    found = locate_guess(said(country="France", city="Lyon"), gazetteer_atlas())
    assert found.reached == "city"
    assert found.point == pytest.approx((45.7, 4.8), abs=0.1)
    weight = found.posterior.weight[0].numpy()
    km = errors_km(found.posterior.latlon[0].numpy(), np.tile(found.point, (len(weight), 1)))
    assert weight.sum() == pytest.approx(1)
    assert weight[km < 30].sum() == pytest.approx(0.85 * 0.85, abs=0.02)  # country, then city
    assert weight[km < 1200].sum() == pytest.approx(0.85, abs=0.08)


@pytest.mark.parametrize(
    ("levels", "reached", "note"),
    [
        ({"country": "Atlantis"}, "", "there is no 'Atlantis'"),
        ({"country": "France", "city": "Tokyo"}, "country", "the stated country has no 'Tokyo'"),
        ({"country": "Atlantis", "city": "Lyon"}, "city", "there is no 'Atlantis'"),
        ({"country": "United States", "city": "Springfield"}, "city", "places are called"),
        ({"country": "France", "city": "Qqqq"}, "country", "has no 'Qqqq'"),
        ({"city": "Qqqq"}, "", "no city 'Qqqq'"),
    ],
)
def test_back_off_and_its_notes(levels, reached, note):
    found = locate_guess(said(**levels), gazetteer_atlas(), max_level="exact")
    assert found.reached == reached
    assert any(note in text for text in found.notes)
    assert (found.posterior is None) == (reached == "")
    assert math.isnan(found.point[0]) == (reached == "")


def test_many_springfields_share_the_weight():
    found = locate_guess(said(country="United States", city="Springfield"), gazetteer_atlas())
    heavy = found.posterior.weight[0] > 0.02
    spread = found.posterior.latlon[0][heavy]
    assert (spread.max(0).values - spread.min(0).values).max() > 10


def test_coordinates_far_from_the_city_are_dropped():
    guess = parse('{"country": "France", "city": "Lyon", "latitude": 10, "longitude": 10}')
    found = locate_guess(guess, gazetteer_atlas(), max_level="exact")
    assert found.reached == "city"
    assert "far from the stated city" in found.notes[0]


def test_nothing_finer_than_a_city_by_default():
    guess = parse('{"latitude": 48.85837, "longitude": 2.29448}')
    found = locate_guess(guess, gazetteer_atlas())
    assert found.reached == "city"
    assert found.point == (48.9, 2.3)
    assert (found.posterior.latlon * 10 - (found.posterior.latlon * 10).round()).abs().max() < 1e-6
    exact = locate_guess(guess, gazetteer_atlas(), max_level="exact")
    assert exact.point == (48.85837, 2.29448)
    with pytest.raises(ValueError, match="max_level"):
        locate_guess(guess, gazetteer_atlas(), max_level="street")


@pytest.mark.parametrize("mode", ["four levels", "chained"])
def test_what_the_script_knows_is_located(world, scripted, photos, leaves, mode):
    sure = scripted(chances=(1, 1, 1), misspells=0)
    found = VlmLocator(sure, mode, "neighborhood", world).answer(photos)
    km = errors_km(points_of(found), world.latlon[leaves])
    assert np.median(km) < 1
    assert len(found[0].replies) == (1 if mode == "four levels" else 3)
    city = VlmLocator(sure, mode, atlas=world).answer(photos)
    assert {a.reached for a in city} <= {"city"}
    assert len(city[0].replies) == (1 if mode == "four levels" else 2)


def test_structure_and_back_off_remove_dead_answers(world, scripted, photos, leaves):
    """The spec's toy, in kind: one address fails where a leaf is spelt wrong."""
    truth = world.latlon[leaves]

    def run(mode):
        found = VlmLocator(scripted(misspells=0.2), mode, "exact", world).answer(photos)
        return sum(not a.reached for a in found), geoguessr_score(
            errors_km(points_of(found), truth)
        ).mean()

    dead, name_score = run("one name")
    none_dead, level_score = run("four levels")
    assert dead > 5
    assert none_dead == 0
    assert level_score > name_score


def test_refusals_and_prose_are_misses(world, scripted, photos, leaves):
    found = VlmLocator(scripted(refuses=0.3, babbles=0.2), atlas=world).answer(photos)
    counted = rates(found, world)
    assert 15 < counted["refused %"] < 45
    assert counted["parsed %"] < 95
    points = points_of(found)
    assert len(points) == len(photos)
    assert np.isinf(errors_km(points, world.latlon[leaves])).mean() > 0.3
    assert counted["located %"] == pytest.approx(100 * np.isfinite(points[:, 0]).mean())
    with pytest.raises(ValueError, match="no answers"):
        rates([], world)


def test_chained_stops_where_the_model_cannot_tell(world):
    class Shy:
        name = "shy"
        asked = 0

        def __call__(self, image, messages):
            Shy.asked += 1
            country = next(iter(world.countries))
            first = f'{{"country": {{"value": "{country}"}}}}'
            return Reply(first if Shy.asked == 1 else '{"city": null}')

    found = VlmLocator(Shy(), "chained", "exact", world).answer([None])
    assert Shy.asked == 2
    assert found[0].reached == "country"


def test_the_photo_that_failed_is_named(world):
    class Broken:
        name = "broken"

        def __call__(self, image, messages):
            raise AskError("no server")

    with pytest.raises(AskError, match="photo 0 of 2: no server"):
        VlmLocator(Broken(), atlas=world).answer([None, None])
    with pytest.raises(ValueError, match="mode"):
        VlmLocator(Broken(), "telepathy", atlas=world)


def test_words_are_calibrated_by_counting(world, scripted, photos, leaves):
    model = scripted(knows_itself=0.9)
    found = VlmLocator(model, max_level="neighborhood", atlas=world).answer(photos)
    table = word_accuracy(found, world.latlon[leaves], world)
    by = table.set_index(["level", "word"])["right"]
    assert by["country", "high"] > by["country", "low"] + 0.2
    belief = belief_from(table)
    assert belief.high > belief.low
    assert belief.medium == Belief().medium  # not seen
    with pytest.raises(ValueError, match="between 0 and 1"):
        Belief(low=0)


def test_stopping_at_low_confidence_says_less(world, scripted, photos):
    model = scripted()
    plain_ = VlmLocator(model, max_level="exact", atlas=world).answer(photos)
    careful = VlmLocator(
        model, max_level="exact", atlas=world, belief=Belief(stop_at_low=True)
    ).answer(photos)
    coarse = [sum(a.reached == "country" for a in found) for found in (plain_, careful)]
    assert coarse[1] > coarse[0] + 10


def test_leak_against_withhold(world, scripted, photos, leaves):
    truth = world.latlon[leaves]
    sure = scripted(chances=(1, 1, 1), misspells=0)
    fine = VlmLocator(sure, max_level="neighborhood", atlas=world).answer(photos)
    city = VlmLocator(sure, max_level="city", atlas=world).answer(photos)
    allowed = ["city"] * len(photos)
    assert disclosed(fine[0], truth[0]) == "neighborhood"
    assert disclosed(city[0], truth[0]) == "city"
    assert leak_and_withhold(fine, truth, allowed)["leaked %"] > 85
    assert leak_and_withhold(city, truth, allowed)["leaked %"] == 0
    none = locate_guess(parse(""), world)
    assert disclosed(none, truth[0]) == "none"
    assert leak_and_withhold([none], truth[:1], ["city"]) == {"leaked %": 0.0, "withheld %": 100.0}
    with pytest.raises(ValueError, match="no level"):
        leak_and_withhold([none], truth[:1], ["town"])
