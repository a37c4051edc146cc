"""The kernels: one file each with the equation, a plain reference, fast paths, one public function.

>>> from geolab.kernels import haversine_matrix

Nothing is imported before it is asked for, so a notebook that needs distances does not pay for the
rest. Where a function has the name of its file (`topk`, `optics`), ``geolab.kernels.topk`` is the
function, and ``from geolab.kernels.topk import ...`` still reaches into the file.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

_HOMES = {
    "haversine": ("haversine_matrix", "haversine_matrix_reference"),
    "smoothed_loss": (
        "smoothed_cross_entropy",
        "smoothed_cross_entropy_reference",
        "linear_smoothed_cross_entropy",
        "linear_smoothed_cross_entropy_reference",
        "smoothed_targets",
    ),
    "topk": ("topk", "topk_reference", "build_index"),
    "hamming": ("hamming_topk", "hamming_topk_reference"),
    "density": ("density_vote", "density_vote_reference"),
    "s2": ("s2_cell_ids", "s2_cell_ids_reference"),
    "optics": ("optics", "optics_reference"),
    "prototypes": ("prototype_scores", "prototype_scores_reference", "PrototypeTable"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = list(_HOME)


def __getattr__(name: str):
    """Import the file of a public function when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Names of the public functions."""
    return sorted(_HOME)


class _Kernels(ModuleType):
    """Importing a file sets it on its package; a function of the same name takes its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOME and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Kernels
