"""A run that was cut off ends with the same bits as one that was not."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from geolab.data.errors import DataError
from geolab.training import load_weights, save_weights, train
from tests.training.task import CONFIG, N, make_loss, network, weights


class CutOffError(Exception):
    pass


def stops_at(step, how):
    """A fault that happens once, at a step."""
    seen = []

    def fault(rows):
        seen.append(rows)
        if len(seen) == step + 1:
            how()

    return fault


def cut():
    raise CutOffError


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole():
    """Weights and losses of a run that nobody disturbed."""
    model = network(0.3)
    return weights(model), train(model, N, make_loss(), CONFIG), weights(model)


@pytest.mark.parametrize("step", range(18))
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, whole, step):
    path = tmp_path / "run.pt"
    with pytest.raises(CutOffError):
        train(network(0.3), N, make_loss(stops_at(step, cut)), CONFIG, checkpoint=path)
    model = network(0.3)
    history = train(model, N, make_loss(), CONFIG, checkpoint=path)
    assert torch.equal(weights(model), whole[2])
    assert history.losses == whole[1].losses
    assert history.resumed_at == step - step % 2


@pytest.mark.parametrize("step", [0, 5, 10])
def test_ctrl_c_ends_the_step_saves_and_is_passed_on(tmp_path, whole, step):
    path = tmp_path / "run.pt"
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(network(0.3), N, make_loss(stops_at(step, press_ctrl_c)), CONFIG, checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is handler
    assert torch.load(path, weights_only=True)["step"] == step + 1
    model = network(0.3)
    train(model, N, make_loss(), CONFIG, checkpoint=path)
    assert torch.equal(weights(model), whole[2])


@pytest.mark.parametrize("at", [3, 4])
def test_early_stopping_survives_an_interruption(tmp_path, at):
    config = replace(CONFIG, epochs=9, select="loss", patience=2)

    def validate(model):  # best in the second epoch
        asked.append(1)
        return {"loss": [3.0, 1.0, 2.0, 2.0][len(asked) - 1]}

    asked = []
    first = network()
    train(first, N, make_loss(), config, validate=validate)
    path, asked = tmp_path / "run.pt", []
    fault = stops_at(6 * at - 1, cut)
    with pytest.raises(CutOffError):
        train(network(), N, make_loss(fault), config, validate=validate, checkpoint=path)
    second = network()
    history = train(second, N, make_loss(), config, validate=validate, checkpoint=path)
    assert history.best_epoch == 1
    assert torch.equal(weights(first), weights(second))


def test_a_finished_run_returns_at_once(tmp_path):
    path, model, again = tmp_path / "run.pt", network(), network()
    history = train(model, N, make_loss(), CONFIG, checkpoint=path)
    stamp = path.stat().st_mtime_ns
    second = train(again, N, make_loss(cut_always), CONFIG, checkpoint=path)
    assert torch.equal(weights(model), weights(again))
    assert second.losses == history.losses
    assert path.stat().st_mtime_ns == stamp


def cut_always(rows):
    raise CutOffError


def test_another_identity_is_refused_with_both_names(tmp_path):
    path, loss = tmp_path / "run.pt", make_loss()
    one, two = {"partition": "S2 ab12"}, {"partition": "S2 cd34"}
    train(network(), N, loss, CONFIG, checkpoint=path, identity=one)
    with pytest.raises(DataError, match=r"partition 'S2 ab12'.*partition 'S2 cd34'"):
        train(network(), N, loss, CONFIG, checkpoint=path, identity=two)
    other = replace(CONFIG, lr=0.02)
    with pytest.raises(DataError, match=r"lr=0.01.*lr=0.02"):
        train(network(), N, loss, other, checkpoint=path, identity=one)


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "run.pt"
    train(network(), N, make_loss(), CONFIG, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"run\.pt is no checkpoint"):
        train(network(), N, make_loss(), CONFIG, checkpoint=path)


def test_an_unwritten_checkpoint_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    with pytest.raises(CutOffError):
        train(network(), N, make_loss(stops_at(5, cut)), CONFIG, checkpoint=path)
    before = path.read_bytes()

    def no_replace(old, new):
        raise OSError("the plug was pulled")

    monkeypatch.setattr(os, "replace", no_replace)
    with pytest.raises(OSError, match="plug"):
        train(network(), N, make_loss(), CONFIG, checkpoint=path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.glob("*run*") if p.suffix != ".lock"] == ["run.pt"]


def test_weights_go_to_disk_and_back(tmp_path):
    path, model, other = tmp_path / "w.safetensors", network(), network()
    about = {"identity": {"partition": "a"}, "note": [1, 2]}
    with torch.no_grad():
        model[0].weight.add_(1)
    save_weights(path, model, about)
    assert load_weights(path, other, {"partition": "a"}) == about
    assert torch.equal(weights(model), weights(other))
    with pytest.raises(DataError, match=r"partition 'a'.*partition 'b'"):
        load_weights(path, other, {"partition": "b"})
    with pytest.raises(DataError, match="does not fit the model"):
        load_weights(path, torch.nn.Linear(2, 2))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="damaged"):
        load_weights(path, other)
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        load_weights(tmp_path / "none", other)
