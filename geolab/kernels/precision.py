"""What this machine's matrix products can be trusted with, and how fast they are."""

from __future__ import annotations

import functools
import time

import torch


def strict_float32() -> bool:
    """False if the user lets torch take float32 products in TF32 or bfloat16."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set through torch's newer, per-backend switches
        return False


@functools.cache
def bf16_speed() -> float:
    """How much faster this CPU multiplies bfloat16 matrices than float32 ones, 0 if wrongly.

    Measured once in a process: instruction sets differ in speed, and so do builds of torch.
    """
    a, b = torch.randn(2, 512, 512, generator=torch.Generator().manual_seed(0))
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = a.to(dtype), b.to(dtype)
        runs = []
        for _ in range(6):
            begin = time.perf_counter()
            product = left @ right.T
            runs.append(time.perf_counter() - begin)
        seconds[dtype] = min(runs)
    true = a.bfloat16().double() @ b.bfloat16().double().T
    error = (product.double() - true).abs() - true.abs() * 2.0**-8  # one rounding is fine
    return 0.0 if float(error.max()) > 1e-3 else seconds[torch.float32] / seconds[torch.bfloat16]
