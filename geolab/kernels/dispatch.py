"""Which code path a kernel takes: Triton on a GPU, numba on a CPU that has it, plain torch always.

Every public kernel has an argument ``backend``: ``"auto"`` (the fastest that can run here),
``"torch"`` (blocked plain torch, on any device), ``"numba"`` (compiled, CPU) or ``"triton"`` (GPU).
Triton's interpreter (environment variable ``TRITON_INTERPRET=1``, set before the first import) runs
the Triton path on a CPU for tests. It is hundreds of times slower than plain torch and silently
wrong in bfloat16, so ``"auto"`` never takes it.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch

BACKENDS = ("auto", "torch", "numba", "triton")
HAS_TRITON = find_spec("triton") is not None
HAS_NUMBA = find_spec("numba") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def choose(backend: str, tensor: torch.Tensor, *, numba: bool = True, triton: bool = True) -> str:
    """Name the path to take for `tensor`.

    Parameters
    ----------
    backend : str
        What the caller asked for, one of `BACKENDS`.
    tensor : Tensor
        Decides the device.
    numba, triton : bool
        Whether the kernel has such a path for these arguments.

    Returns
    -------
    str
        ``"torch"``, ``"numba"`` or ``"triton"``.

    Raises
    ------
    ValueError
        If the name is not known, or the path asked for can't run on this device.
    ImportError
        If the path asked for needs a package that is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {BACKENDS}, not {backend!r}")
    if backend == "auto":
        if tensor.is_cuda:
            return "triton" if triton and HAS_TRITON else "torch"
        return "numba" if numba and HAS_NUMBA and tensor.device.type == "cpu" else "torch"
    if backend == "numba":
        _require(HAS_NUMBA, "numba", "pip install numba")
        _fits(numba and tensor.device.type == "cpu", backend, tensor)
    if backend == "triton":
        _require(HAS_TRITON, "triton", "pip install triton (Linux), or use backend='torch'")
        _fits(triton and (tensor.is_cuda or INTERPRETED), backend, tensor)
    return backend


def _require(present: bool, package: str, how: str) -> None:
    if not present:
        raise ImportError(f"this path needs {package}: {how}")


def _fits(ok: bool, backend: str, tensor: torch.Tensor) -> None:
    if not ok:
        raise ValueError(
            f"backend={backend!r} has no path for a {tensor.dtype} tensor on {tensor.device}; "
            "use backend='auto'"
        )
