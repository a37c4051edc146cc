"""Two processes learn what one does."""

from dataclasses import replace

import pytest
import torch

from geolab.training import train
from tests.training.task import CONFIG, N, make_loss, network, weights
from tests.training.torchrun import run_processes

SCRIPT = """
import sys
import torch
from geolab.training import train
from tests.training.task import CONFIG, N, make_loss, network, weights
torch.set_num_threads(1)
model = network()
history = train(model, N, make_loss(), CONFIG, checkpoint=sys.argv[1],
                validate=lambda m: {"norm": float(weights(m).norm())})
import os
torch.save((weights(model), history.losses, history.validation),
           sys.argv[1] + "." + os.environ["RANK"])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_learn_what_one_does(tmp_path):
    # 101 rows in batches of 20: the last batch is one row, so one process has none of it.
    alone = network()
    history = train(alone, N, make_loss(), CONFIG)
    (first, losses, figures), (second, _, other) = run_processes(SCRIPT, tmp_path / "run.pt", 2)
    assert torch.equal(first, second)
    assert figures == other
    assert losses == pytest.approx(history.losses, rel=1e-5)
    assert torch.allclose(first, weights(alone), rtol=0, atol=1e-5)
    resumed = network()  # one process reads what two wrote, and finds nothing left to do
    train(resumed, N, make_loss(), CONFIG, checkpoint=tmp_path / "run.pt")
    assert torch.equal(weights(resumed), first)


def test_batches_are_the_same_for_any_number_of_processes():
    from geolab.training.processes import Processes
    from geolab.training.step import Setting, batch_at

    def batches(world):
        made = []
        for rank in range(world):
            place = Processes(rank, world)
            setting = Setting(replace(CONFIG), N, place, torch.device("cpu"), torch.float32)
            made.append([batch_at(step, setting) for step in range(setting.n_steps)])
        return made

    (alone,), three = batches(1), batches(3)
    for step, whole in enumerate(alone):
        for rank in range(3):
            # The last batch is one row: the others get it too, and it counts once.
            mine = slice(rank, None, 3) if rank < len(whole.rows) else slice(1)
            assert torch.equal(three[rank][step].rows, whole.rows[mine])
            assert torch.equal(three[rank][step].draws, whole.draws[mine])
    assert len(alone[5].rows) == 1
