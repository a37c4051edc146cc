"""What one run does: learns, records, chooses, and stops at numbers that are no numbers."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from geolab.training import TrainConfig, TrainingError, train
from tests.training.task import CONFIG, N, accuracy, make_loss, network, weights


def test_learns_and_records():
    model = network()
    before = accuracy(model)
    history = train(model, N, make_loss(), replace(CONFIG, epochs=8))
    assert accuracy(model) > max(0.9, before)
    assert len(history.losses) == 8 * 6
    assert history.losses[-1] < history.losses[0] / 3
    assert (history.n_rows, history.n_parameters) == (N, 8 * 16 + 16 + 16 * 3 + 3)
    assert history.seconds > 0
    means = history.epoch_means(6)
    assert len(means) == 8
    assert means[0] == pytest.approx(sum(history.losses[:6]) / 6)
    assert not model.training


def test_every_row_is_seen_once_an_epoch_in_another_order():
    seen = []

    def note(rows):
        seen.extend(rows.tolist())

    train(network(), N, make_loss(note), replace(CONFIG, epochs=2))
    first, second = seen[:N], seen[N:]
    assert sorted(first) == sorted(second) == list(range(N))
    assert first != second
    again = list(seen)
    seen.clear()
    train(network(), N, make_loss(note), replace(CONFIG, epochs=2))
    assert seen == again


def test_seed_decides_and_the_callers_generator_is_left_alone():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    one, two, three = network(0.3), network(0.3), network(0.3)
    torch.manual_seed(11)
    train(one, N, make_loss(), CONFIG)
    assert torch.equal(torch.rand(3), expected)
    train(two, N, make_loss(), CONFIG)
    train(three, N, make_loss(), replace(CONFIG, seed=4))
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(three))


def test_a_loss_that_is_nan_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    x_loss, step = make_loss(), []

    def loss(model, batch):
        total, count = x_loss(model, batch)
        step.append(batch.rows)
        return (total * float("nan") if len(step) == 10 else total), count

    model = network()
    with pytest.raises(TrainingError) as caught:
        train(model, N, loss, CONFIG, checkpoint=path, name_of=lambda row: f"photo {row}")
    said = str(caught.value)
    assert "the loss became nan in epoch 2, batch 4 of 6 (step 9" in said
    assert f"photo {step[9][0]}, photo {step[9][1]}" in said
    assert str(path) in said
    held = torch.load(path, weights_only=True)
    assert held["step"] == 8
    assert all(torch.isfinite(t).all() for t in held["model"].values())
    assert torch.isfinite(weights(model)).all()


def test_a_gradient_that_is_not_finite_stops_before_it_is_used(tmp_path):
    model = nn.Linear(1, 1, bias=False)

    def loss(model, batch):  # finite, but its slope at 0 is not
        return sum((p * 0).abs().sqrt().sum() for p in model.parameters()) + 1, len(batch.rows)

    before = weights(model)
    with pytest.raises(TrainingError, match="the gradient became"):
        train(model, 10, loss, replace(CONFIG, clip_norm=0.0), checkpoint=tmp_path / "run.pt")
    assert torch.equal(weights(model), before)
    assert not list(tmp_path.glob("*.pt"))


def test_weights_that_ran_away_are_not_written_over_good_ones(tmp_path):
    path = tmp_path / "run.pt"
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)

    def loss(model, batch):
        return model(torch.full((len(batch.rows), 1), 1e30)).sum(), len(batch.rows)

    config = TrainConfig(
        epochs=9, batch_size=5, lr=1e5, optimizer="sgd", weight_decay=0, checkpoint_every=1
    )
    config = replace(config, schedule="constant", warmup=0.0, device="cpu")
    with pytest.raises(TrainingError, match="last good checkpoint is"):
        train(model, 5, loss, config, checkpoint=path)
    assert torch.isfinite(torch.load(path, weights_only=True)["model"]["weight"]).all()


def test_early_stopping_gives_the_best_weights_back():
    figures, kept = iter([5.0, 3.0, float("nan"), 4.0, 6.0, 1.0]), []

    def validate(model):
        assert not model.training
        kept.append(weights(model))
        return {"median_km": next(figures)}

    model = network()
    config = replace(CONFIG, epochs=6, select="median_km", patience=3)
    history = train(model, N, make_loss(), config, validate=validate)
    assert [v["median_km"] for v in history.validation][:2] == [5.0, 3.0]
    assert len(history.validation) == 5  # stopped before the last epoch, which never ran
    assert history.best_epoch == 1
    assert torch.equal(weights(model), kept[1])


def test_a_figure_that_validate_does_not_return_is_named():
    config = replace(CONFIG, select="within_25")
    with pytest.raises(ValueError, match=r"'within_25'.*median_km"):
        train(network(), N, make_loss(), config, validate=lambda model: {"median_km": 1.0})


def test_groups_have_their_own_rates():
    model = network()
    frozen = model[0].weight.detach().clone()
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[3].parameters()}]
    history = train(model, N, make_loss(), CONFIG, groups=groups)
    assert torch.equal(model[0].weight, frozen)
    assert history.losses[-1] < history.losses[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adamw"])
@pytest.mark.parametrize("schedule", ["cosine", "constant", "halving"])
def test_optimizers_and_schedules_learn(optimizer, schedule):
    config = replace(CONFIG, epochs=6, optimizer=optimizer, schedule=schedule, halve_at=(3,))
    model = network()
    train(model, N, make_loss(), replace(config, lr=0.05))
    assert accuracy(model) > 0.8


def test_rates_follow_their_schedule():
    halving = TrainConfig(schedule="halving", halve_at=(2, 3), warmup=0.0)
    assert [halving.rate(s, 50, 10) for s in (0, 19, 20, 29, 30, 49)] == [
        1,
        1,
        0.5,
        0.5,
        0.25,
        0.25,
    ]
    cosine = TrainConfig(warmup=0.2)
    rates = [cosine.rate(s, 50, 10) for s in range(50)]
    assert rates[:10] == pytest.approx([(s + 1) / 10 for s in range(10)])
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[30] == pytest.approx(0.5)


def test_bfloat16_runs_on_a_processor_and_float32_is_its_default():
    seen = []

    def loss(model, batch):
        total, count = make_loss()(model, batch)
        seen.append(model(torch.zeros(1, 8)).dtype)
        return total.float(), count

    train(network(), N, loss, replace(CONFIG, epochs=1))
    train(network(), N, loss, replace(CONFIG, epochs=1, precision="bfloat16"))
    assert set(seen[:6]) == {torch.float32}
    assert set(seen[6:]) == {torch.bfloat16}


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch_size": 0}, {"lr": 0.0}, {"warmup": 1.0}, {"optimizer": "adam"}],
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainConfig(**wrong)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        train(network(), 0, make_loss(), CONFIG)


def test_the_bar_is_quiet_off_a_terminal(capfd):
    train(network(), N, make_loss(), CONFIG, progress="cells")
    assert capfd.readouterr() == ("", "")
