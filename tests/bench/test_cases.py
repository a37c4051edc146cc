"""Small versions of the cases: ours and each peer give one answer, and a wrong one is noticed."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geolab.bench import density, descriptors, measure, optics, prototypes, s2
from geolab.bench.harness import Case, race
from geolab.kernels import dispatch

ROOF = measure.Ceilings(10.0, 20.0, 100.0, 300.0)
LAT_LON = (np.linspace(-89, 89, 400), np.linspace(-179, 179, 400) ** 3 % 180)
needs_numba = pytest.mark.skipif(not dispatch.HAS_NUMBA, reason="numba is not installed")


def small_density(backend: str = "auto") -> Case:
    return density._case(12, 20, (12, 6), 0.4, 0.05, backend)


def small_s2(backend: str = "torch") -> Case:
    some = tuple(column[:40] for column in LAT_LON)
    return s2._case("a few", backend, *LAT_LON, some, target=0.035, within_s=5.0)


def small_optics() -> Case:
    return optics._case(150, 8, 0.05)


def small_prototypes(backend: str = "auto") -> Case:
    photos, table = prototypes.example(6, 3, 12, 50, 16)
    return prototypes._case(photos, table, backend, {prototypes.LOOP: 0.3})


FAMILIES = (descriptors._tiny, descriptors._colour, descriptors._gist, descriptors._textons)


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return descriptors.synthetic_photos(4, 60, 80)


@pytest.mark.parametrize("make", [small_density, small_s2, small_optics, small_prototypes])
def test_a_case_is_well_formed_and_its_answers_agree(make):
    if make is small_s2:
        pytest.importorskip("s2sphere")
    case = make()
    assert isinstance(case, Case)
    assert case.kernel == make.__name__.removeprefix("small_")
    assert set(case.targets) | set(case.scaled) <= set(case.peers)
    assert case.agree().startswith("yes")
    assert case.limit is None or 0 < case.limit(ROOF) < 1
    for peer in case.peers.values():
        assert len(peer())
    assert not any(name for name, factor in case.scaled.items() if f"x {factor:g}" not in name)


@needs_numba
@pytest.mark.parametrize("make", [small_density, small_s2, small_prototypes])
def test_both_paths_agree(make):
    if make is small_s2:
        pytest.importorskip("s2sphere")
    assert make("torch").agree().startswith("yes")
    assert make("numba").agree().startswith("yes")


def test_the_peers_of_the_vote_find_our_winner():
    places, weights = density.neighbours(9, 30)
    ours, _ = density.density_vote(places, weights, density.SIGMA_KM)
    assert torch.equal(density.vote_batched(places, weights), ours)
    assert np.array_equal(density.vote_by_sklearn(places, weights), ours)


def test_batches_of_the_peer_do_not_change_its_answer(monkeypatch):
    places, weights = density.neighbours(9, 30)
    whole = density.vote_batched(places, weights)
    monkeypatch.setattr(density, "_AT_ONCE", 2000)
    assert torch.equal(density.vote_batched(places, weights), whole)


def test_the_peers_of_the_refinement_find_our_winner():
    photos, table = prototypes.example(40, 4, 30, 60, 8)
    members = table.vectors.split(table.offsets.diff().tolist())
    ours = prototypes.prototype_scores(*photos, table, prototypes._TEMPERATURE).winner
    assert (table.offsets.diff() == 0).any(), "a cell without prototypes must be among them"
    assert torch.equal(prototypes.refine_by_loop(photos, members), ours)
    assert torch.equal(prototypes.refine_by_mask(photos, table), ours)


def test_clusters_are_the_towns():
    points = optics.photos_of_a_cell(300)
    labels = optics.optics(points, 10, optics.XI)
    assert labels.max() >= 3
    assert np.array_equal(optics.by_ball_tree(points, 10) >= 0, labels >= 0)


@pytest.mark.parametrize("make", FAMILIES)
def test_a_descriptor_agrees_with_its_peers(make, photos):
    case = make(photos)
    assert case.kernel == "descriptors"
    assert "synthetic" in case.size
    assert set(case.targets) == set(case.peers)
    assert set(case.scaled) <= set(case.peers)
    if any(case.peers.values()):
        assert case.agree().startswith("yes")


def test_a_difference_of_descriptors_is_a_share_of_the_peer():
    ours, theirs = np.array([[3.0, 4.0], [9.0, 9.0]]), np.array([[0.0, 4.0]])
    assert descriptors.difference(ours, theirs) == pytest.approx(0.75)
    assert descriptors.difference(theirs, theirs) == 0


def wrong_vote(*arguments, **how):
    index, summed = density.density_vote_reference(*arguments)
    return (index + 1) % summed.shape[1], summed


def wrong_scores(emb, cells, *arguments, **how):
    return SimpleNamespace(winner=torch.full((len(emb),), -1))


@pytest.mark.parametrize(
    ("make", "module", "name", "wrong"),
    [
        (small_density, density, "density_vote", wrong_vote),
        (small_s2, s2, "s2_cell_ids", lambda lat, *_, **how: np.zeros(len(lat), np.uint64)),
        (small_optics, optics, "optics", lambda points, *_, **how: np.zeros(len(points), int)),
        (small_prototypes, prototypes, "prototype_scores", wrong_scores),
    ],
)
def test_a_wrong_answer_is_noticed(make, module, name, wrong, monkeypatch):
    if make is small_s2:
        pytest.importorskip("s2sphere")
    monkeypatch.setattr(module, name, wrong)
    assert make().agree().startswith("NO")


def test_a_wrong_descriptor_is_noticed(photos, monkeypatch):
    pytest.importorskip("cv2")
    monkeypatch.setattr(
        descriptors.TinyImage, "_block", lambda self, some: np.ones((len(some), 768))
    )
    assert descriptors._tiny(photos).agree().startswith("NO")


def test_without_s2sphere_the_peer_is_shown_as_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "s2sphere", None)
    result = race(small_s2(), ROOF)
    assert result["peers"][0]["failed"] == "not installed"
    assert result["agree"] == ""
    assert result["within_s"] == 5.0


def test_without_opencv_its_peers_are_shown_as_not_installed(monkeypatch, photos):
    monkeypatch.setattr(descriptors, "cv2", None)
    result = race(descriptors._tiny(photos), ROOF)
    assert [peer["failed"] for peer in result["peers"]] == ["not installed"]
    assert result["agree"] == ""
    assert "median_s" in result["ours"]
    assert sum(peer is None for peer in descriptors._gist(photos).peers.values()) == 1


def test_without_numba_only_the_plain_path_is_timed(monkeypatch):
    monkeypatch.setattr(s2, "_case", lambda name, backend, *_, **how: name)
    monkeypatch.setattr(dispatch, "HAS_NUMBA", False)
    assert [name for name in s2.cases(False) if "numba" in name] == []
    monkeypatch.setattr(dispatch, "HAS_NUMBA", True)
    assert len(s2.cases(False)) == 3


def test_the_part_of_a_slow_peer_counts_for_the_whole():
    pytest.importorskip("s2sphere")
    (peer,) = race(small_s2(), ROOF)["peers"]
    assert peer["scaled_by"] == 10
    assert peer["median_s"] == pytest.approx(sorted(peer["seconds"])[2])
    part = measure.seconds(next(iter(small_s2().peers.values())))
    assert math.log10(peer["median_s"] / part) == pytest.approx(1, abs=0.7)
