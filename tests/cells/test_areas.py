"""Areas: gazetteer and polygons, what is repaired and what is refused."""

from __future__ import annotations

import builtins
import json

import numpy as np
import pytest

from geolab.cells import gazetteer_areas, polygon_areas
from geolab.cells.areas import areas_from_arrays
from geolab.data.errors import DataError


def box(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def layer(path, *features):
    """Write (country, region, name, rings) as GeoJSON; rings None is no geometry."""
    rows = [
        {
            "type": "Feature",
            "properties": {"c": country, "r": region, "a": name},
            "geometry": rings and {"type": "Polygon", "coordinates": rings},
        }
        for country, region, name, rings in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": rows}), "utf-8")
    return path


COLUMNS = ("c", "r", "a")


def test_gazetteer_knows_country_region_and_county():
    areas = gazetteer_areas()
    here = areas.area_of([[34.05, -118.24], [-17.71, 178.06], [64.73, 177.5], [-43.95, -176.55]])
    assert areas.country[here].tolist() == ["US", "FJ", "RU", "NZ"]
    assert areas.label[here[0]] == "Los Angeles County"
    assert areas.region[here[0]] == "California"


def test_gazetteer_neighbours_touch_and_oceans_part():
    areas = gazetteer_areas()
    paris, hauts, hilo = areas.area_of([[48.86, 2.35], [48.89, 2.24], [19.7, -155.09]])
    pairs = set(map(tuple, areas.near.tolist()))
    assert tuple(sorted((paris, hauts))) in pairs
    beside = areas.near[(areas.near == hilo).any(1)].ravel()
    assert set(areas.region[beside]) == {"Hawaii"}
    assert pairs <= set(map(tuple, areas.far.tolist()))


def test_gazetteer_neighbours_across_the_antimeridian():
    areas = gazetteer_areas()
    lon = areas.centre[:, 1]
    across = np.abs(lon[areas.near[:, 0]] - lon[areas.near[:, 1]]) > 180
    assert "FJ" in areas.country[areas.near[across].ravel()]


def test_areas_of_another_gazetteer_are_refused_with_both_hashes():
    areas = gazetteer_areas()
    stored = areas.to_arrays() | {"areas_hash": np.array("0123456789abcdef")}
    with pytest.raises(DataError, match=rf"0123456789abcdef.*{areas.hash}"):
        areas_from_arrays(stored)


def test_coordinates_not_on_earth_are_refused():
    with pytest.raises(DataError, match="row"):
        gazetteer_areas().area_of([[0.0, 0.0], [2.0, 181.0]])


def test_points_inside_on_borders_and_at_sea(tmp_path):
    areas = polygon_areas(
        layer(
            tmp_path / "a.json",
            ("X", "1", "west", [box(100, 0, 110, 10)]),
            ("X", "1", "east", [box(110, 0, 120, 10)]),
        ),
        columns=COLUMNS,
    )
    west, east = (areas.label.tolist().index(name) for name in ("west", "east"))
    points = [[5, 105], [5, 115], [5, 110], [5, 99], [5, 120.5], [-3, 116]]
    assert areas.area_of(points).tolist() == [west, east, min(west, east), west, east, east]
    assert areas.near.tolist() == [[0, 1]]
    assert areas.notes == ()


def test_nearest_polygon_is_found_on_the_sphere_across_180(tmp_path):
    areas = polygon_areas(
        layer(
            tmp_path / "a.json",
            ("X", "1", "left", [box(-180, 60, -175, 65)]),
            ("X", "1", "right", [box(150, 60, 165, 65)]),
        ),
        columns=COLUMNS,
    )
    assert areas.label[areas.area_of([[62, 179], [62, 180], [62, 168]])].tolist() == [
        "left", "left", "right",
    ]  # fmt: skip


@pytest.mark.parametrize("ring", [box(178, -19, 182, -15), box(178, -19, -178, -15)])
def test_polygon_over_180_is_cut(tmp_path, ring):
    areas = polygon_areas(layer(tmp_path / "f.json", ("FJ", "", "Fiji", [ring])), columns=COLUMNS)
    assert np.abs(areas.shapes[0].bounds).max() <= 180
    assert areas.shapes[0].area == pytest.approx(16)
    assert abs(areas.centre[0, 1]) == pytest.approx(180, abs=0.5)
    assert "180" in areas.notes[0]
    assert "Fiji" in areas.notes[0]


def test_ring_round_a_pole_is_refused_by_name(tmp_path):
    ring = [[lon, -70] for lon in range(-179, 180, 2)]
    path = layer(tmp_path / "p.json", ("AQ", "", "Cap", [[*ring, ring[0]]]))
    with pytest.raises(DataError, match=r"Cap.*pole"):
        polygon_areas(path, columns=COLUMNS)


def test_crossed_ring_is_repaired_with_a_note(tmp_path):
    bow = [[100, 0], [110, 10], [110, 0], [100, 10], [100, 0]]
    path = layer(
        tmp_path / "b.json",
        ("X", "1", "bow", [bow]),
        ("X", "1", "plain", [box(112, 0, 120, 10)]),
    )
    areas = polygon_areas(path, columns=COLUMNS)
    assert len(areas.notes) == 1
    assert areas.notes[0].startswith("bow: Self-intersection")
    assert areas.label[areas.area_of([[5, 101], [5, 109]])].tolist() == ["bow", "bow"]


@pytest.mark.parametrize(
    "rings", [None, [[[1, 1], [2, 2], [1, 1], [1, 1]]], [[[1, 1], [2, 2]]]], ids=str
)
def test_polygon_of_which_nothing_is_left_is_refused_by_name(tmp_path, rings):
    path = layer(
        tmp_path / "n.json", ("X", "1", "good", [box(0, 0, 1, 1)]), ("X", "1", "gone", rings)
    )
    with pytest.raises(DataError, match=r"n\.json.*'gone'"):
        polygon_areas(path, columns=COLUMNS)


def test_latitudes_beyond_the_pole_are_refused(tmp_path):
    path = layer(tmp_path / "s.json", ("JP", "", "Kyoto", [box(35, 135, 36, 136)]))
    with pytest.raises(DataError, match=r"Kyoto.*longitude first"):
        polygon_areas(path, columns=COLUMNS)


def test_rows_of_one_area_are_joined(tmp_path):
    path = layer(
        tmp_path / "j.json",
        ("X", "1", "twin", [box(100, 0, 101, 1)]),
        ("X", "1", "twin", [box(105, 0, 106, 1)]),
        ("Y", "1", "twin", [box(108, 0, 109, 1)]),
    )
    areas = polygon_areas(path, columns=COLUMNS)
    assert areas.country.tolist() == ["X", "Y"]
    assert areas.shapes[0].area == pytest.approx(2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no GeoJSON"),
        ('{"a": 1}', "no GeoJSON"),
        ('{"features": []}', "no areas"),
        ('{"features": [{"properties": {"x": 1}, "geometry": null}]}', "columns"),
    ],
)
def test_files_that_are_no_layer(tmp_path, text, says):
    path = tmp_path / "x.geojson"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=says):
        polygon_areas(path)


def test_missing_file_and_missing_columns(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        polygon_areas(tmp_path / "none.json")
    path = layer(tmp_path / "c.json", ("X", "1", "a", [box(0, 0, 1, 1)]))
    with pytest.raises(DataError, match="no columns ADM0, ADM1"):
        polygon_areas(path, columns=("ADM0", "ADM1", "ADM1"))


@pytest.mark.parametrize(
    "columns",
    [
        {"GID_0": "FRA", "GID_1": "FRA.1_1", "GID_2": "FRA.1.1_1", "NAME_2": "Ain"},
        {"GID_0": "FRA", "GID_1": "FRA.1_1", "NAME_1": "Ain"},
        {"shapeGroup": "FRA", "shapeID": "1B", "shapeName": "Ain"},
    ],
)
def test_columns_of_gadm_and_geoboundaries(tmp_path, columns):
    shape = {"type": "Polygon", "coordinates": [box(4.8, 45.8, 6.1, 46.4)]}
    feature = {"type": "Feature", "properties": columns, "geometry": shape}
    path = tmp_path / "g.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), "utf-8")
    areas = polygon_areas(path)
    assert (areas.country[0], areas.label[0]) == ("FRA", "Ain")


def test_geopackage_equals_geojson(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    path = layer(
        tmp_path / "a.json",
        ("X", "1", "west", [box(100, 0, 110, 10)]),
        ("X", "2", "east", [box(110, 0, 120, 10)]),
    )
    frame = geopandas.read_file(path).to_crs(3857)  # a projection in metres comes back to degrees
    frame.to_file(tmp_path / "a.gpkg", layer="adm", driver="GPKG")
    one = polygon_areas(path, columns=COLUMNS)
    other = polygon_areas(tmp_path / "a.gpkg", columns=COLUMNS, layer="adm")
    assert one.label.tolist() == other.label.tolist()
    np.testing.assert_allclose(one.centre, other.centre, atol=1e-9)
    (tmp_path / "bad.gpkg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.gpkg"):
        polygon_areas(tmp_path / "bad.gpkg")


def test_without_geopandas_it_says_what_to_install(tmp_path, monkeypatch):
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "geopandas":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "a.gpkg").touch()
    with pytest.raises(ImportError, match=r"geolab\[geo\]"):
        polygon_areas(tmp_path / "a.gpkg")


def swapped(geometry):
    def turn(x):
        return x[:2][::-1] if isinstance(x[0], (int, float)) else [turn(y) for y in x]

    return geometry | {"coordinates": turn(geometry["coordinates"])}


@pytest.mark.parametrize("country", ["FRA", "KEN", "GHA", "ESP", None])
def test_swapped_real_layers_are_refused(shared_data, tmp_path, country):
    held = json.loads((shared_data / "geo" / "ne_110m_admin_0_countries.json").read_text("utf-8"))
    kept = [f for f in held["features"] if country in (None, f["properties"]["ADM0_A3"])]
    right, wrong = tmp_path / "right.json", tmp_path / "wrong.json"
    right.write_text(json.dumps({"features": kept}), "utf-8")
    turned = [f | {"geometry": swapped(f["geometry"])} for f in kept]
    wrong.write_text(json.dumps({"features": turned}), "utf-8")
    assert len(polygon_areas(right)) == len(kept)
    with pytest.raises(DataError, match=r"wrong\.json.*(latitude, longitude|longitude first)"):
        polygon_areas(wrong)


def test_real_countries(shared_data):
    areas = polygon_areas(shared_data / "geo" / "ne_110m_admin_0_countries.json")
    points = [[48.86, 2.35], [59.9, 10.7], [-17.8, 178.0], [66.0, -172.0], [40.0, -40.0]]
    found = areas.country[areas.area_of(points)].tolist()
    assert found[:4] == ["FRA", "NOR", "FJI", "RUS"]  # ISO_A2 has -99 for the first two
    codes = [areas.country[list(pair)] for pair in areas.near]
    pairs = {tuple(sorted(pair)) for pair in codes}
    assert {("DEU", "FRA"), ("CHN", "RUS"), ("CAN", "USA")} <= pairs
    assert ("FJI", "NZL") not in pairs


def test_real_regions(shared_data):
    areas = polygon_areas(shared_data / "geo" / "ne_50m_admin_1_states_provinces.json")
    found = areas.label[areas.area_of([[-37.8, 144.96], [34.05, -118.24]])]
    assert found.tolist() == ["Victoria", "California"]
