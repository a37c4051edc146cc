"""Paths from noise to a place, their targets, and pairs that have none."""

from __future__ import annotations

import math

import pytest
import torch

from geolab import sphere
from geolab.flow.paths import (
    on_path,
    schedule,
    schedule_rate,
    sphere_path,
    steps_from_noise,
    to_tangent,
    uniform_on_sphere,
    unit_rows,
)


@pytest.fixture
def pairs():
    draws = torch.rand(200, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noise, place = uniform_on_sphere(draws[:, :2]), uniform_on_sphere(draws[:, 2:4])
    return noise, place, 0.01 + 0.98 * draws[:, 4]


@pytest.mark.parametrize("process", ["sphere", "flow"])
def test_target_is_the_derivative_of_the_path(pairs, process):
    noise, place, g = pairs
    ahead, behind = (on_path(process, noise, place, g + h)[0] for h in (1e-5, -1e-5))
    torch.testing.assert_close(
        on_path(process, noise, place, g)[1], (ahead - behind) / 2e-5, atol=1e-8, rtol=1e-6
    )


def test_closed_form_is_what_forward_differentiation_gives(pairs):
    """The released code differentiates the path; the closed form costs nothing and is the same."""
    noise, place, g = pairs
    away = sphere.log_map(noise, place)
    point, target = torch.func.jvp(
        lambda t: sphere.exp_map(noise, t[:, None] * away), (g,), (torch.ones_like(g),)
    )
    mine = sphere_path(noise, place, g)
    torch.testing.assert_close(mine[0], point)
    torch.testing.assert_close(mine[1], target)


def test_points_are_on_the_sphere_and_targets_tangent_and_as_long_as_the_way(pairs):
    noise, place, g = pairs
    point, target = sphere_path(noise, place, g)
    angle = sphere.chord_to_km(noise, place, radius_km=1.0)
    torch.testing.assert_close(point.norm(dim=1), torch.ones(200).double())
    assert (point * target).sum(1).abs().max() < 1e-12
    torch.testing.assert_close(target.norm(dim=1), angle)


def test_ends(pairs):
    noise, place, _ = pairs
    for process in ("sphere", "flow"):
        torch.testing.assert_close(on_path(process, noise, place, torch.zeros(200))[0], noise)
        torch.testing.assert_close(on_path(process, noise, place, torch.ones(200))[0], place)
    point, target = on_path("ddpm", noise, place, torch.full((200,), 0.25))
    torch.testing.assert_close(point, 0.5 * place + 0.75**0.5 * noise)
    assert target is noise


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_antipodes_take_one_great_circle_always_the_same(dtype):
    place = uniform_on_sphere(torch.rand(500, 2, generator=torch.Generator().manual_seed(0)))
    place = place.to(dtype)
    g = torch.linspace(0, 1, 500)
    point, target = sphere_path(-place, place, g)
    again = sphere_path(-place, place, g)
    assert torch.equal(point, again[0])
    assert torch.equal(target, again[1])
    assert target.isfinite().all()
    torch.testing.assert_close(target.norm(dim=1), torch.full((500,), math.pi, dtype=dtype))
    torch.testing.assert_close(point.norm(dim=1), torch.ones(500, dtype=dtype))
    assert (point * target).sum(1).abs().max() < 1e-5


def test_nearly_antipodes_and_nearly_the_same():
    place = torch.tensor([[0.0, 0.6, 0.8]], dtype=torch.float64)
    for off in (1e-3, 1e-7, 1e-11, 1e-15):
        for sign in (-1, 1):
            noise = sign * place + torch.tensor([[off, 0, 0]], dtype=torch.float64)
            point, target = sphere_path(noise, place, torch.tensor([0.3]))
            assert (point * target).sum().abs() < 1e-6, (off, sign)
            assert target.norm() <= math.pi + 1e-9
            assert abs(float(point.norm()) - 1) < 1e-7
    still = sphere_path(place, place, torch.tensor([0.3]))
    assert still[1].norm() == 0
    torch.testing.assert_close(still[0], place)


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("process", ["sphere", "flow", "ddpm"])
def test_a_place_without_direction_is_named(bad, process):
    place = torch.eye(3).repeat(2, 1)
    place[4] = bad
    with pytest.raises(ValueError, match=r"place row 4 is .*no direction"):
        on_path(process, torch.eye(3).repeat(2, 1), place, torch.rand(6))


def test_noise_without_direction_is_named():
    noise = torch.eye(3)
    noise[1] = 0
    with pytest.raises(ValueError, match="noise row 1 is"):
        sphere_path(noise, torch.eye(3), torch.rand(3))
    with pytest.raises(ValueError, match=r"sample row \(1, 2\) is"):
        unit_rows(torch.ones(2, 3, 3) * torch.tensor([[1], [1], [0]]) ** torch.tensor([[[0]], [[1]]]), "sample")  # fmt: skip  # noqa: E501


def test_time_outside_and_unknown_names():
    e = torch.eye(3)
    for g in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="g must lie in"):
            sphere_path(e, e, torch.full((3,), g))
    with pytest.raises(ValueError, match="no process 'torus'"):
        on_path("torus", e, e, torch.rand(3))
    with pytest.raises(ValueError, match="no schedule 'cosine'"):
        schedule(torch.rand(3), "cosine")
    with pytest.raises(ValueError, match="at least one step"):
        steps_from_noise(0)


@pytest.mark.parametrize("kind", ["sigmoid", "linear"])
def test_schedule(kind):
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    g = schedule(t, kind)
    assert abs(float(g[0]) - 1) < 1e-12
    assert abs(float(g[-1])) < 1e-12
    assert (g.diff() < 0).all()
    torch.testing.assert_close(
        schedule_rate(t[1:-1], kind), (g[2:] - g[:-2]) / 0.002, atol=2e-4, rtol=2e-4
    )
    steps = steps_from_noise(10, kind)
    assert steps[0] == 0
    assert steps[-1] == 1
    assert (steps.diff() > 0).all()


def test_sigmoid_looks_at_the_end_of_the_way():
    t = torch.linspace(0, 1, 10_001)
    assert 0.3 < float((schedule(t) > 0.98).float().mean()) < 0.4
    assert abs(float((schedule(t, "linear") > 0.98).float().mean()) - 0.02) < 1e-3


def test_uniform_noise_is_even_by_area():
    xyz = uniform_on_sphere(torch.rand(100_000, 2, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(xyz.norm(dim=1), torch.ones(100_000))
    assert xyz.mean(0).abs().max() < 0.01
    torch.testing.assert_close(xyz.T @ xyz / 100_000, torch.eye(3) / 3, atol=0.01, rtol=0)


def test_to_tangent():
    x = torch.tensor([0.0, 0.0, 1.0])
    assert to_tangent(x, torch.tensor([1.0, 2.0, 3.0])).tolist() == [1.0, 2.0, 0.0]
