"""Cases of `geolab.kernels.optics`: the photos of one geocell, made into clusters.

The points are synthetic: half of them spread over a cell at 48 degrees north, half in five towns.
The peer to beat is PIGEON's step, scikit-learn's OPTICS on the precomputed matrix, with the making
of the matrix. Its haversine ball tree is beside it.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.cluster import OPTICS

from geolab.bench.harness import Case
from geolab.kernels.optics import optics, optics_reference

XI = 0.05
MATRIX, TREE = "scikit-learn OPTICS, precomputed matrix", "scikit-learn OPTICS, haversine ball tree"


def cases(big: bool) -> list[Case]:
    """1000 and 2000 points; ``--big`` adds 4000, where the matrix takes half a minute."""
    made = [_case(1000, 30, 0.05), _case(2000, 100, 0.05)]
    return [*made, _case(4000, 100)] if big else made


def photos_of_a_cell(n: int, seed: int = 0) -> np.ndarray:
    """Synthetic points (n, 2) in degrees: a town's are about 2 km apart, the others 50."""
    rng = np.random.default_rng(seed)
    towns = rng.uniform((47, 10), (49, 12), (5, 2))
    points = rng.normal((48, 11), (0.5, 0.7), (n, 2))
    in_town = np.arange(n) % 2 == 1
    points[in_town] = rng.normal(towns[rng.integers(5, size=in_town.sum())], 0.02)
    return points


def by_ball_tree(points: np.ndarray, min_samples: int) -> np.ndarray:
    """Labels (n,) by neighbour queries in radians."""
    model = OPTICS(min_samples=min_samples, xi=XI, metric="haversine", algorithm="ball_tree")
    with np.errstate(divide="ignore", invalid="ignore"):
        return model.fit(np.radians(points)).labels_


def _case(n: int, min_samples: int, target: float | None = None) -> Case:
    points, found = photos_of_a_cell(n), []
    ours = partial(optics, points, min_samples, XI)

    def by_matrix() -> np.ndarray:
        found[:] = [optics_reference(points, min_samples, XI)]  # kept, for it takes seconds
        return found[0]

    return Case(
        kernel="optics",
        name=f"min_samples {min_samples}",
        size=f"{n} points",
        ours=ours,
        peers={
            MATRIX: by_matrix,
            TREE: lambda: by_ball_tree(points, min_samples),
            "ours in plain numpy": lambda: ours(backend="torch"),
        },
        targets={} if target is None else {MATRIX: target},
        agree=lambda: agreement(points, min_samples, found[0] if found else by_matrix()),
    )


def agreement(points: np.ndarray, min_samples: int, want: np.ndarray) -> str:
    """Labels of both paths against scikit-learn's on the matrix, `want`."""
    got = [optics(points, min_samples, XI, backend=backend) for backend in ("auto", "torch")]
    same = [int((labels == want).sum()) for labels in got]
    verdict = "yes" if same == [len(points)] * 2 else "NO"
    return (
        f"{verdict}, {same[0]} and in plain numpy {same[1]} of {len(points)} labels equal; "
        f"{want.max() + 1} clusters, {(want < 0).mean():.0%} noise"
    )
