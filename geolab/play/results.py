"""What came of a game: csv files in, one table out, and players made by rule to try figures with.

    results = read_results("ada.csv", "grace.csv")      # one table; repeated rows count once
    plot_players(results)                               # and `standings`, `duels`: see `versus`

One row is one guess. `kind` is "human", "model" or "simulated"; a simulated player is made by a
rule (`simulate_player`) and always called simulated. Distances are computed again from the
coordinates; a file whose own kilometres disagree is refused.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from geolab.data.errors import DataError
from geolab.data.storage import write_atomic
from geolab.metrics import errors_km, geoguessr_score
from geolab.play.rounds import Game
from geolab.sphere import destination

COLUMNS = (
    "game", "player", "kind", "round", "photo", "lat", "lon", "km", "score", "true_lat",
    "true_lon", "seconds", "synthetic",
)  # fmt: skip
KINDS = ("human", "simulated", "model")
_TOLERANCE_KM = 0.01
_FIX = "Fix: download the csv from the page again"


def read_results(*paths: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the csv files of one or several players.

    Rows that stand in several files (the models', or a file given twice) count once. Where two
    files have different players of the same name in the same game, the later one gets the name of
    its file.

    Returns
    -------
    DataFrame
        `COLUMNS`; ``round`` int, coordinates, ``km``, ``score`` and ``seconds`` float64
        (``seconds`` NaN for models), ``synthetic`` bool.

    Raises
    ------
    DataError
        If a file is missing, is no such csv, or a row is wrong; names file, row and fix.
    """
    if not paths:
        raise DataError("no file given. Fix: name at least one csv that the page saved")
    known: dict[tuple, dict] = {}
    for path in paths:
        rows = _read_file(Path(path))
        renamed = _clashes(rows, known)
        for row in rows:
            if (row["game"], row["player"]) in renamed:
                row["player"] = f"{row['player']} ({Path(path).stem})"
            known.setdefault((row["game"], row["player"], row["round"]), row)
    return pd.DataFrame(list(known.values()), columns=list(COLUMNS))


def _clashes(rows: Sequence[dict], known: Mapping[tuple, dict]) -> set[tuple[str, str]]:
    """Players of a new file whose guesses differ from those known under the same name."""
    out = set()
    for row in rows:
        former = known.get((row["game"], row["player"], row["round"]))
        if former and any(former[c] != row[c] for c in ("lat", "lon", "kind")):
            out.add((row["game"], row["player"]))
    return out


def _read_file(path: Path) -> list[dict]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Fix: check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a csv in UTF-8 ({error}). {_FIX}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(missing)}; it has "
                f"{', '.join(reader.fieldnames or ()) or 'none'}. {_FIX}; a spreadsheet may have "
                "saved it with semicolons"
            )
        rows, seen = [], {}
        for raw in reader:
            row = _checked(raw, f"{path}, row {reader.line_num}")
            guess = (row["game"], row["player"], row["round"])
            if guess in seen:
                raise DataError(
                    f"{path}, row {reader.line_num}: {row['player']} has a guess for round "
                    f"{row['round']} in row {seen[guess]} already. Fix: keep one of them"
                )
            seen[guess] = reader.line_num
            rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: {error}. {_FIX}") from None
    if not rows:
        raise DataError(f"{path}: no guesses. Fix: play a round, then download")
    return rows


def _checked(raw: Mapping[str, str | None], where: str) -> dict:
    """One row with its types; `where` is what an error blames."""
    for column in COLUMNS:
        if raw[column] is None:
            raise DataError(f"{where}: {column} is missing, the row is too short. {_FIX}")
    row: dict = {c: str(raw[c]) for c in ("game", "player", "kind", "photo")}
    row["player"] = row["player"].strip()
    if not row["player"]:
        raise DataError(f"{where}: player is empty. {_FIX}")
    if row["kind"] not in KINDS:
        raise DataError(f"{where}: kind {row['kind']!r} is none of {', '.join(KINDS)}. {_FIX}")
    if str(raw["synthetic"]).lower() not in ("true", "false"):
        raise DataError(f"{where}: synthetic is {raw['synthetic']!r}, not true or false. {_FIX}")
    row["synthetic"] = str(raw["synthetic"]).lower() == "true"
    row["round"] = int(_number(raw, "round", where, 1, 1e6, whole=True))
    for column, most in (("lat", 90), ("lon", 180), ("true_lat", 90), ("true_lon", 180)):
        row[column] = _number(raw, column, where, -most, most)
    row["seconds"] = math.nan
    if raw["seconds"]:
        row["seconds"] = _number(raw, "seconds", where, 0, 1e9)
    truth = [[row["true_lat"], row["true_lon"]]]
    row["km"] = float(errors_km([[row["lat"], row["lon"]]], truth)[0])
    said = _number(raw, "km", where, 0, 20_100)
    if abs(said - row["km"]) > _TOLERANCE_KM:
        raise DataError(
            f"{where}: km is {said:g}, but the coordinates are {row['km']:.3f} km apart. {_FIX}"
        )
    row["score"] = float(geoguessr_score(row["km"]))
    return row


def _number(
    raw: Mapping[str, str | None],
    column: str,
    where: str,
    low: float,
    high: float,
    *,
    whole: bool = False,
) -> float:
    try:
        value = float(str(raw[column]))
    except ValueError:
        value = math.nan
    if not low <= value <= high or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise DataError(
            f"{where}: {column} is {raw[column]!r}, not {kind} in {low:g}..{high:g}. {_FIX}"
        )
    return value


def write_results(results: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write results as the page does: the whole file or nothing."""
    told = results[list(COLUMNS)].copy()
    told["synthetic"] = told["synthetic"].map({True: "true", False: "false"})
    return write_atomic(path, told.to_csv(index=False))


def model_results(game: Game) -> pd.DataFrame:
    """Rows of the models of a game, as the page would save them."""
    rows = [
        _row(game, i, answer.system, "model", answer.latlon)
        for i, one in enumerate(game.rounds)
        for answer in one.answers
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def simulate_player(
    game: Game,
    name: str = "simulated player",
    *,
    km: float = 1500.0,
    spread: float = 1.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Guesses made by rule, to try figures with: they say nothing about people.

    Each guess lies in a random direction from the truth, at a distance drawn from a log-normal
    with median `km` and deviation `spread` of its logarithm, at most half way round the Earth.

    Raises
    ------
    ValueError
        If `km` or `spread` is not positive.
    """
    if not (km > 0 and spread > 0):
        raise ValueError(f"km and spread must be positive, not {km} and {spread}")
    rng, rows = np.random.default_rng(seed), []
    for i, one in enumerate(game.rounds):
        far = min(float(km * np.exp(spread * rng.standard_normal())), 20_000.0)
        guess = destination(np.array(one.latlon), 360 * rng.random(), far)
        lat, lon = (round(float(v), 5) for v in guess)
        rows.append(_row(game, i, name, "simulated", (lat, lon)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(game: Game, i: int, player: str, kind: str, place: tuple[float, float]) -> dict:
    one = game.rounds[i]
    km = float(errors_km([place], [one.latlon])[0])
    values = (game.id, player, kind, i + 1, one.photo, *place, km, float(geoguessr_score(km)))
    return dict(zip(COLUMNS, (*values, *one.latlon, math.nan, game.synthetic), strict=True))
