"""A flow on the sphere over a photo's embedding: the answer is drawn, not looked up.

Dufour, Picard, Kalogeiton and Landrieu, "Around the World in 80 Timesteps", CVPR 2025. The encoder
is frozen, photos are embedded once, and a small network (`geolab.flow`) learns to carry noise to
places.

    flow = Flow(load_clip()).fit(train, validation=held)
    flow.locate(images)                          # Posterior: samples, the densest first
    flow.log_density(features, places)           # nats per steradian, exact

**The answer.** `n_samples` places of equal weight, which is what samples are: credible regions,
means and scores taken over them are honest. They come in order of how many others lie around them,
so the mode, the first of equals, is the density mode, and the smallest set that holds a share of
the weight is a region of highest density.

**The density** is the network's own, by integrating a divergence, mixed with a uniform floor that
is chosen on validation photos: a network that has learnt a few thousand photos by heart is sure of
itself where it should not be.

Which epoch is kept: the one with the least NLL on validation photos.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geolab import sphere
from geolab.data.errors import DataError
from geolab.encoders.clip import Clip, Feature
from geolab.flow.density import density_at
from geolab.flow.learning import FlowRule, learn_flow
from geolab.flow.network import FlowNetwork, NetworkConfig
from geolab.flow.sampler import SamplerConfig, sample
from geolab.kernels import density_vote
from geolab.likelihood import fit_floor, fit_width, with_floor
from geolab.locators.baselines import places_of
from geolab.posterior import Posterior
from geolab.training import History, TrainConfig, load_weights, save_weights
from geolab.training.checkpoint import read_about
from geolab.training.loop import Validate

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from geolab.sphere import ArrayLike

LOCATOR_TRAINING = TrainConfig(
    epochs=40,
    batch_size=256,
    lr=4e-3,
    weight_decay=0.1,
    clip_norm=1.0,
    warmup=0.05,
    select="nll",
    patience=12,
)
_VALIDATION_STEPS, _VALIDATION_PHOTOS = 4, 300  # after each epoch; for choosing it only


@dataclass(frozen=True)
class FlowConfig:
    """How to learn and how to answer.

    Attributes
    ----------
    feature : {"tokens", "image"}
        See `geolab.encoders.clip`.
    network : NetworkConfig
    rule : FlowRule
        Dropout and schedule; the process is "sphere".
    sampler : SamplerConfig
    n_samples : int
        Places of an answer.
    sigma_km : float
        Width in which samples count as neighbours; chosen on validation photos where there are any.
    train : TrainConfig

    Raises
    ------
    ValueError
        If the process is not "sphere" (the others have no density), or a number is not positive.
    """

    feature: Feature = "tokens"
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(96, 4, 2))
    rule: FlowRule = field(default_factory=FlowRule)
    sampler: SamplerConfig = field(default_factory=lambda: SamplerConfig(steps=16))
    n_samples: int = 128
    sigma_km: float = 200.0
    train: TrainConfig = field(default_factory=lambda: LOCATOR_TRAINING)

    def __post_init__(self) -> None:
        if not self.rule.process == self.sampler.process == "sphere":
            raise ValueError("this locator answers on the sphere: leave the process 'sphere'")
        if self.n_samples < 1 or not self.sigma_km > 0:
            raise ValueError("n_samples and sigma_km must be positive")


class Flow:
    """Locator. `fit` on photos or `fit_features`, then `locate`.

    Attributes
    ----------
    network : FlowNetwork
    history : History
    sigma_km, floor : float
        As chosen on validation photos, or the configuration's and 0.
    """

    name = "Flow on the sphere"
    network: FlowNetwork
    history: History

    def __init__(self, clip: Clip | None, config: FlowConfig | None = None) -> None:
        self.clip, self.config = clip, config or FlowConfig()
        self.sigma_km, self.floor = self.config.sigma_km, 0.0

    def fit(
        self, photos: Dataset, *, validation: Dataset | None = None, progress: str = ""
    ) -> Flow:
        """Embed photos and learn; photos that cannot be read are left out."""
        held = self.embed_photos(validation) if validation is not None else None
        return self.fit_features(*self.embed_photos(photos), validation=held, progress=progress)

    def embed_photos(self, photos: Dataset) -> tuple[Tensor, Tensor]:
        """Features (N, D) and places (N, 2) of the photos that can be read."""
        features = self._encoder().embed_photos(photos, self.config.feature)
        good = features.abs().sum(1) > 0
        return features[good], places_of(photos)[good]

    def fit_features(
        self,
        features: Tensor,
        places: ArrayLike,
        *,
        validation: tuple[Tensor, Tensor] | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> Flow:
        """Learn from features (N, D) and places (N, 2) in degrees.

        Parameters
        ----------
        validation : tuple of features and places, optional
            That choose the epoch, the samples' width and the floor.

        Raises
        ------
        ValueError
            If lengths disagree, a feature is not finite (its row is named), or a place is not on
            Earth.
        """
        config = self.config
        with torch.random.fork_rng([]):
            torch.manual_seed(config.train.seed)
            self.network = FlowNetwork(features.shape[1], config.network)
        chosen = config.train if validation else replace(config.train, select="")
        self.history = learn_flow(
            self.network,
            features,
            sphere.to_unit(sphere.check_latlon(places).double()),
            chosen,
            config.rule,
            validate=_nll_on(self.network, *validation, config.rule) if validation else None,
            checkpoint=checkpoint,
            progress=progress,
        )
        if validation:
            asked, truth = validation
            self.floor = fit_floor(self._own_density(asked, truth))
            self.sigma_km = fit_width(self._drawn(asked), truth).sigma_km
        return self

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo."""
        return self.locate_features(self._encoder().encode(images, self.config.feature))

    def locate_features(self, features: Tensor) -> Posterior:
        """Answer for features (B, D): equal weights, the densest sample first."""
        return by_density(self._drawn(features), self.sigma_km)

    def log_density(self, features: Tensor, latlon: ArrayLike, *, steps: int = 16) -> Tensor:
        """Log-density, floor included, at places (B, 2) or (B, M, 2): nats per steradian."""
        return with_floor(self._own_density(features, latlon, steps), self.floor)

    def _own_density(self, features: Tensor, latlon: ArrayLike, steps: int = 16) -> Tensor:
        how = {"steps": steps, "cut": self.config.rule.schedule}
        return density_at(self._fitted(), features, torch.as_tensor(latlon), **how)

    def _drawn(self, features: Tensor) -> Posterior:
        config = self.config
        drawn = sample(
            self._fitted(), features, config.n_samples, config.sampler, seed=config.train.seed
        )
        weight = torch.full(drawn.shape[:2], 1 / config.n_samples, dtype=torch.float64)
        return Posterior(sphere.to_latlon(drawn.cpu().double()), weight)

    def _encoder(self) -> Clip:
        if self.clip is None:
            raise ValueError("no encoder: make it Flow(clip), or give features instead of photos")
        return self.clip

    def _fitted(self) -> FlowNetwork:
        if not hasattr(self, "network"):
            raise RuntimeError("not fitted: call fit, fit_features or Flow.load first")
        return self.network

    def save(self, folder: str | os.PathLike) -> Path:
        """Write weights and configuration into a folder, but not the encoder."""
        about = {"kind": "Flow", "dim": len(self._fitted().mean), "config": asdict(self.config)}
        about |= {"sigma_km": self.sigma_km, "floor": self.floor}
        about["history"] = {
            "seconds": self.history.seconds,
            "n_parameters": self.history.n_parameters,
        }
        save_weights(Path(folder) / "flow.safetensors", self.network, about)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | os.PathLike, clip: Clip | None = None) -> Flow:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is damaged or holds something else.
        """
        path = Path(folder) / "flow.safetensors"
        about = read_about(path)
        if about.get("kind") != "Flow":
            raise DataError(f"{path} holds {about.get('kind')!r}, not a Flow")
        flow = cls(clip, _config_of(about["config"]))
        flow.network = FlowNetwork(about["dim"], flow.config.network)
        load_weights(path, flow.network)
        flow.sigma_km, flow.floor = about["sigma_km"], about["floor"]
        flow.history = History(**about["history"])
        return flow


def by_density(posterior: Posterior, sigma_km: float) -> Posterior:
    """Put the places of each answer in order of the weight around them, densest first."""
    if not len(posterior):
        return posterior
    around = density_vote(posterior.latlon, posterior.weight, sigma_km)[1]
    order = around.argsort(dim=1, descending=True, stable=True)
    latlon = posterior.latlon.gather(1, order[..., None].expand(*order.shape, 2))
    return Posterior(latlon, posterior.weight.gather(1, order))


def _nll_on(network: FlowNetwork, features: Tensor, places: Tensor, rule: FlowRule) -> Validate:
    if not len(places):
        raise ValueError("there are no validation photos: give some, or no validation")
    some = torch.linspace(0, len(places) - 1, min(_VALIDATION_PHOTOS, len(places))).long()
    features, truth = features[some], sphere.check_latlon(places)[some]

    def validate(_: nn.Module) -> dict[str, float]:
        how = {"steps": _VALIDATION_STEPS, "cut": rule.schedule}
        own = density_at(network, features, truth, **how)
        return {"nll": -float(with_floor(own, 0.01).mean())}

    return validate


def _config_of(held: dict) -> FlowConfig:
    """Configuration from its JSON."""
    train = TrainConfig(**{**held["train"], "halve_at": tuple(held["train"]["halve_at"])})
    parts = {"network": NetworkConfig, "rule": FlowRule, "sampler": SamplerConfig}
    made = {name: kind(**held[name]) for name, kind in parts.items()}
    return FlowConfig(**{**held, **made, "train": train})
