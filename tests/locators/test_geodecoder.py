"""The head in the style of GeoDecoder, on made-up tokens and on photos of four places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geolab.cells import S2Partition
from geolab.data.errors import DataError
from geolab.encoders.clip import load_clip
from geolab.encoders.cnn import to_pixels
from geolab.locators.geocell_head import GeocellHead, HeadConfig
from geolab.locators.geodecoder import GeoDecoder
from geolab.locators.geodecoder_config import LIMITS, GeoDecoderConfig, fit_levels, training_for
from geolab.locators.geodecoder_network import (
    GeoDecoderNetwork,
    checked_scenes,
    decoder_loss,
    fit_temperature,
    token_statistics,
)
from geolab.locators.geodecoder_systems import GeoDecoderSystem
from geolab.locators.hierarchy_scores import hierarchy_scores
from geolab.locators.table_systems import SINGLE, SYSTEMS, fit_locator, fit_systems
from geolab.metrics import errors_km
from geolab.training import TrainConfig
from tests.locators.conftest import PLACES, make_photos

TRAIN = TrainConfig(epochs=2, batch_size=32, lr=3e-3, clip_norm=1.0, device="cpu")
CONFIG = GeoDecoderConfig(dim=16, layers=1, heads=2, dropout=0.0, train=TRAIN)
WIDTH, PATCHES = 6, 9
SIZES = (3, 5, 8)


def network(n_scenes=3, sizes=SIZES, **changes):
    return GeoDecoderNetwork(WIDTH, sizes, n_scenes, replace(CONFIG, **changes)).eval()


def some_tokens(n, seed=0):
    return torch.randn(n, PATCHES, WIDTH, generator=torch.Generator().manual_seed(seed))


def some_places(n, seed=0, spread=3.0):
    """Around four cities, close enough for several levels."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(PLACES[np.arange(n) % 4] + rng.normal(0, spread, (n, 2)))


def labels(n):
    return torch.arange(n) // 4 % 3


@pytest.fixture(scope="module")
def fitted():
    return GeoDecoder(None, CONFIG).fit_tokens(some_tokens(300), some_places(300), labels(300))


@pytest.fixture(scope="module")
def without_scenes():
    return GeoDecoder(None, CONFIG).fit_tokens(some_tokens(300), some_places(300))


# --- network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("patches", [1, 9, 20])
def test_shapes(patches):
    scores, scene = network()(torch.randn(4, patches, WIDTH))
    assert [tuple(s.shape) for s in scores] == [(4, n) for n in SIZES]
    assert scene.shape == (4, 3)
    scores, scene = network(1)(torch.randn(4, patches, WIDTH))
    assert [tuple(s.shape) for s in scores] == [(4, n) for n in SIZES]
    assert scene.shape == (4, 1)
    assert network()(torch.randn(0, patches, WIDTH))[0][2].shape == (0, 8)


def test_gradients_reach_every_query():
    """Those of each level and each scene, and every other weight."""
    model = network().train()
    scores, scene = model(some_tokens(6))
    cells = torch.tensor([[0, 1, 2]] * 6)
    decoder_loss(scores, scene, cells, torch.full((6,), -1), 1.0).backward()
    assert (model.queries.grad.abs().sum(-1) > 1e-8).all()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
    only_coarse = network().train()
    scores, scene = only_coarse(some_tokens(6))
    cells = torch.tensor([[0, -1, -1]] * 6)
    decoder_loss(scores, scene, cells, torch.full((6,), -1), 1.0).backward()
    assert (only_coarse.heads[0].weight.grad != 0).any()
    assert (only_coarse.heads[2].weight.grad == 0).all()
    # Queries talk to one another: those of other levels still learn from the coarse one.
    assert (only_coarse.queries.grad[:, 2].abs().sum(-1) > 0).all()


def test_queries_attend_to_one_another():
    """Another query of one level changes the answer of another level, through self-attention."""
    model, tokens = network(), some_tokens(3)
    before = model(tokens)[0]
    with torch.no_grad():
        model.queries[:, 0] += torch.linspace(-1, 1, 16)
    after = model(tokens)[0]
    for level in range(3):
        assert not torch.allclose(before[level], after[level], atol=1e-5)


def test_order_of_patches_does_not_matter():
    """No position is added, so it must not; and what is in them must."""
    model, tokens = network(), some_tokens(5)
    order = torch.randperm(PATCHES, generator=torch.Generator().manual_seed(1))
    for one, other in zip(model(tokens)[0], model(tokens[:, order])[0], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    changed = tokens.clone()
    changed[:, 4] += 2
    assert not torch.allclose(model(tokens)[0][2], model(changed)[0][2], atol=1e-4)


def test_photos_do_not_see_each_other():
    model, tokens = network(), some_tokens(5)
    for one, other in zip(model(tokens)[0], model(tokens[2:3])[0], strict=True):
        torch.testing.assert_close(one[2:3], other, atol=1e-5, rtol=1e-4)


def test_scenes_are_mixed_by_probability_or_picked():
    """Mixing queries is mixing scores, since the heads are linear."""
    model, tokens = network(), some_tokens(7)
    with torch.no_grad():
        model.scene.weight.copy_(
            3 * torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(2))
        )
    alone = []
    for number in range(3):
        sure = network()
        sure.load_state_dict(model.state_dict())
        with torch.no_grad():
            sure.scene.weight.zero_()
            sure.scene.bias.copy_(torch.eye(3)[number] * 1e4)
        alone.append(sure(tokens)[0])
    mixed, scene = model(tokens)
    share = scene.softmax(1)
    for level in range(3):
        by_scene = torch.stack([scores[level] for scores in alone], 1)  # (B, S, C)
        assert not torch.allclose(by_scene[:, 0], by_scene[:, 1], atol=1e-4)
        wanted = (share[..., None] * by_scene).sum(1)
        torch.testing.assert_close(mixed[level], wanted, atol=1e-5, rtol=1e-4)
        best = by_scene[torch.arange(7), share.argmax(1)]
        torch.testing.assert_close(model(tokens, pick=True)[0][level], best, atol=1e-5, rtol=1e-4)
    assert len(set(share.argmax(1).tolist())) > 1


def test_loss_by_hand():
    made = torch.Generator().manual_seed(0)
    scores = [torch.randn(3, n, generator=made) for n in (2, 4)]
    scene = torch.randn(3, 3, generator=made)
    cells, seen = torch.tensor([[1, 3], [0, -1], [-1, -1]]), torch.tensor([2, -1, 0])
    logs = [s.log_softmax(1) for s in scores]
    wanted = -(logs[0][0, 1] + logs[0][1, 0] + logs[1][0, 3])
    said = -(scene.log_softmax(1)[0, 2] + scene.log_softmax(1)[2, 0])
    assert decoder_loss(scores, scene, cells, seen, 0.5) == pytest.approx(
        float(wanted + 0.5 * said), rel=1e-5
    )
    none = decoder_loss(scores, scene[:, :1], cells, seen, 0.5)  # one scene: nothing to learn
    assert float(none) == pytest.approx(float(wanted), rel=1e-5)


def test_statistics_are_those_of_all_tokens():
    tokens = 3 + 2 * some_tokens(1100)
    mean, std = token_statistics(tokens.half())
    flat = tokens.half().double().flatten(0, 1)
    torch.testing.assert_close(mean, flat.mean(0).float())
    torch.testing.assert_close(std, flat.std(0, correction=0).float())
    assert (token_statistics(torch.ones(3, 2, 4))[1] > 0).all()


# --- levels -----------------------------------------------------------------------------------


def test_seven_levels_where_photos_allow_and_fewer_where_few():
    many, few = fit_levels(some_places(20_000, spread=8.0)), fit_levels(some_places(60, spread=0.1))
    assert len(many) == 7
    sizes = [len(part) for part in many.parts]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 7
    assert 1 <= len(few) < 7
    assert (many.ancestors >= 0).all()
    assert len(fit_levels(some_places(20_000, spread=8.0), 3)) == 3


def test_fewer_levels_keep_the_finest():
    places = some_places(20_000, spread=8.0)
    for levels in (1, 2, 4):
        other = fit_levels(places, levels)
        assert len(other) == levels
        assert other.fine.name == f"level 7 {other.fine.name.split()[-1]}"
    with pytest.raises(DataError, match="no cell is left"):
        fit_levels([[10.0, 10.0], [-40.0, 100.0]])


# --- locator ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fitted", "without_scenes"])
def test_the_answer_is_the_product_of_the_levels(kind, request):
    locator, asked = request.getfixturevalue(kind), some_tokens(10, seed=5)
    levels = locator.levels(asked)
    assert [tuple(p.shape) for p in levels] == [(10, len(part)) for part in locator.hierarchy.parts]
    assert len(levels) > 2
    product = hierarchy_scores(levels[-1], levels[:-1], locator.hierarchy.ancestors[:, :-1])
    post = locator.locate_tokens(asked)
    torch.testing.assert_close(post.weight, product)
    assert torch.equal(post.latlon[0], locator.hierarchy.fine.means)
    fine = locator.answering(score="fine", answer="centre")
    said = fine.locate_tokens(asked)
    torch.testing.assert_close(said.weight, levels[-1].double(), atol=1e-6, rtol=1e-5)
    assert torch.equal(said.latlon[0], locator.hierarchy.fine.centres)
    assert fine.name == f"{locator.name}, finest level"
    assert fine.network is locator.network
    assert locator.config.score == "f*"
    assert len(locator.locate_tokens(asked[:0])) == 0


def test_scenes_or_none(fitted, without_scenes):
    asked = some_tokens(6, seed=5)
    assert fitted.name == "GeoDecoder-style"
    assert fitted.network.queries.shape[:2] == (3, len(fitted.hierarchy))
    torch.testing.assert_close(fitted.scenes(asked).sum(1), torch.ones(6))
    picked = fitted.answering(mixing="pick")
    assert picked.name == "GeoDecoder-style, best scene"
    assert not torch.equal(picked.locate_tokens(asked).weight, fitted.locate_tokens(asked).weight)
    assert without_scenes.name == "GeoDecoder-style, no scene queries"
    assert without_scenes.network.queries.shape[0] == 1
    assert without_scenes.network.scene is None
    with pytest.raises(RuntimeError, match="no scenes were learnt: fit photos with a column"):
        without_scenes.scenes(asked)
    off = GeoDecoder(None, replace(CONFIG, scenes=False))
    off.fit_tokens(some_tokens(300), some_places(300), labels(300))
    assert torch.equal(off.locate_tokens(asked).weight, without_scenes.locate_tokens(asked).weight)


def test_scenes_of_some_photos_are_enough():
    """The scene shows in the tokens; half of the labels are not known."""
    tokens, seen = some_tokens(240), labels(240)
    tokens[:, :, :3] += 3 * torch.eye(3)[seen][:, None]
    given = seen.where(torch.arange(240) % 2 == 0, -1)
    locator = GeoDecoder(None, replace(CONFIG, train=replace(TRAIN, epochs=6)))
    said = locator.fit_tokens(tokens, some_places(240), given).scenes(tokens)
    assert (said.argmax(1) == seen).float().mean() > 0.95


def test_one_level():
    locator = GeoDecoder(None, replace(CONFIG, levels=1))
    locator.fit_tokens(some_tokens(300), some_places(300), labels(300))
    asked = some_tokens(4, seed=5)
    assert len(locator.levels(asked)) == 1
    product, fine = (locator.answering(score=s).locate_tokens(asked).weight for s in ("f*", "fine"))
    torch.testing.assert_close(product, fine)


def test_the_seed_decides_everything():
    def weights(seed):
        noisy = replace(CONFIG, dropout=0.2, train=replace(TRAIN, seed=seed))
        torch.rand(seed + 1)  # what was drawn before must not matter
        locator = GeoDecoder(None, noisy).fit_tokens(some_tokens(80), some_places(80), labels(80))
        return locator.locate_tokens(some_tokens(5, seed=9)).weight

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
    torch.manual_seed(4)
    untouched = torch.rand(1)
    torch.manual_seed(4)
    GeoDecoder(None, CONFIG).fit_tokens(some_tokens(40), some_places(40), labels(40))
    assert torch.equal(torch.rand(1), untouched)


def cue_in_one_patch(n, seed):
    """One patch of 16 is marked, and its code is the place; each code stands in four patches.

    The mean over the patches is the same for all photos, to the last bit of the codes.
    """
    rng = np.random.default_rng(seed)
    place = rng.integers(4, size=n)
    tokens = np.zeros((n, 16, 6), np.float32)
    for i in range(n):
        codes = np.repeat(np.arange(4), 4)
        codes = np.append(place[i], np.delete(codes, 4 * place[i]))  # the marked one first
        tokens[i, np.arange(16), codes] = 1
        tokens[i, 0, 5] = 1
        tokens[i] = tokens[i, rng.permutation(16)]
    places = PLACES[place] + rng.uniform(-0.1, 0.1, (n, 2))
    return torch.from_numpy(tokens), torch.from_numpy(places), PLACES[place]


def test_it_finds_the_patch_that_pooling_drowns():
    tokens, places, _ = cue_in_one_patch(800, seed=0)
    asked, _, truth = cue_in_one_patch(200, seed=1)
    assert torch.equal(tokens.mean(1), tokens[:1].mean(1).expand(800, -1))
    quick = replace(TRAIN, epochs=12, lr=5e-3)
    cells = S2Partition.fit(places, 1, 1000)
    pooled = GeocellHead(HeadConfig(None, train=quick)).fit(tokens.mean(1), places, cells)
    by_mean = errors_km(cells.means[pooled.probabilities(asked.mean(1)).argmax(1)], truth) < 50
    locator = GeoDecoder(None, replace(CONFIG, train=quick)).fit_tokens(tokens, places)
    by_patches = errors_km(locator.locate_tokens(asked).mode().numpy(), truth) < 50
    assert by_mean.mean() < 0.4  # chance is a quarter
    assert by_patches.mean() > 0.95


def test_the_best_epoch_is_kept(fitted):
    """Chosen by the median error of validation photos, measured as the locator answers."""
    held = some_tokens(61, seed=3), some_places(61, seed=3)
    choosy = replace(TRAIN, epochs=6, lr=3e-2, select="median_km", patience=2)
    locator = GeoDecoder(None, replace(CONFIG, train=choosy))
    locator.fit_tokens(some_tokens(300), some_places(300), validation=held)
    history = locator.history
    seen = [figures["median_km"] for figures in history.validation]
    km = errors_km(locator.locate_tokens(held[0]).mode().numpy(), held[1].numpy())
    assert np.median(km) == pytest.approx(min(seen))
    assert seen[history.best_epoch] == min(seen)
    assert len(seen) <= history.best_epoch + 1 + 2
    assert fitted.history.validation == []


def test_the_temperature_makes_the_answer_as_sure_as_it_may_be():
    """Fitted on noise it is far above 1; neither the best cell nor the order of cells changes."""
    given, held = (some_tokens(300), some_places(300)), (some_tokens(90, 3), some_places(90, 3))
    locator = GeoDecoder(None, replace(CONFIG, train=replace(TRAIN, epochs=8)))
    tempered = locator.fit_tokens(*given, validation=held)
    assert tempered.temperature > 2
    own = tempered.hierarchy.fine.assign(held[1])
    post = tempered.locate_tokens(held[0])
    *coarser, fine = tempered.levels(held[0])
    plain = hierarchy_scores(fine, coarser, tempered.hierarchy.ancestors[:, :-1])
    powers = plain ** (1 / tempered.temperature)
    torch.testing.assert_close(post.weight, powers / powers.sum(1, keepdim=True))
    assert torch.equal(post.weight.argmax(1), plain.argmax(1))

    def nll(chances):
        return -float(chances[own >= 0, own[own >= 0]].log().mean())

    for power in (1.0, 0.9 / tempered.temperature, 1.1 / tempered.temperature):
        other = plain**power
        assert nll(post.weight) < nll(other / other.sum(1, keepdim=True))
    assert tempered.answering(mixing="pick").temperature == tempered.temperature
    assert tempered.answering(score="fine").temperature == 1.0
    assert tempered.fit_tokens(*given).temperature == 1.0  # nothing to fit it on


def test_temperature_of_nothing_is_one():
    one = torch.ones(3, 1)
    assert fit_temperature(one, torch.zeros(3, dtype=torch.int64)) == 1.0
    assert fit_temperature(torch.full((3, 4), 0.25), torch.full((3,), -1)) == 1.0
    impossible = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # a cell without a chance is no crash
    assert 1 < fit_temperature(impossible, torch.tensor([0, 1])) <= 100


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    given = some_tokens(80), some_places(80), labels(80)
    path = tmp_path / "run.pt"
    first = GeoDecoder(None, CONFIG).fit_tokens(*given, checkpoint=path)
    again = GeoDecoder(None, CONFIG).fit_tokens(*given, checkpoint=path)
    assert again.history.resumed_at == len(first.history.losses)
    assert torch.equal(first.levels(given[0])[-1], again.levels(given[0])[-1])
    with pytest.raises(DataError, match="GeoDecoder"):
        GeoDecoder(None, replace(CONFIG, dim=32)).fit_tokens(*given, checkpoint=path)


# --- bad input --------------------------------------------------------------------------------


def test_wrong_tokens(fitted):
    with pytest.raises(ValueError, match="tokens have 7 numbers, the network was taught 6"):
        fitted.locate_tokens(torch.zeros(2, PATCHES, 7))
    with pytest.raises(ValueError, match=r"shape \(N, P, W\).*not \(2, 6\).*embed_patches"):
        fitted.locate_tokens(torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"a patch at least, not \(2, 0, 6\)"):
        fitted.locate_tokens(torch.zeros(2, 0, 6))
    bad = some_tokens(600)
    bad[555, 2, 1] = torch.nan
    for call in (fitted.locate_tokens, lambda t: GeoDecoder().fit_tokens(t, some_places(600))):
        with pytest.raises(ValueError, match="row 555 has a token that is not finite"):
            call(bad)


def test_wrong_training_sets():
    fit = GeoDecoder(None, CONFIG).fit_tokens
    with pytest.raises(ValueError, match="5 photos' tokens for 4 places"):
        fit(some_tokens(5), some_places(4))
    with pytest.raises(ValueError, match="0 photos' tokens for 0 places"):
        fit(some_tokens(0), torch.empty(0, 2))
    with pytest.raises(ValueError, match="training places row 1"):
        fit(some_tokens(2), torch.tensor([[0.0, 0.0], [120.0, 3.0]]))
    with pytest.raises(ValueError, match=r"row 2 has scene 3; scenes are 0 to 2 \(indoor, natural"):
        fit(some_tokens(4), some_places(4), torch.tensor([0, 1, 3, 2]))
    with pytest.raises(ValueError, match="row 0 has scene -2"):
        checked_scenes(torch.tensor([-2]), 1)
    with pytest.raises(ValueError, match="scenes must be 4 whole numbers"):
        fit(some_tokens(4), some_places(4), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="scenes must be 4 whole numbers"):
        fit(some_tokens(4), some_places(4), torch.rand(4))
    with pytest.raises(ValueError, match="validation: 0 photos' tokens for 0 places"):
        fit(some_tokens(40), some_places(40), validation=(some_tokens(0), torch.empty(0, 2)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": 0}, "levels is 0; it must be 1 to 7"),
        ({"levels": 8}, "levels is 8"),
        ({"heads": 3}, "heads a divisor of dim"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"scene_weight": -1.0}, "scene_weight -1.0"),
        ({"score": "best"}, r"score must be f\* or fine, not best"),
        ({"mixing": "sum"}, "mixing must be mix or pick"),
        ({"answer": "mode"}, "answer must be mean or centre"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)


def test_before_fit_and_without_an_encoder(fitted, images):
    with pytest.raises(RuntimeError, match=r"call fit\(train\) first"):
        GeoDecoder().locate_tokens(some_tokens(1))
    with pytest.raises(RuntimeError, match="no CLIP given"):
        fitted.locate(images(1))
    with pytest.raises(ValueError, match="dim is learnt, not chosen afterwards"):
        fitted.answering(dim=8)


# --- photos, table ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip():
    return load_clip("tiny", device="cpu")


def test_patches_of_a_tower(clip, images):
    """Together with the class token their mean is the feature "tokens"; rows are not shuffled."""
    pixels = to_pixels(images(5), clip.size)
    patches = clip.embed_patches(pixels, batch=2)
    assert patches.shape == (5, 64, 128)
    assert patches.dtype == torch.float16
    kept = []
    hook = clip.blocks[-1].register_forward_hook(lambda *a: kept.append(a[2]))
    mean = clip.embed_pixels(pixels, "tokens")
    hook.remove()
    torch.testing.assert_close(patches.float(), kept[0][:, 1:], atol=1e-2, rtol=2e-3)
    joined = (patches.float().sum(1) + kept[0][:, 0]) / 65
    torch.testing.assert_close(joined, mean, atol=1e-2, rtol=1e-2)
    assert clip.embed_patches(pixels[:0]).shape == (0, 64, 128)


def named_scenes(n):
    return [("indoor", "natural", "urban", None)[i // 4 % 4] for i in range(n)]


def test_photos_are_read_and_broken_ones_left_out(clip, images):
    table = make_photos(60, broken=(7, 9)).add_column("scene", named_scenes(60))
    held = make_photos(12, seed=3, broken=(2,))
    quick = replace(TRAIN, epochs=8, select="median_km")
    locator = GeoDecoder(clip, replace(CONFIG, train=quick)).fit(table, validation=held)
    assert list(locator.unreadable) == [table["id"][7], table["id"][9]]
    assert locator.history.n_rows == 58
    some = images(8)
    post = locator.locate(some)
    tokens = clip.embed_patches(to_pixels(some, clip.size))
    assert torch.equal(post.weight, locator.locate_tokens(tokens).weight)
    assert (errors_km(post.mode().numpy(), PLACES[np.arange(8) % 4]) < 50).mean() > 0.7
    wrong = table.remove_columns("scene").add_column("scene", ["forest"] * 60)
    with pytest.raises(ValueError, match="row 0: scene 'forest' is none of"):
        locator.fit(wrong)
    with pytest.raises(ValueError, match="0 photos' tokens for 0 places"):
        locator.fit(make_photos(3, broken=(0, 1, 2)))


def test_a_row_of_the_table_and_one_without_scene_queries(clip):
    references = make_photos(80, broken=(3,)).add_column("scene", named_scenes(80))
    queries = make_photos(12, seed=4, broken=(5,))
    system = GeoDecoderSystem.of(references, 0, config=CONFIG)
    said = system.answer(queries, np.arange(10, 80))
    assert list(said.points) == ["GeoDecoder-style, no scene queries", "GeoDecoder-style"]
    assert list(said.failures) == [queries["id"][5]]
    for name, points in said.points.items():
        assert points.shape == (12, 2)
        assert np.isnan(points[5]).all()
        assert np.isfinite(np.delete(points, 5, 0)).all()
        assert said.costs[name].n_parameters > 0
        assert said.seconds[name] >= said.costs[name].seconds > 0
    costs = [cost.n_parameters for cost in said.costs.values()]
    assert costs[0] < costs[1]
    assert "synthetic" in said.notes["geodecoder"]
    plain = GeoDecoderSystem.of(references.remove_columns("scene"), 0, config=CONFIG)
    alone = plain.answer(queries, np.arange(10, 80))
    assert list(alone.points) == ["GeoDecoder-style, no scene queries"]
    assert "need a column scene" in alone.notes["geodecoder scenes"]


def test_only_the_references_of_the_fold_are_learnt_from():
    """Half of the references show one hemisphere; answers from them lie there."""
    references = make_photos(80)
    north = np.flatnonzero(np.array(references["latitude"]) > 0)
    system = GeoDecoderSystem.of(references, 0, config=CONFIG)
    said = system.answer(make_photos(8, seed=4), north)
    assert (said.points["GeoDecoder-style, no scene queries"][:, 0] > 0).all()


def test_it_has_a_name_for_the_commands(images):
    assert "geodecoder" in SYSTEMS
    assert "geodecoder" in SINGLE
    references = make_photos(48)
    systems = fit_systems("geodecoder", references, 0, 40)
    assert [type(system).__name__ for system in systems] == ["GeoDecoderSystem"]
    said = fit_locator("geodecoder", references).locate(images(4)).mode()
    assert (errors_km(said.numpy(), PLACES) < 50).mean() > 0.7  # few photos are many epochs


def test_few_photos_get_more_epochs():
    assert training_for(100, 3).epochs == 150
    assert training_for(100, 3).patience == 50
    assert training_for(100, 3).seed == 3
    assert training_for(10**6, 0).epochs == GeoDecoderConfig().train.epochs
    assert len(LIMITS) == GeoDecoderConfig().levels
