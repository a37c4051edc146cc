"""PlaNet on photos of four places, each with stripes of its own (synthetic)."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from geolab.cells import S2Partition
from geolab.data.errors import DataError
from geolab.encoders.cnn import to_pixels
from geolab.encoders.pixels import read_pixels
from geolab.locators.baselines import places_of
from geolab.locators.cell_classifier import (
    CellClassifier,
    Smoothing,
    _head_loss,
    fit_classifier,
    fuse,
    probabilities,
)
from geolab.locators.planet import PlaNet, PlaNetConfig
from geolab.metrics import errors_km
from geolab.training import TrainConfig, TrainingError
from tests.locators.conftest import PLACES, make_photos

TRAIN = TrainConfig(epochs=6, batch_size=16, lr=2e-3, weight_decay=0.0, clip_norm=1.0, device="cpu")
CONFIG = PlaNetConfig(size=32, dropout=0.0, train=TRAIN)


def cells_of(photos, t_min=1):
    return S2Partition.fit(places_of(photos), t_min, 1000, name="four places")


@pytest.fixture(scope="module")
def train():
    return make_photos(120)


@pytest.fixture(scope="module")
def planet(train):
    return PlaNet(CONFIG).fit(train, partition=cells_of(train))


@pytest.fixture(scope="module")
def asked(planet):
    """Pixels of 40 new photos, and which place they are from."""
    test = make_photos(40, seed=5)
    return read_pixels(test, 32).values, torch.arange(40) % 4


def test_learns_where_stripes_are(planet, asked):
    post = planet.locate_pixels(asked[0])
    km = errors_km(post.mode().numpy(), PLACES[asked[1].numpy()])
    assert (km < 25).mean() > 0.9  # chance is a quarter
    assert post.support_size == len(planet.partition)
    assert torch.allclose(post.weight.sum(1), torch.ones(40, dtype=torch.float64))
    assert post.latlon.stride(0) == 0  # one support, shared by all photos
    assert planet.history.n_rows == 120
    assert planet.history.seconds > 0
    assert planet.history.n_parameters == sum(p.numel() for p in planet.model.parameters())


def test_photos_and_pixels_are_answered_alike(planet, images):
    some = images(6)
    one, other = planet.locate(some), planet.locate_pixels(to_pixels(some, 32))
    assert torch.equal(one.weight, other.weight)
    assert planet.embed(some).shape == (6, planet.model.trunk.dim)
    read = planet.class_log_probabilities(planet.embed(some)).exp()
    assert torch.allclose(read.double(), one.weight, atol=1e-5)
    assert len(planet.locate([])) == 0


def test_the_answer_moves_and_the_weights_stay(planet, asked):
    centre = planet.answering("centre")
    one, other = planet.locate_pixels(asked[0]), centre.locate_pixels(asked[0])
    assert centre.model is planet.model
    assert planet.config.answer == "mean"
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.latlon[0], planet.partition.means)
    assert torch.equal(other.latlon[0], planet.partition.centres)
    assert (planet.name, centre.name) == ("PlaNet, mean", "PlaNet, centre")


@pytest.mark.parametrize("fusion", ["max", "mean"])
def test_five_crops_are_a_probability_again(planet, asked, fusion):
    (chances,) = probabilities(planet.model, asked[0], crops=5, fusion=fusion)
    assert torch.allclose(chances.sum(1), torch.ones(40), atol=1e-5)
    five = PlaNet(replace(CONFIG, crops=5, fusion=fusion))
    five.model, five.partition = planet.model, planet.partition
    km = errors_km(five.locate_pixels(asked[0]).mode().numpy(), PLACES[asked[1].numpy()])
    assert (km < 25).mean() > 0.8


def test_the_maximum_over_crops_is_taken_before_it_is_scaled():
    chances = torch.tensor(
        [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.6, 0.4]]
    )  # two photos, two crops
    expected = torch.tensor([[0.9 / 1.7, 0.8 / 1.7], [0.6 / 1.1, 0.5 / 1.1]])
    assert torch.allclose(fuse(chances, 2, "max"), expected)
    assert torch.allclose(fuse(chances, 2, "mean"), torch.tensor([[0.55, 0.45], [0.55, 0.45]]))


def test_photos_in_no_cell_teach_nothing_and_are_counted(train):
    lonely = places_of(train).clone()
    lonely[5] = torch.tensor([10.0, -140.0])  # one photo alone: its cell is dropped
    fitted = PlaNet(replace(CONFIG, train=replace(TRAIN, epochs=1))).fit_pixels(
        read_pixels(train, 32), lonely, partition=S2Partition.fit(lonely, 1, 1000)
    )
    assert fitted.outside == 1
    assert fitted.history.n_rows == 119


def test_unreadable_photos_are_named_and_left_out():
    photos = make_photos(40, broken=(3, 17))
    config = replace(CONFIG, train=replace(TRAIN, epochs=1))
    fitted = PlaNet(config).fit(photos, partition=cells_of(photos))
    assert sorted(fitted.unreadable) == ["0-17", "0-3"]
    assert "cut short" in fitted.unreadable["0-3"]
    assert fitted.outside == 0
    assert fitted.history.n_rows == 38
    assert (fitted.embed_photos(photos)[[3, 17]] == 0).all()


def test_cells_are_made_from_the_photos_when_none_are_given(train):
    fitted = PlaNet(replace(CONFIG, train=replace(TRAIN, epochs=1))).fit(train)
    assert fitted.partition.n_photos == 120
    assert fitted.partition.name.startswith("PlaNet ")


def test_all_photos_in_one_cell(train, asked):
    one_place = torch.tensor([[48.86, 2.35]]).expand(120, 2).double()
    fitted = PlaNet(replace(CONFIG, train=replace(TRAIN, epochs=1))).fit_pixels(
        read_pixels(train, 32), one_place
    )
    post = fitted.locate_pixels(asked[0])
    assert post.support_size == 1
    assert (post.weight == 1).all()
    assert torch.allclose(post.mode(), one_place[:40], atol=1e-9)


def test_no_photo_in_any_cell_is_refused(train):
    elsewhere = S2Partition.fit(torch.tensor([[0.0, 0.0], [0.1, 0.1]]), 1, 10)
    with pytest.raises(ValueError, match="no photo lies in a cell"):
        PlaNet(CONFIG).fit(train, partition=elsewhere)


def test_saves_and_loads(planet, asked, tmp_path):
    planet.save(tmp_path / "planet")
    again = PlaNet.load(tmp_path / "planet")
    one, other = planet.locate_pixels(asked[0]), again.locate_pixels(asked[0])
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.latlon, other.latlon)
    assert again.config == planet.config
    assert again.partition.hash == planet.partition.hash
    assert again.history.n_parameters == planet.history.n_parameters
    assert again.history.seconds == planet.history.seconds


def test_another_partition_is_refused_with_both_names(planet, train, tmp_path):
    planet.save(tmp_path)
    other = S2Partition.fit(places_of(make_photos(120, seed=7)), 1, 1000, name="other data")
    assert len(other) == len(planet.partition)  # the shapes fit, the places do not
    said = rf"'four places {planet.partition.hash}'.*'other data {other.hash}'"
    with pytest.raises(DataError, match=said):
        PlaNet.load(tmp_path, partition=other)


def test_training_does_not_go_on_with_another_partition(planet, train, tmp_path):
    path, config = tmp_path / "run.pt", replace(CONFIG, train=replace(TRAIN, epochs=1))
    other = S2Partition.fit(places_of(make_photos(120, seed=7)), 1, 1000, name="other data")
    PlaNet(config).fit(train, partition=planet.partition, checkpoint=path)
    said = rf"'four places {planet.partition.hash}'.*'other data {other.hash}'"
    with pytest.raises(DataError, match=said):
        PlaNet(config).fit(train, partition=other, checkpoint=path)


def test_a_finished_training_is_not_repeated(train, tmp_path):
    path, config = tmp_path / "run.pt", replace(CONFIG, train=replace(TRAIN, epochs=2))
    first = PlaNet(config).fit(train, checkpoint=path)
    second = PlaNet(config).fit(train, checkpoint=path)
    assert second.history.losses == first.history.losses
    assert second.history.resumed_at == len(first.history.losses)
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_validation_chooses_the_epoch(train):
    chosen = replace(TRAIN, select="median_km", patience=2)
    fitted = PlaNet(replace(CONFIG, train=chosen)).fit(
        train, partition=cells_of(train), validation=make_photos(20, seed=8)
    )
    seen = [figures["median_km"] for figures in fitted.history.validation]
    assert seen[fitted.history.best_epoch] == min(seen)


def test_a_nan_loss_names_the_photo(train):
    pixels = read_pixels(train, 32)
    planet = PlaNet(CONFIG)
    planet.partition = cells_of(train)
    model = planet._build()
    torch.nn.init.constant_(model.heads[0].bias, float("nan"))
    with pytest.raises(TrainingError, match=r"loss became nan in epoch 1, batch 1.*photo \d+"):
        fit_classifier(model, pixels.values, [planet.partition.assign(places_of(train))], TRAIN)


def test_an_unfitted_planet_says_so(images, tmp_path):
    with pytest.raises(RuntimeError, match="call fit"):
        PlaNet().locate(images(1))
    with pytest.raises(RuntimeError, match="call fit"):
        PlaNet().save(tmp_path)
    with pytest.raises(FileNotFoundError):
        PlaNet.load(tmp_path / "nothing")


def test_several_heads_learn_together(train):
    pixels = read_pixels(train, 32).values
    place = torch.arange(120) % 4
    hemisphere = (place % 2).clone()
    hemisphere[:30] = -1  # unknown to the second head, still seen by the first
    model = CellClassifier(PlaNet(CONFIG)._trunk(), [4, 2], dropout=0.0)
    fit_classifier(model, pixels, [place, hemisphere], TRAIN)
    first, second = probabilities(model, pixels)
    assert (first.argmax(1) == place).float().mean() > 0.9
    assert (second.argmax(1) == place % 2).float().mean() > 0.9


def test_a_head_that_nobody_asks_does_not_learn(train):
    pixels = read_pixels(train, 32).values
    place, nobody = torch.arange(120) % 4, torch.full((120,), -1)
    model = CellClassifier(PlaNet(CONFIG)._trunk(), [4, 2])
    before = model.heads[1].weight.detach().clone()
    history = fit_classifier(model, pixels, [place, nobody], replace(TRAIN, epochs=1))
    assert torch.equal(model.heads[1].weight, before)
    assert history.n_rows == 120


def test_targets_that_fit_no_head_are_refused(train):
    pixels = read_pixels(train, 32).values
    model = CellClassifier(PlaNet(CONFIG)._trunk(), [4])
    place = torch.arange(120) % 4
    with pytest.raises(ValueError, match="2 targets of 120 photos for 1 heads"):
        fit_classifier(model, pixels, [place, place], TRAIN)
    with pytest.raises(ValueError, match="head 0 has 4 classes, no 4"):
        fit_classifier(model, pixels, [place + 1], TRAIN)
    with pytest.raises(ValueError, match="crops 3"):
        probabilities(model, pixels, crops=3)


def test_what_is_stored_can_be_read_without_geolab(planet, tmp_path):
    folder = planet.save(tmp_path / "planet")
    assert sorted(p.name for p in folder.iterdir()) == ["partition.npz", "weights.safetensors"]
    held = load_file(folder / "weights.safetensors")
    assert held["heads.0.weight"].shape == (len(planet.partition), planet.model.trunk.dim)
    header = (folder / "weights.safetensors").read_bytes()
    size = int.from_bytes(header[:8], "little")
    about = json.loads(json.loads(header[8 : 8 + size])["__metadata__"]["geolab"])
    assert about["identity"]["partition"].endswith(planet.partition.hash)


def test_smoothed_labels_learn_too_and_prefer_near_cells(train, asked):
    fitted = PlaNet(replace(CONFIG, tau_km=75.0)).fit(train, partition=cells_of(train))
    km = errors_km(fitted.locate_pixels(asked[0]).mode().numpy(), PLACES[asked[1].numpy()])
    assert (km < 25).mean() > 0.9


def test_a_head_with_smoothed_labels_ignores_photos_in_no_cell():
    places = torch.tensor([[0.0, 0.0], [0.0, 9.0], [50.0, 50.0]]).double()
    smoothing = Smoothing(75.0, places, [places[:2]])
    scores, rows = torch.randn(3, 2, requires_grad=True), torch.arange(3)
    lost = _head_loss(scores, torch.tensor([0, 1, -1]), rows, 0, smoothing)
    lost.backward()
    assert (scores.grad[2] == 0).all()
    label = torch.softmax(torch.tensor([0.0, -1000.754 / 75.0]), 0)  # 9 degrees are 1,000.8 km
    expected = (
        -(scores[0].log_softmax(0) * label).sum() - (scores[1].log_softmax(0) * label.flip(0)).sum()
    )
    assert lost.item() == pytest.approx(expected.item(), rel=1e-4)
    nobody = _head_loss(scores, torch.full((3,), -1), rows, 0, smoothing)
    assert nobody.item() == 0
    assert nobody.requires_grad
