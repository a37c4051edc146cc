"""The network: size of the paper's, what steers it, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from geolab.flow.learning import FlowRule, flow_loss, learn_flow
from geolab.flow.network import FlowNetwork, NetworkConfig, drop_condition, fourier
from geolab.training import TrainConfig
from tests.flow.oracles import wild_network


def test_the_papers_network_has_the_papers_number_of_weights():
    with torch.device("meta"):
        network = FlowNetwork(1024, NetworkConfig(512, 12))
    assert sum(p.numel() for p in network.parameters()) == 36_034_563


def test_untrained_blocks_change_nothing():
    block = FlowNetwork(4, NetworkConfig(16, 1)).trunk.blocks[0]
    h = torch.randn(5, 16)
    assert torch.equal(block(h, torch.randn(5, 16)), h)


def test_points_of_a_photo_together_or_one_by_one():
    network, x, c = wild_network(), torch.randn(3, 7, 3), torch.randn(3, 4)
    together = network(x, torch.tensor(0.4), c)
    single = network(x.flatten(0, 1), torch.tensor(0.4), c.repeat_interleave(7, 0))
    torch.testing.assert_close(together.flatten(0, 1), single)


def test_photo_and_time_steer():
    network, x, c = wild_network(still=False), torch.randn(1, 9, 3), torch.randn(1, 4)
    base = network(x, torch.tensor(0.2), c)
    assert (network(x, torch.tensor(0.9), c) - base).abs().mean() > 1e-3
    assert (network(x, torch.tensor(0.2), -c) - base).abs().mean() > 1e-3


def test_dropout_takes_the_share_asked():
    draws = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    kept = drop_condition(torch.ones(10_000, 2), draws, 0.1)
    assert abs(float((kept[:, 0] == 0).float().mean()) - 0.1) < 0.01
    assert torch.equal(kept[:, 0], kept[:, 1])


def test_fourier_tells_times_apart():
    told = fourier(torch.linspace(0, 1, 200), 32)
    gap = torch.cdist(told, told).fill_diagonal_(math.inf)
    assert gap.min() > 0.5


def test_loss_by_hand():
    network, c, y = wild_network(), torch.randn(6, 4), torch.eye(3).repeat(2, 1)
    draws = torch.rand(6, 4, generator=torch.Generator().manual_seed(5))
    got = flow_loss(network, c, y, draws, FlowRule(dropout=0.0))
    from geolab.flow.paths import schedule, sphere_path, uniform_on_sphere

    g = schedule(draws[:, 0])
    point, target = sphere_path(uniform_on_sphere(draws[:, 2:]), y, g)
    want = sum(((network(point, g, c) - target)[i] ** 2).mean() for i in range(6))
    torch.testing.assert_close(got, want)


def test_refusals():
    network = FlowNetwork(4, NetworkConfig(16, 1))
    with pytest.raises(ValueError, match=r"must have shape \(B, 4\)"):
        network.standardise(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="embedding row 1 is not finite"):
        network.standardise(torch.tensor([[0.0] * 4, [math.nan] * 4]))
    for wrong in ({"width": 12}, {"depth": 0}, {"expansion": -1}):
        with pytest.raises(ValueError, match="positive"):
            NetworkConfig(**wrong)
    for wrong in ({"process": "torus"}, {"schedule": "cosine"}, {"dropout": 1.0}):
        with pytest.raises(ValueError, match=r"torus|cosine|dropout"):
            FlowRule(**wrong)


def test_learning_refuses_bad_rows_before_it_starts():
    network = FlowNetwork(4, NetworkConfig(16, 1))
    config = TrainConfig(epochs=1, batch_size=4, device="cpu")
    good = torch.eye(3).repeat(2, 1)
    with pytest.raises(ValueError, match="5 embeddings, but 6 places"):
        learn_flow(network, torch.randn(5, 4), good, config)
    with pytest.raises(ValueError, match="place row 2 is"):
        learn_flow(network, torch.randn(6, 4), good * torch.tensor([1, 1, 0, 1, 1, 1.0])[:, None], config)  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("process", ["sphere", "flow", "ddpm"])
def test_learning_lowers_the_loss_and_repeats(process):
    places = torch.nn.functional.normalize(torch.randn(256, 3) + 3, dim=1)
    known = torch.randn(256, 4)
    config = TrainConfig(epochs=15, batch_size=128, lr=5e-3, device="cpu")
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        network = FlowNetwork(4, NetworkConfig(32, 1, 2))
        runs.append(learn_flow(network, known, places, config, FlowRule(process)).losses)
    assert runs[0] == runs[1]
    assert sum(runs[0][-4:]) < 0.8 * sum(runs[0][:4])
