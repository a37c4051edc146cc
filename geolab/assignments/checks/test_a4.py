"""Checks of assignment 4: clusters, prototypes, refinement, nearest member, and one kernel."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from geolab import sphere
from geolab.assignments import expect
from geolab.assignments.allocation import large_arrays
from geolab.assignments.checks import faults_a4 as faults
from geolab.assignments.diagnosis import diagnose
from geolab.assignments.explain import km, wrong
from geolab.kernels import optics

ALIKE = {"rtol": 1e-4, "atol": 1e-7}


@pytest.mark.points(8, "a4.cluster_cell")
def test_streets_on_the_date_line(answers, seed):
    """Three streets at 65 degrees north, one across the date line."""
    places = faults.street_places(seed)
    n = len(places)
    raw = expect.numbers(answers.cluster_cell(places, 3, 0.15), (n,), "cluster_cell")
    right = faults.in_order(optics(places, 3, 0.15, backend="torch"))
    got = faults.in_order(raw)
    if (got == right).all():
        return
    said = (
        f"{n} photos on three streets and alone make {right.max() + 1} clusters and "
        f"{(right < 0).sum()} photos of noise; you find {got.max() + 1} and {(got < 0).sum()}."
    )
    fault = diagnose(got, right, faults.of_clusters(places))
    wrong(fault or said, figure=lambda: faults.draw_clusters(places, got, right))


@pytest.mark.points(4, "a4.cluster_cell")
def test_small_cells(answers, seed):
    """Cells of fewer photos than min_samples."""
    for n, min_samples in ((1, 3), (2, 3), (4, 5)):
        places = faults.street_places(seed)[:n]
        got = expect.numbers(
            answers.cluster_cell(places, min_samples, 0.15),
            (n,),
            "cluster_cell",
            given=f"{n} photos, min_samples={min_samples}",
        )
        if (got != 0).any():
            told = f"({n} photos, min_samples={min_samples}) all in cluster 0; you say {got}."
            wrong(f"A cell with fewer photos than min_samples is one cluster: {told}")


@pytest.mark.points(6, "a4.prototypes")
def test_means_without_noise(answers, seed):
    """Means of three clusters, with noise among the photos."""
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.permutation(np.repeat([-1, 0, 1, 2], [5, 3, 4, 6])))
    features = torch.from_numpy(rng.normal(1, 2, (18, 4))).float()
    value = answers.prototypes(features, labels)
    if getattr(value, "shape", ()) == (4, 4):
        wrong("There is one prototype too many: noise (-1) is no cluster.")
    got = expect.numbers(value, (3, 4), "prototypes", given="3 clusters and noise", finite=False)
    right = torch.stack([features[labels == q].mean(0) for q in range(3)])
    if (row := expect.worst(got, right.numpy(), atol=1e-5)) is not None:
        example = {"labels": labels, f"yours, cluster {row}": got[row], "right": right[row]}
        fault = diagnose(got, right, faults.of_prototypes(features, labels, right), **ALIKE)
        wrong(fault or f"Prototype {row} is not the mean of its photos.", example=example)


@pytest.mark.points(4, "a4.prototypes")
def test_nothing_but_noise(answers, seed):
    """A cell of noise, and a cell of one photo."""
    features = torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (3, 4))).float()
    expect.numbers(
        answers.prototypes(features, torch.full((3,), -1)),
        (0, 4),
        "prototypes",
        given="nothing but noise",
    )
    one = answers.prototypes(features[:1], torch.zeros(1, dtype=torch.int64))
    got = expect.numbers(one, (1, 4), "prototypes", given="one photo")
    if expect.worst(got, features[:1].numpy(), atol=1e-6) is not None:
        wrong("The prototype of a cluster of one photo is that photo's embedding.")


@pytest.mark.points(8, "a4.refine")
def test_scores(answers, seed):
    """Scores of ordinary distances."""
    rng = np.random.default_rng(seed)
    p = torch.from_numpy(rng.uniform(0.02, 0.2, (6, 5)))
    d = torch.from_numpy(rng.uniform(1, 4, (6, 5)))
    got = expect.numbers(answers.refine(p, d, 1.6), (6, 5), "refine", given="6 photos, 5 cells")
    right = faults.scores(p, d, 1.6)
    if (row := expect.worst(got, right.numpy(), atol=1e-6)) is not None:
        example = {"P": p[row], "d": d[row], "yours": got[row], "right": right[row]}
        said = "With T = 1.6 the scores are not P times the softmax of -d / T."
        wrong(diagnose(got, right, faults.of_scores(p, d, 1.6), **ALIKE) or said, example=example)


@pytest.mark.points(5, "a4.refine")
def test_far_prototypes(answers, seed):
    """Distances of hundreds, in float32."""
    rng = np.random.default_rng(seed)
    p = torch.full((2, 4), 0.25)
    d = torch.from_numpy(rng.uniform(300, 302, (2, 4))).float()
    got = expect.numbers(answers.refine(p, d, 0.6), (2, 4), "refine", finite=False)
    right = faults.scores(p, d, 0.6).numpy()
    if not np.isfinite(got).all() or (got.sum(1) == 0).any():
        wrong(
            f"Distances near 301, T = 0.6, give exp(-501) = 0 for all cells and {got[0, 0]:.3g} as "
            "score: subtract the largest exponent of the row before `exp`.",
            example={"d": d[0], "right": right[0]},
        )
    if expect.worst(got, right, atol=1e-4) is not None:
        wrong("Scores of far prototypes are wrong.", example={"yours": got[0], "right": right[0]})


@pytest.mark.points(5, "a4.refine")
def test_cells_without_prototypes(answers, seed):
    """One cell without prototypes, and a photo none of whose cells has any."""
    p = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    d = torch.tensor([[torch.inf, 1.0 + seed % 3, 2.0], [torch.inf] * 3])
    got = expect.numbers(answers.refine(p, d, 1.0), (2, 3), "refine", finite=False)
    right = faults.scores(p, d, 1.0).numpy()
    if not np.allclose(got[0], right[0], atol=1e-5):
        example = {"d": d[0], "yours": got[0], "right": right[0]}
        wrong(
            "A cell without prototypes (d infinite) scores 0, the others as usual.", example=example
        )
    if not np.allclose(got[1], right[1], atol=1e-5):
        said = "Where no cell has a prototype the chances decide (P / K)"
        wrong(f"{said}; infinity less infinity is not a number.", example={"yours": got[1]})


@pytest.mark.points(8, "a4.nearest_member")
def test_photo_that_asks_for_itself(answers, seed):
    """Every training photo asks for itself."""
    world = faults.toy(seed)
    for members in (rows for groups in world.clusters for rows in groups):
        for row in members.tolist():
            got = _member(answers, world.features[row], world.features, members)
            if got != row:
                _explain_member(got, row, world, members)


def _member(answers: Any, query: Tensor, features: Tensor, members: Tensor) -> int:
    value = answers.nearest_member(query, features, members.clone())
    return int(expect.numbers(value, (), "nearest_member"))


def _explain_member(got: int, row: int, world: faults.Toy, members: Tensor) -> None:
    gaps = (world.features[members] - world.features[row]).norm(dim=1)
    example = {"members": members, "their distances": gaps, "yours": got, "right": row}
    said = f"Training photo {row} asks for itself and gets {got}"
    if got == int(members[gaps.argmax()]):
        wrong(f"{said}, the farthest of its cluster: argmax for argmin.", example=example)
    if got == int(gaps.argmin()):
        wrong(f"{said}, its place in the cluster: return members[...].", example=example)
    middle = world.features[members] - world.features[members].mean(0)
    if got == int(members[middle.norm(dim=1).argmin()]):
        wrong(f"{said}, the one nearest to the prototype: compare with the query.", example=example)
    wrong(f"{said}; nobody is nearer to it than itself.", example=example)


@pytest.mark.points(4, "a4.nearest_member")
def test_new_photo(answers, seed):
    """Photos that were not seen before; members in any order."""
    world, rng = faults.toy(seed), np.random.default_rng(seed)
    for query in faults.queries(world, seed, 10)[0]:
        members = torch.from_numpy(rng.permutation(len(world.features))[:9])
        gaps = (world.features[members] - query).norm(dim=1)
        got, right = _member(answers, query, world.features, members), int(members[gaps.argmin()])
        if got != right:
            example = {"members": members, "distances": gaps, "yours": got, "right": right}
            wrong("The nearest of nine members is another one.", example=example)


@pytest.mark.points(4, "a4.nearest_member")
def test_equal_members(answers, seed):
    """Equal embeddings, members not in order."""
    features = torch.zeros(20, 3)
    features[10:] += 1 + seed % 5
    got = _member(answers, torch.zeros(3), features, torch.tensor([15, 8, 3, 12, 5]))
    if got != 3:
        wrong(f"Rows 3, 5 and 8 are equally near: the lowest row, 3, has to win; you take {got}.")


@pytest.mark.points(5, "a4.locate")
def test_one_cell(answers, seed):
    """K = 1: the nearest cluster of the most probable cell."""
    _compare_places(answers, seed, 1, 1.0, 1e9)


@pytest.mark.points(9, "a4.locate")
def test_five_cells(answers, seed):
    """K = 5, cold and warm."""
    _compare_places(answers, seed, 5, 0.5, 1e9)
    _compare_places(answers, seed, 5, 3.0, 1e9)


@pytest.mark.points(8, "a4.locate")
def test_longest_way(answers, seed):
    """K = 5, and no further than 1,000 km."""
    _compare_places(answers, seed, 5, 0.5, 1000.0)


def _compare_places(answers: Any, seed: int, top_k: int, temperature: float, max_km: float) -> None:
    world = faults.toy(seed)
    asked, chances = faults.queries(world, seed, 40)
    parts = (world.features, world.places, world.cell_points, world.clusters)
    rule = (top_k, temperature, max_km)
    given = f"top_k={top_k}, temperature={temperature}, max_km={max_km:g}"
    got = [answers.locate(e, p, *parts, *rule) for e, p in zip(asked, chances, strict=True)]
    got = np.stack([expect.numbers(each, (2,), "locate", given=given) for each in got])
    right = _places(world, asked, chances, rule)
    gaps = sphere.great_circle_km(got, right).numpy()
    if (gaps < 0.01).all():
        return
    row = int(gaps.argmax())
    example = {"chances": chances[row], "yours": got[row], "right": right[row]}
    said = f"{(gaps >= 0.01).sum()} of 40 photos are misplaced, one by {km(gaps[row])} ({given})"
    for fault, sentence in faults.PLACE_FAULTS.items():
        if np.allclose(got, _places(world, asked, chances, rule, fault), atol=1e-6):
            wrong(f"{said}: {sentence}", example=example)
    wrong(f"{said}.", example=example)


def _places(world: faults.Toy, asked: Tensor, chances: Tensor, rule: tuple, fault: str = ""):
    pairs = zip(asked, chances, strict=True)
    return torch.stack([faults.place(world, e, p, *rule, fault) for e, p in pairs]).numpy()


@pytest.mark.points(8, "a4.running_topk")
def test_best_rows(answers, seed):
    """1,000 rows in blocks of 64, the last one shorter; and one block for all."""
    rng = np.random.default_rng(seed)
    asked, base = (torch.from_numpy(rng.normal(0, 1, (n, 12))).float() for n in (7, 1000))
    _compare_rows(answers, asked, base, 5, 64)
    _compare_rows(answers, asked[:1], base, 3, 4096)


@pytest.mark.points(6, "a4.running_topk")
def test_ties_and_large_k(answers, seed):
    """Many equal scores, and k larger than a block."""
    rng = np.random.default_rng(seed)
    asked, base = (torch.from_numpy(rng.integers(-1, 2, (n, 3))).float() for n in (4, 150))
    _compare_rows(answers, asked, base, 12, 50)
    _compare_rows(answers, asked, base, 30, 8)


def _compare_rows(answers: Any, asked: Tensor, base: Tensor, k: int, rows: int) -> None:
    given = f"{len(base)} rows, k={k}, rows={rows}"
    shape = (len(asked), k)
    value = answers.running_topk(asked, base, k, rows)
    if not (isinstance(value, tuple | list) and len(value) == 2):
        wrong(f"running_topk must return scores and indices, not {type(value).__name__}.")
    found = expect.numbers(value[0], shape, "running_topk", given=given, finite=False)
    index = expect.numbers(value[1], shape, "running_topk", given=given)
    best, order = faults.best_rows(asked, base, k)
    if (index == order).all() and np.allclose(found, best, atol=1e-4):
        return
    q = int(np.argmax((index != order).any(1)))
    example = {"yours": index[q], "right": order[q], "right scores": best[q]}
    said = f"For {given} the rows of query {q} are wrong."
    if (index == order).all():
        wrong(f"For {given} the indices are right and the scores are not.", example=example)
    if np.allclose(found, best, atol=1e-4) and ((index >= 0) & (index < len(base))).all():
        same = (asked.double()[:, None] * base.double()[torch.from_numpy(index)]).sum(-1)
        if np.allclose(same, best, atol=1e-4):
            said = (
                f"The scores are right, but of equals the lower index has to come first ({given})."
            )
    wrong(diagnose(index, order, faults.of_rows(asked, base, k, rows)) or said, example=example)


@pytest.mark.points(8, "a4.running_topk")
def test_memory(answers, seed):
    """Many queries and rows: no matrix of all scores."""
    slow = os.environ.get("TRITON_INTERPRET") == "1"  # there numpy plays the GPU, slowly
    n_queries, n, k, rows = (4, 4000, 5, 256) if slow else (32, 20_000, 5, 256)
    rng = np.random.default_rng(seed)
    asked, base = (torch.from_numpy(rng.normal(0, 1, (m, 16))).float() for m in (n_queries, n))
    limit = 4 * n_queries * (rows + k)
    call = partial(answers.running_topk, asked, base, k, rows)
    value, made = large_arrays(call, limit, [asked, base])
    made = [each for each in made if not (slow and each.dtype == "numpy")]
    given = f"{n_queries} queries, {n:,} rows, k={k}, rows={rows}"
    if made:
        said = f"nothing may have more than {limit:,} numbers; yours makes {made[0]}"
        wrong(f"For {given} {said} (and {len(made) - 1} more).")
    index = expect.numbers(value[1], (n_queries, k), "running_topk")
    if (index != faults.best_rows(asked, base, k)[1]).any():
        wrong(f"The memory is small, but for {given} the rows found are wrong.")
