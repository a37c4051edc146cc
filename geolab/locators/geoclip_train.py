r"""GeoCLIP's network and its training: photos against places, one way, with a queue.

For photos u and places v of a batch of B, both of unit length, a learnt scale s and a queue of Q
places of earlier batches,

.. math:: L = -\frac{1}{B} \sum_i \log \frac{e^{s u_i v_i}}
          {\sum_{j \le B} e^{s u_i v_j} + \sum_{q \le Q} e^{s u_i v_q}}

One-sided: each photo chooses among places, no place chooses among photos, so the queue needs no
photos. It holds *coordinates*, two numbers each, and embeds them anew in every step: negatives are
never stale, as those of a queue of embeddings (MoCo) are. A batch enters the queue after its
candidates were put together, or each place would be its own negative.

What the released program does otherwise, and what that costs, is in
`geolab.locators.geoclip_studies`: it starts the queue with places that do not exist, it demands
that the batch divides the queue and drops what is left of an epoch (targets here are the rows'
positions, so any batch will do), and two photos of one square in a batch are negatives of each
other (`mask_km` leaves them out).

CLIP stays as it is, so photos are embedded once. The paper crops, mirrors and colours them at
random; that needs CLIP in every step, and a mirrored street drives on the wrong side.

The queue is part of the model's state: a run that was cut off goes on with the same bits. With
several processes each of them sees the places of the whole batch.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.encoders.location import LocationEncoder
from geolab.kernels import haversine_matrix, topk
from geolab.locators.geoclip_config import GeoClipConfig
from geolab.metrics import errors_km
from geolab.sphere import check_latlon
from geolab.training import Batch, History, train
from geolab.training.loop import Loss, Validate

FIRST_SCALE = 1 / 0.07
MAX_SCALE = 100.0
_CHECK_PLACES = 4096  # gallery of the validation in training


class ImageHead(nn.Module):
    """Two layers on CLIP's features, standardised by their training mean and deviation."""

    def __init__(self, n_in: int, hidden: int, n_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, n_out))
        self.register_buffer("mean", torch.zeros(n_in))
        self.register_buffer("std", torch.ones(n_in))

    def forward(self, features: Tensor) -> Tensor:
        """Embed features (N, n_in): (N, n_out), not normalised."""
        return self.layers((features - self.mean) / self.std)


class GeoClipNetwork(nn.Module):
    """Head, location encoder, scale, and the queue.

    Attributes
    ----------
    head : ImageHead
    location : LocationEncoder
    logit_scale : Parameter, shape ()
        Logarithm of s.
    queue : Tensor of float64, shape (Q, 2)
        Degrees; the first `n_queued` rows are filled.
    """

    def __init__(self, n_in: int, config: GeoClipConfig) -> None:
        super().__init__()
        seed = config.train.seed
        self.location = LocationEncoder(config.location, seed=seed)
        with torch.random.fork_rng([]):  # seeded; the caller's random numbers stay as they were
            torch.manual_seed(seed)
            self.head = ImageHead(n_in, config.hidden or n_in, config.location.dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.register_buffer("queue", torch.zeros(config.queue, 2, dtype=torch.float64))
        self.register_buffer("queue_at", torch.tensor(0))
        self.register_buffer("n_queued", torch.tensor(0))

    @property
    def scale(self) -> Tensor:
        """Factor on the cosines."""
        return self.logit_scale.exp().clamp(max=MAX_SCALE)

    def forward(self, features: Tensor, places: Tensor) -> Tensor:
        """Logits (B, M) of features (B, n_in) for places (M, 2) in degrees."""
        photos = F.normalize(self.head(features).float(), dim=1)
        with torch.autocast(photos.device.type, enabled=False):  # it would multiply in half
            spots = F.normalize(self.location(places), dim=1)
            return self.scale * photos @ spots.T

    def negatives(self) -> Tensor:
        """Places that wait in the queue, (n, 2) degrees, as a copy."""
        return self.queue[: int(self.n_queued)].clone()

    @torch.no_grad()
    def enqueue(self, places: Tensor) -> None:
        """Write places (B, 2) over the oldest ones; of more than Q the last ones count."""
        size = len(self.queue)
        if not size:
            return
        kept = places[-size:].to(self.queue)
        at = (int(self.queue_at) + torch.arange(len(kept), device=kept.device)) % size
        self.queue[at] = kept
        self.queue_at.fill_((int(self.queue_at) + len(kept)) % size)
        self.n_queued.fill_(min(size, int(self.n_queued) + len(kept)))


def first_queue(config: GeoClipConfig, places: Tensor) -> Tensor:
    """Places that the queue begins with, (n, 2) degrees; none for the start "empty".

    The released program makes unit vectors and takes them for degrees.
    """
    made = torch.Generator().manual_seed(config.train.seed)
    if config.queue_start == "released":
        return F.normalize(torch.randn(config.queue, 2, generator=made).double(), dim=1)
    n = config.queue if config.queue_start == "places" else 0
    return places[torch.randint(len(places), (n,), generator=made)]


def fit_network(
    features: Tensor,
    places: Tensor,
    config: GeoClipConfig,
    *,
    validation: tuple[Tensor, Tensor] | None = None,
    checkpoint: str | os.PathLike | None = None,
    progress: str = "",
) -> tuple[GeoClipNetwork, History]:
    """Train on features made before.

    Parameters
    ----------
    features : Tensor, shape (N, D)
    places : Tensor, shape (N, 2)
        Degrees.
    validation : tuple of features and places, optional
        By which the weights are chosen after each epoch.

    Raises
    ------
    ValueError
        If lengths disagree, or a feature or a place is not what it should be; its row is named.
    """
    features, places = checked_features(features), check_latlon(places, "places").double()
    if len(features) != len(places) or not len(places):
        raise ValueError(f"{len(features)} features for {len(places)} places: give one for each")
    network = GeoClipNetwork(features.shape[1], config)
    network.head.mean.copy_(features.mean(0))
    network.head.std.copy_(features.std(0, correction=0).clamp_min(1e-6))
    network.enqueue(first_queue(config, places))
    schedule = config.train if validation else replace(config.train, select="")
    identity = {"GeoCLIP": repr(replace(config, train=schedule))}
    history = train(
        network,
        len(places),
        contrastive_loss(features, places, network, config),
        schedule,
        checkpoint=checkpoint,
        identity=identity,
        validate=figures_on(*validation, places) if validation else None,
        groups=_groups(network),
        name_of=lambda row: f"photo {row}",
        progress=progress,
    )
    return network, history


def _groups(network: GeoClipNetwork) -> list[dict[str, Any]]:
    """Matrices decay; biases and the scale do not."""
    held = [p for p in network.parameters() if p.requires_grad]
    flat = {"params": [p for p in held if p.ndim < 2], "weight_decay": 0.0}
    return [{"params": [p for p in held if p.ndim >= 2]}, flat]


def contrastive_loss(
    features: Tensor, places: Tensor, network: GeoClipNetwork, config: GeoClipConfig
) -> Loss:
    """Loss for `geolab.training.train`; it moves the queue of `network` on."""

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        device = network.queue.device
        joined = rows_of_all(batch.rows)  # (B,), ascending
        spots = places[joined]
        candidates = torch.cat([spots.to(device), network.negatives()])
        network.enqueue(spots)
        logits = model(features[batch.rows].to(device), candidates)
        own = torch.searchsorted(joined, batch.rows).to(device)
        if config.mask_km:
            logits = mask_near(logits, places[batch.rows].to(device), candidates, own, config)
        return F.cross_entropy(logits, own, reduction="sum"), len(own)

    return loss


def mask_near(
    logits: Tensor, here: Tensor, candidates: Tensor, own: Tensor, config: GeoClipConfig
) -> Tensor:
    """Take candidates near to a photo's own place out of its row, but for its own."""
    with torch.no_grad():
        near = haversine_matrix(here, candidates) <= config.mask_km  # (b, M)
        near.scatter_(1, own[:, None], False)
    return logits.masked_fill(near, -torch.inf)


def rows_of_all(rows: Tensor) -> Tensor:
    """Rows of the batch of all processes, ascending, each once."""
    if not (dist.is_available() and dist.is_initialized()):
        return rows.sort().values
    held: list[list[int]] = [[]] * dist.get_world_size()
    dist.all_gather_object(held, rows.tolist())
    return torch.tensor(sorted({row for part in held for row in part}))


def figures_on(features: Tensor, truth: Tensor, places: Tensor) -> Validate:
    """Median error of the best place of a small gallery, for `geolab.training.train`."""
    features, truth = checked_features(features), torch.as_tensor(truth).double()
    if not len(features):
        raise ValueError("there are no validation photos: give some, or no validation")
    step = max(1, len(places) // _CHECK_PLACES)
    gallery = places[::step]

    def validate(network: nn.Module) -> dict[str, float]:
        best = topk(photo_features(network, features), network.location.embed(gallery), 1)[1]
        km = errors_km(gallery[best[:, 0]].numpy(), truth.numpy())
        return {"median_km": float(torch.from_numpy(km).median())}

    return validate


@torch.no_grad()
def photo_features(network: GeoClipNetwork, features: Tensor, *, batch: int = 4096) -> Tensor:
    """Embed CLIP's features (N, D): (N, dim) float32, unit length, on the CPU."""
    device = network.head.mean.device
    blocks = features.float().split(batch) if len(features) else ()
    parts = [F.normalize(network.head(x.to(device)), dim=1).cpu() for x in blocks]
    return torch.cat(parts) if parts else torch.empty(0, network.location.config.dim)


def checked_features(features: Tensor) -> Tensor:
    """Features (N, D) as float32.

    Raises
    ------
    ValueError
        For another shape, or a value that is not finite; its row is named.
    """
    if features.ndim != 2:
        raise ValueError(f"features must have shape (N, D), not {tuple(features.shape)}")
    bad = (~features.isfinite()).any(1).nonzero()
    if len(bad):
        raise ValueError(f"row {int(bad[0])} has a feature that is not finite: embed it again")
    return features.float()
