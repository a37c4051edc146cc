"""Linear probes: what is in the embedding is read, what is not is not, and chance stands beside."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch

from geolab.data.errors import DataError
from geolab.locators.embedding_probe import embedding_probe


def made(n, seed):
    """Features whose first number is the temperature and whose second decides the side."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 6))
    columns = {
        "temperature": (features[:, 0] * 9 + 12).tolist(),
        "elevation": rng.uniform(0, 3000, n).tolist(),  # in no feature
        "drive_side": (features[:, 1] > 0.8).astype(int).tolist(),
        "month": rng.integers(1, 4, n).tolist(),  # in no feature
    }
    return torch.tensor(features).float() * 40 + 7, datasets.Dataset.from_dict(columns)


@pytest.fixture(scope="module")
def probed():
    return {row.task: row for row in embedding_probe(*made(800, 0), *made(500, 1))}


def test_reads_what_is_there(probed):
    assert probed["temperature"].value > 0.99
    assert probed["drive_side"].value > 0.95 > probed["drive_side"].baseline
    assert [probed[name].figure for name in ("temperature", "drive_side")] == ["R2", "accuracy"]


def test_and_nothing_else(probed):
    assert abs(probed["elevation"].value) < 0.05
    assert abs(probed["month"].value - probed["month"].baseline) < 0.08


def test_baselines_by_hand(probed):
    _, train = made(800, 0)
    _, test = made(500, 1)
    most = np.bincount(train["drive_side"]).argmax()
    share = np.mean(np.array(test["drive_side"]) == most)
    assert probed["drive_side"].baseline == pytest.approx(share)
    truth = np.array(test["temperature"])
    lost = np.square(truth - np.mean(train["temperature"])).sum()
    expected = 1 - lost / np.square(truth - truth.mean()).sum()
    assert probed["temperature"].baseline == pytest.approx(expected, abs=1e-5)
    assert probed["temperature"].n == 500


def test_ridge_equals_sklearn():
    from sklearn.linear_model import Ridge

    features, train = made(300, 2)
    asked, test = made(200, 3)
    (row,) = embedding_probe(features, train, asked, test, ("temperature",), strength=25.0)
    x = features.double().numpy()
    scaled = [(v - x.mean(0)) / x.std(0) for v in (x, asked.double().numpy())]
    ridge = Ridge(25.0).fit(scaled[0], train["temperature"])
    assert row.value == pytest.approx(ridge.score(scaled[1], test["temperature"]), abs=1e-5)


def test_gaps_are_left_out():
    features, train = made(300, 4)
    asked, test = made(100, 5)
    gone = [None if i % 4 == 0 else v for i, v in enumerate(test["temperature"])]
    test = test.remove_columns("temperature").add_column("temperature", gone)
    rows = {
        r.task: r for r in embedding_probe(features, train.remove_columns("month"), asked, test)
    }
    assert rows["temperature"].n == 75
    assert "month" not in rows  # nothing to learn it from
    assert f"{rows['temperature']}".endswith("n = 75")


def test_bad_input():
    features, train = made(50, 6)
    with pytest.raises(ValueError, match="49 features, but 50 photos"):
        embedding_probe(features[1:], train, features, train)
    with pytest.raises(DataError, match="no task"):
        embedding_probe(features, train, features, train, ("mood",))
    broken = features.clone()
    broken[7, 2] = torch.nan
    with pytest.raises(ValueError, match="row 7"):
        embedding_probe(features, train, broken, train)
