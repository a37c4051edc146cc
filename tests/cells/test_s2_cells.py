"""Geometry of S2 cells, against s2sphere and against itself."""

from __future__ import annotations

import numpy as np
import pytest

from geolab import sphere
from geolab.cells import s2_cells
from geolab.data import DataError

s2sphere = pytest.importorskip("s2sphere")
EARTH_KM2 = 4 * np.pi * sphere.EARTH_RADIUS_KM**2
FACES = ["1", "3", "5", "7", "9", "b"]


@pytest.fixture(scope="module")
def cells():
    """Random cells of all levels, and those in the corners of the cube and at the poles."""
    special = [[lat, lon] for lat in (-90, -35.26, 0, 45, 90) for lon in range(-180, 181, 45)]
    points = np.concatenate([sphere.uniform_points(4000, 1).numpy(), np.repeat(special, 31, 0)])
    make = s2sphere.LatLng.from_degrees
    leaves = [s2sphere.CellId.from_lat_lng(make(*map(float, p))) for p in points]
    return [leaf.parent(i % 31) for i, leaf in enumerate(leaves)]


@pytest.fixture(scope="module")
def ids(cells):
    return np.array([cell.id() for cell in cells], dtype=np.uint64)


def latlon_of(point) -> list[float]:
    place = s2sphere.LatLng.from_point(point)
    return [place.lat().degrees, place.lng().degrees]


def test_levels_parents_children_and_ranges(cells, ids):
    level = s2_cells.level_of(ids)
    assert level.tolist() == [cell.level() for cell in cells]
    for up in (0, 1, 7, 15):
        deep = np.flatnonzero(level >= up)
        want = [cells[i].parent(up).id() for i in deep]
        assert s2_cells.parent(ids[deep], up).tolist() == want
    inner = np.flatnonzero(level < 30)
    want = [[child.id() for child in cells[i].children()] for i in inner]
    assert s2_cells.children(ids[inner]).tolist() == want
    first, last = s2_cells.id_range(ids)
    assert first.tolist() == [cell.range_min().id() for cell in cells]
    assert last.tolist() == [cell.range_max().id() for cell in cells]


def test_tokens_go_there_and_back(cells, ids):
    tokens = s2_cells.to_token(ids)
    assert tokens == [cell.to_token() for cell in cells]
    assert np.array_equal(s2_cells.from_token(tokens), ids)
    assert np.array_equal(s2_cells.from_token([t.upper() for t in tokens]), ids)


def test_centres_and_vertices(cells, ids):
    want = np.array([latlon_of(cell.to_point()) for cell in cells])
    assert sphere.great_circle_km(s2_cells.centre(ids), want).max() < 1e-10
    corners = [[latlon_of(s2sphere.Cell(c).get_vertex(k)) for k in range(4)] for c in cells]
    assert sphere.great_circle_km(s2_cells.vertices(ids), np.array(corners)).max() < 1e-10


def test_areas(cells, ids):
    want = np.array([s2sphere.Cell(cell).exact_area() for cell in cells]) * EARTH_KM2 / (4 * np.pi)
    ratio = s2_cells.area_km2(ids) / want
    assert np.abs(ratio - 1).max() < 1e-5
    assert np.abs(ratio - 1)[s2_cells.level_of(ids) > 0].max() < 1e-6
    level_3 = s2_cells.children(s2_cells.children(s2_cells.from_token(FACES)).ravel()).ravel()
    assert s2_cells.area_km2(level_3).sum() == pytest.approx(EARTH_KM2, rel=1e-9)


def test_edge_neighbours(cells, ids):
    want = [sorted(other.id() for other in cell.get_edge_neighbors()) for cell in cells]
    assert np.sort(s2_cells.edge_neighbours(ids), axis=1).tolist() == want


def ring_area(outline: np.ndarray) -> float:
    """Area in km2 of a polygon (m, 2) of degrees whose edges are straight in lon and sin(lat)."""
    x, y = np.radians(outline[:, 1]), np.sin(np.radians(outline[:, 0]))
    twice = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum()
    return float(twice / 2 * sphere.EARTH_RADIUS_KM**2)


def test_rings_stay_on_their_side_of_the_antimeridian(ids):
    for outline, _ in s2_cells.rings(ids):
        assert np.abs(outline[..., 1]).max() <= 180
        assert np.abs(outline[..., 0]).max() <= 90
        assert np.ptp(outline[..., 1], axis=1).max() <= 180


@pytest.mark.parametrize("level", [0, 1, 2, 3, 5])
def test_rings_of_one_level_tile_the_earth(level):
    """Positive areas (counter-clockwise) that sum to the Earth's: no gap, no jump, no pole lost."""
    ids = s2_cells.from_token(FACES)
    for _ in range(level):
        ids = s2_cells.children(ids).ravel()
    found = s2_cells.rings(ids)
    areas = np.array([ring_area(ring) for outline, _ in found for ring in outline])
    rows = np.concatenate([row for _, row in found])
    assert (areas > 0).all()
    assert areas.sum() == pytest.approx(EARTH_KM2, rel=2e-4)
    assert np.array_equal(np.unique(rows), np.arange(len(ids)))
    each = np.bincount(rows, weights=areas)
    assert each == pytest.approx(s2_cells.area_km2(ids), rel=5e-2)  # coarsest beside the poles


def test_faces_that_no_polygon_can_hold_come_in_four():
    rows = np.concatenate([row for _, row in s2_cells.rings(s2_cells.from_token(FACES))])
    assert np.bincount(rows).tolist() == [1, 1, 4, 4, 1, 4]


def test_a_cell_at_the_pole_has_two_corners_there():
    ids = s2_cells.parent(s2_cells.from_token(["4fffffffffffffff"]), 3)
    ((outline, _),) = s2_cells.rings(ids)
    at_pole = outline[0][outline[0][:, 0] > 90 - 1e-9]
    assert len(at_pole) == 2
    assert np.ptp(at_pole[:, 1]) == pytest.approx(90)


@pytest.mark.parametrize("bad", ["", "xyz", "0", "2", "c", "1" * 17])
def test_text_that_is_no_token_is_refused(bad):
    with pytest.raises(DataError, match="row 1"):
        s2_cells.from_token(["47e66e1", bad])


def test_a_token_read_as_a_number_is_refused():
    with pytest.raises(DataError, match="dtype=str"):
        s2_cells.from_token([8e10])


def test_what_has_no_answer_is_refused():
    faces = s2_cells.from_token(["1"])
    with pytest.raises(DataError, match="row 1: cell 1 has no ancestor at level 1"):
        s2_cells.parent(s2_cells.from_token(["14", "1"]), 1)
    with pytest.raises(ValueError, match="31"):
        s2_cells.parent(faces, 31)
    with pytest.raises(DataError, match="no children"):
        s2_cells.children(np.array([1], dtype=np.uint64))
    with pytest.raises(DataError, match="row 1: 6 is no S2"):
        s2_cells.level_of(np.array([1, 6], dtype=np.uint64))


def test_nothing_in_nothing_out():
    none = np.zeros(0, np.uint64)
    assert s2_cells.rings(none) == []
    assert s2_cells.centre(none).shape == (0, 2)
    assert s2_cells.edge_neighbours(none).shape == (0, 4)
