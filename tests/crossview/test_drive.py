"""The camera that is followed over the map."""

import pytest
import torch

from geolab.crossview.drive import (
    Filter,
    Grid,
    belief_best,
    belief_mean,
    drive_route,
    follow,
    particle_filter,
    smoothed,
)

GRID = Grid(side=30, spacing_m=20.0, corner_m=(10.0, 10.0))


@pytest.fixture(scope="module")
def looks():
    """Similarities of a drive: the true tile is likely best, and some other often is."""
    route = drive_route(600, 60, step_m=20, seed=2)
    rng = torch.Generator().manual_seed(1)
    away = torch.cdist(route, GRID.positions())
    alike = 0.35 * torch.exp(-((away / 25) ** 2)) + 0.12 * torch.randn(away.shape, generator=rng)
    return route, alike.clamp(-1, 1)


def error(point, route):
    return (point - route).norm(dim=1).median().item()


def test_following_beats_looking(looks):
    route, similarity = looks
    alone = error(GRID.positions()[similarity.argmax(1)], route)
    belief = follow(similarity, GRID)
    after = smoothed(similarity, GRID)
    assert error(belief_best(belief, GRID), route) < 0.5 * alone
    assert error(belief_mean(after, GRID), route) <= error(belief_mean(belief, GRID), route) + 1
    torch.testing.assert_close(belief.sum(1), torch.ones(60).double())


def test_forward_pass_is_the_sum_over_all_paths():
    """Against every path of three looks on a 3 x 3 grid."""
    from itertools import product

    grid = Grid(3, 10.0, (0.0, 0.0))
    config = Filter(reach_m=10.0, temperature=0.5, floor=0.0)
    similarity = torch.rand(3, 9, generator=torch.Generator().manual_seed(0))
    weight = torch.softmax(similarity.double() / 0.5, 1)
    at = grid.positions()
    near = (torch.cdist(at, at) <= 10.0 + 1e-6).double() / 5  # itself and four neighbours
    want = torch.zeros(9).double()
    for a, b, c in product(range(9), repeat=3):
        want[c] += weight[0, a] * near[a, b] * weight[1, b] * near[b, c] * weight[2, c]
    torch.testing.assert_close(follow(similarity, grid, config)[-1], want / want.sum())


def test_one_wrong_look_does_not_lose_the_car(looks):
    route, similarity = looks
    broken = similarity.clone()
    broken[30] = -1.0
    broken[30, 5] = 1.0  # sure, and wrong
    after = follow(broken, GRID)
    assert (belief_best(after, GRID)[40:] - route[40:]).norm(dim=1).median() < 30


def test_particles_agree_with_the_grid(looks):
    route, similarity = looks
    from scipy.interpolate import RegularGridInterpolator

    line = 10.0 + 20.0 * torch.arange(30).double().numpy()

    def look(t, at):
        field = similarity[t].reshape(30, 30).numpy()
        ask = RegularGridInterpolator((line, line), field, bounds_error=False, fill_value=-1.0)
        return torch.from_numpy(ask(at[:, [1, 0]].numpy()))  # rows are north

    mean, spread = particle_filter(look, 60, 600.0, n=3000)
    assert (mean[20:] - route[20:]).norm(dim=1).median() < 40
    assert spread[0] > spread[30]


def test_route_keeps_inside_and_moves_evenly():
    route = drive_route(500, 300, step_m=15, margin_m=50, seed=4)
    assert route.min() >= 50
    assert route.max() <= 450
    step = (route[1:] - route[:-1]).norm(dim=1)
    torch.testing.assert_close(step, torch.full_like(step, 15.0))
    with pytest.raises(ValueError, match="no room"):
        drive_route(100, 5, margin_m=50)


def test_nonsense_is_refused(looks):
    _, similarity = looks
    with pytest.raises(ValueError, match="this grid"):
        follow(similarity[:, 1:], GRID)
    broken = similarity.clone()
    broken[7, 3] = torch.nan
    with pytest.raises(ValueError, match="look 7"):
        follow(broken, GRID)
    with pytest.raises(ValueError, match="positive"):
        Filter(reach_m=0)
