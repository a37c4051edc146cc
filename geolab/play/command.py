"""``geolab play``: make the page of a game."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _page(path: Path) -> Path:
    """Refuse a page that is no HTML before minutes are spent on what it shows."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"{path}: the game is a page; give a name that ends in .html")
    return path


def play(
    source: Annotated[
        str, typer.Argument(help="CSV or folder with known places, data set or tinyearth.")
    ] = "tinyearth",
    locator: Annotated[str, typer.Option(help="Models to play against, with commas.")] = (
        "clip,pigeon"
    ),
    reference: Annotated[
        str | None, typer.Option(help="Photos that the models learn from; part of the source.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Photos to ask.")] = 5,
    n: Annotated[int | None, typer.Option(min=1, help="Photos to take of what is learnt.")] = None,
    seed: Annotated[int, typer.Option(help="Of split and training.")] = 0,
    draw: Annotated[int, typer.Option(help="Another number asks other photos.")] = 0,
    title: Annotated[str, typer.Option(help="Headline of the page.")] = "",
    out: Annotated[Path, typer.Option(callback=_page, help="Write the page here, as HTML.")] = Path(
        "build/play.html"
    ),
) -> None:
    """Make a page on which people guess against models, offline, in any browser.

    No round is known to a model. Results are saved from the page as csv, which
    geolab.play.read_results reads. With TinyEarth, synthetic, this takes about a minute.
    """
    from geolab.data.storage import format_bytes
    from geolab.learn_commands import fail
    from geolab.play import make_game, write_page

    locators = tuple(dict.fromkeys(part.strip() for part in locator.split(",") if part.strip()))
    given = {"locators": locators, "reference": reference, "rounds": rounds}
    try:
        game = make_game(source, n=n, seed=seed, draw=draw, title=title, **given)
        path = write_page(game, out)
    except (ValueError, OSError) as error:
        fail(error)
    kind = "synthetic photos" if game.synthetic else "photos"
    typer.echo(f"{len(game.rounds)} rounds of {kind} against {', '.join(game.systems)}")
    typer.echo(f"page: {path} ({format_bytes(path.stat().st_size)}); open it in a browser")
    if not game.synthetic:
        typer.echo(
            "The page holds the photos and, hidden from a glance only, their places to about a "
            "kilometre: pass it on only if you may pass those on."
        )
