r"""Animals out of place: which observations of a species lie outside its native range.

Two questions that must not be mixed. Where does the *photo* look like: p(y | photo), from any
system of the kit. Where does the *species* live: its native range, known beforehand. For an
observation (photo, place, species):

- **range mass**: how much of p(y | photo) lies inside the native range. A dromedary in front of red
  sand and eucalypts has little of it;
- **conformal p-value**: the share of held-out native observations of the same species with as
  little range mass (`geolab.conformal`). Flags over many by Benjamini and Hochberg;
- **the baseline**: distance from the stated place to the nearest native record. It uses the place
  and never looks at the photo, and is hard to beat. It is printed whatever it says.

An observation is flagged only where its stated place lies outside the range as well. The photo then
says *why*: if it looks like the stated place (`place_p` is high) the animal may really be there; if
not, the coordinates may be wrong.

Before anything is concluded: names can be wrong, zoos and gardens are full of foreign animals,
observers go where roads are, the background gives the place away, ranges move, and coordinates of
threatened species are blurred on purpose: they stay blurred. TinyEarth's animals are synthetic;
one, the dromedary, has an introduced population, in Australia as the real one has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from geolab import sphere
from geolab.conformal import benjamini_hochberg, p_values
from geolab.data.tinyearth.scene import Scene
from geolab.data.tinyearth.species import SPECIES, species_table
from geolab.intervals import group_index, resamples, with_interval
from geolab.posterior import Posterior

if TYPE_CHECKING:
    from PIL import Image

FLAGS = 0.05
"""Share of observations that may be flagged when recall is measured."""


@dataclass(frozen=True)
class Observations:
    """Photos of animals with places.

    Attributes
    ----------
    table : DataFrame
        ``lat``, ``lon``, ``species``, ``status`` ("native" or "introduced").
    images : list of PIL.Image.Image
        Synthetic.
    """

    table: pd.DataFrame
    images: list[Image.Image]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def latlon(self) -> np.ndarray:
        """Degrees, (N, 2)."""
        return self.table[["lat", "lon"]].to_numpy(float)


def synthetic_observations(
    n_native: int,
    n_introduced: int,
    *,
    species: Sequence[str] | None = None,
    size: int = 96,
    seed=0,
) -> Observations:
    """Paint observations of TinyEarth's animals, at towns of their ranges.

    Parameters
    ----------
    n_native : int
        For each species.
    n_introduced : int
        For each species that has an introduced range.
    species : sequence of str, optional
        All twelve if not given.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for one in SPECIES:
        if species is not None and one.name not in species:
            continue
        for status, n in (("native", n_native), ("introduced", n_introduced)):
            places = _towns_in(one.name, status)
            if not len(places) or not n:
                continue
            for lat, lon in places[rng.choice(len(places), n)] + rng.normal(0, 0.02, (n, 2)):
                rows.append((round(lat, 5), round(lon, 5), one.name, status))
    table = pd.DataFrame(rows, columns=["lat", "lon", "species", "status"])
    images = [
        Scene(
            lat=row.lat, lon=row.lon, month=int(rng.integers(1, 13)), view="animal",
            species=row.species, seed=int(rng.integers(2**31)), photographer=f"w{i % 97}",
        ).street(size)
        for i, row in enumerate(table.itertuples())
    ]  # fmt: skip
    return Observations(table, images)


def in_range(latlon: np.ndarray, species: str, status: str = "native") -> np.ndarray:
    """Which places (N, 2) lie in the range of a species: bool (N,)."""
    table = species_table()
    caps = table[(table["species"] == species) & (table["status"] == status)]
    if not len(caps):
        return np.zeros(len(latlon), bool)
    km = sphere.great_circle_matrix(
        np.asarray(latlon, float), caps[["lat", "lon"]].to_numpy(float)
    ).numpy()
    return (km <= caps["radius_km"].to_numpy()).any(1)


def _towns_in(species: str, status: str) -> np.ndarray:
    from geolab.cities import cities_only

    towns = cities_only().places[["lat", "lon"]].to_numpy(float)
    return towns[in_range(towns, species, status)]


def range_mass(posterior: Posterior, species: Sequence[str]) -> np.ndarray:
    """Weight of each answer inside the native range of its species, float64 (B,).

    Examples
    --------
    >>> range_mass(Posterior([[[25.0, 8.0], [-25.0, 133.0]]], [[0.25, 0.75]]), ["dromedary"])
    array([0.25])
    """
    out = np.zeros(len(posterior))
    names = np.asarray(species)
    for name in set(species):
        rows = np.flatnonzero(names == name)
        some = posterior[rows.tolist()]
        flat = some.latlon.double().reshape(-1, 2).numpy()  # (b, K, 2) -> (b K, 2)
        inside = in_range(flat, name).reshape(len(rows), -1)
        out[rows] = (some.weight.double().numpy() * inside).sum(1)
    return out


def nearest_record_km(
    latlon: np.ndarray, species: Sequence[str], records: Observations
) -> np.ndarray:
    """Kilometres to the nearest native record of the species, the baseline: (N,)."""
    native = records.table[records.table["status"] == "native"]
    out = np.full(len(latlon), np.inf)
    for i, (place, name) in enumerate(zip(latlon, species, strict=True)):
        own = native.loc[native["species"] == name, ["lat", "lon"]].to_numpy(float)
        if len(own):
            out[i] = float(sphere.great_circle_matrix(place[None], own).min())
    return out


def range_p_values(
    held: Posterior, held_species: Sequence[str], asked: Posterior, species: Sequence[str]
) -> np.ndarray:
    """P-value of each observation among held-out native ones of its species, (B,).

    Where a species has no held-out observation those of all species stand in.
    """
    known, names = 1 - range_mass(held, held_species), np.asarray(held_species)
    score, out = 1 - range_mass(asked, species), np.ones(len(species))
    for name in set(species):
        rows = np.asarray(species) == name
        own = known[names == name] if (names == name).any() else known
        out[rows] = p_values(own, score[rows])
    return out


def flagged(p: np.ndarray, latlon: np.ndarray, species: Sequence[str], rate: float) -> np.ndarray:
    """Observations outside the range whose p-values pass Benjamini and Hochberg: bool (N,)."""
    names = np.asarray(species)
    outside = np.array(
        [not in_range(place[None], name)[0] for place, name in zip(latlon, names, strict=True)]
    )
    return benjamini_hochberg(p, rate) & outside


def compare(
    scores: dict[str, np.ndarray], introduced: np.ndarray, *, groups=None, seed: int = 0
) -> pd.DataFrame:
    """AUROC and recall at 5 % flags of each score, with 95 % intervals.

    Parameters
    ----------
    scores : dict of str to ndarray, shape (N,)
        More means more out of place.
    introduced : ndarray of bool, shape (N,)

    Returns
    -------
    DataFrame
        Columns ``score``, ``auroc``, ``recall``: a `geolab.intervals.Estimate` each.

    Raises
    ------
    ValueError
        If one of the two kinds is missing.
    """
    if introduced.all() or not introduced.any():
        raise ValueError("to compare, give observations of both kinds: native and introduced")
    label, n_groups = group_index(groups, len(introduced))
    counts = np.concatenate(list(resamples(n_groups, 300, seed)))[:, label]  # (R, N)
    rows = []
    for name, score in scores.items():
        row: dict[str, object] = {"score": name}
        for figure, measure in (("auroc", _auroc), ("recall", _recall)):
            value = measure(score, introduced, np.ones(len(score)))
            drawn = np.array([measure(score, introduced, c) for c in counts])
            row[figure] = with_interval(value, drawn[~np.isnan(drawn)], n_groups)
        rows.append(row)
    return pd.DataFrame(rows)


def _auroc(score: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    if not weight[positive].sum() or not weight[~positive].sum():
        return float("nan")
    score = np.nan_to_num(score, posinf=1e12)
    return float(roc_auc_score(positive, score, sample_weight=weight))


def _recall(score: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> float:
    """Share of the introduced among the 5 % with the highest scores; ties share what is left."""
    total = weight[positive].sum()
    if not total:
        return float("nan")
    left, found = FLAGS * weight.sum(), 0.0
    for value in np.unique(score)[::-1]:
        tied = score == value
        size = weight[tied].sum()
        share = min(1.0, left / size) if size else 0.0
        found += share * weight[tied & positive].sum()
        left -= share * size
        if left <= 0:
            break
    return float(found / total)
