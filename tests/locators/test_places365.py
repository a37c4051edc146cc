"""The Places365 router, on random weights under the real names."""

from __future__ import annotations

import csv

import pytest
import torch
from torchvision.models import get_model

from geolab.data.errors import DataError
from geolab.locators.places365 import places365_router


@pytest.fixture
def files(tmp_path):
    torch.manual_seed(0)
    model = get_model("resnet18", weights=None, num_classes=365)
    with torch.no_grad():
        model.fc.weight.zero_()
        model.fc.bias.fill_(-50.0)
        model.fc.bias[7] = 50.0  # whatever the photo, it is scene 7
    tensors = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": tensors, "arch": "resnet18"}, tmp_path / "weights.pth.tar")
    with (tmp_path / "level1.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["category", "indoor", "outdoor natural", "outdoor man-made"])
        for scene in range(365):
            groups = (0, 1, 1) if scene == 7 else (1, 0, 0)
            writer.writerow([f"/x/scene{scene}", *groups])
    return tmp_path / "weights.pth.tar", tmp_path / "level1.csv"


def test_a_scene_of_two_groups_counts_half_for_each(files):
    router = places365_router(*files, architecture="resnet18")
    chances = router(torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8))
    torch.testing.assert_close(chances, torch.tensor([[0.0, 0.5, 0.5]]).expand(3, 3))
    assert router(torch.empty(0, 3, 32, 32, dtype=torch.uint8)).shape == (0, 3)


def test_weights_of_another_architecture_are_refused(files):
    with pytest.raises(DataError, match="Places365 weights of resnet34"):
        places365_router(*files, architecture="resnet34")


def test_a_file_that_is_cut_short_is_refused(files):
    weights, groups = files
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"weights\.pth\.tar"):
        places365_router(weights, groups, architecture="resnet18")
