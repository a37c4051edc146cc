"""`geolab locate`: city precision, no EXIF, and one bad photo never ends a run."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from geolab import locate_command
from geolab.cities import cities_of, cities_only, coarse
from geolab.locate_command import References, lines, locate_photos
from geolab.posterior import Posterior

# Two spots in central Paris, one in Rome, all to the metre.
SPOTS = [[48.858370, 2.294481], [48.853000, 2.349900], [41.890210, 12.492231]]
REAL = References("mine.csv", 3, synthetic=False)


class ThreeSpots:
    """Answers the same three spots for every photo."""

    name = "three spots"

    def locate(self, images):
        return Posterior([SPOTS] * len(images), np.tile([0.3, 0.25, 0.45], (len(images), 1)))


@pytest.fixture
def secret_photo(tmp_path):
    """A photo whose EXIF holds a position and a serial number."""
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "N", (48.0, 51.0, 30.13), "E", (2.0, 17.0, 40.13)
    path = tmp_path / "SECRETFOLDER" / "eiffel.jpg"
    path.parent.mkdir()
    Image.new("RGB", (640, 480), "teal").save(path, exif=exif)
    return path


def test_cities_add_up_and_no_coordinate_is_finer_than_a_tenth():
    answer = coarse(ThreeSpots().locate([None]))
    assert np.allclose(answer.latlon.numpy() * 10, np.round(answer.latlon.numpy() * 10))
    cities = cities_of(answer)
    assert sum(city.weight for city in cities) == pytest.approx(1)
    assert (cities[0].name, cities[0].country) == ("Paris", "France")  # not its suburb
    assert cities[0].weight == pytest.approx(0.55)
    assert [city.name for city in cities] == ["Paris", "Rome"]
    assert re.search(r"\(4\d\.\d, \d+\.\d\)$", str(cities[0]))
    assert len(cities_of(answer, top=1)) == 1


def test_only_cities_are_named_even_far_from_any():
    assert cities_only().places["population"].min() >= 15_000
    atlantic = cities_of(Posterior([[[30.0, -45.0]]], [[1.0]]))
    assert len(atlantic) == 1


def test_a_bad_photo_is_reported_and_the_others_located(tmp_path, secret_photo):
    bad = tmp_path / "notes.jpg"
    bad.write_text("shopping list")
    located = locate_photos([bad, secret_photo, tmp_path / "gone.jpg"], ThreeSpots(), REAL, top=2)
    assert [photo.name for photo in located] == ["notes.jpg", "eiffel.jpg", "gone.jpg"]
    assert [bool(photo.error) for photo in located] == [True, False, True]
    assert "text, not an image" in located[0].error
    assert "no such file" in located[2].error
    text = "\n".join(lines(located, REAL))
    assert "2 of 3 photos could not be read" in text
    assert "Reference set: mine.csv, 3 real photos." in text
    assert "only as good as that set" in text
    assert "yours to locate" in text
    assert not re.search(r"\d\.\d\d", text.replace(located[2].error, ""))  # nothing finer than 0.1


def test_no_readable_photo_is_no_crash(tmp_path):
    bad = tmp_path / "empty.jpg"
    bad.touch()
    located = locate_photos([bad], ThreeSpots(), REAL, map_path=tmp_path / "map.png")
    assert located[0].error
    assert not (tmp_path / "map.png").exists()


def test_the_map_holds_no_exif_and_no_exact_place(tmp_path, secret_photo, monkeypatch):
    drawn = {}
    real = locate_command.draw_answers

    def spy(names, pictures, answer, *, synthetic):
        drawn.update(names=names, pictures=pictures, answer=answer)
        return real(names, pictures, answer, synthetic=synthetic)

    monkeypatch.setattr(locate_command, "draw_answers", spy)
    path = tmp_path / "map.png"
    locate_photos([secret_photo], ThreeSpots(), REAL, map_path=path)
    assert drawn["names"] == ["eiffel.jpg"]
    assert all(len(picture.getexif()) == 0 for picture in drawn["pictures"])
    tenths = drawn["answer"].latlon.numpy() * 10
    assert np.allclose(tenths, np.round(tenths))
    with Image.open(path) as image:
        assert image.size[0] > 800
        assert len(image.getexif()) == 0
        assert not image.text
    for secret in (b"SECRET", b"GPS", b"Exif", b"eXIf"):
        assert secret not in path.read_bytes()


def test_the_synthetic_reference_set_says_so():
    text = str(References("tinyearth", 2000, synthetic=True))
    assert "2,000 synthetic (rendered) photos" in text
    assert "exercise" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [({"top": 0}, "top must be at least 1"), ({"map_path": "map.html"}, r"map\.html.*\.png")],
)
def test_wrong_options_stop_before_reading(options, message):
    with pytest.raises(ValueError, match=message):
        locate_photos(["absent.jpg"], None, REAL, **options)
