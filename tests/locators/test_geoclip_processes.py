"""GeoCLIP: two processes learn what one does, negatives of the whole batch included."""

import pytest
import torch

from tests.training.torchrun import run_processes

PROCESSES = """
import os, sys
from dataclasses import replace
import torch
from geolab.encoders.location import LocationConfig
from geolab.locators.geoclip_config import GeoClipConfig
from geolab.locators.geoclip_train import fit_network
from geolab.training import TrainConfig

def learn():
    made = torch.Generator().manual_seed(0)
    features, places = torch.randn(21, 6, generator=made), 60 * torch.rand(21, 2, generator=made)
    config = GeoClipConfig(
        location=LocationConfig((1.0,), 8, 16, 8), queue=10,
        train=TrainConfig(epochs=2, batch_size=4, device="cpu"),
    )
    network, history = fit_network(features, places, config)
    flat = torch.cat([p.detach().flatten() for p in network.parameters()])
    return history.losses, network.queue, flat
"""
SAVE = """
torch.save(learn(), sys.argv[1] + "." + os.environ["RANK"])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_learn_what_one_does(tmp_path):
    # 21 photos in batches of 4: in the last step one process has no photo of its own.
    here: dict = {}
    exec(PROCESSES, here)  # the very source that the processes run
    losses, queue, weights = here["learn"]()
    (first, said, one), (second, other, two) = run_processes(PROCESSES + SAVE, tmp_path / "run", 2)
    assert torch.equal(one, two)
    assert first == second == pytest.approx(losses, rel=1e-4)
    assert torch.equal(said, other)
    assert torch.equal(said, queue)
    assert torch.allclose(one, weights, rtol=0, atol=1e-4)
