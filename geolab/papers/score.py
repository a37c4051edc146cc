"""Score anybody's answers on a frozen list, and say everything that was done to the file.

    scored = score_predictions(read_predictions("theirs.csv"), load_truth("im2gps3k"))

- n is that of the list. A photo without an answer is a miss, whether its row failed or is absent.
- The author's own n, the photos that got an answer, is printed beside it, and so are other n that
  papers divide by: the hits are the same, the shares are not.
- Two rows for one photo: one is kept if they agree, else nothing is scored.
- Distances are recomputed; a file's own are only asked what radius they were made with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from geolab.data.benchmarks import hash_of
from geolab.data.errors import DataError
from geolab.evaluation import Options, evaluate_points
from geolab.metrics import THRESHOLDS_KM, errors_km
from geolab.papers.predictions import Predictions
from geolab.papers.radius import RADII_KM, FittedRadius, fit_radius, hits, stable_radii
from geolab.papers.slips import find_slips
from geolab.papers.truth import Truth
from geolab.rows import Row

MAX_NAMED = 5


@dataclass(frozen=True)
class Scored:
    """What came out.

    Attributes
    ----------
    row : Row
        Divided by the n of the frozen list.
    answered : Row, optional
        Divided by the photos that got an answer; None where that is all of them, or none.
    errors : ndarray, shape (n,)
        Kilometres, in the order of the list; infinity is a miss.
    about : tuple of str
        What was found in the file and what was done about it.
    other_n : tuple of int
    fitted : FittedRadius, optional
        Of the file's own distances.
    """

    row: Row
    answered: Row | None
    errors: np.ndarray
    about: tuple[str, ...]
    other_n: tuple[int, ...]
    fitted: FittedRadius | None

    def denominators(self) -> list[tuple[str, int, list[float]]]:
        """Shares within the five distances, divided by each n that somebody may use.

        Returns
        -------
        list of (str, int, list of float)
            What n is, n, and per cent.
        """
        n_answered = self.row.n - self.row.failed
        counted = [
            ("frozen list", self.row.n),
            ("with an answer (author's n)", n_answered),
        ]
        counted += [("also in use", n) for n in self.other_n]
        found = hits(self.errors)
        return [(what, n, [100 * k / n for k in found]) for what, n in counted if n]

    def radii(self) -> dict[float, list[int]]:
        """Hits within the five distances, by radius of the Earth in km."""
        return {radius: hits(self.errors, radius) for radius in RADII_KM}


def score_predictions(
    predictions: Predictions,
    truth: Truth,
    *,
    system: str = "",
    options: Options | None = None,
    command: str = "",
) -> Scored:
    """Match, check and score.

    Parameters
    ----------
    predictions : Predictions
    truth : Truth
    system : str
        Name for the table; the file's name if empty.

    Raises
    ------
    DataError
        No photo of the list is in the file, or two rows give one photo two places.
    """
    frozen = truth.benchmark
    rows = np.array([truth.find(photo) for photo in predictions.photo], np.int64)
    if not (rows >= 0).any():
        raise DataError(
            f"{predictions.path}: none of its {len(rows):,} photos is in {frozen.name}. It names "
            f"them like {predictions.photo[0]!r}, the list like {next(iter(truth.row_of))!r}. "
            "Fix: use the ids or file names of the list"
        )
    kept, collapsed = _one_row_each(predictions, rows)
    points, stated = np.full((frozen.n, 2), np.nan), np.full(frozen.n, np.nan)
    points[rows[kept]] = predictions.latlon[kept]
    stated[rows[kept]] = predictions.stated_km[kept]
    errors = errors_km(points, frozen.latlon)
    failures = _failures(predictions, rows, kept, truth)
    counts = {
        "unknown": int((rows < 0).sum()),
        "collapsed": collapsed,
        "absent": sum(why == _ABSENT for why in failures.values()),
    }
    name = system or predictions.path.stem
    about = {
        "groups": list(frozen.photographer) if frozen.photographer else None,
        "options": options or Options(),
        "synthetic": truth.synthetic,
        "command": command,
        "parameters": _parameters(predictions, truth, counts, errors),
    }
    how = {"benchmark": frozen.name, "benchmark_hash": frozen.hash, "failures": failures}
    row = evaluate_points(name, points, frozen.latlon, **how, **about)
    return Scored(
        row=row,
        answered=_answered(row, points, truth, about),
        errors=errors,
        about=(
            *_said(predictions, truth, rows, failures, counts),
            *find_slips(predictions, points, frozen.latlon, errors),
        ),
        other_n=truth.other_n,
        fitted=fit_radius(stated, errors),
    )


_ABSENT = "no row in the file"


def _one_row_each(predictions: Predictions, rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Rows to keep (K,), and how many equal ones fell away; refuses two places for one photo."""
    first: dict[int, int] = {}
    different = []
    for i, row in enumerate(rows.tolist()):
        if row < 0:
            continue
        j = first.setdefault(row, i)
        if not np.array_equal(predictions.latlon[i], predictions.latlon[j], equal_nan=True):
            different.append((j, i))
    if different:
        raise DataError(
            f"{predictions.path}: {len(different)} photos have two different places: "
            f"{'; '.join(_both(predictions, *pair) for pair in different[:MAX_NAMED])}"
            f"{'; ...' if len(different) > MAX_NAMED else ''}. Fix: keep one row of each"
        )
    return np.array(sorted(first.values()), np.int64), int((rows >= 0).sum()) - len(first)


def _both(predictions: Predictions, one: int, other: int) -> str:
    """Two rows of one photo, for a message."""
    places = [predictions.reason[i] or "{:g}, {:g}".format(*predictions.latlon[i])
              for i in (one, other)]  # fmt: skip
    return (
        f"{predictions.photo[other]!r} in line {predictions.line[one]} ({places[0]}) and line "
        f"{predictions.line[other]} ({places[1]})"
    )


def _failures(
    predictions: Predictions, rows: np.ndarray, kept: np.ndarray, truth: Truth
) -> dict[str, str]:
    """Id to reason for every photo of the list without an answer."""
    why = dict.fromkeys(range(truth.benchmark.n), _ABSENT)
    why |= {int(rows[i]): predictions.reason[i] for i in kept}
    return {truth.benchmark.ids[row]: reason for row, reason in why.items() if reason}


def _parameters(
    predictions: Predictions, truth: Truth, counts: dict[str, int], errors: np.ndarray
) -> dict[str, object]:
    """What a row keeps of the file and of the two ways to get other numbers from it."""
    found = {f"{radius:g}": hits(errors, radius) for radius in RADII_KM}
    return {
        "predictions": predictions.path.name,
        "predictions_sha256": predictions.sha256,
        "rows_in_file": len(predictions.photo),
        **counts,
        "answered": int(np.isfinite(errors).sum()),
        "other_n": list(truth.other_n),
        "hits_by_radius_km": found,
        "same_hits_between_radii_km": list(stable_radii(errors)),
    }


def _answered(row: Row, points: np.ndarray, truth: Truth, about: dict[str, object]) -> Row | None:
    """The same file divided by the author's own n: a list of its own, with its own hash."""
    good = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(good) in (0, truth.benchmark.n):
        return None
    groups = about["groups"]
    subset = {"groups": [groups[i] for i in good] if groups else None}
    places = truth.benchmark.latlon[good]
    ids = [truth.benchmark.ids[i] for i in good]
    name = f"{row.benchmark}, only the {len(good):,} photos with an answer"
    scored = evaluate_points(
        row.system, points[good], places, benchmark=name, **{**about, **subset}
    )
    return replace(scored, benchmark_hash=hash_of(ids, places), note="not the frozen list")


def _said(
    predictions: Predictions,
    truth: Truth,
    rows: np.ndarray,
    failures: dict[str, str],
    counts: dict[str, int],
) -> list[str]:
    """What was found in the file, in words."""
    read = ", ".join(f"{role} from {name!r}" for role, name in predictions.columns.items())
    lines = [f"{predictions.path.name}: {len(rows):,} rows; {read}", *predictions.passed_over[:3]]
    lines.append(_resampled(truth))
    if counts["collapsed"]:
        lines.append(f"equal rows for one photo, taken once: {counts['collapsed']:,} too many")
    if counts["unknown"]:
        strangers = [p for p, row in zip(predictions.photo, rows, strict=True) if row < 0]
        hint = "; look at --n and --seed" if truth.synthetic else ""
        lines.append(
            f"not in the list, left out: {len(strangers):,} rows ({_some(strangers)}){hint}"
        )
    return [*lines, *_misses(predictions, truth, rows, failures)]


def _misses(
    predictions: Predictions, truth: Truth, rows: np.ndarray, failures: dict[str, str]
) -> list[str]:
    """Misses by reason: where in the file, or which names of the list the file lacks."""
    where: dict[str, list[str]] = {}
    for row, why, line in zip(rows, predictions.reason, predictions.line, strict=True):
        if row >= 0 and why:
            where.setdefault(why, []).append(str(line))
    lines = [f"misses, {why}: {len(at):,} (line {_some(at)})" for why, at in where.items()]
    absent = [i for i, photo in enumerate(truth.benchmark.ids) if failures.get(photo) == _ABSENT]
    if absent:
        names = [truth.name_of(row) for row in absent]
        lines.append(f"misses, {_ABSENT}: {len(names):,} ({_some(names)})")
    return lines


def _resampled(truth: Truth) -> str:
    """Whose photos the intervals keep together."""
    frozen = truth.benchmark
    if not frozen.photographer or truth.unit == "photo":
        return f"intervals resample {frozen.n:,} photos: too narrow, no photographers are known"
    n_known = len({who for who in frozen.photographer if who})
    return f"intervals resample {n_known:,} {truth.unit}s of {frozen.n:,} photos"


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - MAX_NAMED:,} more" if len(items) > MAX_NAMED else ""
    return ", ".join(items[:MAX_NAMED]) + more


def report(scored: Scored) -> list[str]:
    """Denominators and radii as lines to print below the table."""
    heads = " ".join(f"{limit:>8,}" for limit in THRESHOLDS_KM)
    lines = [f"{'% within km, divided by':<36} {heads}"]
    for what, n, shares in scored.denominators():
        cells = " ".join(f"{share:8.2f}" for share in shares)
        lines.append(f"{f'{n:,}, {what}':<36} {cells}")
    lines.append(f"{'hits, radius of the Earth in km':<36} {heads}")
    for radius, counts in scored.radii().items():
        lines.append(f"{radius:<36.3f} " + " ".join(f"{count:>8,}" for count in counts))
    low, high = stable_radii(scored.errors)
    lines.append(f"the hits of the table hold for any radius above {low:,.3f} up to {high:,.3f} km")
    if scored.fitted:
        lines.append(describe_fit(scored.fitted))
    return lines


def describe_fit(fitted: FittedRadius) -> str:
    """Say what the file's own distances were made with."""
    if fitted.fits:
        return (
            f"the file's own {fitted.n:,} distances are those of a sphere of "
            f"{fitted.radius_km:,.2f} km, to within {fitted.worst_km:.3f} km; not used"
        )
    return (
        f"the file's own {fitted.n:,} distances fit no sphere (best {fitted.radius_km:,.2f} km, "
        f"off by up to {fitted.worst_km:,.3f} km): an ellipsoid, or other positions; not used"
    )
