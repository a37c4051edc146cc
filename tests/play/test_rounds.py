"""What is asked, what the models may know, and that a page gives no more away than it says."""

from __future__ import annotations

import io

import numpy as np
import pytest
from datasets import Dataset
from datasets import Image as ImageColumn
from PIL import Image

from geolab.data.errors import DataError
from geolab.maps.density import cell_area_km2
from geolab.play.heat import HEAT_LEVELS, heat_png
from geolab.play.rounds import choose_photos, game_of, make_game
from geolab.posterior import Posterior

EMPTY = {"bytes": b"no photo", "path": None}


class OnePlace:
    """Answers one place for every photo."""

    name = "one place"

    def locate(self, images):
        return Posterior([[[48.85837, 2.29448]]] * len(images), np.ones((len(images), 1)))


def png(value: int = 90) -> dict:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    Image.new("RGB", (64, 48), (value, 99, 120)).save(buffer, "JPEG", exif=exif)
    return {"bytes": buffer.getvalue(), "path": None}


def photos(n: int, **columns) -> Dataset:
    held = {
        "id": [f"photo-{i}" for i in range(n)],
        "image": [png(i % 250) for i in range(n)],
        "latitude": [10.123456 + i for i in range(n)],
        "longitude": [20.654321 + i for i in range(n)],
        **columns,
    }
    return Dataset.from_dict(held).cast_column("image", ImageColumn())


def test_photos_without_a_place_to_see_are_not_asked():
    scene = ["urban", "indoor", "natural", "urban", "urban"]
    view = ["street", "indoor", "closeup", "sky", "landmark"]
    for seed in range(5):
        chosen = choose_photos(photos(5, scene=scene, view=view), 2, seed)
        assert set(chosen["id"]) == {"photo-0", "photo-4"}


def test_every_photographer_is_asked_before_any_is_asked_again():
    who = ["ann"] * 10 + ["bob", "cat"]
    for seed in range(5):
        chosen = choose_photos(photos(12, photographer=who), 4, seed)
        assert set(chosen["photographer"][:3]) == {"ann", "bob", "cat"}
        assert chosen["photographer"][3] == "ann"
    one, two = (choose_photos(photos(30), 5, seed)["id"] for seed in (0, 1))
    assert list(one) != list(two)
    assert list(one) == list(choose_photos(photos(30), 5, 0)["id"])


def test_photos_that_cannot_be_read_are_passed_over_and_too_few_are_refused():
    image = [EMPTY, png(), EMPTY, png()]
    assert set(choose_photos(photos(4, image=image), 2)["id"]) == {"photo-1", "photo-3"}
    with pytest.raises(DataError, match=r"3 rounds need 3 photos.*there are 2 of 4.*--rounds"):
        choose_photos(photos(4, image=image), 3)


def test_a_game_keeps_places_coarse_and_pictures_bare():
    game = game_of(photos(6), {"one": OnePlace()}, rounds=3, draw=2)
    assert len(game.rounds) == 3
    assert game.systems == ("one",)
    for one in game.rounds:
        assert np.allclose(np.multiply(one.latlon, 100), np.round(np.multiply(one.latlon, 100)))
        number = int(one.photo.removeprefix("photo-"))
        assert np.allclose(one.latlon, (10.12 + number, 20.65 + number))
        assert one.answers[0].latlon == (48.86, 2.29)
        assert b"SECRET" not in one.picture
        with Image.open(io.BytesIO(one.picture)) as image:
            assert image.size == (64, 48)
            assert not image.getexif()
    again = game_of(photos(6), {"one": OnePlace()}, rounds=3, draw=2)
    assert again.id == game.id
    assert game_of(photos(6), {"one": OnePlace()}, rounds=3, draw=3).id != game.id


def read_levels(posterior: Posterior, sigma_km: float = 200.0) -> np.ndarray:
    with Image.open(io.BytesIO(heat_png(posterior, sigma_km))) as image:
        assert (image.mode, image.size) == ("L", (360, 180))
        return np.asarray(image) // (255 // (HEAT_LEVELS - 1))


@pytest.mark.parametrize("place", [(51.3, 0.7), (-33.4, 151.6), (-16.5, 179.8), (89.9, 10.0)])
def test_the_heat_is_where_the_answer_is(place):
    levels = read_levels(Posterior([[place]], [[1.0]]))
    row, column = np.unravel_index(levels.argmax(), levels.shape)
    assert abs((89.5 - row) - place[0]) <= 1
    if abs(place[0]) < 89:
        assert abs((column - 179.5 - place[1] + 180) % 360 - 180) <= 1
    assert levels.max() == HEAT_LEVELS - 1
    assert 0 < (levels > 0).mean() < 0.05


def test_a_level_holds_the_share_that_it_says():
    rng = np.random.default_rng(0)
    support = np.stack([rng.uniform(-60, 70, 40), rng.uniform(-180, 180, 40)], axis=-1)
    posterior = Posterior(support[None], rng.dirichlet(np.ones(40))[None])
    from geolab.maps.density import density_per_km2

    lat, lon = np.arange(89.5, -90, -1), np.arange(-179.5, 180)
    grid = np.stack(np.meshgrid(lat, lon, indexing="ij"), axis=-1)
    weight = posterior.weight[0].numpy()
    area = cell_area_km2(np.arange(-90, 91), np.arange(-180, 181))
    mass = density_per_km2(support, weight, grid, 200.0) * area
    levels = read_levels(posterior)
    for level in (8, 16, 24):
        inside = mass[levels >= level].sum() / mass.sum()
        assert inside == pytest.approx(1 - level / HEAT_LEVELS, abs=0.02)
    with pytest.raises(ValueError, match=r"posterior\[i\]"):
        heat_png(Posterior.cat([posterior, posterior]))


def test_own_photos_against_another_reference_set(tmp_path, monkeypatch):
    rows = ["file_name,latitude,longitude"]
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(png(i)["bytes"])
        rows.append(f"{i}.jpg,{40 + i},{10 + i}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    references = tmp_path / "known.csv"
    lines = ["path,latitude,longitude", "0.jpg,40,10"]
    for i in range(5, 9):
        (tmp_path / f"{i}.jpg").write_bytes(png(i)["bytes"])
        lines.append(f"{i}.jpg,{-i},{i}")
    references.write_text("\n".join(lines))
    seen = {}

    def fit(name, train, seed):
        seen[name] = train["latitude"][:]
        return OnePlace()

    monkeypatch.setattr("geolab.locators.table_systems.fit_locator", fit)
    game = make_game(
        tmp_path / "metadata.csv", locators=("clip",), reference=str(references), rounds=4
    )
    assert sorted(seen["clip"]) == [-8, -7, -6, -5]  # not the reference at a place that is asked
    assert not game.synthetic
    assert str(tmp_path) not in " ".join((*game.about, game.source))
    assert "known.csv, 4 photos" in game.about[0]
    assert not any("synthetic" in text for text in game.about)
    against = make_game(
        tmp_path / "metadata.csv", locators=("clip",), reference="tinyearth", rounds=2, n=30
    )
    assert any("synthetic photos" in text for text in against.about)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"locators": ("nobody",)}, "no locator 'nobody'; there are: im2gps"),
        ({"locators": ()}, "at least one model"),
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"source": "nowhere"}, "no folder, no .csv file"),
    ],
)
def test_wrong_requests_stop_at_once(given, message):
    with pytest.raises(ValueError, match=message):
        make_game(**given)
