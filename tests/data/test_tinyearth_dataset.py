"""The TinyEarth data set: columns, who took the photos, and what it does not depend on."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from geolab import sphere
from geolab.data.tinyearth import CLIMATES, Scene, album, build, species_here
from geolab.data.tinyearth.borders import LEFT_DRIVING
from geolab.data.tinyearth.travellers import plan_photos

COLUMNS = {
    "id", "image", "latitude", "longitude", "country", "region", "sub-region", "city",
    "captured_at", "sequence", "heading", "climate", "drive_side", "land_cover", "photographer",
    "scene", "view", "landmark", "species", "population", "month", "elevation", "temperature",
    "precipitation", "caption", "scene_seed",
}  # fmt: skip


@pytest.fixture(scope="module")
def photos():
    return build(150, seed=3, size=16, workers=1)


@pytest.fixture(scope="module")
def plan() -> pd.DataFrame:
    return plan_photos(8000, seed=0)


def raw(dataset) -> list[bytes]:
    return [cell.as_py()["bytes"] for cell in dataset.data.column("image")]


def test_columns_and_ranges(photos):
    assert set(photos.column_names) == COLUMNS
    table = photos.remove_columns("image").to_pandas()
    assert table["id"].is_unique
    assert table["latitude"].between(-90, 90).all()
    assert table["longitude"].between(-180, 180).all()
    assert table["country"].str.fullmatch("[A-Z]{2}").all()
    assert table["month"].between(1, 12).all()
    assert table["heading"].between(0, 360).all()
    assert set(table["climate"]) <= set(CLIMATES)
    assert set(table["scene"]) <= {"indoor", "natural", "urban"}
    assert (table["drive_side"] == table["country"].isin(LEFT_DRIVING)).all()
    assert (pd.to_datetime(table["captured_at"]).dt.month == table["month"]).all()
    assert not table.isna().any().any()
    assert photos[0]["image"].size == (16, 16)


def test_workers_do_not_matter(photos):
    again = build(150, seed=3, size=16, workers=2)
    assert raw(again) == raw(photos)
    assert again["caption"][:] == photos["caption"][:]


def test_smaller_data_set_is_the_beginning_of_a_larger_one(photos):
    fewer = build(40, seed=3, size=16)
    assert raw(fewer) == raw(photos)[:40]
    assert fewer["id"][:] == photos["id"][:40]


def test_seed_changes_the_photographers(photos):
    other = build(40, seed=4, size=16)
    assert not set(other["id"]) & set(photos["id"])
    assert not set(other["photographer"]) & set(photos["photographer"])
    assert other["latitude"][:] != photos["latitude"][:40]


def test_a_row_paints_its_picture_again(photos):
    for row in photos.select(range(0, 150, 10)):
        again = Scene.from_row(row).street(16)
        assert np.array_equal(np.asarray(again), np.asarray(row["image"])), row["id"]


def test_pictures_are_lossless_png(photos):
    for data in raw(photos)[:5]:
        assert Image.open(io.BytesIO(data)).format == "PNG"


@pytest.mark.parametrize(("n", "size"), [(0, 96), (-3, 96), (10, 4)])
def test_impossible_requests_are_refused(n, size):
    with pytest.raises(ValueError, match="ask for"):
        build(n, size=size)


def test_photos_and_places_are_heavy_tailed(plan):
    counts = plan.groupby("photographer").size().sort_values(ascending=False)
    assert counts.iloc[: len(counts) // 10].sum() > 0.35 * len(plan)
    assert counts.median() <= 10
    cells = plan[["latitude", "longitude"]].round(0).value_counts()
    assert cells.iloc[: len(cells) // 10].sum() > 0.4 * len(plan)
    assert len(cells) < 0.15 * 64800  # most of the Earth is never photographed


def test_landmarks_are_photographed_by_many(plan):
    from geolab.data.tinyearth.spots import describe

    seen = plan[plan["view"] == "landmark"]
    names = [spot.landmark.name for spot in describe(seen["latitude"], seen["longitude"])]
    people = seen["photographer"].groupby(np.array(names)).nunique()
    assert 0.05 < len(seen) / len(plan) < 0.2
    assert people.max() >= 10
    assert (people[names] >= 3).mean() > 0.4  # of the photos, not of the landmarks


def test_one_photo_in_eight_has_no_cue(plan):
    share = plan["view"].isin(["indoor", "closeup", "sky"]).mean()
    assert 0.10 < share < 0.15


def test_sequences_are_near_in_space_and_time(plan):
    latlon = plan[["latitude", "longitude"]].to_numpy()
    same = (plan["sequence"].to_numpy()[1:] == plan["sequence"].to_numpy()[:-1]).nonzero()[0]
    km = sphere.great_circle_km(latlon[same], latlon[same + 1]).numpy()
    hours = (
        pd.to_datetime(plan["captured_at"]).diff().dt.total_seconds().to_numpy()[same + 1] / 3600
    )
    assert np.median(km) < 15
    assert np.quantile(km, 0.99) < 400
    assert hours.min() >= -12  # only a photo moved from darkness to the light steps back
    assert np.median(hours) < 2
    assert plan.groupby("sequence")["photographer"].nunique().max() == 1


def test_photographers_mostly_stay_but_some_travel_far(plan):
    first = plan.groupby("photographer")[["latitude", "longitude"]].transform("median").to_numpy()
    here = plan[["latitude", "longitude"]].to_numpy()
    km = sphere.great_circle_km(here, first).numpy()
    assert (km < 60).mean() > 0.3
    assert 0.1 < (km > 1500).mean() < 0.6


def test_animals_stay_in_their_ranges(plan):
    animals = plan[plan["species"] != ""]
    assert 0.01 < len(animals) / len(plan) < 0.06
    status = [
        species_here(lat, lon).get(name)
        for lat, lon, name in animals[["latitude", "longitude", "species"]].itertuples(index=False)
    ]
    assert None not in status
    assert "native" in status


def test_album_is_one_trip():
    scenes = album(seed=5, length=15)
    assert len(scenes) == 15
    latlon = np.array([(scene.lat, scene.lon) for scene in scenes])
    step_km = sphere.great_circle_km(latlon[:-1], latlon[1:]).numpy()
    assert np.median(step_km) < 60
    assert [scene.lat for scene in album(seed=5, length=15)] == latlon[:, 0].tolist()
    assert scenes[0].street(16).size == (16, 16)


def test_rows_are_plain_json(photos):
    row = photos.remove_columns("image")[0]
    assert json.loads(json.dumps(row)) == row
