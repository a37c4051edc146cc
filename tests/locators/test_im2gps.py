"""im2gps from photos to answers, and its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from geolab.data.array_file import save_arrays
from geolab.data.errors import DataError
from geolab.evaluation import evaluate
from geolab.locators.im2gps import FAMILIES, Im2GPS, Im2GPSConfig, answer_from, describe_photos
from geolab.sphere import great_circle_km

SMALL = Im2GPSConfig(k=8, min_matches=2, n_textons=16)


@pytest.fixture(scope="module")
def fitted(photos):
    return Im2GPS(SMALL).fit(photos(48))


@pytest.mark.parametrize("answer", ["nearest", "votes", "modes"])
def test_every_answer_finds_the_place(fitted, images, places, answer):
    locator = fitted.reconfigured(replace(SMALL, answer=answer))
    posterior = locator.locate(images(8))
    assert len(posterior) == 8
    assert posterior.support_size == {"nearest": 1, "votes": 8}.get(answer, posterior.support_size)
    errors = great_circle_km(posterior.mode(), np.tile(places, (2, 1)))
    assert (errors < 25).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_alone(fitted, images, family):
    locator = fitted.reconfigured(replace(SMALL, families=(family,), answer="nearest"))
    posterior = locator.locate(images(8))
    assert torch.isfinite(posterior.latlon).all()
    assert family in locator.name
    if family in ("tiny", "colour"):
        _, rows = locator.neighbours(images(8), 3)
        assert (rows % 4 == (torch.arange(8) % 4)[:, None]).all()


def test_neighbours_and_references(fitted, photos):
    train = photos(48)
    distances, rows = fitted.neighbours([train[5]["image"], train[6]["image"]], 5)
    assert rows[:, 0].tolist() == [5, 6]
    assert distances[:, 0].max() < 1e-2
    assert (distances.diff(dim=1) >= 0).all()
    index = fitted.references
    assert index.ids[5] == train[5]["id"]
    assert index.latlon[5].tolist() == [train[5]["latitude"], train[5]["longitude"]]


def test_votes_and_modes_share_the_neighbours(fitted, images):
    votes = fitted.reconfigured(replace(SMALL, answer="votes")).locate(images(4))
    assert torch.allclose(votes.weight, torch.full((4, 8), 1 / 8, dtype=torch.float64))
    modes = answer_from(votes.latlon, SMALL)
    again = fitted.locate(images(4))
    assert torch.equal(modes.latlon, again.latlon)
    assert (again.weight.diff(dim=1) <= 0).all()


def test_mode_weights_are_shares_of_the_kept_matches():
    paris, sydney, lima = [48.86, 2.35], [-33.87, 151.21], [-12.05, -77.04]
    matches = torch.tensor([[paris] * 6 + [sydney] * 4 + [lima] * 2]).double()
    posterior = answer_from(matches, Im2GPSConfig(min_matches=4))
    assert posterior.weight.tolist() == [[0.6, 0.4]]
    assert posterior.mode()[0].tolist() == pytest.approx(paris)


def test_describing_before_changes_nothing(fitted, images):
    queries = images(5)
    described = fitted.locate_described(fitted.describe(queries))
    assert torch.equal(described.latlon, fitted.locate(queries).latlon)
    # Queries do not see each other: one alone gets the same answer.
    alone = fitted.locate(queries[3:4])
    width = alone.support_size
    assert torch.allclose(alone.weight[0], described.weight[3, :width])


def test_fitting_twice_gives_the_same(photos, images):
    one, two = (Im2GPS(SMALL).fit(photos(32)) for _ in range(2))
    for name in FAMILIES:
        assert torch.equal(one.references.features[name], two.references.features[name])
    assert one.references.sigma == two.references.sigma
    assert torch.equal(one.locate(images(4)).latlon, two.locate(images(4)).latlon)


def test_unreadable_references_are_left_out_and_named(photos, images):
    locator = Im2GPS(replace(SMALL, families=("tiny",))).fit(photos(20, broken=(3, 11)))
    assert set(locator.unreadable) == {"0-3", "0-11"}
    assert len(locator.references) == 18
    assert "0-3" not in locator.references.ids
    row = locator.references.ids.index("0-4")
    assert locator.references.latlon[row, 0] == pytest.approx(48.86, abs=0.2)
    assert len(locator.locate(images(2))) == 2


def test_an_unreadable_query_is_a_miss(fitted, photos):
    row = evaluate(fitted, photos(12, seed=5, broken=(2,)), benchmark="made up")
    assert (row.n, row.failed) == (12, 1)
    assert row.metrics["within_25"].value == pytest.approx(100 * 11 / 12)
    assert "5-2" in row.failures


def test_one_reference(photos, images):
    train = photos(1)
    locator = Im2GPS(Im2GPSConfig(families=("tiny", "lines"), answer="nearest")).fit(train)
    answers = locator.locate(images(3)).mode()
    assert torch.allclose(answers[:, 0], torch.tensor(train[0]["latitude"]).double())


def test_too_few_references(photos):
    with pytest.raises(ValueError, match=r"5 of 5 reference photos.*k = 120.*smaller k"):
        Im2GPS(Im2GPSConfig(families=("tiny",))).fit(photos(5))
    with pytest.raises(ValueError, match="0 of 0"):
        Im2GPS(Im2GPSConfig(families=("tiny",), answer="nearest")).fit(photos(4).select([]))
    with pytest.raises(ValueError, match="0 of 2"):
        Im2GPS(Im2GPSConfig(families=("tiny",), answer="nearest")).fit(photos(2, broken=(0, 1)))


def test_k_above_the_references(fitted, images):
    with pytest.raises(ValueError, match="between 1 and 48"):
        fitted.neighbours(images(1), 49)
    with pytest.raises(ValueError, match="between 1 and 48"):
        fitted.reconfigured(replace(SMALL, k=49))
    with pytest.raises(ValueError, match="between 1 and 5"):
        fitted.subset(range(5))


def test_subset_answers_only_from_its_references(fitted, images):
    part = fitted.subset([i for i in range(48) if i % 4 != 0])
    answers = part.locate(images(8)).mode()
    assert (great_circle_km(answers, [48.86, 2.35]) > 1000).all()
    assert part.references.sigma == fitted.references.sigma


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"answer": "best"}, "best"),
        ({"k": 0}, "at least 1"),
        ({"families": ()}, "families"),
        ({"families": ("sift",)}, "sift"),
        ({"n_textons": 0}, "at least 1"),
        ({"min_matches": 0}, "at least 1"),
    ],
)
def test_wrong_configuration(wrong, text):
    with pytest.raises(ValueError, match=text):
        Im2GPSConfig(**wrong)


def test_used_before_fit(images):
    with pytest.raises(RuntimeError, match="fit"):
        Im2GPS().locate(images(1))
    with pytest.raises(RuntimeError, match="fit"):
        Im2GPS().save("nowhere.npz")


def test_bad_query(fitted):
    with pytest.raises(TypeError, match="image 0"):
        fitted.locate([None])
    with pytest.raises(ValueError, match="uint8"):
        fitted.locate([np.full((8, 8, 3), np.nan)])
    assert len(fitted.locate([Image.new("L", (1, 1))])) == 1


def test_missing_families(photos):
    locator = Im2GPS(Im2GPSConfig(families=("tiny",), answer="nearest")).fit(photos(4))
    with pytest.raises(ValueError, match="gist"):
        locator.reconfigured(Im2GPSConfig(families=("tiny", "gist"), answer="nearest"))


def test_describe_photos_of_nothing(fitted, photos):
    features, rows, unreadable = describe_photos(photos(2, broken=(0, 1)), fitted.encoders)
    assert rows == []
    assert len(unreadable) == 2
    assert features["gist"].shape == (0, 675)


def test_file_comes_back_whole(fitted, images, tmp_path):
    path = fitted.save(tmp_path / "index.npz")
    back = Im2GPS.load(path)
    assert back.config == fitted.config
    assert back.name == fitted.name
    assert back.references.ids == fitted.references.ids
    assert torch.equal(back.locate(images(4)).latlon, fitted.locate(images(4)).latlon)
    alone = fitted.reconfigured(replace(SMALL, families=("tiny", "layout"), answer="nearest"))
    other = Im2GPS.load(alone.save(tmp_path / "alone.npz"))
    assert torch.equal(other.locate(images(4)).latlon, alone.locate(images(4)).latlon)
    assert set(other.encoders) == {"tiny", "layout"}


def test_other_files_are_refused(tmp_path):
    path = save_arrays(tmp_path / "old.npz", {"x": np.zeros(2)}, kind="im2gps index", version=0)
    with pytest.raises(DataError, match="version 0"):
        Im2GPS.load(path)
