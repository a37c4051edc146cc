"""Country accuracy by border: a made-up world, and Natural Earth's where it is at hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from geolab.borders import borders_path, same_country
from geolab.data.errors import DataError
from geolab.evaluation import evaluate_points


def square(name, west, south, side=10):
    ring = [[west, south], [west + side, south], [west + side, south + side], [west, south + side],
            [west, south]]  # fmt: skip
    about = {"ISO_A2": name, "ADM0_A3": name * 2, "NAME": name}
    return {"type": "Feature", "properties": about,
            "geometry": {"type": "Polygon", "coordinates": [ring]}}  # fmt: skip


@pytest.fixture
def two_squares(tmp_path):
    path = tmp_path / "countries.json"
    features = [square("AA", 0, 40), square("BB", 10, 40)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_by_hand(two_squares):
    truth = [[45, 5], [45, 5], [45, 5], [45, 5], [45, -3], [45, 15]]
    said = [[41, 1], [45, 12], [45, -1], [np.nan, np.nan], [45, 1], [45, 10]]
    got = same_country(said, truth, two_squares)
    # own square; other square; sea; no answer; truth at sea takes the nearest; on the border: out
    assert got.tolist() == [True, False, False, False, True, False]


def test_no_layer_no_column(monkeypatch, tmp_path):
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path))
    assert borders_path() is None
    assert same_country([[0, 0]], [[0, 0]]) is None
    row = evaluate_points("x", [[48.8, 2.3]] * 3, [[48.9, 2.4]] * 3, benchmark="b")
    assert "country" in row.metrics
    assert "border" not in row.metrics


def test_the_evaluator_has_it_where_the_layer_is(monkeypatch, tmp_path, two_squares):
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path))
    folder = tmp_path / "natural_earth"
    folder.mkdir()
    (folder / "ne_110m_admin_0_countries.json").write_bytes(two_squares.read_bytes())
    said, truth = [[45, 2], [45, 12]], [[45, 5], [45, 5]]
    row = evaluate_points("x", said, truth, benchmark="b")
    assert row.metrics["border"].value == 50.0


def test_natural_earth(shared_data):
    layer = shared_data / "geo" / "ne_50m_admin_0_countries.json"
    truth = [[48.85, 2.35], [-17.8, 178.0], [66.0, -172.5], [-33.9, 18.6]]
    near = [[43.6, 1.4], [-16.6, 179.2], [64.7, 177.3], [-26.2, 28.0]]  # across 180 degrees too
    assert same_country(near, truth, layer).all()
    abroad = [[50.85, 4.35], [-13.8, -171.8], [64.8, -147.7], [-29.3, 27.5]]
    assert not same_country(abroad, truth, layer).any()


def test_a_bad_layer_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(DataError, match=r"x\.json"):
        same_country([[0, 0]], [[0, 0]], path)
