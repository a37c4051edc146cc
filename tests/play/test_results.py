"""Result files: read back as written, wrong ones refused by file and row, figures drawn."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from geolab.data.errors import DataError
from geolab.metrics import errors_km, geoguessr_score
from geolab.play import (
    duels,
    model_results,
    plot_paper,
    plot_players,
    read_results,
    simulate_player,
    standings,
    write_results,
)
from geolab.play.results import COLUMNS

from .conftest import SYSTEMS

GOOD = "g1,Ada,human,1,p1,48.86,2.35,344.0,3971.0,51.5074,-0.1278,4.2,true"
HEAD = ",".join(COLUMNS)


def test_results_come_back_as_they_were_written(game, tmp_path):
    both = pd.concat([model_results(game), simulate_player(game, "Zoë, the 2nd", seed=3)])
    path = write_results(both, tmp_path / "all.csv")
    back = read_results(path)
    assert list(back.columns) == list(COLUMNS)
    assert set(back["player"]) == {*SYSTEMS, "Zoë, the 2nd"}
    assert len(back) == 9
    for column in ("lat", "lon", "km", "score", "true_lat", "true_lon"):
        assert np.allclose(back[column].to_numpy(float), both[column].to_numpy(float)), column
    assert back["synthetic"].all()
    predicted, truth = back[["lat", "lon"]].to_numpy(), back[["true_lat", "true_lon"]].to_numpy()
    assert np.array_equal(back["km"], errors_km(predicted, truth))
    assert np.array_equal(back["score"], geoguessr_score(back["km"]))


def test_a_simulated_player_keeps_to_its_rule(game):
    many = [simulate_player(game, km=800, spread=0.5, seed=s)["km"] for s in range(200)]
    logs = np.log(np.concatenate(many))
    assert np.exp(np.median(logs)) == pytest.approx(800, rel=0.08)
    assert logs.std() == pytest.approx(0.5, rel=0.08)
    assert set(simulate_player(game)["kind"]) == {"simulated"}
    with pytest.raises(ValueError, match="must be positive"):
        simulate_player(game, km=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"bad\.csv: no column game"),
        (HEAD.replace(",", ";") + "\n" + GOOD.replace(",", ";"), r"bad\.csv: no column.*semicolon"),
        (HEAD, r"bad\.csv: no guesses"),
        (f"{HEAD}\n{GOOD}\n{GOOD.replace('48.86', '95')}", r"bad\.csv, row 3: lat is '95'"),
        (f"{HEAD}\n{GOOD.replace('48.86', 'north')}", r"bad\.csv, row 2: lat is 'north'"),
        (f"{HEAD}\n{GOOD.replace('2.35', 'nan')}", r"row 2: lon is 'nan'"),
        (f"{HEAD}\n{GOOD.replace('344.0', '12.0')}", r"row 2: km is 12, but .* 34\d\.\d+ km"),
        (f"{HEAD}\n{GOOD.replace('human', 'bot')}", r"row 2: kind 'bot' is none of human"),
        (f"{HEAD}\n{GOOD.replace('Ada', ' ')}", r"row 2: player is empty"),
        (f"{HEAD}\n{GOOD.replace(',1,p1', ',1.5,p1')}", r"row 2: round is '1\.5', not a whole"),
        (f"{HEAD}\n{GOOD.replace('true', 'maybe')}", r"row 2: synthetic is 'maybe'"),
        (f"{HEAD}\ng1,Ada,human", r"row 2: round is missing, the row is too short"),
        (f"{HEAD}\n{GOOD}\n{GOOD}", r"row 3: Ada has a guess for round 1 in row 2"),
        (f'{HEAD}\n"g1"x,Ada', r"bad\.csv, row \d: "),
    ],
)
def test_a_bad_file_is_refused_by_name_and_row(tmp_path, text, message):
    text = text.replace("344.0", f"{errors_km([[48.86, 2.35]], [[51.5074, -0.1278]])[0]:.3f}")
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as raised:
        read_results(path)
    assert "Fix: " in str(raised.value)


def test_absent_and_binary_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        read_results(tmp_path / "gone.csv")
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match=r"photo\.csv: not a csv in UTF-8"):
        read_results(tmp_path / "photo.csv")
    with pytest.raises(DataError, match="no file given"):
        read_results()


def test_a_file_that_a_spreadsheet_saved_is_read(game, tmp_path):
    path = write_results(model_results(game), tmp_path / "plain.csv")
    marked = tmp_path / "excel.csv"
    lines = path.read_text(encoding="utf-8").replace(",true\n", ",TRUE\n").replace("\n", "\r\n")
    marked.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert read_results(marked).equals(read_results(path))


def test_several_files_count_each_guess_once(game, tmp_path):
    models = model_results(game)
    ada, other = (simulate_player(game, "Ada", seed=s).assign(kind="human") for s in (1, 2))
    one = write_results(pd.concat([models, ada[:2]]), tmp_path / "early.csv")
    two = write_results(pd.concat([models, ada]), tmp_path / "late.csv")
    three = write_results(pd.concat([models, other]), tmp_path / "room_b.csv")
    assert len(read_results(one, two)) == len(models) + 3
    results = read_results(one, two, three)
    assert len(results) == len(models) + 6
    assert set(results["player"]) == {*SYSTEMS, "Ada", "Ada (room_b)"}


def test_standings_and_duels_say_who_is_better(game):
    near = simulate_player(game, "near", km=50, spread=0.1)
    far = simulate_player(game, "far", km=9000, spread=0.1)
    results = pd.concat([model_results(game), far, near])
    table = standings(results, n_boot=200)
    assert table["player"].iloc[0] == "near"
    assert table["player"].iloc[-1] == "far"
    assert (table["score_low"] <= table["score"]).all()
    assert table["median_km"].iloc[0] == pytest.approx(near["km"].median())
    fought = duels(results, n_boot=200).set_index(["player", "model"])
    assert len(fought) == 4
    assert fought.loc[("near", "PIGEON"), "won"] == 3
    assert fought.loc[("far", "PIGEON"), "lost"] == 3
    gap = near["score"].mean() - results[results["player"] == "PIGEON"]["score"].mean()
    assert fought.loc[("near", "PIGEON"), "difference"] == pytest.approx(gap)
    only_one = duels(pd.concat([model_results(game), near[:1]]))
    assert set(only_one["rounds"]) == {1}


def test_the_figure_shows_every_player_and_calls_things_by_name(game):
    ada = simulate_player(game, "Ada").assign(kind="human")
    results = pd.concat([model_results(game), ada, simulate_player(game, "dice", seed=5)])
    left, right = plot_players(results)
    table = standings(results)
    shown = [tick.get_text().split("\n")[0] for tick in left.get_yticklabels()]
    names = {"dice": "dice (simulated)"}
    assert shown == [names.get(player, player) for player in table["player"]]
    assert "synthetic TinyEarth" in left.get_title(loc="left")
    said = {text.get_text() for text in right.texts}
    assert f"{ada['score'].mean():,.0f}" in said
    assert f"{ada['km'].median():,.0f} km" in {text.get_text() for text in left.texts}
    plt.close("all")
    mixed = pd.concat([results, ada.assign(synthetic=False, game="real")])
    with pytest.raises(DataError, match="real and of synthetic"):
        plot_players(mixed)
    with pytest.raises(DataError, match="no guesses"):
        plot_players(results[:0])


def test_the_papers_figure_is_the_papers():
    ax = plot_paper()
    said = [text.get_text() for text in ax.texts]
    assert said == ["73 km", "151 km", "174 km", "1,714 km"]
    assert "Published" in ax.get_title(loc="left")
    plt.close("all")
