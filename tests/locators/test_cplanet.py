"""CPlaNet on photos of four places (synthetic): partitions that cross, two rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from geolab.encoders.cnn import to_pixels
from geolab.encoders.pixels import read_pixels
from geolab.locators.baselines import places_of
from geolab.locators.cell_classifier import probabilities
from geolab.locators.cplanet import CPlaNet, CPlaNetConfig
from geolab.locators.planet import PlaNet, PlaNetConfig
from geolab.metrics import errors_km
from geolab.sphere import great_circle_km, spherical_mean
from geolab.training import TrainConfig
from tests.locators.conftest import PLACES, make_photos

TRAIN = TrainConfig(epochs=1, batch_size=8, lr=2e-3, clip_norm=1.0, device="cpu")
FIRST = PlaNetConfig(size=32, dropout=0.0, train=replace(TRAIN, epochs=3))
CONFIG = CPlaNetConfig(mixes=(0.0, 0.75), n_classes=5, first=FIRST, train=TRAIN)
N, BROKEN = 60, 7


@pytest.fixture(scope="module")
def table():
    return make_photos(N, broken=(BROKEN,))


@pytest.fixture(scope="module")
def given(table):
    return read_pixels(table, 32), places_of(table)


@pytest.fixture(scope="module")
def first(given):
    return PlaNet(FIRST).fit_pixels(*given)


@pytest.fixture(scope="module")
def cplanet(given, first):
    return CPlaNet(CONFIG).fit_pixels(*given, first=first)


@pytest.fixture(scope="module")
def asked():
    return read_pixels(make_photos(12, seed=5), 32).values


def test_fine_cells_are_the_tuples_of_coarse_labels_that_photos_have(cplanet, given, first):
    parts = cplanet.partition.parts
    assert [len(part) for part in parts[1:]] == [5, 5]
    assert parts[0] is first.partition
    pixels, places = given
    tuples = torch.stack([part.assign(places[pixels.good]) for part in parts], 1)
    kept = tuples[(tuples >= 0).all(1)]
    assert {tuple(row) for row in cplanet.partition.labels.tolist()} == {
        tuple(row) for row in kept.tolist()
    }
    assert len(cplanet.partition) >= max(len(part) for part in parts)
    assert len({part.hash for part in parts}) == 3  # the mixes made other cells


def test_both_rules_sum_to_one_and_score_by_the_labels(cplanet, asked):
    heads = probabilities(cplanet.model, asked)
    labels = cplanet.partition.labels
    votes = torch.stack([head[:, labels[:, m]] for m, head in enumerate(heads)]).double()
    wanted = {"log": votes.prod(0), "sum": votes.sum(0)}  # each (12, C)
    for rule, score in wanted.items():
        said = cplanet.scored(rule).locate_pixels(asked).weight
        torch.testing.assert_close(said.sum(1), torch.ones(12, dtype=torch.float64))
        score = score / score.sum(1, keepdim=True)
        torch.testing.assert_close(said.double(), score, atol=1e-5, rtol=1e-3)
    assert not torch.allclose(wanted["log"] / wanted["log"].sum(1, keepdim=True), score, atol=1e-3)


def test_the_other_rule_keeps_the_network(cplanet):
    other = cplanet.scored("sum")
    assert other.model is cplanet.model
    assert (cplanet.name, other.name) == ("CPlaNet, 3 sets, log", "CPlaNet, 3 sets, sum")
    assert replace(other.config, rule="log") == cplanet.config


def test_the_mean_of_a_fine_cells_photos_answers(cplanet, given, asked):
    pixels, places = given
    post = cplanet.locate_pixels(asked)
    cell = cplanet.partition.assign(places).where(pixels.good, -1)
    for row, best in enumerate(post.weight.argmax(1).tolist()):
        mean = spherical_mean(places[cell == best][None].double())
        assert great_circle_km(post.mode()[row : row + 1].double(), mean).item() < 0.05
    centre = CPlaNet(replace(CONFIG, first=replace(FIRST, answer="centre")))
    centre.partition, centre.model = cplanet.partition, cplanet.model
    assert not torch.equal(centre.locate_pixels(asked).mode(), post.mode())


def test_it_learns_where_stripes_are(cplanet, asked):
    km = errors_km(cplanet.locate_pixels(asked).mode().numpy(), PLACES[[0, 1, 2, 3] * 3])
    assert (km < 30).mean() > 0.7  # chance is a quarter


def test_the_first_network_stays_and_lends_its_trunk(given, first, cplanet):
    assert cplanet.model.trunk is not first.model.trunk
    assert cplanet.seconds == first.history.seconds + cplanet.history.seconds
    before = {name: value.clone() for name, value in first.model.state_dict().items()}
    still = replace(CONFIG, mixes=(0.5,), train=replace(TRAIN, lr=1e-12, weight_decay=0.0))
    other = CPlaNet(still).fit_pixels(*given, first=first)
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, before[name])
    for one, two in zip(
        other.model.trunk.parameters(), first.model.trunk.parameters(), strict=True
    ):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(other.model.heads[0].weight, first.model.heads[0].weight)


def test_a_data_set_is_read_and_photos_are_answered(table, images):
    cplanet = CPlaNet(replace(CONFIG, mixes=(0.0,), n_classes=None)).fit(table)
    assert list(cplanet.unreadable) == [table["id"][BROKEN]]
    assert len(cplanet.partition.parts[1]) == len(cplanet.partition.parts[0])
    some = images(3)
    one, other = cplanet.locate(some), cplanet.locate_pixels(to_pixels(some, 32))
    assert torch.equal(one.weight, other.weight)
    assert len(cplanet.locate([])) == 0


def test_before_fit_and_wrong_settings():
    with pytest.raises(RuntimeError, match=r"call fit\(train\) first"):
        CPlaNet().locate([])
    with pytest.raises(ValueError, match=r"mixes must be one or more numbers from 0 to 1"):
        CPlaNetConfig(mixes=())
    with pytest.raises(ValueError, match=r"not \(0.5, 1.5\)"):
        CPlaNetConfig(mixes=(0.5, 1.5))
    with pytest.raises(ValueError, match="rule must be log or sum"):
        CPlaNetConfig(rule="product")
