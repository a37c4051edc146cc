"""The answer type: validation, points, regions and how localizable an answer is."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geolab import sphere
from geolab.posterior import Posterior

PARIS, ROME, SYDNEY = [48.86, 2.35], [41.89, 12.48], [-33.87, 151.21]


def random_posterior(b: int, k: int, seed: int = 0) -> Posterior:
    generator = torch.Generator().manual_seed(seed)
    latlon = sphere.uniform_points(b * k, seed).reshape(b, k, 2)  # (b*k, 2) -> (b, k, 2)
    return Posterior(latlon, torch.rand(b, k, generator=generator).softmax(-1))


@pytest.mark.parametrize(
    ("latlon", "weight", "words"),
    [
        ([[[0, 0], [0, 95]]], [[0.5, 0.6]], "row 0 sums to 1.1"),
        ([[[0, 0], [0, 95]]], [[1.5, -0.5]], "row 0, place 1 is -0.5"),
        ([[[0, 0]], [[0, 0]]], [[1.0], [math.nan]], "row 1, place 0 is nan"),
        ([[[0, 0]], [[95, 0]]], [[1.0], [1.0]], r"row \(1, 0\).*95.*swapped"),
        ([[[0, 0], [0, 1]]], [[1.0]], "do not fit"),
        ([[[0, 0]]], [1.0], "shape"),
        (torch.zeros(2, 0, 2), torch.zeros(2, 0), "at least one place"),
    ],
)
def test_bad_input_is_named(latlon, weight, words):
    with pytest.raises(ValueError, match=words):
        Posterior(latlon, weight)


def test_shared_support_is_not_copied():
    support = sphere.uniform_points(1000, 1)
    post = Posterior(support, torch.full((64, 1000), 1e-3))
    assert post.latlon.shape == (64, 1000, 2)
    assert post.latlon.data_ptr() == support.data_ptr()


def test_points_of_a_two_mode_answer():
    post = Posterior([[PARIS, ROME, SYDNEY]], [[0.3, 0.3, 0.4]])
    assert post.mode()[0].tolist() == SYDNEY
    assert post.density_mode(1000)[0].tolist() == PARIS  # Paris and Rome support each other
    assert post.density_mode(10)[0].tolist() == SYDNEY
    assert post.best_score()[0].tolist() == ROME  # the one of the pair nearer to Sydney
    mean = post.mean()
    assert sphere.great_circle_km(mean, [PARIS, ROME, SYDNEY]).min() > 500


def test_density_mode_crosses_the_antimeridian():
    post = Posterior([[[-17, 179.9], [-17, -179.9], [51.5, 0.0]]], [[0.3, 0.3, 0.4]])
    assert post.density_mode(400)[0, 0].item() == -17


def test_density_mode_equals_a_plain_loop():
    post = random_posterior(5, 30)
    for row in range(5):
        km = sphere.great_circle_matrix(post.latlon[row], post.latlon[row])
        want = (torch.exp(-0.5 * (km / 700) ** 2) @ post.weight[row].double()).argmax()
        assert torch.equal(post.density_mode(700)[row], post.latlon[row, want])


def test_blocks_do_not_change_the_answer(monkeypatch):
    post = random_posterior(7, 50)
    whole = post.best_score()
    monkeypatch.setattr("geolab.posterior._BLOCK", 64)
    assert torch.equal(whole, post.best_score())


@given(st.integers(1, 30), st.floats(0.01, 1.0), st.integers(0, 10))
@settings(max_examples=60, deadline=None)
def test_credible_set_is_smallest(k, p, seed):
    post = random_posterior(3, k, seed)
    mask = post.credible(p)
    for row in range(3):
        inside = post.weight[row][mask[row]].double()
        assert inside.sum() >= p - 1e-6
        assert inside.sum() - inside.min() < p
        assert mask[row].all() or post.weight[row][~mask[row]].max() <= inside.min()


def test_localizability_counts_halvings_of_the_area():
    grid = sphere.fibonacci_grid(3000)
    anywhere = Posterior(grid, torch.full((1, 3000), 1 / 3000))
    assert anywhere.localizability(1200).item() == pytest.approx(0, abs=1e-3)
    north = grid[grid[:, 0] > 0]
    half = Posterior(north, torch.full((1, len(north)), 1 / len(north)))
    assert half.localizability(800).item() == pytest.approx(1, abs=0.1)
    one = Posterior([[PARIS]], [[1.0]])
    assert one.localizability(100) > 12
    assert one.localizability(100) - one.localizability(200) == pytest.approx(2, abs=1e-3)


def test_localizability_does_not_depend_on_how_the_support_is_cut():
    one = Posterior([[PARIS]], [[1.0]])
    many = Posterior([[PARIS] * 50], [[0.02] * 50])
    assert many.entropy() > one.entropy() == 0
    assert many.localizability().item() == pytest.approx(one.localizability().item())


def test_sorted_top_slice_and_cat():
    post = random_posterior(4, 6)
    ordered = post.sorted()
    assert (ordered.weight.diff(dim=-1) <= 0).all()
    top = post.top(2)
    assert top.support_size == 2
    assert top.weight.sum(-1).tolist() == pytest.approx([1.0] * 4)
    assert torch.equal(top.mode(), post.mode())
    assert len(post[1:3]) == 2
    assert len(post[0]) == 1
    joined = Posterior.cat([post[:2], top[2:]])
    assert joined.support_size == 6
    assert torch.equal(joined.mode(), post.mode())
    with pytest.raises(ValueError, match="between 1 and 6"):
        post.top(7)


def test_from_votes_and_logits():
    post = Posterior.from_votes([[PARIS, ROME], [PARIS, ROME]], [[3, 1], [0, 0]])
    assert post.weight.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    soft = Posterior.from_logits([PARIS, ROME], torch.tensor([[0.0, 0.0]], dtype=torch.float16))
    assert soft.weight.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("call", [lambda p: p.density_mode(0), lambda p: p.credible(0)])
def test_bad_parameters_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call(random_posterior(1, 2))


def test_empty_batch():
    empty = random_posterior(2, 3)[0:0]
    assert empty.mode().shape == (0, 2)
    assert empty.density_mode(100).shape == (0, 2)
