"""Polar strips, panoramas on a cylinder, the raster town, the clusters of matches."""

import math

import pytest
import torch

from geolab import sphere
from geolab.crossview.clusters import locate_cluster, replicator_weights
from geolab.crossview.polar import narrowed, polar_transform, turned
from geolab.crossview.scenes import cylinder
from geolab.crossview.town import make_town


@pytest.fixture(scope="module")
def town():
    return make_town(400, seed=3)


def naive_polar(tile, height, width, start):
    """The formula, pixel by pixel; coordinates are of pixel edges, as S/2 is the centre."""
    side = tile.shape[-1]
    out = torch.zeros(3, height, width)
    for i in range(height):
        for j in range(width):
            r = side / 2 * (height - 1 - i) / height
            b = 2 * math.pi * j / width
            across, up = (
                (math.sin(b), math.cos(b)) if start == "north" else (math.cos(b), math.sin(b))
            )
            x, y = side / 2 + r * across - 0.5, side / 2 - r * up - 0.5
            x0, y0 = math.floor(x), math.floor(y)
            for dy in (0, 1):
                for dx in (0, 1):
                    weight = (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
                    yy, xx = min(max(y0 + dy, 0), side - 1), min(max(x0 + dx, 0), side - 1)
                    out[:, i, j] += weight * tile[:, yy, xx]
    return out


@pytest.mark.parametrize("start", ["north", "east"])
@pytest.mark.parametrize(("side", "height", "width"), [(9, 5, 7), (16, 8, 12), (4, 1, 1)])
def test_polar_is_its_formula(start, side, height, width):
    tiles = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    strip = polar_transform(tiles, height, width, start=start)
    for k in (0, 1):
        torch.testing.assert_close(
            strip[k], naive_polar(tiles[k], height, width, start), atol=1e-5, rtol=0
        )


def test_east_is_published_form_and_north_is_ours():
    """The same strip, read the other way round and a quarter turn on."""
    tiles = torch.rand(1, 3, 12, 12)
    north, east = (polar_transform(tiles, 6, 16, start=s) for s in ("north", "east"))
    torch.testing.assert_close(north, east.flip(-1).roll(5, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bad", [torch.zeros(3, 8, 8), torch.zeros(1, 3, 8, 9)])
def test_polar_needs_squares(bad):
    with pytest.raises(ValueError, match="square"):
        polar_transform(bad, 4, 4)


def test_turned_by_a_quarter():
    strip = torch.arange(8.0).expand(2, 1, 1, 8)
    east = turned(strip, torch.tensor([0.0, 90.0]))
    assert east[0, 0, 0].tolist() == list(range(8))
    assert east[1, 0, 0].tolist() == [2, 3, 4, 5, 6, 7, 0, 1]


@pytest.mark.parametrize("field", [0, -1, 361])
def test_field_of_view_is_checked(field):
    with pytest.raises(ValueError, match="field of view"):
        narrowed(torch.ones(1, 1, 1, 8), field)


def test_cylinder_looks_north_first():
    """Four views, each of its own brightness: the middle of each stands at its bearing."""
    views = torch.tensor([10, 20, 30, 40], dtype=torch.uint8)[None, :, None, None, None]
    strip = cylinder(views.expand(1, 4, 3, 16, 16), 4, 16)
    assert strip.shape == (1, 3, 4, 16)
    assert [strip[0, 0, 0, c].item() for c in (0, 4, 8, 12)] == [10, 20, 30, 40]


def test_cylinder_meets_at_the_seams():
    """A line at the horizon stays a line."""
    views = torch.zeros(1, 4, 3, 33, 33)
    views[..., 16:, :] = 1.0
    strip = cylinder(views, 9, 32)
    assert (strip[..., :3, :] == 0).all()
    assert (strip[..., 6:, :] == 1).all()


def test_town_is_the_same_ground_from_both_sides(town):
    at = torch.tensor([[300.0, 500.0], [411.0, 222.0]])
    tiles, strips = town.tiles(at, 40), town.strips(at, 16, 64)
    assert tiles.shape == (2, 3, 40, 40)
    assert strips.shape == (2, 3, 16, 64)
    plain = polar_transform(tiles, 16, 64).float().flatten(1)
    right = torch.corrcoef(torch.stack([strips[0].float().flatten(), plain[0]]))[0, 1]
    wrong = torch.corrcoef(torch.stack([strips[0].float().flatten(), plain[1]]))[0, 1]
    assert right > wrong + 0.2


def test_town_lies_on_the_sphere(town):
    """Metres of the town are metres on Earth, north is up and east is right."""
    middle = town.side_m / 2
    at = torch.tensor([[middle, middle], [middle + 300, middle], [middle, middle + 300]])
    place = town.to_latlon(at)
    km = sphere.great_circle_km(place[:1], place[1:])
    torch.testing.assert_close(km, torch.tensor([0.3, 0.3], dtype=km.dtype), atol=1e-6, rtol=0)
    assert place[1, 1] > place[0, 1]
    assert place[2, 0] > place[0, 0]
    # the pixel row of a place further north is further up
    assert torch.equal(
        town.tiles(at[2:], 8)[0, :, 2:], town.tiles(at[2:] - torch.tensor([0, 4.0]), 8)[0, :, :-2]
    )


def test_town_ends_somewhere(town):
    with pytest.raises(ValueError, match="edge of the town"):
        town.tiles(torch.tensor([[400.0, 400.0], [3.0, 400.0]]))


def test_town_is_seeded():
    assert torch.equal(make_town(120, seed=5).ground, make_town(120, seed=5).ground)
    assert not torch.equal(make_town(120, seed=5).ground, make_town(120, seed=6).ground)


@pytest.mark.parametrize("around", [(48.0, 11.0), (0.0, 179.9999), (89.99, 40.0), (-33.0, -70.0)])
def test_three_that_agree_beat_two_that_do_not(around):
    lat, lon = around
    far = [[10.0, 20.0], [-45.0, 100.0]]
    offset = sphere.destination(torch.tensor([around] * 3), torch.tensor([0.0, 120.0, 240.0]), 0.05)
    places = torch.cat([torch.tensor(far), offset.float()])[None]
    found = locate_cluster(places, scale_km=0.1)
    assert found.agreed.item()
    assert sphere.great_circle_km(found.point, torch.tensor([[lat, lon]]))[0] < 0.05
    mean = sphere.spherical_mean(places)
    assert sphere.great_circle_km(mean, torch.tensor([[lat, lon]]))[0] > 500


def test_without_agreement_the_first_answers():
    places = torch.tensor([[[1.0, 2.0], [30.0, 40.0], [-50.0, 60.0]], [[0.0, 0.0]] * 3])
    found = locate_cluster(places)
    assert found.agreed.tolist() == [False, True]
    torch.testing.assert_close(found.point[0], torch.tensor([1.0, 2.0]).double())
    assert found.posterior.weight[0].tolist() == [1, 0, 0]


def test_one_match_is_the_answer():
    found = locate_cluster(torch.tensor([[[5.0, 6.0]]]))
    torch.testing.assert_close(found.point, torch.tensor([[5.0, 6.0]]).double())


def test_replicator_finds_the_clique():
    a = torch.tensor([[[0, 1, 1, 0.1], [1, 0, 1, 0], [1, 1, 0, 0], [0.1, 0, 0, 0]]])
    weight = replicator_weights(a)[0]
    torch.testing.assert_close(weight[:3], torch.full((3,), 1 / 3).double(), atol=2e-2, rtol=0)
    assert weight[3] < 1e-3


@pytest.mark.parametrize(
    ("places", "scale"),
    [([[[91.0, 0.0]]], 0.1), ([[[float("nan"), 0.0]]], 0.1), ([[[1.0, 1.0]]], 0.0)],
)
def test_clusters_refuse_nonsense(places, scale):
    with pytest.raises(ValueError, match=r"places|scale"):
        locate_cluster(torch.tensor(places), scale_km=scale)
