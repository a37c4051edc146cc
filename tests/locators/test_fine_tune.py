"""Fine-tuning: what learns, what does not, and what comes back."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from geolab.cells import S2Partition
from geolab.data.errors import DataError
from geolab.encoders.clip import load_clip
from geolab.encoders.pixels import Pixels
from geolab.encoders.shards import write_embeddings
from geolab.locators.baselines import places_of
from geolab.locators.fine_tune import FineTuned
from geolab.locators.multitask import Task
from geolab.locators.tuned_network import FineTuneConfig, TuningLoss, learning
from geolab.metrics import errors_km
from geolab.training import TrainConfig
from tests.encoders.coloured import coloured

QUICK = TrainConfig(epochs=1, batch_size=16, device="cpu", weight_decay=0.01, clip_norm=1.0)
LAST = "clip.model.visual.transformer.resblocks.2."
TOWER = ("conv1.", "class_embedding", "positional_embedding", "ln_pre.", "transformer.")


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return load_clip("tiny", weights="random", device="cpu")


def colours(n, seed=0):
    """Six colours, each within a degree of its place."""
    pixels = coloured(n, seed)[0]
    centre = torch.tensor(
        [[-33.4, -70.7], [48.9, 2.3], [35.7, 139.7], [59.9, 10.7], [-1.3, 36.8], [40.7, -74.0]]
    ).double()
    near = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)) - 0.5
    places = centre[torch.arange(n) % 6] + near
    return Pixels(pixels, torch.ones(n, dtype=torch.bool), {}), places


@pytest.fixture(scope="module")
def cells():
    return S2Partition.fit(colours(60)[1], 1, 12)


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def wanted(part, feature, names):
    """Which weights of the CLIP a part names, from the spec and not from the code."""
    visual = "clip.model.visual."
    if part == "head":
        return set()
    if part == "last block":
        return {name for name in names if name.startswith(LAST)}
    ends = TOWER if feature == "tokens" else (*TOWER, "ln_post.", "proj")
    return {name for name in names if name.startswith(tuple(visual + end for end in ends))}


@pytest.mark.parametrize("feature", ["tokens", "image"])
@pytest.mark.parametrize("part", ["head", "last block", "whole"])
def test_what_learns_is_exactly_what_is_said(clip, cells, part, feature):
    """By name and by bytes: embeddings and input norm too stay as they were (PIGEON's do not)."""
    config = FineTuneConfig(part, feature, tower_lr=1e-3, train=QUICK)
    tuned, outside = FineTuned(clip, config), state(clip)
    tuned._build(cells)
    before = state(tuned.model)
    tuned.fit_pixels(*colours(32), cells)
    moved = changed(before, state(tuned.model))
    assert moved == wanted(part, feature, before) | {"cells.weight", "cells.bias"}
    assert changed(outside, state(clip)) == set()  # the CLIP given is not touched
    assert all(weight.requires_grad for weight in clip.parameters())
    assert tuned.history.n_parameters == sum(before[name].numel() for name in moved)


@pytest.mark.parametrize("part", ["last block", "whole"])
def test_weight_decay_does_not_reach_what_is_frozen(clip, cells, part):
    """A frozen weight in an optimizer with decay would shrink without any gradient."""
    strong = replace(QUICK, weight_decay=5.0)
    tuned = FineTuned(clip, FineTuneConfig(part, train=strong)).fit_pixels(*colours(32), cells)
    start = {f"clip.{name}": tensor for name, tensor in state(clip).items()}
    moved = changed(start, state(tuned.model))
    assert moved == wanted(part, "tokens", start)


@pytest.mark.parametrize("feature", ["tokens", "image"])
@pytest.mark.parametrize("part", ["head", "last block", "whole"])
def test_only_what_learns_asks_for_gradients(clip, part, feature):
    """Several processes would wait for ever for the gradient of a weight that gets none."""
    tower = copy.deepcopy(clip)
    chosen = learning(tower, part, feature)
    asking = {f"clip.{name}" for name, w in tower.named_parameters() if w.requires_grad}
    assert asking == wanted(part, feature, [f"clip.{name}" for name in state(tower)])
    assert len(chosen) == len(asking)
    got = tower.features(torch.rand(2, 3, tower.size, tower.size), feature)
    if chosen:
        (got * torch.randn(got.shape)).sum().backward()
    assert all(weight.grad is not None for weight in chosen)


def test_learning_names_a_part(clip):
    with pytest.raises(ValueError, match="part 'lora' must be one of: head"):
        learning(clip, "lora")
    for bad in (
        {"part": "lora"},
        {"feature": "cls"},
        {"tower_lr": 0.0},
        {"head_epochs": -1},
        {"min_area": 0.0},
    ):
        with pytest.raises(ValueError, match="must be"):
            FineTuneConfig(**bad)
    with pytest.raises(ValueError, match="must be"):
        FineTuneConfig(tau_km=-1.0)


def test_head_and_tower_have_rates_of_their_own(clip, cells):
    """With plain descent and one step, a rate ten times smaller moves a tower ten times less."""
    once = replace(QUICK, optimizer="sgd", schedule="constant", warmup=0.0, weight_decay=0.0)
    once = replace(once, batch_size=32, clip_norm=0.0)
    moves = {}
    for head_lr, tower_lr in ((1e-3, 1e-2), (1e-3, 1e-3), (1e-4, 1e-3)):
        config = FineTuneConfig("last block", "tokens", head_lr, tower_lr, 0, train=once)
        tuned = FineTuned(clip, config)
        tuned._build(cells)
        before = state(tuned.model)
        after = state(tuned.fit_pixels(*colours(32), cells).model)
        moves[head_lr, tower_lr] = [
            float((after[name] - before[name]).norm())
            for name in ("cells.weight", f"{LAST}mlp.c_fc.weight")
        ]
    head, tower = zip(*moves.values(), strict=True)
    assert head[0] == pytest.approx(head[1], rel=1e-3) == pytest.approx(10 * head[2], rel=1e-3)
    assert tower[0] == pytest.approx(10 * tower[1], rel=1e-2)
    assert tower[1] == pytest.approx(tower[2], rel=1e-2)


@pytest.mark.parametrize("tau_km", [None, 800.0])
def test_learns(clip, cells, tau_km):
    config = FineTuneConfig(
        tower_lr=1e-3, head_lr=1e-2, tau_km=tau_km, train=replace(QUICK, epochs=6)
    )
    tuned = FineTuned(clip, config).fit_pixels(*colours(60), cells)
    asked, truth = colours(30, seed=1)
    said = tuned.locate_pixels(asked.values)
    assert np.median(errors_km(said.mode().numpy(), truth.numpy())) < 200
    assert torch.allclose(said.weight.sum(1), torch.ones(30).double())
    features = tuned.clip.embed_pixels(asked.values, "tokens")
    assert torch.allclose(tuned.locate_features(features).weight, said.weight, atol=1e-5)
    assert len(tuned.locate([])) == 0


def test_smoothed_labels_give_to_neighbours(clip, cells):
    """Photos of one place alone: with wide labels the other cells get a share, by distance."""
    pixels, places = colours(60)
    one = torch.arange(60) % 6 == 1
    here = Pixels(pixels.values[one], pixels.good[one], {}), places[one]
    far = FineTuneConfig("head", tau_km=2000.0, min_area=1.0, train=replace(QUICK, epochs=20))
    far = replace(far, head_lr=1e-2)
    soft = FineTuned(clip, far).fit_pixels(*here, cells).locate_pixels(here[0].values)
    hard = FineTuned(clip, replace(far, tau_km=None)).fit_pixels(*here, cells)
    assert soft.entropy().mean() > hard.locate_pixels(here[0].values).entropy().mean() + 0.3
    at = cells.assign(torch.tensor([[59.9, 10.7], [35.7, 139.7]]).double())
    oslo, tokyo = soft.weight.mean(0)[at]
    assert oslo > tokyo


@pytest.mark.parametrize("feature", ["tokens", "image"])
def test_head_on_features_is_head_through_the_tower(clip, cells, feature):
    config = FineTuneConfig("head", feature, min_area=1.0, train=replace(QUICK, epochs=3))
    config = replace(config, train=replace(config.train, select="median_km"))
    pixels, places = colours(60)
    held, there = colours(24, seed=2)
    through = FineTuned(clip, config).fit_pixels(pixels, places, cells, validation=(held, there))
    features, asked = (clip.embed_pixels(p.values, feature) for p in (pixels, held))
    quick = FineTuned(clip, config).fit_features(features, places, cells, validation=(asked, there))
    assert through.history.losses == pytest.approx(quick.history.losses, rel=1e-4)
    assert torch.allclose(through.model.cells.weight, quick.model.cells.weight, atol=1e-4)
    assert torch.allclose(
        through.probabilities(held.values), quick.probabilities(asked), atol=1e-4
    )  # fmt: skip
    assert through.clip.weights_hash == clip.weights_hash  # the tower is the same


def test_features_teach_no_tower(clip, cells):
    with pytest.raises(ValueError, match="cannot teach the last block"):
        FineTuned(clip).fit_features(torch.ones(3, 128), colours(3)[1], cells)
    bad = torch.ones(6, 128)
    bad[4, 2] = torch.nan
    with pytest.raises(ValueError, match="row 4"):
        FineTuned(clip, FineTuneConfig("head")).fit_features(bad, colours(6)[1], cells)


def test_best_epoch_is_kept_and_training_stops(clip, cells):
    """Each colour is taught the next one's place, so the more is learnt the worse it gets."""
    train = replace(QUICK, epochs=30, select="median_km", patience=2, schedule="constant")
    config = FineTuneConfig("head", head_lr=1e-2, min_area=1.0, train=train)
    (pixels, places), (held, there) = colours(60), colours(30, seed=3)
    features, asked = (clip.embed_pixels(p.values, "tokens") for p in (pixels, held))
    tuned = FineTuned(clip, config)
    tuned.fit_features(features, places.roll(1, 0), cells, validation=(asked, there))
    medians = [figures["median_km"] for figures in tuned.history.validation]
    assert len(medians) == tuned.history.best_epoch + 1 + 2 < 30  # two more, then enough
    km = errors_km(tuned.locate_features(asked).mode().numpy(), there.numpy())
    assert float(torch.from_numpy(km).median()) == pytest.approx(min(medians), rel=1e-5)
    assert min(medians) < medians[-1]
    alone = FineTuned(clip, replace(config, train=replace(train, epochs=2)))
    alone.fit_features(features, places, cells)  # nothing to select by
    assert alone.history.validation == []


@pytest.mark.parametrize("head_epochs", [0, 3])
def test_a_stopped_run_goes_on_as_if_it_had_not(clip, cells, tmp_path, monkeypatch, head_epochs):
    config = FineTuneConfig(
        head_epochs=head_epochs, train=replace(QUICK, epochs=2, checkpoint_every=1)
    )
    data = colours(48)
    whole = FineTuned(clip, config).fit_pixels(*data, cells)
    real, seen, first = TuningLoss.__call__, [], 3 * head_epochs  # steps of the head alone

    def stops(self, network, batch):
        seen.append(1)
        if len(seen) == first + 5:
            raise RuntimeError("power cut")
        return real(self, network, batch)

    path = tmp_path / "run.pt"
    monkeypatch.setattr(TuningLoss, "__call__", stops)
    with pytest.raises(RuntimeError, match="power cut"):
        FineTuned(clip, config).fit_pixels(*data, cells, checkpoint=path)
    again = FineTuned(clip, config).fit_pixels(*data, cells, checkpoint=path)
    assert len(seen) == first + 4 + 1 + 2  # six steps, and the one that failed
    assert changed(state(whole.model), state(again.model)) == set()
    assert whole.history.losses == again.history.losses


def test_the_head_learns_before_the_tower(clip, cells):
    """What the head has learnt alone is what fit_features gives; the tower starts from there."""
    train = replace(QUICK, epochs=1, schedule="constant", warmup=0.0)
    config = FineTuneConfig("last block", head_epochs=15, min_area=1.0, train=train)
    pixels, places = colours(48)
    alone = FineTuned(clip, replace(config, part="head", train=replace(train, epochs=15)))
    alone.fit_features(clip.embed_pixels(pixels.values, "tokens"), places, cells)
    both = FineTuned(clip, config).fit_pixels(pixels, places, cells)
    cold = FineTuned(clip, replace(config, head_epochs=0)).fit_pixels(pixels, places, cells)
    reached = alone.probabilities(pixels.values)[torch.arange(48), cells.assign(places)]
    first = [tuned.history.losses[0] for tuned in (both, cold)]
    assert first[0] == pytest.approx(float(-reached.log().mean()), abs=0.15)  # one batch of all
    assert first[0] < first[1] - 0.5
    assert both.history.n_parameters == cold.history.n_parameters > alone.history.n_parameters


@pytest.mark.parametrize(
    "other",
    [{"tower_lr": 1e-5}, {"min_area": 0.5}, {"tau_km": 75.0}, {"part": "head"}, {"head_epochs": 2}],
)
def test_a_checkpoint_of_another_run_is_refused(clip, cells, tmp_path, other):
    config = FineTuneConfig(train=QUICK)
    FineTuned(clip, config).fit_pixels(*colours(16), cells, checkpoint=tmp_path / "run.pt")
    with pytest.raises(DataError, match="was made with"):
        FineTuned(clip, replace(config, **other)).fit_pixels(
            *colours(16), cells, checkpoint=tmp_path / "run.pt"
        )


TASKS = (Task("climate", ("a", "b")), Task("temperature", mean=10.0, std=3.0))


@pytest.fixture(scope="module")
def tuned(clip, cells):
    n = 32
    targets = {"climate": torch.arange(n) % 2.0, "temperature": torch.randn(n)}
    targets["climate"][3] = torch.nan
    config = FineTuneConfig(tower_lr=1e-3, train=QUICK)
    return FineTuned(clip, config, TASKS).fit_pixels(*colours(n), cells, targets=targets)


def test_tasks_learn_too(tuned, cells):
    start = FineTuned(tuned.start, tuned.config, TASKS)
    start._build(cells)
    moved = changed(state(start.model), state(tuned.model))
    assert {f"tasks.{task.name}.{kind}" for task in TASKS for kind in ("weight", "bias")} <= moved


def test_tasks_need_targets(clip, cells):
    given = {"climate": torch.zeros(12)}
    with pytest.raises(ValueError, match="no targets for the task 'temperature'"):
        FineTuned(clip, FineTuneConfig(train=QUICK), TASKS).fit_pixels(
            *colours(12), cells, targets=given
        )


def test_tasks_are_read_from_the_photos(clip, photos):
    made = photos(12, broken=(2,)).add_column("climate", ["a", "b"] * 6)
    cells = S2Partition.fit(places_of(made), 0, 3)
    config = FineTuneConfig(train=QUICK)
    told = FineTuned(clip, config, TASKS[:1]).fit(made, cells, validation=photos(4, seed=1))
    assert told.history.n_rows == 11  # one photo cannot be read
    start = FineTuned(clip, config, TASKS[:1])
    start._build(cells)
    assert "tasks.climate.bias" in changed(state(start.model), state(told.model))


def test_saved_and_read_again(clip, tuned, tmp_path, images):
    tuned.save(tmp_path)
    again = FineTuned.load(tmp_path, clip)
    assert changed(state(tuned.model), state(again.model)) == set()
    assert again.tasks == TASKS
    assert torch.equal(again.locate(images(3)).weight, tuned.locate(images(3)).weight)
    assert (tmp_path / "weights.safetensors").exists()
    assert len(load_file(tmp_path / "weights.safetensors")) == len(tuned.model.state_dict())


def test_files_for_something_else_are_refused(clip, tuned, tmp_path):
    tuned.save(tmp_path)
    other = S2Partition.fit(colours(60, seed=5)[1], 1, 8)
    with pytest.raises(DataError, match=f"(?s){tuned.partition.hash}.*{other.hash}"):
        FineTuned.load(tmp_path, clip, other)
    stranger = load_clip("tiny", weights="random", device="cpu")
    stranger.weights_hash = "0123456789abcdef"
    with pytest.raises(DataError, match=r"(?s)[0-9a-f]{16}.*0123456789abcdef"):
        FineTuned.load(tmp_path, stranger)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged"):
        FineTuned.load(tmp_path, clip)


def test_a_tuned_tower_is_not_taken_for_the_one_it_was(clip, tuned, tmp_path, photos):
    """Its shards and the old ones must not mix."""
    some = photos(4)
    write_embeddings(clip, some, tmp_path)
    with pytest.raises(DataError, match="made with model 'tiny', now it is 'tiny fine-tuned"):
        write_embeddings(tuned.clip, some, tmp_path)
    tuned.save(tmp_path / "tuned")
    again = FineTuned.load(tmp_path / "tuned", clip).clip
    assert again.weights_hash == tuned.clip.weights_hash != clip.weights_hash
    assert all(weight.requires_grad for weight in tuned.clip.parameters())  # can be trained on


def test_what_cannot_be_learnt_from(clip, cells):
    pixels, places = colours(12)
    with pytest.raises(ValueError, match="no photo lies in a cell"):
        FineTuned(clip).fit_pixels(Pixels(pixels.values, ~pixels.good, {}), places, cells)
    nothing = (Pixels(pixels.values, ~pixels.good, {}), places)
    with pytest.raises(ValueError, match="no validation photo"):
        FineTuned(clip).fit_pixels(pixels, places, cells, validation=nothing)
    with pytest.raises(RuntimeError, match="call fit first"):
        FineTuned(clip).locate_pixels(pixels.values)


def test_photos_that_cannot_be_read_teach_nothing(clip, cells):
    pixels, places = colours(24)
    good = torch.arange(24) % 3 > 0
    rest = Pixels(pixels.values[good], pixels.good[good], {})
    config = FineTuneConfig("head", train=QUICK)
    some = FineTuned(clip, config).fit_pixels(Pixels(pixels.values, good, {}), places, cells)
    same = FineTuned(clip, config).fit_pixels(rest, places[good], cells)
    assert changed(state(some.model), state(same.model)) == set()
    assert some.history.n_rows == 16
