"""The descriptors of im2gps (Hays and Efros, CVPR 2008): six ways to see a photo without learning.

| family | numbers | distance | module | sees |
| --- | --- | --- | --- | --- |
| `tiny` | 768 | L2 | `tiny` | layout of colour, 16 x 16 |
| `colour` | 784 | chi2 | `colour` | how much of which colour |
| `textons` | 512 | chi2 | `textons` | small patterns: grass, brick, leaves |
| `lines` | 35 | L1 | `lines` | straight edges: angle, length |
| `gist` | 675 | L2 | `gist` | where stripes of which width lie, and a thumbnail |
| `layout` | 192 | L2 | `layout` | ground, upright things, sky (a substitute) |

    encoders = make_encoders(("tiny", "gist"))
    features = describe_all(images, encoders)      # {"tiny": (N, 768), "gist": (N, 675)}
    distance_matrix(features["gist"], features["gist"], DISTANCE["gist"])

Each encoder takes PIL images or uint8 arrays of any size and gives (N, D) float32. Only textons
have something to learn (`Textons.fit`); the surface classifier of `layout` comes with the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from geolab.encoders.im2gps.colour import LabHistogram, srgb_to_lab
from geolab.encoders.im2gps.distances import distance_matrix, paired_distances
from geolab.encoders.im2gps.gist import Gist
from geolab.encoders.im2gps.layout import SurfaceLayout
from geolab.encoders.im2gps.lines import Lines, find_segments
from geolab.encoders.im2gps.pixels import Photo, resize_area, rgb_arrays
from geolab.encoders.im2gps.textons import Textons
from geolab.encoders.im2gps.tiny import TinyImage

__all__ = [
    "DISTANCE",
    "FAMILIES",
    "Encoder",
    "Gist",
    "LabHistogram",
    "Lines",
    "SurfaceLayout",
    "Textons",
    "TinyImage",
    "describe_all",
    "distance_matrix",
    "find_segments",
    "make_encoders",
    "paired_distances",
    "resize_area",
    "srgb_to_lab",
]

_FIXED = {
    "tiny": TinyImage,
    "colour": LabHistogram,
    "lines": Lines,
    "gist": Gist,
    "layout": SurfaceLayout,
}
FAMILIES = ("tiny", "colour", "textons", "lines", "gist", "layout")
DISTANCE = {name: kind.distance for name, kind in _FIXED.items()} | {"textons": Textons.distance}


class Encoder(Protocol):
    """What every encoder has: photos in, one row of numbers for each out."""

    name: str
    distance: str

    @property
    def dim(self) -> int:
        """Length of the descriptor."""

    def encode(self, images: Sequence[Photo]) -> Tensor:
        """Descriptors (N, dim) float32."""


def make_encoders(
    families: Sequence[str] = FAMILIES,
    textons: Textons | None = None,
    layout: SurfaceLayout | None = None,
) -> dict[str, Encoder]:
    """Encoders by family name, in the order asked for.

    Raises
    ------
    ValueError
        If a family is unknown, or textons are asked for without a fitted vocabulary.
    """
    check_families(families)
    if "textons" in families and textons is None:
        raise ValueError("textons need a vocabulary: pass textons=Textons.fit(images)")
    given = {"textons": textons, "layout": layout}
    return {name: given.get(name) or _FIXED[name]() for name in families}


def check_families(families: Sequence[str]) -> None:
    """Refuse unknown, repeated or no families.

    Raises
    ------
    ValueError
    """
    if isinstance(families, str) or not families or len(set(families)) != len(families):
        raise ValueError(f"families must be a tuple of different names, not {families!r}")
    if unknown := [name for name in families if name not in FAMILIES]:
        raise ValueError(f"family {unknown[0]!r} is unknown; use {', '.join(FAMILIES)}")


def describe_all(images: Sequence[Photo], encoders: Mapping[str, Encoder]) -> dict[str, Tensor]:
    """Descriptors of every family: name -> (N, D) float32. Photos are converted once."""
    arrays = rgb_arrays(images)
    return {name: encoder.encode(arrays) for name, encoder in encoders.items()}
