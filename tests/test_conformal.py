"""P-values that keep their promise whatever the system, and the test for many at once."""

import numpy as np
import pytest
import torch

from geolab import sphere
from geolab.conformal import benjamini_hochberg, misfit, p_values
from geolab.likelihood import KernelWidth
from geolab.posterior import Posterior

WIDTH = KernelWidth(100.0, 0.02)


def answers(n, seed, spread_km=600.0):
    """Places with answers that are three points near them, the truth not always heaviest."""
    rng = torch.Generator().manual_seed(seed)
    truth = sphere.uniform_points(n, seed)
    km = spread_km * torch.rand(n, 3, generator=rng, dtype=torch.float64)
    bearing = 360 * torch.rand(n, 3, generator=rng, dtype=torch.float64)
    support = sphere.destination(truth[:, None].expand(-1, 3, -1), bearing, km)
    weight = torch.rand(n, 3, generator=rng, dtype=torch.float64)
    return Posterior(support, weight / weight.sum(1, keepdim=True)), truth


@pytest.mark.parametrize("score", ["ratio", "density"])
@pytest.mark.parametrize("spread", [200.0, 6000.0])
def test_true_claims_are_rejected_at_most_as_often_as_promised(score, spread):
    """Good system or bad one: over many draws the share of p <= 0.05 is 0.05 or less."""
    rejected, wrong = [], []
    for seed in range(25):
        known, where = answers(100, seed, spread)
        asked, truth = answers(80, 1000 + seed, spread)
        base = misfit(known, where, WIDTH, score)
        rejected.append((p_values(base, misfit(asked, truth, WIDTH, score)) <= 0.05).mean())
        claimed = torch.roll(truth, 1, 0)
        wrong.append((p_values(base, misfit(asked, claimed, WIDTH, score)) <= 0.05).mean())
    assert np.mean(rejected) < 0.065  # 2,000 claims: a standard error of about 0.01
    if spread == 200.0:
        assert np.mean(wrong) > 0.5


def test_p_values_by_counting():
    rng = np.random.default_rng(0)
    known, asked = rng.integers(0, 9, 30).astype(float), rng.integers(0, 9, 12).astype(float)
    want = [(1 + (known >= s).sum()) / 31 for s in asked]
    assert p_values(known, asked).tolist() == pytest.approx(want)


def test_a_photographer_counts_once_however_many_photos():
    known, asked = np.array([1.0, 2, 3, 9]), np.array([0.0, 2, 2.5, 9, 10])
    people = ["ann", "ann", "ann", "bob"]
    want = [(1 + sum(np.mean(known[np.array(people) == p] >= s) for p in ("ann", "bob"))) / 3
            for s in asked]  # fmt: skip
    assert p_values(known, asked, people).tolist() == pytest.approx(want)
    alone = p_values(known, asked, list("abcd")).tolist()
    assert alone == pytest.approx(p_values(known, asked).tolist())
    with pytest.raises(ValueError, match="2 group labels"):
        p_values(known, asked, ["ann", "bob"])


def test_one_busy_photographer_breaks_the_promise_of_photos_not_of_photographers():
    """Thirty people, each of a difficulty of her own; an easy one took half of the photos."""
    rng = np.random.default_rng(0)
    rejected = {"photos": [], "photographers": []}
    for _ in range(300):
        hard = rng.normal(0, 1, 61)
        hard[0] = -2.0
        size = np.r_[150, np.full(29, 5)]
        people = np.repeat(np.arange(30), size)
        known = hard[people] + rng.normal(0, 0.3, len(people))
        asked = hard[30:] + rng.normal(0, 0.3, 31)  # strangers, a photo each
        rejected["photos"].append((p_values(known, asked) <= 0.05).mean())
        rejected["photographers"].append((p_values(known, asked, people.tolist()) <= 0.05).mean())
    assert np.mean(rejected["photos"]) > 0.08
    assert np.mean(rejected["photographers"]) < 0.055


def test_a_vague_answer_finds_nothing_odd():
    everywhere = Posterior(sphere.fibonacci_grid(400)[None], torch.full((1, 400), 1 / 400))
    sharp = Posterior([[[10.0, 10.0]]], [[1.0]])
    claim = [[-40.0, 100.0]]
    assert misfit(sharp, claim, WIDTH)[0] > 8
    assert misfit(everywhere, claim, KernelWidth(1500.0))[0] < 0.5
    assert misfit(sharp, [[10.0, 10.0]], WIDTH)[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("claim", "score", "says"),
    [([[91.0, 0.0]], "ratio", "claimed"), ([[0.0, 0.0]] * 2, "ratio", "1 answers"),
     ([[0.0, 0.0]], "luck", "ratio or density")],
)  # fmt: skip
def test_nonsense_is_refused(claim, score, says):
    with pytest.raises(ValueError, match=says):
        misfit(Posterior([[[1.0, 2.0]]], [[1.0]]), claim, WIDTH, score)


def test_p_values_need_known_scores():
    for known in (np.array([]), np.array([np.nan])):
        with pytest.raises(ValueError, match="need scores"):
            p_values(known, np.zeros(1))


def test_false_flags_stay_rare():
    """The step-up rule by hand, and its promise over many draws."""
    p = np.array([0.001, 0.02, 0.03, 0.9])
    limits = 0.05 * np.arange(1, 5) / 4
    last = max(k for k in range(4) if p[k] <= limits[k])
    assert benjamini_hochberg(p).tolist() == [k <= last for k in range(4)]
    assert benjamini_hochberg(np.array([])).tolist() == []
    rng = np.random.default_rng(1)
    false = []
    for _ in range(200):
        p = np.concatenate([rng.random(80), rng.random(20) * 0.002])
        flags = benjamini_hochberg(p, 0.1)
        false.append(flags[:80].sum() / max(1, flags.sum()))
    assert np.mean(false) < 0.11
    with pytest.raises(ValueError, match="rate"):
        benjamini_hochberg(p, 0)
