"""Tables: every figure with its n and interval, every citation with its mark."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import threading

import pytest
from rich.console import Console

from geolab.intervals import Estimate
from geolab.panels import COLUMNS, MARKS, WIDER, figure, interval, notes, panels, system_name
from geolab.rows import Row
from geolab.tables import print_table, published, record, results_path, table


def measured(system="ours", benchmark="im2gps-237", **changes):
    about = {
        "system": system,
        "benchmark": benchmark,
        "n": 237,
        "failed": 0,
        "metrics": {
            "within_25": Estimate(37.04, 30.1, 44.4),
            "median_km": Estimate(math.inf, 812.0, math.inf),
        },
        "benchmark_hash": "abcdef0123456789",
        "n_groups": 231,
    }
    return Row(**{**about, **changes})


def on_screen(rows, width=140):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table(rows))
    return console.file.getvalue()


def every_format(rows):
    shown = table(rows)
    return [on_screen(rows), shown.markdown(), shown._repr_html_(), shown.csv()]


# Published numbers.


def test_published_numbers_agree_with_the_specification():
    by_name = {row.system: row for row in published("im2gps-237")}
    planet = by_name["PlaNet 91M"].metrics
    assert [planet[f"within_{t}"].value for t in (1, 25, 200, 750, 2500)] == [
        8.4,
        24.5,
        37.6,
        53.6,
        71.3,
    ]
    human = by_name["Human"].metrics
    assert set(human) == {"within_200", "within_750", "within_2500"}
    pigeon = published("pigeon-holdout")[0]
    assert (pigeon.n, pigeon.metrics["border"].value) == (5000, 91.96)


def test_every_published_row_has_a_source_a_year_and_sane_numbers():
    rows = published(unverified=True)
    assert len(rows) > 150
    assert len({(row.system, row.benchmark) for row in rows}) == len(rows)
    for row in rows:
        assert row.source
        assert row.verified in {"yes", *MARKS}
        assert 2008 <= row.parameters["year"] <= 2030
        assert row.metrics
        shares = [
            row.metrics[c].value for c in COLUMNS if c.startswith("within_") and c in row.metrics
        ]
        assert shares == sorted(shares), row
        assert all(0 <= share <= 100 for share in shares)
        assert not any(estimate.has_interval for estimate in row.metrics.values())


def test_unverified_numbers_are_asked_for_and_marked_everywhere():
    assert not any(row.verified == "no" for row in published())
    recalled = [row for row in published("im2gps-237", unverified=True) if row.verified == "no"]
    assert {row.system for row in recalled} == {"PlaNet 6.2M", "PlaNet 0.9M"}
    for text in every_format(recalled):
        assert "PlaNet 6.2M ?" in text
    assert "no source seen" in table(recalled).markdown()


def test_an_unknown_benchmark_lists_those_that_are_there():
    with pytest.raises(KeyError, match=r"'im2gps'.*im2gps-237"):
        published("im2gps")


# Panels.


def test_synthetic_and_published_rows_never_share_a_panel():
    rows = [*published("im2gps-237"), measured(synthetic=True), measured("real")]
    split = panels(rows)
    assert len(split) == 2
    for panel in split:
        assert len({row.synthetic for row in panel.rows}) == 1
    synthetic = next(panel for panel in split if panel.rows[0].synthetic)
    assert "synthetic" in synthetic.title
    assert "real" in [row.system for row in next(p for p in split if p is not synthetic).rows]


def test_different_photo_lists_do_not_share_a_panel():
    rows = [measured("a"), measured("b", benchmark_hash="ffff"), *published("im2gps-237")]
    titles = [panel.title for panel in panels(rows)]
    assert len(titles) == 3  # published numbers cannot know which of the two lists is theirs
    assert len(panels([measured("a"), measured("b")])) == 1


# Formats.


def test_figures_keep_the_digits_that_mean_something():
    assert figure("within_1", 0.0) == "0.0"
    assert figure("within_1", 6e-7) == "6e-07"
    assert figure("median_km", 70.5) == "70.5"
    assert figure("mean_km", 1234.5678) == "1,235"
    assert figure("median_km", math.inf) == "∞"
    assert figure("score", math.nan) == "–"


def test_n_failures_and_intervals_are_always_printed():
    rows = [measured(n=300, failed=3)]
    for text in every_format(rows)[:3]:
        assert re.search(r"300\b", text)
        assert "(3 failed)" in text
        assert "37.0" in text
        assert "30–44" in text
        assert "∞" in text
    said = " ".join(notes(panels(rows)[0]))
    assert "95 % bootstrap interval, resampling 231 groups" in said
    assert "a failed photo is a miss" in said
    assert "abcdef012345" in said


def test_the_screen_has_whole_cells_whatever_it_is(capsys):
    share, km = Estimate(44.44, 1.23, 55.5), Estimate(10_008.0, 812.0, 12_345.0)
    metrics = {n: km if n.endswith("_km") else share for n in COLUMNS if n not in WIDER}
    metrics["score"] = Estimate(1506.0, 1093.0, 1800.0)
    print_table([measured("chance, photo density", metrics=metrics, n=300, failed=3)])
    said = capsys.readouterr().out
    assert "…" not in said
    for cell in ("1.2–56", "812–12,345", "1,093–1,800", "(3 failed)"):
        assert cell in said
    assert max(map(len, said.splitlines())) <= 100
    metrics |= {"train_s": Estimate(81.2), "weights_m": Estimate(1.28)}
    print_table([measured("PlaNet, mean", metrics=metrics, n=300)])
    said = capsys.readouterr().out
    for cell in ("81.2", "1.28", "1.2–56"):
        assert cell in said  # wider, and nothing is lost


def test_ends_of_intervals_keep_no_noise():
    assert interval("within_25", Estimate(20.0, 9.44, 31.66)) == "9.4–32"
    assert interval("score", Estimate(-5.0, -858.0, 177.0)) == "-858 to 177"
    assert interval("median_km", Estimate(900.0, 812.0, math.inf)) == "812–∞"
    assert interval("within_25", Estimate(20.0)) == ""


def test_few_groups_and_empty_intervals_are_said():
    row = measured(n_groups=4, metrics={"within_1": Estimate(0.0, 0.0, 0.0)})
    said = " ".join(notes(panels([row])[0]))
    assert "with 4 groups the intervals are rough" in said
    assert "3/n" in said


def test_names_are_not_markup():
    nasty = measured("[L] kNN <script>alert(1)</script> | [bold]x[/bold]", metrics={})
    assert "[L] kNN <script>" in on_screen([nasty])
    assert "[bold]x[/bold]" in on_screen([nasty])
    assert "<script>" not in table([nasty])._repr_html_()
    assert "\\|" in table([nasty]).markdown()


def test_csv_holds_full_precision_and_both_ends():
    (line,) = csv.DictReader(io.StringIO(table([measured()]).csv()))
    assert [float(line[f"within_25{end}"]) for end in ("", "_low", "_high")] == [37.04, 30.1, 44.4]
    assert float(line["median_km"]) == math.inf
    assert line["n"] == "237"


def test_columns_can_be_chosen():
    assert "median" not in table([measured()], ["within_25"]).markdown()
    with pytest.raises(KeyError, match="no column 'recall'"):
        table([measured()], ["recall"])


def test_the_mark_is_part_of_the_name():
    assert system_name(measured()) == "ours"
    assert system_name(measured(verified="second-hand")) == "ours †"


# Recording.


def test_record_replaces_the_same_system_and_benchmark(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOLAB_COURSE_OUT", str(tmp_path / "out"))
    record([measured("a", n=1), measured("b")])
    path = record([measured("a", n=2), measured("a", benchmark="other")])
    assert path == results_path() == tmp_path / "out" / "results.json"
    held = [(r["system"], r["benchmark"], r["n"]) for r in json.loads(path.read_text())["rows"]]
    assert held == [("a", "im2gps-237", 2), ("b", "im2gps-237", 237), ("a", "other", 237)]


def test_record_defaults_to_the_build_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("GEOLAB_COURSE_OUT", raising=False)
    monkeypatch.chdir(tmp_path)
    record([measured()])
    assert (tmp_path / "build" / "course" / "results.json").exists()


def test_notebooks_that_record_at_once_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOLAB_COURSE_OUT", str(tmp_path))
    threads = [threading.Thread(target=record, args=([measured(f"s{i}")],)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((tmp_path / "results.json").read_text())["rows"]) == 12
