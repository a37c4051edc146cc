"""People against models: a page to play on, and what the results say.

    game = make_game("tinyearth", locators=("clip", "pigeon"), rounds=5)
    write_page(game, "build/play.html")          # one file; works offline
    results = read_results("geolab_play_1a2b3c4d.csv", ...)
    plot_players(results)                        # errors and points, people beside models

No part of it speaks to any game's servers.
"""

from importlib import import_module

_HOME = {
    "Answer": "rounds",
    "Game": "rounds",
    "Round": "rounds",
    "choose_photos": "rounds",
    "duels": "versus",
    "game_of": "rounds",
    "make_game": "rounds",
    "model_results": "results",
    "page_html": "page",
    "plot_paper": "versus",
    "plot_players": "versus",
    "read_results": "results",
    "simulate_player": "results",
    "standings": "versus",
    "write_page": "page",
    "write_results": "results",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    # The command line imports a module of this package, and its help has to come at once.
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
