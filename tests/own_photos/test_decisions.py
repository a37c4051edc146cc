"""Decisions are read whole and checked whole before a photo is touched."""

from __future__ import annotations

import json

import pytest

from geolab.data.errors import DataError
from geolab.own_photos import load_decisions
from geolab.own_photos.decisions import place_named

HASH = "a" * 64
GOOD = {
    "file": "a.jpg",
    "sha256": HASH,
    "decision": "confirmed",
    "lat": 1,
    "lon": 2,
    "radius_km": 25,
}


def saved(tmp_path, *photos, **more):
    path = tmp_path / "decisions.json"
    held = {"geolab": "album decisions", "version": 1, "photos": list(photos), **more}
    path.write_text(json.dumps(held), encoding="utf-8")
    return path


def test_all_three_kinds(tmp_path):
    named = {"file": "b/c.jpg", "sha256": HASH, "decision": "corrected", "place": "Lyon, France"}
    path = saved(tmp_path, GOOD, named, {"file": "d.jpg", "sha256": HASH, "decision": "open"})
    one, two, three = load_decisions(path)
    assert (one.lat, one.lon, one.radius_km) == (1, 2, 25)
    assert (round(two.lat, 1), round(two.lon, 1), two.radius_km) == (45.7, 4.8, 25)
    assert three.decision == "open"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file": "../a.jpg"}, "leads out"),
        ({"file": "/etc/a.jpg"}, "leads out"),
        ({"file": "..\\a.jpg"}, "leads out"),
        ({"file": 7}, "no file name"),
        ({"decision": "yes"}, "'yes' is not confirmed"),
        ({"sha256": None}, "sha256 is missing"),
        ({"lat": 91}, "lat 91"),
        ({"lat": "1"}, "lat '1'"),
        ({"lon": float("nan")}, "is no place"),
        ({"lat": True}, "is no place"),
        ({"radius_km": 0}, "radius_km 0"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, change, said):
    with pytest.raises(DataError, match="photo 2") as error:
        load_decisions(saved(tmp_path, GOOD, GOOD | {"file": "b.jpg"} | change))
    assert said in str(error.value)


def test_what_is_no_file_of_decisions(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_decisions(tmp_path / "gone.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        load_decisions(tmp_path / "x.json")
    for other in ({"geolab": "rows"}, {"version": 2}, {"photos": {}}):
        with pytest.raises(DataError, match=r"not the decisions|not a list"):
            load_decisions(saved(tmp_path, **other))
    with pytest.raises(DataError, match=r"a\.jpg stands in it twice"):
        load_decisions(saved(tmp_path, GOOD, GOOD))


def test_names_are_looked_up_and_doubts_are_asked():
    assert place_named("Gruissan, France") == pytest.approx((43.1, 3.09), abs=0.1)
    assert place_named("springfield, illinois, United States") == pytest.approx(
        (39.8, -89.6), abs=0.1
    )
    with pytest.raises(DataError, match="Springfield, Illinois"):
        place_named("Springfield, United States")
    with pytest.raises(DataError, match="no place 'Nowhereville'"):
        place_named("Nowhereville")
    with pytest.raises(DataError, match="no place 'Lyon, Bavaria, Germany'"):
        place_named("Lyon, Bavaria, Germany")
