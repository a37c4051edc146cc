"""The density vote against its plain form, in every geometry that could break it."""

from __future__ import annotations

import pytest
import torch

from geolab import sphere
from geolab.kernels.density import density_vote, density_vote_reference
from tests.kernels.interpreter import run_triton_cases

BACKENDS = ["torch", "numba"]


def neighbours(n_photos: int, k: int, seed: int = 0, spread: float = 0.3):
    """Clustered places around a few centres, anywhere on Earth."""
    generator = torch.Generator().manual_seed(seed)
    centres = sphere.uniform_points(n_photos * 4, seed).reshape(
        n_photos, 4, 2
    )  # (4 Q, 2) -> (Q, 4, 2)
    pick = torch.randint(0, 4, (n_photos, k, 1), generator=generator).expand(-1, -1, 2)
    noise = spread * torch.randn(n_photos, k, 2, generator=generator, dtype=torch.float64)
    places = centres.gather(1, pick) + noise
    places = torch.stack([places[..., 0].clamp(-90, 90), sphere.wrap_lon(places[..., 1])], -1)
    return places, torch.rand(n_photos, k, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n_photos", "k"), [(1, 1), (3, 2), (5, 33), (17, 100)])
@pytest.mark.parametrize("sigma_km", [1.0, 20.0, 444.8, 3000.0])
def test_equals_the_plain_form(backend, n_photos, k, sigma_km):
    pytest.importorskip(backend)
    if backend == "numba" and sigma_km > 460:
        pytest.skip("the series is not used for such a wide kernel")
    places, weights = neighbours(n_photos, k)
    index, density = density_vote(places, weights, sigma_km, backend=backend)
    want_index, want = density_vote_reference(places, weights, sigma_km)
    torch.testing.assert_close(density, want, rtol=1e-9, atol=1e-12)
    assert torch.equal(index, want_index)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "places",
    [
        [[90, 0], [90, 120], [89.9, -60], [-90, 0]],
        [[0, 180], [0, -180], [0, 179.9], [0, 0]],
        [[10, 20], [-10, -160], [-10, -160], [10, 20]],
        [[5, 5]] * 4,
    ],
)
def test_poles_antimeridian_antipodes_identical(backend, places):
    pytest.importorskip(backend)
    places = torch.tensor([places], dtype=torch.float64)
    weights = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    index, density = density_vote(places, weights, 100.0, backend=backend)
    want_index, want = density_vote_reference(places, weights, 100.0)
    torch.testing.assert_close(density, want, rtol=1e-9, atol=1e-12)
    assert torch.equal(index, want_index)


@pytest.mark.parametrize("backend", BACKENDS)
def test_shared_support_and_float32(backend):
    pytest.importorskip(backend)
    places, _ = neighbours(1, 40)
    weights = torch.rand(6, 40)
    shared = places.expand(6, 40, 2)
    a = density_vote(shared, weights, 50.0, backend=backend)
    b = density_vote(shared.contiguous(), weights.double(), 50.0, backend=backend)
    torch.testing.assert_close(a, b)
    index, density = density_vote(places.float(), weights[:1], 50.0, backend=backend)
    want = density_vote_reference(places, weights[:1], 50.0)
    torch.testing.assert_close(density, want[1], rtol=1e-4, atol=1e-6)  # 1 m of rounding in 50 km
    assert torch.equal(index, want[0])


def test_reference_has_gradients():
    places, weights = neighbours(2, 5)
    places.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: density_vote_reference(p, weights, 300.0)[1], (places,), atol=1e-4
    )


def test_blocks_do_not_change_the_answer(monkeypatch):
    places, weights = neighbours(9, 30)
    whole = density_vote(places, weights, 20.0, backend="torch")
    monkeypatch.setattr("geolab.kernels.density._BLOCK", 64)
    torch.testing.assert_close(whole, density_vote(places, weights, 20.0, backend="torch"))


def test_a_wide_kernel_falls_back_by_itself():
    places, weights = neighbours(2, 10)
    auto = density_vote(places, weights, 2000.0)
    torch.testing.assert_close(auto, density_vote(places, weights, 2000.0, backend="torch"))
    with pytest.raises((ValueError, ImportError)):
        density_vote(places, weights, 2000.0, backend="numba")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sigma_km": 0.0}, "sigma_km must be positive"),
        ({"sigma_km": float("nan")}, "sigma_km must be positive"),
        ({"weights": torch.ones(2, 3)}, r"\(Q, K, 2\)"),
        ({"latlon": torch.zeros(2, 0, 2), "weights": torch.zeros(2, 0)}, "K >= 1"),
        ({"latlon": torch.full((2, 4, 2), 95.0)}, "95"),
        ({"latlon": torch.full((2, 4, 2), float("nan"))}, "nan"),
        ({"weights": torch.full((2, 4), -1.0)}, "row 0, place 0 is -1"),
        ({"weights": torch.full((2, 4), float("inf"))}, "is inf"),
    ],
)
def test_bad_input(change, words):
    good = {"latlon": torch.zeros(2, 4, 2), "weights": torch.ones(2, 4), "sigma_km": 20.0}
    with pytest.raises(ValueError, match=words):
        density_vote(**(good | change))


def test_triton_under_the_interpreter(repo_root):
    run_triton_cases("density", repo_root)
