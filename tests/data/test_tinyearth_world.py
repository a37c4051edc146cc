"""What TinyEarth knows of the Earth: borders, climates, ranges, chance."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.data.gazetteer import load_gazetteer
from geolab.data.tinyearth import CLIMATES, contact_sheet, cue_table, species_here
from geolab.data.tinyearth.atlas import country_style, mix, region_style
from geolab.data.tinyearth.borders import LEFT_DRIVING, SCRIPT, ZONE, sharing
from geolab.data.tinyearth.climate import climate_at, month_temperature, unit_vectors
from geolab.data.tinyearth.draws import field, key, pareto, pick, raw_bytes, stream
from geolab.data.tinyearth.landmarks import load_landmarks
from geolab.data.tinyearth.spots import describe, spot_at


@pytest.mark.parametrize("code", ["GB", "IE", "JP", "AU", "NZ", "IN", "TH", "ZA", "KE", "CY", "ID"])
def test_drives_on_the_left(code):
    assert country_style(code).left


@pytest.mark.parametrize("code", ["US", "FR", "DE", "CN", "RU", "BR", "AR", "EG", "IS", "NO", "KR"])
def test_drives_on_the_right(code):
    assert not country_style(code).left


def test_tables_of_countries_name_real_countries_once():
    known = set(load_gazetteer().places["country"])
    assert (LEFT_DRIVING | set(SCRIPT) | set(ZONE)) <= known | {"BV", "HM", "TK"}
    assert 60 < len(LEFT_DRIVING) < 85
    assert country_style("JP").script == "kana"
    assert country_style("BG").script == "cyrillic"
    assert country_style("FR").script == "latin"
    assert all(0 < sharing(code) < 5 for code in known)


def test_no_single_cue_names_a_country():
    countries = sorted(set(load_gazetteer().places["country"]))
    styles = [country_style(code) for code in countries]
    for values in (
        [style.lines for style in styles],
        [style.plate for style in styles],
        [style.bollard for style in styles],
        [style.board for style in styles],
        [style.left for style in styles],
    ):
        assert len(set(values)) <= 10
        assert min(values.count(value) for value in set(values)) >= 5
    together = {(s.left, s.script, s.lines, s.plate, s.bollard, s.board) for s in styles}
    assert len(together) > 0.7 * len(countries)


def test_regions_differ_within_a_country():
    poles = {region_style("US", name) for name in ("Texas", "Ohio", "Utah", "Maine", "Iowa")}
    assert len(poles) == 5
    assert region_style("US", "Texas") == region_style("US", "Texas")


@pytest.mark.parametrize(
    ("lat", "lon", "allowed"),
    [
        (23.0, 5.0, {"hot desert"}),
        (-4.0, -62.0, {"tropical rainforest"}),
        (62.0, 129.7, {"subarctic"}),
        (64.8, -18.5, {"tundra", "ice cap"}),
        (72.0, -40.0, {"ice cap"}),
        (51.5, -0.1, {"oceanic"}),
        (41.9, 12.5, {"mediterranean"}),
        (14.5, 101.0, {"tropical monsoon", "savanna", "tropical rainforest"}),
        (35.7, 139.7, {"humid subtropical"}),
        (55.7, 37.6, {"humid continental"}),
    ],
)
def test_climates_of_well_known_places(lat, lon, allowed):
    assert CLIMATES[climate_at(np.array([lat]), np.array([lon]))["climate"][0]] in allowed


def test_climate_agrees_roughly_with_measured_classes(shared_data):
    import pandas as pd

    measured = pd.read_csv(shared_data / "geo" / "koppen_geiger_0p5deg.csv")
    letters = measured.drop_duplicates(["Lat", "Lon"]).set_index(["Lat", "Lon"])["Cls"].str[0]
    places = load_gazetteer().places.iloc[::40]
    cells = pd.MultiIndex.from_arrays([np.floor(places[c] * 2) / 2 + 0.25 for c in ("lat", "lon")])
    truth = letters.reindex(cells).to_numpy()
    groups = "AAABBBBCCCDDEE"  # main group of each of CLIMATES
    ours = climate_at(places["lat"].to_numpy(), places["lon"].to_numpy())["climate"]
    known = ~pd.isna(truth)
    agreement = (np.array(list(groups))[ours] == truth)[known].mean()
    assert agreement > 0.65  # a sketch, but no nonsense


def test_seasons_are_opposite():
    assert month_temperature(50, 7, 10, 8) == pytest.approx(18)
    assert month_temperature(-50, 7, 10, 8) == pytest.approx(2)


def test_describe_is_the_same_alone_and_in_company():
    lat, lon = np.array([35.68, 64.13, -34.6]), np.array([139.69, -21.9, -58.4])
    many = describe(lat, lon)
    assert many == [spot_at(a, b) for a, b in zip(lat, lon, strict=True)]
    assert [spot.country for spot in many] == ["JP", "IS", "AR"]
    assert many[0].density == 3


def test_cacti_and_acacias_know_their_continents():
    places = load_gazetteer().places.iloc[::30]
    spots = describe(places["lat"], places["lon"])
    cacti = [spot.lon for spot in spots if spot.plant == "cactus"]
    assert cacti
    assert all(-170 < lon < -30 for lon in cacti)
    assert not [s for s in spots if s.plant == "acacia" and (s.lon < -20 or 55 < s.lon < 112)]


def test_one_species_lives_outside_its_native_range():
    assert species_here(-25.0, 133.0)["dromedary"] == "introduced"
    assert species_here(25.0, 8.0)["dromedary"] == "native"
    assert "penguin" not in species_here(60.0, 10.0)


def test_landmarks_differ_and_stand_at_popular_places():
    table = load_landmarks()
    assert 200 < len(table.landmarks) < 1000
    looks = {(m.shape, m.height, m.width, m.tiers, m.body, m.accent) for m in table.landmarks}
    assert len(looks) == len(table.landmarks)
    xyz = unit_vectors(np.array([table.landmarks[7].lat]), np.array([table.landmarks[7].lon]))
    assert table.near(xyz)[0] == 7
    assert table.near(np.array([[0.0, 0.0, 1.0]]))[0] == -1


def test_cue_table_is_complete():
    table = cue_table()
    assert table["name"].is_unique
    assert set(table["scope"]) == {"continuous", "country", "region", "place"}
    assert table[["built", "open"]].to_numpy().min() > 0
    assert (table["decided_by"].str.len() > 10).all()


def test_keys_refuse_floats_and_differ():
    with pytest.raises(TypeError, match="give a str or an int"):
        key("a", 0.5)
    assert key("ab", "c") != key("a", "bc")


def test_field_is_smooth_uniform_and_seamless():
    rng = np.random.default_rng(0)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 4000))), rng.uniform(-180, 180, 4000)
    here = field(unit_vectors(lat, lon), 200.0, "test")
    beside = field(unit_vectors(lat, lon + 0.01), 200.0, "test")
    assert abs(here.mean() - 0.5) < 0.02
    assert here.std() > 0.1
    assert np.abs(here - beside).max() < 0.03
    west, east = (field(unit_vectors(lat, np.full(4000, x)), 200.0, "test") for x in (-180, 180))
    assert np.allclose(west, east)


def test_draws():
    rng = stream("test")
    assert {pick(rng, "ab", (0, 1)) for _ in range(20)} == {"b"}
    assert all(3 <= pareto(rng, 3, 1.2, 50) <= 50 for _ in range(200))
    assert raw_bytes(1, (3, 5)).tolist() == raw_bytes(1, (3, 5)).tolist()
    assert mix((0, 10, 20), (10, 20, 30), 0.5) == (5, 15, 25)


def test_contact_sheet_says_it_is_synthetic():
    figure = contact_sheet(("IS", "TH"), n=2, size=32)
    assert "synthetic" in figure.get_suptitle()
    words = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert "drives on the left" in words
    with pytest.raises(ValueError, match="ISO"):
        contact_sheet(("XX",), n=1, size=16)
