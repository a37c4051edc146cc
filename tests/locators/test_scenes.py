"""Scenes: 365 probabilities in three groups, from a table that can be wrong."""

from __future__ import annotations

import csv

import pytest
import torch

from geolab.data.errors import DataError
from geolab.locators.cell_classifier import CellClassifier
from geolab.locators.scene_router import fit_router
from geolab.locators.scenes import (
    N_PLACES,
    SCENES,
    check_probabilities,
    read_membership,
    scene_labels,
    scenes_from_places,
)
from geolab.training import TrainConfig

COLUMNS = ["category", "indoor", "outdoor natural", "outdoor man-made"]


def write(path, rows, columns=COLUMNS, encoding="utf-8"):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_a_scene_of_two_groups_counts_half_for_each():
    membership = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1]])
    said = scenes_from_places(torch.tensor([[0.2, 0.6, 0.2], [0.0, 1.0, 0.0]]), membership)
    torch.testing.assert_close(said, torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.5, 0.5]]))
    # Weights instead of marks say the same when they are in proportion.
    torch.testing.assert_close(
        scenes_from_places(torch.tensor([[0.2, 0.6, 0.2]]), membership * 4), said[:1]
    )


def test_all_365_sum_to_one():
    generator = torch.Generator().manual_seed(0)
    chances = torch.randn(5, N_PLACES, generator=generator).softmax(1)
    membership = (torch.rand(N_PLACES, 3, generator=generator) > 0.5).float()
    membership[:, 0] = 1
    torch.testing.assert_close(scenes_from_places(chances, membership).sum(1), torch.ones(5))


def test_logits_and_half_empty_tables_are_refused():
    membership = torch.eye(3)
    with pytest.raises(ValueError, match=r"scene row 1 sums to 3.*softmax first"):
        scenes_from_places(torch.tensor([[1.0, 0, 0], [3.0, -1, 1]]), membership)
    with pytest.raises(ValueError, match="smallest entry is -1"):  # sums to one, all the same
        scenes_from_places(torch.tensor([[1.0, -1, 1]]), membership)
    with pytest.raises(ValueError, match="scene 1 belongs to no group"):
        scenes_from_places(
            torch.tensor([[1.0, 0, 0]]), torch.tensor([[1.0, 0, 0], [0] * 3, [1] * 3])
        )
    with pytest.raises(ValueError, match=r"expected \(N, S\) and \(S, 3\)"):
        scenes_from_places(torch.ones(1, 1), membership)


@pytest.mark.parametrize("bad", [[0.5, 0.6], [float("nan"), 1.0], [1.5, -0.5]])
def test_the_first_bad_row_is_named(bad):
    values = torch.tensor([[0.5, 0.5], bad, [9.0, 9.0]])
    with pytest.raises(ValueError, match="router row 1 "):
        check_probabilities(values, "router")
    check_probabilities(values[:1], "router")


def test_labels_are_numbers_and_a_wrong_one_names_its_row():
    assert scene_labels(["natural", "", None, *SCENES]).tolist() == [1, -1, -1, 0, 1, 2]
    with pytest.raises(ValueError, match="row 2: scene 'forest' is none of indoor, natural"):
        scene_labels(["urban", None, "forest"])


def test_the_sheet_of_365_is_read_in_the_order_of_scenes(tmp_path):
    rows = [[f"/a/{i}", int(i % 3 == 0), int(i % 3 == 1), int(i % 3 == 2)] for i in range(N_PLACES)]
    rows[4] = ["/a/4", 1, "", 1]  # an empty cell is no mark
    table = read_membership(write(tmp_path / "places.csv", rows, encoding="utf-8-sig"))
    assert table.shape == (N_PLACES, 3)
    assert table[:5].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]]


def test_a_wrong_sheet_is_named_with_what_is_wrong(tmp_path):
    short = write(tmp_path / "short.csv", [["/a", 1, 0, 0]] * 3)
    with pytest.raises(DataError, match=r"short\.csv: 3 scenes; expected 365 lines"):
        read_membership(short)
    other = write(tmp_path / "other.csv", [["/a", 1, 0]] * N_PLACES, COLUMNS[:3])
    with pytest.raises(DataError, match="no column 'outdoor man-made'"):
        read_membership(other)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match=r"empty\.csv: no column 'indoor'"):
        read_membership(tmp_path / "empty.csv")


class MeanColour(torch.nn.Module):
    """Trunk whose embedding is the mean of each channel."""

    dim = 3

    def forward(self, pixels):
        """(B, 3, S, S) -> (B, 3)."""
        return pixels.float().mean((2, 3)) / 64


def test_a_router_learns_scenes_and_leaves_unknown_ones_out():
    generator = torch.Generator().manual_seed(1)
    scenes = torch.arange(90) % 3
    noise = torch.randint(0, 20, (90, 3, 4, 4), generator=generator)
    pixels = (torch.eye(3)[scenes][..., None, None] * 200 + noise).to(torch.uint8)
    taught = scenes.clone()
    taught[45:] = -1
    # Unknown rows would teach nonsense: they carry another scene's colours.
    misleading = torch.cat([pixels[:45], pixels[45:].flip(1)])
    base = CellClassifier(MeanColour(), [2])
    router = fit_router(base, misleading, taught, TrainConfig(device="cpu", batch_size=16))
    said = router(pixels)
    check_probabilities(said, "router")
    assert (said.argmax(1) == scenes).float().mean() > 0.9
