r"""Albums: the photos before and after say where this one was taken.

Weyand, Kostrikov and Philbin, "PlaNet: photo geolocation with convolutional neural networks", ECCV
2016, section on albums. The photos of a trip are taken in time order; the network of single photos
is frozen, and its embeddings go through an LSTM that ends in a softmax over the same cells:

.. math:: h_t = \mathrm{LSTM}(x_t, h_{t-1}), \qquad p_t = \mathrm{softmax}(W h_t + b)

Only the LSTM and the softmax learn. The variants differ in what an answer may have seen:

========== ============== ========================================================================
variant    sees           how
========== ============== ========================================================================
average    whole album    no network: the mean of the album's single answers, for all its photos
plain      up to itself   one pass
shift 1, 2 1 or 2 later   the label comes one or two steps after its photo
repeated   whole album    the album is fed twice, only the second pass answers
both ways  whole page     a second LSTM from the end to the beginning, on pages of 25 photos
========== ============== ========================================================================

    locator = AlbumLocator(planet, AlbumConfig(variant="repeated")).fit(train)
    posterior = locator.locate_albums(test)          # one answer for each row of `test`
    posterior = locator.locate(images)               # these images are one album, in this order
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from geolab.locators.album_rows import PAGE, Albums, albums_of
from geolab.posterior import Posterior
from geolab.training import Batch, History, TrainConfig, train

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from geolab.cells import Partition

Variant = Literal["average", "plain", "shift", "repeated", "bidirectional"]
VARIANTS = ("average", "plain", "shift", "repeated", "bidirectional")


class SinglePhotoModel(Protocol):
    """What an album model needs of the model of single photos, such as `PlaNet`."""

    partition: Partition

    def embed_photos(self, photos: Dataset) -> Tensor:
        """Frozen embeddings (N, D); zeros for a photo that cannot be read."""

    def class_log_probabilities(self, features: Tensor) -> Tensor:
        """Answers of the single-photo head on embeddings, (N, C)."""

    def embed(self, images: Sequence[Image.Image]) -> Tensor:
        """As `embed_photos`, for images."""


@dataclass(frozen=True)
class AlbumConfig:
    """Which album model.

    Attributes
    ----------
    variant : str
        One of `VARIANTS`.
    shift : int
        Later photos that the answer may see; for variant "shift".
    page : int, optional
        Cut albums into pages of so many photos; None leaves them whole. Variant "bidirectional"
        needs pages: 25 if not given.
    hidden : int
        Size of the LSTM's state.
    dropout : float
        On the embeddings, while training.
    answer : {"mean", "centre"}
        Point of a cell.
    train : TrainConfig
    """

    variant: Variant = "repeated"
    shift: int = 1
    page: int | None = None
    hidden: int = 128
    dropout: float = 0.3
    answer: Literal["mean", "centre"] = "mean"
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=12, batch_size=32, lr=2e-3, clip_norm=1.0)
    )

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, not {self.variant!r}")
        if self.shift < 1 or self.hidden < 1:
            raise ValueError("shift and hidden must be at least 1")
        if self.variant == "bidirectional" and self.page is None:
            object.__setattr__(self, "page", PAGE)

    @property
    def name(self) -> str:
        """For tables."""
        kind = f"shift {self.shift}" if self.variant == "shift" else self.variant
        return f"album {kind}" + (f", pages of {self.page}" if self.page else "")


class AlbumNetwork(nn.Module):
    """LSTM over embeddings in time order, and a softmax over cells.

    Parameters
    ----------
    dim, n_cells : int
    config : AlbumConfig
    """

    def __init__(self, dim: int, n_cells: int, config: AlbumConfig) -> None:
        super().__init__()
        both = config.variant == "bidirectional"
        self.shift = config.shift if config.variant == "shift" else 0
        self.repeated = config.variant == "repeated"
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(dim, config.hidden, batch_first=True, bidirectional=both)
        self.head = nn.Linear(config.hidden * (1 + both), n_cells)

    def forward(self, albums: Tensor, lengths: Tensor) -> Tensor:
        """Scores of each photo: (A, L, D) and (A,) -> (A, L, C); rows past the length are void."""
        n_albums, longest, dim = albums.shape
        steps, position = lengths, torch.arange(longest, device=albums.device)
        inside = position < lengths[:, None]
        albums = self.dropout(albums) * inside[..., None]
        first = torch.zeros_like(lengths)
        if self.repeated:  # the second pass starts where the album ends, not where padding does
            source = torch.arange(2 * longest, device=albums.device) % lengths[:, None]
            albums = albums.gather(1, source[..., None].expand(-1, -1, dim))  # (A, 2L, D)
            steps, first = 2 * lengths, lengths
        elif self.shift:  # zeros follow the last photo while the late answers come out
            albums = torch.cat([albums, albums.new_zeros(n_albums, self.shift, dim)], dim=1)
            steps, first = lengths + self.shift, first + self.shift
        packed = nn.utils.rnn.pack_padded_sequence(
            albums, steps.cpu(), batch_first=True, enforce_sorted=False
        )
        out, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        wanted = (first[:, None] + position).clamp_max(out.shape[1] - 1)  # (A, L)
        return self.head(out.gather(1, wanted[..., None].expand(-1, -1, out.shape[2])))


class AlbumLocator:
    """A locator of albums on top of a frozen locator of single photos.

    Parameters
    ----------
    single : SinglePhotoModel
        Fitted; it does not change.
    config : AlbumConfig

    Attributes
    ----------
    network : AlbumNetwork or None
        None for the average.
    history : History or None
    """

    def __init__(self, single: SinglePhotoModel, config: AlbumConfig = AlbumConfig()) -> None:
        self.single, self.config = single, config
        self.network: AlbumNetwork | None = None
        self.history: History | None = None

    @property
    def name(self) -> str:
        """For tables."""
        return self.config.name

    def fit(self, photos: Dataset, *, checkpoint: Path | None = None) -> AlbumLocator:
        """Learn from the albums of a data set (sequence, captured_at)."""
        places = torch.tensor(list(zip(photos["latitude"], photos["longitude"], strict=True)))
        cells = self.single.partition.assign(places.double())
        features = self.single.embed_photos(photos)
        return self.fit_features(features, cells, albums_of(photos), checkpoint=checkpoint)

    def fit_features(
        self, features: Tensor, cells: Tensor, albums: Albums, *, checkpoint: Path | None = None
    ) -> AlbumLocator:
        """As `fit`, on embeddings that are there already.

        Parameters
        ----------
        features : Tensor, shape (N, D)
        cells : Tensor of int64, shape (N,)
            -1 for photos in no cell: they are seen, and ask for nothing.
        albums : Albums
            Of these N rows.

        Raises
        ------
        ValueError
            If no album holds a photo in a cell.
        """
        if self.config.variant == "average":
            return self
        pages = albums.pages(self.config.page)
        useful = [a for a, rows in enumerate(pages.rows) if (cells[rows] >= 0).any()]
        if not useful:
            raise ValueError("no album has a photo inside a cell: fit the cells on these photos")
        pages = Albums(tuple(pages.rows[a] for a in useful))
        torch.manual_seed(self.config.train.seed)
        partition = self.single.partition
        network = AlbumNetwork(features.shape[1], len(partition), self.config)

        def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
            table = pages.padded(batch.rows)
            scores, known = _scores(model, features, table), table >= 0
            wanted = torch.where(known, cells[table.clamp_min(0)], -1).to(scores.device)
            lost = nn.functional.cross_entropy(
                scores.flatten(0, 1), wanted.flatten(), ignore_index=-1, reduction="sum"
            )
            return lost, (wanted >= 0).sum()

        identity = {"partition": f"{partition.name} {partition.hash}", "album": self.name}
        self.history = train(
            network, len(pages), loss, self.config.train, checkpoint=checkpoint, identity=identity
        )
        self.network = network.eval()
        return self

    def locate_albums(self, photos: Dataset) -> Posterior:
        """Answer for each row of a data set by the album it is in; raises as `albums_of`."""
        return self.locate_features(self.single.embed_photos(photos), albums_of(photos))

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each image; together they are one album, in the order given."""
        features = self.single.embed(images)
        album = Albums((np.arange(len(images)),) if len(images) else ())
        return self.locate_features(features, album)

    def locate_features(self, features: Tensor, albums: Albums) -> Posterior:
        """Answer for each of N embeddings: (N, D) -> Posterior over the cells.

        Raises
        ------
        ValueError
            If the albums do not hold each of the N rows once.
        RuntimeError
            Before `fit`.
        """
        rows = np.concatenate([*albums.rows, np.empty(0, np.int64)])
        if not np.array_equal(np.sort(rows), np.arange(len(features))):
            raise ValueError(
                f"albums of {len(rows)} photos for {len(features)} embeddings: each row must stand "
                "in exactly one album"
            )
        pages = albums.pages(self.config.page)
        if self.config.variant == "average":
            chances = self._averaged(features, pages)
        else:
            chances = self._predicted(features, pages)
        return Posterior.from_votes(self.single.partition.points(self.config.answer), chances)

    def _averaged(self, features: Tensor, pages: Albums) -> Tensor:
        """Every photo gets the mean of its album's single answers: (N, C)."""
        chances = self.single.class_log_probabilities(features).exp()
        for rows in pages.rows:
            chances[rows] = chances[rows].mean(0)
        return chances

    @torch.inference_mode()
    def _predicted(self, features: Tensor, pages: Albums) -> Tensor:
        if self.network is None:
            raise RuntimeError("this album model has learnt nothing yet: call fit(train) first")
        chances = torch.empty(len(features), len(self.single.partition))
        for start in range(0, len(pages), 64):
            table = pages.padded(range(start, min(start + 64, len(pages))))
            known = table >= 0
            scores = _scores(self.network, features, table).float().softmax(-1).cpu()
            chances[table[known]] = scores[known]
        return chances


def _scores(model: nn.Module, features: Tensor, table: Tensor) -> Tensor:
    """Run the network on the albums of a table (A, L) of rows: (A, L, C)."""
    device = next(model.parameters()).device
    return model(features[table.clamp_min(0)].to(device), (table >= 0).sum(1).to(device))
