r"""A place as an embedding: GeoCLIP's location encoder.

Vivanco Cepeda, Nayak and Shah, "GeoCLIP", NeurIPS 2023. A network that is given two numbers learns
smooth functions only: next to a coast it would need a slope that its weights do not have. So a
place is first drawn on a flat map (Equal Earth), then expressed in waves of that map,

.. math:: v \mapsto [\cos 2\pi B v,\ \sin 2\pi B v],
          \qquad B \in \mathbb{R}^{256 \times 2},\ B_{ij} \sim N(0, \sigma^2)

(random Fourier features, Tancik et al., NeurIPS 2020), and only then given to a network. Three such
*capsules*, sigma 1, 16 and 256, see waves of about 20,000, 1,250 and 80 km; their outputs add up.
B is drawn once and never learnt, but it belongs to the weights: another B is another encoder.

    encoder = LocationEncoder()                  # 9,449,472 numbers, as published
    encoder.embed([[48.86, 2.35]])               # (1, 512), unit length

**The seam.** A flat map has an edge. Fiji lies on it: two beaches 2 km apart at longitudes 179.99
and -179.99 are as far from each other on the map as can be, and their embeddings have nothing in
common. ``projection="sphere"`` takes the waves in space instead of on the map: the same
wavelengths, no seam, B of 256 x 3. It is not what was published.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.sphere import ArrayLike, as_points, check_latlon, to_unit

SIGMAS = (1.0, 16.0, 256.0)
"""2^0, 2^4, 2^8: cycles for each half width of the map."""
MAP_SCALE = 66.50336 / 180
"""Brings Equal Earth's x, in Earth radii, to [-1, 1]."""
HALF_EQUATOR = math.pi
"""Earth radii from the middle of the map to its edge, along the equator."""
_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
_BATCH = 4096


def equal_earth(latlon: ArrayLike) -> Tensor:
    """Place on the Equal Earth map, as GeoCLIP scales it: x in [-1, 1], y in [-0.487, 0.487].

    Savric, Patterson and Jenny, International Journal of Geographical Information Science 33
    (2019), equations 1 to 4. `geolab.maps.projection` draws the same map in Earth radii.

    Parameters
    ----------
    latlon : array_like, shape (..., 2)
        Degrees. Longitudes are not wrapped: 180 and -180 are the two edges.

    Returns
    -------
    Tensor, shape (..., 2)
        The dtype of the input is kept; the arithmetic is float64.

    Examples
    --------
    >>> equal_earth([0.0, 180.0]).numpy().round(4).tolist()
    [1.0, 0.0]
    """
    points = as_points(latlon)
    lat, lon = torch.deg2rad(points.double()).unbind(-1)
    theta = torch.asin(math.sqrt(3) / 2 * lat.sin())
    t2 = theta.square()
    t6 = t2**3
    slope = _A1 + 3 * _A2 * t2 + t6 * (7 * _A3 + 9 * _A4 * t2)
    x = 2 / math.sqrt(3) * lon * theta.cos() / slope
    y = theta * (_A1 + _A2 * t2 + t6 * (_A3 + _A4 * t2))
    return (MAP_SCALE * torch.stack([x, y], dim=-1)).to(points.dtype)


@dataclass(frozen=True)
class LocationConfig:
    """What a location encoder is made of; the defaults are the published one.

    Attributes
    ----------
    sigmas : tuple of float
        One capsule each, see `SIGMAS`.
    n_waves : int
        Rows of B; twice as many features.
    width : int
        Of the three hidden layers of a capsule.
    dim : int
        Of the embedding.
    projection : {"equal_earth", "sphere"}
        Where the waves run; "sphere" has no seam.

    Raises
    ------
    ValueError
        For an unknown projection, no capsule, or a size that is not positive.
    """

    sigmas: tuple[float, ...] = SIGMAS
    n_waves: int = 256
    width: int = 1024
    dim: int = 512
    projection: Literal["equal_earth", "sphere"] = "equal_earth"

    def __post_init__(self) -> None:
        if self.projection not in ("equal_earth", "sphere"):
            raise ValueError(f"projection must be equal_earth or sphere, not {self.projection!r}")
        if not self.sigmas or min(*self.sigmas, self.n_waves, self.width, self.dim) <= 0:
            raise ValueError(f"{self}: give at least one sigma, and positive sizes")


class FourierFeatures(nn.Module):
    """Waves of random direction and length, (..., d) -> (..., 2 n).

    Attributes
    ----------
    b : Parameter, shape (n, d)
        Fixed; stored with the weights.
    """

    def __init__(self, sigma: float, n_waves: int, n_axes: int = 2) -> None:
        super().__init__()
        self.b = nn.Parameter(sigma * torch.randn(n_waves, n_axes), requires_grad=False)

    def forward(self, v: Tensor) -> Tensor:
        """Cosines, then sines."""
        # In half precision a phase of hundreds of turns has no digits left behind the point.
        with torch.autocast(v.device.type, enabled=False):
            turn = 2 * math.pi * (v.to(self.b.dtype) @ self.b.T)  # (..., n)
        return torch.cat([turn.cos(), turn.sin()], dim=-1)


class LocationEncoder(nn.Module):
    """Sum of capsules, each a set of waves and four layers.

    Parameters
    ----------
    config : LocationConfig
    seed : int
        Of B and of the first weights.

    Attributes
    ----------
    capsules : ModuleList of Sequential
    """

    def __init__(self, config: LocationConfig | None = None, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config or LocationConfig()
        with torch.random.fork_rng([]):  # seeded; the caller's random numbers stay as they were
            torch.manual_seed(seed)
            self.capsules = nn.ModuleList(_capsule(s, self.config) for s in self.config.sigmas)

    def on_map(self, latlon: Tensor) -> Tensor:
        """Coordinates that the waves run over: (N, 2) on the map, or (N, 3) in space."""
        if self.config.projection == "sphere":
            return to_unit(latlon)
        return equal_earth(latlon)

    def forward(self, latlon: Tensor) -> Tensor:
        """Embed degrees (N, 2), with gradient: (N, dim), not normalised."""
        weight = self.capsules[0][0].b
        v = self.on_map(latlon).to(weight.device, weight.dtype)
        return torch.stack([capsule(v) for capsule in self.capsules]).sum(0)

    @torch.no_grad()
    def embed(self, latlon: ArrayLike, *, batch: int = _BATCH) -> Tensor:
        """Embed places.

        Parameters
        ----------
        latlon : array_like, shape (N, 2)
            Degrees.

        Returns
        -------
        Tensor, shape (N, dim)
            float32, unit length, on the CPU.

        Raises
        ------
        ValueError
            If the shape is another one, or a place is not on Earth; its row and value are named.
        """
        places = check_latlon(latlon)
        if places.ndim != 2:
            raise ValueError(f"latlon must have shape (N, 2), not {tuple(places.shape)}")
        parts = [F.normalize(self(part).float(), dim=1).cpu() for part in places.split(batch)]
        return torch.cat(parts) if len(places) else torch.empty(0, self.config.dim)


def wavelength_km(sigma: float) -> float:
    """Length on the equator of a wave of `sigma` cycles for each half width of the map.

    Examples
    --------
    >>> [round(wavelength_km(sigma)) for sigma in SIGMAS]
    [20015, 1251, 78]
    """
    from geolab.sphere import EARTH_RADIUS_KM

    return math.pi * EARTH_RADIUS_KM / sigma


def _capsule(sigma: float, config: LocationConfig) -> nn.Sequential:
    """Waves, three hidden layers and the output."""
    space = config.projection == "sphere"
    # One Earth radius is 1/pi of the map's half width: the same length of waves on the ground.
    waves = FourierFeatures(sigma / HALF_EQUATOR if space else sigma, config.n_waves, 2 + space)
    layers: list[nn.Module] = [waves]
    inner = 2 * config.n_waves
    for _ in range(3):
        layers += [nn.Linear(inner, config.width), nn.ReLU()]
        inner = config.width
    return nn.Sequential(*layers, nn.Linear(inner, config.dim))
