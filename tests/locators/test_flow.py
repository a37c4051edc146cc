"""The flow as a locator: samples in order of density, its own density, files, the table."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from geolab import sphere
from geolab.data.errors import DataError
from geolab.data.shared import shared_split
from geolab.evaluation import point_of, truth_of
from geolab.flow.grid import density_grid
from geolab.flow.learning import FlowRule
from geolab.flow.network import NetworkConfig
from geolab.flow.sampler import SamplerConfig
from geolab.likelihood import UNIFORM_NLL
from geolab.locators.flow import LOCATOR_TRAINING, Flow, FlowConfig, by_density
from geolab.locators.table_systems import SINGLE, SYSTEMS, fit_locator, fit_systems
from geolab.metrics import errors_km
from geolab.posterior import Posterior

SMALL = FlowConfig(
    network=NetworkConfig(64, 2, 2),
    sampler=SamplerConfig(steps=8),
    n_samples=32,
    train=replace(LOCATOR_TRAINING, epochs=25, batch_size=128, lr=5e-3, device="cpu", patience=25),
)
TOWNS = torch.tensor([[60.0, 9.0], [-33.0, 151.0], [0.0, 179.9], [40.0, -100.0]])


def towns(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features that say the town, and places about 300 km around it."""
    rng = np.random.default_rng(seed)
    which = torch.from_numpy(rng.integers(0, 4, n))
    features = torch.eye(4)[which] * 3 + torch.from_numpy(rng.normal(0, 0.2, (n, 4))).float()
    places = sphere.destination(TOWNS[which].double(), rng.uniform(0, 360, n), rng.gamma(2, 150, n))
    return features, places


@pytest.fixture(scope="module")
def flow():
    return Flow(None, SMALL).fit_features(*towns(2000, 0), validation=towns(200, 1))


def test_it_finds_the_towns(flow):
    features, truth = towns(100, 2)
    said = flow.locate_features(features)
    assert said.latlon.shape == (100, 32, 2)
    assert np.median(errors_km(point_of(said), truth)) < 700
    own = flow.log_density(features, truth)
    assert own.shape == (100,)
    assert -float(own.mean()) < UNIFORM_NLL - 2
    assert flow.history.validation[flow.history.best_epoch]["nll"] == min(
        figures["nll"] for figures in flow.history.validation
    )


def test_its_density_integrates_to_one_floor_included(flow):
    features = towns(1, 3)[0]
    grid = density_grid(lambda p: flow.log_density(features, p[None])[0], 2000)
    assert abs(grid.integral - 1) < 0.01
    assert flow.floor >= 0


def test_weights_are_equal_and_the_mode_is_the_densest_sample(flow):
    said = flow.locate_features(towns(20, 4)[0])
    assert torch.equal(said.weight, torch.full((20, 32), 1 / 32, dtype=torch.float64))
    torch.testing.assert_close(said.mode(), said.latlon[:, 0])
    torch.testing.assert_close(said.mode(), said.density_mode(flow.sigma_km))
    half = said.credible(0.5)
    assert (half.sum(1) == 16).all()
    assert half[:, :16].all()  # the smallest region is where samples are dense


def test_order_keeps_weights_with_their_places():
    post = Posterior([[[50.0, 0.0], [0.0, 0.0], [0.0, 0.5]]], [[0.2, 0.3, 0.5]])
    ordered = by_density(post, 300.0)
    assert ordered.latlon[0, -1].tolist() == [50.0, 0.0]
    assert float(ordered.weight[0, -1]) == pytest.approx(0.2)
    assert len(by_density(Posterior(torch.zeros(0, 2, 2), torch.zeros(0, 2)), 100.0)) == 0


def test_repeats_saves_and_loads(flow, tmp_path):
    features, truth = towns(10, 5)
    again = Flow.load(flow.save(tmp_path / "flow"))
    assert again.config == flow.config
    assert (again.sigma_km, again.floor) == (flow.sigma_km, flow.floor)
    want = flow.locate_features(features)
    torch.testing.assert_close(again.locate_features(features).latlon, want.latlon)
    torch.testing.assert_close(
        again.log_density(features, truth), flow.log_density(features, truth)
    )
    assert again.history.n_parameters == sum(p.numel() for p in flow.network.parameters())
    file = tmp_path / "flow" / "flow.safetensors"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match=r"flow\.safetensors"):
        Flow.load(tmp_path / "flow")


def test_without_validation_the_last_weights_are_kept():
    config = replace(SMALL, train=replace(SMALL.train, epochs=1))
    plain = Flow(None, config).fit_features(*towns(200, 0))
    assert (plain.floor, plain.sigma_km) == (0.0, 200.0)
    assert plain.history.best_epoch == -1


def test_refusals(flow):
    with pytest.raises(RuntimeError, match="not fitted"):
        Flow(None).locate_features(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="no encoder"):
        flow.locate([])
    with pytest.raises(ValueError, match=r"must have shape \(B, 4\)"):
        flow.locate_features(torch.zeros(1, 5))
    with pytest.raises(ValueError, match="embedding row 0 is not finite"):
        flow.locate_features(torch.full((1, 4), math.nan))
    with pytest.raises(ValueError, match="latlon row 1"):
        Flow(None, SMALL).fit_features(torch.zeros(2, 4), [[0.0, 0.0], [95.0, 0.0]])
    with pytest.raises(ValueError, match="no validation photos"):
        Flow(None, SMALL).fit_features(
            *towns(9, 0), validation=(torch.zeros(0, 4), torch.zeros(0, 2))
        )
    with pytest.raises(ValueError, match="on the sphere"):
        FlowConfig(rule=FlowRule("ddpm"))
    with pytest.raises(ValueError, match="must be positive"):
        FlowConfig(n_samples=0)
    assert len(flow.locate_features(torch.zeros(0, 4))) == 0


def test_it_is_a_system_of_the_table():
    assert "flow" in SYSTEMS
    assert "flow" in SINGLE


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_table_gets_three_rows_and_unreadable_photos_none(monkeypatch):
    import datasets

    monkeypatch.setattr("geolab.locators.flow_systems.FlowConfig", lambda: replace(SMALL))
    parts = shared_split(n=400)
    rows = parts["test"].select(range(6)).cast_column("image", datasets.Image(decode=False))
    listed = rows.to_list()
    listed[2]["image"] = {"bytes": b"no photo", "path": None}
    asked = datasets.Dataset.from_list(listed, features=parts["test"].features)
    (system,) = fit_systems("flow", parts["train"], 0, 100)
    said = system.answer(asked, np.arange(len(parts["train"])))
    names = [f"Flow on the sphere, {d}" for d in ("one sample", "best score", "density mode")]
    assert list(said.points) == names == list(said.costs) == list(said.seconds)
    for points in said.points.values():
        assert np.isnan(points[2]).all()
        assert np.isfinite(np.delete(points, 2, 0)).all()
    assert listed[2]["id"] in said.failures
    assert "synthetic" in said.notes["flow"]
    located = fit_locator("flow", parts["train"]).locate([parts["test"][0]["image"]])
    assert located.support_size == 32
    assert np.isfinite(errors_km(point_of(located), truth_of(parts["test"])[:1])).all()
