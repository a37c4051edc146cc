"""Learn the weights that come with `SurfaceLayout`, from synthetic scenes.

    python -m geolab.encoders.im2gps.fit_layout --scenes 800 --seed 0

paints TinyEarth photos, asks the renderer which surface each pixel shows, fits the softmax on three
quarters of them, measures it on the rest, and writes `surface_layout.json` beside this file. Run it
again when the look of TinyEarth changes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from geolab.data.loading import load
from geolab.data.storage import write_atomic
from geolab.data.tinyearth.scene import Scene
from geolab.encoders.im2gps.layout import (
    SURFACES,
    SurfaceLayout,
    fit_surface_layout,
    patch_labels,
    patch_numbers,
)
from geolab.encoders.im2gps.pixels import rgb_arrays

_SIZE = 96


def fit_on_tinyearth(n_scenes: int = 800, seed: int = 0) -> dict[str, Any]:
    """Fit and measure; returns what `surface_layout.json` holds.

    `held_out_accuracy` is the share of patches of unseen synthetic photos that get the right label,
    and `most_frequent` the share that the commonest label alone would get.
    """
    rows = load("tinyearth", n=n_scenes, seed=seed, size=_SIZE)
    columns = [name for name in rows.column_names if name != "image"]
    scenes = [Scene.from_row(row) for row in rows.select_columns(columns)]
    photos = [scene.street(_SIZE) for scene in scenes]
    surfaces = [scene.surfaces(_SIZE) for scene in scenes]
    cut = 3 * n_scenes // 4
    fitted = fit_surface_layout(photos[:cut], surfaces[:cut])
    truth = np.stack([patch_labels(surface) for surface in surfaces[cut:]])
    counts = np.bincount(truth[truth < len(SURFACES)].ravel())
    return {
        "what": "softmax weights of the surface layout substitute, learnt on synthetic scenes",
        "command": f"python -m {__spec__.name} --scenes {n_scenes} --seed {seed}",
        "surfaces": SURFACES,
        "held_out_accuracy": round(_accuracy(fitted, photos[cut:], truth), 3),
        "most_frequent": round(float(counts.max() / counts.sum()), 3),
        "weights": np.asarray(fitted.weights, np.float64).round(4).tolist(),
    }


def _accuracy(fitted: SurfaceLayout, photos: list, truth: np.ndarray) -> float:
    """Share of known patches (N, 32, 32) that the fitted weights label right."""
    numbers = np.concatenate([patch_numbers([array])[0] for array in rgb_arrays(photos)])
    guess = (numbers @ fitted.weights).argmax(-1).reshape(truth.shape)  # (N*32, 32) -> (N, 32, 32)
    known = truth < len(SURFACES)
    return float((guess[known] == truth[known]).mean())


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--scenes", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    stored = fit_on_tinyearth(asked.scenes, asked.seed)
    beside = Path(__file__).with_name("surface_layout.json")
    path = write_atomic(beside, json.dumps(stored, indent=1) + "\n")
    print(f"{path}: {stored['held_out_accuracy']:.1%} of held-out patches right")


if __name__ == "__main__":
    _main()
