"""Mean shift: toy cases on the date line and the poles, ties, merging, and a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.locators.mean_shift import mean_shift
from geolab.sphere import EARTH_RADIUS_KM, destination, great_circle_km, to_latlon, to_unit

PARIS, SYDNEY, LIMA = (48.86, 2.35), (-33.87, 151.21), (-12.05, -77.04)


def around(place, km, n, seed=0):
    rng = np.random.default_rng(seed)
    spots = [destination(place, rng.uniform(0, 360), km * np.sqrt(rng.random())) for _ in range(n)]
    return torch.stack([torch.as_tensor(spot).reshape(2) for spot in spots]).double()


def plain_mean_shift(latlon, bandwidth_km):
    """One walker at a time, by the definition."""
    places = to_unit(latlon)
    ends = []
    for start in places:
        x = start
        for _ in range(300):
            chord = torch.linalg.vector_norm(places - x, dim=1)
            inside = chord <= 2 * np.sin(bandwidth_km / (2 * EARTH_RADIUS_KM))
            after = places[inside].sum(0)
            after = after / after.norm()
            still = great_circle_km(to_latlon(x), to_latlon(after)) <= 0.001
            x = after
            if still:
                break
        ends.append(x)
    return to_latlon(torch.stack(ends))


def test_clusters_far_apart_are_found_and_ranked():
    places = torch.cat([around(LIMA, 100, 3), around(PARIS, 100, 7, 1), around(SYDNEY, 100, 5, 2)])
    found = mean_shift(places, 500)
    assert found.count.tolist() == [[7, 5, 3]]
    for mode, place in zip(found.latlon[0], (PARIS, SYDNEY, LIMA), strict=True):
        assert great_circle_km(mode, place) < 100
    assert found.label.tolist() == [[2] * 3 + [0] * 7 + [1] * 5]


def test_ends_equal_a_plain_loop():
    places = torch.cat([around(PARIS, 900, 25), around((40.4, -3.7), 700, 20, 1)])
    ends = plain_mean_shift(places, 500)
    found = mean_shift(places, 500)
    for end, label in zip(ends, found.label[0].tolist(), strict=True):
        # Each walker's end lies within the merging distance of the mode it was counted for.
        assert great_circle_km(end, found.latlon[0, label]) <= 250
    for mode in found.latlon[0]:
        assert great_circle_km(ends, mode).min() < 0.01


def test_date_line():
    places = [[-17.0, 179.5], [-17.2, -179.6], [-16.8, 179.9], [-17.1, -179.9], *[PARIS] * 3]
    found = mean_shift(places, 500)
    assert found.count.tolist() == [[4, 3]]
    assert great_circle_km(found.latlon[0, 0], [-17.0, 180.0]) < 30


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_poles(pole):
    ring = [[pole * 0.99, lon] for lon in (0.0, 90.0, 180.0, -90.0)]
    found = mean_shift(ring, 500)
    assert found.count.tolist() == [[4]]
    assert abs(float(found.latlon[0, 0, 0])) == pytest.approx(90, abs=1e-6)
    assert mean_shift([[pole, 0.0], [pole, 123.0]], 1).count.tolist() == [[2]]


def test_ties_go_to_the_earlier_match():
    places = [SYDNEY, PARIS, LIMA, PARIS, SYDNEY, LIMA]
    found = mean_shift(places, 200)
    assert found.count.tolist() == [[2, 2, 2]]
    for mode, place in zip(found.latlon[0], (SYDNEY, PARIS, LIMA), strict=True):
        assert great_circle_km(mode, place) < 1e-3


def test_small_modes_are_dropped_unless_none_is_left():
    places = [*[PARIS] * 4, *[SYDNEY] * 3, LIMA]
    found = mean_shift(places, 500, min_matches=4)
    assert found.count.tolist() == [[4]]
    assert found.label.tolist() == [[0, 0, 0, 0, -1, -1, -1, -1]]
    scattered = mean_shift([PARIS, SYDNEY, SYDNEY, LIMA], 500, min_matches=4)
    assert scattered.count.tolist() == [[2, 1, 1]]
    assert great_circle_km(scattered.latlon[0, 0], SYDNEY) < 1e-3


def test_modes_nearer_than_half_a_bandwidth_are_one():
    near, far = destination(PARIS, 90, 240), destination(PARIS, 90, 260)
    # Windows of 200 km never see the other place, so both walkers stay where they are.
    one = mean_shift(torch.stack([torch.tensor(PARIS), torch.as_tensor(near).reshape(2)]), 200)
    assert one.count.tolist() == [[1, 1]]
    # With a bandwidth of 250 the near one is seen, the far one is not, nor is it merged.
    assert mean_shift([PARIS, tuple(near.reshape(2).tolist())], 250).count.tolist() == [[2]]
    assert mean_shift([PARIS, tuple(far.reshape(2).tolist())], 250).count.tolist() == [[1, 1]]


def test_order_of_matches_does_not_move_the_modes():
    places = torch.cat([around(PARIS, 800, 30), around(SYDNEY, 800, 20, 1)])
    shuffled = places[torch.from_numpy(np.random.default_rng(0).permutation(50))]
    here, there = mean_shift(places), mean_shift(shuffled)
    assert here.count[0, 0] == there.count[0, 0]
    assert great_circle_km(here.latlon[0, 0], there.latlon[0, 0]) < 250


def test_batch_equals_one_by_one():
    rng = np.random.default_rng(0)
    batch = torch.stack([around(PARIS, 3000, 40, seed) for seed in range(150)])
    together = mean_shift(batch, 500, min_matches=4)
    for row in rng.integers(150, size=10):
        alone = mean_shift(batch[row], 500, min_matches=4)
        width = alone.count.shape[1]
        assert together.count[row, :width].tolist() == alone.count[0].tolist()
        assert together.count[row, width:].sum() == 0
        assert torch.allclose(together.latlon[row, :width], alone.latlon[0], atol=1e-9)
        assert together.label[row].tolist() == alone.label[0].tolist()


def test_one_match_and_equal_matches():
    assert mean_shift([PARIS]).latlon[0, 0].tolist() == pytest.approx(PARIS)
    same = mean_shift([PARIS] * 120)
    assert same.count.tolist() == [[120]]


def test_antipodes_do_not_cancel():
    found = mean_shift([[0.0, 0.0], [0.0, 180.0]], 10_000)
    assert found.count.tolist() == [[1, 1]]
    assert torch.isfinite(found.latlon).all()


@pytest.mark.parametrize(
    ("places", "bandwidth", "text"),
    [
        ([[91.0, 0.0]], 500, "91"),
        ([[np.nan, 0.0]], 500, "nan"),
        ([PARIS], 0, "bandwidth"),
        ([PARIS], -5, "bandwidth"),
        ([PARIS], 12_000, "bandwidth"),
        ([PARIS], np.nan, "bandwidth"),
        (np.zeros((0, 2)), 500, "K >= 1"),
        (np.zeros((2, 0, 2)), 500, "K >= 1"),
    ],
)
def test_bad_input(places, bandwidth, text):
    with pytest.raises(ValueError, match=text):
        mean_shift(places, bandwidth)


def test_empty_batch():
    assert mean_shift(np.zeros((0, 5, 2))).latlon.shape[0] == 0
