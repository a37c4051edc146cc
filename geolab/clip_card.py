"""The card of a small CLIP: what it was made from, what it can do, and what it is not.

Everything is measured on the validation part of the shared split (`geolab.data.shared`), which no
pretraining has seen, and stands beside what chance or the most frequent answer gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geolab.evaluation import truth_of
from geolab.locators.prompts import COUNTRY_PROMPTS, country_features
from geolab.metrics import errors_km

if TYPE_CHECKING:
    from datasets import DatasetDict

    from geolab.encoders.clip import Clip

WITHIN_KM = (200, 750, 2500)
PROBE_PHOTOS = 6000
_NOT = (
    "It has seen no real photograph and knows nothing of one. Its figures say nothing about real "
    "places and are never set beside a paper's. It is there to learn with, offline and at once."
)


def measure(clip: Clip, parts: DatasetDict) -> list[dict[str, Any]]:
    """Measure a CLIP on the validation part, with the train part for reference.

    Parameters
    ----------
    parts : DatasetDict
        With "train" and "validation".

    Returns
    -------
    list of dict
        Of each figure: ``what``, ``value`` and ``chance`` (per cent), ``n`` photos.
    """
    asked, known = parts["validation"], parts["train"]
    truth, references = list(asked["country"]), list(known["country"])
    photos = {f: (clip.embed_photos(asked, f), clip.embed_photos(known, f)) for f in clip.dims}
    rows = zero_shot_rows(clip, photos["image"][0], truth, references)
    for feature, (query, reference) in photos.items():
        query, reference = F.normalize(query, dim=1), F.normalize(reference, dim=1)
        best = (query @ reference.T).argmax(1).numpy()
        rows += _distance_rows(feature, truth_of(asked), truth_of(known), best)
        rows.append(_probe_row(feature, query, truth, reference, references))
    return [row | {"n": len(truth)} for row in rows]


def zero_shot_rows(
    clip: Clip, features: Tensor, truth: Sequence[str], references: Sequence[str]
) -> list[dict[str, Any]]:
    """Zero-shot country among all countries of both lists, in four readings.

    CLIP's scores carry no prior (see `geolab.locators.zero_shot`); adding that of the references
    is no zero-shot any more, and says how much of the error was the missing prior.
    """
    codes = sorted(set(truth) | set(references))
    at = torch.tensor([codes.index(code) for code in truth])
    words = country_features(clip, codes, COUNTRY_PROMPTS)
    scores = clip.logit_scale.detach().float().cpu() * F.normalize(features, dim=1) @ words.T
    count = Counter(references)
    prior = torch.tensor([count[code] + 0.5 for code in codes]).log()  # (C,)
    hit = (scores.argmax(1) == at).float()
    each = torch.stack([hit[at == c].mean() for c in at.unique()])
    top = (scores.topk(min(5, len(codes)), dim=1).indices == at[:, None]).any(1)
    most = float((at == int(prior.argmax())).float().mean())
    found = (
        (f"zero-shot country, 1 of {len(codes)}", hit.mean(), 1 / len(codes)),
        ("zero-shot country, among the first 5", top.float().mean(), 5 / len(codes)),
        ("zero-shot country, mean over countries", each.mean(), 1 / len(codes)),
        ("with the train part's shares of countries", _share(scores + prior, at), most),
    )
    return [_row(what, float(value), chance) for what, value, chance in found]


def _share(scores: Tensor, at: Tensor) -> float:
    return float((scores.argmax(1) == at).float().mean())


def _distance_rows(
    feature: str, truth: np.ndarray, places: np.ndarray, best: np.ndarray
) -> list[dict[str, Any]]:
    """Place of the nearest photo; chance is the place of any."""
    km = errors_km(places[best], truth)
    luck = errors_km(places[np.random.default_rng(0).integers(len(places), size=len(best))], truth)
    return [
        _row(f"nearest photo by {feature}, within {r} km", (km <= r).mean(), (luck <= r).mean())
        for r in WITHIN_KM
    ]


def _probe_row(
    feature: str, query: Tensor, truth: Sequence[str], reference: Tensor, known: Sequence[str]
) -> dict[str, Any]:
    """Logistic regression of the country on the frozen feature."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    taken = np.random.default_rng(0).permutation(len(known))[:PROBE_PHOTOS]
    labels = np.array(known)[taken]
    scaler = StandardScaler().fit(reference[taken].numpy())
    probe = LogisticRegression(C=0.01, max_iter=200)
    probe.fit(scaler.transform(reference[taken].numpy()), labels)
    hit = np.mean(probe.predict(scaler.transform(query.numpy())) == np.array(truth))
    most = Counter(labels.tolist()).most_common(1)[0][0]
    return _row(f"linear probe of the country on {feature}", hit, truth.count(most) / len(truth))


def _row(what: str, value: float, chance: float) -> dict[str, Any]:
    """Shares as per cent, one decimal."""
    return {
        "what": what,
        "value": round(100 * float(value), 1),
        "chance": round(100 * float(chance), 1),
    }


def card(about: Mapping[str, Any], digest: str) -> str:
    """Write the card as markdown.

    Parameters
    ----------
    about : mapping
        As `geolab.pretrain_command.run_pretraining` makes it.
    digest : str
        Sha256 of the weights' file.
    """
    facts = (
        "licence",
        "command",
        "data",
        "captions",
        "architecture",
        "weights",
        "pairs",
        "seconds",
    )
    lines = [f"# {about['what']}", ""]
    lines += [f"- **{name}**: {about[name]}" for name in facts if name in about]
    lines += [f"- **sha256**: {digest}", "", "## What it can do", ""]
    lines += [
        f"On the {about['measured_on']}. Chance is a guess at random; for the linear probe and the "
        "shares of countries it is the most frequent country, for the nearest photo any photo.",
        "",
        "| figure | % | chance, % | n |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {r['what']} | {r['value']} | {r['chance']} | {r['n']} |" for r in about["measured"]
    ]
    return "\n".join([*lines, "", "## What it is not", "", _NOT, ""])
