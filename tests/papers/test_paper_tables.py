"""Paper tables: what is cited, what is left out, what disagrees, and whose rows stand where."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geolab.cli import app
from geolab.evaluation import truth_of
from geolab.intervals import Estimate
from geolab.papers import commands
from geolab.papers.catalogue import PAPERS, availability, find_paper
from geolab.papers.conflicts import differing, family, find_conflicts
from geolab.papers.counts import by_luck, decimals_of, half_width, is_possible, n_possible
from geolab.papers.panels import kept_path, measured_rows, paper_table, provenance
from geolab.rows import Row, read_rows, write_rows
from geolab.tables import published

NAMES = [paper.name for paper in PAPERS]


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def measured(**changes):
    about = {
        "system": "ours",
        "benchmark": "im2gps3k",
        "n": 2997,
        "failed": 4,
        "metrics": {"within_25": Estimate(30.0, 25.0, 35.0)},
        "benchmark_hash": "abcdef0123456789",
        "n_groups": 198,
        "seed": 3,
        "command": "geolab table --benchmark im2gps3k --locator clip",
        "parameters": {"weights": "tiny 0123abcd"},
    }
    return Row(**{**about, **changes})


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A folder of its own to run commands in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GEOLAB_COURSE_OUT", raising=False)
    return tmp_path


def test_seven_tables_are_there():
    assert NAMES == [
        "im2gps", "im2gps3k", "yfcc4k", "yfcc26k", "gws15k", "osv5m", "pigeon-ablation",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_row_is_shown_with_year_and_source_or_left_out(name):
    made = paper_table(name)
    everything = published(made.paper.benchmark, unverified=True)
    assert len(made.published) + made.left_out == len(everything)
    assert made.left_out == sum(row.verified == "no" for row in everything)
    text, html = made.markdown(), made._repr_html_()
    for row in made.published:
        assert re.search(rf"{row.parameters['year']} {re.escape(row.system)} \[\d+\]", text)
        assert row.source in text
    # A number nobody saw a source for is nowhere.
    for row in everything:
        if row.verified == "no":
            assert row.system not in text
            assert row.system not in html
    assert "recalled" not in text


@pytest.mark.parametrize("name", NAMES)
def test_availability_is_stated(name):
    said = " ".join(availability(find_paper(name)))
    assert "vailability" in said or "not verified" in said or "No clean mirror" in said
    assert len(said) > 60


def test_what_cannot_be_had_is_said():
    assert "never released" in " ".join(availability(find_paper("gws15k")))
    assert "withheld" in " ".join(availability(find_paper("pigeon-ablation")))
    assert "There are no photos to measure on." in paper_table("gws15k").markdown()


def test_an_unknown_table_lists_those_that_are_there():
    said = run("table", "--paper", "im2gps4k")
    assert said.exit_code == 2
    assert [name for name in NAMES if name not in said.output] == []


# Conflicts.


def test_known_conflicts_are_found():
    found = {(c.system, c.one.benchmark, c.run_again): c for c in find_conflicts(published())}
    pigeotto = found["PIGEOTTO", "im2gps-237", False]
    assert pigeotto.figures == ("within_1",)
    values = [row.metrics["within_1"].value for row in (pigeotto.one, pigeotto.other)]
    assert values == [14.8, 11.8]
    assert found["CPlaNet", "im2gps-237", False].figures == ("within_200",)
    assert len(found["ISNs(M,f*,S3)", "yfcc4k", False].figures) == 5
    assert found["GAEA", "gws15k", False].other.verified == "conflict"
    # The re-run is better than the paper here, and the paper is still what it is held against.
    again = found["Img2Loc", "yfcc4k", True]
    assert again.other.metrics["within_1"].value > again.one.metrics["within_1"].value


def test_every_row_marked_as_conflict_conflicts_with_something():
    """But for systems that are published once, under a label that is in doubt."""
    rows = published()
    found = {id(row) for c in find_conflicts(rows) for row in (c.one, c.other)}
    alone = [row for row in rows if row.verified == "conflict" and id(row) not in found]
    assert [row.benchmark for row in alone] == ["inat21-test"]


def test_rounding_and_different_systems_are_no_conflict():
    one = measured(metrics={"within_25": Estimate(14.11), "median_km": Estimate(70.5)})
    close = measured(metrics={"within_25": Estimate(14.1), "median_km": Estimate(71.0)})
    assert differing(one, close) == ()
    assert differing(one, measured(metrics={"within_25": Estimate(14.3)})) == ("within_25",)
    assert family("G3 (LLaVA)") != family("G3 (GPT-4V)")


# Counts.


def test_shares_of_237_photos():
    for k in range(238):
        assert is_possible(round(100 * k / 237, 1), 237, 1)
    assert not is_possible(46.6, 237, 1)
    possible = sum(is_possible(tenth / 10, 237, 1) for tenth in range(1001))
    assert possible == pytest.approx(by_luck(237, 1) * 1001)
    assert decimals_of([55.0, 9.59]) == 2


def test_published_rows_tell_2997_from_3000_by_themselves():
    shares = [f"within_{t}" for t in (1, 25, 200, 750, 2500)]
    rows = [
        [r.metrics[s].value for s in shares if s in r.metrics]
        for r in published("im2gps3k")
        if r.verified != "recomputed"
    ]
    fine = [row for row in rows if decimals_of(row) == 2]
    assert len(fine) >= 10
    fits = {n: sum(n_possible(row, n) == len(row) for row in fine) for n in (2997, 3000, 2990)}
    assert fits[2997] >= 0.9 * len(fine)
    assert fits[3000] == fits[2990] == 0
    assert "n = 3,000 fits 0" in paper_table("im2gps3k").markdown()


def test_half_width_is_that_of_simulated_counts():
    import numpy as np

    counts = np.random.default_rng(0).binomial(237, 0.3, 200_000)
    assert half_width(30, 237) == pytest.approx(1.96 * 100 * counts.std() / 237, rel=0.01)


# Our own rows.


def test_ours_stand_apart_with_all_it_takes_to_repeat_them():
    made = paper_table("im2gps3k", [measured(), measured(system="toy", synthetic=True)])
    headings = [section.heading for section in made.sections()]
    assert headings[-2:] == ["Measured by us", "Measured by us, synthetic"]
    real, toy = made.sections()[-2:]
    assert [row.system for row in real.rows] == ["ours"]
    assert [row.system for row in toy.rows] == ["toy"]
    said = provenance(measured())
    for fact in ("n = 2,997", "seed 3", "weights tiny 0123abcd", "abcdef012345", "--locator clip"):
        assert fact in said
    text = made.markdown()
    assert said in text
    assert "30.0 [25–35]" in text
    assert "synthetic photos, not comparable with published numbers" in text
    for section in made.sections():
        kinds = {(row.synthetic, row.verified != "") for row in section.rows}
        assert len(kinds) <= 1, "published, measured and synthetic rows in one panel"


def test_another_list_under_the_same_name_is_pointed_out():
    text = paper_table("im2gps3k", [measured(n=500), measured(system="b")]).markdown()
    lines = [line for line in text.splitlines() if "ATTENTION" in line]
    assert len(lines) == 1
    assert "n = 500" in lines[0]
    assert "2,997" in lines[0]


def test_kept_rows_are_found_again_but_synthetic_and_foreign_ones_are_not(elsewhere):
    rows = [measured(), measured(system="other list", benchmark="im2gps"),
            measured(system="toy", synthetic=True)]  # fmt: skip
    commands.keep(rows)
    assert {row.system for row in read_rows(kept_path())} == {"ours", "other list"}
    assert [row.system for row in measured_rows(find_paper("im2gps3k"))] == ["ours"]
    given = write_rows(rows, elsewhere / "rows.json")
    assert len(measured_rows(find_paper("im2gps3k"), [given])) == 3


def test_command_prints_and_writes_rows_and_environment(elsewhere):
    given = write_rows([measured()], elsewhere / "mine.json")
    out = elsewhere / "out" / "paper.json"
    said = run("table", "--paper", "im2gps3k", "--rows", given, "--json", out)
    assert said.exit_code == 0, said.output
    for words in ("Where sources differ", "2,997", "ours", "geolab table --benchmark im2gps3k"):
        assert words in said.output
    kept = read_rows(out)
    assert kept[-1].system == "ours"
    assert {row.verified for row in kept[:-1]} >= {"yes", "second-hand", "conflict"}
    environment = json.loads((out.parent / "paper.environment.json").read_text())
    assert environment["geolab"]
    assert environment["libraries"]["torch"]
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "paper.environment.json", "paper.json",
    ]  # fmt: skip
    assert run("table", "--paper", "gws15k").exit_code == 0
    assert (elsewhere / "build" / "papers" / "gws15k.environment.json").is_file()


def test_benchmark_or_paper_not_both_not_none(elsewhere):
    for options in ([], ["--paper", "im2gps", "--benchmark", "tinyearth"]):
        said = run("table", *options)
        assert said.exit_code == 2
        assert "--benchmark" in said.output


def test_measuring_what_is_not_fetched_names_the_next_action(elsewhere, empty_cache):
    said = run("table", "--paper", "im2gps3k", "--locator", "clip")
    assert said.exit_code == 2
    assert "im2gps3k/photos.csv" in said.output


def test_measured_rows_of_fetched_photos_join_the_table(elsewhere, empty_cache, monkeypatch):
    import numpy as np

    from geolab.table_command import TableResult

    (empty_cache / "im2gps3k").mkdir(parents=True)
    (empty_cache / "im2gps3k" / "photos.csv").write_text("id,latitude,longitude\na,1,2\n")
    asked = []

    def make(request):
        asked.append(request)
        rows = (replace(measured(), command=request.command),)
        return TableResult(rows, ("about",), (), np.empty((0, 2)), np.empty((0, 2)), "x", False)

    monkeypatch.setattr("geolab.table_command.make_table", make)
    said = run("table", "--paper", "im2gps3k", "--locator", "clip", "--reference", "mine.csv")
    assert said.exit_code == 0, said.output
    assert (asked[0].benchmark, asked[0].locator, asked[0].reference) == (
        "im2gps3k", "clip", "mine.csv",
    )  # fmt: skip
    assert "Measured by us\n" in said.output


def test_weights_of_a_clip_are_kept_with_its_row(tmp_path):
    """A row says which weights answered, down to their hash."""
    from types import SimpleNamespace

    import numpy as np

    from geolab.locators.answered import Answered
    from geolab.table_command import Request, make_table

    def fit(locator, references, seed, smallest):
        def answer(queries, rows):
            return Answered(
                truth_of(queries), {"probe": np.zeros((len(queries), 2))}, {"probe": 0.1}
            )

        clip = SimpleNamespace(name="tiny", weights_hash="0123abcd")
        return [SimpleNamespace(answer=answer, clip=clip)]

    made = make_table(Request("tinyearth", n=250, n_boot=20), fit)
    weights = {row.system: row.parameters.get("weights") for row in made.rows}
    assert weights["probe"] == "tiny 0123abcd"
    assert weights["best constant"] is None
