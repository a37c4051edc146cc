"""Made-up photos that a CLIP can learn in seconds: a colour for each country, and some noise."""

import io

import datasets
import numpy as np
import torch
from PIL import Image

COUNTRIES = ("CL", "FR", "JP", "NO", "KE", "US")
COLOURS = np.array(
    [[200, 60, 60], [60, 200, 80], [60, 90, 210], [210, 190, 60], [190, 70, 200], [90, 200, 200]]
)


def coloured(n, seed=0, size=96):
    """Pixels (n, 3, S, S) uint8 and rows; country i % 6."""
    rng = np.random.default_rng(seed)
    which = np.arange(n) % len(COUNTRIES)
    noise = rng.normal(0, 25, (n, 3, size // 8, size // 8)).repeat(8, 2).repeat(8, 3)
    pixels = np.clip(COLOURS[which][:, :, None, None] + noise, 0, 255).astype(np.uint8)
    rows = [
        {"id": f"p{i}", "country": COUNTRIES[c], "month": int(rng.integers(1, 13))}
        for i, c in enumerate(which)
    ]
    return torch.from_numpy(pixels), rows


def coloured_photos(n, seed=0):
    """The same as a data set, with two photos for each photographer."""
    pixels, rows = coloured(n, seed)
    made = []
    for i, (picture, row) in enumerate(zip(pixels, rows, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(buffer, "PNG")
        image = {"bytes": buffer.getvalue(), "path": None}
        made.append(row | {"image": image, "photographer": f"{seed}-{i // 2}"})
    return datasets.Dataset.from_list(made).cast_column("image", datasets.Image())
