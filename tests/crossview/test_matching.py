"""Towers, codes, recall: tiny, but trained for real."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from geolab.crossview.hashing import HashConfig, fit_hash_heads, itq, pack, random_hyperplanes
from geolab.crossview.recall import ranks, recall
from geolab.crossview.scenes import Pairs
from geolab.crossview.towers import (
    TowerConfig,
    Towers,
    fit_towers,
    soft_margin_triplet,
    symmetric_infonce,
)
from geolab.crossview.town import make_town
from geolab.kernels import hamming_topk
from geolab.training import TrainConfig

SMALL = {"width": 32, "depth": 1, "heads": 2, "dim": 48}


def town_pairs(n: int, seed: int, town) -> Pairs:
    rng = torch.Generator().manual_seed(seed)
    at = 60 + torch.rand(n, 2, generator=rng) * (town.side_m - 120)
    return Pairs(town.strips(at, 8, 32, seed=seed), town.tiles(at, 24), town.to_latlon(at))


@pytest.fixture(scope="module")
def town():
    return make_town(400, seed=3)


@pytest.fixture(scope="module")
def features():
    """Two noisy views of the same 200 directions."""
    rng = torch.Generator().manual_seed(0)
    base = torch.randn(200, 24, generator=rng)
    noise = torch.randn(2, 200, 24, generator=rng)
    return tuple(F.normalize(base + 0.3 * n, dim=1) for n in noise)


@pytest.mark.parametrize("loss", ["infonce", "triplet"])
def test_towers_learn(town, loss):
    """Places of the same town are found far oftener than by chance."""
    train = TrainConfig(epochs=14, batch_size=50, lr=3e-3, clip_norm=1.0)
    config = TowerConfig(**SMALL, loss=loss, narrow=0.0, train=train)
    towers, history = fit_towers(town_pairs(500, 1, town), config)
    test = town_pairs(100, 2, town)
    found = ranks(towers.embed(street=test.street), towers.embed(aerial=test.aerial))
    assert history.losses[-1] < history.losses[0]
    assert recall(found, 100)["recall@10"] > 40  # chance is 10


def test_hard_negatives_are_neighbours_first_and_alike_later(town):
    from geolab.crossview.polar import polar_transform
    from geolab.crossview.towers import _HardNegatives

    pairs = town_pairs(60, 1, town)
    config = TowerConfig(**SMALL, group=4, pool=5, refresh=1)
    polar = polar_transform(pairs.aerial, 8, 32)
    hard = _HardNegatives(pairs, polar, config)
    assert hard.table.shape == (60, 5)
    assert (hard.table != torch.arange(60)[:, None]).all()  # never itself
    gap = (pairs.places[:, None] - pairs.places[None]).norm(dim=-1)
    nearest = gap.fill_diagonal_(9.0).argmin(1)
    assert (hard.table == nearest[:, None]).any(1).float().mean() > 0.95
    before = hard.table.clone()
    hard.refresh(Towers(config, 8, 32))
    assert not torch.equal(before, hard.table)
    draws = torch.tensor([[0.0, 0.5, 0, 0], [0.99, 0.5, 0, 0]])
    rows = hard.grouped(torch.tensor([3, 9]), draws)
    assert {12, 39} <= set(rows.tolist())
    assert len(rows) == len(set(rows.tolist())) <= 8


def test_hard_negatives_train(town):
    train = TrainConfig(epochs=2, batch_size=20, lr=1e-3)
    config = TowerConfig(**SMALL, group=4, refresh=1, train=train)
    _, history = fit_towers(town_pairs(60, 1, town), config)
    assert np.isfinite(history.losses).all()


def test_what_towers_refuse(town):
    pairs = town_pairs(4, 1, town)
    with pytest.raises(ValueError, match="too few"):
        fit_towers(pairs[:1])
    nowhere = Pairs(pairs.street, pairs.aerial, torch.full((4, 2), torch.nan).double())
    with pytest.raises(ValueError, match="neighbours on the map"):
        fit_towers(nowhere, TowerConfig(**SMALL, group=2))
    with pytest.raises(ValueError, match="must divide"):
        TowerConfig(group=3)
    with pytest.raises(ValueError, match="infonce or triplet"):
        TowerConfig(loss="hinge")
    with pytest.raises(ValueError, match="one of the two"):
        Towers(TowerConfig(**SMALL), 8, 32).embed()


def test_losses_by_hand():
    """Two pairs: perfect ones cost little, swapped ones a lot."""
    a = torch.eye(2)
    right, wrong = soft_margin_triplet(a, a, 10.0), soft_margin_triplet(a, a.flip(0), 10.0)
    assert right.item() == pytest.approx(np.log1p(np.exp(-20)), rel=1e-4)
    assert wrong.item() == pytest.approx(np.log1p(np.exp(20)), rel=1e-4)
    scale = torch.tensor(2.0)
    assert symmetric_infonce(a, a, scale, 0.0).item() == pytest.approx(np.log1p(np.exp(-2)), 1e-5)


def test_ranks_count_half_the_ties():
    """Against a loop that counts."""
    rng = torch.Generator().manual_seed(4)
    q, base = (torch.where(torch.rand(n, 6, generator=rng) > 0.5, 1.0, -1.0) for n in (17, 40))
    truth = torch.randint(40, (17,), generator=rng)
    score = (q @ base.T).tolist()
    for ties in (0.0, 0.5, 1.0):
        want = []
        for i, t in enumerate(truth.tolist()):
            better = sum(s > score[i][t] for s in score[i])
            same = sum(s == score[i][t] for s in score[i]) - 1
            want.append(better + ties * same)
        assert ranks(q, base, truth, ties=ties).tolist() == pytest.approx(want)


def test_one_per_cent_of_cvusa_is_88():
    rank = torch.tensor([87.0, 88.0])
    assert recall(rank, 8884)["recall@1%"] == 50.0


@pytest.mark.parametrize(
    ("q", "base", "truth", "says"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), None, "numbers"),
        (torch.ones(3, 3), torch.ones(2, 3), None, "true rows"),
        (torch.ones(2, 3), torch.ones(2, 3), torch.tensor([0, 5]), "true rows"),
        (torch.full((1, 3), torch.nan), torch.ones(2, 3), None, "row 0 is not finite"),
    ],
)
def test_ranks_refuse_nonsense(q, base, truth, says):
    with pytest.raises(ValueError, match=says):
        ranks(q, base, truth)


@pytest.mark.parametrize("bits", [1, 7, 12, 24])
def test_codes_of_any_length_pack_and_search(features, bits):
    """Odd lengths too: packed distances are those of the signs."""
    street, aerial = features
    hasher = random_hyperplanes(street, aerial, bits)
    s, a = hasher.signs(street=street), hasher.signs(aerial=aerial)
    assert set(s.unique().tolist()) <= {-1.0, 1.0}
    packed = pack(s), pack(a)
    assert packed[0].shape == (200, -(-bits // 8))
    distance, index = hamming_topk(*packed, 3, n_bits=bits)
    true = (bits - s @ a.T) / 2
    torch.testing.assert_close(true.gather(1, index), distance.float())
    torch.testing.assert_close(distance[:, 0].float(), true.min(1).values)


def test_each_kind_of_code_beats_chance_and_more_bits_help(features):
    street, aerial = features
    train = TrainConfig(epochs=30, batch_size=50, lr=5e-3, clip_norm=1.0)

    def hit(hasher):
        rank = ranks(hasher.signs(street=street), hasher.signs(aerial=aerial))
        return recall(rank, 200)["recall@5"]

    few, many = (hit(random_hyperplanes(street, aerial, b)) for b in (8, 128))
    assert many > few + 20
    assert hit(itq(street, aerial, 16)) > hit(random_hyperplanes(street, aerial, 16))
    learned, _ = fit_hash_heads(street, aerial, 16, HashConfig(hidden=32, train=train))
    assert hit(learned) > hit(random_hyperplanes(street, aerial, 16))


def test_what_codes_refuse(features):
    street, aerial = features
    with pytest.raises(ValueError, match="ITQ can't make 25 bits of 24"):
        itq(street, aerial, 25)
    with pytest.raises(ValueError, match="0 bits"):
        random_hyperplanes(street, aerial, 0)
    with pytest.raises(ValueError, match="pair"):
        fit_hash_heads(street, aerial[:-1], 8)


def test_training_goes_on_where_it_was(town, tmp_path):
    pairs = town_pairs(40, 1, town)
    config = TowerConfig(**SMALL, train=TrainConfig(epochs=2, batch_size=20))
    first, _ = fit_towers(pairs, config, checkpoint=tmp_path / "towers.pt")
    again, history = fit_towers(pairs, config, checkpoint=tmp_path / "towers.pt")
    assert history.losses  # read, not trained
    torch.testing.assert_close(
        first.embed(street=pairs.street), again.embed(street=pairs.street), atol=0, rtol=0
    )
