"""Run a file of Triton cases under the interpreter, in a process of its own.

The interpreter must be switched on before Triton is first imported, which a running test session
can't promise.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def run_triton_cases(name: str, repo_root: Path) -> None:
    pytest.importorskip("triton")
    file = repo_root / "tests" / "kernels" / f"triton_cases_{name}.py"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--durations=0",
            str(file),
        ],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(repo_root)},
        cwd=repo_root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert passed, f"no Triton case of {name} ran:\n{done.stdout}"
    assert int(passed[1]) > 0
