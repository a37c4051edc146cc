from __future__ import annotations

import csv
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from geolab import fairness
from geolab.data.errors import DataError
from geolab.data.gazetteer import load_gazetteer
from geolab.fairness import Enough
from geolab.figures.fairness import group_dots
from geolab.metrics import errors_km, summarise

EVERY = Enough(1, 1)


def world(hit: dict[str, float], n_people: int = 12, each: int = 5, seed: int = 0):
    """Errors, labels and photographers: in group g a share hit[g] of the photos is found."""
    rng = np.random.default_rng(seed)
    names = [g for g in hit for _ in range(n_people * each)]
    people = [f"{g}{i}" for g in hit for i in range(n_people) for _ in range(each)]
    found = rng.random(len(names)) < np.array([hit[g] for g in names])
    return np.where(found, 100.0, 5000.0), names, people


def test_groups_hold_the_figures_of_their_own_photos():
    errors, names, people = world({"A": 0.9, "B": 0.4, "C": 0.1})
    parts = fairness.by_group(errors, names, photographers=people, enough=EVERY)
    assert [part.name for part in parts] == ["A", "B", "C"]
    for part in parts:
        rows = [i for i, name in enumerate(names) if name == part.name]
        alone = summarise(errors[rows], groups=[people[i] for i in rows])
        assert part.metrics == alone
        assert (part.n, part.n_photographers, part.n_references) == (60, 12, None)


def test_every_photo_is_in_one_group():
    errors = np.arange(1.0, 7.0)
    parts = fairness.by_country(errors, ["FR", None, "", float("nan"), "fr", "NA"], enough=EVERY)
    assert {part.name: part.n for part in parts} == {"France": 2, "Namibia": 1, "unknown": 3}
    assert [part.name for part in parts if part.enough] == ["France", "Namibia"]


def test_a_miss_stays_in_its_group():
    (part,) = fairness.by_group([np.inf, 10.0], ["A", "A"], enough=EVERY)
    assert part.metrics["within_25"].value == 50.0


def test_intervals_resample_photographers():
    errors = np.repeat([10.0, 9000.0] * 10, 20)
    people = np.repeat(np.arange(20), 20).tolist()
    names = ["A"] * 400

    def width(parts):
        value = parts[0].metrics["within_200"]
        return value.high - value.low

    clustered = width(fairness.by_group(errors, names, photographers=people))
    single = width(fairness.by_group(errors, names))
    assert clustered > 3 * single


@pytest.mark.parametrize(("photos", "people", "enough"), [(30, 5, True), (29, 5, False)])
def test_too_few_photos(photos, people, enough):
    errors = np.full(photos, 3.0)
    whose = [i % people for i in range(photos)]
    (part,) = fairness.by_group(errors, ["A"] * photos, photographers=whose)
    assert part.enough is enough
    assert part.metrics["within_25"].has_interval is enough


def test_too_few_photographers():
    (part,) = fairness.by_group([3.0] * 100, ["A"] * 100, photographers=[1, 2, 3, 4] * 25)
    assert not part.enough


def test_references_are_counted_by_the_same_groups():
    parts = fairness.by_income([1.0, 2.0], ["FR", "PE"], references=["DE", "FR", "BR", "ML"])
    assert {part.name: part.n_references for part in parts} == {
        "high income": 2,
        "upper middle income": 1,
    }


def test_income_groups_come_richest_first_and_unknown_last():
    codes = ["", "ML", "IN", "BR", "DE"]
    parts = fairness.by_income([1.0] * 5, codes, enough=EVERY)
    assert [part.name for part in parts] == [*fairness.INCOME_ORDER, "unknown"]


def test_continents():
    parts = fairness.by_continent([1.0] * 4, ["PE", "GF", "NA", "JP"], enough=EVERY)
    assert {p.name: p.n for p in parts} == {"South America": 2, "Africa": 1, "Asia": 1}


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("iso2,income_group\nDE,low income\n", encoding="utf-8")
    parts = fairness.by_income([1.0, 2.0], ["DE", "FR"], table=path, enough=EVERY)
    assert {part.name: part.n for part in parts} == {"low income": 1, "unknown": 1}


def test_a_table_without_the_column_is_refused(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("iso2,wealth\nDE,high\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"groups\.csv: needs the columns iso2 and income_group"):
        fairness.by_income([1.0], ["DE"], table=path)


@pytest.mark.parametrize("code", ["DEU", "Germany", "D1", 49])
def test_what_is_no_code_is_named(code):
    with pytest.raises(ValueError, match="country of row 1 is"):
        fairness.by_country([1.0, 2.0], ["DE", code])


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="1 labels for 2 errors"):
        fairness.by_group([1.0, 2.0], ["A"])
    with pytest.raises(ValueError, match="2 answers for 1 photos"):
        fairness.wrongly_named(["DE", "FR"], ["DE"])


def test_a_true_gap_is_more_than_chance():
    errors, names, people = world({"A": 0.9, "B": 0.5, "C": 0.1})
    gap = fairness.gap(errors, names, photographers=people)
    assert (gap.best, gap.worst, gap.n_groups, gap.left_out) == ("A", "C", 3, 0)
    found = {g: np.mean(errors[np.array(names) == g] <= 200) for g in "AC"}
    assert gap.size.value == pytest.approx(100 * (found["A"] - found["C"]))
    assert gap.size.low > gap.by_chance
    assert gap.p < 0.01
    assert "more than chance makes" in str(gap)
    assert "no more than" not in str(gap)


def test_the_gap_in_kilometres_has_the_nearer_group_first():
    errors, names, people = world({"far": 0.1, "near": 0.9})
    gap = fairness.gap(errors, names, photographers=people, figure="mean_km")
    assert (gap.best, gap.worst) == ("near", "far")
    assert gap.size.value > 2000


def test_equal_groups_have_no_gap_beyond_chance():
    low = 0
    for seed in range(30):
        errors, names, people = world(dict.fromkeys("ABCDEFGH", 0.4), n_people=8, seed=seed)
        gap = fairness.gap(errors, names, photographers=people, n_boot=200, seed=seed)
        assert gap.size.value >= 0
        low += gap.p <= 0.05
    assert low <= 5  # 1.5 of 30 are to be expected; five or more have a chance of 2 %


def test_one_persons_streak_is_no_gap_between_countries():
    # In each group one of five photographers has all the luck or none: photos would look certain.
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 30)
    errors = np.where(rng.random(20)[people] < 0.5, 10.0, 9000.0)
    names = [f"G{person % 4}" for person in people]
    apart = fairness.gap(errors, names)
    together = fairness.gap(errors, names, photographers=people.tolist())
    assert apart.p < 0.05 < together.p


def test_small_groups_are_no_part_of_a_gap():
    errors, names, people = world({"A": 0.6, "B": 0.5})
    errors = np.append(errors, [1.0, 1.0])
    gap = fairness.gap(errors, [*names, "tiny", ""], photographers=[*people, "x", "y"])
    assert {gap.best, gap.worst} == {"A", "B"}
    assert (gap.n_groups, gap.left_out) == (2, 2)
    assert fairness.gap(errors[:60], names[:60], photographers=people[:60]) is None


def test_a_photographer_in_both_groups_is_drawn_for_both():
    # Everybody finds the same in both places: the difference is 0 in every resample.
    errors = np.tile([10.0, 9000.0], 40)
    people = np.repeat(np.arange(20), 4).tolist()
    names = ["A", "A", "B", "B"] * 20
    gap = fairness.gap(errors, names, photographers=people)
    assert (gap.size.value, gap.size.low, gap.size.high) == (0, 0, 0)


def test_the_gap_of_a_median_is_refused():
    with pytest.raises(ValueError, match="no gap of 'median_km': take one of within_1"):
        fairness.gap([1.0], ["A"], figure="median_km")


def test_wrong_names_are_counted():
    made = fairness.wrongly_named(["US", "US", "US", "PE", ""], ["US", "PE", "CA", "PE", "PE"])
    assert made.loc["United States"].tolist() == [1, 3, 2]
    assert made.loc["Peru"].tolist() == [3, 1, 0]
    assert made.loc["Canada"].tolist() == [1, 0, 0]
    assert made["photos"].sum() == made["named"].sum() == 5
    assert made.index[0] == "United States"


def test_the_table_ranks_only_what_is_enough():
    errors, names, people = world({"B": 0.6, "C": 0.5})
    shown = fairness.frame(
        fairness.by_group([1.0, *errors], ["A", *names], photographers=["x", *people])
    )
    assert shown.index.tolist() == ["B", "C", "A"]
    assert shown.loc["A", "200 km %"] == "too few"
    assert shown.loc["B", "200 km %"].endswith("]")


def test_all_codes_of_the_gazetteer_have_a_place_in_the_table():
    codes = set(load_gazetteer().places["country"])
    parts = {"BQ", "CC", "CX", "GF", "GP", "MQ", "RE", "SJ", "TK", "YT"}
    nowhere = {"GI", "GS", "TF", "TV"}  # left out of the 1:50m layer, or nobody lives there
    assert codes - fairness.income_groups().keys() == parts | nowhere
    assert codes - fairness.continents().keys() == nowhere
    assert set(fairness.income_groups().values()) == set(fairness.INCOME_ORDER)


def test_income_groups_agree_with_another_copy_of_natural_earth(shared_data):
    path = shared_data / "geo" / "ne_50m_admin_0_countries.json"
    found = {}
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        told = {key.upper(): value for key, value in feature["properties"].items()}
        group = told["INCOME_GRP"].split(". ")[1].split(":")[0].lower()
        found[told["ISO_A2"]] = group
    ours = fairness.income_groups()
    both = ours.keys() & found.keys()
    assert len(both) > 220
    assert {code: ours[code] for code in both} == {code: found[code] for code in both}


def test_real_photos_take_the_same_call(shared_data):
    with (shared_data / "photos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    truth = np.array([[float(r["latitude"]), float(r["longitude"])] for r in rows])
    errors = errors_km(np.tile([48.0, 10.0], (len(truth), 1)), truth)
    codes = load_gazetteer().lookup(truth)["country"]
    parts = fairness.by_country(errors, codes, photographers=[r["source"] for r in rows])
    assert sum(part.n for part in parts) == len(rows)
    assert all(part.n_photographers >= 5 for part in parts if part.enough)


def dots(ax) -> int:
    return sum(line.get_marker() == "o" for line in ax.lines)


def test_only_ranked_groups_get_a_dot():
    errors, names, people = world({"good": 0.9, "bad": 0.1})
    parts = fairness.by_group([1.0, *errors], ["tiny", *names], photographers=["x", *people])
    overall = summarise([1.0, *errors], groups=["x", *people])["within_200"]
    ax = group_dots(parts, overall=overall, synthetic=True)
    assert dots(ax) == 2
    assert [t.get_text() for t in ax.get_yticklabels()] == ["good, n = 60", "bad, n = 60"]
    assert "synthetic" in ax.get_title(loc="left")
    said = " ".join(text.get_text() for text in ax.texts)
    assert "not ranked: tiny 1" in said
    assert f"all photos: {overall.value:.1f}" in said
    plt.close(ax.figure)


def test_the_given_order_is_kept_where_groups_have_one():
    errors, names, people = world({"high income": 0.1, "low income": 0.9})
    parts = fairness.by_group(errors, names, photographers=people)
    ax = group_dots(parts, ranked=False)
    assert [t.get_text().split(",")[0] for t in ax.get_yticklabels()] == [p.name for p in parts]
    plt.close(ax.figure)


def test_infinite_medians_can_be_drawn():
    people = [i % 6 for i in range(60)]
    parts = fairness.by_group([np.inf] * 60, ["A"] * 60, photographers=people)
    ax = group_dots(parts, figure="median_km")
    ax.figure.canvas.draw()
    assert "∞" in [text.get_text() for text in ax.texts]
    assert np.isfinite(ax.get_xlim()).all()
    plt.close(ax.figure)


def test_figures_with_nothing_to_rank_say_so():
    parts = fairness.by_group([1.0], ["A"])
    ax = group_dots(parts)
    assert dots(ax) == 0
    assert "not ranked: A 1" in ax.texts[0].get_text()
    plt.close(ax.figure)
    with pytest.raises(ValueError, match="no figure 'within_3'"):
        group_dots(parts, figure="within_3")
    with pytest.raises(ValueError, match="there is no group"):
        group_dots([])
