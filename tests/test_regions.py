"""Country and region of an answer, and whether credible regions hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from geolab import sphere
from geolab.posterior import Posterior
from geolab.regions import calibration, same_place


def test_country_and_region_of_the_nearest_place():
    paris, lyon, geneva, tokyo = [48.85, 2.35], [45.76, 4.84], [46.2, 6.15], [35.68, 139.7]
    answers = [paris, lyon, geneva, [np.nan, np.nan], tokyo]
    truths = [lyon, lyon, lyon, paris, [35.7, 139.6]]
    assert same_place(answers, truths).tolist() == [True, True, False, False, True]
    region = same_place(answers, truths, level="region")
    assert region.tolist() == [False, True, False, False, True]
    with pytest.raises(ValueError, match="'city' is unknown"):
        same_place(answers, truths, level="city")


def test_region_without_a_name_falls_back_to_the_country():
    class TwoPlaces:
        def lookup(self, latlon):
            east = np.asarray(latlon)[:, 1] > 0
            regions = np.where(east, "", "West")
            return {"country": np.full(len(east), "XX"), "region": regions}

    west, east = [0.0, -1.0], [0.0, 1.0]
    got = same_place([west, east, west], [east, west, west], TwoPlaces(), level="region")
    assert got.tolist() == [True, False, True]


def test_calibration_of_a_calibrated_answer():
    # Support: a ring of distant places; the truth is drawn from the weights, so coverage is p.
    rng = np.random.default_rng(2)
    support = sphere.fibonacci_grid(120)
    weight = rng.dirichlet(np.full(120, 0.3), size=800)
    drawn = [rng.choice(120, p=w) for w in weight]
    post = Posterior(support, weight)
    for radius in (50.0, None):
        found = calibration(post, support[drawn], (0.25, 0.5, 0.9), radius_km=radius)
        for p, share in found.items():
            expected = 100 * (post.credible(p) * post.weight).sum(1).mean().item()
            assert 100 * p <= expected  # a set of lumps overshoots
            assert share.value == pytest.approx(expected, abs=4 * 50 / np.sqrt(800))
            assert share.low <= share.value <= share.high


def test_calibration_tells_overconfidence_and_the_two_rules_apart():
    here, far = [10.0, 10.0], [-40.0, 150.0]
    sure = Posterior([[here]] * 4, np.ones((4, 1)))
    truths = [here, [10.5, 10.5], far, far]
    assert calibration(sure, truths, (0.5,))[0.5].value == 50.0
    assert calibration(sure, truths, (0.5,), radius_km=10.0)[0.5].value == 25.0
    assert calibration(sure, truths, (0.5,), radius_km=None)[0.5].value == 100.0  # always nearest
    with pytest.raises(ValueError, match="4 answers for 3 truths"):
        calibration(sure, truths[:3])


def test_calibration_does_not_depend_on_blocks(monkeypatch):
    rng = np.random.default_rng(4)
    support = sphere.uniform_points(50, 0)
    post = Posterior(support, rng.dirichlet(np.ones(50), size=30))
    truth = sphere.uniform_points(30, 1)
    whole = calibration(post, truth, radius_km=1500.0)
    monkeypatch.setattr("geolab.regions._PAIRS_AT_ONCE", 150)
    assert calibration(post, truth, radius_km=1500.0) == whole
