"""ProtoNet refinement: rules of PIGEON's section on refinement, and the released fault."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab import sphere
from geolab.data.errors import DataError
from geolab.locators.clusters import cluster_cells
from geolab.locators.protonet import ProtoConfig, ProtoNet
from geolab.locators.protonet_reference import refine_reference


def world(n_cells=6, per_cell=40, dim=8, seed=0):
    """Cells 500 km apart with two towns each; embeddings follow the towns, with noise."""
    rng = np.random.default_rng(seed)
    centres = np.stack([rng.uniform(-70, 70, n_cells), np.linspace(-179, 175, n_cells)], 1)
    towns = centres[:, None] + rng.uniform(-1.5, 1.5, (n_cells, 2, 2))
    which = rng.integers(2, size=(n_cells, per_cell))
    places = np.take_along_axis(towns, which[..., None].repeat(2, -1), 1)
    places = (places + rng.normal(0, 0.01, places.shape)).reshape(-1, 2)
    places[:, 1] = (places[:, 1] + 180) % 360 - 180
    looks = rng.normal(size=(n_cells, 2, dim))
    features = np.take_along_axis(looks, which[..., None].repeat(dim, -1), 1).reshape(-1, dim)
    features = features + rng.normal(0, 0.3, features.shape)
    cells = torch.arange(n_cells).repeat_interleave(per_cell)
    points = torch.stack(
        [sphere.spherical_mean(torch.tensor(places)[cells == c]) for c in range(n_cells)]
    )
    return torch.tensor(features).float(), torch.tensor(places), cells, points


def chances(cells, n_cells, seed=0, sure=2.0):
    noise = torch.randn(len(cells), n_cells, generator=torch.Generator().manual_seed(seed))
    return (noise + sure * torch.nn.functional.one_hot(cells, n_cells)).softmax(1)


@pytest.mark.parametrize("member", ["nearest", "mean", "farthest"])
@pytest.mark.parametrize(("top_k", "max_km"), [(1, np.inf), (3, np.inf), (5, 300.0), (9, 1000.0)])
def test_equal_to_the_loop(member, top_k, max_km):
    features, places, cells, points = world()
    config = ProtoConfig(top_k=top_k, temperature=0.5, max_km=max_km, member=member)
    net = ProtoNet(config).fit(features, places, cells, points)
    asked = features[::3] + 0.1
    said = chances(cells[::3], len(points), sure=0.5)
    want = refine_reference(net, asked, said)
    got = net.refine(asked, said).mode()
    assert sphere.great_circle_km(got, want).max() < 1e-3


def test_one_cell_is_the_nearest_prototype_in_it():
    features, places, cells, points = world()
    net = ProtoNet(ProtoConfig(top_k=1, member="mean", max_km=np.inf))
    net.fit(features, places, cells, points)
    said = chances(cells, len(points))
    top = said.argmax(1)
    for row in range(0, len(features), 17):
        first, last = net.clusters.offsets[top[row] : top[row] + 2].tolist()
        near = first + (net.table.vectors[first:last] - features[row]).norm(dim=1).argmin()
        rows = net.clusters.members[net.clusters.ends[near] : net.clusters.ends[near + 1]]
        want = sphere.spherical_mean(places[rows])
        got = net.refine(features[row : row + 1], said[row : row + 1]).mode()[0]
        assert sphere.great_circle_km(got, want) < 1e-3


def test_a_hot_softmax_leaves_the_best_cell():
    features, places, cells, points = world()
    net = ProtoNet(ProtoConfig(temperature=1e9, member="mean", max_km=np.inf))
    net.fit(features, places, cells, points)
    said = chances(cells, len(points), sure=0.2)
    own = torch.cdist(net.refine(features, said).mode().float(), points.float()).argmin(1)
    assert (own == said.argmax(1)).float().mean() > 0.95  # a town may lie nearer to another mean


def test_a_training_photo_finds_itself_and_the_released_code_does_not():
    features, places, cells, points = world()
    said = chances(cells, len(points), sure=6)
    whole = ProtoConfig(min_samples=99, top_k=1)  # so that its cluster is sure to win
    net = ProtoNet(whole).fit(features, places, cells, points)
    assert (sphere.great_circle_km(net.refine(features, said).mode(), places) < 1e-6).all()
    fault = net.reconfigured(member="farthest").refine(features, said).mode()
    assert (sphere.great_circle_km(fault, places) > 1e-6).all()


def test_a_place_too_far_falls_back_to_the_refined_place_of_the_best_cell():
    features = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    places = torch.tensor([[0.0, 0.0], [50.0, 100.0]]).double()
    net = ProtoNet(ProtoConfig(top_k=2, temperature=0.1, max_km=100.0))
    net.fit(features, places, torch.tensor([0, 1]), places + 0.2)
    asked, said = torch.tensor([[10.0, 0.0]]), torch.tensor([[0.6, 0.4]])
    assert torch.allclose(net.refine(asked, said).mode()[0], places[0])
    free = net.reconfigured(max_km=np.inf)
    assert torch.allclose(free.refine(asked, said).mode()[0], places[1])


def test_cells_of_noise_and_empty_cells_answer_with_their_point():
    rng = np.random.default_rng(0)
    spread = torch.tensor(np.stack([rng.uniform(-60, 60, 9), rng.uniform(-170, 170, 9)], 1))
    held = cluster_cells(spread, torch.zeros(9, dtype=torch.int64), 2, 5, 0.99)
    assert held.offsets.tolist()[-1] == held.offsets.tolist()[1]  # the second cell has none
    features = torch.randn(4, 3)
    points = torch.tensor([[10.0, 20.0], [30.0, 40.0], [-5.0, 179.0]]).double()
    net = ProtoNet().fit(features, points[[2, 2, 2, 2]], torch.full((4,), 2), points)
    answer = net.refine(features[:1], torch.tensor([[0.5, 0.3, 0.2]])).mode()[0]
    assert torch.allclose(answer, points[0])  # the only prototype is too far: best cell's own point
    nobody = ProtoNet().fit(features, points[[2] * 4], torch.full((4,), -1), points)
    got = nobody.refine(features[:1], torch.tensor([[0.1, 0.7, 0.2]])).mode()[0]
    assert torch.allclose(got, points[1])


def test_photos_at_one_place_are_a_cluster():
    places = torch.tensor([[60.0, 179.999]] * 5 + [[60.0, -179.999]] * 5).double()
    held = cluster_cells(places, torch.zeros(10, dtype=torch.int64), 1)
    assert len(held.members) >= 5
    few = cluster_cells(places[:2], torch.zeros(2, dtype=torch.int64), 1)
    assert few.members.tolist() == [0, 1]


def test_the_published_temperature_does_nothing_between_unit_vectors():
    features, places, cells, points = world(seed=3)
    features = torch.nn.functional.normalize(features, dim=1)
    said = chances(cells, len(points), sure=0.3)
    net = ProtoNet(ProtoConfig(max_km=np.inf)).fit(features, places, cells, points)
    same = net.reconfigured(temperature=1e9).refine(features, said).mode()
    moved = sphere.great_circle_km(net.refine(features, said).mode(), same) > 1
    tuned = net.tuned(features, said, places)
    assert tuned.config.temperature < 1.0
    moved_when_tuned = sphere.great_circle_km(tuned.refine(features, said).mode(), same) > 1
    assert moved.float().mean() < moved_when_tuned.float().mean() / 2


def test_saved_and_refused_for_another_partition(tmp_path):
    features, places, cells, points = world()
    net = ProtoNet().fit(features, places, cells, points)
    path = net.save(tmp_path / "proto.npz", "abc")
    said = chances(cells, len(points))
    again = ProtoNet.load(path, "abc").refine(features, said)
    assert torch.equal(again.weight, net.refine(features, said).weight)
    with pytest.raises(DataError, match=r"'abc'.*'xyz'"):
        ProtoNet.load(path, "xyz")


def test_bad_input():
    features, places, cells, points = world()
    features[7, 2] = torch.nan
    with pytest.raises(ValueError, match="row 7"):
        ProtoNet().fit(features, places, cells, points)
    with pytest.raises(ValueError, match="member"):
        ProtoConfig(member="best")
