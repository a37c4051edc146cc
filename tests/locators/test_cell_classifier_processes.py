"""The network of cells learns the same in two processes as in one."""

import pytest
import torch

from tests.training.torchrun import run_processes

TASK = """
import os
import sys

import torch

from geolab.encoders.cnn import make_trunk
from geolab.locators.cell_classifier import CellClassifier, fit_classifier
from geolab.training import TrainConfig

def learn():
    made = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (21, 3, 32, 32), generator=made, dtype=torch.uint8)
    coarse = torch.randint(2, (21,), generator=made)
    fine = torch.randint(5, (21,), generator=made)
    fine[::3] = -1
    torch.manual_seed(1)
    model = CellClassifier(make_trunk(size=32), [2, 5], dropout=0.0)
    config = TrainConfig(epochs=2, batch_size=4, clip_norm=1.0, device="cpu")
    history = fit_classifier(model, pixels, [coarse, fine], config)
    return history.losses, torch.cat([p.detach().flatten() for p in model.parameters()])
"""
SAVE = """
torch.save(learn(), sys.argv[1] + "." + os.environ["RANK"])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_learn_what_one_does(tmp_path):
    here: dict = {}
    exec(TASK, here)  # the very source that the processes run
    losses, weights = here["learn"]()
    (first, one), (second, two) = run_processes(TASK + SAVE, tmp_path / "run", 2)
    assert torch.equal(one, two)
    assert first == second == pytest.approx(losses, rel=1e-4)
    assert torch.allclose(one, weights, rtol=0, atol=1e-3)
