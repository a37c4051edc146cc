"""Static maps: projections, lines across the antimeridian, heat maps, layers."""

from __future__ import annotations

import itertools
import json
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

from geolab import maps, sphere
from geolab.maps import land
from geolab.maps.density import cell_area_km2, density_per_km2, region_levels
from geolab.maps.projection import Projection, circle_path, great_circle_path, split_at_meridian
from geolab.posterior import Posterior


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def outline_cache(empty_cache):
    """A cache with two countries, one of them cut at the antimeridian."""
    square = [[[2, 46], [4, 46], [4, 48], [2, 48], [2, 46]]]
    fiji = [
        [[[177, -18], [180, -18], [180, -16], [177, -16], [177, -18]]],
        [[[-180, -18], [-179, -18], [-179, -16], [-180, -16], [-180, -18]]],
    ]
    features = [
        _feature("France", "-99", "Polygon", square),
        _feature("Fiji", "FJ", "MultiPolygon", fiji),
    ]
    folder = empty_cache / "natural_earth"
    folder.mkdir(parents=True)
    (folder / "ne_110m_admin_0_countries.json").write_text(json.dumps({"features": features}))
    return folder


def _feature(name, code, kind, coordinates):
    geometry = {"type": kind, "coordinates": coordinates}
    return {"properties": {"NAME": name, "ISO_A2": code}, "geometry": geometry}


def test_equal_earth_at_known_points():
    x, y = Projection("equal_earth").forward([0, 0, 90, -90, 0], [180, -180, 0, 0, 0])
    # The corners of the published projection, in Earth radii.
    assert x[:2] == pytest.approx([2.7066299836, -2.7066299836], abs=1e-9)
    assert y[2:] == pytest.approx([1.3173627592, -1.3173627592, 0.0], abs=1e-9)


@pytest.mark.parametrize("lat", [0.0, 35.0, -60.0, 80.0])
def test_equal_earth_keeps_areas(lat):
    """The Jacobian of an equal-area map is cos(lat), here by central differences."""
    page, h = Projection("equal_earth"), 1e-4
    x, y = page.forward([lat, lat, lat + h, lat - h], [70 + h, 70 - h, 70, 70])
    by_lon = np.array([x[0] - x[1], y[0] - y[1]]) / np.radians(2 * h)
    by_lat = np.array([x[2] - x[3], y[2] - y[3]]) / np.radians(2 * h)
    area = by_lon[0] * by_lat[1] - by_lon[1] * by_lat[0]
    assert area == pytest.approx(np.cos(np.radians(lat)), rel=1e-5)


def test_equirectangular_and_centre():
    x, y = Projection("equirectangular", central_lon=150.0).forward([10.0, 0.0], [-170.0, 150.0])
    assert np.degrees(x) == pytest.approx([40.0, 0.0])
    assert np.degrees(y) == pytest.approx([10.0, 0.0])
    with pytest.raises(ValueError, match="mercator"):
        Projection("mercator")


def test_split_meets_on_the_antimeridian():
    pieces = split_at_meridian([[0, 170], [10, -170], [20, -160], [10, 175]])
    assert [len(p) for p in pieces] == [2, 4, 2]
    for left, right in itertools.pairwise(pieces):
        assert left[-1, 0] == right[0, 0]
        assert abs(left[-1, 1]) == abs(right[0, 1]) == 180
        assert left[-1, 1] == -right[0, 1]


@pytest.mark.parametrize("cut", [180.0, -30.0, 330.0])
def test_split_loses_nothing_and_never_jumps(cut):
    rng = np.random.default_rng(0)
    path = np.stack([rng.uniform(-80, 80, 200), np.cumsum(rng.uniform(-40, 60, 200))], axis=1)
    path[:, 1] = (path[:, 1] + 180) % 360 - 180
    pieces = split_at_meridian(path, cut)
    assert all(np.abs(np.diff(p[:, 1])).max(initial=0) <= 180 for p in pieces)
    joined = np.concatenate(pieces)
    back = np.stack([joined[:, 0], (joined[:, 1] + 180) % 360 - 180], axis=1)
    assert all(np.abs(back - point).sum(1).min() < 1e-9 for point in path)


def test_split_of_a_path_on_the_antimeridian_itself():
    pieces = split_at_meridian([[0, 180], [5, -180], [9, 180]])
    assert np.isfinite(np.concatenate(pieces)).all()


def test_great_circle_across_the_pacific_is_drawn_in_two():
    path = great_circle_path([35.7, 139.7], [37.8, -122.4])
    assert 80 < len(path) < 90  # 8,270 km in steps of at most 100 km
    pieces = Projection("equal_earth").project_line(path)
    assert len(pieces) == 2
    assert max(np.abs(np.diff(p[:, 0])).max() for p in pieces) < 0.1


def test_circle_has_its_radius():
    km = sphere.great_circle_km(circle_path([-17.0, 179.0], 500.0), [-17.0, 179.0])
    assert np.asarray(km) == pytest.approx(500.0, abs=1e-6)


@pytest.mark.parametrize("sigma_km", [150.0, 1000.0, 20000.0])
def test_heat_map_holds_all_of_the_mass(sigma_km):
    latlon = np.array([[48.0, 2.0], [-17.0, 179.9], [89.5, 0.0]])
    lat_edges, lon_edges = np.linspace(-90, 90, 361), np.linspace(-180, 180, 721)
    lat, lon = (edges[:-1] + 0.25 for edges in (lat_edges, lon_edges))
    grid = np.stack(np.meshgrid(lat, lon, indexing="ij"), axis=-1)
    density = density_per_km2(latlon, [0.5, 0.3, 0.2], grid, sigma_km)
    area = cell_area_km2(lat_edges, lon_edges)
    assert area.sum() == pytest.approx(4 * np.pi * sphere.EARTH_RADIUS_KM**2)
    assert (density * area).sum() == pytest.approx(1.0, abs=2e-3)
    half = region_levels(density, area, (0.5,))[0]
    inside = (density * area)[density >= half].sum()
    assert 0.5 <= inside < 0.52


def test_density_by_hand():
    """Two places: at each, its own peak and the other's kernel at that distance."""
    sigma, kappa = 300.0, (sphere.EARTH_RADIUS_KM / 300.0) ** 2
    at = np.array([[0.0, 0.0], [0.0, 5.0]])
    peak = kappa / (2 * np.pi * sphere.EARTH_RADIUS_KM**2)
    other = np.exp(kappa * (np.cos(np.radians(5.0)) - 1))
    expected = peak * np.array([0.75 + 0.25 * other, 0.25 + 0.75 * other])
    assert density_per_km2(at, [0.75, 0.25], at, sigma) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="sigma_km"):
        density_per_km2(at, [0.75, 0.25], at, 0.0)


def test_country_medians_counts_misses():
    table = maps.country_medians([1.0, np.inf, np.inf, 7.0, 3.0], ["FR", "FR", "FR", "", "IS"])
    assert table.loc["FR"].tolist() == [3, np.inf]
    assert list(table.index) == ["FR", "IS"]
    with pytest.raises(ValueError, match="2 errors for 1"):
        maps.country_medians([1.0, 2.0], ["FR"])


def test_extent_around_the_antimeridian_is_narrow():
    south, west, north, east = maps.extent_around([[-17, 178], [-18, -179]], margin=0.0)
    assert (west, east) == pytest.approx((178, -179))
    assert south < -18 < -17 < north
    assert maps.world(extent=(south, west, north, east), land="none") is not None
    with pytest.raises(ValueError, match="at least one place"):
        maps.extent_around(np.zeros((0, 2)))


def test_world_refuses_bad_input(empty_cache):
    with pytest.raises(ValueError, match="extent"):
        maps.world(extent=(50, 0, 40, 10))
    with pytest.raises(ValueError, match="land"):
        maps.world(land="islands")
    with pytest.raises(FileNotFoundError, match="geolab fetch natural_earth"):
        maps.world(land="outline")


def test_land_from_places_looks_like_land():
    """Inland points lie in the guessed land, mid-ocean points do not."""
    covered = np.zeros((180, 360), dtype=bool)
    for (w, s), (e, _), *_ in land.land_blocks():
        covered[int(s) + 90, int(w) + 180 : int(e) + 180] = True
    inland = [(47, 2), (40, -100), (-10, -55), (-25, 135), (22, 79), (0, 25), (60, 100)]
    at_sea = [(0, -30), (30, -50), (-30, 80), (20, -150), (-50, -120), (39, 6), (10, 65)]
    assert all(covered[lat + 90, lon + 180] for lat, lon in inland)
    assert not any(covered[lat + 90, lon + 180] for lat, lon in at_sea)


def test_outlines_from_the_cache(outline_cache):
    found = land.outlines()
    assert [c.country for c in found] == ["FR", "FJ"]  # the -99 is repaired by name
    assert found[0].rings[0][1].tolist() == [46, 4]
    bad = outline_cache / "ne_110m_admin_0_countries.json"
    bad.write_text("{}")
    land.read_outlines.cache_clear()
    with pytest.raises(ValueError, match=r"ne_110m.*geolab fetch natural_earth"):
        land.outlines()


def test_real_natural_earth(shared_data, empty_cache):
    (empty_cache / "natural_earth").mkdir(parents=True)
    shutil.copy(shared_data / "geo" / "ne_110m_admin_0_countries.json",
                empty_cache / "natural_earth")  # fmt: skip
    codes = [c.country for c in land.outlines()]
    assert len(codes) == 177
    assert {"FR", "NO", "XK", "JP"} <= set(codes)
    assert len(maps.world(central_lon=150.0).collections) >= 2


def _two_modes() -> Posterior:
    return Posterior([[[48.9, 2.4], [-17.0, 179.8], [-17.0, -179.8]]], [[0.5, 0.3, 0.2]])


def test_every_layer_draws_and_says_synthetic(outline_cache):
    land.read_outlines.cache_clear()
    truth = np.array([[45.0, 5.0], [-20.0, 178.0], [0.0, 0.0]])
    answers = np.array([[46.0, 5.0], [-20.0, -150.0], [np.nan, np.nan]])
    table = maps.country_medians([3.0, 800.0], ["FR", "FJ"])
    drawn = [
        maps.heat_map(_two_modes(), truth=truth[0], support=True, synthetic=True, title="a"),
        maps.error_arrows(answers, truth, synthetic=True, title="b"),
        maps.votes(truth, truth[:2], bandwidth_km=500, truth=truth[0], synthetic=True, title="c"),
        maps.country_error(table, min_n=1, synthetic=True),
        maps.points(truth, label="photos", synthetic=True, title="d"),
    ]
    for ax in drawn:
        assert ax.get_title(loc="left").endswith("(synthetic TinyEarth)")
        ax.get_figure().canvas.draw()
        sizes = [text.get_fontsize() for text in ax.texts if text.get_text()]
        assert min(sizes, default=10) >= 10
    labels = [t.get_text() for t in drawn[1].get_legend().get_texts()]
    assert labels[2:] == ["≤ 200 km: 1", "≤ 750 km: 0", "≤ 2,500 km: 0", "> 2,500 km: 1",
                          "no answer: 1"]  # fmt: skip


def test_heat_map_on_a_region_says_how_much_is_in_view():
    ax = maps.heat_map(_two_modes(), maps.world(extent=(40, -10, 55, 15), land="none"))
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels[0] == "holds 50% of the 50% in view"
    with pytest.raises(ValueError, match=r"posterior\[i\]"):
        maps.heat_map(Posterior.cat([_two_modes(), _two_modes()]))


def test_scale_bar_is_as_long_as_it_says():
    ax = maps.scale_bar(maps.world(extent=(40, 0, 50, 20), land="none"))
    length = np.ptp(ax.lines[-1].get_xdata())
    km = float(ax.texts[-1].get_text().split()[0].replace(",", ""))
    assert length * sphere.EARTH_RADIUS_KM == pytest.approx(km, rel=1e-3)


def test_same_map_twice_is_the_same_file(tmp_path, empty_cache):
    from geolab.figures import save_figure

    europe = (35, -10, 60, 30)
    drawn = [maps.heat_map(_two_modes(), maps.world(extent=europe)) for _ in range(2)]
    files = [save_figure(ax, tmp_path / f"{i}.png", dpi=60) for i, ax in enumerate(drawn)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_dots_join_a_legend_and_look_as_they_are_drawn():
    answer = Posterior([[[10.0, 10.0], [40.0, 60.0]]], [[0.6, 0.4]])
    ax = maps.heat_map(answer)
    before = [text.get_text() for text in ax.get_legend().get_texts()]
    for name, marker in (("square", "s"), ("plus", "P"), ("square", "s")):
        maps.points(np.array([[0.0, 0.0]]), ax, marker=marker, label=name)
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "mode" in before
    assert said[: len(before)] == before
    assert set(said[len(before) :]) == {"square", "plus"}
    shapes = [len(ax.geolab_legend[0][i].get_marker().vertices) for i in (-2, -1)]
    assert shapes[0] != shapes[1]
