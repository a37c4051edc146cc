"""The tiny image: a photo averaged down to 16 x 16 colours.

Absurdly little, and yet two photos whose tiny images agree were often taken of the same kind of
scene: it keeps the layout of sky, ground and colour, and drops everything else (Torralba, Fergus
and Freeman, "80 million tiny images", PAMI 2008). im2gps compares them by Euclidean distance in
Lab (16 x 16 x 3 = 768 numbers; the colour space is recalled, not read in the paper).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from geolab.encoders.im2gps.colour import srgb_to_lab
from geolab.encoders.im2gps.pixels import Photo, describe, resize_area


@dataclass(frozen=True)
class TinyImage:
    """Area-averaged `side` x `side` Lab image, flattened row by row. Compared by L2.

    Examples
    --------
    >>> from PIL import Image
    >>> TinyImage().encode([Image.new("RGB", (40, 30), "white")]).shape
    torch.Size([1, 768])
    """

    side: int = 16
    name = "tiny"
    distance = "l2"

    @property
    def dim(self) -> int:
        """Length of the descriptor, 768 by default."""
        return self.side * self.side * 3

    def encode(self, images: Sequence[Photo]) -> Tensor:
        """Descriptors (N, 768) float32."""
        return describe(images, self.dim, self._block, threads=False)

    def _block(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        small = resize_area(photos, self.side, self.side)
        return srgb_to_lab(small / 255).reshape(len(photos), -1)  # (B, 16, 16, 3) -> (B, 768)
