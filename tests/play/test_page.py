"""The page as a file: complete in itself, nothing loaded, nothing given away at a glance."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

import geolab.play as play_package
from geolab.cli import app
from geolab.course.render import external_loads
from geolab.data.errors import DataError
from geolab.data.storage import cache_folder
from geolab.play import page_html, write_page
from geolab.play.ground import UNITS_PER_DEGREE, ground
from geolab.play.page import _template, unveil, veil

from .conftest import NAMES, PLACES, SYSTEMS


@pytest.fixture(scope="module")
def page(game) -> str:
    return page_html(game)


def game_data(page: str) -> dict:
    return json.loads(re.search(r'id="game">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_loads_nothing(page):
    assert external_loads(page) == []
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|WebSocket|import\(", page)
    assert page.count("<script") == 2
    assert "/*STYLE*/" not in page
    assert "/*SCRIPT*/" not in page


def test_nothing_is_given_away_at_a_glance(page):
    for name in NAMES:
        assert name not in page
    assert "SECRETPHOTO" not in page
    data = game_data(page)
    plain = json.dumps({key: data[key] for key in data if key != "ground"})
    for lat, lon in PLACES:
        assert str(lat) not in plain
        assert str(lon) not in plain


def test_the_page_holds_the_game(page, game):
    data = game_data(page)
    assert tuple(data["systems"]) == SYSTEMS
    for held, one in zip(data["rounds"], game.rounds, strict=True):
        hidden = unveil(held["veil"], data["key"])
        assert tuple(hidden["latlon"]) == one.latlon
        assert hidden["photo"] == one.photo
        assert [tuple(a["latlon"]) for a in hidden["answers"]] == [a.latlon for a in one.answers]
    assert any("synthetic" in text for text in data["about"])


def test_real_photos_are_not_called_synthetic(game):
    data = game_data(page_html(replace(game, synthetic=False)))
    assert not data["synthetic"]
    assert not any("synthetic" in text for text in data["about"])


def test_a_veil_comes_off_again():
    value = {"place": "Zürich </script>", "at": [47.38, 8.54], "n": None}
    assert unveil(veil(value, "k3y"), "k3y") == value
    assert "rich" not in veil(value, "k3y")


def test_pages_are_html_and_games_have_rounds(game, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.html"):
        write_page(game, tmp_path / "play.png")
    with pytest.raises(DataError, match="at least one round"):
        page_html(replace(game, rounds=()))
    path = write_page(game, tmp_path / "new" / "play.html")
    assert path.read_text(encoding="utf-8") == page_html(game)


def points(line: list[int]) -> np.ndarray:
    """Line of the page in degrees, (m, 2) as (lon, lat)."""
    return np.cumsum(np.reshape(line, (-1, 2)), axis=0) / UNITS_PER_DEGREE  # (2 m,) -> (m, 2)


def polygons(lines: list[list[int]]) -> list[shapely.Polygon]:
    return [shapely.Polygon(points(line)) for line in lines]


def covered(lines: list[list[int]], lat: float, lon: float) -> bool:
    """Whether a place is land by the even-odd rule, as the canvas fills it."""
    held = [p for p in polygons(lines) if p.contains(shapely.Point(lon, lat))]
    return len(held) % 2 == 1


def test_the_map_knows_land_from_sea():
    drawn = ground()
    for lat, lon in [
        (48.8, 2.3),
        (39.7, -105),
        (-1.3, 36.8),
        (23, 10),
        (62, 90),
        (65, 180),
        (64, -50),
    ]:
        assert covered(drawn["land"], lat, lon), (lat, lon)
    for lat, lon in [(0, -30), (30, -150), (-40, 80), (36, 18), (25, -90), (60, -87), (42, 51)]:
        assert not covered(drawn["land"], lat, lon), (lat, lon)
    names = {name: (lat, lon) for name, lat, lon, _ in drawn["countries"]}
    assert len(names) == len(drawn["countries"]) > 200
    assert abs(names["France"][0] - 47) < 2
    assert "Iran" in names
    assert drawn["cities"][0][3] >= drawn["cities"][-1][3]
    assert len(json.dumps(drawn)) < 200_000
    assert "GeoNames" in drawn["outline"]


def test_natural_earth_is_drawn_where_there_is_a_copy(empty_cache):
    def country(code: str, *polygons: list) -> dict:
        shape = {"type": "MultiPolygon", "coordinates": [list(p) for p in polygons]}
        return {"properties": {"NAME": code, "ISO_A2": code}, "geometry": shape}

    def box(west, south, east, north):
        return [[west, south], [east, south], [east, north], [west, north], [west, south]]

    hole = box(14, 4, 16, 6)
    features = [
        country("AA", (box(10, 0, 20, 10), hole)),
        country("BB", (box(20, 0, 30, 10),)),
        country("CC", (hole,)),
        country("DD", (box(170, 60, 180, 70),), (box(-180, 60, -172, 70),)),
    ]
    folder = cache_folder() / "natural_earth"
    folder.mkdir(parents=True)
    text = json.dumps({"features": features})
    for scale in ("110m", "50m"):
        (folder / f"ne_{scale}_admin_0_countries.json").write_text(text)
    drawn = ground.__wrapped__()
    assert drawn["outline"] == "Natural Earth"
    areas = sorted(round(p.area) for p in polygons(drawn["land"]))
    assert areas == [180, 200]  # the east of DD is joined across 180 degrees
    assert covered(drawn["land"], 65, 181)
    lengths = sorted(round(shapely.LineString(points(line)).length) for line in drawn["borders"])
    assert lengths == [8, 10]  # around CC; between AA and BB


def test_the_command_writes_a_page_and_says_so(game, tmp_path, monkeypatch):
    asked = {}

    def make(source, **given):
        asked.update(given, source=source)
        return game

    monkeypatch.setattr(play_package, "make_game", make, raising=False)
    path = tmp_path / "p.html"
    arguments = ["play", "--locator", "pigeon, clip,pigeon", "--rounds", "3", "--out", str(path)]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    assert asked["source"] == "tinyearth"
    assert asked["locators"] == ("pigeon", "clip")
    assert "3 rounds of synthetic photos against PIGEON" in said.output
    assert path.stat().st_size > 50_000
    refused = CliRunner().invoke(app, ["play", "--out", str(tmp_path / "p.png")])
    assert refused.exit_code == 2
    assert "ends in .html" in re.sub(r"[\s│]+", " ", refused.output)


def test_a_bad_request_ends_the_command_with_its_message():
    said = CliRunner().invoke(app, ["play", "--locator", "nobody"])
    assert said.exit_code == 2
    assert "no locator 'nobody'" in said.output


def luminance(hexa: str) -> float:
    parts = [int(hexa[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(scheme):
    blocks = re.findall(r":root \{(.*?)\}", _template("play.css"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))
    pairs = [("ink", "paper"), ("soft", "paper"), ("ink", "panel"), ("soft", "panel")]
    pairs += [("on-accent", "accent"), ("accent", "paper"), ("on-note", "note"), ("bad", "paper")]
    pairs += [("good", "paper"), ("label", "land"), ("label", "sea")]
    pairs += [("paper", pin) for pin in ("you", "truth", "one", "two", "three", "four")]
    for one, other in pairs:
        low, high = sorted((luminance(colours[one]), luminance(colours[other])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (one, other)
