"""From a csv as it lies on a disk to a row of the table. The photos are synthetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from geolab import shared_table
from geolab.data import read_images, shared_split
from geolab.locators.baselines import places_of
from geolab.locators.knn_density import KnnDensity, KnnDensityConfig
from geolab.locators.planet import CPU_TRAINING, PlaNet, PlaNetConfig
from tests.data.miniatures import synthetic_rows, write_csv, write_mp16, write_osv5m

pytestmark = pytest.mark.filterwarnings("ignore::geolab.data.errors.DataWarning")


def tiny_images(photos) -> np.ndarray:
    """16 x 16 colours of each photo, (N, 768) float32, around their mean."""
    images = read_images(photos).images
    small = np.stack([np.asarray(image.resize((16, 16)), np.float32) for image in images])
    flat = small.reshape(len(images), -1)  # (N, 16 * 16 * 3)
    return flat - flat.mean(axis=1, keepdims=True)


@pytest.fixture(params=["osv5m", "mp16", "any csv"])
def a_csv(request, cache, tmp_path) -> Path:
    if request.param == "osv5m":
        write_osv5m(tmp_path / "copy")
        return tmp_path / "copy" / "test.csv"
    if request.param == "mp16":
        return write_mp16(tmp_path)
    rows = []
    for i, row in enumerate(synthetic_rows()):
        (tmp_path / f"{i}.jpg").write_bytes(row["jpeg"])
        rows.append({"file": f"{i}.jpg", "lat": row["latitude"], "lng": row["longitude"]})
    write_csv(tmp_path / "mine.csv", ("file", "lat", "lng"), rows)
    return tmp_path / "mine.csv"


def check_row(row, n: int) -> None:
    assert (row.n, row.failed, row.synthetic) == (n, 0, False)
    shares = [row.metrics[f"within_{km}"].value for km in (1, 25, 200, 750, 2500)]
    assert shares == sorted(shares)
    assert 0 < row.metrics["median_km"].value < 20_016


def test_neighbours_end_in_a_row(a_csv):
    parts = shared_split(a_csv)
    train, test = parts["train"], parts["test"]
    knn = KnnDensity(None, KnnDensityConfig(k=10))
    knn.fit_features(torch.from_numpy(tiny_images(train)), places_of(train))
    posterior = knn.locate_features(torch.from_numpy(tiny_images(test)))
    row = shared_table.score(knn.name, posterior, test, source=a_csv.name)
    assert row.benchmark == f"{a_csv.name}, shared test"
    check_row(row, len(test))
    again = knn.locate_features(torch.from_numpy(tiny_images(train)))
    found = shared_table.score(knn.name, again, train, source=a_csv.name)
    assert found.metrics["median_km"].value < 1  # a photo's nearest neighbour is itself


def test_planet_ends_in_a_row(a_csv):
    parts = shared_split(a_csv)
    once = replace(CPU_TRAINING, epochs=1)
    planet = PlaNet(PlaNetConfig(size=32, train=once)).fit(parts["train"])
    assert len(planet.partition) > 1
    posterior = planet.locate(read_images(parts["test"]).images)
    row = shared_table.score(planet.name, posterior, parts["test"], source=a_csv.name)
    check_row(row, len(parts["test"]))
