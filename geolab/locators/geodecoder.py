"""A head in the style of GeoDecoder: levels and scenes ask the patches of a photo.

Clark, Kerrigan, Kulkarni, Vivanco Cepeda and Shah, "Where we are and what we're looking at: query
based worldwide image geo-localization using hierarchies and scenes", CVPR 2023. Its idea: a country
shows in other parts of a photo than a city does, and a living room is read otherwise than a
street; so each level of the hierarchy and each kind of scene gets a learned query of its own that
chooses where to look.

    locator = GeoDecoder(load_clip()).fit(train, validation=held)
    posterior = locator.locate(images)              # all cells of the finest level
    locator.answering(score="fine")                 # the same network without the product

    geolab table --benchmark tinyearth --n 3000 --locator geodecoder
    geolab locate PHOTO --reference train.csv --locator geodecoder

Measured beside other systems: `geolab.locators.geodecoder_systems`.

**In the style of, not a copy.** The paper's method is known here from its abstract and a public
summary, its tables (`geolab/published.csv`) second-hand; `geolab.locators.geodecoder_network` says
part by part what is theirs and what is ours. Without labels of scenes there is one query a level.

**How sure.** The product counts what nested levels agree on several times and is far too sure of
it, so a temperature T is fitted on validation photos. The best cell is the same at any T.

**Memory.** Tokens are made once and kept in float16: 2 P W bytes a photo for P patches of W
numbers, 16 kB with the small CLIP (64 x 128; 0.25 GB for 15,000 photos), 1.2 MB with ViT-L-14-336
(576 x 1,024; 18 GB). Blocks of them become float32 when they are used.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from geolab.cells import Hierarchy
from geolab.encoders.clip import Clip
from geolab.encoders.cnn import to_pixels
from geolab.encoders.pixels import Pixels, read_pixels
from geolab.locators.baselines import places_of
from geolab.locators.geodecoder_config import GeoDecoderConfig, fit_levels
from geolab.locators.geodecoder_network import (
    GeoDecoderNetwork,
    checked_pair,
    checked_scenes,
    checked_tokens,
    decoder_loss,
    fit_temperature,
    scenes_of,
    token_statistics,
)
from geolab.locators.hierarchy_scores import hierarchy_scores
from geolab.locators.scenes import SCENES
from geolab.metrics import errors_km
from geolab.posterior import Posterior
from geolab.training import Batch, History, train
from geolab.training.loop import Validate

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

__all__ = ["GeoDecoder", "GeoDecoderConfig"]
_BATCH = 256


class GeoDecoder:
    """Locator in the style of 2023. `fit` on photos or on tokens, then `locate`.

    Attributes
    ----------
    hierarchy : Hierarchy
        Nested cells, coarse first.
    network : GeoDecoderNetwork
    history : History
    temperature : float
        T; 1, the plain product, without validation photos.
    unreadable : dict of str to str
        Training photos that were left out, and why.
    """

    hierarchy: Hierarchy
    network: GeoDecoderNetwork
    history: History

    def __init__(self, clip: Clip | None = None, config: GeoDecoderConfig | None = None) -> None:
        self.clip, self.config = clip, config or GeoDecoderConfig()
        self.unreadable: dict[str, str] = {}
        self.temperature = 1.0

    @property
    def name(self) -> str:
        """For tables."""
        config, parts = self.config, ["GeoDecoder-style"]
        if hasattr(self, "network") and self.network.scene is None:
            parts.append("no scene queries")
        elif config.mixing == "pick":
            parts.append("best scene")
        return ", ".join(parts + ["finest level"] * (config.score == "fine"))

    def fit(
        self, photos: Dataset, *, validation: Dataset | None = None, progress: str = ""
    ) -> GeoDecoder:
        """Embed photos and learn; photos that cannot be read are left out.

        A column ``scene`` says what the scenes are; without one there are no scene queries.

        Raises
        ------
        ValueError
            If the column holds another scene, or no photo can be read.
        """
        read, held = read_pixels(photos, self._encoder().size), None
        scenes = scenes_of(photos)[read.good]
        if validation is not None:
            held = self._known(validation, read_pixels(validation, self._encoder().size))
        self.unreadable = read.unreadable
        known = self._known(photos, read)
        return self.fit_tokens(*known, scenes, validation=held, progress=progress)

    def _known(self, photos: Dataset, read: Pixels) -> tuple[Tensor, Tensor]:
        """Tokens and places of the photos that could be read."""
        return self._encoder().embed_patches(read.values[read.good]), places_of(photos)[read.good]

    def fit_tokens(
        self,
        tokens: Tensor,
        places: Tensor,
        scenes: Tensor | None = None,
        *,
        validation: tuple[Tensor, Tensor] | None = None,
        checkpoint: str | os.PathLike | None = None,
        progress: str = "",
    ) -> GeoDecoder:
        """As `fit`, on patch tokens made before.

        Parameters
        ----------
        tokens : Tensor, shape (N, P, W)
            float16 will do; see `geolab.encoders.clip.Clip.embed_patches`.
        places : Tensor, shape (N, 2)
            Degrees.
        scenes : Tensor of int64, shape (N,), optional
            Numbers of `geolab.locators.scenes.SCENES`, -1 where not known.
        validation : tuple of tokens and places, optional
            By which the weights are chosen after each epoch: least median error.

        Raises
        ------
        ValueError
            If lengths disagree, there are no photos, or a token, place or scene is not what it
            should be; its row is named.
        DataError
            If no cell has two photos.
        """
        tokens, places = checked_pair(tokens, places, "training")
        held = checked_pair(*validation, "validation") if validation else None
        labels = checked_scenes(scenes, len(tokens))
        self._begin(tokens, places, scenes=bool((labels >= 0).any()))
        cells = self.hierarchy.assign(places)  # (N, L)
        known = (cells >= 0).any(1).nonzero()[:, 0]

        def loss(network: nn.Module, batch: Batch) -> tuple[Tensor, int]:
            rows, device = known[batch.rows], self.network.mean.device
            scores, scene = network(tokens[rows].to(device))
            asked = cells[rows].to(device), labels[rows].to(device)
            return decoder_loss(scores, scene, *asked, self.config.scene_weight), len(rows)

        schedule = self.config.train if held else replace(self.config.train, select="")
        self.history = train(
            self.network,
            len(known),
            loss,
            schedule,
            checkpoint=checkpoint,
            identity={"GeoDecoder": repr(self.config), "partitions": self.hierarchy.hash},
            validate=self._figures_on(*held) if held else None,
            name_of=lambda row: f"photo {int(known[row])}",
            progress=progress,
        )
        if held:
            own = self.hierarchy.fine.assign(held[1])
            self.temperature = fit_temperature(self._chances(held[0]), own)
        return self

    def _begin(self, tokens: Tensor, places: Tensor, *, scenes: bool) -> None:
        """Cut the Earth, and make the network that learns its cells."""
        self.hierarchy, self.temperature = fit_levels(places, self.config.levels), 1.0
        sizes = [len(part) for part in self.hierarchy.parts]
        n_scenes = len(SCENES) if self.config.scenes and scenes else 1
        self.network = GeoDecoderNetwork(tokens.shape[2], sizes, n_scenes, self.config)
        mean, std = token_statistics(tokens)
        self.network.mean.copy_(mean)
        self.network.std.copy_(std)

    def _figures_on(self, tokens: Tensor, places: Tensor) -> Validate:
        """Median error of the answers, for `geolab.training.train`."""

        def validate(_: nn.Module) -> dict[str, float]:
            km = errors_km(self.locate_tokens(tokens).mode().numpy(), places.numpy())
            return {"median_km": float(torch.from_numpy(km).median())}

        return validate

    def answering(self, **how: Any) -> GeoDecoder:
        """Return the same network, answering with another `score`, `mixing` or `answer`.

        Its temperature is 1 where the score is another one than it was fitted for.

        Raises
        ------
        ValueError
            For anything else: it takes another training.
        """
        other = copy.copy(self)
        wrong = sorted(how.keys() - {"score", "mixing", "answer"})
        if wrong:
            raise ValueError(f"{wrong[0]} is learnt, not chosen afterwards: fit another network")
        other.config = replace(self.config, **how)
        if other.config.score != self.config.score:
            other.temperature = 1.0
        return other

    def locate(self, images: Sequence[Image.Image]) -> Posterior:
        """Answer for each photo: all cells of the finest level with their probabilities."""
        clip = self._encoder()
        return self.locate_tokens(clip.embed_patches(to_pixels(images, clip.size)))

    def locate_tokens(self, tokens: Tensor) -> Posterior:
        """As `locate`, for tokens (B, P, W).

        Raises
        ------
        ValueError
            If tokens have another width than those of the training, or one is not finite.
        """
        logits = self._chances(tokens).log() / self.temperature
        return Posterior.from_logits(self.hierarchy.fine.points(self.config.answer), logits)

    def _chances(self, tokens: Tensor) -> Tensor:
        """Probabilities of the finest cells before they are tempered: (B, C) float64."""
        *coarser, fine = self.levels(tokens)
        if self.config.score == "fine":
            return fine.double()
        return hierarchy_scores(fine, coarser, self.hierarchy.ancestors[:, :-1])

    def levels(self, tokens: Tensor) -> list[Tensor]:
        """Probabilities of the cells of each level, coarse first: (B, C_l) float32 on the CPU."""
        return self._ask(tokens)[0]

    def scenes(self, tokens: Tensor) -> Tensor:
        """Probabilities of `geolab.locators.scenes.SCENES`, (B, 3).

        Raises
        ------
        RuntimeError
            If no scenes were learnt.
        """
        if self._fitted().scene is None:
            raise RuntimeError("no scenes were learnt: fit photos with a column 'scene'")
        return self._ask(tokens)[1]

    @torch.no_grad()
    def _ask(self, tokens: Tensor) -> tuple[list[Tensor], Tensor]:
        """Probabilities of the levels' cells and of the scenes."""
        network = self._fitted()
        device, pick = network.mean.device, self.config.mixing == "pick"
        checked_tokens(tokens, network.mean.numel())
        blocks = tokens.split(_BATCH) if len(tokens) else [tokens]
        said = [network(block.to(device), pick) for block in blocks]
        by_level = zip(*(scores for scores, _ in said), strict=True)
        levels = [torch.cat(level).float().softmax(1).cpu() for level in by_level]
        return levels, torch.cat([scene for _, scene in said]).float().softmax(1).cpu()

    def _fitted(self) -> GeoDecoderNetwork:
        if not hasattr(self, "network"):
            raise RuntimeError("nothing learnt yet: call fit(train) first")
        return self.network.eval()

    def _encoder(self) -> Clip:
        if self.clip is None:
            raise RuntimeError("no CLIP given: use GeoDecoder(load_clip()), or tokens")
        return self.clip
