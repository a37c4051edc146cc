"""Pairs painted from TinyEarth, and read from a user's copy of CVUSA or CVACT."""

import numpy as np
import pytest
import torch
from PIL import Image

from geolab.crossview.pairs_folder import load_pairs
from geolab.crossview.scenes import STRIP, TILE, scene_pairs
from geolab.data.errors import DataError


def picture(path, size, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, quality=95)


@pytest.fixture
def cvusa(tmp_path):
    lines = []
    for i in range(3):
        above, ground = f"bingmap/19/{i:07}.jpg", f"streetview/panos/{i:07}.jpg"
        picture(tmp_path / above, (75, 75), (10 + 60 * i, 0, 0))
        picture(tmp_path / ground, (120, 30), (0, 10 + 60 * i, 0))
        lines.append(f"{above},{ground},streetview/annotations/{i:07}.png")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "train-19zl.csv").write_text("\n".join(lines[:2]) + "\n")
    (tmp_path / "splits" / "val-19zl.csv").write_text(lines[2] + "\n")
    return tmp_path


@pytest.fixture
def cvact(tmp_path):
    from scipy.io import savemat

    ids = ["aa", "bb", "cc"]
    for i, name in enumerate(ids):
        picture(tmp_path / f"satview_polish/{name}_satView_polish.jpg", (40, 40), (80 * i, 0, 0))
        picture(tmp_path / f"streetview_processed/{name}_grdView.jpg", (90, 30), (0, 80 * i, 0))
    cells = np.empty((3, 1), object)
    cells[:, 0] = ids
    savemat(
        tmp_path / "ACT_data.mat",
        {
            "panoIds": cells,
            "utm": np.array([[693000.0, 6090000.0], [693100.0, 6090000.0], [694000.0, 6091000.0]]),
            "trainSet": {"trainInd": np.array([[1], [3]])},
            "valSet": {"valInd": np.array([[2]])},
        },
    )
    return tmp_path


def test_cvusa_miniature(cvusa):
    pairs = load_pairs(cvusa, "train", strip=(8, 32), tile=16)
    assert len(pairs) == 2
    assert pairs.street.shape == (2, 3, 8, 32)
    assert pairs.aerial.shape == (2, 3, 16, 16)
    assert not pairs.synthetic
    assert abs(int(pairs.aerial[1, 0, 4, 4]) - 70) < 4  # second pair, in order
    assert abs(int(pairs.street[1, 1, 4, 4]) - 70) < 4
    assert torch.isnan(pairs.places).all()
    assert len(load_pairs(cvusa, "val")) == 1


def test_cvact_miniature(cvact):
    pytest.importorskip("pyproj")
    pairs = load_pairs(cvact, "train", strip=(8, 32), tile=16)
    assert abs(int(pairs.aerial[1, 0, 4, 4]) - 160) < 4  # the third place: indices begin at one
    assert pairs.places[0].tolist() == pytest.approx([-35.3, 149.1], abs=0.1)  # Canberra
    assert len(load_pairs(cvact, "val")) == 1


def test_missing_pictures_are_named(cvusa):
    (cvusa / "bingmap/19/0000001.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 4 pictures .*0000001\.jpg"):
        load_pairs(cvusa, "train")
    assert len(load_pairs(cvusa, "train", n=1)) == 1


def test_damaged_lists_are_named(cvusa, tmp_path):
    (cvusa / "splits" / "val-19zl.csv").write_text("a.jpg,b.jpg,c\nonly-one\n")
    with pytest.raises(DataError, match="line 2"):
        load_pairs(cvusa, "val")
    with pytest.raises(DataError, match="neither CVUSA"):
        load_pairs(tmp_path / "bingmap", "val")
    with pytest.raises(ValueError, match="train or val"):
        load_pairs(cvusa, "test")


def test_damaged_mat(cvact):
    (cvact / "ACT_data.mat").write_bytes(b"not a mat file at all" * 20)
    with pytest.raises(DataError, match=r"ACT_data\.mat is damaged"):
        load_pairs(cvact, "train")


def test_scenes_are_painted_once_and_only_streets(tmp_path, monkeypatch):
    from geolab.data import load

    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path))
    photos = load("tinyearth", n=12, seed=5, size=32)
    pairs = scene_pairs(photos, workers=1)
    streets = [row for row in photos.remove_columns("image") if row["view"] == "street"]
    assert 0 < len(pairs) == len(streets) < 12 + 1
    assert pairs.street.shape[1:] == (3, *STRIP)
    assert pairs.aerial.shape[1:] == (3, TILE, TILE)
    assert pairs.places[0].tolist() == [streets[0]["latitude"], streets[0]["longitude"]]
    files = sorted(tmp_path.rglob("*.npz"))
    assert files
    stamp = files[0].stat().st_mtime_ns
    again = scene_pairs(photos, workers=1)
    assert torch.equal(again.street, pairs.street)
    assert files[0].stat().st_mtime_ns == stamp
    files[0].write_bytes(b"damaged")
    assert torch.equal(scene_pairs(photos, workers=1).aerial, pairs.aerial)


def test_other_photos_have_no_tiles(tmp_path):
    from datasets import Dataset

    with pytest.raises(DataError, match="only TinyEarth"):
        scene_pairs(Dataset.from_dict({"latitude": [1.0], "longitude": [2.0]}))
