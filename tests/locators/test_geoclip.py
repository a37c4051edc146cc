"""GeoCLIP: queue and loss, gallery and its cache, answers, studies, table, published files."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from geolab import sphere
from geolab.data.errors import DataError
from geolab.encoders.clip import load_clip
from geolab.encoders.location import LocationConfig
from geolab.locators import geoclip_gallery as galleries
from geolab.locators import geoclip_studies as studies
from geolab.locators import geoclip_weights as published
from geolab.locators.geoclip import PUBLISHED, GeoClip, GeoClipConfig, projected
from geolab.locators.geoclip_gallery import gallery_features, make_gallery, read_gallery
from geolab.locators.geoclip_systems import GeoClipSystem
from geolab.locators.geoclip_temperature import fit_temperature
from geolab.locators.geoclip_train import (
    GeoClipNetwork,
    contrastive_loss,
    first_queue,
    fit_network,
    photo_features,
)
from geolab.locators.table_systems import SINGLE, SYSTEMS, fit_locator, fit_systems
from geolab.metrics import errors_km
from geolab.training import Batch, TrainConfig

TINY = LocationConfig(sigmas=(1.0, 4.0), n_waves=16, width=32, dim=16)
QUICK = TrainConfig(epochs=12, batch_size=64, lr=5e-3, device="cpu")
CONFIG = GeoClipConfig(location=TINY, queue=96, support=50, train=QUICK)


def photos(n=400, dim=10, seed=0):
    """Features that know the place, up to noise."""
    rng = np.random.default_rng(seed)
    places = np.stack([rng.uniform(-60, 70, n), rng.uniform(-180, 180, n)], 1)
    features = sphere.to_unit(places).numpy() @ np.random.default_rng(9).normal(size=(3, dim))
    return torch.tensor(features + rng.normal(0, 0.03, features.shape)).float(), torch.tensor(
        places
    )


def batch_of(rows):
    return Batch(torch.tensor(rows), torch.rand(len(rows), 4))


@pytest.fixture(scope="module")
def fitted():
    return GeoClip(None, CONFIG).fit_features(*photos(), validation=photos(100, seed=1))


# --- queue and loss ---------------------------------------------------------------------------


def test_queue_is_a_ring():
    network = GeoClipNetwork(3, replace(CONFIG, queue=5))
    assert network.negatives().shape == (0, 2)
    spots = torch.arange(24.0).view(12, 2).double()
    network.enqueue(spots[:3])
    assert torch.equal(network.negatives(), spots[:3])
    network.enqueue(spots[3:7])  # does not divide the queue, and runs over its end
    assert torch.equal(network.negatives(), spots[[5, 6, 2, 3, 4]])
    network.enqueue(spots)  # more than it holds: the last ones
    assert {tuple(p) for p in network.negatives().tolist()} == {
        tuple(p) for p in spots[7:].tolist()
    }
    none = GeoClipNetwork(3, replace(CONFIG, queue=0))
    none.enqueue(spots)
    assert none.negatives().shape == (0, 2)


def test_released_start_is_nowhere():
    spots = first_queue(replace(CONFIG, queue=4096, queue_start="released"), torch.zeros(1, 2))
    km = sphere.great_circle_km(spots, torch.zeros(2).double())
    assert spots.shape == (4096, 2)
    assert 110 < km.min() < km.max() < 112
    places = photos()[1]
    start = first_queue(replace(CONFIG, queue_start="places"), places)
    assert (start[:, None] == places).all(-1).any(1).all()


@pytest.mark.parametrize("mask_km", [0.0, 500.0])
def test_loss_by_hand(mask_km):
    """Photo chooses among batch and queue; never is a place its own negative."""
    features, places = photos(12)
    places[3] = places[0] + 0.5  # some 60 km
    config = replace(CONFIG, queue=8, mask_km=mask_km)
    network = GeoClipNetwork(10, config)
    network.enqueue(places[7:11])
    loss = contrastive_loss(features, places, network, config)
    total, n = loss(network, batch_of([5, 0, 3, 1]))
    candidates = places[[0, 1, 3, 5, 7, 8, 9, 10]]
    photo = F.normalize(network.head(features), dim=1)
    logits = photo @ F.normalize(network.location(candidates), dim=1).T / 0.07
    wanted = 0.0
    for row, own in ((0, 0), (1, 1), (3, 2), (5, 3)):
        km = sphere.great_circle_km(places[row], candidates)
        rivals = [j for j in range(8) if j == own or km[j] > mask_km]
        wanted += logits[row, rivals].logsumexp(0) - logits[row, own]
    assert n == 4
    assert float(total.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    # The batch has entered now, after it was used.
    assert torch.equal(network.negatives(), torch.cat([places[7:11], places[[0, 1, 3, 5]]]))


def test_places_learn_from_photos_and_the_other_way():
    features, places = photos(20)
    network = GeoClipNetwork(10, CONFIG)
    loss = contrastive_loss(features, places, network, CONFIG)
    loss(network, batch_of([0, 1, 2]))[0].backward()
    for part in (network.head.layers[0].weight, network.location.capsules[0][1].weight):
        assert part.grad.abs().sum() > 0
    assert network.logit_scale.grad.abs() > 0


def test_it_learns_and_any_batch_will_do(fitted):
    """64 divides neither the 400 photos nor the queue of 96."""
    asked, truth = photos(200, seed=2)
    km = errors_km(fitted.locate_features(asked).mode().numpy(), truth.numpy())
    blind = np.median(errors_km(np.zeros((200, 2)), truth.numpy()))
    assert np.median(km) < blind / 6
    assert len(fitted.history.losses) == 12 * 7
    assert int(fitted.network.n_queued) == 96


def test_cut_off_and_resumed_ends_with_the_same_bits(tmp_path, monkeypatch):
    from geolab.locators import geoclip_train

    features, places = photos(150)
    config = replace(CONFIG, train=replace(QUICK, epochs=3, checkpoint_every=1))
    whole, _ = fit_network(features, places, config)
    original, steps = geoclip_train.contrastive_loss, []

    def loss_that_stops(*given):
        loss = original(*given)

        def counted(model, batch):
            steps.append(1)
            if len(steps) == 6:
                raise KeyboardInterrupt
            return loss(model, batch)

        return counted

    path = tmp_path / "run.pt"
    monkeypatch.setattr(geoclip_train, "contrastive_loss", loss_that_stops)
    with pytest.raises(KeyboardInterrupt):
        fit_network(features, places, config, checkpoint=path)
    resumed, history = fit_network(features, places, config, checkpoint=path)
    assert (history.resumed_at, len(history.losses)) == (5, 9)
    again = resumed.state_dict()
    for name, one in whole.state_dict().items():
        assert torch.equal(one, again[name]), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f, p: (f[:-1], p), "399 features for 400 places"),
        (lambda f, p: (f[:0], p[:0]), "0 features for 0 places"),
        (lambda f, p: (f.index_fill(0, torch.tensor([7]), math.nan), p), "row 7"),
        (lambda f, p: (f, p.index_fill(0, torch.tensor([3]), math.nan)), r"places row 3 .*nan"),
        (lambda f, p: (f[0], p), r"\(N, D\)"),
    ],
)
def test_wrong_training_photos_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        fit_network(*change(*photos()), CONFIG)


def test_wrong_configurations_are_refused():
    for wrong, words in (
        ({"feature": "pixels"}, "pixels"),
        ({"queue_start": "full"}, "full"),
        ({"queue": -1}, "at least 0"),
        ({"support": 0}, "at least 1"),
        ({"mask_km": -1.0}, "mask_km"),
        ({"feature": "tokens", "unit_length": False}, "tokens"),
    ):
        with pytest.raises(ValueError, match=words):
            GeoClipConfig(**wrong)


# --- gallery ----------------------------------------------------------------------------------


def test_gallery_keeps_each_place_once_in_order():
    gallery = make_gallery([[5.0, 6.0], [1.0, 2.0], [5.0, 6.0], [1.0, 2.0], [0.0, 0.0]])
    assert gallery.latlon.tolist() == [[5.0, 6.0], [1.0, 2.0], [0.0, 0.0]]
    assert (len(gallery), gallery.n_given) == (3, 5)
    assert gallery.hash != make_gallery(gallery.latlon.flip(0)).hash


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (torch.empty(0, 2), "gallery is empty"),
        ([[0.0, 0.0], [math.nan, 1.0]], r"gallery row 1 .*nan"),
        ([[0.0, 0.0], [0.0, math.inf]], "row 1"),
        ([[120.0, 10.0]], "swapped"),
        ([[0.0, 0.0, 0.0]], r"\(1, 3\)"),
        ([1.0, 2.0], r"\(N, 2\)"),
    ],
)
def test_wrong_galleries_are_named(fitted, places, words):
    with pytest.raises(ValueError, match=words):
        fitted.with_gallery(places)


def test_gallery_from_a_file(tmp_path):
    path = tmp_path / "places.csv"
    for header in ("LAT,LON", "latitude,longitude", "note,LON,LAT"):
        swapped = header.startswith("note")
        path.write_text(header + "\n" + ("x,2.35,48.86\n" if swapped else "48.86,2.35\n") * 2)
        assert read_gallery(path).latlon.tolist() == [[48.86, 2.35]]
    for text, words in (
        ("a,b\n1,2\n", "columns a, b"),
        ("LAT,LON\n1,2\n\n3,\n", "line 3"),
        ("LAT,LON\n1,2\nnorth,2\n", "line 3.*north"),
        ("LAT,LON\n1,2\n151.2,-33.9\n", r"line 3.*151\.2"),
        ("LAT,LON\n", "empty"),
        ("", "places.csv"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_gallery(path)
    with pytest.raises(DataError, match=r"none\.csv"):
        read_gallery(tmp_path / "none.csv")


def test_published_gallery_is_as_described(shared_data):
    gallery = read_gallery(shared_data / "geoclip" / "coordinates_100K.csv")
    assert (gallery.n_given, len(gallery)) == (100_000, 94_123)
    assert round(float(gallery.latlon[:, 0].min()), 2) == -55.94
    assert round(float(gallery.latlon[:, 0].max()), 2) == 79.52


def test_embeddings_of_a_gallery_are_made_once(fitted, tmp_path, monkeypatch):
    encoder, gallery = fitted.network.location, fitted.gallery
    monkeypatch.setattr(galleries, "_BATCH", 64)
    held = gallery_features(encoder, gallery, tmp_path)
    assert isinstance(held, np.memmap)
    assert np.allclose(held, encoder.embed(gallery.latlon).numpy(), atol=1e-6)
    (path,) = tmp_path.glob("*.npy")
    before = path.stat().st_mtime_ns
    assert np.array_equal(gallery_features(encoder, gallery, tmp_path), held)
    assert path.stat().st_mtime_ns == before
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        other.capsules[0][7].bias.add_(1)
    assert not np.allclose(gallery_features(other, gallery, tmp_path), held)
    gallery_features(encoder, make_gallery(gallery.latlon[:5]), tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3
    assert list(tmp_path.glob(".*.tmp")) == []


@pytest.mark.parametrize("damage", ["cut", "changed", "no sum"])
def test_damaged_embeddings_are_made_again(fitted, tmp_path, damage):
    encoder, gallery = fitted.network.location, fitted.gallery
    wanted = np.array(gallery_features(encoder, gallery, tmp_path))
    (path,) = tmp_path.glob("*.npy")
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-100])
    if damage == "changed":
        path.write_bytes(content[:-4] + b"\0\0\0\0")
    if damage == "no sum":
        path.with_suffix(".json").write_text("{")
    assert np.array_equal(gallery_features(encoder, gallery, tmp_path), wanted)


def test_interrupted_embedding_leaves_nothing(fitted, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(fitted.network.location), "embed", stop)
    with pytest.raises(KeyboardInterrupt):
        gallery_features(fitted.network.location, fitted.gallery, tmp_path)
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []


# --- answers ----------------------------------------------------------------------------------


def plain_softmax(locator, features):
    """Softmax over the whole gallery, in float64."""
    photo = photo_features(locator.network, features).double()
    scale = locator.network.scale.detach().double() / locator.temperature
    spots = locator.network.location.embed(locator.gallery.latlon).double()
    return (scale * photo @ spots.T).softmax(1)


def test_answer_is_the_best_of_a_plain_softmax(fitted):
    asked, _ = photos(30, seed=3)
    said, whole = fitted.locate_features(asked), plain_softmax(fitted, asked)
    assert said.latlon.shape == (30, 50, 2)
    assert torch.equal(said.mode(), fitted.gallery.latlon[whole.argmax(1)])
    assert (said.weight.diff(dim=1) <= 1e-12).all()
    top = whole.topk(50).values
    assert torch.allclose(said.weight, top / top.sum(1, keepdim=True), atol=1e-6)
    assert torch.allclose(fitted.kept(asked), top.sum(1), atol=1e-5)
    everything = fitted.reconfigured(support=10_000)
    assert everything.locate_features(asked).support_size == 400
    assert torch.allclose(everything.kept(asked), torch.ones(30).double())
    assert fitted.config.support == 50
    assert fitted.locate_features(asked[:0]).weight.shape == (0, 50)


def test_a_gallery_kept_on_disk_gives_the_same_answers(fitted, monkeypatch):
    from geolab.locators import geoclip

    asked, _ = photos(30, seed=3)
    wanted = fitted.locate_features(asked)
    monkeypatch.setattr(geoclip, "_ON_DISK", 1)
    other = fitted.with_gallery(fitted.gallery)
    assert isinstance(other.places_embedded, np.memmap)
    said = other.locate_features(asked)
    assert torch.equal(said.latlon, wanted.latlon)
    assert torch.allclose(said.weight, wanted.weight)


def test_galleries_do_not_mix(fitted):
    asked, truth = photos(40, seed=4)
    wanted = fitted.locate_features(asked).mode()
    other = fitted.with_gallery(truth)
    km = errors_km(other.locate_features(asked).mode().numpy(), truth.numpy())
    assert (km < 1).mean() > 0.1  # it holds the answers
    assert torch.equal(fitted.locate_features(asked).mode(), wanted)
    assert len(fitted.gallery) == 400


def test_one_place_is_every_photo_s_place(fitted):
    asked, truth = photos(9, seed=5)
    lonely = fitted.with_gallery([[10.0, 20.0]])
    said = lonely.locate_features(asked)
    assert said.weight.tolist() == [[1.0]] * 9
    assert (said.mode() == torch.tensor([10.0, 20.0])).all()
    assert lonely.fitted_temperature(asked, truth) == 1.0
    assert lonely.kept(asked).tolist() == [1.0] * 9


def test_temperature_is_the_likeliest(fitted):
    asked, truth = photos(120, seed=6)
    found = fitted.fitted_temperature(asked, truth)
    near = sphere.great_circle_matrix(truth, fitted.gallery.latlon).argmin(1)

    def nats(temperature):
        chance = plain_softmax(fitted.reconfigured(temperature=temperature), asked)
        return -float(chance.gather(1, near[:, None]).log().mean())

    assert all(nats(found) <= nats(found * factor) for factor in (0.8, 0.95, 1.05, 1.25))
    assert fitted.temperature != 1.0
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="positive"):
            fitted.reconfigured(temperature=wrong)
    with pytest.raises(ValueError, match="0 photos"):
        fit_temperature(torch.empty(0, 4), torch.empty(0, 2), torch.ones(3, 4), truth[:3], 1.0)


def test_wrong_features_are_named(fitted):
    asked, _ = photos(4)
    with pytest.raises(ValueError, match="9 numbers, the network was taught 10"):
        fitted.locate_features(asked[:, :9])
    with pytest.raises(ValueError, match="row 2"):
        fitted.locate_features(asked.index_fill(0, torch.tensor([2]), math.nan))
    with pytest.raises(RuntimeError, match="nothing learnt"):
        GeoClip().locate_features(asked)
    with pytest.raises(RuntimeError, match="no CLIP"):
        fitted.locate([])


def test_saved_and_loaded(fitted, tmp_path):
    asked, _ = photos(20, seed=3)
    again = GeoClip.load(fitted.save(tmp_path / "model"))
    one, other = fitted.locate_features(asked), again.locate_features(asked)
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.latlon, other.latlon)
    assert (again.config, again.temperature) == (fitted.config, fitted.temperature)
    assert again.history.n_parameters == fitted.history.n_parameters
    fitted.with_gallery([[0.0, 0.0]]).save(tmp_path / "other")
    (tmp_path / "other" / "gallery.npz").replace(tmp_path / "model" / "gallery.npz")
    with pytest.raises(DataError, match="gallery"):
        GeoClip.load(tmp_path / "model")
    path = tmp_path / "other" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="weights"):
        GeoClip.load(tmp_path / "other")


# --- studies ----------------------------------------------------------------------------------


def test_queue_of_nowhere_is_seen():
    config = replace(CONFIG, queue=1024, train=replace(QUICK, seed=1))
    told = studies.queue_start(*photos(), config, steps=14)
    loss = told.pivot(index="step", columns="start", values="loss")
    assert loss.shape == (14, 2)
    assert loss["released"][1] < loss["places"][1] - 0.2  # looks better
    assert loss["released"][13] > loss["places"][13] + 0.1  # and is behind
    pushed = told.groupby("start")["pushed"].first()
    assert pushed["released"] < pushed["places"]
    nowhere = told[told["start"] == "released"]["nowhere"].tolist()
    assert nowhere[0] == 1024 / 1088
    assert nowhere[-1] == (1024 - 13 * 64) / 1088
    assert (told[told["start"] == "places"]["nowhere"] == 0).all()


def test_share_of_photos_from_one_place():
    pairs = torch.tensor([[0.0, i] for i in range(10)] * 2).double()
    assert studies.same_place_share(pairs, 20) == 1.0
    assert studies.same_place_share(pairs[:10], 10) == 0.0
    # The twin of a photo is one of the 19 others, 10 of them are drawn besides: 9 of 19.
    drawn = studies.same_place_share(pairs, 10, n_draws=2000)
    assert drawn == pytest.approx(9 / 19, abs=0.02)
    with pytest.raises(ValueError, match="21"):
        studies.same_place_share(pairs, 21)


def test_seam_is_seen_and_closed(fitted):
    torn = studies.seam_profile(fitted.network.location, gaps_km=(20.0, 300.0))
    assert torn["inland"][0] > 0.99
    assert torn["across"][0] < 0.9
    whole = studies.seam_profile(
        GeoClipNetwork(10, replace(CONFIG, location=replace(TINY, projection="sphere"))).location,
        gaps_km=(20.0,),
    )
    assert whole["across"][0] > 0.999


def test_larger_galleries_and_their_bound(fitted):
    curve = studies.gallery_size_curve(fitted, *photos(80, seed=7), [1, 20, 400], range(2))
    assert list(curve["size"]) == [1, 20, 400] * 2
    mean = curve.groupby("size").mean()
    assert mean["median_km"].is_monotonic_decreasing
    assert mean["best_750"].is_monotonic_increasing
    for r in (25, 200, 750):
        assert (curve[f"within_{r}"] <= curve[f"best_{r}"]).all()
    assert curve[curve["size"] == 400]["median_km"].nunique() == 1
    for size in (0, 401):
        with pytest.raises(ValueError, match=f"size {size}"):
            studies.gallery_size_curve(fitted, *photos(80), [size])


def test_leaking_galleries_find_the_test_places(fitted):
    asked = photos(80, seed=7)
    curve = studies.gallery_leakage_curve(fitted, *asked, [0.0, 0.5, 1.0])
    assert curve["size"].tolist() == [400, 440, 480]
    assert curve["best_1"].tolist() == [0.0, 50.0, 100.0]
    assert curve["within_1"][0] == 0.0
    assert curve["within_1"][2] > 0
    alone = studies.gallery_leakage_curve(fitted, *asked, [1.0], alone=True)
    assert alone["size"][0] == 80
    assert alone["within_1"][0] >= curve["within_1"][2]
    with pytest.raises(ValueError, match="share 2"):
        studies.gallery_leakage_curve(fitted, *asked, [2])
    with pytest.raises(ValueError, match="empty"):
        studies.gallery_leakage_curve(fitted, *asked, [0.0], alone=True)


# --- photos and the table ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip():
    return load_clip("tiny", device="cpu")


def test_photos_in_answers_out(photos, images, places, clip):
    quick = replace(CONFIG, train=replace(QUICK, epochs=15, batch_size=16))
    locator = GeoClip(clip, quick).fit(photos(48, broken=(5,)), validation=photos(16, seed=2))
    assert len(locator.gallery) == 47
    said = locator.locate(images(8))
    km = errors_km(said.mode().numpy(), places[np.arange(8) % 4])
    assert len(said) == 8
    assert np.median(km) < 25
    raw = GeoClip(clip, replace(quick, unit_length=False))
    raw.fit(photos(16))
    assert len(raw.locate(images(2))) == 2
    with pytest.raises(ValueError, match="length 1"):
        raw.locate_features(clip.encode(images(2)))


def test_projected_features_are_those_before_unit_length(images, clip):
    from geolab.encoders.cnn import to_pixels

    pixels = to_pixels(images(3), clip.size)
    raw = projected(clip, pixels)
    assert not torch.allclose(raw.norm(dim=1), torch.ones(3), atol=0.05)
    assert torch.allclose(F.normalize(raw, dim=1), clip.embed_pixels(pixels), atol=1e-5)
    assert projected(clip, pixels[:0]).shape == (0, 128)


def test_it_stands_in_the_table(photos):
    assert "geoclip" in SYSTEMS
    assert "geoclip" in SINGLE
    (system,) = fit_systems("geoclip", photos(40, broken=(3,)), 0, 40)
    said = system.answer(photos(8, seed=1, broken=(6,)), np.arange(30))
    points = said.points["GeoCLIP"]
    assert np.isnan(points[6]).all()
    assert np.isfinite(np.delete(points, 6, 0)).all()
    assert list(said.failures) == ["1-6"]
    assert said.costs["GeoCLIP"].n_parameters > 10_000
    assert "synthetic" in said.notes["geoclip"]
    known = {tuple(p) for p in fit_geoclip_places(photos)}
    assert {tuple(p) for p in np.delete(points, 6, 0)} <= known


def fit_geoclip_places(photos):
    table = photos(40, broken=(3,)).select(range(30))
    return np.stack([table["latitude"][:], table["longitude"][:]], 1)


def test_one_locator_for_photos_of_unknown_place(photos, images):
    locator = fit_locator("geoclip", photos(24))
    assert torch.isfinite(locator.locate(images(2)).mode()).all()
    assert GeoClipSystem.of(photos(8), 0).good.all()


# --- published files --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Files of the released layout, with weights from chance."""
    folder = tmp_path_factory.mktemp("mirror") / "geoclip"
    folder.mkdir()
    made = torch.Generator().manual_seed(3)
    location = {}
    for i, sigma in enumerate((1, 16, 256)):
        location[f"LocEnc{i}.capsule.0.b"] = sigma * torch.randn(256, 2, generator=made)
        for layer, (n_out, n_in) in ((1, (1024, 512)), (3, (1024, 1024)), (5, (1024, 1024))):
            weight = torch.randn(n_out, n_in, generator=made) * n_in**-0.5
            location |= {f"LocEnc{i}.capsule.{layer}.weight": weight}
            location |= {f"LocEnc{i}.capsule.{layer}.bias": torch.randn(n_out, generator=made)}
        location[f"LocEnc{i}.head.0.weight"] = torch.randn(512, 1024, generator=made) / 32
        location[f"LocEnc{i}.head.0.bias"] = torch.randn(512, generator=made)
    head = {"0.weight": torch.randn(768, 768, generator=made) / 28, "0.bias": torch.randn(768)}
    head |= {"2.weight": torch.randn(512, 768, generator=made) / 28, "2.bias": torch.randn(512)}
    torch.save(location, folder / published.LOCATION)
    torch.save(head, folder / published.HEAD)
    torch.save(torch.nn.Parameter(torch.tensor(3.681035)), folder / published.SCALE)
    (folder / published.GALLERY).write_text("LAT,LON\n48.86,2.35\n-17.7,178.1\n48.86,2.35\n0,9\n")
    return folder, location, head


def by_the_formulas(location, head, features, places):
    """Logits from the released tensors, written down once more, layer by layer."""
    v, total = published_map(places), 0.0
    for i in range(3):
        part = {k.split(".", 1)[1]: t.double() for k, t in location.items() if f"Enc{i}." in k}
        turn = 2 * math.pi * v @ part["capsule.0.b"].T
        x = torch.cat([turn.cos(), turn.sin()], 1)
        for layer in (1, 3, 5):
            x = F.linear(x, part[f"capsule.{layer}.weight"], part[f"capsule.{layer}.bias"]).relu()
        total = total + F.linear(x, part["head.0.weight"], part["head.0.bias"])
    u = {k: t.double() for k, t in head.items()}
    photo = F.linear(features.double(), u["0.weight"], u["0.bias"]).relu()
    photo = F.linear(photo, u["2.weight"], u["2.bias"])
    return math.exp(3.681035) * F.normalize(photo, dim=1) @ F.normalize(total, dim=1).T


def published_map(places):
    lat, lon = torch.deg2rad(places).unbind(1)
    t = torch.asin(math.sqrt(3) / 2 * lat.sin())
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    below = 3 * (9 * a4 * t**8 + 7 * a3 * t**6 + 3 * a2 * t**2 + a1)
    y = a4 * t**9 + a3 * t**7 + a2 * t**3 + a1 * t
    return torch.stack([2 * math.sqrt(3) * lon * t.cos() / below, y], 1) * 66.50336 / 180


def test_files_of_the_released_layout_give_the_released_numbers(released):
    folder, location, head = released
    network = published.published_network(folder)
    n_head = sum(p.numel() for p in network.head.parameters())
    n_location = sum(p.numel() for p in network.location.parameters())
    assert (n_head, n_location) == (984_320, 9_449_472)
    scale = float(network.scale.detach())
    assert scale == pytest.approx(39.69, abs=0.005)
    assert 1 / scale == pytest.approx(0.0252, abs=1e-4)
    features, places = 10 * torch.randn(5, 768), sphere.uniform_points(7)
    wanted = by_the_formulas(location, head, features, places)
    with torch.no_grad():
        assert torch.allclose(network(features, places).double(), wanted, atol=2e-2)
    assert wanted.std() > 0.5


def test_conversion_happens_once_and_follows_its_sources(released, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in released[0].iterdir():
        if path.suffix in (".pth", ".csv"):
            os.link(path, folder / path.name)
    target = published.convert_published(folder)
    before, calls = target.stat().st_mtime_ns, []
    original = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: calls.append(k) or original(*a, **k))
    assert published.convert_published(folder) == target
    assert (target.stat().st_mtime_ns, calls) == (before, [])
    (folder / published.SCALE).unlink()  # a link to the file that other tests use
    torch.save(torch.tensor(2.0), folder / published.SCALE)
    assert published.published_network(folder).logit_scale == 2.0
    assert len(calls) == 3
    assert all(call["weights_only"] is True for call in calls)
    target.write_bytes(target.read_bytes()[:1000])  # cut short: made again
    assert published.published_network(folder).logit_scale == 2.0


class Bomb:
    """A pickle that would write a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickles_are_not_run_and_wrong_files_are_named(released, tmp_path):
    original, location, head = released
    names = published.HEAD, published.LOCATION, published.SCALE
    folder, trace = tmp_path / "files", tmp_path / "was_run"
    folder.mkdir()

    def refused(name, words, write):
        for path in names:
            (folder / path).unlink(missing_ok=True)
            if path != name:
                os.link(original / path, folder / path)
        write(folder / name)
        with pytest.raises(DataError, match=words):
            published.convert_published(folder)
        assert not (folder / published.CONVERTED).exists()

    small = {**head, "0.weight": torch.zeros(8, 768)}
    without = {k: v for k, v in location.items() if k != "LocEnc1.capsule.0.b"}
    refused(names[0], "any program", lambda p: torch.save({"0.bias": Bomb(trace)}, p))
    refused(names[0], "any program|damaged", lambda p: p.write_bytes(pickle.dumps(Bomb(trace))))
    assert not trace.exists()
    refused(names[0], r"0\.weight has shape \(8, 768\)", lambda p: torch.save(small, p))
    refused(names[0], "'more'", lambda p: torch.save({**head, "more": torch.ones(1)}, p))
    refused(names[0], "other things than tensors", lambda p: torch.save({"0.bias": 3}, p))
    refused(names[1], r"LocEnc1\.capsule\.0\.b has shape nothing", lambda p: torch.save(without, p))
    refused(names[2], r"the scale has shape \(1,\)", lambda p: torch.save(torch.ones(1), p))
    refused(names[1], "damaged", lambda p: p.write_bytes((original / names[1]).read_bytes()[:5000]))
    refused(names[2], "no logit_scale_weights.pth", lambda p: None)


def test_published_weights_come_through_their_manifest(released, empty_cache, monkeypatch):
    """From a mirror, since nobody asks a network here; the gallery's checksum is the real one's."""
    from geolab.data.manifest import fetch, load_manifest

    manifest = load_manifest("geoclip")
    assert {entry.path for entry in manifest.files} == {
        published.LOCATION, published.HEAD, published.SCALE, published.GALLERY
    }  # fmt: skip
    commit = "7a1a23b49648a5872a771cfda28490a17ab17d15"
    assert all(f"/{commit}/" in entry.url for entry in manifest.files)
    monkeypatch.setenv("GEOLAB_MIRROR", str(released[0].parent))
    folder = fetch("geoclip", files="*.pth", progress=False)
    network = published.published_network(folder)
    assert network.location.config == LocationConfig()
    assert set(json.loads((folder / "lock.json").read_text())) == {
        published.LOCATION, published.HEAD, published.SCALE
    }  # fmt: skip


def test_published_gallery_is_the_one_of_the_manifest(shared_data):
    from geolab.data.manifest import load_manifest
    from geolab.data.storage import sha256_of

    (entry,) = [e for e in load_manifest("geoclip").files if e.path == published.GALLERY]
    path = shared_data / "geoclip" / published.GALLERY
    assert (sha256_of(path), path.stat().st_size, entry.rows) == (
        entry.sha256,
        entry.bytes,
        100_000,
    )


def test_published_locator_answers_and_refuses_another_clip(released, clip):
    with pytest.raises(ValueError, match="768 numbers, tiny gives 128"):
        published.load_published(clip, folder=released[0])
    large = copy.copy(clip)
    object.__setattr__(large, "dims", {"image": 768, "tokens": 1024})
    locator = published.load_published(large, folder=released[0])
    assert (len(locator.gallery), locator.gallery.n_given) == (3, 4)
    assert locator.config is PUBLISHED
    features = 10 * torch.randn(4, 768)
    wanted = by_the_formulas(released[1], released[2], features, locator.gallery.latlon)
    said = locator.locate_features(features)
    assert torch.equal(said.mode(), locator.gallery.latlon[wanted.argmax(1)])
    assert locator.history.n_parameters == 9_449_472 + 984_320 + 1
