r"""A trip as a hidden Markov chain: what the photos before and after say about this one.

A photo alone may be of Porto or of Recife; between two photos of Lisbon, an hour apart, it is of
Porto. The places are cities, the hidden state is the city of a photo, and

.. math:: p(s_{1:T} \mid x_{1:T}) \propto \pi(s_1) \prod_t \frac{p(s_t \mid x_t)}{\pi(s_t)}
          \prod_{t>1} A_t(s_{t-1}, s_t),
          \qquad A_t(i, j) = (1 - q)\,\frac{\pi_j e^{-d_{ij} / \ell_t}}
          {\sum_k \pi_k e^{-d_{ik} / \ell_t}} + q\,\pi_j

- :math:`p(s \mid x)` is any locator's answer for the photo alone, added up by city;
- :math:`\pi` is how the locator's references are spread. Each answer has it in already, and
  without the division a trip of T photos would count it T times;
- :math:`d` is the great-circle distance and :math:`\ell_t` = stay + speed x hours the way one gets
  in the time between two photos;
- :math:`q` is the chance of a flight: anywhere, whatever the clock says.

Forward and backward (Rabiner, "A tutorial on hidden Markov models", Proc. IEEE, 1989) give the
answer for each photo from all of them. After long enough a time
each photo is on its own again. A photo with GPS of its own holds the chain at its place.

Photos of a trip err together, and a chain that takes them for independent witnesses is far too
sure: on synthetic trips its circles of 80 % held 4 places in 10. Hence `Travel.trust`, `floor` and
`alone`, chosen on validation trips of TinyEarth (synthetic). On its 287 test trips of two photos or
more (1,978 photos, 151 photographers; 100 neighbours in the shipped CLIP among 15,421 references):

============== ======================= =================== ====================
answer         median km               within 750 km, %    circles of 80 % hold
============== ======================= =================== ====================
photo alone    1,486 [907, 2,124]      36.6 [28.4, 45.8]   60 % [55, 67]
mean of trip   950 [585, 1,812]        42.7 [31.6, 55.7]
chain          894 [558, 1,586]        45.4 [35.0, 57.5]   72 % [65, 81]
============== ======================= =================== ====================

The chain gains 467 [312, 622] points of GeoGuessr's on the photo alone, and 168 [34, 300] on the
mean. Trips of TinyEarth are short, which is what the mean likes.

PlaNet's recurrent network (`geolab.locators.albums`) learns all that from albums with known places,
of which a family has none; this chain has three numbers, and works on every locator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from geolab.cities import cities_only, city_rows
from geolab.posterior import Posterior
from geolab.sphere import great_circle_matrix


@dataclass(frozen=True)
class Travel:
    """How a family moves.

    Attributes
    ----------
    stay_km : float
        Mean way with no time between two photos; also what the cities' grid can't resolve.
    speed_kmh : float
        Mean growth of that way, nights included.
    flight : float
        Chance, at each step, of being anywhere.
    unknown_hours : float
        Between photos whose times say nothing.
    trust : float
        Power of each photo's likelihood: photos of one trip share camera and light, so they err
        together and must not be counted as if each were news.
    floor : float
        Share of each photo's likelihood that is spread evenly: a locator that is wrong and sure of
        it can't break the chain.
    alone : float
        Chance that the chain is wrong about a photo, which then stands alone. It leaves the best
        place as it is and makes the circle around it as wide as it has to be.
    max_places : int
        Cities kept, the heaviest.
    """

    stay_km: float = 40.0
    speed_kmh: float = 10.0
    flight: float = 0.01
    unknown_hours: float = 24.0
    trust: float = 0.5
    floor: float = 0.6
    alone: float = 0.4
    max_places: int = 800

    def __post_init__(self) -> None:
        if not (self.stay_km > 0 and self.speed_kmh >= 0 and self.unknown_hours >= 0):
            raise ValueError(f"stay_km must be positive, speed and hours not less than 0: {self}")
        if not (0 < self.trust <= 1 and 0 <= self.flight <= 1 and 0 <= self.alone <= 1):
            raise ValueError(f"trust, flight and alone are shares from 0 to 1: {self}")
        if not 0 <= self.floor < 1 or self.max_places < 1:
            raise ValueError(f"floor must be in [0, 1), max_places at least 1: {self}")


@dataclass(frozen=True)
class Trip:
    """Answer for each photo of an album, over cities.

    Attributes
    ----------
    cities : ndarray of int, shape (S,)
        Rows of `geolab.cities.cities_only`.
    alone, together : Posterior
        Of each photo by itself, and from all photos; T photos over the S cities.
    """

    cities: np.ndarray
    alone: Posterior
    together: Posterior


def smooth(
    answers: Posterior,
    hours: np.ndarray,
    *,
    references: np.ndarray | None = None,
    known: Sequence[tuple[float, float] | None] | None = None,
    travel: Travel | None = None,
) -> Trip:
    """Let the photos of an album, in order of time, inform each other.

    Parameters
    ----------
    answers : Posterior with T rows
        For each photo alone.
    hours : ndarray, shape (T - 1,)
        From each photo to the next; NaN where nobody knows.
    references : ndarray, shape (N, 2), optional
        Places that the locator learned from, in degrees. Without them every city of the answers
        counts as equally likely beforehand.
    known : sequence of T places or None, optional
        Photos with a place of their own, which is then not asked.
    travel : Travel, optional

    Returns
    -------
    Trip

    Raises
    ------
    ValueError
        If numbers don't fit or an interval is negative.
    """
    travel, n = travel or Travel(), len(answers)
    known = list(known) if known is not None else [None] * n
    hours = np.asarray(hours, float)
    if len(known) != n or hours.shape != (max(0, n - 1),) or (hours < 0).any():
        raise ValueError(
            f"{n} answers ask for {max(0, n - 1)} intervals that are not negative and {n} known "
            f"places or None; these are {hours.tolist()} and {len(known)}"
        )
    rows, weight = _by_city(answers, known, travel.max_places)
    latlon = cities_only().places[["lat", "lon"]].to_numpy(float)[rows].round(1)
    alone = Posterior.from_votes(latlon, weight)
    if n < 2:  # no neighbours: nothing to learn from them
        return Trip(rows, alone, alone)
    prior = _prior(rows, references)
    likelihood = _likelihood(alone.weight.numpy(), prior, known, travel)
    step = _steps(latlon, prior, travel)
    belief = forward_backward(likelihood, prior, [step(gap) for gap in hours])
    mixed = (1 - travel.alone) * belief + travel.alone * alone.weight.numpy()
    return Trip(rows, alone, Posterior.from_votes(latlon, mixed))


def forward_backward(
    likelihood: np.ndarray, prior: np.ndarray, steps: Sequence[np.ndarray]
) -> np.ndarray:
    """Belief about each of T states from all observations.

    Parameters
    ----------
    likelihood : ndarray, shape (T, S)
        Of what was seen, up to a factor for each row.
    prior : ndarray, shape (S,)
        Of the first state.
    steps : sequence of T - 1 ndarrays, shape (S, S)
        Row i: where one is after being at i.

    Returns
    -------
    ndarray of float64, shape (T, S)
        Rows sum to 1.

    Examples
    --------
    >>> stay = np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> seen = np.array([[0.9, 0.1], [0.5, 0.5], [0.9, 0.1]])  # the middle photo says nothing
    >>> forward_backward(seen, np.array([0.5, 0.5]), [stay, stay])[1].round(3).tolist()
    [0.954, 0.046]
    """
    forward, backward = np.empty_like(likelihood), np.ones_like(likelihood)
    for t, seen in enumerate(likelihood):
        forward[t] = (prior if not t else forward[t - 1] @ steps[t - 1]) * seen
        forward[t] /= forward[t].sum()
    for t in range(len(likelihood) - 2, -1, -1):
        backward[t] = steps[t] @ (likelihood[t + 1] * backward[t + 1])
        backward[t] /= backward[t].sum()
    belief = forward * backward
    return belief / belief.sum(1, keepdims=True)


def _by_city(
    answers: Posterior, known: Sequence[tuple[float, float] | None], most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cities (S,) and the weight that each photo gives them (T, S); a known place has all of it."""
    n, k = len(answers), answers.support_size
    if not n:
        return np.zeros(1, int), np.zeros((0, 1))
    points, weight = answers.latlon.double().numpy(), answers.weight.double().numpy().copy()
    fixed = [i for i, place in enumerate(known) if place is not None]
    points = np.concatenate([points, np.zeros((n, 1, 2))], 1)
    weight = np.concatenate([weight, np.zeros((n, 1))], 1)
    for i in fixed:
        points[i, k], weight[i] = known[i], 0
        weight[i, k] = 1
    photo, place = np.nonzero(weight)
    at = points[photo, place].round(1)
    spots, spot = np.unique(at, axis=0, return_inverse=True)
    rows, row = np.unique(city_rows(spots), return_inverse=True)
    table = np.zeros((n, len(rows)))
    np.add.at(table, (photo, row[spot.reshape(-1)]), weight[photo, place])
    keep = np.argsort(-table.sum(0) - table[fixed].sum(0) * n, kind="stable")[:most]
    return rows[np.sort(keep)].astype(int), table[:, np.sort(keep)]


def _prior(rows: np.ndarray, references: np.ndarray | None) -> np.ndarray:
    """Share of the references in each city (S,); one more each, as if all had been seen once."""
    count = np.ones(len(rows))
    if references is not None and len(references):
        found, n = np.unique(city_rows(np.asarray(references, float).round(1)), return_counts=True)
        count += np.array([dict(zip(found, n, strict=True)).get(row, 0) for row in rows])
    return count / count.sum()


def _likelihood(
    weight: np.ndarray,
    prior: np.ndarray,
    known: Sequence[tuple[float, float] | None],
    travel: Travel,
) -> np.ndarray:
    """Answer over prior (T, S), with the floor; photos that know their place have none."""
    ratio = weight / prior
    ratio /= np.maximum(ratio.sum(1, keepdims=True), 1e-300)
    ratio = ratio**travel.trust
    ratio /= np.maximum(ratio.sum(1, keepdims=True), 1e-300)
    floor = np.array([0.0 if place is not None else travel.floor for place in known])[:, None]
    return (1 - floor) * ratio + floor / weight.shape[1]


def _steps(latlon: np.ndarray, prior: np.ndarray, travel: Travel) -> Callable[[float], np.ndarray]:
    """Transition (S, S) for an interval in hours; intervals are rounded, and each made once."""
    km, made = great_circle_matrix(latlon, latlon).double().numpy(), {}

    def step(hours: float) -> np.ndarray:
        hours = travel.unknown_hours if math.isnan(hours) else hours
        way = travel.stay_km + travel.speed_kmh * hours
        level = round(4 * math.log2(way))  # a fifth more or less is the same way
        if level not in made:
            local = prior * np.exp(-km / 2 ** (level / 4)) + 1e-300  # nothing is impossible
            local /= local.sum(1, keepdims=True)
            made[level] = (1 - travel.flight) * local + travel.flight * prior
        return made[level]

    return step
