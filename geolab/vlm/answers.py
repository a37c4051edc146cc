r"""From what a model said to a `Posterior`: four levels as parts of one mixture, with back-off.

Each level that can be located takes its share of what the coarser one leaves: with c_k the chance
that level k is right given the one above (by the model's own word, low, medium or high), the weight
of the finest part is the product of all c, and 1 - c_{k+1} of it stays at level k. A level is
spread over its radius: the places of a country, 25 km for a city, 5 for a neighbourhood, 1 for an
exact place; what is not even believed of the country goes to the largest city of every country.

**Back-off.** A level that is missing, unknown to the atlas, or contradicts its parent (a city that
the stated country does not have, coordinates far from the stated city) is dropped with everything
under it, and a note says so. A name that several cities bear is a mixture of all of them by
population, and nothing finer is believed.

**Nothing finer than a city unless told**: `max_level` cuts the levels after the model has spoken,
and coordinates keep one decimal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from geolab import sphere
from geolab.posterior import Posterior
from geolab.vlm.asking import Reply
from geolab.vlm.atlas import Atlas
from geolab.vlm.parsing import Guess
from geolab.vlm.prompts import LEVELS

RADIUS_KM = {"city": 25.0, "neighborhood": 5.0, "exact": 1.0}
_FAR_KM = 100.0
_COUNTRY_PLACES = 40


@dataclass(frozen=True)
class Belief:
    """How words become numbers.

    Attributes
    ----------
    low, medium, high : float
        Chance that a level is right given the level above. Tune them on validation photos
        (`geolab.vlm.study.word_accuracy`): models are often sure and wrong.
    stop_at_low : bool
        Back off from a level that the model itself calls unsure.
    """

    low: float = 0.4
    medium: float = 0.65
    high: float = 0.85
    stop_at_low: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "medium", "high"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be between 0 and 1; it is {getattr(self, name)}")


@dataclass(frozen=True)
class Answer:
    """One photo's answer.

    Attributes
    ----------
    guess : Guess
        What the model said.
    reached : str
        Finest level that was located; "" for none, which is a miss.
    notes : tuple of str
        Why a level was dropped.
    posterior : Posterior or None
        One row; None for a miss.
    point : tuple of float
        Degrees of the finest level located; NaN for a miss.
    replies : tuple of Reply
        What was paid for it.
    """

    guess: Guess
    reached: str
    notes: tuple[str, ...]
    posterior: Posterior | None
    point: tuple[float, float] = (np.nan, np.nan)
    replies: tuple[Reply, ...] = field(default=(), compare=False)


def points_of(answers: Sequence[Answer]) -> np.ndarray:
    """Points for the evaluator, float64 (N, 2): NaN, which is a miss, where nothing was located."""
    return np.array([answer.point for answer in answers], float).reshape(-1, 2)


def locate_guess(
    guess: Guess, atlas: Atlas, *, max_level: str = "city", belief: Belief | None = None
) -> Answer:
    """Turn a guess into places.

    Parameters
    ----------
    guess : Guess
    atlas : Atlas
    max_level : str
        Finest level to answer with, of `LEVELS`.

    Raises
    ------
    ValueError
        If `max_level` is no level.
    """
    if max_level not in LEVELS:
        raise ValueError(f"max_level {max_level!r} must be one of {', '.join(LEVELS)}")
    belief = belief or Belief()
    if guess.outcome != "answered":
        return Answer(guess, "", (guess.outcome,), None)
    found = _Search(guess, atlas, belief)
    parts = found.parts[: LEVELS.index(max_level) + 1]
    if not parts:
        return Answer(guess, "", tuple(found.notes), None)
    snap = LEVELS.index(max_level) <= LEVELS.index("city")
    support, weight = _mixture(parts, atlas)
    support = np.round(support, 1) if snap else support
    point = _middle(parts[-1])
    point = np.round(point, 1) if snap else point
    posterior = Posterior(support[None], weight[None])
    return Answer(guess, parts[-1].level, tuple(found.notes), posterior, tuple(map(float, point)))


@dataclass(frozen=True)
class _Part:
    """Places of one level: their share given the level above, and their weights in it."""

    level: str
    chance: float
    latlon: np.ndarray
    weight: np.ndarray


class _Search:
    """Walk down the levels; stop at the first that can't be placed."""

    def __init__(self, guess: Guess, atlas: Atlas, belief: Belief) -> None:
        self.guess, self.atlas, self.belief = guess, atlas, belief
        self.parts: list[_Part] = []
        self.notes: list[str] = []
        if guess.address:
            self._address(guess.address)
            return
        if all(guess.levels[name].value is None for name in LEVELS):
            self._point_alone()
            return
        code = self._country()
        city = self._city(code)
        if city is not None:
            self._finer(city)

    def _chance(self, level: str) -> float:
        return getattr(self.belief, self.guess.levels[level].confidence)

    def _unsure(self, level: str) -> bool:
        stop = self.belief.stop_at_low and self.guess.levels[level].confidence == "low"
        if stop and self.guess.levels[level].value:
            self.notes.append(f"{level}: the model is not sure")
        return stop

    def _add(self, level: str, latlon: np.ndarray, weight: np.ndarray) -> None:
        weight = np.maximum(np.asarray(weight, float), 1e-9)
        self.parts.append(_Part(level, self._chance(level), latlon, weight / weight.sum()))

    def _point_alone(self) -> None:
        """Coordinates without any name: the whole answer, at every level."""
        if self.guess.point is None:
            self.notes.append("the model can't tell")
            return
        at = np.array([self.guess.point])
        self.parts += [_Part(level, 1.0, at, np.ones(1)) for level in LEVELS]

    def _address(self, address: str) -> None:
        """A whole address, as a geocoder takes it: all parts are known, or there is nothing."""
        *finer, country = [part.strip() for part in address.split(",")]
        code = self.atlas.country(country)
        row, level = None, "country"
        for name in reversed(finer):
            level = "city" if row is None else "neighborhood"
            rows = self.atlas.cities(name, code) if row is None else self.atlas.quarters(name, row)
            if not len(rows):
                code = None
                break
            row = int(rows[0])
        if code is None or row is None:
            self.notes.append(f"no place is called {address!r}")
            return
        at = self.atlas.latlon[[row]]
        self.parts += [_Part(k, 1.0, at, np.ones(1)) for k in LEVELS[: LEVELS.index(level) + 1]]

    def _country(self) -> str | None:
        said = self.guess.levels["country"].value
        code = self.atlas.country(said)
        if said and code is None:
            self.notes.append(f"country: there is no {said!r}")
        if code:
            rows = self.atlas.largest(code, _COUNTRY_PLACES)
            people = self.atlas.places["population"].to_numpy()[rows]
            self._add("country", self.atlas.latlon[rows], np.sqrt(people + 1.0))
        return code

    def _city(self, code: str | None) -> int | None:
        said = self.guess.levels["city"].value
        if not said or self._unsure("city"):
            return None
        rows = self.atlas.cities(said, code)
        if not len(rows):
            where = f"the stated country has no {said!r}" if code else f"no city {said!r}"
            self.notes.append(f"city: {where}")
            return None
        if code is None:  # the city says which country it is
            self._add("country", self.atlas.latlon[rows], self._people(rows))
        self._add("city", self.atlas.latlon[rows], self._people(rows))
        if len(rows) > 1 and self._people(rows)[1] > 0.1 * self._people(rows)[0]:
            self.notes.append(f"city: {len(rows)} places are called {said!r}")
            return None
        return int(rows[0])

    def _people(self, rows: np.ndarray) -> np.ndarray:
        return self.atlas.places["population"].to_numpy()[rows] + 1.0

    def _finer(self, city: int) -> None:
        said = self.guess.levels["neighborhood"].value
        if said and not self._unsure("neighborhood"):
            rows = self.atlas.quarters(said, city)
            if len(rows):
                self._add("neighborhood", self.atlas.latlon[rows], np.ones(len(rows)))
            else:
                self.notes.append(f"neighborhood: the city has no {said!r}")
        if self.guess.point is None or self._unsure("exact"):
            return
        at = np.array([self.guess.point])
        if sphere.great_circle_km(at, self.atlas.latlon[city])[0] > _FAR_KM:
            self.notes.append("exact: the coordinates are far from the stated city")
            return
        if self.parts[-1].level == "city":
            self.parts.append(_Part("neighborhood", self._chance("exact"), at, np.ones(1)))
        self._add("exact", at, np.ones(1))


def _middle(part: _Part) -> np.ndarray:
    """Heaviest place of a part; for a country the best of its places by distance."""
    if part.level == "country" and len(part.latlon) > 1:
        return Posterior(part.latlon[None], part.weight[None]).best_score()[0].numpy()
    return part.latlon[part.weight.argmax()]


def _mixture(parts: list[_Part], atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
    """Support (K, 2) and weights (K,) of all levels and of the rest of the world."""
    world = atlas.world
    people = atlas.places["population"].to_numpy()[world] + 1.0
    points, weights = [atlas.latlon[world]], [(1 - parts[0].chance) * people / people.sum()]
    left = 1.0
    for k, part in enumerate(parts):
        left *= part.chance
        stays = left * (1 - parts[k + 1].chance) if k + 1 < len(parts) else left
        latlon, weight = _spread(part)
        points.append(latlon)
        weights.append(stays * weight)
    weight = np.concatenate(weights)
    return np.concatenate(points), weight / weight.sum()


def _spread(part: _Part) -> tuple[np.ndarray, np.ndarray]:
    """Put the weight of each place on itself and on six points around it, within the radius."""
    radius = RADIUS_KM.get(part.level)
    if radius is None:
        return part.latlon, part.weight
    turn = torch.arange(6, dtype=torch.float64) * 60
    ring = sphere.destination(torch.from_numpy(part.latlon)[:, None], turn, 0.7 * radius)
    points = np.concatenate([part.latlon[:, None], ring.numpy()], 1)  # (n, 7, 2)
    share = np.array([0.4, *[0.1] * 6])
    return points.reshape(-1, 2), (part.weight[:, None] * share).ravel()
