"""Keep the machine out of what is published: absolute paths become short ones.

A traceback or a warning names files by absolute path, and with them the user and the machine. A
page is made to be shown, so known folders are replaced: the repository by `.`, installed packages
by `site-packages`, the home folder by `~`, IPython's temporary file of a cell by `<cell>`.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# A path starts a word, follows `file://`, or follows the colour code of a traceback.
_START = r"(?:(?<![\w/.~-])|(?<=\d\dm)|(?<=\[0m)|(?<=file://))"
_CELL = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][\w.+~-]+)*[/\\]ipykernel_\d+[/\\]\d+\.py")


def path_scrubber(folders: Mapping[Path | str, str]) -> Callable[[str], str]:
    """Return a function that shortens machine paths in a text.

    Parameters
    ----------
    folders
        What to write for which folder, beside the interpreter's own and the user's home. The
        longest path wins.

    Examples
    --------
    >>> path_scrubber({"/data/kit": "."})('File "/data/kit/geolab/sphere.py", line 3')
    'File "./geolab/sphere.py", line 3'
    """
    known = {str(path): short for path, short in _own_folders().items()}
    for path, short in folders.items():
        known |= {str(path): short, str(Path(path).resolve()): short}
    home = str(Path.home())
    # IPython writes `~` itself.
    under_home = {path: short for path, short in known.items() if path.startswith(home + os.sep)}
    known |= {"~" + path.removeprefix(home): short for path, short in under_home.items()}
    known = {path: short for path, short in known.items() if len(path) > 2}
    longest_first = sorted(known, key=len, reverse=True)
    pattern = re.compile(_START + "(" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])")

    def scrub(text: str) -> str:
        return pattern.sub(lambda match: known[match[1]], _CELL.sub("<cell>", text))

    return scrub


def _own_folders() -> dict[Path | str, str]:
    paths = sysconfig.get_paths()
    folders = {paths["purelib"]: "site-packages", paths["platlib"]: "site-packages"}
    folders |= {paths["stdlib"]: "python", sys.prefix: "python", sys.base_prefix: "python"}
    folders |= {tempfile.gettempdir(): "<tmp>", Path.home(): "~"}
    return folders | {str(Path(path).resolve()): short for path, short in folders.items()}


def scrub_outputs(cells: list, scrub: Callable[[str], str]) -> None:
    """Apply a scrubber to every text in the outputs of executed cells, in place."""
    for cell in cells:
        if "outputs" in cell:
            cell.outputs = [_walk(output, scrub) for output in cell.outputs]


def _walk(value: Any, scrub: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [_walk(item, scrub) for item in value]
    if isinstance(value, dict):
        # Pictures are base64: long, and free of paths.
        walked = {k: v if k.startswith("image/p") else _walk(v, scrub) for k, v in value.items()}
        return type(value)(walked)
    return value
