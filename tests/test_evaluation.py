"""One evaluator: a failed photo stays in n, and rows survive the trip to a file."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from geolab.data.benchmarks import freeze
from geolab.data.errors import DiskFullError
from geolab.evaluation import (
    Options,
    draws_of,
    evaluate,
    evaluate_draws,
    evaluate_points,
    group_labels,
    point_of,
    spread,
)
from geolab.intervals import Estimate
from geolab.metrics import errors_km, uniform_chance
from geolab.posterior import Posterior
from geolab.rows import Row, read_rows, rows_from_json, rows_to_json, write_rows
from geolab.sphere import fibonacci_grid, uniform_points

PARIS, ROME, OSLO = [48.85, 2.35], [41.9, 12.5], [59.9, 10.75]
QUICK = Options(areas=False, n_boot=100)


class BrightnessLocator:
    """Answers Paris for dark photos and Rome for bright ones; counts what it was given."""

    name = "brightness"

    def locate(self, images):
        self.seen = len(images)
        bright = [float(np.asarray(image.convert("L")).mean() > 127) for image in images]
        weight = np.array([[1 - b, b] for b in bright])
        return Posterior([PARIS, ROME], weight)


@pytest.fixture
def photos(tmp_path):
    """Three photos of which the second cannot be read."""
    paths = [tmp_path / f"{name}.png" for name in ("dark", "broken", "bright")]
    Image.new("RGB", (8, 8), "black").save(paths[0])
    paths[1].write_bytes(b"not a picture")
    Image.new("RGB", (8, 8), "white").save(paths[2])
    columns = {
        "id": ["dark", "broken", "bright"],
        "image": [str(path) for path in paths],
        "latitude": [PARIS[0], ROME[0], OSLO[0]],
        "longitude": [PARIS[1], ROME[1], OSLO[1]],
        "photographer": ["ann", "bob", "bob"],
    }
    from datasets import Image as ImageFeature

    return Dataset.from_dict(columns).cast_column("image", ImageFeature(decode=False))


def test_evaluate_counts_the_unreadable_photo_as_a_miss(photos):
    locator = BrightnessLocator()
    row = evaluate(locator, photos, benchmark="three photos", options=Options(n_boot=100))
    assert (row.system, row.n, row.failed, row.n_groups) == ("brightness", 3, 1, 2)
    assert locator.seen == 2
    assert list(row.failures) == ["broken"]
    assert row.failures["broken"]
    assert row.metrics["within_1"].value == pytest.approx(100 / 3)
    assert row.metrics["within_2500"].value == pytest.approx(200 / 3)  # Rome to Oslo 2008 km
    assert row.metrics["country"].value == pytest.approx(100 / 3)
    assert row.seconds > 0


def test_a_photo_of_the_benchmark_that_is_not_here_is_a_miss(photos):
    frozen = freeze(photos, "three photos")
    row = evaluate(BrightnessLocator(), photos.select([2]), benchmark=frozen, options=QUICK)
    assert (row.n, row.failed, row.benchmark) == (3, 2, "three photos")
    assert set(row.failures) == {"dark", "broken"}
    assert row.benchmark_hash == frozen.hash
    whole = evaluate(BrightnessLocator(), photos, benchmark="three photos", options=QUICK)
    assert whole.benchmark_hash == frozen.hash


def test_evaluate_survives_when_no_photo_can_be_read(photos):
    row = evaluate(BrightnessLocator(), photos.select([1]), benchmark="one", options=QUICK)
    assert (row.n, row.failed) == (1, 1)
    assert row.metrics["score"].value == 0
    assert row.metrics["median_km"].value == math.inf


def test_answers_go_to_their_rows_and_the_others_are_misses():
    said = point_of(Posterior([[PARIS], [OSLO]], [[1.0], [1.0]]))
    row = evaluate_points(
        "two of three", spread(said, [0, 2], 3), [PARIS, ROME, OSLO], benchmark="b", options=QUICK
    )
    assert (row.n, row.failed) == (3, 1)
    assert row.metrics["within_1"].value == pytest.approx(200 / 3)
    for rows in (None, [0]):
        with pytest.raises(ValueError, match="2 answers for 3 photos"):
            spread(said, rows, 3)


def test_the_point_can_be_chosen():
    post = Posterior([[PARIS, ROME, [41.5, 12.7]]], [[0.4, 0.35, 0.25]])
    assert point_of(post, "mode")[0] == pytest.approx(PARIS)
    assert errors_km(point_of(post, "best_score"), [ROME])[0] < 25
    with pytest.raises(ValueError, match="'median' is unknown"):
        point_of(post, "median")


def test_draws_from_a_uniform_answer_score_like_chance():
    truth = uniform_points(60, 1).double().numpy()
    grid = fibonacci_grid(5000)
    post = Posterior(grid, np.full((60, 5000), 1 / 5000))
    row = evaluate_draws(
        "chance", draws_of(post, 400), truth, benchmark="b", options=QUICK, groups=["a", "b"] * 30
    )
    assert (row.n, row.failed, row.n_groups) == (60, 0, 2)
    for t in (750, 2500):
        p = uniform_chance(t)
        tolerance = 400 * np.sqrt(p * (1 - p) / 24_000)
        assert row.metrics[f"within_{t}"].value == pytest.approx(100 * p, abs=tolerance)


def test_draws_follow_the_weights():
    post = Posterior([[PARIS, ROME]] * 50, np.tile([0.2, 0.8], (50, 1)))
    drawn = draws_of(post, 200, seed=3)
    np.testing.assert_array_equal(drawn, draws_of(post, 200, seed=3))
    row = evaluate_draws("d", drawn, [PARIS] * 50, benchmark="b", options=QUICK)
    assert row.n_groups == 50
    assert row.metrics["within_1"].value == pytest.approx(20, abs=4 * 40 / np.sqrt(10_000))


def test_groups_come_from_the_photographer_then_the_source():
    columns = {"id": ["a", "b"], "photographer": [None, None], "source": ["x", "y"]}
    assert group_labels(Dataset.from_dict(columns)) == ("source", ["x", "y"])
    columns["photographer"] = ["ann", None]
    assert group_labels(Dataset.from_dict(columns)) == ("photographer", ["ann", None])
    assert group_labels(Dataset.from_dict({"id": ["a"]})) == ("", None)


# Rows on disk.


def row_of(**changes):
    about = {
        "system": "s",
        "benchmark": "b",
        "n": 3,
        "failed": 1,
        "metrics": {"median_km": Estimate(math.inf, 3.5, math.inf), "score": Estimate(1.25)},
        "parameters": {"k": 120, "features": ["gist", "tiny"]},
        "failures": {"naïve.jpg": "truncated"},
    }
    return Row(**{**about, **changes})


def test_rows_survive_json(tmp_path):
    rows = [row_of(), row_of(system="t", seconds=1.5, synthetic=True, note='"quoted"')]
    back = read_rows(write_rows(rows, tmp_path / "deep" / "rows.json"))
    assert repr(back) == repr(rows)  # repr: NaN is not equal to itself
    text = rows_to_json(rows)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert repr(rows_from_json(text)) == repr(rows)


def test_numbers_of_numpy_are_kept():
    row = evaluate_points("p", [PARIS], [ROME], benchmark="b", options=QUICK)
    assert repr(rows_from_json(rows_to_json([row]))) == repr([row])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2, "rows": []}', '{"rows": [{}]}'])
def test_a_file_that_is_no_table_is_named(tmp_path, text):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"rows\.json is not a table of geolab .*delete"):
        read_rows(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_rows([row_of()], tmp_path / "rows.json")
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(DiskFullError, match=r"rows\.json needs"):
        write_rows([row_of(system="new")], path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["rows.json"]
    with pytest.raises(TypeError):
        write_rows([row_of(parameters={"bad": object()})], path)
    assert path.read_bytes() == before
