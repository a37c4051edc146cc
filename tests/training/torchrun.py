"""Run a script as torchrun does: several processes that talk over gloo."""

import os
import subprocess
import sys

import torch


def run_processes(script, path, world):
    """Run source text with `path` as its argument; returns what each saved as "path.rank"."""
    file = path.with_suffix(".py")
    file.write_text(script)
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
    folders = [os.getcwd(), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, *launch, str(file), str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(f"{path}.{rank}", weights_only=True) for rank in range(world)]
