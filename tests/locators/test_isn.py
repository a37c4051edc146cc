"""ISNs on photos of four places in three kinds of scene (synthetic)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from geolab.encoders.cnn import to_pixels
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.locators.baselines import places_of
from geolab.locators.cell_classifier import embed, probabilities
from geolab.locators.hierarchy_scores import hierarchy_scores
from geolab.locators.isn import ISN, ISNConfig
from geolab.locators.planet import PlaNetConfig
from geolab.metrics import errors_km
from geolab.training import TrainConfig
from tests.locators.conftest import PLACES, make_photos

TRAIN = TrainConfig(epochs=1, batch_size=8, lr=2e-3, clip_norm=1.0, device="cpu")
NETWORK = PlaNetConfig(size=32, dropout=0.0, crops=5, train=TRAIN)
N = 60
SCENES = torch.arange(N) // 4 % 3  # each place in each scene
BROKEN = 7


def config(kind, **changes):
    tune = replace(TRAIN, lr=1e-3)
    return ISNConfig(**{"kind": kind, "network": NETWORK, "tune": tune, **changes})


def in_turn(pixels):
    """A router that knows nothing: indoor, natural, urban, indoor, ..."""
    return torch.eye(3)[torch.arange(len(pixels)) % 3]


@pytest.fixture(scope="module")
def table():
    return make_photos(N, broken=(BROKEN,))


@pytest.fixture(scope="module")
def given(table):
    return read_pixels(table, 32), places_of(table), SCENES


@pytest.fixture(scope="module")
def base(given):
    return ISN(config("base")).fit_pixels(*given)


@pytest.fixture(scope="module")
def routed(given):
    return ISN(config("routed"), in_turn).fit_pixels(*given)


@pytest.fixture(scope="module")
def with_head(given):
    return ISN(config("scene head")).fit_pixels(*given)


@pytest.fixture(scope="module")
def asked():
    return read_pixels(make_photos(12, seed=5), 32).values


@pytest.mark.parametrize("kind", ["base", "routed", "with_head"])
def test_every_head_sums_to_one_after_five_crops(kind, asked, request):
    isn = request.getfixturevalue(kind)
    heads = isn.heads(asked)
    assert [head.shape for head in heads] == [(12, len(part)) for part in isn.hierarchy.parts]
    for head in heads:
        torch.testing.assert_close(head.sum(1), torch.ones(12))
    whole = ISN(replace(isn.config, network=replace(NETWORK, crops=1)), in_turn)
    whole.hierarchy, whole.base, whole.experts = isn.hierarchy, isn.base, isn.experts
    assert not torch.allclose(whole.heads(asked)[2], heads[2])  # the crops do something
    assert len(isn.locate_pixels(asked[:0])) == 0


@pytest.mark.parametrize("kind", ["base", "routed", "with_head"])
def test_the_answer_is_the_product_or_one_partition(kind, asked, request):
    isn = request.getfixturevalue(kind)
    heads = isn.heads(asked)
    product = hierarchy_scores(heads[2], heads[:2], isn.hierarchy.ancestors[:, :2])
    post = isn.locate_pixels(asked)
    torch.testing.assert_close(post.weight, product)
    assert post.support_size == len(isn.hierarchy.fine)
    for level, score in enumerate(("coarse", "middle", "fine")):
        other = isn.scored(score)
        said = other.locate_pixels(asked)
        torch.testing.assert_close(said.weight, heads[level].double(), atol=1e-6, rtol=1e-5)
        assert other.base is isn.base
        assert other.name.endswith(f", {score}")
    assert isn.config.score == "f*"


def test_it_learns_where_stripes_are(given, asked):
    isn = ISN(config("base", network=replace(NETWORK, train=replace(TRAIN, epochs=4))))
    post = isn.fit_pixels(*given).locate_pixels(asked)
    assert (errors_km(post.mode().numpy(), PLACES[[0, 1, 2, 3] * 3]) < 30).mean() > 0.7


def test_each_photo_is_answered_by_the_network_of_its_scene(routed, asked):
    """The router sends photo i to network i mod 3."""
    heads = routed.heads(asked)
    experts = [probabilities(one, asked, crops=5)[:3] for one in routed.experts]
    for level in range(3):
        for row in range(12):
            for number in range(3):
                same = torch.allclose(heads[level][row], experts[number][level][row], atol=1e-6)
                assert same == (number == row % 3), (level, row, number)


def test_experts_differ_from_the_base_and_from_each_other(routed):
    weights = [model.heads[2].weight for model in [routed.base, *routed.experts]]
    for i, one in enumerate(weights):
        assert not any(torch.equal(one, other) for other in weights[i + 1 :])
    assert len(routed.histories) == 4
    assert routed.n_parameters == 4 * sum(p.numel() for p in routed.base.parameters())
    assert routed.seconds == sum(history.seconds for history in routed.histories) > 0


def test_tuning_leaves_the_base_alone(base, given, asked):
    before = {name: value.clone() for name, value in base.base.state_dict().items()}
    answer, router = base.locate_pixels(asked).weight, base._router
    tuned = base.tuned(*given)
    assert base.experts == []
    assert base._router is router is None
    assert len(base.histories) == 1
    assert base.config.kind == "base"
    assert all(torch.equal(value, before[name]) for name, value in base.base.state_dict().items())
    assert torch.equal(base.locate_pixels(asked).weight, answer)
    assert tuned.name == "ISN x 3, f*"
    assert len(tuned.experts) == 3
    assert not torch.equal(tuned.locate_pixels(asked).weight, answer)
    torch.testing.assert_close(tuned.scenes(asked).sum(1), torch.ones(12))


def test_a_scene_nobody_photographed_keeps_the_base(given):
    pixels, places, _ = given
    indoor_only = torch.zeros(N, dtype=torch.int64)
    isn = ISN(config("routed"), in_turn).fit_pixels(pixels, places, indoor_only)
    kept = [torch.equal(e.heads[0].weight, isn.base.heads[0].weight) for e in isn.experts]
    assert kept == [False, True, True]
    assert len(isn.histories) == 2


def test_unlabelled_photos_teach_the_scenes_that_the_router_finds_likely(given):
    pixels, places, _ = given
    seen = []

    def half(asked):
        seen.append(tuple(asked.shape))
        return torch.tensor([[0.5, 0.29, 0.21]]).expand(len(asked), 3).clone()

    unknown = torch.full((N,), -1)
    unknown[0] = 1  # one natural photo, the others by the router: indoor
    isn = ISN(config("routed"), half).fit_pixels(pixels, places, unknown)
    assert seen == [tuple(pixels.values.shape)]
    rows = [history.n_rows for history in isn.histories]
    assert rows[0] == N - 1  # one cannot be read
    assert rows[1:] == [N - 2, 1]


def test_the_scene_head_is_learnt_beside_the_cells(with_head, base, asked):
    assert len(with_head.base.heads) == 4
    said = with_head.scenes(asked)
    torch.testing.assert_close(said, probabilities(with_head.base, asked)[3])
    assert len(with_head.heads(asked)) == 3
    with pytest.raises(RuntimeError, match="kind='base' knows no scenes"):
        base.scenes(asked)


def test_a_router_of_logits_is_refused(base, asked):
    isn = ISN(config("routed"), lambda asked: asked.float().mean((2, 3)) - 9)
    isn.hierarchy, isn.base, isn.experts = base.hierarchy, base.base, [base.base] * 3
    with pytest.raises(ValueError, match="router row 0 sums to"):
        isn.locate_pixels(asked)


@pytest.mark.parametrize("kind", ["routed", "scene head"])
def test_without_scenes_there_is_a_clear_error(kind, table):
    with pytest.raises(ValueError, match=rf"kind '{kind}' needs photos with a scene.*kind='base'"):
        ISN(config(kind)).fit(table)
    with pytest.raises(ValueError, match="row 0: scene 'forest' is none of"):
        ISN(config(kind)).fit(table.add_column("scene", ["forest"] * N))


def test_tuning_without_scenes_is_a_clear_error(base, given):
    pixels, places, _ = given
    with pytest.raises(ValueError, match="needs photos with a scene"):
        base.tuned(pixels, places, torch.full((N,), -1))
    only_broken = Pixels(pixels.values, torch.arange(N) != 3, {})
    scenes = torch.full((N,), -1)
    scenes[3] = 0
    with pytest.raises(ValueError, match="needs photos with a scene"):
        base.tuned(only_broken, places, scenes)


def test_a_data_set_with_scenes_is_read_and_photos_are_answered(table, images):
    names = [("indoor", "natural", "urban")[scene] for scene in SCENES.tolist()]
    isn = ISN(config("routed")).fit(table.add_column("scene", names))
    assert list(isn.unreadable) == [table["id"][BROKEN]]
    some = images(3)
    assert torch.equal(isn.locate(some).weight, isn.locate_pixels(to_pixels(some, 32)).weight)
    assert embed(isn.base, to_pixels(some, 32)).shape == (3, isn.base.trunk.dim)


def test_a_router_that_knows_scenes_needs_no_labels(given):
    pixels, places, _ = given
    isn = ISN(config("routed"), in_turn).fit_pixels(pixels, places, torch.full((N,), -1))
    assert [history.n_rows for history in isn.histories[1:]] == [20, 19, 20]  # one is broken


def test_a_second_fit_starts_anew(given):
    """Its router as well: the old one reads the embedding of a network that is gone."""
    isn = ISN(config("routed")).fit_pixels(*given)
    router = isn._router
    isn.fit_pixels(*given)
    assert len(isn.experts) == 3
    assert isn._router is not router


def test_before_fit_and_wrong_settings(asked):
    with pytest.raises(RuntimeError, match=r"call fit\(train\) first"):
        ISN().locate_pixels(asked)
    with pytest.raises(ValueError, match="kind must be base, routed or scene head, not 'three'"):
        ISNConfig(kind="three")
    with pytest.raises(ValueError, match="score must be"):
        ISNConfig(score="best")
