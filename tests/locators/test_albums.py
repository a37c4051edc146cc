"""Album models: what an answer may have seen, and that padding changes nothing (synthetic)."""

from __future__ import annotations

from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from geolab.cells import S2Partition
from geolab.data.errors import DataError
from geolab.locators.album_rows import PAGE, Albums
from geolab.locators.albums import VARIANTS, AlbumConfig, AlbumLocator, AlbumNetwork
from geolab.training import TrainConfig
from tests.locators.conftest import PLACES

DIM = 6
TRAIN = TrainConfig(epochs=1, batch_size=16, lr=2e-2, clip_norm=1.0, device="cpu")
LEARNT = [variant for variant in VARIANTS if variant != "average"]


def cells(name="four places"):
    return S2Partition.fit(np.repeat(PLACES, 3, 0), 1, 100, name=name)


class OneHot:
    """A model of single photos: the first four features are the scores of its four cells."""

    def __init__(self, name="four places"):
        self.partition = cells(name)

    def class_log_probabilities(self, features):
        return F.log_softmax(features[:, :4], 1)

    def embed(self, images):
        return torch.stack([*images, torch.zeros(DIM)])[: len(images)]

    def embed_photos(self, photos):
        return torch.tensor(photos["features"])


def config(variant, **changes):
    return AlbumConfig(**{"variant": variant, "hidden": 8, "train": TRAIN, **changes})


def toy(n, seed=0, dates=False):
    """n trips of four photos: the first shows its cell (4 classes), the others show nothing."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(4, size=n).repeat(4)
    features = 0.3 * rng.normal(size=(4 * n, DIM))
    features[::4, :4] += 4 * np.eye(4)[truth[::4]]
    albums = Albums(tuple(np.arange(4 * n).reshape(n, 4)))  # (4 n,) -> (n, 4)
    return torch.from_numpy(features).float(), torch.from_numpy(truth), albums


@pytest.fixture(scope="module")
def fitted():
    """Every variant after one epoch on 12 trips."""
    features, truth, albums = toy(12)
    return {
        v: AlbumLocator(OneHot(), config(v)).fit_features(features, truth, albums) for v in VARIANTS
    }


@pytest.fixture(scope="module")
def uneven():
    """Nine photos in albums of 4, 1, 3 and 1, rows in no order."""
    albums = Albums(tuple(map(np.array, ([7, 0, 3, 5], [2], [8, 1, 6], [4]))))
    return torch.randn(9, DIM, generator=torch.Generator().manual_seed(4)), albums


def network(variant, **changes):
    torch.manual_seed(0)
    return AlbumNetwork(DIM, 4, config(variant, **changes)).eval()


def moved(variant, length=5, at=3, **changes):
    """Which answers of one album change when photo `at` does."""
    net, generator = network(variant, **changes), torch.Generator().manual_seed(1)
    album = torch.randn(1, length, DIM, generator=generator)
    other = album.clone()
    other[0, at] += 1
    with torch.no_grad():
        one, two = (net(a, torch.tensor([length])) for a in (album, other))
    return ((one - two).abs().amax(-1)[0] > 1e-6).tolist()


@pytest.mark.parametrize("variant", VARIANTS)
def test_albums_of_one_photo_are_answered(fitted, variant):
    features = torch.randn(3, DIM, generator=torch.Generator().manual_seed(2))
    post = fitted[variant].locate_features(features, Albums(tuple(np.arange(3)[:, None])))
    assert post.weight.shape == (3, 4)
    torch.testing.assert_close(post.weight.sum(1).float(), torch.ones(3))
    assert not torch.allclose(post.weight[0], post.weight[1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_does_not_change_an_album(fitted, uneven, variant):
    """The same answers alone as beside a longer album."""
    features, albums = uneven
    together = fitted[variant].locate_features(features, albums).weight
    for rows in albums.rows:
        alone = Albums((np.arange(len(rows)),))
        said = fitted[variant].locate_features(features[rows], alone).weight
        torch.testing.assert_close(together[rows], said, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("variant", LEARNT)
def test_what_stands_in_the_padding_is_never_read(variant):
    net, lengths = network(variant), torch.tensor([2, 4])
    albums = torch.randn(2, 4, DIM, generator=torch.Generator().manual_seed(3))
    soiled = albums.clone()
    soiled[0, 2:] = 1e3
    with torch.no_grad():
        one, two = net(albums, lengths), net(soiled, lengths)
    assert torch.equal(one[0, :2], two[0, :2])
    assert torch.equal(one[1], two[1])


def test_who_sees_whom():
    """Photo 3 of five changes: the answers that change are those that have seen it."""
    assert moved("plain") == [False, False, False, True, True]
    assert moved("shift", shift=1) == [False, False, True, True, True]
    assert moved("shift", shift=2) == [False, True, True, True, True]
    assert moved("repeated") == [True] * 5
    assert moved("bidirectional") == [True] * 5


def test_the_repeated_answers_are_those_of_the_second_pass():
    """Feeding the album twice by hand to a plain network gives the same."""
    repeated, plain = network("repeated"), network("plain")
    plain.load_state_dict(repeated.state_dict())
    album = torch.randn(1, 3, DIM, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        twice = plain(album.repeat(1, 2, 1), torch.tensor([6]))  # (1, 3, D) -> (1, 6, D)
        said = repeated(album, torch.tensor([3]))
    torch.testing.assert_close(said, twice[:, 3:])


def test_the_average_is_the_mean_of_the_albums_softmaxes(uneven):
    features, albums = uneven
    said = AlbumLocator(OneHot(), config("average")).locate_features(features, albums).weight
    for rows in albums.rows:
        wanted = features[rows, :4].softmax(1).mean(0).expand(len(rows), 4)
        torch.testing.assert_close(said[rows].float(), wanted, atol=1e-6, rtol=1e-5)


def test_the_neighbour_in_time_tells_the_place():
    train = replace(TRAIN, epochs=12, batch_size=8)
    locator = AlbumLocator(OneHot(), config("plain", hidden=16, dropout=0.0, train=train))
    locator.fit_features(*toy(64))
    features, truth, albums = toy(40, seed=1)
    blind = torch.arange(160) % 4 > 0
    single = OneHot().class_log_probabilities(features).argmax(1)
    album = locator.locate_features(features, albums).weight.argmax(1)
    right = [(said == truth)[blind].double().mean() for said in (single, album)]
    assert right[0] < 0.45  # a quarter by chance
    assert right[1] > 0.85


def test_bidirectional_albums_are_cut_into_pages_of_25(fitted):
    assert AlbumConfig(variant="bidirectional").page == PAGE == 25
    assert AlbumConfig(variant="bidirectional", page=10).page == 10
    assert AlbumConfig(variant="repeated").page is None
    assert AlbumConfig(variant="bidirectional").name == "album bidirectional, pages of 25"
    features = torch.randn(30, DIM, generator=torch.Generator().manual_seed(6))
    other = features.clone()
    other[27] += 3
    whole = Albums((np.arange(30),))
    for variant, reach in (("bidirectional", 25), ("repeated", 0)):
        one, two = (fitted[variant].locate_features(f, whole).weight for f in (features, other))
        changed = (one - two).abs().amax(1) > 0
        assert changed[25:].all()
        assert bool(changed[:25].any()) == (reach == 0)


def test_images_and_tables_are_answered_as_features_are(fitted, uneven):
    locator, (features, _) = fitted["plain"], uneven
    order = [3, 1, 0, 2]
    table = datasets.Dataset.from_dict(
        {
            "features": features[:4].tolist(),
            "sequence": ["a"] * 4,
            "captured_at": [f"2020-01-0{1 + order.index(i)}" for i in range(4)],
        }
    )
    said = locator.locate_albums(table).weight
    in_order = locator.locate(list(features[order])).weight
    torch.testing.assert_close(said[order], in_order)
    assert len(locator.locate([])) == 0


def test_a_table_teaches_by_its_places():
    _, truth, _ = toy(3)
    features, _, _ = toy(3)
    table = {"features": features.tolist(), "sequence": [str(i // 4) for i in range(12)]}
    table |= {"captured_at": ["2020-01-01"] * 11 + [""]}
    table |= dict(zip(("latitude", "longitude"), PLACES[truth.numpy()].T.tolist(), strict=True))
    locator = AlbumLocator(OneHot(), config("shift")).fit(datasets.Dataset.from_dict(table))
    assert locator.history.n_rows == 4  # three trips, and the photo without a date
    assert locator.name == "album shift 1"


def test_photos_in_no_cell_teach_nothing_but_are_seen():
    features, truth, albums = toy(6)
    outside = truth.clone()
    outside[4:] = -1
    locator = AlbumLocator(OneHot(), config("plain")).fit_features(features, outside, albums)
    assert locator.history.n_rows == 1
    with pytest.raises(ValueError, match="no album has a photo inside a cell"):
        AlbumLocator(OneHot(), config("plain")).fit_features(features, truth * 0 - 1, albums)


def test_a_checkpoint_of_other_cells_is_refused_with_both_names(tmp_path):
    features, truth, albums = toy(6)
    path = tmp_path / "album.pt"
    fit = {"features": features, "cells": truth, "albums": albums, "checkpoint": path}
    first = AlbumLocator(OneHot(), config("plain")).fit_features(**fit)
    again = AlbumLocator(OneHot(), config("plain")).fit_features(**fit)
    for one, other in zip(first.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)
    other = OneHot("four others")
    with pytest.raises(DataError, match=r"four (places|others)(.|\n)*four (places|others)") as said:
        AlbumLocator(other, config("plain")).fit_features(**fit)
    assert OneHot().partition.hash[:8] in str(said.value)
    assert other.partition.hash[:8] in str(said.value)


@pytest.mark.parametrize("variant", ["average", "plain"])
@pytest.mark.parametrize("rows", [[[0, 1]], [[0, 1, 1]], [[0, 1, 3]], [[0, 1, 2], [2]]])
def test_albums_that_do_not_hold_each_row_once_are_refused(fitted, variant, rows):
    with pytest.raises(ValueError, match=r"albums of \d photos for 3 embeddings"):
        fitted[variant].locate_features(torch.zeros(3, DIM), Albums(tuple(map(np.array, rows))))


def test_before_fit_and_wrong_settings():
    with pytest.raises(RuntimeError, match=r"call fit\(train\) first"):
        AlbumLocator(OneHot()).locate_features(torch.zeros(1, DIM), Albums((np.arange(1),)))
    with pytest.raises(ValueError, match="variant must be one of average, plain"):
        AlbumConfig(variant="backwards")
    with pytest.raises(ValueError, match="at least 1"):
        AlbumConfig(variant="shift", shift=0)
