"""Fine-tuning the last block: two processes learn what one does."""

import pytest
import torch

from tests.training.torchrun import run_processes

TASK = """
import os
import sys

import torch

from geolab.cells import S2Partition
from geolab.encoders.clip import load_clip
from geolab.encoders.pixels import Pixels
from geolab.locators.fine_tune import FineTuneConfig, FineTuned
from geolab.training import TrainConfig

def learn():
    made = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (21, 3, 96, 96), generator=made, dtype=torch.uint8)
    places = torch.rand(21, 2, generator=made).double() * 60
    good = torch.ones(21, dtype=torch.bool)
    cells = S2Partition.fit(places, 0, 6)
    torch.manual_seed(1)
    clip = load_clip("tiny", weights="random", device="cpu")
    train = TrainConfig(
        epochs=2, batch_size=4, clip_norm=1.0, device="cpu", select="median_km"
    )
    tuned = FineTuned(clip, FineTuneConfig("last block", tower_lr=1e-4, train=train))
    photos = Pixels(pixels, good, {})
    tuned.fit_pixels(photos, places, cells, validation=(photos, places))
    flat = torch.cat([p.detach().flatten() for p in tuned.model.parameters()])
    return tuned.history.losses, tuned.history.validation, flat
"""
SAVE = """
torch.save(learn(), sys.argv[1] + "." + os.environ["RANK"])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_learn_what_one_does(tmp_path):
    # 21 photos in batches of 4: in the last step one process has no photo of its own.
    here: dict = {}
    exec(TASK, here)  # the very source that the processes run
    losses, figures, weights = here["learn"]()
    (first, said, one), (second, other, two) = run_processes(TASK + SAVE, tmp_path / "run", 2)
    assert torch.equal(one, two)
    assert said == other
    assert first == second == pytest.approx(losses, rel=1e-4)
    assert [s["median_km"] for s in said] == pytest.approx([f["median_km"] for f in figures])
    assert torch.allclose(one, weights, rtol=0, atol=1e-4)  # measured: 2e-6
