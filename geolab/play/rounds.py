"""What a game is made of: photos that no model has seen, their places, and what the models say.

    game = make_game("tinyearth", locators=("clip", "pigeon"), rounds=5)
    game = game_of(parts["test"], {"PIGEON": pigeon}, rounds=20, synthetic=True)  # fitted already

Places are kept to a hundredth of a degree, about a kilometre: enough for a score on a world map,
too coarse for a doorstep. Pictures are made anew from pixels, without EXIF. A model answers with
its mode, as in every table; its posterior becomes a small picture of the density on the sphere.

Photos of rooms, close-ups and bare sky, where a table says so (`scene`, `view`), are not asked.
TinyEarth's photos are painted again, larger than the models see them.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from geolab.data.errors import DataError
from geolab.data.photos import read_images, thumbnail
from geolab.evaluation import point_of, truth_of
from geolab.play.heat import heat_png
from geolab.play.held_out import hold_out

if TYPE_CHECKING:
    from datasets import Dataset

    from geolab.locators.table_systems import Locator

PLACE_DIGITS = 2
_PAINTED, _SHOWN = 720, 1024
_NO_CUE = ("indoor", "closeup", "sky")
_SHORT = {"clip": "CLIP + kNN", "knn": "PlaNet + kNN"}  # both are called after their density else


@dataclass(frozen=True)
class Answer:
    """What one model says of one photo.

    Attributes
    ----------
    system : str
    latlon : tuple of float
        Its mode, degrees.
    heat : bytes
        PNG of `geolab.play.heat.heat_png`.
    """

    system: str
    latlon: tuple[float, float]
    heat: bytes


@dataclass(frozen=True)
class Round:
    """One photo of a game.

    Attributes
    ----------
    photo : str
        Its id in the data set.
    picture : bytes
        JPEG without metadata.
    latlon : tuple of float
        Where it was taken, to `PLACE_DIGITS` decimals of a degree.
    place : str
        Nearest city, for the reveal.
    answers : tuple of Answer
    """

    photo: str
    picture: bytes
    latlon: tuple[float, float]
    place: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Game:
    """Rounds in order, and what players are told of them.

    Attributes
    ----------
    title, source : str
    rounds : tuple of Round
    synthetic : bool
        Whether the photos were rendered; the page says so at every stage.
    about : tuple of str
        Sentences for the first page.
    """

    title: str
    source: str
    rounds: tuple[Round, ...]
    synthetic: bool
    about: tuple[str, ...] = ()

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(answer.system for answer in self.rounds[0].answers)

    @cached_property
    def id(self) -> str:
        """Eight hex digits that change with the photos or the answers."""
        digest = hashlib.sha256()
        for one in self.rounds:
            digest.update(one.picture + repr((one.photo, one.latlon)).encode())
            for answer in one.answers:
                digest.update(repr((answer.system, answer.latlon)).encode() + answer.heat)
        return digest.hexdigest()[:8]


def make_game(
    source: str | os.PathLike = "tinyearth",
    *,
    locators: Sequence[str] = ("clip", "pigeon"),
    reference: str | None = None,
    rounds: int = 5,
    n: int | None = None,
    seed: int = 0,
    draw: int = 0,
    title: str = "",
) -> Game:
    """Split or load photos, fit the locators on the references, and draw the rounds.

    Parameters
    ----------
    source
        As `geolab.data.load` takes it.
    locators
        Names of `geolab.locators.table_systems.SINGLE`.
    reference
        Like `source`: photos that the models learn from; if not given, the train part of `source`.
    rounds
        Photos to ask.
    n
        Photos to take of the source (of the reference set, if there is one).
    seed, draw
        Of split and training; of the choice of the photos.

    Raises
    ------
    DataError
        If no photo can be asked without the models knowing it; the message says what to do.
    ValueError
        If there is no such locator, or `rounds` is not positive.
    """
    from geolab.locators.table_systems import SINGLE, fit_locator

    for name in locators:  # before minutes are spent
        if name not in SINGLE:
            raise ValueError(f"no locator {name!r}; there are: {', '.join(SINGLE)}")
    if not locators:
        raise ValueError("a game needs at least one model; name some with --locator")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}")
    references, queries = hold_out(source, reference, n=n, seed=seed)
    fitted = {}
    for name in locators:
        locator = fit_locator(name, references, seed)
        fitted[_SHORT.get(name, locator.name)] = locator
    learnt = f"{Path(reference or source).name}, {len(references):,} photos"  # no folder: private
    about = (
        f"The models learnt from {learnt}; none of these rounds is among them, nor any photo "
        "within a kilometre of one.",
    )
    if reference == "tinyearth" != str(source):
        about += (
            "Those were synthetic photos: models that never saw a real one are easy to beat.",
        )
    return game_of(
        queries,
        fitted,
        title=title,
        source=Path(source).name,
        rounds=rounds,
        draw=draw,
        synthetic=str(source) == "tinyearth",
        about=about,
    )


def game_of(
    queries: Dataset,
    locators: Mapping[str, Locator],
    *,
    title: str = "",
    source: str = "tinyearth",
    rounds: int = 5,
    draw: int = 0,
    synthetic: bool = False,
    about: Sequence[str] = (),
) -> Game:
    """Draw rounds from photos that the fitted locators have not seen, and ask each of them.

    Parameters
    ----------
    queries
        Held-out photos.
    locators
        Name for the page -> fitted locator.
    """
    chosen = choose_photos(queries, rounds, draw)
    images = read_images(chosen).images
    answers = [_answers(name, locator, images) for name, locator in locators.items()]
    truth = truth_of(chosen).round(PLACE_DIGITS)
    made = tuple(
        Round(
            str(chosen["id"][i]),
            _picture(chosen, i, images[i], synthetic),
            (float(truth[i, 0]), float(truth[i, 1])),
            _place_name(truth[i]),
            tuple(by_system[i] for by_system in answers),
        )
        for i in range(len(chosen))
    )
    return Game(title or "Where was this photo taken?", source, made, synthetic, tuple(about))


def choose_photos(photos: Dataset, n: int, seed: int = 0) -> Dataset:
    """Draw `n` readable photos with something to go by, as many photographers as possible.

    Raises
    ------
    DataError
        If there are not so many.
    """
    told = [c for c in ("scene", "view") if c in photos.column_names]
    blind = np.zeros(len(photos), dtype=bool)
    for column in told:
        blind |= np.isin(np.array(photos[column], dtype=str), _NO_CUE)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~blind))
    who = next((c for c in ("photographer", "sequence") if c in photos.column_names), None)
    people = list(photos[who]) if who else list(range(len(photos)))
    first: dict[object, int] = {}
    turn = []
    for row in order:  # the second photo of anybody waits until all have had their first
        turn.append(first.get(people[row], 0))
        first[people[row]] = turn[-1] + 1
    kept: list[int] = []
    for row in order[np.argsort(turn, kind="stable")]:
        if len(kept) == n:
            break
        if read_images(photos.select([row])).images[0] is not None:
            kept.append(int(row))
    if len(kept) < n:
        left_out = f" ({int(blind.sum())} show no place and are left out)" if blind.any() else ""
        raise DataError(
            f"{n} rounds need {n} photos that can be read; there are {len(kept)} of "
            f"{len(photos)}{left_out}. Fix: fewer --rounds, or more photos with --n"
        )
    return photos.select(kept)


def _answers(name: str, locator: Locator, images: Sequence[Image.Image]) -> list[Answer]:
    posterior = locator.locate(images)
    points = point_of(posterior).round(PLACE_DIGITS)
    return [
        Answer(name, (float(lat), float(lon)), heat_png(posterior[i]))
        for i, (lat, lon) in enumerate(points)
    ]


def _picture(photos: Dataset, row: int, image: Image.Image, synthetic: bool) -> bytes:
    """Photo as people see it: TinyEarth's painted large, any other shrunk; JPEG of bare pixels."""
    if synthetic and "scene_seed" in photos.column_names:
        from geolab.data.tinyearth import Scene

        image = Scene.from_row(photos.remove_columns("image")[row]).street(_PAINTED)
    buffer = io.BytesIO()
    thumbnail(image, _SHOWN).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _place_name(latlon: np.ndarray) -> str:
    from geolab.cities import cities_only, city_rows

    gazetteer = cities_only()
    city = gazetteer.places.iloc[int(city_rows(latlon[None])[0])]
    parts = (city["name"], city["region"], gazetteer.country_name(str(city["country"])))
    return ", ".join(dict.fromkeys(str(part) for part in parts if part))
