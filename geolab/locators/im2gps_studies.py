"""Two studies of im2gps: what a larger database brings, and what each descriptor carries.

Both start from a fitted `Im2GPS` and describe the test photos once; every variant is then a
different reading of the same distances. The scales of the distances stay those of the full index.

    curve = database_size_curve(locator, test, sizes=(100, 1000, 10_000), seeds=range(5))
    curve.groupby(["system", "size"])["within_200"].agg(["mean", "min", "max"])

    table = leave_one_out(locator, test)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from geolab.encoders.im2gps.one_thread import one_thread
from geolab.locators.baselines import places_of
from geolab.locators.descriptor_index import check_k, nearest
from geolab.locators.im2gps import Im2GPS, answer_from, describe_photos
from geolab.metrics import errors_km

if TYPE_CHECKING:
    from datasets import Dataset

_SYSTEMS = ("nearest", "modes")


def database_size_curve(
    locator: Im2GPS,
    test: Dataset,
    sizes: Sequence[int],
    seeds: Iterable[int] = range(5),
    *,
    systems: Sequence[str] = _SYSTEMS,
    threshold_km: float = 200.0,
) -> pd.DataFrame:
    """Accuracy with random parts of the references.

    Parameters
    ----------
    locator : Im2GPS
        Fitted on the full reference set.
    test : Dataset
        Queries. Photos that cannot be read count as misses.
    sizes : sequence of int
        References to keep. The full size gives the same figures for every seed.
    seeds : iterable of int
        A subset for each size and seed; with one seed, larger subsets contain the smaller ones.
    systems : sequence of {"nearest", "votes", "modes"}
        A database smaller than k is read with all it has.
    threshold_km : float
        Of the reported percentage.

    Returns
    -------
    DataFrame
        One row for each size, seed and system: `size`, `seed`, `system`, `n`, `within_200` (per
        cent; named after the threshold) and `median_km`.

    Raises
    ------
    ValueError
        If a size is not between 1 and the number of references.
    """
    total = len(locator.references)
    for size in sizes:
        check_k(size, total)
    features, rows, _ = describe_photos(test, locator.encoders)
    seeds = list(seeds)
    # The full set is the same for every seed: it is read once, under the first.
    used = {(size, seed if size < total else seeds[0]) for size in sizes for seed in seeds}
    kept = [(size, seed, _subset(total, size, seed)) for size, seed in sorted(used)]
    configs = {system: replace(locator.config, answer=system) for system in systems}

    def answers(parts: dict[str, Tensor]) -> dict[tuple, Tensor]:
        combined = sum(parts.values())
        found = {}
        for size, seed, columns in kept:
            k = min(size, max(config.neighbours_needed for config in configs.values()))
            order = columns[nearest(combined[:, columns], k)[1]]
            for system, config in configs.items():
                matches = locator.references.latlon[order[:, : config.neighbours_needed]]
                found[size, seed, system] = answer_from(matches, config).mode()
        return found

    errors = _errors(locator, features, rows, test, answers)
    records = []
    for size, seed, system in itertools.product(sizes, seeds, systems):
        km = errors[size, seed if size < total else seeds[0], system]
        records.append({"size": size, "seed": seed, "system": system, **_figures(km, threshold_km)})
    return pd.DataFrame(records)


def leave_one_out(
    locator: Im2GPS,
    test: Dataset,
    *,
    answer: str = "nearest",
    threshold_km: float = 200.0,
) -> pd.DataFrame:
    """Accuracy of all descriptors, without each of them, and with each alone.

    Parameters
    ----------
    locator : Im2GPS
        Fitted; the families of its configuration take part.
    test : Dataset
        Queries. Photos that cannot be read count as misses.
    answer : {"nearest", "votes", "modes"}
        How the neighbours are read.
    threshold_km : float
        Of the reported percentage.

    Returns
    -------
    DataFrame
        One row for each variant: `variant` ("all", "without gist", "gist alone"), `n`,
        `within_200` (per cent; named after the threshold), `median_km`, and `change`, the
        difference to all descriptors in points.
    """
    names = locator.config.families
    config = replace(locator.config, answer=answer)
    check_k(config.neighbours_needed, len(locator.references))
    variants = {"all": names}
    if len(names) > 1:
        variants |= {f"without {out}": tuple(n for n in names if n != out) for out in names}
        variants |= {f"{only} alone": (only,) for only in names}
    features, rows, _ = describe_photos(test, locator.encoders)

    def answers(parts: dict[str, Tensor]) -> dict[tuple, Tensor]:
        found = {}
        for variant, families in variants.items():
            combined = torch.stack([parts[name] for name in families]).sum(0)
            order = nearest(combined, config.neighbours_needed)[1]
            found[(variant,)] = answer_from(locator.references.latlon[order], config).mode()
        return found

    errors = _errors(locator, features, rows, test, answers)
    table = pd.DataFrame(
        [{"variant": key[0], **_figures(km, threshold_km)} for key, km in errors.items()]
    )
    column = f"within_{threshold_km:g}"
    return table.assign(change=table[column] - table[column].iloc[0])


def _subset(total: int, size: int, seed: int) -> Tensor:
    """Random columns, ascending, so that ties go to the same photo as in the full index."""
    order = np.random.default_rng(seed).permutation(total)[:size]
    return torch.from_numpy(np.sort(order))


def _errors(
    locator: Im2GPS,
    features: dict[str, Tensor],
    rows: list[int],
    test: Dataset,
    answers: Callable[[dict[str, Tensor]], dict[tuple, Tensor]],
) -> dict[tuple, np.ndarray]:
    """Run `answers` on every block of distances; errors in km of all test photos by key."""
    truth = places_of(test).numpy()
    points: dict[tuple, np.ndarray] = {}
    families = locator.config.families
    with one_thread():
        for block, parts in locator.references.blocks(features, families):
            for key, places in answers(parts).items():
                out = points.setdefault(key, np.full((len(test), 2), np.nan))
                out[rows[block]] = places.numpy()
    return {key: errors_km(predicted, truth) for key, predicted in points.items()}


def _figures(km: np.ndarray, threshold_km: float) -> dict[str, float]:
    return {
        "n": len(km),
        f"within_{threshold_km:g}": float(100 * (km <= threshold_km).mean()),
        "median_km": float(np.median(km)),
    }
