"""Is a claimed place plausible? A journalist's question, the opposite of searching for a person.

Somebody says where a photo was taken. Each system is asked how well the claim fits, and photos with
known places say how odd that is (`geolab.conformal`). What comes back is a p-value, not a verdict:

- a small one: a true claim would look this odd so seldom. The best rival places are shown with it;
- a large one: the photo does not speak against the claim. It is no proof: claims near the truth, or
  about places that look alike, pass as well, and so does everything when a system knows little.

The promise, at most 5 % of true claims rejected at level 0.05, holds for photos of new
photographers like the ones that it was calibrated on, and for no others. Photographers count, not
photos: on TinyEarth (*synthetic*, 1,998 claims) a test counted by photos rejected 13 % of the true
ones, since one person had taken a quarter of the known photos; counted by photographers, 4.5 %. It
is an average over which photographers are known: 4.0 % over 20 ways to deal them (notebook 17), one
way alone may be off by several points. `study` measures it, and the power against wrong claims, on
photos of your own kind. With several systems the level is shared among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from geolab.cities import City, cities_of
from geolab.conformal import misfit, p_values
from geolab.evaluation import group_labels, truth_of
from geolab.intervals import Estimate, bootstrap_means, group_index, with_interval
from geolab.likelihood import KernelWidth, fit_width
from geolab.posterior import Posterior
from geolab.sphere import ArrayLike

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

LEVEL = 0.05
FEWEST = 19
"""Photographers without whom nothing could be rejected at that level."""
_WIDTH_SHARE = 1 / 3
"""Of the photos kept apart, those that choose the width; the rest give the known scores."""


@dataclass(frozen=True)
class Judge:
    """A system with what it takes to call a claim odd.

    Attributes
    ----------
    name : str
    locate : callable
        Images to a `Posterior`.
    width : KernelWidth
    known : ndarray of float64, shape (n,)
        Misfit of photos at their true places.
    groups : ndarray of int64, shape (n,), or None
        Photographers of the known photos, who count alike; None where they are too few for that,
        and photos count.
    """

    name: str
    locate: Callable[[Sequence[Image.Image]], Posterior] = field(repr=False)
    width: KernelWidth
    known: np.ndarray = field(repr=False)
    groups: np.ndarray | None = field(default=None, repr=False)

    @property
    def counted(self) -> str:
        """What the p-value counts, in words."""
        if self.groups is None:
            return f"{len(self.known)} photos, as if each had come by itself"
        return f"{len(np.unique(self.groups))} photographers with {len(self.known)} photos"

    def p_values(self, answer: Posterior, claimed: ArrayLike) -> np.ndarray:
        """P-value of each claim, (B,)."""
        return p_values(self.known, misfit(answer, claimed, self.width), self.groups)


@dataclass(frozen=True)
class Opinion:
    """What one system says of one claim.

    Attributes
    ----------
    system : str
    p : float
    rivals : tuple of City
        Best places instead, to the city.
    """

    system: str
    p: float
    rivals: tuple[City, ...]


def calibrated(
    name: str, locate: Callable[[Sequence[Image.Image]], Posterior], held: Dataset, seed: int = 0
) -> Judge:
    """Make a judge of a system by photos that it has not learnt from.

    Parameters
    ----------
    locate : callable
        Images to a `Posterior`.
    held : Dataset
        With places; whole photographers choose the width of the density or give the known scores.

    Raises
    ------
    ValueError
        If fewer than 30 of them can be read.
    """
    from geolab.data.photos import read_images

    read = read_images(held)
    good = [i for i, image in enumerate(read.images) if image is not None]
    if len(good) < 30:
        raise ValueError(
            f"{len(good)} photos to calibrate on can be read; 30 are the least, 200 are better"
        )
    answer = locate([read.images[i] for i in good])
    return judge_of(name, locate, answer, truth_of(held)[good], _labels(held, good), seed)


def judge_of(
    name: str,
    locate: Callable[[Sequence[Image.Image]], Posterior],
    answer: Posterior,
    truth: np.ndarray,
    groups: Sequence[object] | None = None,
    seed: int = 0,
) -> Judge:
    """As `calibrated`, from answers that are there already: B of them with their truth (B, 2).

    With `FEWEST` photographers to compare with, photographers count; with fewer, photos.
    """
    label, n = group_index(groups, len(answer))
    order = np.random.default_rng(seed).permutation(n)
    chooses = np.isin(label, order[: max(1, round(_WIDTH_SHARE * n))])
    rows = np.flatnonzero(chooses)
    width = fit_width(answer[rows.tolist()], truth[rows])
    rest = np.flatnonzero(~chooses)
    known = misfit(answer[rest.tolist()], truth[rest], width)
    people = label[rest]
    enough = FEWEST <= len(np.unique(people)) < len(people)
    return Judge(name, locate, width, known, people if enough else None)


def _labels(photos: Dataset, rows: Sequence[int]) -> list[object] | None:
    labels = group_labels(photos)[1]
    return None if labels is None else [labels[i] for i in rows]


def verify(image: Image.Image, claimed: ArrayLike, judges: Sequence[Judge]) -> list[Opinion]:
    """Ask every judge about one photo.

    Parameters
    ----------
    image : PIL.Image.Image
    claimed : array_like, shape (2,)
        Degrees.

    Raises
    ------
    ValueError
        If the claim is not on Earth.
    """
    place = np.asarray(claimed, float).reshape(1, 2)
    out = []
    for judge in judges:
        answer = judge.locate([image])
        p = float(judge.p_values(answer, place)[0])
        out.append(Opinion(judge.name, p, cities_of(answer, 3)))
    return out


def verdict(opinions: Sequence[Opinion], level: float = LEVEL) -> str:
    """One sentence; with several systems the smallest p-value is held against a share of the level.

    Examples
    --------
    >>> verdict([Opinion("a", 0.2, ()), Opinion("b", 0.01, ())])
    'The photo speaks against the claim (b: p = 0.010, under 0.025 for 2 systems).'
    """
    share = level / len(opinions)
    least = min(opinions, key=lambda opinion: opinion.p)
    among = f" for {len(opinions)} systems" if len(opinions) > 1 else ""
    said = f"{least.system}: p = {least.p:.3f}"
    if least.p < share:
        return f"The photo speaks against the claim ({said}, under {share:.3g}{among})."
    return (
        f"The photo does not speak against the claim (least p, {said}, not under "
        f"{share:.3g}{among}). That is no proof of it."
    )


@dataclass(frozen=True)
class Study:
    """How a judge does on photos with known places.

    Attributes
    ----------
    n : int
    rejected_true, rejected_swapped : Estimate
        Per cent of true claims, and of claims of another photo's place in another country, that
        are rejected. The first should be near the level, the second is the power.
    """

    n: int
    rejected_true: Estimate
    rejected_swapped: Estimate


def study(
    judge: Judge,
    answer: Posterior,
    truth: np.ndarray,
    countries: Sequence[Any],
    *,
    groups: Sequence[object] | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Study:
    """Measure size and power on photos that took no part in fitting or calibration.

    Parameters
    ----------
    answer : Posterior
        Of B photos.
    truth : ndarray, shape (B, 2)
    countries : sequence of B
        A swapped claim is the place of a random photo of another country.
    groups : sequence of B, optional
        Photographers, for the intervals.

    Raises
    ------
    ValueError
        If all photos are of one country.
    """
    swapped = _swapped(truth, countries, seed)
    label, n_groups = group_index(groups, len(truth))
    out = []
    for claimed in (truth, swapped):
        rejected = 100.0 * (judge.p_values(answer, claimed) <= level)
        samples = bootstrap_means(rejected[:, None], label, n_groups, n_boot=1000, seed=seed)[:, 0]
        out.append(with_interval(float(rejected.mean()), samples, n_groups))
    return Study(len(truth), *out)


def _swapped(truth: np.ndarray, countries: Sequence[Any], seed: int) -> np.ndarray:
    names = np.asarray([str(name) for name in countries])
    if len(set(names)) < 2:
        raise ValueError("claims can't be swapped: all photos are of one country")
    rng = np.random.default_rng(seed)
    out = np.empty_like(truth)
    for i, name in enumerate(names):
        out[i] = truth[rng.choice(np.flatnonzero(names != name))]
    return out
