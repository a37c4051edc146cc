"""Pictures of TinyEarth: repeatable to the bit, and true to what the scene says it shows."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from geolab.data.tinyearth import Scene, cue_table, species_table
from geolab.data.tinyearth.landmarks import load_landmarks, make_landmark
from geolab.data.tinyearth.look import sun_position
from geolab.data.tinyearth.sheet import sample_scenes
from geolab.data.tinyearth.spots import Spot

# Spots written out, so that no gazetteer and no climate stands between the test and the pixels.
PLACES = (
    ("JP", 35.7, 139.7, "humid subtropical", "broadleaf", 3, "urban", 14.0),
    ("IS", 64.1, -21.9, "tundra", "shrub", 1, "grassland", 2.0),
    ("TH", 13.8, 100.5, "tropical monsoon", "palm", 2, "urban", 27.0),
    ("EG", 30.0, 31.2, "hot desert", "palm", 3, "bare", 21.0),
    ("RU", 62.0, 129.7, "subarctic", "conifer", 0, "forest", -5.0),
    ("KE", -1.3, 36.8, "savanna", "acacia", 1, "cropland", 19.0),
    ("US", 33.0, -112.0, "hot desert", "cactus", 0, "bare", 21.0),
    ("IT", 43.0, 11.0, "mediterranean", "olive", 2, "cropland", 15.0),
    ("ES", 40.0, -4.0, "mediterranean", "cypress", 1, "cropland", 15.0),
    ("FI", 62.0, 25.0, "subarctic", "birch", 1, "forest", 3.0),
)
ANIMALS = ("zebra", "penguin", "elephant", "kangaroo", "moose", "bison", "llama", "dromedary")
VIEWS = ("street", "animal", "indoor", "closeup", "sky", "landmark")
PIXELS = "ff6f1346649b39a54a960cb98455bc54e437734e370dc5cfc03ce9c5f87993e6"


def spot(number: int, lon_step: int = 0) -> Spot:
    country, lat, lon, climate, plant, density, cover, warmth = PLACES[number]
    tower = replace(make_landmark(number, lat, lon), lat=lat + 0.0005, lon=lon + 0.0004)
    return Spot(
        lat=lat, lon=lon + lon_step * 1e-5, country=country, region="R", county="", city="C",
        population=100, climate=climate, elevation=100.0, relief=0.5, temperature=warmth,
        amplitude=9.0, precipitation=900.0, dry_summer=0.0, density=density, plant=plant,
        plant_share=0.7, soil=0.4, land_cover=cover, water=0.95 if number % 3 else 0.5,
        landmark=tower if lon_step % 3 == 0 else None,
    )  # fmt: skip


def scene(number: int, view: str = "street", step: int = 0, **other) -> Scene:
    here = spot(number, step)
    animal = ANIMALS[number % len(ANIMALS)] if view == "animal" else ""
    given = {"month": 1 + (number + 5 * step) % 12, "hour": 9.0 + step % 8, "seed": step} | other
    return Scene(
        here.lat, here.lon, view=view, species=animal, photographer=str(step), spot=here, **given
    )


def test_pixels_are_the_same_on_every_machine():
    digest = hashlib.sha256()
    for number in range(len(PLACES)):
        for step, view in enumerate(VIEWS):
            digest.update(scene(number, view, step).street(96).tobytes())
        here = scene(number, step=number)
        digest.update(here.street(200).tobytes() + here.aerial(96).tobytes())
        digest.update(here.surfaces(64).tobytes())
    assert digest.hexdigest() == PIXELS


@pytest.mark.parametrize("size", [8, 33, 96, 256])
def test_any_size(size):
    here = scene(0)
    assert here.street(size).size == here.aerial(size).size == (size, size)
    assert here.surfaces(size).shape == (size, size)


def test_larger_picture_shows_the_same_scene():
    here = scene(7, step=1)
    small = np.asarray(here.street(64), float)
    large = np.asarray(here.street(256).reduce(4), float)
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.95


def test_impossible_scenes_are_refused():
    with pytest.raises(ValueError, match="no view"):
        scene(0, "selfie")
    with pytest.raises(ValueError, match="calendar"):
        scene(0, month=13)
    with pytest.raises(ValueError, match="no species"):
        Scene(0, 0, species="unicorn", spot=spot(0))
    with pytest.raises(ValueError, match="no cue"):
        scene(0).street(32, without={"smell"})
    with pytest.raises(ValueError, match="too small"):
        scene(0).street(4)
    with pytest.raises(ValueError, match="91"):
        Scene(91.0, 0.0)


@pytest.mark.parametrize(
    ("lat", "month", "south"),
    [(50, 6, True), (50, 12, True), (-35, 6, False), (-35, 12, False), (10, 6, False)],
)
def test_noon_sun_stands_on_the_right_side(lat, month, south):
    height, azimuth = sun_position(lat, month, 12.0)
    assert azimuth == (180.0 if south else 0.0)
    assert height > 0


def test_sun_rises_in_the_east_and_is_higher_in_summer():
    assert 45 < sun_position(50, 6, 8.0)[1] < 135 < 225 < sun_position(50, 6, 16.0)[1] < 315
    assert sun_position(50, 6, 12.0)[0] - sun_position(50, 12, 12.0)[0] > 40
    assert sun_position(-50, 12, 12.0)[0] - sun_position(-50, 6, 12.0)[0] > 40


@pytest.mark.parametrize(("number", "toward", "away"), [(9, 180, 0), (1, 180, 0)])
def test_disc_of_the_sun_is_drawn_where_the_sun_stands(number, toward, away):
    drawn = {toward: 0, away: 0}
    for heading in drawn:
        for seed in range(12):
            here = scene(number, month=3, hour=12.0, seed=seed, heading=heading)
            sky = here.surfaces(64) == 2
            drawn[heading] += int((here.cues(64)["sun"].mask & sky).any())
    assert drawn[toward] >= 3
    assert drawn[away] == 0


ERASED_WITH = {
    "signs": {"script"},
    "drive_side": {"plates"},
    "vegetation": {"sun"},
    "poles": {"sun"},
}
DRAWN = (
    "vegetation", "drive_side", "plates", "road_lines", "bollards", "signs", "script", "poles",
    "roofs", "facades", "landmark", "animal", "relief", "water",
)  # fmt: skip


@lru_cache(maxsize=512)
def painted(number: int, view: str, step: int):
    here = scene(number, view, step)
    return here, here.cues(96), np.asarray(here.street(96), int)


@pytest.mark.parametrize("name", DRAWN)
def test_erasing_a_cue_changes_the_pixels_that_show_it(name):
    seen = 0
    for number, step in np.ndindex(len(PLACES), 6):
        view = name if name in ("animal", "landmark") else "street"
        here, cues, before = painted(number, view, step)
        after = np.asarray(here.street(96, without={name}), int)
        changed, mask = (before != after).any(-1), cues[name].mask.copy()
        for other in ERASED_WITH.get(name, ()):
            mask |= cues[other].mask
        assert not (changed & ~mask).any(), (number, step)
        if cues[name].mask.sum() > 8:
            seen += 1
            assert changed[cues[name].mask].mean() > 0.5, (number, step)
        if seen == 6:
            break
    assert seen >= 3


def test_boxes_hold_the_mask():
    for step in range(6):
        for sight in scene(2, step=step).cues(96).values():
            covered = np.zeros((96, 96), bool)
            for x0, y0, x1, y1 in sight.boxes:
                covered[round(y0 * 96) : round(y1 * 96), round(x0 * 96) : round(x1 * 96)] = True
            assert not (sight.mask & ~covered).any()
            assert sight.visible == sight.mask.any()


def test_cue_names_are_those_of_the_table():
    assert list(scene(0).cues(32)) == cue_table()["name"].tolist()
    assert scene(0, "indoor").cues(32) == {}


def test_photos_without_cue_do_not_depend_on_the_place():
    for view in ("indoor", "closeup", "sky"):
        here = scene(0, view)
        there = replace(here, spot=spot(4))
        assert here.street(48).tobytes() == there.street(48).tobytes()


def test_cars_keep_to_the_lawful_side():
    lanes = {"left": [], "right": []}
    for scenes in (sample_scenes("JP", 40), sample_scenes("FR", 40)):
        for here in scenes:
            side = here.cues(16)["drive_side"].value
            lanes[side] += [car.t * (1 if car.forward else -1) for car in here.layout.cars]
    assert len(lanes["left"]) > 10
    assert len(lanes["right"]) > 10
    assert max(lanes["left"]) < 0 < min(lanes["right"])


def test_panorama_turns_and_joins():
    views = scene(3).panorama(64)
    pixels = [np.asarray(view, float) for view in views]
    assert len(pixels) == 4
    for left, right in zip(pixels, [*pixels[1:], pixels[0]], strict=True):
        low = slice(44, 64)  # ground: neighbours meet at their edges
        assert np.abs(left[low, -1] - right[low, 0]).mean() < 25
    assert np.abs(pixels[0] - pixels[2]).mean() > 5


def map_pixel(here: Scene, s: float, t: float, size: int, span_m: float) -> tuple[int, int]:
    """Row and column of road coordinates on a north-up tile, worked out apart from the painter."""
    bearing = np.radians(here.layout.bearing)
    east, north = (
        s * np.sin(bearing) + t * np.cos(bearing),
        s * np.cos(bearing) - t * np.sin(bearing),
    )
    scale = size / span_m
    return int(size / 2 - scale * north), int(size / 2 + scale * east)


def test_aerial_shows_cars_where_the_layout_has_them():
    cars = 0
    for number in range(len(PLACES)):
        here = scene(number, step=1)
        with_cars, without = (
            np.asarray(here.aerial(200, span_m=100.0, without=gone | {"vegetation", "roofs"}), int)
            for gone in (set(), {"drive_side"})
        )
        changed = (with_cars != without).any(-1)
        for car in here.layout.cars:
            at = map_pixel(here, car.s, car.t, 200, 100.0)
            cars += 1
            assert changed[at], (number, car)
        assert changed.any() == bool(here.layout.cars)
    assert cars >= 4


def test_aerial_road_runs_along_its_bearing():
    tried = 0
    for number in range(len(PLACES)):
        for step in range(3):
            here = scene(number, step=step)
            if not 20 < here.layout.bearing % 90 < 70:
                continue  # a mirrored road could not be told from the true one
            tried += 1
            gone = {"vegetation", "poles", "drive_side", "road_lines", "sun", "landmark"}
            tile = np.asarray(here.aerial(200, span_m=100.0, without=gone), float)
            rows = [map_pixel(here, s, 0.0, 200, 100.0) for s in range(-40, 41, 4)]
            along = np.array([tile[row, column] for row, column in rows])
            mirrored = np.array([tile[row, 199 - column] for row, column in rows])
            assert along.std(0).max() < 9  # one surface, but for its grain
            assert mirrored.std(0).max() > along.std(0).max()
    assert tried >= 8


def test_surfaces_are_ordered_from_sky_to_ground():
    labels = scene(4, step=2).surfaces(96)
    assert set(np.unique(labels)) == {0, 1, 2}
    rows = [np.argwhere(labels == value)[:, 0].mean() for value in (2, 1, 0)]
    assert rows == sorted(rows)


def test_snow_lies_in_winter_only():
    winter, summer = scene(4, month=1), scene(4, month=7)
    assert winter.cues(32)["snow"].value > 0.8
    assert summer.cues(32)["snow"].value == 0.0
    ground = winter.surfaces(64) == 0
    bright = [np.asarray(s.street(64), float)[ground].mean() for s in (winter, summer)]
    assert bright[0] > bright[1] + 20


def test_landmark_view_looks_at_the_landmark():
    for landmark in load_landmarks().landmarks[:12]:
        here = Scene(landmark.lat + 0.0005, landmark.lon, view="landmark", hour=12.0)
        sight = here.cues(96)["landmark"]
        assert here.landmark == sight.value != ""
        assert sight.visible
        assert abs(np.argwhere(sight.mask)[:, 1].mean() - 48) < 14


def test_species_live_where_the_table_says():
    table = species_table()
    assert set(table["status"]) == {"native", "introduced"}
    row = table[table["species"] == "penguin"].iloc[0]
    here = Scene(row["lat"], row["lon"], species="penguin", view="animal")
    assert here.cues(96)["animal"].visible


def test_caption_says_what_and_where():
    text = Scene(35.68, 139.69, month=4).caption()
    assert "synthetic" in text
    assert "April" in text
    assert "Japan" in text
    assert "left" in text
