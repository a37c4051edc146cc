"""`geolab table`: the same photos for every system, no leakage, and bad photos by name."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geolab.evaluation import truth_of
from geolab.locators.table_systems import Answered, fit_im2gps, fit_locator
from geolab.metrics import errors_km
from geolab.rows import read_rows, rows_to_json, write_rows
from geolab.table_command import CONSTANT, DENSITY, UNIFORM, Request, draw_map, make_table

CITIES = {"oslo": (59.91, 10.75), "rome": (41.89, 12.49), "lima": (-12.05, -77.04)}


class Copycat:
    """Knows the truth of each reference, answers with the first reference it is allowed."""

    def __init__(self, references, seed, n_smallest):
        self.places, self.seen, self.smallest = truth_of(references), [], n_smallest

    def answer(self, queries, rows):
        from geolab.data.photos import read_images

        self.seen.append((list(queries["id"]), rows))
        read = read_images(queries)
        points = np.tile(self.places[rows[0]], (len(queries), 1))
        points[[image is None for image in read.images]] = np.nan
        return Answered(truth_of(queries), {"copycat": points}, {"copycat": 0.1}, read.errors)


def fit_copycat(locator, references, seed, n_smallest):
    return [Copycat(references, seed, n_smallest)]


@pytest.fixture
def album(tmp_path):
    """Eighteen photos by three sources in three cities; two of them cannot be read."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(18):
        city = list(CITIES)[i // 6]
        lat, lon = CITIES[city] + rng.normal(0, 0.02, 2)
        rows.append([f"{i}.png", f"{lat:.6f}", f"{lon:.6f}", f"s{i % 3}", int(i % 6 < 4)])
        Image.new("RGB", (16, 16), (i * 10, 99, 99)).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "0.png").write_text("not a photo")
    with (tmp_path / "album.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "latitude", "longitude", "source", "scene_ok"], *rows])
    return tmp_path / "album.csv"


def request(path, **changes):
    return Request(str(path), "copycat", n_boot=100, **changes)


def test_every_system_is_scored_on_the_same_photos(album):
    made = make_table(request(album, command="geolab table"), fit_copycat)
    assert [row.system for row in made.rows] == [UNIFORM, DENSITY, CONSTANT, "copycat"] * 2
    everything, clear = made.rows[:4], made.rows[4:]
    assert {row.n for row in everything} == {18}
    assert {row.n for row in clear} == {12}
    assert len({row.benchmark_hash for row in everything}) == 1
    assert everything[0].benchmark_hash != clear[0].benchmark_hash
    assert [row.failed for row in everything] == [0, 0, 0, 2]
    assert len(everything[3].failures) == 2
    assert [row.failed for row in clear] == [0, 0, 0, 1]
    assert everything[3].n_groups == 3
    assert everything[3].parameters["folds"] == 3
    assert everything[3].command == "geolab table"
    assert repr(read_rows(write_rows(made.rows, album.parent / "rows.json"))) == repr(
        list(made.rows)
    )


def test_bad_photos_are_named_and_the_comparison_is_printed(album):
    made = make_table(request(album), fit_copycat)
    said = "\n".join(made.about)
    assert "18 photos by 3 sources" in said
    assert "could not be read, counted as misses: 2" in said
    assert "0.png: text, not an image" in said
    assert "an empty file (0 bytes)" in said
    assert "3 folds: each source is asked once" in said
    assert made.findings[0].startswith("copycat minus best constant on the same 12 photos")


def test_references_never_share_source_or_place_with_a_query(album):
    kept = []

    def fit(*args):
        kept.extend(fit_copycat(*args))
        return kept

    make_table(request(album), fit)
    (system,) = kept
    assert sorted(i for ids, _ in system.seen for i in ids) == sorted(
        {i for ids, _ in system.seen for i in ids}
    )
    assert system.smallest == min(len(rows) for _, rows in system.seen)
    from geolab.data import load

    photos = load(album)
    row_of = {photo: row for row, photo in enumerate(photos["id"])}
    places, source = truth_of(photos), np.array(photos["source"])
    for ids, rows in system.seen:
        asked = [row_of[i] for i in ids]
        assert not set(source[asked]) & set(source[rows])
        for row in asked:
            assert errors_km(places[rows], np.tile(places[row], (len(rows), 1))).min() > 1


def test_a_separate_reference_set_loses_what_would_leak(album, tmp_path):
    other = tmp_path / "other.csv"
    lines = album.read_text().splitlines()
    other.write_text("\n".join([lines[0].replace("source", "from"), *lines[1:4]]))
    with pytest.raises(ValueError, match="no reference is left"):
        make_table(request(album, reference=str(other)), fit_copycat)
    for i in range(1, 4):
        Image.new("RGB", (8, 8), "navy").save(tmp_path / f"far{i}.png")
    far = [f"far{i}.png,10.{i},10.{i},new,1" for i in range(1, 4)]
    other.write_text("\n".join([lines[0], lines[1], *far]))
    made = make_table(request(album, reference=str(other)), fit_copycat)
    assert made.rows[3].parameters == {
        "references": str(other),
        "folds": 1,
        "min_km": 1.0,
        "fewest": 3,
        "most": 3,
    }


def test_im2gps_answers_by_the_allowed_references_only(album):
    from geolab.data import load

    photos = load(album)
    system = fit_im2gps(photos, 0, 12, families=("tiny",))
    assert len(system.base.references) == 16  # two cannot be read
    places = truth_of(photos)
    # Photo 8 is grey-blue like its neighbours in the list; only far ones are allowed here.
    said = system.answer(photos.select([0, 8]), np.array([0, 4, 15, 16, 17]))
    points = said.points["im2gps tiny, 1-NN"]
    assert np.isnan(points[0]).all()
    assert list(said.failures) == [photos["id"][0]]
    np.testing.assert_allclose(points[1], places[15])
    assert list(said.points) == ["im2gps tiny, 1-NN", "im2gps tiny, modes of 4"]
    # Itself among the references: the nearest is the photo itself.
    itself = system.answer(photos.select([8]), np.array([1, 8, 17]))
    np.testing.assert_allclose(itself.points["im2gps tiny, 1-NN"][0], places[8])


def test_photos_outside_the_references_are_described_anew(album):
    from geolab.data import load

    photos = load(album)
    system = fit_im2gps(photos.select(range(5, 18)), 0, 12, families=("tiny",))
    said = system.answer(photos.select([0, 1]), np.arange(13))
    assert np.isnan(said.points["im2gps tiny, 1-NN"][0]).all()
    assert len(said.failures) == 1
    np.testing.assert_allclose(said.points["im2gps tiny, 1-NN"][1], truth_of(photos)[5])


def test_a_locator_for_locate_is_fitted_on_everything(album):
    from geolab.data import load

    with pytest.raises(ValueError, match="no locator 'oracle'; there are: im2gps"):
        fit_locator("oracle", load(album))


def test_the_map_is_a_picture(album, tmp_path):
    made = make_table(request(album), fit_copycat)
    path = draw_map(made, tmp_path / "map.png")
    with Image.open(path) as image:
        assert image.size[0] > 600
        assert not image.text


def test_an_unknown_locator_lists_those_that_are_there(album):
    with pytest.raises(ValueError, match="no locator 'oracle'; there are: im2gps"):
        make_table(Request(str(album), "oracle"))


def test_im2gps_on_a_few_real_photographs(shared_data, tmp_path):
    """Real photographs end to end: three sources, every figure with n and an interval."""
    from geolab.data import load
    from geolab.locate_command import References, lines, locate_photos
    from geolab.locators.im2gps import Im2GPS, Im2GPSConfig

    table = list(csv.DictReader((shared_data / "photos.csv").open(encoding="utf-8")))
    clear: dict[str, list[dict[str, str]]] = {}
    for row in table:
        if row["scene_ok"] == "1":
            clear.setdefault(row["source"], []).append(row)
    few = [row for rows in [r for r in clear.values() if len(r) >= 5][:3] for row in rows[:5]]
    for row in few:
        row["path"] = str(shared_data / row["path"])
    small = tmp_path / "few.csv"
    with small.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(few[0]))
        writer.writeheader()
        writer.writerows(few)

    def quick(locator, *given):  # all six take a minute
        return [fit_im2gps(*given, families=("tiny", "gist"))]

    made = make_table(Request(str(small), n_boot=200), quick)
    again = rows_to_json(made.rows)
    assert [row.system for row in made.rows] == [
        UNIFORM,
        DENSITY,
        CONSTANT,
        "im2gps tiny+gist, 1-NN",
        "im2gps tiny+gist, modes of 4",
    ]
    assert {(row.n, row.failed) for row in made.rows} == {(15, 0)}
    assert all(row.metrics["score"].has_interval for row in made.rows[1:])
    assert '"synthetic": true' not in again
    # Nobody can be within 1 km: every reference that near was left out.
    assert all(row.metrics["within_1"].value == 0 for row in made.rows[1:])
    config = Im2GPSConfig(families=("tiny", "gist"), answer="modes", k=4)
    files = frozenset([str(Path(few[0]["path"]).resolve())])
    locator, said = Im2GPS(config).fit(load(small)), References("few.csv", 15, False, files)
    located = locate_photos([few[0]["path"]], locator, said, map_path=tmp_path / "map.png")
    assert sum(city.weight for city in located[0].cities) == pytest.approx(1)
    told = "\n".join(lines(located, said))
    assert "few.csv, 15 real photos" in told
    assert "one of the references" in told
    assert (tmp_path / "map.png").stat().st_size > 10_000
