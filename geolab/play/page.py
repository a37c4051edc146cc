"""The page of a game: one HTML file that carries everything and asks nothing of a network.

    write_page(game, "build/play.html")

Photos, map and answers lie in the page as one JSON. Places and answers are under a light veil (a
key beside them), so that nobody meets them by chance in the source. It is no secret: who wants to
cheat can, and a page with somebody's photos holds where they were taken. A content security policy
in the page forbids the browser to load or send anything.
"""

from __future__ import annotations

import base64
import json
import os
from importlib import resources
from pathlib import Path

from geolab.data.errors import DataError
from geolab.data.storage import write_atomic
from geolab.play.ground import UNITS_PER_DEGREE, ground
from geolab.play.rounds import Game, Round

_SCRIPTS = ("earth.js", "input.js", "map.js", "scores.js", "game.js")

SYNTHETIC = (
    "The photos are synthetic: a program drew them for TinyEarth. Climate, the side of the road "
    "and the kind of writing follow the real world; poles, plates, houses and landmarks are "
    "invented. You see each photo larger than the models do."
)
ABOUT = (
    "Points are GeoGuessr's for the world map, 5000 exp(-km / 1492.7), with distances on a sphere "
    "of radius 6371.0 km. A model's pin is the mode of its answer; the heat map is its whole "
    "answer, smoothed over 200 km, each shade a region that holds a share of the weight.",
    "The page works offline and sends nothing. The places lie in it too, hidden from a passing "
    "glance only. Places are kept to a hundredth of a degree, about a kilometre.",
)


def page_html(game: Game) -> str:
    """Page of a game as text.

    Parameters
    ----------
    game
        With at least one round and one model.

    Raises
    ------
    DataError
        If there is neither.
    """
    if not game.rounds or not game.systems:
        raise DataError("a page needs at least one round and one model")
    drawn = ground()
    outline = f"Coasts and borders: {drawn['outline']}. Cities: GeoNames, CC BY 4.0."
    key = game.id
    given = {
        "id": game.id,
        "key": key,
        "title": game.title,
        "synthetic": game.synthetic,
        "systems": game.systems,
        "about": [*[SYNTHETIC] * game.synthetic, *game.about, *ABOUT, outline],
        "rounds": [
            {"picture": _text(one.picture), "veil": veil(_hidden(one), key)} for one in game.rounds
        ],
        "ground": {**drawn, "units": UNITS_PER_DEGREE},
    }
    data = json.dumps(given, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = _template("play.html")
    page = page.replace("/*STYLE*/", _template("play.css"))
    page = page.replace("/*SCRIPT*/", "\n".join(map(_template, _SCRIPTS)))
    return page.replace("/*GAME*/", data)


def write_page(game: Game, path: str | os.PathLike[str]) -> Path:
    """Write the page of a game: the whole file or nothing.

    Raises
    ------
    ValueError
        If `path` does not end in .html.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: the game is a page; give it a name that ends in .html")
    return write_atomic(path, page_html(game))


def veil(value: object, key: str) -> str:
    """JSON under a key, as text: out of sight, not out of reach.

    Examples
    --------
    >>> unveil(veil({"lat": 48.86}, "a1"), "a1")
    {'lat': 48.86}
    """
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(_under(plain, key)).decode()


def unveil(text: str, key: str) -> object:
    """Undo `veil`; the page does the same in JavaScript."""
    return json.loads(_under(base64.b64decode(text), key))


def _under(data: bytes, key: str) -> bytes:
    letters = key.encode("ascii")
    return bytes(b ^ letters[i % len(letters)] ^ (37 * i & 255) for i, b in enumerate(data))


def _hidden(one: Round) -> dict:
    answers = [{"latlon": a.latlon, "heat": _text(a.heat)} for a in one.answers]
    return {"photo": one.photo, "latlon": one.latlon, "place": one.place, "answers": answers}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _template(name: str) -> str:
    return resources.files("geolab.play").joinpath("templates", name).read_text(encoding="utf-8")
