"""What a bug report needs, and what a table should say it was measured on.

    print(text(report()))

Nothing personal is in it: no user name, no host name, and the home folder is written `~`.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from geolab import __version__
from geolab.data.storage import cache_folder

LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pillow",
    "datasets",
    "open_clip_torch",
    "matplotlib",
    "folium",
    "triton",
    "numba",
    "jupyterlab",
    "nbclient",
    "nbconvert",
)
_GIB = 2**30


def report() -> dict[str, Any]:
    """Gather versions, processor, memory, GPU, disk and cache folder.

    Returns
    -------
    dict
        `geolab`, `python`, `platform`, `colab`, `cpu`, `cores`, `memory_gib`, `free_memory_gib`,
        `gpu` (a sentence), `gpus` (a list), `dtype` (advice), `cache`, `cache_mib`,
        `free_disk_gib`, `libraries` (name to version; absent ones are left out).
    """
    cache, memory, gpus = cache_folder(), psutil.virtual_memory(), _gpus()
    return {
        "geolab": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(aliased=True, terse=True),
        "machine": platform.machine(),
        "colab": "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules,
        "cpu": cpu_model(),
        "cores": len(psutil.Process().cpu_affinity())
        if sys.platform == "linux"
        else os.cpu_count(),
        "memory_gib": round(memory.total / _GIB, 1),
        "free_memory_gib": round(memory.available / _GIB, 1),
        "gpu": gpus[0]["name"] if gpus else "no GPU",
        "gpus": gpus,
        "dtype": dtype_advice(gpus[0]["capability"] if gpus else None),
        "cache": without_home(cache),
        "cache_mib": round(folder_bytes(cache) / 2**20),
        "free_disk_gib": round(shutil.disk_usage(_existing(cache)).free / _GIB, 1),
        "libraries": libraries(),
    }


def text(found: dict[str, Any]) -> str:
    """Lay out a report as lines to paste into an issue."""
    memory = f"{found['memory_gib']} GiB, {found['free_memory_gib']} GiB free"
    rows = {
        "geolab": found["geolab"],
        "Python": found["python"],
        "platform": f"{found['platform']} {found['machine']}" + " (Colab)" * found["colab"],
        "CPU": f"{found['cpu']}, {found['cores']} cores",
        "memory": memory,
        "GPU": "; ".join(map(_gpu_text, found["gpus"])) or found["gpu"],
        "dtype": found["dtype"],
        "cache": f"{found['cache']}, {found['cache_mib']:,} MiB",
        "free disk": f"{found['free_disk_gib']} GiB",
        **found["libraries"],
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def libraries() -> dict[str, str]:
    """Versions of the libraries that matter, of those installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """Name of the processor, or of its architecture where the system does not tell."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (named or [platform.processor() or platform.machine()])[0]


def dtype_advice(capability: tuple[int, int] | None) -> str:
    """Say which half precision suits a GPU.

    `torch.cuda.is_bf16_supported` says yes for GPUs that only emulate bf16, so ask the compute
    capability.

    >>> dtype_advice((7, 5))
    'float16: compute capability 7.5 has no bfloat16 of its own'
    >>> dtype_advice(None)
    'float32 on the CPU'
    """
    if capability is None:
        return "float32 on the CPU"
    said = ".".join(map(str, capability))
    if tuple(capability) >= (8, 0):
        return f"bfloat16: compute capability {said}"
    return f"float16: compute capability {said} has no bfloat16 of its own"


def without_home(path: Path) -> str:
    """Write a path with `~` for the home folder.

    >>> without_home(Path.home() / ".cache" / "geolab").replace(os.sep, "/")
    '~/.cache/geolab'
    """
    home = Path.home()
    return str(Path("~") / path.relative_to(home)) if path.is_relative_to(home) else str(path)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files under a folder; 0 if there is none."""
    sizes = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                sizes += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # removed while we looked
                continue
    return sizes


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())


def _gpus() -> list[dict[str, Any]]:
    if find_spec("torch") is None:
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found.append(
            {
                "name": card.name,
                "memory_gib": round(card.total_memory / _GIB, 1),
                "capability": (card.major, card.minor),
                "cuda": torch.version.cuda,
            }
        )
    return found


def _gpu_text(gpu: dict[str, Any]) -> str:
    said = ".".join(map(str, gpu["capability"]))
    return f"{gpu['name']}, {gpu['memory_gib']} GiB, capability {said}, CUDA {gpu['cuda']}"
