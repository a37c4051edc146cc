"""The defence lab: each defence removes what it says, and the table measures before and after."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from geolab.data.errors import DataError
from geolab.data.loading import load
from geolab.defence import (
    DEFENCES,
    as_jpeg,
    cropped,
    defence_table,
    defended,
    hidden,
    shrunk,
    sky_of,
    text_boxes,
    without_sky,
)
from geolab.posterior import Posterior
from geolab.sphere import fibonacci_grid


@pytest.fixture(scope="module")
def photos():
    many = load("tinyearth", n=120)
    return many.select([i for i, view in enumerate(many["view"]) if view == "street"][:24])


@pytest.fixture
def noise():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))


def array(image):
    return np.asarray(image).astype(int)


def test_a_crop_keeps_the_middle_and_the_size(noise):
    made = cropped(noise, 0.5)
    assert made.size == noise.size
    middle = noise.crop((16, 12, 48, 36)).resize(noise.size, Image.Resampling.BICUBIC)
    inner = (slice(4, -4), slice(4, -4))  # at the edge the crop's own pixels end
    assert np.abs(array(made)[inner] - array(middle)[inner]).max() <= 1
    assert np.array_equal(array(cropped(noise, 1)), array(noise))


def test_boxes_are_hidden_and_the_rest_is_not(noise):
    box = (0.25, 0.25, 0.5, 0.75)
    for how in ("blur", "fill"):
        made = array(hidden(noise, [box], how, margin=0))
        same = (made == array(noise)).all(-1)
        assert not same[12:36, 16:32].mean() > 0.05
        same[12:36, 16:32] = True
        assert same.all()
        assert made[14:34, 18:30].std() < 12 < array(noise)[14:34, 18:30].std()
    assert np.array_equal(array(hidden(noise, [])), array(noise))
    assert (array(hidden(noise, [(0, 0, 1, 1)], "fill")) == 128).all()


def test_the_sky_goes_by_mask_or_by_height(noise):
    made = array(without_sky(noise, 0.5))
    assert (made[:24] == 128).all()
    assert np.array_equal(made[24:], array(noise)[24:])
    mask = np.zeros((48, 64), bool)
    mask[:, :10] = True
    assert np.array_equal(array(without_sky(noise, mask))[:, 10:], array(noise)[:, 10:])


def test_shrinking_and_jpeg_lose_what_is_fine(noise):
    fine = lambda image: np.abs(np.diff(array(image), axis=1)).mean()  # noqa: E731
    assert fine(shrunk(noise, 8)) < 0.3 * fine(noise)
    assert not np.array_equal(array(as_jpeg(noise, 5)), array(noise))
    assert shrunk(noise, 8).size == as_jpeg(noise, 5).size == noise.size


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda image: cropped(image, 0), "share"),
        (lambda image: hidden(image, [(0.5, 0, 0.2, 1)]), r"box \(0.5, 0, 0.2, 1\)"),
        (lambda image: hidden(image, [(0, 0, 64, 48)]), "shares"),
        (lambda image: hidden(image, [], "erase"), "'erase'"),
        (lambda image: without_sky(image, 2.0), "between 0 and 1"),
        (lambda image: without_sky(image, np.zeros((3, 3), bool)), r"mask of \(3, 3\)"),
        (lambda image: shrunk(image, 0), "1 pixel"),
        (lambda image: as_jpeg(image, 100), "1 to 95"),
    ],
)
def test_impossible_requests_are_named(noise, call, said):
    with pytest.raises(ValueError, match=said):
        call(noise)


def test_tinyearth_knows_its_sky_and_its_words(photos):
    row = next(row for row in photos if text_boxes(row, 96))
    image = row["image"].convert("RGB")
    for x0, y0, x1, y1 in text_boxes(row, 96):
        area = (slice(round(y0 * 96), round(y1 * 96)), slice(round(x0 * 96), round(x1 * 96)))
        painted = array(DEFENCES["paint signs and plates"](image, row))
        assert (painted[area] == 128).all()
    sky = sky_of(row, 96)
    assert sky[:8].mean() > sky[-8:].mean() == 0
    assert (array(DEFENCES["drop the sky"](image, row))[sky] == 128).all()


class Eye:
    """Sure of the true place while the picture is as it was; of nothing once it changed."""

    def __init__(self, photos):
        self.truth = {
            row["image"].convert("RGB").tobytes(): (row["latitude"], row["longitude"])
            for row in photos
        }
        self.anywhere = fibonacci_grid(400).numpy()

    def locate(self, images):
        out = []
        for image in images:
            place = self.truth.get(image.tobytes())
            if place is None:
                out.append(Posterior([self.anywhere], np.full((1, 400), 1 / 400)))
            else:
                out.append(Posterior([[place]], [[1.0]]))
        return Posterior.cat(out)


def test_the_table_sees_bits_fall_and_errors_rise(photos):
    some = {name: DEFENCES[name] for name in ("crop to half", "shrink to 16 px")}
    table = defence_table(Eye(photos).locate, photos, some)
    assert list(table.index) == ["none", *some]
    assert (table["n"] == len(photos)).all()
    before, after = table.loc["none"], table.loc["crop to half"]
    assert before["median_km"].value == pytest.approx(0, abs=1e-6)
    assert before["bits"].value > 10
    assert after["bits_change"].value == pytest.approx(after["bits"].value - before["bits"].value)
    assert after["bits_change"].high < -5
    assert after["km_change"].low > 1000
    assert after["score_change"].value < -2000
    assert before["bits_change"].value == 0


def test_a_defence_that_does_nothing_changes_nothing(photos):
    table = defence_table(Eye(photos).locate, photos, {"nothing": lambda image, row: image})
    for column in ("bits_change", "km_change", "score_change"):
        change = table.loc["nothing", column]
        assert (change.value, change.low, change.high) == (0, 0, 0)


def test_photos_without_masks_are_refused(photos):
    with pytest.raises(DataError, match="TinyEarth only"):
        defended(photos.remove_columns("scene_seed"), lambda image, row: image)
