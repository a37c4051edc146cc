"""OSV-5M's head: the loss against matrices, the step inside the leaf, what it learns."""

import numpy as np
import pytest
import torch

from geolab.cells import QuadtreePartition
from geolab.locators.hybrid import HybridConfig, HybridHead, hierarchical_loss
from geolab.metrics import errors_km
from geolab.training import TrainConfig

TRAIN = TrainConfig(epochs=25, batch_size=128, lr=1e-2)


@pytest.fixture(scope="module")
def world():
    """Features that know the place: a few waves of latitude and longitude, with noise."""
    rng = torch.Generator().manual_seed(0)
    places = torch.rand(1200, 2, generator=rng, dtype=torch.float64)
    places = places * torch.tensor([80.0, 200.0]) + torch.tensor([-30.0, -90.0])
    waves = torch.randn(2, 24, generator=rng, dtype=torch.float64) * 0.06
    phase = places @ waves
    features = torch.cat([phase.sin(), phase.cos()], 1).float()
    return features + 0.02 * torch.randn(features.shape, generator=rng), places


def test_loss_is_matrix_product_of_the_paper(world):
    _, places = world
    cells = QuadtreePartition.fit(places, 60, depth=4)
    leaf = cells.assign(places)[:50]
    logits = torch.randn(50, len(cells), generator=torch.Generator().manual_seed(1))
    levels = [cells.ancestors(d) for d in (1, 2, 3, 4)]
    want = 0.0
    for box in levels:
        matrix = torch.nn.functional.one_hot(box).float()  # (C, boxes)
        p = logits.softmax(1) @ matrix
        want = want - p[torch.arange(50), box[leaf]].log().sum()
    torch.testing.assert_close(hierarchical_loss(logits, leaf, levels), want / 4)


def test_gradient_is_that_of_differences(world):
    _, places = world
    cells = QuadtreePartition.fit(places, 300, depth=3)
    logits = torch.randn(4, len(cells), dtype=torch.float32, requires_grad=True)
    levels = [cells.ancestors(d) for d in (1, 2)]
    hierarchical_loss(logits, torch.tensor([0, 1, 2, 3]), levels).backward()
    step = torch.zeros_like(logits)
    step[1, 2] = 1e-2
    with torch.no_grad():
        up, down = (
            hierarchical_loss(logits + s * step, torch.tensor([0, 1, 2, 3]), levels)
            for s in (1, -1)
        )
    assert logits.grad[1, 2].item() == pytest.approx((up - down).item() / 2e-2, abs=2e-3)


def test_certain_and_wrong_is_finite():
    logits = torch.tensor([[200.0, -200.0, -200.0]], requires_grad=True)
    lost = hierarchical_loss(logits, torch.tensor([2]), [torch.tensor([0, 0, 1])])
    lost.backward()
    assert torch.isfinite(lost)
    assert torch.isfinite(logits.grad).all()


def test_a_step_inside_the_leaf_helps(world):
    features, places = world
    cells = QuadtreePartition.fit(places[:900], 100, depth=10)

    def median(**said):
        head = HybridHead(HybridConfig(train=TRAIN, **said)).fit(
            features[:900], places[:900], cells
        )
        return np.median(errors_km(head.locate_features(features[900:]).mode(), places[900:]))

    assert median() < 0.75 * median(step=False)
    assert median(hierarchical=False) < 2000


def test_answers_stay_in_their_leaves(world):
    features, places = world
    cells = QuadtreePartition.fit(places[:900], 100)
    head = HybridHead(HybridConfig(train=TRAIN)).fit(
        features[:900], places[:900], cells, validation=(features[900:1000], places[900:1000])
    )
    said = head.locate_features(features[1000:], k=5)
    assert said.support_size == 5
    boxes = torch.from_numpy(cells.boxes)
    inside = (said.latlon[:, :, None] >= boxes[:, :2] - 1e-6) & (
        said.latlon[:, :, None] <= boxes[:, 2:] + 1e-6
    )
    assert inside.all(-1).any(-1).all()


def test_nonsense_is_refused(world):
    features, places = world
    cells = QuadtreePartition.fit(places, 100)
    with pytest.raises(ValueError, match="900 features"):
        HybridHead().fit(features[:900], places, cells)
    with pytest.raises(ValueError, match="no photo lies in a leaf"):
        HybridHead().fit(features[:3], torch.full((3, 2), 85.0), cells)
    with pytest.raises(RuntimeError, match="call fit"):
        HybridHead().locate_features(features)
