"""Other people's predictions: one n, misses that stay in it, two radii, and every slip told."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from geolab.cli import app
from geolab.data.errors import DataError
from geolab.evaluation import Options
from geolab.papers.panels import kept_path, measured_rows
from geolab.papers.predictions import read_predictions
from geolab.papers.radius import fit_radius, hits, stable_radii
from geolab.papers.score import describe_fit, report, score_predictions
from geolab.papers.truth import load_truth
from geolab.rows import read_rows

OPTIONS = Options(areas=False, n_boot=100)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def account(k: int) -> str:
    """Look like a Flickr account without being anybody's."""
    return f"{100_000 + k}" + "@" + "N00"


@pytest.fixture
def truth_csv(tmp_path):
    """Forty photos by four accounts, on one meridian, as the common metadata has them."""
    rows = [[f"{i:02d}/{i}_x_{account(i % 4)}.jpg", "wrong author", i, 10.0] for i in range(40)]
    path = tmp_path / "truth.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["IMG_ID", "AUTHOR", "LAT", "LON"], *rows])
    return path


def predicted(tmp_path, rows, header=("IMG_ID", "lat", "lon"), name="preds.csv"):
    path = tmp_path / name
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def photo(i: int) -> str:
    return f"{i:02d}/{i}_x_{account(i % 4)}.jpg"


def perfect(km: float = 0.0) -> list[list[object]]:
    """An answer for each photo, so many km north of it."""
    return [[photo(i), i + math.degrees(km / 6371.0), 10.0] for i in range(40)]


def scored(path, truth_csv, **options):
    return score_predictions(
        read_predictions(path), load_truth(str(truth_csv)), options=OPTIONS, **options
    )


def test_perfect_answers_and_the_people_behind_them(tmp_path, truth_csv):
    made = scored(predicted(tmp_path, perfect()), truth_csv)
    assert (made.row.n, made.row.failed, made.row.n_groups) == (40, 0, 4)
    assert made.row.metrics["within_1"].value == 100
    assert made.answered is None
    assert "intervals resample 4 photographers of 40 photos" in made.about
    assert (
        made.row.parameters["predictions_sha256"] == read_predictions(tmp_path / "preds.csv").sha256
    )


def test_misses_stay_in_n_and_the_authors_own_n_stands_beside(tmp_path, truth_csv):
    rows = perfect()
    rows[0][1], rows[1][1], rows[2][1] = "", "nan", 95
    made = scored(predicted(tmp_path, rows[:-6]), truth_csv)
    assert (made.row.n, made.row.failed) == (40, 9)
    assert made.row.metrics["within_1"].value == pytest.approx(100 * 31 / 40)
    assert (made.answered.n, made.answered.failed) == (31, 0)
    assert made.answered.metrics["within_1"].value == 100
    assert made.answered.benchmark_hash != made.row.benchmark_hash
    shares = {n: shares[0] for _, n, shares in made.denominators()}
    assert shares == {40: pytest.approx(77.5), 31: pytest.approx(100)}
    said = "\n".join(made.about)
    for words in ("empty: 1 (line 2)", "NaN: 1 (line 3)", "out of range: 1 (line 4)"):
        assert f"misses, {words}" in said
    (absent,) = [line for line in made.about if "misses, no row in the file: 6 (" in line]
    assert sum(photo(i) in absent for i in range(34, 40)) == 5  # so many are named
    assert "and 1 more" in absent
    assert len(made.row.failures) == 9


def test_equal_duplicates_collapse_and_different_ones_stop(tmp_path, truth_csv):
    rows = perfect()
    made = scored(predicted(tmp_path, [*rows, rows[3], [photo(4).split("/")[1], *rows[4][1:]]]),
                  truth_csv)  # fmt: skip
    assert "equal rows for one photo, taken once: 2 too many" in made.about
    assert made.row.metrics["within_1"].value == 100
    for other in ([photo(3), 3.0, 11.0], [photo(3), "", ""]):
        with pytest.raises(DataError, match=r"line 5 \(3, 10\) and line 42 .*keep one row"):
            scored(predicted(tmp_path, [*rows, other]), truth_csv)


def test_unknown_photos_are_told_and_left_out(tmp_path, truth_csv):
    made = scored(predicted(tmp_path, [*perfect(), ["stranger.jpg", 1, 2], ["other", "", ""]]),
                  truth_csv)  # fmt: skip
    assert made.row.n == 40
    assert made.row.parameters["unknown"] == 2
    assert any("not in the list, left out: 2 rows (stranger.jpg, other)" in s for s in made.about)
    with pytest.raises(DataError, match=r"none of its 1 photos.*like 'stranger'.*the list like"):
        scored(predicted(tmp_path, [["stranger", 1, 2]]), truth_csv)


@pytest.mark.parametrize("spell", [
    lambda name: name,
    lambda name: name.replace("/", "\\"),
    lambda name: "./" + name,
    lambda name: name.split("/")[1],
    lambda name: name.split("/")[1].removesuffix(".jpg"),
])  # fmt: skip
def test_photos_may_be_named_by_path_file_or_stem(tmp_path, truth_csv, spell):
    rows = [[spell(name), lat, lon] for name, lat, lon in perfect()]
    assert scored(predicted(tmp_path, rows), truth_csv).row.failed == 0


def test_a_bare_name_that_two_photos_share_names_neither(tmp_path):
    truth = tmp_path / "t.csv"
    truth.write_text("path,latitude,longitude\na/1.jpg,1,1\nb/1.jpg,2,2\nb/2.jpg,3,3\n")
    held = load_truth(str(truth))
    assert held.find("1.jpg") == -1
    assert held.find("a/1.jpg") != held.find("b/1.jpg") != -1
    assert held.find("2") >= 0


def test_rows_of_score_and_of_table_are_on_one_list(tmp_path, truth_csv):
    """The hash is that of the photos as `load` gives them, whatever a file calls them."""
    from PIL import Image

    from geolab.data import load
    from geolab.data.benchmarks import freeze

    for name, _, _ in perfect():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
    assert freeze(load(truth_csv), "x").hash == load_truth(str(truth_csv)).benchmark.hash
    assert (
        freeze(load(truth_csv), "x").photographer
        == load_truth(str(truth_csv)).benchmark.photographer
    )


# Radii.


def test_hits_by_radius_agree_with_recomputing_the_distances(tmp_path, truth_csv):
    from geolab.sphere import great_circle_km

    rng = np.random.default_rng(0)
    rows = [[photo(i), i + rng.normal(0, 3), 10 + rng.normal(0, 3)] for i in range(40)]
    made = scored(predicted(tmp_path, rows), truth_csv)
    held = load_truth(str(truth_csv))
    for radius, counts in made.radii().items():
        km = [
            float(great_circle_km(held.benchmark.latlon[held.find(name)], place, radius_km=radius))
            for name, *place in rows
        ]
        assert counts == [sum(d <= t for d in km) for t in (1, 25, 200, 750, 2500)]


def test_a_photo_between_two_radii_flips(tmp_path, truth_csv):
    made = scored(predicted(tmp_path, perfect(24.99)), truth_csv)
    assert made.radii() == {6371.0: [0, 40, 40, 40, 40], 6378.137: [0, 0, 40, 40, 40]}
    low, high = stable_radii(made.errors)
    assert low < 6371.0 <= high < 6378.137
    assert high == pytest.approx(6371.0 * 25 / 24.99)
    assert hits(made.errors, high * (1 - 1e-9)) == hits(made.errors)
    assert hits(made.errors, high * (1 + 1e-6)) != hits(made.errors)
    assert "up to 6,373.549 km" in "\n".join(report(made))


@pytest.mark.parametrize("radius", [6371.0, 6371.0088, 6372.8, 6378.137])
def test_the_radius_behind_a_files_own_distances_is_found(radius):
    errors = np.random.default_rng(1).uniform(0, 15_000, 400)
    errors[:3] = np.inf
    stated = np.round(errors * radius / 6371.0, 2)
    fitted = fit_radius(np.where(np.isinf(errors), np.nan, stated), errors)
    assert fitted.fits
    assert fitted.n == 397
    assert fitted.radius_km == pytest.approx(radius, abs=0.004)
    assert fit_radius(stated[:5], errors[:5]) is None


def test_distances_of_an_ellipsoid_fit_no_sphere():
    errors = np.random.default_rng(1).uniform(0, 15_000, 400)
    stated = errors * (1 + 0.003 * np.sin(np.arange(400)))
    fitted = fit_radius(stated, errors)
    assert not fitted.fits
    assert "fit no sphere" in describe_fit(fitted)


# Slips.


def test_exchanged_columns_and_zeros_are_suspected_and_scored_as_they_are(tmp_path, truth_csv):
    rows = [[name, lon, lat] for name, lat, lon in perfect()]
    made = scored(predicted(tmp_path, rows), truth_csv)
    # Ten degrees off at the most: all still within 3,500 km, so far too near to suspect.
    assert not any("swapped" in line for line in made.about)
    truth = tmp_path / "far.csv"
    truth.write_text(
        "id,latitude,longitude\n" + "".join(f"{i},{i % 5},{60 + i % 7}\n" for i in range(40))
    )
    far = [[i, 60 + i % 7, i % 5] for i in range(40)]
    made = scored(predicted(tmp_path, far), truth)
    assert any("are the columns swapped?" in line for line in made.about)
    assert made.row.metrics["within_2500"].value == 0
    made = scored(predicted(tmp_path, [[i, 0, 0] for i in range(40)]), truth)
    assert any("40 answers are 0, 0" in line for line in made.about)


# Truth.


def test_a_benchmark_that_is_not_there_names_the_next_action(tmp_path, empty_cache):
    path = predicted(tmp_path, perfect())
    said = run("score", path, "--benchmark", "im2gps3k")
    assert said.exit_code == 2
    assert "im2gps3k/photos.csv" in said.output
    assert "--benchmark YOUR_TRUTH.csv" in said.output
    assert 'fetch("osv5m", files="test.csv")' in run("score", path, "--benchmark", "osv5m").output
    assert "never released" in run("score", path, "--benchmark", "gws15k").output
    assert "use one of tinyearth, im2gps" in run("score", path, "--benchmark", "nothing").output


def test_a_fetched_benchmark_is_scored_without_its_photos(tmp_path, truth_csv, empty_cache,
                                                          monkeypatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (empty_cache / "im2gps3k").mkdir(parents=True)
    (empty_cache / "im2gps3k" / "photos.csv").write_bytes(truth_csv.read_bytes())
    out = tmp_path / "rows.json"
    path = predicted(tmp_path, perfect(10)[:-1])
    said = run("score", path, "--benchmark", "im2gps3k", "--system", "theirs", "--json", out)
    assert said.exit_code == 0, said.output
    assert "3,000, also in use" in said.output
    assert "6378.137" in said.output
    row, own = read_rows(out)
    assert (row.system, row.benchmark, row.n, own.n) == ("theirs", "im2gps3k", 40, 39)
    assert row.command.startswith("geolab")
    assert row.parameters["hits_by_radius_km"]["6371"] == [0, 39, 39, 39, 39]
    assert json.loads((tmp_path / "rows.environment.json").read_text())["platform"]
    # And it is kept for the paper's table.
    from geolab.papers.catalogue import find_paper

    assert kept_path().is_file()
    assert [kept.system for kept in measured_rows(find_paper("im2gps3k"))] == ["theirs"]


def test_swapped_truth_is_refused(tmp_path):
    truth = tmp_path / "t.csv"
    truth.write_text("IMG_ID,LAT,LON\na.jpg,139.7,35.7\nb.jpg,2.3,48.9\n")
    with pytest.raises(DataError, match="look swapped"):
        load_truth(str(truth))


def test_tinyearth_is_synthetic_and_its_photographers_are_known(tmp_path):
    held = load_truth("tinyearth", n=400)
    assert held.synthetic
    assert held.unit == "photographer"
    rows = [[photo, *place] for photo, place in
            zip(held.benchmark.ids, held.benchmark.latlon, strict=True)]  # fmt: skip
    made = score_predictions(
        read_predictions(predicted(tmp_path, rows, ("id", "lat", "lon"))), held, options=OPTIONS
    )
    assert made.row.synthetic
    assert made.row.metrics["within_1"].value == 100
    assert made.row.n_groups < made.row.n
    with pytest.raises(DataError, match="n is for tinyearth"):
        load_truth("im2gps3k", n=10)


def test_somebody_elses_real_file(tmp_path, shared_data):
    """Fifty rounds of the OSV-5M game: two models' answers, truth and distances in one file."""
    given = shared_data / "osv5m_website" / "game_select.csv"
    rows = list(csv.DictReader(given.open(encoding="utf-8")))
    truth = predicted(tmp_path, [[r["id"], r["true_lat"], r["true_lon"]] for r in rows],
                      ("id", "latitude", "longitude"), "truth.csv")  # fmt: skip
    made = scored(given, truth)
    own = np.array([float(r["distance"]) for r in rows])
    assert hits(made.errors) == [int((own <= t).sum()) for t in (1, 25, 200, 750, 2500)]
    assert made.fitted.fits
    assert made.fitted.radius_km == pytest.approx(6371.0, abs=0.01)
    base = score_predictions(
        read_predictions(given, lat="pred_lat_base", lon="pred_lon_base"),
        load_truth(str(truth)), options=OPTIONS,
    )  # fmt: skip
    assert base.row.metrics["median_km"].value > made.row.metrics["median_km"].value
