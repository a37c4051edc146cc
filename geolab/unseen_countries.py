"""Does caption pretraining help where it has never been? StreetCLIP's claim, tried.

StreetCLIP (Haas, Alberti and Skreta, arXiv 2302.00275, 2023) goes on from OpenAI's CLIP with
captions of town, region and country, and reports ten points more zero-shot country accuracy on
countries that it never trained on, India and China among them: learning to look for places helps
with places that it was not shown.

    table = unseen_countries(load_clip(), shared_split(), UnseenConfig(n_train=3000, epochs=1))
    print(verdict(table))

Some countries are held out. Training goes on with StreetCLIP's captions on photos of the others;
zero-shot country accuracy, among *all* countries, is taken before and after, on test photos of both
kinds. Held out means held out of this second training: the CLIP that it starts from has seen every
country once, as OpenAI's has.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from torch import Tensor
from torch.nn import functional as F

from geolab.data.errors import DataError
from geolab.encoders.captions import STREETCLIP
from geolab.encoders.clip import Clip
from geolab.encoders.pixels import read_pixels
from geolab.encoders.pretrain import PretrainConfig, pretrain
from geolab.intervals import Estimate, bootstrap_means, group_index, with_interval
from geolab.locators.prompts import COUNTRY_PROMPTS, country_features
from geolab.pretrain_command import pairs
from geolab.training import TrainConfig

if TYPE_CHECKING:
    from datasets import DatasetDict

KINDS = ("held out", "trained on")


@dataclass(frozen=True)
class UnseenConfig:
    """How to try it.

    Attributes
    ----------
    share : float
        Of the test photos that come from countries held out, roughly.
    max_share : float
        Countries with more of the test photos than this are never held out; one of them alone
        would be the whole figure.
    n_train : int or None
        Train photos to use before countries are held out; all if None.
    epochs, batch_size : int
    lr : float
        A tenth of what training from chance takes.
    seed, n_boot : int
        Of the choice of countries, of training and of the resamples.
    """

    share: float = 0.25
    max_share: float = 0.1
    n_train: int | None = None
    epochs: int = 2
    batch_size: int = 128
    lr: float = 1e-4
    seed: int = 0
    n_boot: int = 1000


def unseen_countries(
    clip: Clip,
    parts: DatasetDict,
    config: UnseenConfig = UnseenConfig(),
    *,
    checkpoint: str | os.PathLike | None = None,
    progress: str = "",
) -> pd.DataFrame:
    """Zero-shot country accuracy before and after training on the other countries.

    Parameters
    ----------
    clip : Clip
        Left as it is; a copy is trained.
    parts : DatasetDict
        With "train" and "test"; columns as `caption_of` wants them, and photographer where known.

    Returns
    -------
    DataFrame
        A row for each of `KINDS`: ``countries``, ``n`` photos, ``photographers``, and as `Estimate`
        in per cent ``before``, ``after`` and ``gain`` (paired). ``attrs["held_out"]`` lists the
        codes, ``attrs["asked"]`` the number of countries to choose from.

    Raises
    ------
    DataError
        If the test part has too few countries, or no train photo is left.
    """
    train, test = parts["train"], parts["test"]
    if config.n_train is not None:
        train = train.select(range(min(config.n_train, len(train))))
    codes = sorted(set(parts["train"]["country"]) | set(test["country"]))
    truth = np.array(test["country"])
    held = held_out(truth, config)
    rest = [row for row, code in enumerate(train["country"]) if code not in held]
    if len(rest) < config.batch_size:
        raise DataError(
            f"{len(rest)} train photos are left without {len(held)} countries, fewer than a batch "
            f"of {config.batch_size}: take more photos, or a smaller share or batch_size"
        )
    asked = read_pixels(test, clip.size).values
    before = _right(clip, asked, codes, truth)
    trained = copy.deepcopy(clip).float()
    pixels, rows = pairs(train.select(rest), clip.size)
    pretrain(trained, pixels, rows, _pretraining(config), checkpoint=checkpoint, progress=progress)
    after = _right(trained, asked, codes, truth)
    people = test["photographer"] if "photographer" in test.column_names else None
    table = _table(before, after, np.isin(truth, list(held)), truth, people, config)
    table.attrs |= {"held_out": sorted(held), "asked": len(codes), "synthetic": clip.synthetic}
    return table


def held_out(truth: Sequence[str], config: UnseenConfig) -> set[str]:
    """Draw countries until their share of the photos is reached; common ones stay in.

    Raises
    ------
    DataError
        If no country is rare enough to be held out.
    """
    codes, counts = np.unique(np.asarray(truth), return_counts=True)
    rare = counts <= config.max_share * counts.sum()
    if not rare.any() or len(codes) < 2:
        raise DataError(
            f"none of {len(codes)} countries has under {config.max_share:.0%} of the test photos: "
            "raise max_share, or take more photos"
        )
    order = np.random.default_rng(config.seed).permutation(np.flatnonzero(rare))
    reached = np.cumsum(counts[order]) >= config.share * counts.sum()
    last = int(reached.argmax()) if reached.any() else len(order) - 1
    chosen = order[: last + 1]
    return set(codes[chosen[: len(codes) - 1]].tolist())  # one country at least is trained on


def _pretraining(config: UnseenConfig) -> PretrainConfig:
    wanted = {"batch_size": config.batch_size, "lr": config.lr, "seed": config.seed}
    train = TrainConfig(epochs=config.epochs, weight_decay=0.1, clip_norm=1.0, **wanted)
    return PretrainConfig(captions=STREETCLIP, train=train)


def _right(clip: Clip, pixels: Tensor, codes: Sequence[str], truth: np.ndarray) -> np.ndarray:
    """Whether the likeliest country is the true one, (N,) float."""
    words = country_features(clip, codes, COUNTRY_PROMPTS)
    best = (F.normalize(clip.embed_pixels(pixels), dim=1) @ words.T).argmax(1)
    return (np.array(codes)[best.numpy()] == truth).astype(float)


def _table(
    before: np.ndarray,
    after: np.ndarray,
    held: np.ndarray,
    truth: np.ndarray,
    people: Sequence[str] | None,
    config: UnseenConfig,
) -> pd.DataFrame:
    rows = []
    for kind, mine in zip(KINDS, (held, ~held), strict=True):
        groups = None if people is None else [p for p, ok in zip(people, mine, strict=True) if ok]
        index, n_groups = group_index(groups, int(mine.sum()))
        values = 100 * np.stack([before, after, after - before], axis=1)[mine]  # (n, 3)
        drawn = bootstrap_means(values, index, n_groups, n_boot=config.n_boot, seed=config.seed)
        found = [with_interval(values[:, c].mean(), drawn[:, c], n_groups) for c in range(3)]
        about = (kind, len(set(truth[mine])), len(values), n_groups)
        rows.append((*about, *found))
    names = ["kind", "countries", "n", "photographers", "before", "after", "gain"]
    return pd.DataFrame(rows, columns=names).set_index("kind")


def verdict(table: pd.DataFrame) -> str:
    """Say what came out, in two lines and a word on the claim."""
    held = table.loc[KINDS[0]]
    gain: Estimate = held["gain"]
    words = "cannot be told from zero here"
    if gain.has_interval and gain.low > 0:
        words = "holds here"
    if gain.has_interval and gain.high < 0:
        words = "fails here: training elsewhere made these countries worse"
    told = [
        f"{kind}: {row['countries']} countries, {row['n']} photos by {row['photographers']} "
        f"people: {_said(row['before'])} before, {_said(row['after'])} after, "
        f"gain {_said(row['gain'])}"
        for kind, row in table.iterrows()
    ]
    chance = f"Chance is {100 / table.attrs['asked']:.1f} %. "
    claim = f"That it helps countries not trained on {words}."
    photos = "Synthetic photos. " if table.attrs["synthetic"] else ""
    return "\n".join([*told, f"{photos}{chance}{claim}"])


def _said(figure: Estimate) -> str:
    return f"{figure.value:.1f} [{figure.low:.1f}, {figure.high:.1f}] %"
