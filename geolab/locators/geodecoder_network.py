r"""The network in the style of GeoDecoder: learned queries that look at the patches of a photo.

One query for each level of a hierarchy of cells *and* each kind of scene. All of them attend to one
another and to the patch tokens of a frozen CLIP tower, layer by layer; then the answers of the
scenes are mixed by how likely each scene is, and each level has one linear classifier:

.. math:: z_l = \mathrm{head}_l\Big(\sum_s p(s \mid \mathrm{photo})\, q_{s,l}\Big)

The head of a level is linear and scenes' shares sum to one, so mixing the queries is mixing the
scores, at a third of the cost.

*No position is added* to the tokens: the network gives the same answer whatever the order of the
patches. Where a patch stood is known only as far as the tower has written it into the token.

**In the style of, not a copy.** The method of Clark et al. (CVPR 2023) is described here from the
abstract and from a public summary of the paper's network figure, not from its text or its code:

=============== ============================================ ======================================
part            paper, by the summary                        here
=============== ============================================ ======================================
encoder         transformer, trained with the rest           the kit's CLIP, frozen; one view
queries         one for each level and scene                 the same; three scenes
decoder         layers across all levels, then layers        layers across all levels
                within each level with their own
                feed-forward
scene           the one that its queries are surest of       linear layer on the mean patch; scenes
                                                             *mixed* by probability, or picked
classifiers     one for each level                           the same, shared across scenes
levels          seven; limits recalled, not checked          the same limits, scaled to the photos
answer          product of the levels' probabilities         the same, as the ISNs of 2018, to the
                                                             power 1 / T
=============== ============================================ ======================================

Sizes, weights of the loss and training are ours throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geolab.locators.geodecoder_config import GeoDecoderConfig
from geolab.locators.scenes import SCENES, scene_labels
from geolab.sphere import ArrayLike, check_latlon

if TYPE_CHECKING:
    from datasets import Dataset

_BLOCK = 512  # photos whose tokens are float32 at once


class GeoDecoderNetwork(nn.Module):
    """Standardise tokens, let the queries look at them, mix the scenes, classify each level.

    Parameters
    ----------
    width : int
        Length of a token.
    n_classes : sequence of L int
        Cells of each level, coarse first.
    n_scenes : int
        S; 1 for no scenes.

    Attributes
    ----------
    queries : Parameter, shape (S, L, dim)
    mean, std : Tensor, shape (width,)
        Of the training tokens.
    """

    def __init__(
        self, width: int, n_classes: Sequence[int], n_scenes: int, config: GeoDecoderConfig
    ) -> None:
        super().__init__()
        dim = config.dim
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        with torch.random.fork_rng([]):  # seeded; the caller's random numbers stay as they were
            torch.manual_seed(config.train.seed)
            self.queries = nn.Parameter(0.5 * torch.randn(n_scenes, len(n_classes), dim))
            self.enter = nn.Linear(width, dim)
            self.layers = nn.ModuleList(
                nn.TransformerDecoderLayer(
                    dim,
                    config.heads,
                    4 * dim,
                    config.dropout,
                    activation="gelu",
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(config.layers)
            )
            self.norm = nn.LayerNorm(dim)
            self.scene = nn.Linear(width, n_scenes) if n_scenes > 1 else None
            self.heads = nn.ModuleList(nn.Linear(dim, n) for n in n_classes)
        if self.scene is not None:  # all scenes alike at first: every query learns from every photo
            nn.init.zeros_(self.scene.weight)
            nn.init.zeros_(self.scene.bias)

    def forward(self, tokens: Tensor, pick: bool = False) -> tuple[list[Tensor], Tensor]:
        """Scores of the cells of each level, (B, C_l), and of the scenes, (B, S).

        Parameters
        ----------
        tokens : Tensor, shape (B, P, width)
            Of any number of patches.
        pick : bool
            Whether the likeliest scene answers alone.
        """
        given = (tokens.float() - self.mean) / self.std
        scene = given.new_zeros(len(given), 1) if self.scene is None else self.scene(given.mean(1))
        share = scene.float().softmax(1)
        if pick:
            share = F.one_hot(share.argmax(1), share.shape[1]).to(share)
        patches = self.enter(given)
        asked = self.queries.flatten(0, 1).expand(len(given), -1, -1)  # (S, L, d) -> (B, S L, d)
        for layer in self.layers:
            asked = layer(asked, patches)
        seen = self.norm(asked).unflatten(1, self.queries.shape[:2])  # (B, S L, d) -> (B, S, L, d)
        mixed = torch.einsum("bs,bsld->lbd", share.to(seen.dtype), seen)
        return [head(level) for head, level in zip(self.heads, mixed, strict=True)], scene


def decoder_loss(
    scores: Sequence[Tensor], scene: Tensor, cells: Tensor, labels: Tensor, scene_weight: float
) -> Tensor:
    """Sum over photos of the levels' cross-entropies and, where scenes are known, the scene's.

    Parameters
    ----------
    scores : sequence of L Tensor, shapes (B, C_l)
    scene : Tensor, shape (B, S)
    cells : Tensor of int64, shape (B, L)
        -1 asks nothing of a level.
    labels : Tensor of int64, shape (B,)
        -1 where the scene is not known.
    """
    rule = {"ignore_index": -1, "reduction": "sum"}
    parts = [F.cross_entropy(s.float(), cells[:, i], **rule) for i, s in enumerate(scores)]
    if scene.shape[1] > 1:
        parts.append(scene_weight * F.cross_entropy(scene.float(), labels, **rule))
    return torch.stack(parts).sum()


def checked_tokens(tokens: Tensor, width: int | None = None) -> Tensor:
    """Tokens as they are, once they are known to be (N, P, width) and finite.

    Raises
    ------
    ValueError
        For another shape, no patch, another width, or a value that is not finite (its row is
        named).
    """
    if tokens.ndim != 3 or not tokens.shape[1]:
        raise ValueError(
            f"tokens must have shape (N, P, W) with a patch at least, not {tuple(tokens.shape)}: "
            "make them with Clip.embed_patches"
        )
    if width is not None and tokens.shape[2] != width:
        raise ValueError(
            f"tokens have {tokens.shape[2]} numbers, the network was taught {width}: take the "
            "encoder that it was fitted with"
        )
    for start in range(0, len(tokens), _BLOCK):
        bad = (~tokens[start : start + _BLOCK].isfinite()).flatten(1).any(1).nonzero()
        if len(bad):
            row = start + int(bad[0])
            raise ValueError(f"row {row} has a token that is not finite: embed it again")
    return tokens


def checked_pair(tokens: Tensor, places: ArrayLike, use: str) -> tuple[Tensor, Tensor]:
    """Tokens (N, P, W) and places (N, 2) float64 of some photos, once they are known to be good.

    Raises
    ------
    ValueError
        As `checked_tokens` and `check_latlon`, or if there is not one for each photo.
    """
    tokens, places = checked_tokens(tokens), check_latlon(places, f"{use} places").double()
    if len(tokens) != len(places) or not len(places):
        raise ValueError(
            f"{use}: {len(tokens)} photos' tokens for {len(places)} places; give one for each"
        )
    return tokens, places


def fit_temperature(chances: Tensor, own: Tensor) -> float:
    """T under which ``chances ** (1 / T)``, scaled to sum to one, gives the photos' own cells most.

    Seven nested levels are no seven witnesses: what they agree on is counted seven times in their
    product, so T is far above 1. The likeliest cell stays the likeliest.

    Parameters
    ----------
    chances : Tensor, shape (N, C)
        Rows sum to 1.
    own : Tensor of int64, shape (N,)
        Cell of each photo; -1 for one in no cell, which says nothing.

    Returns
    -------
    float
        Between 0.1 and 100; 1 where there is one cell only, or no photo in a cell.

    Examples
    --------
    >>> sure = torch.tensor([[0.99, 0.01]]).expand(4, 2)  # right in three photos of four
    >>> round(fit_temperature(sure, torch.tensor([0, 0, 1, 0])), 1)
    4.2
    """
    from scipy.optimize import minimize_scalar

    held = own >= 0
    if not held.any() or chances.shape[1] < 2:
        return 1.0
    logits, rows = chances[held].double().clamp_min(1e-300).log(), own[held, None]

    def cost(log_t: float) -> float:
        return -float((logits / math.exp(log_t)).log_softmax(1).gather(1, rows).mean())

    bounds = (math.log(0.1), math.log(100.0))
    return math.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x)


def scenes_of(photos: Dataset) -> Tensor:
    """Scene of each photo as a number, (N,) int64; -1 where not known, or without such a column.

    Raises
    ------
    ValueError
        If a value is no scene; its row is named.
    """
    if "scene" not in photos.column_names:
        return torch.full((len(photos),), -1)
    return scene_labels(list(photos["scene"]))


def checked_scenes(scenes: Tensor | None, n: int) -> Tensor:
    """Scenes (N,) int64, -1 where not known; all -1 where none are given.

    Raises
    ------
    ValueError
        If there is not one for each photo, or a number is no scene; its row is named.
    """
    if scenes is None:
        return torch.full((n,), -1)
    scenes = torch.as_tensor(scenes)
    if scenes.shape != (n,) or scenes.is_floating_point():
        raise ValueError(f"scenes must be {n} whole numbers, not {tuple(scenes.shape)}")
    bad = ((scenes < -1) | (scenes >= len(SCENES))).nonzero()
    if len(bad):
        row = int(bad[0])
        raise ValueError(
            f"row {row} has scene {int(scenes[row])}; scenes are 0 to {len(SCENES) - 1} "
            f"({', '.join(SCENES)}), or -1 where not known"
        )
    return scenes.long()


def token_statistics(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each number over all tokens (N, P, W): (W,) and (W,), in blocks."""
    n = tokens.shape[0] * tokens.shape[1]
    mean = sum(block.double().sum((0, 1)) for block in tokens.split(_BLOCK)) / n
    spread = sum((block.double() - mean).square().sum((0, 1)) for block in tokens.split(_BLOCK)) / n
    return mean.float(), spread.sqrt().clamp_min(1e-6).float()
