"""Cases of `geolab.kernels.s2`: ids of uniformly spread points at level 13 (cells of about 1 km2).

The peer is s2sphere, one point a call, as scripts in the field use it; it is timed on a part of the
points. 4.7 million is the number of photos of MP-16.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geolab import sphere
from geolab.bench.harness import Case
from geolab.kernels import dispatch
from geolab.kernels.s2 import s2_cell_ids

LEVEL = 13
_SOME = 20_000
_PLAIN, _COMPILED = "plain torch and numpy", "compiled (numba)"


def cases(big: bool) -> list[Case]:
    """A million points by both paths, and 4.7 million; ``--big`` changes nothing."""
    lat, lon = (column.numpy() for column in sphere.uniform_points(4_700_000, 0).T.contiguous())
    few, some = (lat[:1_000_000], lon[:1_000_000]), (lat[:_SOME], lon[:_SOME])
    made = [_case(_PLAIN, "torch", *few, some, target=0.035)]
    if dispatch.HAS_NUMBA:
        made.append(_case(_COMPILED, "numba", *few, some, target=0.005))
    best = _COMPILED if dispatch.HAS_NUMBA else _PLAIN
    return [*made, _case(f"as many as MP-16, {best}", "auto", lat, lon, some, within_s=2.0)]


def ids_by_s2sphere(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Ids (N,) uint64, one call a point."""
    from s2sphere import CellId, LatLng

    def one(a: float, b: float) -> int:
        return CellId.from_lat_lng(LatLng.from_degrees(a, b)).parent(LEVEL).id()

    return np.array([one(a, b) for a, b in zip(lat, lon, strict=True)], dtype=np.uint64)


def _case(
    name: str,
    backend: str,
    lat: np.ndarray,
    lon: np.ndarray,
    some: tuple[np.ndarray, np.ndarray],
    *,
    target: float | None = None,
    within_s: float | None = None,
) -> Case:
    loop = f"s2sphere, a loop ({len(some[0])} points, time x {len(lat) / len(some[0]):g})"
    return Case(
        kernel="s2",
        name=name,
        size=f"{len(lat)} points, level {LEVEL}",
        ours=lambda: s2_cell_ids(lat, lon, LEVEL, backend=backend),
        peers={loop: _peer(*some)},
        targets={} if target is None else {loop: target},
        scaled={loop: len(lat) / len(some[0])},
        within_s=within_s,
        limit=lambda roof: 24 * len(lat) / roof.copy_gb_s / 1e9,
        agree=lambda: agreement(*some, backend),
    )


def _peer(lat: np.ndarray, lon: np.ndarray) -> Callable[[], np.ndarray] | None:
    try:
        import s2sphere  # noqa: F401
    except ImportError:
        return None
    return lambda: ids_by_s2sphere(lat, lon)


def agreement(lat: np.ndarray, lon: np.ndarray, backend: str) -> str:
    """Ids against s2sphere's."""
    if _peer(lat, lon) is None:
        return ""
    same = int((s2_cell_ids(lat, lon, LEVEL, backend=backend) == ids_by_s2sphere(lat, lon)).sum())
    return f"{'yes' if same == len(lat) else 'NO'}, {same} of {len(lat)} ids equal s2sphere's"
