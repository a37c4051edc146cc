"""What a benchmark reads off the machine: time, memory, ceilings and the conditions.

Memory is the growth of the process during one call, as the kernel of the operating system counts
it: free heap is returned first, then the high-water mark is reset and read again after the call
(Linux, ``/proc/self/clear_refs``). It holds everything the call allocates by any route, its result
included. Where that is not to be had, a thread samples the resident size every millisecond, which
can miss a short peak.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.metadata
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import torch

_PACKAGES = ("torch", "numpy", "numba", "scikit-learn", "scipy", "faiss-cpu", "s2sphere")
_PACKAGES += ("opencv-python-headless", "triton")


@dataclass(frozen=True)
class Ceilings:
    """The fastest this machine was seen to go, a moment before the kernel was timed."""

    write_gb_s: float
    copy_gb_s: float
    f32_gflop_s: float
    bf16_gflop_s: float


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call; on a GPU until it has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_mib(call: Callable[[], object]) -> float:
    """MiB by which one call makes the process grow at its highest point."""
    gc.collect()
    _return_free_heap()
    status = Path("/proc/self/status")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # 5: high-water mark = what is resident now
        before = _field(status, "VmHWM")
    except (OSError, KeyError):
        return _sampled_peak_mib(call)
    call()
    return max(0.0, (_field(status, "VmHWM") - before) / 1024)


def _field(status: Path, name: str) -> int:
    """One number in kB from /proc/self/status."""
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines[name].split()[0])


def _return_free_heap() -> None:
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):
        return  # no glibc: memory that is free already may hide a part of the growth


def _sampled_peak_mib(call: Callable[[], object]) -> float:
    process, done = psutil.Process(), threading.Event()
    before = highest = process.memory_info().rss

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.001):
            highest = max(highest, process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        call()
    finally:
        done.set()
        thread.join()
    return (highest - before) / 2**20


def ceilings() -> Ceilings:
    """Memory and matrix speeds on as many threads as torch uses; about half a second."""
    a, b = torch.zeros(13_000_000), torch.zeros(13_000_000)  # 52 MB, past any cache

    def product(dtype: torch.dtype) -> float:
        x, y = torch.ones(1024, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
        return 2 * 1024**3 / _best(lambda: x @ y) / 1e9

    return Ceilings(
        write_gb_s=a.nbytes / _best(lambda: a.fill_(1.0)) / 1e9,
        copy_gb_s=2 * a.nbytes / _best(lambda: b.copy_(a)) / 1e9,
        f32_gflop_s=product(torch.float32),
        bf16_gflop_s=product(torch.bfloat16),
    )


def _best(call: Callable[[], object], times: int = 7) -> float:
    call()
    return min(seconds(call) for _ in range(times))


def cpu_name() -> str:
    """Model of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def conditions() -> dict[str, object]:
    """Everything that a reader needs in order to judge the figures."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


class Bystanders:
    """Share of processor time that went to others between `start` and `share`.

    ``stolen`` is what the hypervisor gave to other machines; ``others`` what other processes of
    this machine used. Both spoil timings.
    """

    def __init__(self) -> None:
        self.before, self.own = psutil.cpu_times(), time.process_time()

    def share(self) -> dict[str, float]:
        """Per cent of all processor time since the start."""
        now = psutil.cpu_times()
        spent = {name: getattr(now, name) - getattr(self.before, name) for name in now._fields}
        total = sum(v for k, v in spent.items() if not k.startswith("guest")) or 1.0
        stolen = spent.get("steal", 0.0)
        idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
        others = max(0.0, total - stolen - idle - (time.process_time() - self.own))
        return {"stolen": 100 * stolen / total, "others": 100 * others / total}
