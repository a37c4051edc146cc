"""The autograder that Gradescope runs: `setup.sh`, `run_autograder`, and the results they write.

Gradescope builds a machine with `setup.sh`, puts the student's files into
``/autograder/submission``, runs `run_autograder` and reads ``/autograder/results/results.json``: a
list `tests` of ``name``, ``score``, ``max_score``, ``output``, as `geolab check --json` writes it.
Reference: gradescope-autograders.readthedocs.io, "Autograder specifications".
"""

from __future__ import annotations

from collections.abc import Sequence

_SETUP = """\
#!/usr/bin/env bash
# Install the kit: from a wheel that lies beside this file, or else from its repository.
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"
apt-get update && apt-get install -y python3 python3-pip python3-venv git
python3 -m venv /autograder/venv
wheel=$(ls geolab-*.whl 2>/dev/null | head -n 1 || true)
/autograder/venv/bin/pip install --extra-index-url https://download.pytorch.org/whl/cpu \\
    pytest nbformat "${{wheel:-geolab @ git+{address}@{tag}}}"
"""
_RUN = """\
#!/usr/bin/env bash
# Check a submission with the hidden seeds; results.json is written whatever happens.
root=${{AUTOGRADER_ROOT:-/autograder}}
[ -d "$root/venv" ] && PATH="$root/venv/bin:$PATH"
mkdir -p "$root/results"
results="$root/results/results.json"
rm -f "$results"
cd "$root/submission" || exit 0
geolab check {name} . {seeds} --json "$results" > "$root/results/check.txt" 2>&1
if [ ! -s "$results" ]; then
    python3 - "$results" "$root/results/check.txt" <<'PYTHON'
import json, sys
said = open(sys.argv[2], errors="replace").read().strip()[-2000:]
told = "The submission ended the checks before they were done. " + said
json.dump({{"score": 0, "output": told}}, open(sys.argv[1], "w"))
PYTHON
fi
exit 0
"""


def files(name: str, seeds: Sequence[int]) -> dict[str, str]:
    """Text of each file of the autograder.

    Parameters
    ----------
    name : str
        Of the assignment, such as "a1".
    seeds : sequence of int
        That students don't know; a test has to pass with each.
    """
    from geolab.course.address import repository_address, version_tag

    options = " ".join(f"--seed {seed}" for seed in seeds)
    return {
        "setup.sh": _SETUP.format(address=repository_address(), tag=version_tag()),
        "run_autograder": _RUN.format(name=name, seeds=options),
    }
