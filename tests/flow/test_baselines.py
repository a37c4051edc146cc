"""Von Mises-Fisher heads: normaliser, samples, gradients, learning."""

from __future__ import annotations

import math

import pytest
import torch

from geolab import sphere
from geolab.flow.baselines import VmfNetwork, learn_vmf
from geolab.flow.grid import density_grid
from geolab.flow.network import NetworkConfig
from geolab.training import TrainConfig
from geolab.vmf import log_vmf, log_vmf_constant, sample_vmf

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("kappa", [0.0, 1e-6, 9.99e-3, 1.01e-2, 1.0, 50.0, 1e4, 1e7])
def test_vmf_integrates_to_one(kappa):
    """Over z, where the density depends on nothing else: 2 pi p(z) dz, in u = -log(1 - z)."""
    k = torch.tensor(kappa, dtype=torch.float64)
    below = torch.exp(torch.linspace(math.log(1e-12), math.log(2), 200_001, dtype=torch.float64))
    log_p = log_vmf_constant(k) - k * below
    total = torch.trapezoid(2 * math.pi * log_p.exp(), below) + 2 * math.pi * 1e-12 * log_p[0].exp()
    assert abs(float(total) - 1) < 1e-5


def test_normaliser_is_smooth_and_its_gradient_finite_from_zero():
    k = torch.tensor([0.0, 1e-9, 1e-3, 0.00999, 0.01001, 1.0, 1e6], dtype=torch.float64)
    k.requires_grad_()
    value = log_vmf_constant(k)
    (slope,) = torch.autograd.grad(value.sum(), k)
    assert slope.isfinite().all()
    assert abs(float(slope[0]) - 1) < 1e-9  # d/dk log(k / (1 - exp(-2k))) at 0
    assert abs(float(value[4] - value[3]) - 2e-5) < 1e-6
    single = log_vmf_constant(k.detach().float())
    torch.testing.assert_close(single.double(), value.detach(), atol=1e-5, rtol=1e-5)


def test_chord_keeps_its_digits_in_single_precision():
    kappa, off = torch.tensor(4e6), 1e-3  # 6 km away, a kernel of 3 km
    near = torch.tensor([math.sin(off), 0, math.cos(off)], dtype=torch.float64)
    got = log_vmf(UP.float(), kappa, near.float()) - log_vmf(UP.float(), kappa, UP.float())
    assert abs(float(got) + 4e6 * (1 - math.cos(off))) < 0.01


@pytest.mark.parametrize("kappa", [0.0, 0.5, 15.0, 2000.0])
def test_samples_have_the_right_mean(kappa):
    n = 40_000
    drawn = sample_vmf(UP.expand(n, 3), torch.full((n,), kappa), torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(n))
    want = 1 / math.tanh(kappa) - 1 / kappa if kappa else 0.0
    assert abs(float(drawn[:, 2].mean()) - want) < 4 / math.sqrt(n) * max(1 - want, 1e-3) ** 0.5
    assert drawn[:, :2].mean(0).abs().max() < 0.02


def test_a_mixture_is_a_density_even_untrained():
    network = VmfNetwork(4, 3, NetworkConfig(16, 1, 2)).eval()
    known = torch.randn(1, 4)
    with torch.no_grad():
        grid = density_grid(lambda p: network.log_density(known, sphere.to_unit(p)[None])[0], 1500)
    assert abs(grid.integral - 1) < 0.01


def test_two_places_need_two_components():
    places = sphere.to_unit(torch.tensor([[60.0, 9.0], [55.0, -114.0]] * 200)).float()
    known = torch.zeros(400, 2)
    config = TrainConfig(epochs=60, batch_size=400, lr=2e-2, clip_norm=1.0, device="cpu")
    nll = {}
    for k in (1, 2):
        torch.manual_seed(1)
        network = VmfNetwork(2, k, NetworkConfig(16, 1, 2))
        nll[k] = learn_vmf(network, known, places, config).losses[-1]
        assert all(map(math.isfinite, learn_vmf(network, known, places, config).losses))
    assert nll[2] < nll[1] - 1
    drawn = network.sample(known[:1], 400)
    km = sphere.chord_to_km(drawn[0][:, None], places[:2][None])
    assert 0.3 < float((km[:, 0] < 2000).float().mean()) < 0.7


def test_refusals_and_a_direction_of_length_zero():
    with pytest.raises(ValueError, match="at least one component"):
        VmfNetwork(4, 0)
    network = VmfNetwork(4, 1, NetworkConfig(16, 1))
    with pytest.raises(ValueError, match="2 embeddings, but 3 places"):
        learn_vmf(network, torch.zeros(2, 4), torch.eye(3))
    with pytest.raises(ValueError, match="embedding row 0 is not finite"):
        network(torch.full((1, 4), math.nan))
    with torch.no_grad():
        network.trunk.leave.weight.zero_()
        network.trunk.leave.bias.zero_()
    assert network.log_density(torch.zeros(1, 4), torch.eye(3)[None]).isfinite().all()
